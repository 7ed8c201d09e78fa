"""Outlines of a map in the source's pixels, as closed polygons."""

from __future__ import annotations

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray

SIDE = 512  # samples along the longer side on which lines are traced; maps are smooth, and points cost room
POINTS = 2000  # of one polygon; its data element holds 65534 bytes, eight per point (PS3.5 7.1.2)
POLYGONS = 20  # of one level, the largest; maps that change from pixel to pixel have thousands
SMALLEST = 1e-4  # share of the film's area below which a polygon is left out

Polygon = NDArray[np.float64]


def outlines(values: NDArray[np.floating], level: float) -> list[Polygon]:
    """Borders of the regions in which a map reaches a level, largest first.

    Args:
        values: [height, width]; without NaN.
        level: above 0.

    Returns:
        Polygons [point, 2] of (column, row), the first point repeated at the end. The top left corner of the top left
        pixel is (0, 0), its bottom right corner (1, 1) (PS3.3 C.10.5.1.2). Regions end at the film's edge.
    """
    height, width = values.shape
    step = max(1, -(-max(height, width) // SIDE))
    means, columns, rows = _block_means(values, step)
    # A border of zeros closes every line; its points are moved to the film's edge.
    field = np.pad(means, 1)
    generator = contour_generator(
        x=np.concatenate([[-0.5 * step], columns, [width + 0.5 * step]]),
        y=np.concatenate([[-0.5 * step], rows, [height + 0.5 * step]]),
        z=field,
        line_type=LineType.Separate,
    )
    polygons = [np.clip(np.asarray(line), 0, (width, height)) for line in generator.lines(level)]
    kept = [polygon for polygon in polygons if abs(area(polygon)) >= SMALLEST * height * width]
    kept.sort(key=lambda polygon: -abs(area(polygon)))
    return [_thinned(polygon) for polygon in kept[:POLYGONS]]


def _block_means(
    values: NDArray[np.floating], step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means over blocks of step x step pixels, and the (columns, rows) of their centres; smaller at the far edges."""
    height, width = values.shape
    starts_y: NDArray[np.int64] = np.arange(0, height, step, dtype=np.int64)
    starts_x: NDArray[np.int64] = np.arange(0, width, step, dtype=np.int64)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), starts_y, axis=0), starts_x, axis=1)
    heights, widths = np.minimum(step, height - starts_y), np.minimum(step, width - starts_x)
    return sums / np.outer(heights, widths), starts_x + widths / 2, starts_y + heights / 2


def area(polygon: Polygon) -> float:
    """Signed area by the shoelace formula, pixels; negative for a hole."""
    x, y = polygon[:, 0], polygon[:, 1]
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def _thinned(polygon: Polygon) -> Polygon:
    """At most POINTS points, still closed."""
    every = -(-len(polygon) // POINTS)
    thin = polygon[:-1:every]
    return np.concatenate([thin, thin[:1]])
