"""A grid of films with maps, as a matplotlib figure: rows and columns with titles, boxes, and the range of each map."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matex.figures.kind import Material
from matex.geometry import Box, Placement
from matex.images import Film
from matex.render.colormap import ColourScale
from matex.render.figure import new_figure
from matex.render.overlay import Sides, draw_film, draw_letters, fit, layered, sides_of
from matex.render.panel import format_score
from matex.results import DISCLAIMER, Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 400
"""Longer side of a picture, pixels."""
INCHES = 2.0
"""Width of a panel."""
BOX = "#ff3b30"
LETTERS = 26
"""Of a row's title in one line."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture.

    Args:
        film: that is drawn.
        boxes: drawn dashed, original pixels.
        grid: map on it, raw values; None for the film alone.
        placement: of the map.
        note: under the picture; the range of the map follows it.
    """

    film: Film
    boxes: Sequence[Box] = ()
    grid: NDArray[np.floating] | None = None
    placement: Placement | None = None
    note: str = ""

    @classmethod
    def of(cls, explanation: Explanation, boxes: Sequence[Box] = (), score: bool = False) -> Panel:
        """The map of an explanation, with its score where the phrases of a figure differ."""
        image = explanation.image
        note = f"score {format_score(explanation.score)}" if score else ""
        return cls(explanation.film, boxes, image.grid, image.placement, note)


def draw_grid(
    panels: Sequence[Sequence[Panel]],
    rows: Sequence[str],
    columns: Sequence[str],
    material: Material,
    note: str = "",
    transpose: bool = False,
) -> Figure:
    """Draw panels in rows and columns.

    Args:
        panels: [row][column].
        rows: titles, at the left.
        columns: titles, at the top.
        material: model and domain, for the line under the figure.
        note: at the end of that line.
        transpose: rows become columns.
    """
    if transpose:
        panels, rows, columns = [list(line) for line in zip(*panels, strict=True)], columns, rows
    film = panels[0][0].film
    height, width = film.size
    size = (INCHES * len(columns) + 0.5, (INCHES * height / width + 0.24) * len(rows) + 0.62)
    figure = new_figure(size)
    figure.set_layout_engine("compressed")
    sides = sides_of(film, material.domain)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for number, line in enumerate(panels):
        for column, panel in enumerate(line):
            _draw(axes[number, column], panel, sides_of(panel.film, material.domain))
        axes[number, 0].set_ylabel("\n".join(textwrap.wrap(rows[number], LETTERS)), fontsize=8)
    for column, title in enumerate(columns):
        axes[0, column].set_title("\n".join(textwrap.wrap(title, LETTERS)), fontsize=8)
    boxed = any(panel.boxes for line in panels for panel in line)
    facts = (
        f"Model {material.model.name}.",
        "Each map on its own scale, raw values under it.",
        "Dashed: marked by readers or simulated." if boxed else "",
        f"{sides.legend}." if sides else "",
        note,
        DISCLAIMER,
    )
    figure.supxlabel("\n".join(textwrap.wrap(" ".join(filter(None, facts)), round(21 * size[0]))), fontsize=6)
    return figure


def _draw(ax: Axes, panel: Panel, sides: Sides | None) -> None:
    """A film with its map, boxes, and the note or the range of the map under it."""
    from matplotlib.patches import Rectangle

    height, width = panel.film.size
    size = fit((height, width), SIDE, SIDE)
    note = panel.note
    if panel.grid is None or panel.placement is None:
        picture = draw_film(panel.film, size)
    else:
        scale = ColourScale(*panel.placement.map_range(panel.grid))
        picture = layered(panel.film, panel.grid, panel.placement, scale, size)
        ends = "constant" if scale.constant else f"{scale.format(scale.low)} to {scale.format(scale.high)}"
        note = f"{note}, {ends}" if note else ends
    draw_letters(picture, sides)
    ax.imshow(np.asarray(picture), extent=(0, width, height, 0))
    for x0, y0, x1, y1 in panel.boxes:
        ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=BOX, linewidth=1, linestyle="--"))
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel(note, fontsize=6, labelpad=2)
