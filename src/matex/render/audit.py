"""audit.html and audit.json: the verdict in words, the maps of the controls, and the numbers under every check."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from matex.audit_results import Audit, Control
from matex.files import writing
from matex.render.browser_files import film_script
from matex.render.colormap import ColourScale
from matex.render.film_data import viewer_data
from matex.render.overlay import SIDE, draw_film, fit, letters, overlay
from matex.render.page import FILM_STYLE, render, style_sheet
from matex.render.panel import Layer
from matex.render.report import THUMB, embedded
from matex.serialise import strict_json

HEADINGS = {
    "pass": "No check raises a concern",
    "warn": "Interpret with caution",
    "fail": "Not reliable",
}
STATES = {"pass": "passed", "warn": "warning", "fail": "failed", "skipped": "skipped"}
REFERENCES = {"map": "", "no_prior": " of the map without the prior"}


class Card(NamedTuple):
    """A map on the page; `likeness` are lines on how it compares with its reference."""

    title: str
    text: str
    score: float
    picture: Image.Image
    likeness: tuple[str, ...] = ()


def save(audit: Audit, folder: Path) -> Path:
    """Write audit.json and audit.html, both or neither.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    with writing(folder) as temporary:
        (temporary / "audit.json").write_text(strict_json(audit.record()) + "\n", encoding="utf-8")
        (temporary / "audit.html").write_text(page(audit), encoding="utf-8")
    return folder


def page(audit: Audit) -> str:
    """One self-contained page."""
    explanation = audit.explanation
    maps = [
        Layer(title, text, image.grid, ColourScale(*image.range))
        for title, text, image in [
            ("the map", explanation.text, explanation.image),
            *((control.title, control.text, control.image) for control in audit.controls.values()),
        ]
    ]
    return render(
        "audit.html",
        f"Audit: {explanation.text}",
        FILM_STYLE + style_sheet("audit.css"),
        film_script(),
        titles=[layer.name for layer in maps],
        film_name=explanation.film.name,
        film=draw_film(explanation.film, fit(explanation.image.placement.original, SIDE, SIDE)),
        film_data=embedded(viewer_data(explanation, maps)),
        audit=audit,
        explanation=explanation,
        heading=HEADINGS[audit.verdict],
        states=STATES,
        cards=_cards(audit),
        sides=letters(explanation),
        version=explanation.computation.matex,
    )


def _cards(audit: Audit) -> list[Card]:
    """The map, then those of its controls."""
    explanation = audit.explanation
    cards = [Card("the map", explanation.text, explanation.score, overlay(explanation, THUMB))]
    for control in audit.controls.values():
        picture = overlay(dataclasses.replace(explanation, image=control.image), THUMB)
        cards.append(Card(control.title, control.text, control.score, picture, _likeness(control)))
    return cards


def _likeness(control: Control) -> tuple[str, ...]:
    if math.isnan(control.stays):
        return ("one of the two maps is constant",)
    stays = f"{100 * control.stays:.0f} % stays{REFERENCES[control.reference]}"
    return (f"rank correlation {control.likeness:.2f}", stays)
