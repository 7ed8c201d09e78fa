"""bias.html: words against regions over a data set, the differences between groups, and mean maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.render.colormap import ColourScale
from matex.render.overlay import paint
from matex.render.page import STYLE, render, style_sheet
from matex.serialise import version_of

if TYPE_CHECKING:
    from matex.bias import Associations

SIDE = 160  # of a drawn map, pixels
SHOWN = 40  # rows of the table of differences


class MeanMap(NamedTuple):
    """Mean map of a word over the films of a group, each film's map scaled to a sum of 1.

    Args:
        word, attribute, level: names.
        pairs: number of films.
        values: float32 [rows, columns] over the whole film.
    """

    word: str
    attribute: str
    level: str
    pairs: int
    values: NDArray[np.float32]


class Row(NamedTuple):
    """The maps of one word by the levels of one attribute, on one scale."""

    word: str
    attribute: str
    maps: list[tuple[MeanMap, Image.Image]]


def page(found: Associations) -> str:
    """One self-contained page."""
    groups: dict[tuple[str, str], list[MeanMap]] = {}
    for one in found.maps:
        groups.setdefault((one.word, one.attribute), []).append(one)
    return render(
        "bias.html",
        f"Words and regions of {found.model} over {found.pairs} pairs",
        STYLE + style_sheet("audit.css"),
        found=found,
        shown=found.differences[:SHOWN],
        tests=sum(one.p == one.p for one in found.differences),
        rows=[Row(*names, _drawn(maps)) for names, maps in groups.items()],
        version=version_of("matex"),
    )


def _drawn(maps: list[MeanMap]) -> list[tuple[MeanMap, Image.Image]]:
    """Maps on black, on the scale of all of them."""
    scale = ColourScale(0.0, max(float(one.values.max()) for one in maps))
    drawn: list[tuple[MeanMap, Image.Image]] = []
    for one in maps:
        picture = Image.new("RGBA", (SIDE, SIDE), "black")
        painted = paint(one.values, scale).convert("RGBA")
        picture.alpha_composite(painted.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        drawn.append((one, picture.convert("RGB")))
    return drawn
