"""A picture of the regions of a pack: one small panel for each region and plane."""

from __future__ import annotations

import math
from collections.abc import Iterator

from PIL import Image, ImageDraw

from matex.domains.pack import Ellipse, Outline, Pack, Region, View
from matex.render.text import drawable, font, wrap

_SIDE, _GAP, _CAPTION, _HEADER = 96, 14, 30, 34
_ACROSS = 9
_INK, _FRAME, _PAPER = "#1c1f24", "#9aa0a8", "#ffffff"
RIGHT, LEFT, MIDLINE = "#d1495b", "#2e6fb7", "#6b7280"
"""Colours of the patient's right, of the left, and of what has no side."""


def draw_atlas(pack: Pack) -> Image.Image:
    """The regions of a pack in its display: the patient's right red, the left blue, the midline grey.

    A plane that shows one side is drawn for the right one.
    """
    shown: list[tuple[View, list[Region]]] = []
    for view in pack.views.values():
        if view.plane not in {known.plane for known, _ in shown}:
            shown.append((view, [region for region in pack.regions.values() if region.outlines.get(view.plane)]))
    rows = [-(-len(regions) // _ACROSS) for _, regions in shown]
    height = sum(_HEADER + count * (_SIDE + _CAPTION) for count in rows) + _GAP
    picture = Image.new("RGB", (_GAP + _ACROSS * (_SIDE + _GAP), height), _PAPER)
    draw = ImageDraw.Draw(picture, "RGBA")
    y = 0
    for (view, regions), count in zip(shown, rows, strict=True):
        draw.text((_GAP, y + 10), drawable(f"{pack.name}: {_title(pack, view)}"), font=font(16), fill=_INK)
        y += _HEADER
        for number, region in enumerate(regions):
            corner = (_GAP + number % _ACROSS * (_SIDE + _GAP), y + number // _ACROSS * (_SIDE + _CAPTION))
            _panel(draw, corner, pack, view, region)
        y += count * (_SIDE + _CAPTION)
    return picture


def _title(pack: Pack, view: View) -> str:
    return " = ".join(one.name for one in pack.views.values() if (one.plane, one.sides) == (view.plane, view.sides))


def _panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], pack: Pack, view: View, region: Region) -> None:
    """One region in its frame, with its name."""
    x, y = corner
    draw.rectangle((x, y, x + _SIDE, y + _SIDE), outline=_FRAME)
    for colour, mirrored in _sides(pack, view, region.name):
        for outline in region.outlines[view.plane]:
            points = [(x + (1 - u if mirrored else u) * _SIDE, y + v * _SIDE) for u, v in _corners(outline)]
            draw.polygon(points, fill=(*_rgb(colour), 90), outline=colour)
    for number, line in enumerate(wrap(drawable(region.name), 11, _SIDE + _GAP - 2, 2)):
        draw.text((x, y + _SIDE + 2 + number * 12), line, font=font(11), fill=_INK)


def _sides(pack: Pack, view: View, region: str) -> Iterator[tuple[str, bool]]:
    """(colour, whether it is mirrored) of the sides on which a region is drawn."""
    if not pack.anatomy.is_sided(region):
        yield MIDLINE, False
        return
    only = pack.anatomy.only_side(region)
    if view.sides == "superimposed":
        yield {"right": RIGHT, "left": LEFT}.get(only or "", MIDLINE), False
        return
    if only != "left" and view.sides != "left":
        yield RIGHT, False
    if only != "right" and view.sides != "right":
        yield LEFT, True


def _corners(outline: Outline) -> list[tuple[float, float]]:
    """The corners of an outline; an ellipse as a polygon of 48."""
    if not isinstance(outline, Ellipse):
        return list(outline.points)
    angles = [2 * math.pi * k / 48 for k in range(48)]
    (u, v), (a, b) = outline.centre, outline.radii
    return [(u + a * math.cos(angle), v + b * math.sin(angle)) for angle in angles]


def _rgb(colour: str) -> tuple[int, int, int]:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))
