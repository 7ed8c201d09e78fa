"""Outlines of a pack's regions from their TOML, with one line for each fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matex.checks import is_array, is_object
from matex.domains.fields import Fields, is_number
from matex.domains.pack import Ellipse, Outline, Point, Polygon
from matex.errors import shown

MAX_OUTLINES = 16
MAX_POINTS = 100
_LEAST_AREA = 1e-4  # of the frame: a hundredth by a hundredth
_FORMS = "{box = [u0, v0, u1, v1]}, {ellipse = [u, v, radius, radius]} or {polygon = [[u, v], ...]}"


def read_outlines(fields: Fields, plane: str) -> tuple[Outline, ...]:
    """The outlines of a region in one plane: a table, or a list of them."""
    value = fields.table[plane]
    entries = value if is_array(value) else [value]
    if not 0 < len(entries) <= MAX_OUTLINES:
        fields.fault(plane, f"expected one to {MAX_OUTLINES} outlines, got {len(entries)}. Correct it.")
        return ()
    found = (_outline(fields, plane, entry) for entry in entries)
    return tuple(outline for outline in found if outline is not None)


def _outline(fields: Fields, plane: str, entry: object) -> Outline | None:
    if not is_object(entry) or len(entry) != 1 or next(iter(entry)) not in ("box", "ellipse", "polygon"):
        fields.fault(plane, f"expected {_FORMS}, got {shown(entry)}. Correct it.")
        return None
    kind, value = next(iter(entry.items()))
    points = _points(value) if kind == "polygon" else None
    if kind == "polygon":
        if points is None:
            fields.fault(
                plane, f"expected a polygon of 3 to {MAX_POINTS} points [u, v], got {shown(value)}. Correct it."
            )
            return None
        outline: Outline = Polygon(points)
    else:
        numbers = _numbers(value)
        if numbers is None:
            fields.fault(plane, f"expected {_FORMS}, got {shown(entry)}. Correct it.")
            return None
        a, b, c, d = numbers
        if kind == "box" and not (a < c and b < d):
            fields.fault(
                plane, f"expected a box [u0, v0, u1, v1] with u0 < u1 and v0 < v1, got {shown(value)}. Correct it."
            )
            return None
        outline = Ellipse((a, b), (c, d)) if kind == "ellipse" else Polygon(((a, b), (c, b), (c, d), (a, d)))
    problem = _problem(outline)
    if problem is not None:
        fields.fault(plane, f"{problem}, got {shown(value)}. Correct it.")
        return None
    return outline


def _points(value: object) -> tuple[Point, ...] | None:
    if not is_array(value) or not 3 <= len(value) <= MAX_POINTS:
        return None
    pairs = [_numbers(point, 2) for point in value]
    return tuple((pair[0], pair[1]) for pair in pairs if pair is not None) if None not in pairs else None


def _numbers(value: object, count: int = 4) -> tuple[float, ...] | None:
    if not is_array(value) or len(value) != count:
        return None
    numbers = tuple(float(one) for one in value if is_number(one))
    return numbers if len(numbers) == count else None


def _problem(outline: Outline) -> str | None:
    """Fault of an outline's numbers, as the beginning of a message; None for a valid outline."""
    u0, v0, u1, v1 = outline.box
    if not (u0 >= 0 and v0 >= 0 and u1 <= 1 and v1 <= 1):
        return "expected a place inside the frame, every u and v from 0 to 1"
    if isinstance(outline, Ellipse):
        return None if min(outline.radii) > 0.005 else "expected radii above 0.005"
    if abs(_area(outline.points)) < _LEAST_AREA:
        return "expected a polygon with an area of at least a hundredth by a hundredth"
    if _crosses_itself(outline.points):
        return "expected a polygon whose edges do not cross"
    return None


def _area(points: Sequence[Point]) -> float:
    """Signed area of a polygon (the shoelace formula), positive when its corners run clockwise on the image."""
    return sum(a * d - c * b for (a, b), (c, d) in _edges(points)) / 2


def _edges(points: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    return zip(points, (*points[1:], points[0]), strict=True)


def _crosses_itself(points: Sequence[Point]) -> bool:
    edges = list(_edges(points))
    count = len(edges)
    return any(
        _cross(*edges[i], *edges[k]) for i in range(count) for k in range(i + 2, count) if (i, k) != (0, count - 1)
    )


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments ab and cd cross at an inner point."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
