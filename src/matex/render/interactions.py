"""interactions.html: the map of each word, the film with a choice of words, and the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from matex.checks import is_mapping
from matex.render.browser_files import film_script
from matex.render.colormap import ColourScale
from matex.render.film_data import maps_data
from matex.render.overlay import SIDE, draw_film, fit, sides_of
from matex.render.page import FILM_STYLE, render
from matex.render.panel import Layer
from matex.render.report import embedded

if TYPE_CHECKING:
    from PIL import Image

    from matex.interaction import Interactions

STYLE = ".grid{display:block;max-width:100%}"


class Row(NamedTuple):
    """A word in numbers; x and y are pixels of the film."""

    word: str
    sum: float
    strongest: float
    x: int
    y: int


def page(found: Interactions, picture: Image.Image) -> str:
    """One self-contained page.

    Args:
        found: the matrix of words and places.
        picture: the map of each word, as `words.word_grid` draws them.
    """
    query, placement = found.query, found.placement
    scale = ColourScale.of(found.values)
    layers = [
        Layer(word, f"the map of {word}", grid, scale) for word, grid in zip(found.words, found.values, strict=True)
    ]
    model = found.provenance.get("model")
    return render(
        "interactions.html",
        f"Words and places: {query.text}",
        FILM_STYLE + STYLE,
        film_script(),
        text=query.text,
        method=found.method,
        model=model.get("name", "") if is_mapping(model) else "",
        score=found.score,
        explanation=found,
        picture=picture,
        titles=found.words,
        film_name=query.film.name,
        film=draw_film(query.film, fit(placement.original, SIDE, SIDE)),
        film_data=embedded(maps_data(query.film, query.domain, layers, placement)),
        rows=[_row(found, number) for number in range(len(found.words))],
        details={
            "Parameters": {name: "default" if value is None else value for name, value in found.parameters.items()},
            "Report": found.report,
        },
        sides=sides_of(query.film, query.domain),
        version=found.provenance.get("matex", ""),
    )


def _row(found: Interactions, number: int) -> Row:
    """The strongest place of a word is the centre of the cell with the largest absolute value."""
    grid = found.values[number]
    row, column = (int(at) for at in np.unravel_index(int(np.abs(grid).argmax()), grid.shape))
    x, y = found.placement.cell_centre(grid.shape, row, column)
    return Row(found.words[number], float(grid.sum()), float(grid[row, column]), round(x), round(y))
