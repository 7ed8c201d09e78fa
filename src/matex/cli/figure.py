"""matex figure: a figure of the papers with one's own films and models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figure(
    name: Annotated[
        str, typer.Argument(help="methods, classes, words, attention or layers; docs/figures.md shows each.")
    ],
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file: model, methods, films.")],
    out: Annotated[
        list[Path] | None,
        typer.Option("-o", "--out", help="File that ends in .png, .svg or .pdf; repeat it.", show_default="NAME.png"),
    ] = None,
) -> None:
    """Draw methods, classes, words, attention or layers over films, with boxes, as one figure."""
    from matex.figures import load_figure, write

    chosen = load_figure(name, config)
    written = write(chosen, *(out or [Path(f"{name}.png")]))
    print(f"Wrote {', '.join(str(path) for path in written)}. Not for diagnosis.")
