"""Boxes and masks in the formats of data sets, converted to (x0, y0, x1, y1) in pixels, half-open."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from matex.checks import is_array
from matex.datasets.sample import Problem
from matex.datasets.tables import Row, Unusable, leaving_out, numbers
from matex.geometry import Box, Size

Key = TypeVar("Key", bound=Hashable)
Polygon = list[tuple[float, float]]  # corners (x, y), pixels
FORMATS = ("xyxy", "xywh", "cxcywh")
TOLERANCE = 1.0  # pixels beyond the edge that are rounding; such a box is cut to the image


def box_of(values: Sequence[float], form: str = "xyxy") -> Box:
    """Convert four numbers to a box.

    Args:
        values: two corners, corner and size, or centre and size.
        form: "xyxy", "xywh" or "cxcywh".

    Raises:
        Unusable: not four numbers, or no area.
    """
    if len(values) != 4:
        raise Unusable(f"Expected four numbers for a box, got {len(values)}.")
    a, b, c, d = values
    if form == "xywh":
        c, d = a + c, b + d
    elif form == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if c <= a or d <= b:
        raise Unusable(f"Expected a box with an area, got {_format((a, b, c, d))}.")
    return (a, b, c, d)


def scaled(box: Box, size: Size, annotated: Size) -> Box:
    """Scale a box that was annotated on the image at another size."""
    down, across = size[0] / annotated[0], size[1] / annotated[1]
    return (box[0] * across, box[1] * down, box[2] * across, box[3] * down)


def corners(row: Row, columns: Sequence[str], form: str = "xyxy") -> Box:
    """Box from four columns of a row."""
    return box_of([row.number_in(column) for column in columns], form)


def within(box: Box, size: Size) -> Box:
    """Clip a box to the image where it exceeds it by rounding.

    Raises:
        Unusable: it leaves the image by more than TOLERANCE.
    """
    height, width = size
    x0, y0, x1, y1 = box
    if min(x0, y0) < -TOLERANCE or x1 > width + TOLERANCE or y1 > height + TOLERANCE:
        raise Unusable(f"Expected a box within the image of {height} x {width} (height x width), got {_format(box)}.")
    return box_of((max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))))


def gather(
    rows: Iterable[Row],
    key_of: Callable[[Row], Key],
    boxes_of: Callable[[Row], Sequence[Box]],
    problems: list[Problem],
) -> dict[Key, list[Box]]:
    """Group the boxes of all rows by key, in the order of the table; duplicate rows count once.

    A row that cannot be used becomes a problem and takes its whole group with it: a phrase that has lost one of its
    boxes would call a correct map wrong.
    """
    found: dict[Key, list[Box]] = {}
    spoilt: set[Key] = set()
    seen: set[int] = set()
    for row in rows:
        with leaving_out(row, problems):
            key = key_of(row)
            if (cells := hash(repr(row.cells))) in seen:
                raise Unusable("Expected each row once, got one that is equal to a row before. It counts once.")
            seen.add(cells)
            try:
                found.setdefault(key, []).extend(boxes_of(row))
            except Unusable:
                spoilt.add(key)
                raise
    return {key: boxes for key, boxes in found.items() if key not in spoilt}


def outline(values: object, size: Size) -> Polygon:
    """Convert a list of [x, y] to a polygon on the image.

    Raises:
        Unusable: fewer than three corners, or one of them beyond the image.
    """
    if not is_array(values) or len(values) < 3:
        raise Unusable("Expected an outline of at least three corners, got something else.")
    points = [numbers(point, "an outline") for point in values]
    height, width = size[0] + TOLERANCE, size[1] + TOLERANCE
    if not all(len(at) == 2 and -TOLERANCE <= at[0] <= width and -TOLERANCE <= at[1] <= height for at in points):
        raise Unusable(f"Expected an outline of (x, y) within the image of {size[0]} x {size[1]} (height x width).")
    return [(x, y) for x, y in points]


def mask_of_polygons(polygons: Sequence[Polygon], size: Size) -> NDArray[np.bool_]:
    """Rasterise polygons of (x, y) corners to a mask [height, width], outlines included."""
    canvas = Image.new("1", (size[1], size[0]))
    for polygon in polygons:
        ImageDraw.Draw(canvas).polygon(polygon, fill=1, outline=1)
    return np.array(canvas, dtype=bool)


def box_of_mask(mask: NDArray[np.bool_]) -> Box:
    """Bounding box of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def _format(box: Box) -> str:
    return "({:g}, {:g}, {:g}, {:g})".format(*box)
