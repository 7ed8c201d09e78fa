"""A picture of an explanation's map and of its spread, each on the film with its own scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from PIL import Image

from matex.render.canvas import FAINT, SOFT, Canvas
from matex.render.colormap import ColourScale
from matex.render.overlay import overlay
from matex.results import DISCLAIMER, Explanation, SaliencyMap

_SIDE, _GAP = 480, 24


def picture(explanation: Explanation, spreads: Mapping[str, SaliencyMap]) -> Image.Image:
    """Draw the map and each spread next to each other, with colour bars in numbers.

    Args:
        explanation: whose map is first.
        spreads: standard deviation of the maps, by title.
    """
    panels = {"the map": explanation.image, **spreads}
    width = len(panels) * (_SIDE + _GAP) + _GAP
    page = Canvas(width)
    page.write(_GAP, _GAP, f"“{explanation.text}” · {explanation.method} · film {explanation.film.name}", 24)
    bottom = 0.0
    for number, (title, image) in enumerate(panels.items()):
        x, y = _GAP + number * (_SIDE + _GAP), _GAP + 48
        page.write(x, y, title, 20, SOFT)
        film = overlay(dataclasses.replace(explanation, image=image), _SIDE)
        page.image.paste(film, (x, y + 32))
        scale = ColourScale(*image.range)
        bottom = max(bottom, page.colour_bar(x, y + 40 + film.height, film.width, 18, scale, lines=True, size=16))
    lines = (
        "Spread: standard deviation of maps that are each scaled to [0, 1], the explanation's among them.",
        DISCLAIMER,
    )
    for line in lines:
        page.write(_GAP, bottom + 12, line, 16, FAINT)
        bottom += 24
    return page.image.crop((0, 0, width, round(bottom) + 24))
