"""A map and the ground truth over the pixels that the model sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matex.errors import InputError
from matex.geometry import Box
from matex.metrics.metric import Case

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """Map and ground truth over the pixels that the model sees.

    Args:
        values: the raw map, float64 [height, width]; -inf where the model saw nothing.
        seen: bool [height, width].
        truth: mask of what the phrase names, among the seen pixels.
        other: mask of findings that the phrase does not name, among the seen pixels outside of the truth.
        outside: share of the truth that the model does not see; NaN for a sample without truth.
        constant: the map has one value everywhere.
    """

    values: Values
    seen: Mask
    truth: Mask
    other: Mask
    outside: float
    constant: bool

    @classmethod
    def of(cls, case: Case) -> FieldOfView:
        """Raises InputError for a mask of another size than the image."""
        raw = case.explanation.image.raw
        seen = np.isfinite(raw)
        truth = truth_of(case)
        area = int(truth.sum())
        outside = float((truth & ~seen).sum() / area) if area else float("nan")
        values = np.where(seen, raw.astype(np.float64), -np.inf)
        other = np.zeros_like(truth)
        if case.sample.other is not None:
            other = _fits(case.sample.other, truth.shape, case.sample.id) & seen & ~truth
        return cls(values, seen, truth & seen, other, outside, case.constant)

    def scaled(self) -> Values:
        """The map scaled to [0, 1] by its extremes over the seen pixels; -inf elsewhere."""
        low, high = self.values[self.seen].min(), self.values[self.seen].max()
        return (self.values - low) / (high - low)


def truth_of(case: Case) -> Mask:
    """Ground truth of the phrase, bool [height, width]: the mask, or the union of the boxes."""
    sample, size = case.sample, case.explanation.film.size
    if sample.mask is not None:
        return _fits(sample.mask, size, sample.id)
    return union(sample.boxes, (size[0], size[1]))


def union(boxes: Sequence[Box], size: tuple[int, int]) -> Mask:
    """Pixels whose centre lies in any of the boxes, bool [height, width]."""
    inside = np.zeros(size, dtype=bool)
    y, x = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    for x0, y0, x1, y1 in boxes:
        inside |= ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
    return inside


def _fits(mask: NDArray[np.bool_], size: tuple[int, ...], sample: str) -> Mask:
    """Check that a mask has the size of its image and return it."""
    if mask.shape != tuple(size[:2]):
        raise InputError(
            f"Expected a mask of the image's size {tuple(size[:2])} (height, width), got {mask.shape} for sample "
            f"{sample!r}. Resize the mask."
        )
    return mask.astype(bool)
