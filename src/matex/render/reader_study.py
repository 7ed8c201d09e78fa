"""reader-N.html: blinded maps with a form, whose answers the reader's browser saves as JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from matex.render.overlay import draw_film, fit, overlay
from matex.render.page import STYLE, TEMPLATES, render, style_sheet
from matex.render.report import embedded

if TYPE_CHECKING:
    from matex.results import Explanation

SIDE = 640  # longer side of a picture, pixels


class Question(NamedTuple):
    """A question on each map, answered from 1 to `scale`."""

    key: str
    text: str
    scale: int


class ReaderCase(NamedTuple):
    """One case as a reader sees it: the phrase, the film, and the film under the map."""

    text: str
    film: Image.Image
    map: Image.Image


def case_pictures(explanation: Explanation) -> ReaderCase:
    """Draw one case."""
    size = fit(explanation.image.placement.original, SIDE, SIDE)
    return ReaderCase(explanation.text, draw_film(explanation.film, size).convert("RGB"), overlay(explanation, SIDE))


def page(study: str, reader: int, cases: Sequence[tuple[str, ReaderCase]], questions: Sequence[Question]) -> str:
    """One self-contained page; names no method, model, file or patient.

    Args:
        study: name of the study.
        reader: number of the reader.
        cases: name and content of each, in the order of the page.
        questions: on each case.
    """
    return render(
        "reader_study.html",
        "Reader study",
        STYLE + style_sheet("reader_study.css"),
        (TEMPLATES / "reader_study.js").read_text(encoding="utf-8"),
        study=study,
        reader=reader,
        cases=cases,
        questions=questions,
        about=embedded({"study": study, "reader": reader, "questions": [one.key for one in questions]}),
    )
