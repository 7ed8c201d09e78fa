"""From the regions of a phrase to weights on the image: MATEX eq. 3-5 and softer alternatives, in numpy.

Here sides become image sides, once: everything before speaks of the patient, everything after of the picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matex.dicom.view_position import is_frontal
from matex.errors import InputError
from matex.phrases import Mention
from matex.priors.atlas import LUNGS, REGIONS, Box, Region, names

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpatialPrior:
    """Weights in [0, 1] on the sampled points, [rows, columns]; all 0 when neutral, so that M = 1 (eq. 5)."""

    values: Values
    neutral: bool
    reason: str
    """Why it is neutral; otherwise which regions it holds and which side is where."""


# -------------------------------------------------------------------------------- one region, one axis or two


def parabola(x: Values, y: Values, box: Box) -> Values:
    """MATEX eq. 3-4 to the letter: two clamped ramps multiplied, per axis.

    The product is (z - low)(high - z)/(high - low)^2 inside: 1/4 in the middle of the box, 0 on and outside
    its edge, so at most 1/16 in the plane. The paper calls it Gaussian (3.1); it is not.

    Returns:
        [rows, columns].
    """

    def ramps(z: Values, low: float, high: float) -> Values:
        rising = np.clip((z - low) / (high - low), 0, 1)
        falling = np.clip((high - z) / (high - low), 0, 1)
        return rising * falling

    return np.outer(ramps(y, box[1], box[3]), ramps(x, box[0], box[2]))


def gaussian(x: Values, y: Values, box: Box) -> Values:
    """The Gaussian that section 3.1 of MATEX speaks of: centre of the box, sd a quarter of its size."""

    def bell(z: Values, low: float, high: float) -> Values:
        return np.exp(-0.5 * ((z - (low + high) / 2) / ((high - low) / 4)) ** 2)

    return np.outer(bell(y, box[1], box[3]), bell(x, box[0], box[2]))


def indicator(x: Values, y: Values, box: Box) -> Values:
    """1 inside the box, its edge included, 0 outside."""
    return np.outer(
        ((y >= box[1]) & (y <= box[3])).astype(np.float64), ((x >= box[0]) & (x <= box[2])).astype(np.float64)
    )


def plateau(x: Values, y: Values, box: Box, soft: tuple[float, float]) -> Values:
    """1 inside the box, falling off outside as a Gaussian with the given sd per axis (x, y)."""

    def shoulder(z: Values, low: float, high: float, sd: float) -> Values:
        return np.exp(-0.5 * (np.maximum(np.maximum(low - z, z - high), 0) / sd) ** 2)

    return np.outer(shoulder(y, box[1], box[3], soft[1]), shoulder(x, box[0], box[2], soft[0]))


# -------------------------------------------------------------------------------------------------- the prior

KINDS = ("parabola", "gaussian", "box", "atlas")


def spatial_prior(
    mentions: Sequence[Mention],
    x: NDArray[Any],
    y: NDArray[Any],
    kind: str = "parabola",
    laterality: str = "patient",
    mirrored: bool = False,
    view: str | None = None,
    lung_mask: NDArray[Any] | None = None,
    domain: str = "chest",
) -> SpatialPrior:
    """The normalised sum over regions of MATEX eq. 5, before the strength lambda_s.

    Args:
        mentions: from `anatomy.parse`. Each region and side counts once, with its largest weight; a sided
            region without side is drawn on both sides.
        x: [columns] where the samples lie, fractions of the original image, 0 = the displayed left edge;
            samples outside [0, 1] (padding) get 0.
        y: [rows] likewise, from the top.
        kind: "parabola": eq. 3-4 on the paper's wide boxes (`Region.paper`), regions summed, as printed.
            "gaussian", "box", "atlas" (plateau with soft edges): on our atlas, regions joined by their
            maximum, so that an overlap does not outshine the regions.
        laterality: "patient": the patient's right is on the image's left. "paper": mirrored, as MATEX
            prints it.
        mirrored: the image's left edge is the patient's left (DICOM PatientOrientation begins with R).
        view: DICOM ViewPosition; anything but a frontal view gives a neutral prior.
        lung_mask: [height, width] of the original image, 0 background, 1 the patient's right lung, 2 the
            left; or booleans of both lungs. Lung regions then lie in this patient's lungs (for every kind,
            on the atlas' boxes), those of the lower lobe also behind the heart and below the dome of the
            diaphragm, where a mask of the visible lung ends. Midline regions move with the lungs.
        domain: "chest", or "natural" for images without a patient.

    Returns:
        values in [0, 1]. Neutral, with the reason, when no region is active, when no sample falls into a
        region, when the view is not frontal, or outside the domain.

    Raises:
        InputError: an unknown kind, laterality or domain, samples that are no vectors, a mask that is no
            lung mask.

    Warns:
        UserWarning: laterality="paper".

    Source:
        MATEX, arXiv:2601.11666, eq. 3-5. The paper gives the boxes of apex and base; the others follow their
        pattern. Deviations: the weights of uncertain (.5) and lesser (.6) mentions multiply their region, and
        the largest of them scales the result, so that "possible opacity" pushes half as hard (with weights
        of 1 this is eq. 5); 0/0 is a neutral prior.
    """
    _check_choice("kind", kind, KINDS)
    _check_choice("laterality", laterality, ("patient", "paper"))
    _check_choice("domain", domain, ("chest", "natural"))
    columns, rows = _samples("x", x), _samples("y", y)
    if laterality == "paper":
        warnings.warn(
            "laterality='paper' draws the patient's right on the image's right, as MATEX prints it; films are "
            "displayed the other way round (docs/laterality.md). Use it only to reproduce the paper.",
            UserWarning,
            stacklevel=2,
        )

    def neutral(reason: str) -> SpatialPrior:
        return SpatialPrior(np.zeros((rows.size, columns.size)), True, reason)

    if domain == "natural":
        return neutral("not a chest film (domain 'natural'): left and right are no patient's sides")
    if not is_frontal(view):
        return neutral(f"view {view} is not frontal: the regions are only known on frontal films")
    if not mentions:
        return neutral("the phrase names no region")
    active = active_regions(mentions)
    if not active:
        return neutral("every region in the phrase is negated, normal or of the past")

    flipped = mirrored != (laterality == "paper")
    chest = _Chest.from_mask(lung_mask, mirrored, laterality) if lung_mask is not None else _Chest.average(flipped)
    drawn = {
        key: weight * chest.draw(key, kind, columns, rows, flipped)
        for key, weight in active.items()
        if key[1] is None or key[1] in chest.lungs
    }
    if not drawn:
        return neutral("the lung mask has no lung on the side that the phrase names")
    stack = np.stack(list(drawn.values()))
    raw = stack.sum(axis=0) if kind == "parabola" else stack.max(axis=0)
    raw[:, (columns < 0) | (columns > 1)] = 0
    raw[(rows < 0) | (rows > 1)] = 0
    named = ", ".join(names(*key) for key in active)
    low, high = float(raw.min()), float(raw.max())
    if high <= 0:
        return neutral(f"no sample point falls into {named}")
    if high - low <= 1e-12 * high:
        return neutral(f"{named} covers every sample point alike")
    where = "left" if not flipped else "right"
    convention = f"laterality {laterality}" + (", mirrored film" if mirrored else "")
    reason = f"{named}; the patient's right drawn on the image's {where} ({convention})"
    return SpatialPrior((raw - low) / (high - low) * max(active.values()), False, reason)


def active_regions(mentions: Sequence[Mention]) -> dict[tuple[str, str | None], float]:
    """(region, side) -> weight of the mentions that count; a sided region without side becomes two."""
    active: dict[tuple[str, str | None], float] = {}
    for mention in mentions:
        region = REGIONS[mention.region]
        sides: tuple[str | None, ...] = (None,)
        if region.sided:
            side = mention.side or region.only
            sides = (side,) if side else ("right", "left")
        for side in sides:
            if mention.weight > 0:
                active[region.key, side] = max(active.get((region.key, side), 0.0), mention.weight)
    return active


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"Expected {name} to be one of {', '.join(known)}, got {value!r}.")


def _samples(name: str, values: NDArray[Any]) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise InputError(f"Expected {name} to be a vector of finite fractions, got shape {array.shape}.")
    return array


# ------------------------------------------------------------------------------------------ this film's lungs


@dataclass(frozen=True, eq=False)
class _Lung:
    """A lung in the image: its box, which of its edges faces the midline, and how much of it is where.

    `visible` and `whole` are functions of sample points (`_share`): the part seen on the film, and that part with
    what lies behind the heart and below the dome of the diaphragm.
    """

    box: Box
    midline_on_right: bool
    visible: Callable[[Values, Values], Values]
    whole: Callable[[Values, Values], Values]

    def place(self, region: Region) -> Box:
        """A region's box in image fractions."""
        x0, y0, x1, y1 = self.box
        outer, top, inner, bottom = region.box
        if not self.midline_on_right:
            outer, inner = 1 - inner, 1 - outer
        width, height = x1 - x0, y1 - y0
        return (x0 + width * outer, y0 + height * top, x0 + width * inner, y0 + height * bottom)


@dataclass(frozen=True, eq=False)
class _Chest:
    """Where the regions of one film lie, in image fractions."""

    lungs: Mapping[str, _Lung]
    measured: bool

    @staticmethod
    def average(flipped: bool) -> _Chest:
        lungs: dict[str, _Lung] = {}
        for side, average in LUNGS.items():
            box = _flip(average, flipped)
            within = partial(indicator, box=box)
            lungs[side] = _Lung(box, (side == "right") != flipped, within, within)
        return _Chest(lungs, False)

    @staticmethod
    def from_mask(mask: NDArray[Any], mirrored: bool, laterality: str) -> _Chest:
        labels = _label_lungs(mask, mirrored)
        boxes = _boxes(labels)
        lungs: dict[str, _Lung] = {}
        for side, box in boxes.items():
            named = side if laterality == "patient" else {"right": "left", "left": "right"}[side]
            visible = labels == _LABEL[side]
            midline_on_right = (side == "right") != mirrored
            whole = _with_hidden_parts(visible, midline_on_right)
            lungs[named] = _Lung(box, midline_on_right, _share(visible), _share(whole))
        return _Chest(lungs, True)

    def draw(self, key: tuple[str, str | None], kind: str, x: Values, y: Values, flipped: bool) -> Values:
        """One region, [rows, columns]."""
        region, side = REGIONS[key[0]], key[1]
        lung = self.lungs[side] if side else None
        if kind == "parabola" and not self.measured:
            return parabola(x, y, _flip(region.paper, flipped != (side == "left")))
        if lung is not None:
            box = lung.place(region)
            soft = (
                region.soft[0] * (lung.box[2] - lung.box[0]),
                region.soft[1] * (lung.box[3] - lung.box[1]),
            )
        else:
            box, scale = self._move(_flip(region.box, flipped), flipped)
            soft = (region.soft[0] * scale[0], region.soft[1] * scale[1])
        drawn = {
            "parabola": parabola,
            "gaussian": gaussian,
            "box": indicator,
            "atlas": lambda x, y, box: plateau(x, y, box, soft),
        }[kind](x, y, box)
        if lung is not None and region.inside and (self.measured or kind == "atlas"):
            drawn = drawn * (lung.whole if region.hidden else lung.visible)(x, y)
        return drawn

    def _move(self, box: Box, flipped: bool) -> tuple[Box, tuple[float, float]]:
        """A midline box moved from the average chest to this one, and the scale per axis."""
        if not self.measured or len(self.lungs) < 2:
            return box, (1.0, 1.0)
        old = _around([_flip(lung, flipped) for lung in LUNGS.values()])
        new = _around([lung.box for lung in self.lungs.values()])
        scale = ((new[2] - new[0]) / (old[2] - old[0]), (new[3] - new[1]) / (old[3] - old[1]))
        x = [new[0] + (z - old[0]) * scale[0] for z in (box[0], box[2])]
        y = [new[1] + (z - old[1]) * scale[1] for z in (box[1], box[3])]
        return (x[0], y[0], x[1], y[1]), scale


def _flip(box: Box, flipped: bool) -> Box:
    return (1 - box[2], box[1], 1 - box[0], box[3]) if flipped else box


def _around(boxes: Sequence[Box]) -> Box:
    corners = np.array(boxes)
    x0, y0 = corners[:, :2].min(axis=0)
    x1, y1 = corners[:, 2:].max(axis=0)
    return (float(x0), float(y0), float(x1), float(y1))


# ------------------------------------------------------------------------------------------------- lung masks

_LABEL = {"right": 1, "left": 2}
_EDGE = 0.02  # half the window over which the edge of a mask is softened, as a fraction of the image


def lung_boxes(mask: NDArray[Any], mirrored: bool = False) -> dict[str, Box]:
    """The box of each lung in image fractions, by the patient's side; a lung that the mask lacks is left out.

    Args:
        mask: [height, width], 0 background, 1 the patient's right lung, 2 the left; or booleans of both
            lungs, which are parted at the emptiest column between them.
        mirrored: the image's left edge is the patient's left.

    Raises:
        InputError: no lung mask, or one that contradicts `mirrored`.
    """
    return _boxes(_label_lungs(mask, mirrored))


def _label_lungs(mask: NDArray[Any], mirrored: bool) -> NDArray[np.uint8]:
    """[height, width] with 1 for the patient's right lung and 2 for the left."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or not mask.size:
        raise InputError(
            f"Expected a lung mask [height, width], got shape {mask.shape}. Pass one channel of one image."
        )
    if mask.dtype != np.bool_:
        found = np.unique(mask)
        if not np.isin(found, (0, 1, 2)).all():
            shown = ", ".join(str(value) for value in found[:4])
            raise InputError(
                f"Expected a lung mask of 0, 1 (patient's right) and 2 (left), got {shown}. "
                "For both lungs in one value pass booleans (mask > 0)."
            )
    if not mask.any():
        raise InputError(
            "Expected a lung mask with lungs in it, got an empty one. Leave lung_mask out to use averages."
        )
    if mask.dtype == np.bool_:
        cut = _gap(mask)
        if cut is None:
            raise InputError(
                "Expected a mask of two lungs side by side, got one that cannot be parted. Label them "
                "1 (patient's right) and 2 (left)."
            )
        first, second = (2, 1) if mirrored else (1, 2)
        labels = np.zeros(mask.shape, np.uint8)
        labels[:, :cut], labels[:, cut:] = first, second
        return labels * mask.astype(np.uint8)
    labels = mask.astype(np.uint8)
    if len(np.unique(labels[labels > 0])) == 2:
        centre = {label: np.nonzero(labels == label)[1].mean() for label in (1, 2)}
        if (centre[1] < centre[2]) == mirrored:
            raise InputError(
                "Expected label 1 on the patient's right lung and 2 on the left, got them exchanged for how this film "
                "lies. Swap the labels, or correct `mirrored`: whether the image's left edge is the patient's left."
            )
    elif _gap(labels > 0) is not None:
        raise InputError(
            f"Expected one lung with label {labels.max()}, got two. Pass booleans (mask > 0), or label the left lung 2."
        )
    return labels


def _gap(mask: NDArray[np.bool_]) -> int | None:
    """The emptiest column between two lungs, or None when nothing parts them."""
    heights = mask.sum(axis=0)
    filled = np.nonzero(heights)[0]
    low, high = int(filled[0]), int(filled[-1]) + 1
    third = (high - low) // 3
    middle = heights[low + third : high - third]
    if not third or not middle.size:
        return None
    emptiest = np.nonzero(middle == middle.min())[0]
    cut = low + third + int(emptiest[len(emptiest) // 2])
    if heights[cut] > 0.35 * min(heights[:cut].max(), heights[cut:].max()):
        return None
    return cut


def _boxes(labels: NDArray[np.uint8]) -> dict[str, Box]:
    height, width = labels.shape
    boxes: dict[str, Box] = {}
    for side, label in _LABEL.items():
        rows, columns = (
            np.nonzero((labels == label).any(axis=1))[0],
            np.nonzero((labels == label).any(axis=0))[0],
        )
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


def _share(lung: NDArray[np.bool_]) -> Callable[[Values, Values], Values]:
    """A function of sample points: how much of a small window around each is lung, [rows, columns] in [0,
    1]."""
    height, width = lung.shape
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = lung.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)

    def edges(z: Values, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        low = np.floor((z - _EDGE) * size + 1e-9)  # so that rounding errors flip no pixel when the film is flipped
        high = np.ceil((z + _EDGE) * size - 1e-9)
        low, high = np.clip(low, 0, size).astype(np.intp), np.clip(high, 0, size).astype(np.intp)
        return low, high

    def share(x: Values, y: Values) -> Values:
        left, right = edges(x, width)
        top, bottom = edges(y, height)
        inside = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
        area = np.outer(bottom - top, right - left)
        return inside / np.maximum(area, 1)

    return share
