"""Panels of one size with one legend above them, as SVG (extra `plots`)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from matex.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

# Okabe and Ito's colours, which colour-blind readers can tell apart, the lighter ones darkened for thin lines.
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
INK, SOFT, FAINT = "#1b2026", "#57616d", "#c3cad2"
BLUE, VERMILLION, GREEN, PURPLE, OCHRE, SKY = "#0072b2", "#c44e00", "#00795a", "#a3528a", "#a87400", "#2a7fb8"
WIDTH = 11.5  # inches
PANELS = 4  # side by side
SETTINGS: dict[RcKeyType, object] = {
    "svg.hashsalt": "matex",  # the same bytes for the same numbers
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": "#e6e9ed",
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.color": INK,
}


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Args:
        key: unique in the report.
        title: heading.
        svg: bytes.
        caption: what is drawn.
        alt: the same in words for those who cannot see it.
        narrow: shown at its own size instead of the page's width.
    """

    key: str
    title: str
    svg: bytes
    caption: str
    alt: str
    narrow: bool = False

    @property
    def uri(self) -> str:
        """The figure as a data URI."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")


def with_settings(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function that draws under matplotlib's settings of the report, and restore the user's afterwards.

    Raises:
        MissingExtra: matplotlib is not installed.
    """

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            import matplotlib
        except ImportError as error:
            raise MissingExtra("The report's figures need matplotlib: pip install matex[plots]") from error
        with matplotlib.rc_context(SETTINGS):
            return draw(*args, **kwargs)

    return drawn


class PanelFigure:
    """Panels of one size with one legend above them; made and saved under `with_settings`."""

    def __init__(
        self,
        rows: int,
        columns: int,
        height: float,
        *,
        width: float = WIDTH,
        share: bool = False,
        top: float = 0.5,
        bottom: float = 0.45,
    ) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(width, rows * height + top + bottom), layout="constrained")
        panels = self.figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
        self.axes: list[Axes] = list(panels.flat)
        self.first_column: list[Axes] = list(panels[:, 0])
        self._columns = columns
        self._narrow = width < WIDTH

    def label(self, x: str, y: str) -> None:
        self.figure.supxlabel(x, fontsize=9.5)
        self.figure.supylabel(y, fontsize=9.5)

    def legend(self) -> None:
        """One entry per label, of whatever panels have it."""
        handles: dict[str, Artist] = {}
        for axes in self.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        self.figure.legend(
            list(handles.values()), list(handles), loc="outside upper center", ncols=min(len(handles), 5)
        )

    def drawing(self, key: str, title: str, caption: str, alt: str) -> Drawing:
        """The figure as SVG, panels without data hidden."""
        for axes in self.axes:
            if not axes.has_data():
                axes.set_visible(False)
        for above, below in zip(self.axes, self.axes[self._columns :], strict=False):
            if not below.get_visible():  # its shared labels would be missing
                above.tick_params(labelbottom=True)
        stream = io.BytesIO()
        self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, dpi=120)
        return Drawing(key, title, stream.getvalue(), caption, alt, self._narrow)


def clip(text: str, length: int) -> str:
    """A text of at most this many characters, cut ones ending in an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"
