"""A picture for each word of a phrase: the film with that word's map, all on one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from matex.images import Film
from matex.render.colormap import ColourScale
from matex.render.overlay import draw_letters, fit, layered, sides_of
from matex.render.text import drawable, font
from matex.results import DISCLAIMER, SaliencyMap

_SIDE, _CAPTION, _COLUMNS, _GAP, _LINE = 320, 34, 4, 8, 24
_PAPER, _INK = (17, 18, 23), (232, 232, 235)


def word_grid(film: Film, words: Sequence[str], maps: Sequence[SaliencyMap], domain: str, caption: str) -> Image.Image:
    """Draw the film once for each word, in reading order, with lines that say what it is and what the colours mean.

    Args:
        film: that was explained.
        words: of the phrase.
        maps: of each word.
        domain: see `matex.domains`; films with two sides carry the patient's sides.
        caption: phrase, way, model, film and score.
    """
    ends = [end for image in maps for end in image.range if np.isfinite(end)]
    scale = ColourScale(min(ends, default=float("nan")), max(ends, default=float("nan")))
    height, width = fit(maps[0].placement.original, _SIDE, _SIDE)
    columns = min(_COLUMNS, len(words))
    rows = -(-len(words) // columns)
    page = Image.new(
        "RGB",
        (columns * (width + _GAP) + _GAP, rows * (height + _CAPTION + _GAP) + _GAP + 3 * _LINE),
        _PAPER,
    )
    draw = ImageDraw.Draw(page)
    for number, (word, image) in enumerate(zip(words, maps, strict=True)):
        x = _GAP + number % columns * (width + _GAP)
        y = _GAP + number // columns * (height + _CAPTION + _GAP)
        picture = layered(film, image.grid, image.placement, scale, (height, width), lines=True)
        draw_letters(picture, sides_of(film, domain))
        draw.text((x, y), drawable(word), fill=_INK, font=font(20, word))
        page.paste(picture, (x, y + _CAPTION))
    ends_line = f"one scale for all words, {scale.low:.4f} to {scale.high:.4f}: {scale.legend}; lines at 50, 75, 90 %"
    for number, line in enumerate((drawable(caption), ends_line, DISCLAIMER)):
        draw.text((_GAP, page.height - (3 - number) * _LINE), line, fill=_INK, font=font(13, line))
    return page
