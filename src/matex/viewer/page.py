"""The page and its files, read once at the start: requests name them, but never a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from matex.render.browser_files import BROWSER
from matex.results import DISCLAIMER
from matex.serialise import version_of

HERE = Path(__file__).parent
MEDIA = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class File(NamedTuple):
    """A file of the page."""

    media: str
    content: bytes


@dataclass(frozen=True)
class Page:
    """The page's HTML and the files that it loads, by name."""

    html: str
    files: Mapping[str, File]

    @classmethod
    def read(cls) -> Page:
        """Read the template, the viewer's own files and the film component, which the reports share."""
        paths = [*sorted((HERE / "static").iterdir()), *sorted(BROWSER.iterdir())]
        files = {path.name: File(MEDIA[path.suffix], path.read_bytes()) for path in paths if path.suffix in MEDIA}
        env = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
        html = env.get_template("index.html").render(disclaimer=DISCLAIMER, version=version_of("matex"))
        return cls(html, files)
