"""Polygons and ellipses point by point, in plain Python: inside by angles, distance by feet or along a ray."""

from __future__ import annotations

import math

Point = tuple[float, float]


def winds_around(points: list[Point], x: float, y: float) -> bool:
    """Whether the corners of a polygon wind around a point: the sum of the angles under which its edges are seen."""
    total = 0.0
    for number, (a, b) in enumerate(points):
        c, d = points[(number + 1) % len(points)]
        turn = math.atan2(d - y, c - x) - math.atan2(b - y, a - x)
        total += (turn + math.pi) % (2 * math.pi) - math.pi
    return abs(total) > math.pi


def border_distance(points: list[Point], x: float, y: float, soft: Point) -> float:
    """Distance of a point to a polygon's border, lengths in units of `soft`, from its perpendicular feet."""
    nearest = math.inf
    for number, (a, b) in enumerate(points):
        c, d = points[(number + 1) % len(points)]
        edge = ((c - a) / soft[0], (d - b) / soft[1])
        offset = ((x - a) / soft[0], (y - b) / soft[1])
        length = edge[0] ** 2 + edge[1] ** 2
        along = min(1.0, max(0.0, (offset[0] * edge[0] + offset[1] * edge[1]) / length))
        nearest = min(nearest, math.hypot(offset[0] - along * edge[0], offset[1] - along * edge[1]))
    return nearest


def soft_polygon(points: list[Point], x: float, y: float, soft: Point) -> float:
    """1 inside, exp(-d^2 / 2) outside."""
    if winds_around(points, x, y):
        return 1.0
    return math.exp(-0.5 * border_distance(points, x, y, soft) ** 2)


def in_ellipse(centre: Point, radii: Point, x: float, y: float) -> bool:
    """Whether a point lies in an ellipse, or on its border."""
    return ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1


def soft_ellipse(centre: Point, radii: Point, x: float, y: float, soft: Point) -> float:
    """1 inside, exp(-d^2 / 2) outside, d from the border along the ray from the centre, in units of `soft`."""
    if in_ellipse(centre, radii, x, y):
        return 1.0
    inner, outer = 0.0, 1.0  # shares of the ray; the border lies between them
    for _ in range(60):
        middle = (inner + outer) / 2
        on_ray = centre[0] + middle * (x - centre[0]), centre[1] + middle * (y - centre[1])
        inner, outer = (middle, outer) if in_ellipse(centre, radii, *on_ray) else (inner, middle)
    across, down = (1 - inner) * (x - centre[0]), (1 - inner) * (y - centre[1])
    return math.exp(-0.5 * ((across / soft[0]) ** 2 + (down / soft[1]) ** 2))
