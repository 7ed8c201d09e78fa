"""Lung fields, scale, and grey levels of air and soft tissue of a normal frontal film.

The simulator places findings by this estimate, computed once per film on a small grid; it holds at any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from matex.simulation.segmenter import lung_probabilities

GRID = 96  # columns of the working grid
THORAX = 27.0  # centimetres between the outer edges of the lungs of an adult
# Lungs of the average film, fractions: y, then x of the outer and the inner edge of each lung, the right one
# first. Where the segmenter marks lung on more than half of 400 RSNA normal films.
AVERAGE = np.array(
    [
        [0.13, 0.37, 0.37, 0.65, 0.65],
        [0.16, 0.30, 0.42, 0.72, 0.59],
        [0.21, 0.26, 0.44, 0.76, 0.57],
        [0.31, 0.21, 0.45, 0.81, 0.58],
        [0.42, 0.18, 0.44, 0.83, 0.61],
        [0.52, 0.16, 0.42, 0.85, 0.66],
        [0.63, 0.15, 0.39, 0.86, 0.72],
        [0.71, 0.17, 0.30, 0.85, 0.78],
    ]
)


@dataclass(frozen=True)
class Lungs:
    """Lung fields of one film on a working grid [rows, columns] that spans the image."""

    right: np.ndarray  # bool [rows, columns], the patient's right: the image's left
    left: np.ndarray
    right_depth: np.ndarray  # float32 [rows, columns], centimetres to the edge of the field, 0 outside
    left_depth: np.ndarray
    air: float  # grey level of the darkest lung, 0-255
    tissue: float  # grey level of heart and liver
    width: float  # centimetres across the frame, from an adult thorax of THORAX
    right_measured: bool  # False: the field of this side is doubtful, or the average lung stands in for it
    left_measured: bool

    @property
    def measured(self) -> bool:
        """Whether both fields were measured on this film."""
        return self.right_measured and self.left_measured

    def field(self, side: str) -> np.ndarray:
        return self.right if side == "right" else self.left

    def depth(self, side: str) -> np.ndarray:
        return self.right_depth if side == "right" else self.left_depth

    def extent(self, side: str) -> tuple[float, float]:
        """Top and bottom of a lung in fractions of the image height."""
        rows = np.flatnonzero(self.field(side).any(axis=1))
        count = self.field(side).shape[0]
        return float(rows[0] / count), float((rows[-1] + 1) / count)


def find_lungs(normal: np.ndarray) -> Lungs:
    """Estimate the lung fields of a frontal film.

    A small segmentation network (`segmenter`) marks the aerated lungs and what would be aerated but for a finding.
    A lung whose field is doubtful (half a lung, an unsure outline) keeps it and is not `measured`; a field that has
    not even the size and the place of a lung is replaced by the average lung. About ten milliseconds: keep the result
    when the same film is used again, at any size.

    Args:
        normal: uint8 [height, width], grey, dense = bright.
    """
    height, width = normal.shape
    rows = max(24, round(GRID * height / width))
    grid = np.asarray(Image.fromarray(normal).resize((GRID, rows), Image.Resampling.BOX), dtype=np.float32)
    x = (np.arange(GRID) + 0.5) / GRID
    y = ((np.arange(rows) + 0.5) / rows)[:, None]
    probabilities = [
        np.asarray(Image.fromarray(lung).resize((GRID, rows), Image.Resampling.BILINEAR))
        for lung in lung_probabilities(normal)
    ]
    averages = [_average(x, y, *columns) for columns in ((1, 2), (4, 3))]
    found = [largest_part(lung > 0.5) for lung in probabilities]
    shaped = [_is_shaped(field, average) for field, average in zip(found, averages, strict=True)]
    measured = [
        usable and _is_sure(field, lung) and not _is_half(field, other)
        for usable, field, lung, other in zip(shaped, found, probabilities, reversed(found), strict=True)
    ]
    right, left = (field if usable else average for usable, field, average in zip(shaped, found, averages, strict=True))
    inside = grid[right | left]
    air = float(np.percentile(inside, 8))
    between = grid[int(rows * 0.45) : int(rows * 0.85), int(GRID * 0.42) : int(GRID * 0.6)]
    tissue = float(np.clip(np.percentile(between, 60), air + 40, 250))
    outer = np.flatnonzero((right | left).any(axis=0))
    frame = float(np.clip(THORAX * GRID / (outer[-1] + 1 - outer[0]), 29.0, 46.0))
    unit = frame / GRID
    return Lungs(right, left, _depth(right) * unit, _depth(left) * unit, air, tissue, frame, *measured)


def largest_part(mask: np.ndarray) -> np.ndarray:
    """Largest connected component of a mask, holes filled."""
    largest = np.zeros_like(mask)
    left = mask.copy()
    while left.sum() > largest.sum():
        seed = np.zeros_like(mask)
        seed.flat[np.argmax(left)] = True
        part = _grow(seed, left)
        left &= ~part
        if part.sum() > largest.sum():
            largest = part
    border = np.zeros_like(mask)
    border[[0, -1]] = border[:, [0, -1]] = True
    return ~_grow(border & ~largest, ~largest) if largest.any() else largest


# The limits of the next three leave room around 1 to 99 % of 60 normal films.


def _is_shaped(field: np.ndarray, average: np.ndarray) -> bool:
    """Whether a field has the size and the place of an average lung."""
    if not field.any():
        return False
    tall, wide = np.ptp(_extremes(field), axis=1)
    down, across = np.abs(_extremes(field).mean(axis=1) - _extremes(average).mean(axis=1))
    return bool(
        0.35 < tall < 0.92 and 0.15 < wide < 0.48 and 0.04 < field.mean() < 0.26 and down < 0.2 and across < 0.13
    )


def _is_sure(field: np.ndarray, probability: np.ndarray) -> bool:
    """Whether the network is certain of most of a field, except in a band of ordinary width along its edge."""
    unsure = ((probability > 0.2) & (probability < 0.8)).sum()
    edge = (field & ~_erode(field)).sum()
    return bool((probability[field] > 0.9).mean() > 0.7 and unsure < 2.3 * edge)


def _is_half(field: np.ndarray, other: np.ndarray) -> bool:
    """Whether a field ends far above the base of the other lung or is less than half as large."""
    if not other.any():
        return False
    return bool(_extremes(field)[0, 1] < _extremes(other)[0, 1] - 0.12 or field.sum() < 0.5 * other.sum())


def _extremes(field: np.ndarray) -> np.ndarray:
    """[[top, bottom], [first, last column]] of a mask in fractions of its height and width."""
    ends = [np.flatnonzero(field.any(axis=axis))[[0, -1]] + (0, 1) for axis in (1, 0)]
    return np.stack(ends) / np.array(field.shape)[:, None]


def _average(x: np.ndarray, y: np.ndarray, low: int, high: int) -> np.ndarray:
    """Lung of the average film, between two columns of AVERAGE."""
    first, last = (np.interp(y, AVERAGE[:, 0], AVERAGE[:, column]) for column in (low, high))
    return (y > AVERAGE[0, 0]) & (y < AVERAGE[-1, 0]) & (x > first) & (x < last)


def _dilate(mask: np.ndarray) -> np.ndarray:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _erode(mask: np.ndarray) -> np.ndarray:
    return ~_dilate(~mask)


def _grow(seed: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Region growing: the part of the mask that is connected with the seed."""
    grown = seed & room
    while True:
        larger = _dilate(_dilate(grown) & room) & room
        if (larger == grown).all():
            return grown
        grown = larger


def _depth(field: np.ndarray) -> np.ndarray:
    """Distance to the edge of the field in cells, by erosion."""
    depth = np.zeros(field.shape, dtype=np.float32)
    edged = np.pad(field, 1)
    while edged.any():
        depth += edged[1:-1, 1:-1]
        edged = _erode(edged)
    return depth
