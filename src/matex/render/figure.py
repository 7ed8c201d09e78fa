"""A comparison as one figure for a paper: the film, and each map on it with its title, score and colour bar."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from matex.errors import MissingExtra
from matex.render.overlay import letters
from matex.render.panel import format_score, model_name
from matex.render.plot import plot_map
from matex.results import DISCLAIMER, Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

Format = Literal["png", "svg", "pdf"]
COLUMNS = 4
SETTINGS: dict[RcKeyType, str | int] = {"svg.hashsalt": "matex", "svg.fonttype": "none", "pdf.fonttype": 42}
"""The same bytes for the same maps, and text that can be edited."""
UNDATED: dict[Format, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
_DRAWING = threading.Lock()  # matplotlib's settings belong to the whole process


def comparison_figure(explanations: Sequence[Explanation], kind: Format, dots_per_inch: int = 200) -> bytes:
    """Draw explanations of one film side by side.

    The same explanations give the same bytes: the files carry no date.

    Args:
        explanations: at least one; titled by their methods, or by their phrases where these differ.
        kind: file format.
        dots_per_inch: of pictures in the figure.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    return encoded(lambda: _figure(explanations), kind, dots_per_inch)


def encoded(draw: Callable[[], Figure], kind: Format, dots_per_inch: int) -> bytes:
    """A figure as the content of a file without a date.

    Args:
        draw: makes the figure; drawing is done by one thread at a time.
        kind: file format.
        dots_per_inch: of pictures in the figure.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("Figures need matplotlib: pip install matex[plots]") from error
    stream = io.BytesIO()
    with _DRAWING, matplotlib.rc_context(SETTINGS):
        draw().savefig(stream, format=kind, dpi=dots_per_inch, metadata=UNDATED[kind])
    return stream.getvalue()


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure, (width, height) in inches.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("Figures need matplotlib: pip install matex[plots]") from error
    return Figure(figsize=size, layout="constrained")


def _figure(explanations: Sequence[Explanation]) -> Figure:
    """The film and the maps in rows, under a heading."""
    first = explanations[0]
    columns = min(COLUMNS, len(explanations) + 1)
    rows = math.ceil((len(explanations) + 1) / columns)
    height, width = first.film.size
    figure = new_figure((3.4 * columns, rows * (3.1 * height / width + 0.7) + 0.7))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    axes[0].imshow(first.film.pixels, cmap="gray", extent=(0, width, height, 0))
    axes[0].set_title("film", fontsize=9)
    for ax in axes:
        ax.set_axis_off()
    for ax, explanation in zip(axes[1:], explanations, strict=False):
        plot_map(explanation, ax)
        ax.set_title(_title(explanation, explanations), fontsize=9, wrap=True)
    figure.suptitle(_heading(explanations), fontsize=10, wrap=True)
    sides = letters(first)
    legend = f"{sides.legend}. " if sides else ""
    figure.supxlabel(f"{legend}Model {model_name(first)}. {DISCLAIMER}", fontsize=7)
    return figure


def _one_phrase(explanations: Sequence[Explanation]) -> bool:
    return len({explanation.text for explanation in explanations}) == 1


def _title(explanation: Explanation, explanations: Sequence[Explanation]) -> str:
    if _one_phrase(explanations):
        return explanation.method
    return f"“{explanation.text}”\nscore {format_score(explanation.score)}"


def _heading(explanations: Sequence[Explanation]) -> str:
    first = explanations[0]
    if _one_phrase(explanations):
        return f"“{first.text}”: score {format_score(first.score)}"
    return f"{first.film.name}, {first.method}"
