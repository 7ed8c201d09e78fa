"""audit.html and audit.json: the verdict in words, the maps of the controls, and the numbers under every check."""

from __future__ import annotations

import dataclasses
import math
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from matex.render.files import strict_json, writing
from matex.render.overlay import letters, overlay
from matex.render.panel import model_name, number, number_fixed
from matex.render.report import STYLE, THUMB, document, jpeg
from matex.results import DISCLAIMER, Explanation

if TYPE_CHECKING:
    from matex.auditing import Audit, Check

HEADINGS = {
    "pass": "No check speaks against this map",
    "warn": "To be read with caution",
    "fail": "Not to be relied on",
}
WORDS = {"pass": "passed", "warn": "warning", "fail": "failed", "skipped": "skipped"}
REFERENCES = {"map": "", "no_prior": " of the map without the prior"}
AUDIT_STYLE = STYLE + (Path(__file__).parent / "audit.css").read_text(encoding="utf-8")


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
    sides = f" {found.legend}." if (found := letters(explanation)) else ""
    facts = {
        "method": explanation.method,
        "model": model_name(explanation),
        "film": explanation.film.name,
        "score": number_fixed(explanation.score),
    }
    told = " · ".join(f"{name} <b>{escape(value)}</b>" for name, value in facts.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in explanation.notes)
    checks = "".join(_check(check) for check in audit.checks.values())
    return document(
        f"Audit: {explanation.text}",
        [
            f"<header><h1>Audit of “{escape(explanation.text)}”</h1>"
            f'<p class="lead">{told}</p><p class="warning">{escape(DISCLAIMER)}</p></header>',
            f'<section class="card verdict {audit.verdict}"><h2>{HEADINGS[audit.verdict]}</h2>'
            f"<p>{escape(audit.summary)}</p></section>",
            f'<div class="notes"><b>Read this first</b><ul>{notes}</ul></div>' if notes else "",
            _pictures(audit),
            f'<section class="card"><h2>The checks</h2>{checks}</section>',
            "<footer><p>Each map has a colour scale of its own, centred on 0 (transparent) where it has negative "
            f"values, so that brightness cannot be compared between pictures.{sides} Stays: how much of the "
            "highlighted region, the map's highest tenth, this map highlights too; by chance 10 %. Made by "
            f"matex {escape(str(explanation.provenance.get('matex', '')))}; this file loads nothing from the "
            "network.</p></footer>",
        ],
        style=AUDIT_STYLE,
    )


def _pictures(audit: Audit) -> str:
    """The map and those of its controls, side by side."""
    explanation = audit.explanation
    cards = [_picture(explanation, "the map", explanation.text, explanation.score, "")]
    for control in audit.controls.values():
        changed = dataclasses.replace(explanation, image=control.image)
        reference = REFERENCES[control.reference]
        alike = f"<br>rank correlation {control.likeness:.2f}<br>{100 * control.stays:.0f} % stays{reference}"
        alike = "<br>one of the maps is constant" if math.isnan(control.stays) else alike
        cards.append(_picture(changed, control.title, control.text, control.score, alike))
    return f'<div class="sheet still">{"".join(cards)}</div>'


def _picture(explanation: Explanation, title: str, text: str, score: float, alike: str) -> str:
    alternative = f"{title}: map for “{text}”"
    return (
        f'<div class="thumb"><img alt="{escape(alternative)}" src="{jpeg(overlay(explanation, THUMB))}">'
        f"<b>{escape(title)}</b><span>“{escape(text)}”<br>score {number_fixed(score)}{alike}</span></div>"
    )


def _check(check: Check) -> str:
    """One check; what was skipped has no numbers and no limits on the page, only the reason."""
    values = "".join(
        f"<li>{escape(name.replace('_', ' '))} <b>{escape(_told(value))}</b></li>"
        for name, value in check.values.items()
    )
    decided = check.state != "skipped"
    numbers = f'<ul class="numbers">{values}</ul>' if values and decided else ""
    rule = f'<p class="rule">{escape(check.rule)}</p>' if check.rule and decided else ""
    return (
        f'<div class="check"><span class="state {check.state}">{WORDS[check.state]}</span><div>'
        f"<h3>{escape(check.question)}</h3><p>{escape(check.answer)}</p>{numbers}{rule}</div></div>"
    )


def _told(value: float | str | None) -> str:
    return number(value) if isinstance(value, float) else str(value)
