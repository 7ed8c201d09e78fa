"""The lungs of one film: from the atlas, or from a mask of this patient's lungs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from matex.errors import InputError
from matex.priors.atlas import LUNGS, Box, Region, flipped_box
from matex.priors.shapes import Values, indicator

Mask = NDArray[np.generic]
"""[height, width] of the image: 0 background, 1 the patient's right lung, 2 the left; or booleans of both lungs."""
Coverage = Callable[[Values, Values], Values]
"""Sample points x [columns], y [rows] -> how much of a small window around each is lung, [rows, columns] in [0, 1]."""

_LABEL = {"right": 1, "left": 2}
_EDGE = 0.02  # half the window over which the edge of a mask is softened, as a fraction of the image
_GAP = 0.35  # lungs that touch in more than this share of the height of the smaller one are not parted


@dataclass(frozen=True, eq=False)
class Lung:
    """A lung in the image, in fractions of it."""

    box: Box
    midline_on_right: bool
    """The edge of the box that faces the midline is its right one."""
    visible: Coverage
    """The part that is seen on the film."""
    whole: Coverage
    """The visible part, and what lies behind the heart and below the dome of the diaphragm."""

    def place(self, region: Region) -> Box:
        """A region's box in image fractions."""
        x0, y0, x1, y1 = self.box
        outer, top, inner, bottom = region.box
        if not self.midline_on_right:
            outer, inner = 1 - inner, 1 - outer
        width, height = x1 - x0, y1 - y0
        return (x0 + width * outer, y0 + height * top, x0 + width * inner, y0 + height * bottom)


def average_lungs(flipped: bool) -> dict[str, Lung]:
    """The mean lungs of the atlas, by side; `flipped`: the right one lies on the image's right."""
    lungs: dict[str, Lung] = {}
    for side, average in LUNGS.items():
        box = flipped_box(average, flipped)
        inside = partial(indicator, box=box)
        lungs[side] = Lung(box, (side == "right") != flipped, inside, inside)
    return lungs


def measured_lungs(mask: Mask, mirrored: bool) -> dict[str, Lung]:
    """The lungs of a mask, by the patient's side; a lung that the mask lacks is left out.

    Raises:
        InputError: as `lung_boxes`.
    """
    labels = _label_lungs(mask, mirrored)
    lungs: dict[str, Lung] = {}
    for side, box in _boxes(labels).items():
        visible = labels == _LABEL[side]
        midline_on_right = (side == "right") != mirrored
        whole = _with_hidden_parts(visible, midline_on_right)
        lungs[side] = Lung(box, midline_on_right, _coverage(visible), _coverage(whole))
    return lungs


def lung_boxes(mask: Mask, mirrored: bool = False) -> dict[str, Box]:
    """The box of each lung in image fractions, by the patient's side; a lung that the mask lacks is left out.

    Args:
        mask: [height, width], 0 background, 1 the patient's right lung, 2 the left; or booleans of both
            lungs, which are parted at the emptiest column between them.
        mirrored: the image's left edge is the patient's left.

    Raises:
        InputError: no lung mask, or one that contradicts `mirrored`.
    """
    return _boxes(_label_lungs(mask, mirrored))


def _label_lungs(mask: Mask, mirrored: bool) -> NDArray[np.uint8]:
    """Check a mask and label it: [height, width] with 1 for the patient's right lung and 2 for the left."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or not mask.size:
        raise InputError(
            f"Expected a lung mask [height, width], got shape {mask.shape}. Pass one channel of one image."
        )
    if mask.dtype != np.bool_ and not np.isin(mask, (0, 1, 2)).all():
        values = ", ".join(str(value) for value in np.unique(mask)[:4])
        raise InputError(
            f"Expected a lung mask of 0, 1 (patient's right) and 2 (left), got {values}. "
            "For both lungs in one value pass booleans (mask > 0)."
        )
    if not mask.any():
        raise InputError(
            "Expected a lung mask with lungs in it, got an empty one. Leave lung_mask out to use averages."
        )
    labels = mask.astype(np.uint8)
    if mask.dtype == np.bool_:
        return _split_lungs(labels, mirrored)
    _check_sides(labels, mirrored)
    return labels


def _split_lungs(both: NDArray[np.uint8], mirrored: bool) -> NDArray[np.uint8]:
    """Label a mask that has 1 on both lungs."""
    cut = _gap(both > 0)
    if cut is None:
        raise InputError(
            "Expected a mask of two lungs side by side, got one that cannot be parted. Label them "
            "1 (patient's right) and 2 (left)."
        )
    labels = both.copy()
    labels[:, :cut] *= _LABEL["left" if mirrored else "right"]
    labels[:, cut:] *= _LABEL["right" if mirrored else "left"]
    return labels


def _check_sides(labels: NDArray[np.uint8], mirrored: bool) -> None:
    """Refuse labels that are exchanged for how the film lies, and one label on both lungs."""
    if len(np.unique(labels[labels > 0])) == 2:
        right, left = (float(np.nonzero(labels == _LABEL[side])[1].mean()) for side in ("right", "left"))
        if not (left < right if mirrored else right < left):
            raise InputError(
                "Expected label 1 on the patient's right lung and 2 on the left, got them exchanged for how this film "
                "lies. Swap the labels, or correct `mirrored`: whether the image's left edge is the patient's left."
            )
    elif _gap(labels > 0) is not None:
        raise InputError(
            f"Expected one lung with label {labels.max()}, got two. Pass booleans (mask > 0), or label the left lung 2."
        )


def _gap(mask: NDArray[np.bool_]) -> int | None:
    """The emptiest column between two lungs, or None when nothing parts them."""
    heights = mask.sum(axis=0)
    filled = np.nonzero(heights)[0]
    low, high = int(filled[0]), int(filled[-1]) + 1
    third = (high - low) // 3
    middle = heights[low + third : high - third]
    if not third:
        return None
    emptiest = np.nonzero(middle == middle.min())[0]
    cut = low + third + int(emptiest[len(emptiest) // 2])
    tallest = min(heights[:cut].max(), heights[cut:].max())
    return cut if heights[cut] <= _GAP * tallest else None


def _boxes(labels: NDArray[np.uint8]) -> dict[str, Box]:
    height, width = labels.shape
    boxes: dict[str, Box] = {}
    for side, label in _LABEL.items():
        rows = np.nonzero((labels == label).any(axis=1))[0]
        columns = np.nonzero((labels == label).any(axis=0))[0]
        if rows.size:
            boxes[side] = (
                float(columns[0] / width),
                float(rows[0] / height),
                float((columns[-1] + 1) / width),
                float((rows[-1] + 1) / height),
            )
    return boxes


def _with_hidden_parts(lung: NDArray[np.bool_], midline_on_right: bool) -> NDArray[np.bool_]:
    """A lung with everything between its chest wall and the inner edge of its box, row by row.

    On a frontal film the heart and the dome of the diaphragm hide about a quarter of the lower lobe.
    """
    inward = lung if midline_on_right else lung[:, ::-1]
    columns = np.nonzero(inward.any(axis=0))[0]
    filled = np.logical_or.accumulate(inward, axis=1)
    filled[:, columns[-1] + 1 :] = False
    return filled if midline_on_right else filled[:, ::-1]


def _coverage(lung: NDArray[np.bool_]) -> Coverage:
    """The coverage of a mask, from its summed-area table."""
    height, width = lung.shape
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = lung.cumsum(axis=0).cumsum(axis=1)

    def edges(z: Values, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        low = np.floor((z - _EDGE) * size + 1e-9)  # so that rounding errors flip no pixel when the film is flipped
        high = np.ceil((z + _EDGE) * size - 1e-9)
        low, high = np.clip(low, 0, size).astype(np.intp), np.clip(high, 0, size).astype(np.intp)
        return low, high

    def coverage(x: Values, y: Values) -> Values:
        left, right = edges(x, width)
        top, bottom = edges(y, height)
        inside = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
        area = np.outer(bottom - top, right - left)
        return inside / np.maximum(area, 1)

    return coverage
