"""comparison.html: what changed between two models, and their maps of the same films side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from matex.render.overlay import overlay
from matex.render.page import STYLE, render, style_sheet
from matex.render.report import THUMB
from matex.serialise import version_of

if TYPE_CHECKING:
    from matex.model_comparison import ModelComparison
    from matex.results import Explanation


class SideBySide(NamedTuple):
    """The maps of one pair by both models.

    Args:
        text: the phrase.
        film: name of the film.
        agreement: rank correlation of the maps.
        scores: of both models.
        pictures: the film under the map of each model.
    """

    text: str
    film: str
    agreement: float
    scores: tuple[float, float]
    pictures: tuple[Image.Image, Image.Image]


def side_by_side(first: Explanation, second: Explanation, agreement: float) -> SideBySide:
    """Draw one pair."""
    pictures = overlay(first, THUMB), overlay(second, THUMB)
    return SideBySide(first.text, first.film.name, agreement, (first.score, second.score), pictures)


def page(comparison: ModelComparison) -> str:
    """One self-contained page."""
    return render(
        "model_comparison.html",
        f"{comparison.first} and {comparison.second} on the same pairs",
        STYLE + style_sheet("audit.css"),
        comparison=comparison,
        version=version_of("matex"),
    )
