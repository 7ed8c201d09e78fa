"""Weights along one axis: of a grid's cells in pixels between their centres, and of pixels in cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bilinear(position: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Interpolation weights [position, cell]; position in cell units, NaN rows for positions outside the cells."""
    below = np.clip(np.floor(position - 0.5), 0, cells - 1).astype(int)
    above = np.minimum(below + 1, cells - 1)
    share = np.clip(position - 0.5 - below, 0.0, 1.0)
    weights = np.zeros((len(position), cells))
    rows = np.arange(len(position))
    weights[rows, below] += 1 - share
    weights[rows, above] += share
    weights[(position < 0) | (position >= cells)] = np.nan
    return weights


def interval_ends(position: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """First and last of the increasing positions in each interval between cell centres; none outside the cells."""
    inside = position[(position >= 0) & (position < cells)]
    interval = np.floor(inside - 0.5)
    starts = np.flatnonzero(np.diff(interval, prepend=-np.inf))
    stops = np.flatnonzero(np.diff(interval, append=np.inf))
    return inside[np.union1d(starts, stops)]


def overlaps(starts: NDArray[np.floating], stops: NDArray[np.floating], pixels: int) -> NDArray[np.float64]:
    """Length of each pixel inside each cell [cell, pixel]; cell i lies between start i and stop i."""
    left = np.arange(pixels)
    start = np.maximum(starts[:, None], left[None, :])
    stop = np.minimum(stops[:, None], left[None, :] + 1)
    return np.clip(stop - start, 0.0, None)
