"""HTML pages from Jinja2 templates: self-contained files that load nothing from the network.

Everything a user wrote (phrases, file names, notes) is escaped. The page's Content-Security-Policy forbids every
external load and allows the one style sheet and the one script by their hashes. Jinja2 is imported with this module,
which is therefore imported only where a page is written.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup
from PIL import Image

from matex.render.browser_files import film_style
from matex.render.panel import format_score, model_name, number
from matex.results import DISCLAIMER

PNG_LEVEL = 2  # of zlib; level 4 takes a third longer for a tenth less, level 6 three times as long for a fifth less

TEMPLATES = Path(__file__).parent / "templates"
LAYERS = 8  # maps of one explanation that the reader can switch between
SHADES = 10  # shades of a word on either side of zero


def style_sheet(name: str) -> str:
    """A style sheet of the templates' folder; `base.css` belongs to every page."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _counted_rules() -> list[str]:
    """Style rules with a number in their name: which map is visible, and the colour of a word."""
    rules: list[str] = []
    for layer in range(LAYERS):
        shown = "visibility:visible;opacity:var(--opacity,1)"
        rules.append(f".viewer:has(.pick{layer}:checked) .stage .layer{layer}{{{shown}}}")
        rules.append(f".viewer:has(.pick{layer}:checked) .caption.layer{layer}{{display:block}}")
    for shade in range(SHADES + 1):
        rules.append(f".plus{shade}{{background:rgba(240,147,43,{shade / 13:.2f})}}")
        rules.append(f".minus{shade}{{background:rgba(74,155,232,{shade / 13:.2f})}}")
    return rules


STYLE = "\n".join([style_sheet("base.css"), *_counted_rules()])
FILM_STYLE = f"{STYLE}\n{film_style()}"
"""Of pages with films, together with the script of `browser_files.film_script`."""


def render(template: str, title: str, style: str = STYLE, script: str = "", **values: object) -> str:
    """Render a template that extends `base.html` to a complete HTML page.

    Args:
        template: file name in the folder of templates.
        title: of the window, and the heading unless the template has its own.
        style: content of the only style sheet.
        script: content of the only script; empty for a page without one.
        values: names that the template reads; `lead` and `version` are those of `base.html`.

    Raises:
        jinja2.UndefinedError: the template reads a name that has no value.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    frame = {"title": title, "lead": "", "version": "", "disclaimer": DISCLAIMER}
    trusted = {"policy": Markup(policy), "style": Markup(style), "script": Markup(script)}
    return environment().get_template(template).render({**frame, **values, **trusted})


def render_fragment(template: str, **values: object) -> str:
    """Render a template to a part of another page, such as a notebook."""
    return environment().get_template(template).render(disclaimer=DISCLAIMER, **values)


@cache
def environment() -> Environment:
    """The template environment: autoescape, undefined names as errors, and the filters of the pages."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        extensions=[ContinuedLines],
    )
    env.filters.update(png=png, jpeg=jpeg, number=number, fixed=format_score, model_name=model_name)
    return env


class ContinuedLines(Extension):
    """Lets templates be indented without writing the indentation into the page.

    An indented line, or one that begins with a closing tag, continues the line above it: the line break vanishes
    between two tags and is one space where it touches text. Lines that are not indented stay lines of the page.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        source = re.sub(r"(?<=[>}])\n(?: +(?=[<{])|(?=</))", "", source)
        return re.sub(r"\n +", " ", source)


def _escaped(value: object) -> object:
    """Escape as `html.escape` does, whose spelling of quotes differs from that of Jinja2: pages keep their bytes."""
    return value if hasattr(value, "__html__") else Markup(html.escape(str(value)))


def png(image: Image.Image) -> str:
    """A picture as a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def jpeg(image: Image.Image) -> str:
    """A picture without transparency as a data URI, smaller than `png`."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
