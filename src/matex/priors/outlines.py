"""The weight of a pack's outlines on the image, by the kinds of `shapes`."""

from __future__ import annotations

import dataclasses

import numpy as np

from matex.domains.pack import Ellipse, Outline, Polygon
from matex.priors.atlas import Box
from matex.priors.shapes import PAPER, Values, shape


def placed(outline: Outline, frame: Box, mirrored: bool) -> Outline:
    """An outline of the unit frame in fractions of the image.

    Args:
        outline: in the frame.
        frame: (x0, y0, x1, y1) of the frame in the image.
        mirrored: at the frame's vertical midline.
    """
    x0, y0, x1, y1 = frame
    width, height = x1 - x0, y1 - y0

    def point(u: float, v: float) -> tuple[float, float]:
        return (x0 + width * (1 - u if mirrored else u), y0 + height * v)

    if isinstance(outline, Ellipse):
        a, b = outline.radii
        return Ellipse(point(*outline.centre), (a * width, b * height))
    return dataclasses.replace(outline, points=tuple(point(u, v) for u, v in outline.points))


def outline_weight(kind: str, outline: Outline, x: Values, y: Values, soft: tuple[float, float]) -> Values:
    """The weight of an outline at the sample points, [rows, columns].

    Args:
        kind: "box": 1 inside the outline. "atlas": 1 inside, and outside exp(-d^2 / 2) with d the distance to the
            outline in units of `soft`. "gaussian" and "parabola": of the box around the outline, since MATEX's eq. 3-4
            and section 3.1 know boxes alone; the paper has no boxes for other domains, so "paper-" changes nothing.
        outline: in fractions of the image.
        x: [columns].
        y: [rows].
        soft: (x, y), fractions of the image.
    """
    kind = kind.removeprefix(PAPER)
    if kind in ("gaussian", "parabola"):
        return shape(kind, x, y, outline.box, soft)
    if isinstance(outline, Ellipse):
        return _ellipse(kind, outline, x, y, soft)
    within = inside(outline, x, y)
    if kind == "box":
        return within.astype(np.float64)
    return np.where(within, 1.0, np.exp(-0.5 * _squared_distance(outline, x, y, soft)))


def _ellipse(kind: str, outline: Ellipse, x: Values, y: Values, soft: tuple[float, float]) -> Values:
    """An ellipse by kind; its distance is measured along the ray from its centre, which is exact for a circle."""
    across, down = (x - outline.centre[0])[None, :], (y - outline.centre[1])[:, None]
    level = np.hypot(across / outline.radii[0], down / outline.radii[1])
    if kind == "box":
        return (level <= 1).astype(np.float64)
    beyond = 1 - 1 / np.maximum(level, 1)  # share of the ray that lies outside
    distance = np.hypot(across * beyond / soft[0], down * beyond / soft[1])
    return np.exp(-0.5 * distance**2)


def inside(outline: Polygon, x: Values, y: Values) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Whether each sample point lies in a polygon (even-odd rule), or on its border, bool [rows, columns]."""
    columns, rows = x[None, :], y[:, None]
    within = np.zeros((y.size, x.size), dtype=np.bool_)
    on_edge = np.zeros_like(within)
    corners = outline.points
    for (a, b), (c, d) in zip(corners, (*corners[1:], corners[0]), strict=True):
        side = (c - a) * (rows - b) - (d - b) * (columns - a)
        spans = (rows >= min(b, d)) & (rows <= max(b, d)) & (columns >= min(a, c)) & (columns <= max(a, c))
        on_edge |= spans & (np.abs(side) <= 1e-12)
        if b != d:
            within ^= ((rows < b) != (rows < d)) & ((side > 0) == (d > b))
    return within | on_edge


def _squared_distance(outline: Polygon, x: Values, y: Values, soft: tuple[float, float]) -> Values:
    """Squared distance of every sample point to the border of a polygon, lengths in units of `soft`."""
    columns, rows = x[None, :] / soft[0], y[:, None] / soft[1]
    corners = [(u / soft[0], v / soft[1]) for u, v in outline.points]
    nearest = np.full((y.size, x.size), np.inf)
    for (a, b), (c, d) in zip(corners, (*corners[1:], corners[0]), strict=True):
        across, down = c - a, d - b
        length = across**2 + down**2
        along = np.zeros_like(nearest)
        if length > 0:
            along = np.clip(((columns - a) * across + (rows - b) * down) / length, 0, 1)
        nearest = np.minimum(nearest, (columns - a - along * across) ** 2 + (rows - b - along * down) ** 2)
    return nearest
