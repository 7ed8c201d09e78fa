"""The film component of the pages: modules for the viewer, joined to one script where a page must be a single file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

BROWSER = Path(__file__).parent / "browser"
MODULES = ("maps.js", "film.js")
"""In the order in which they use each other."""
STYLES = "film.css"


@cache
def joined_script(*last: Path) -> str:
    """The modules as one script: without their imports and exports, since one file has one scope.

    Args:
        last: further scripts that use them.
    """
    sources = [(BROWSER / name).read_text(encoding="utf-8") for name in MODULES]
    sources += [path.read_text(encoding="utf-8") for path in last]
    return "\n".join(_without_modules(source) for source in sources)


def film_style() -> str:
    """The style sheet of the component."""
    return (BROWSER / STYLES).read_text(encoding="utf-8")


def _without_modules(source: str) -> str:
    source = re.sub(r"^import [^;]*;\n", "", source, flags=re.MULTILINE)
    return re.sub(r"^export ", "", source, flags=re.MULTILINE)
