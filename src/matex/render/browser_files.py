"""The film component of the pages: modules for the viewer, joined to one script where a page must be a single file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

BROWSER = Path(__file__).parent / "browser"
MODULES = ("maps.js", "axes.js", "marks.js", "grey.js", "gestures.js", "film.js")
"""In the order in which they use each other."""


@cache
def film_script(last: Literal["report.js", "notebook.js"] = "report.js") -> str:
    """The modules as one script, without imports and exports: in one file they share a scope of their own.

    Args:
        last: the module that puts the component into the page.
    """
    joined = "\n".join(_without_modules((BROWSER / name).read_text(encoding="utf-8")) for name in (*MODULES, last))
    return f'(() => {{\n"use strict";\n{joined}}})();\n'


@cache
def film_style() -> str:
    """The style sheet of the component."""
    return (BROWSER / "film.css").read_text(encoding="utf-8")


def _without_modules(source: str) -> str:
    source = re.sub(r"^import [^;]*;\n", "", source, flags=re.MULTILINE)
    return re.sub(r"^export ", "", source, flags=re.MULTILINE)
