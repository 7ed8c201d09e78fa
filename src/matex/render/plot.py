"""Film and map as matplotlib axes, for notebooks and papers (extra `plots`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matex.errors import MissingExtra
from matex.render.colormap import ColourScale
from matex.render.overlay import overlay
from matex.render.panel import format_score
from matex.results import DISCLAIMER, Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot(explanation: Explanation) -> Figure:
    """Film and overlay side by side with a colour bar of raw values.

    Raises:
        ImportError: matplotlib is missing.
    """
    figure_type = _figure_type()
    height, width = explanation.film.size
    figure = figure_type(figsize=(11, min(11.0, 1.2 + 5 * height / width)), layout="constrained")
    film, mapped = figure.subplots(1, 2)
    film.imshow(explanation.film.pixels, cmap="gray", extent=(0, width, height, 0))
    film.set_axis_off()
    film.set_title(explanation.film.name)
    plot_map(explanation, mapped)
    figure.suptitle(f"“{explanation.text}”: score {format_score(explanation.score)}")
    figure.supxlabel(DISCLAIMER, fontsize="small")
    return figure


def plot_map(explanation: Explanation, ax: Axes) -> Axes:
    """The overlay on axes of yours, in original pixel coordinates, with its colour bar."""
    _figure_type()
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    height, width = explanation.film.size
    ax.imshow(overlay(explanation), extent=(0, width, height, 0), interpolation="antialiased")
    ax.set_axis_off()
    ax.set_title(explanation.method)
    if not explanation.image.degenerate:
        scale = ColourScale(*explanation.image.range)
        colours = ListedColormap((scale.colours / 255).tolist())
        label = "raw value, centred on 0" if scale.signed else "raw value, coloured from minimum to maximum"
        bar = ScalarMappable(Normalize(*scale.ends), colours)
        ax.figure.colorbar(bar, ax=ax, fraction=0.046, label=label)
    return ax


def _figure_type() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("Plotting needs matplotlib: pip install matex[plots]") from error
    return Figure
