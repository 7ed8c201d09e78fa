"""A configured figure as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matex.benchmark.runs.inputs import open_model
from matex.checks import as_path
from matex.errors import InputError, shown
from matex.figures.config import FigureConfig
from matex.figures.kind import Material
from matex.files import replacing
from matex.render.figure import UNDATED, Format, encoded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(config: FigureConfig) -> Figure:
    """Compute the maps of a figure and draw it.

    Raises:
        MissingExtra: matplotlib is not installed.
        InputError, UnsupportedModel: what the model or a method cannot serve.
    """
    model = open_model(config.model)
    return config.kind(Material(model, config.cases, config.methods, config.model.resize, config.domain))


def write(config: FigureConfig, *paths: str | Path) -> tuple[Path, ...]:
    """Draw a figure into PNG, SVG or PDF files, by the endings of their names.

    The same configuration gives the same bytes where the maps are the same.

    Raises:
        InputError: another ending; see `draw`.
    """
    targets: list[tuple[Path, Format]] = [(path, _format(path)) for path in (as_path(one, "a file") for one in paths)]
    figure = draw(config)
    for target, kind in targets:
        content = encoded(lambda: figure, kind, config.dots_per_inch)
        with replacing(target) as temporary:
            temporary.write_bytes(content)
    return tuple(target for target, _ in targets)


def _format(path: Path) -> Format:
    ending = path.suffix.lower().removeprefix(".")
    if ending in UNDATED:
        return ending
    raise InputError(f"Expected a file name that ends in .png, .svg or .pdf, got {shown(path.name)}.")
