"""report.html: one file without network, with scripts for comfort and none for meaning.

Everything a user wrote (phrases, file names, notes) is escaped; the page forbids every load from outside by
its Content-Security-Policy, and its one script and one style sheet are allowed by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from matex.geometry import Box
from matex.render.colormap import ColourScale
from matex.render.files import PNG_LEVEL, record, replacing, strict_json
from matex.render.overlay import (
    SIDE,
    at_size,
    contours,
    draw_film,
    draw_unseen,
    fit,
    letters,
    overlay,
    paint,
)
from matex.render.panel import (
    Layer,
    layers,
    model_name,
    number,
    number_fixed,
    panel,
    places,
    tell_scores,
    understood,
)
from matex.results import DISCLAIMER, Explanation

_UNUSED = ' class="unused"'
STEPS = 10  # shades of a word chip on either side of zero
THUMB = 560  # longer side of a picture on a contact sheet, pixels
LAYERS = 8  # maps that can be switched between


def _style() -> str:
    """The style sheet; switching layers and colouring words takes rules easier counted than written."""
    rules = [(Path(__file__).parent / "report.css").read_text(encoding="utf-8")]
    for layer in range(LAYERS):
        shown = "visibility:visible;opacity:var(--opacity,1)"
        rules.append(f".viewer:has(.pick{layer}:checked) .stage .layer{layer}{{{shown}}}")
        rules.append(f".viewer:has(.pick{layer}:checked) .caption.layer{layer}{{display:block}}")
    for step in range(STEPS + 1):
        rules.append(f".plus{step}{{background:rgba(240,147,43,{step / 13:.2f})}}")
        rules.append(f".minus{step}{{background:rgba(74,155,232,{step / 13:.2f})}}")
    return "\n".join(rules)


STYLE = _style()
SCRIPT = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Line:
    """One sentence of a report, explained or not.

    Args:
        text: the sentence.
        kind: what it claims: "positive", "negated", "normal", "uncertain" or "no finding".
        explanation: its place in the page's explanations; None when it was not explained.
        why: why it was not explained.
    """

    text: str
    kind: str
    explanation: int | None = None
    why: str = ""


def write_report(
    explanations: Sequence[Explanation],
    path: str | Path,
    title: str,
    lead: str = "",
    lines: Sequence[Line] = (),
    boxes: Sequence[Sequence[Box]] = (),
    left_out: Mapping[str, str] | None = None,
) -> Path:
    """Write one self-contained HTML page about one or several explanations.

    Args:
        explanations: in the order of the page.
        path: the file.
        title: heading of the page.
        lead: a sentence under the heading.
        lines: the sentences of a whole report, in order, shown above the explanations.
        boxes: for each explanation what people marked on its film; drawn dashed, never given to a model.
        left_out: methods that are not on the page, each with the reason.
    """
    target = Path(path)
    with replacing(target) as temporary:
        temporary.write_text(page(explanations, title, lead, lines, boxes, left_out), encoding="utf-8")
    return target


def page(
    explanations: Sequence[Explanation],
    title: str,
    lead: str = "",
    lines: Sequence[Line] = (),
    boxes: Sequence[Sequence[Box]] = (),
    left_out: Mapping[str, str] | None = None,
) -> str:
    """The page of `write_report` as text."""
    boxes = boxes or [()] * len(explanations)
    numbered = list(enumerate(zip(explanations, boxes, strict=True), start=1))
    several = len(explanations) > 1
    legends = {sides.legend: None for one in explanations if (sides := letters(one))}
    body = [
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(lead)}</p>' if lead else "",
        f'<p class="warning">{escape(DISCLAIMER)}</p></header>',
        _sentences(lines) if lines else "",
        _contact_sheet(explanations, boxes) if several else "",
        _left_out(left_out) if left_out else "",
        *(_section(explanation, f"e{index}", marked) for index, (explanation, marked) in numbered),
        _footer(explanations, legends),
    ]
    return document(title, [part for part in body if part])


def _footer(explanations: Sequence[Explanation], legends: Iterable[str]) -> str:
    """How to read the colours, and what made the page."""
    if not explanations:
        return "<footer><p>No map. This file loads nothing from the network.</p></footer>"
    return (
        "<footer><p>A map without negative values is coloured from its minimum to its maximum; one with negative "
        "values is centred on 0, amber above and blue below, and 0 leaves the film as it is. The numbers under the "
        "bar are raw values. Contour lines lie at 50, 75 and 90 % of the way to the strongest colour. "
        f"{''.join(f'{legend}. ' for legend in legends)}Made by matex "
        f"{escape(str(explanations[0].provenance.get('matex', '')))}; "
        "this file loads nothing from the network.</p></footer>"
    )


def document(title: str, parts: Sequence[str], style: str = STYLE, script: str = SCRIPT) -> str:
    """A whole HTML page that loads nothing: HTML in, with what it may run and how it looks allowed by their hashes.

    Args:
        title: of the window; escaped here.
        parts: HTML, already escaped.
        style: the only style sheet.
        script: the only script.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + f"\n</main><script>{script}</script></body></html>\n"
    )


def fragment(explanation: Explanation) -> str:
    """For notebooks: the panel as a picture and the words as text, without script or style sheet."""
    told = ", ".join(f"{word} {number(score)}" for word, score in explanation.words)
    alternative = f"{explanation.method} on “{explanation.text}”: score {number_fixed(explanation.score)}. {told}"
    whole = panel(explanation)
    picture = whole.resize((1152, round(whole.height * 0.6)), Image.Resampling.LANCZOS)
    return (
        f'<figure><img src="{png(picture)}" alt="{escape(alternative)}" width="100%">'
        f"<figcaption>{escape(DISCLAIMER)}</figcaption></figure>"
    )


def _sentences(lines: Sequence[Line]) -> str:
    """The report in its own order, every sentence marked, the explained ones linked to their maps."""
    made: list[str] = []
    for line in lines:
        text = escape(line.text)
        if line.explanation is not None:
            text = f'<a href="#e{line.explanation + 1}">{text}</a>'
        elif line.why:
            text += f' <span class="faint">not explained: {escape(line.why)}</span>'
        style = escape(line.kind.replace(" ", "-"))
        made.append(f'<li class="line {style}"><span class="kind">{escape(line.kind)}</span> {text}</li>')
    heading = "<h2>The report, sentence by sentence</h2>"
    return f'<section class="card">{heading}<ol class="sentences">{"".join(made)}</ol></section>'


def _contact_sheet(explanations: Sequence[Explanation], boxes: Sequence[Sequence[Box]]) -> str:
    """Small overlays of all explanations, each a link to its section."""
    cards: list[str] = []
    one_phrase = len({explanation.text for explanation in explanations}) == 1
    one_film = len({explanation.film.sha256 for explanation in explanations}) == 1
    for index, (explanation, marked) in enumerate(zip(explanations, boxes, strict=True)):
        seconds = explanation.provenance.get("seconds")
        facts = [] if one_phrase else [explanation.method]
        facts += [f"score {number_fixed(explanation.score)}"]
        if one_phrase and isinstance(seconds, float):
            facts.append(f"own formula {duration(seconds)}")
        facts += ["constant map"] if explanation.image.degenerate else []
        facts += [] if one_film else [explanation.film.name]
        alternative = escape(f"{explanation.method} map for “{explanation.text}” on {explanation.film.name}")
        cards.append(
            f'<a class="thumb" href="#e{index + 1}"><i><img alt="{alternative}" '
            f'src="{jpeg(overlay(explanation, THUMB))}">'
            f"{_boxes(explanation, marked)}</i><b>{escape(explanation.method if one_phrase else explanation.text)}</b>"
            f"<span>{'<br>'.join(escape(fact) for fact in facts)}</span></a>"
        )
    return f'<nav class="sheet" aria-label="all explanations">{"".join(cards)}</nav>'


def duration(seconds: float) -> str:
    """A time in two or more digits, never "0 ms"."""
    milliseconds = 1000 * seconds
    if milliseconds >= 1000:
        return f"{seconds:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


def _left_out(reasons: Mapping[str, str]) -> str:
    """The methods that are not on the page, each with the reason."""
    rows = "".join(f"<li><b>{escape(name)}</b>: {escape(reason)}</li>" for name, reason in reasons.items())
    return f'<section class="card"><h2>Left out</h2><ul class="left-out">{rows}</ul></section>'


def _boxes(explanation: Explanation, boxes: Sequence[Box]) -> str:
    """What people marked, as dashed rectangles over the film."""
    if not boxes:
        return ""
    height, width = explanation.film.size
    shapes = "".join(
        f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"/>' for x0, y0, x1, y1 in boxes
    )
    return f'<svg class="boxes" viewBox="0 0 {width} {height}" aria-hidden="true">{shapes}</svg>'


def _section(explanation: Explanation, key: str, boxes: Sequence[Box]) -> str:
    film = explanation.film
    height, width = film.size
    notes = "".join(f"<li>{escape(note)}</li>" for note in explanation.notes)
    side = _words(explanation) + _regions(explanation) + _sum(explanation)
    facts = [
        ("method", explanation.method),
        ("model", model_name(explanation)),
        ("film", f"{film.name}, {width} x {height}" + (f", {film.view}" if film.view else "")),
    ]
    return (
        f'<section class="card" id="{key}"><div class="head"><div><h2>{_phrase(explanation)}</h2>'
        f'<p class="facts">{" · ".join(f"{name} <b>{escape(value)}</b>" for name, value in facts)}</p></div>'
        f'<p class="score"><b>{number_fixed(explanation.score)}</b>cosine similarity</p></div>'
        + (f'<div class="notes"><b>Read this first</b><ul>{notes}</ul></div>' if notes else "")
        + f'<div class="columns">{_viewer(explanation, key, boxes)}<div class="side">{side}</div></div>'
        + f"{_details(explanation, key)}</section>"
    )


def _phrase(explanation: Explanation) -> str:
    """The phrase with the places underlined that the parser found."""
    text = explanation.text
    marks: dict[tuple[int, int], list[str]] = {}
    for mention in explanation.regions:
        kind = "normal" if mention.normal else "off" if mention.weight == 0 else "on"
        marks.setdefault((mention.start, mention.end), [kind]).append(", ".join(understood(mention)))
    made, at = "", 0
    for (start, end), (kind, *read) in sorted(marks.items()):
        if start < at:
            continue
        told = escape("; ".join(read))
        made += f'{escape(text[at:start])}<u class="{kind}" title="{told}">{escape(text[start:end])}</u>'
        at = end
    return f"“{made}{escape(text[at:])}”"


def _viewer(explanation: Explanation, key: str, boxes: Sequence[Box]) -> str:
    """Film with switchable layers: radio buttons and style rules switch, a script sets the opacity."""
    placement, film = explanation.image.placement, explanation.film
    final = Layer(
        "Map",
        "what is reported",
        explanation.image.grid,
        ColourScale(*explanation.image.range),
        weight=None,
    )
    shown = (final, *layers(explanation))
    size = fit(placement.original, SIDE, SIDE)
    seen = np.isfinite(at_size(final.grid, placement, size))
    base = draw_film(film, size).convert("RGBA")
    if not seen.all():
        base.alpha_composite(draw_unseen(seen))
    base = base.convert("RGB")
    small = fit(placement.original, 512, 512)
    picks, images, captions = "", "", ""
    for index, layer in enumerate(shown[:LAYERS]):
        values = at_size(layer.grid, placement, small)
        checked = " checked" if index == 0 else ""
        weight = f" × {number(layer.weight)}" if layer.weight is not None else ""
        kind = ' class="unused"' if layer.unused else ""
        picks += (
            f'<label{kind}><input type="radio" name="{key}-layer" class="pick{index}"{checked}>'
            f"{escape(layer.name)}<small>{escape(weight)}</small></label>"
        )
        alternative = escape(f"{layer.name}: {layer.meaning}, {_range(layer.scale)}")
        images += f'<img class="map layer{index}" alt="{alternative}" src="{png(paint(values, layer.scale))}">'
        captions += f'<div class="caption layer{index}">{_bar(layer)}</div>'
    lines = contours(final.scale.strength(at_size(final.grid, placement, size)), 1.6)
    sides = letters(explanation)
    assumed = " assumed" if sides and sides.assumed else ""
    marks = ""
    if sides:
        marks = f'<b class="mark{assumed}">{sides.left}</b><b class="mark right{assumed}">{sides.right}</b>'
    marked = '<p class="faint">Dashed: marked by people; the model does not get it.</p>' if boxes else ""
    alternative = f"film {film.name}, under the {explanation.method} map for “{explanation.text}”"
    return (
        f'<div class="viewer"><fieldset class="picks"><legend>Show</legend>{picks}'
        f'<label><input type="radio" name="{key}-layer" class="none">Film only</label></fieldset>'
        f'<div class="stage"><img class="film" alt="{escape(alternative)}" src="{jpeg(base)}">{images}'
        f'<img class="contours layer0" alt="contour lines at 50, 75 and 90 %" src="{png(lines)}">'
        f"{_boxes(explanation, boxes)}{marks}</div>{captions}{marked}"
        '<label class="slider" hidden>Opacity '
        '<input type="range" min="0" max="1" step="0.02" value="1"></label></div>'
    )


def _bar(layer: Layer) -> str:
    """Colour bar with numbers, as SVG: presentation attributes need no inline style."""
    scale = layer.scale
    meaning = f"{escape(layer.name)}: {escape(layer.meaning)}"
    if scale.constant:
        everywhere = f"constant, {number(scale.low)} everywhere" if np.isfinite(scale.low) else "undefined everywhere"
        return f"<p>{meaning}. {everywhere}: it says nothing about where.</p>"
    bar = Image.fromarray(scale.colours[None, :, :])
    start, end = scale.ends
    centred = " centred" if scale.signed else ""
    weight = "weight 0: not in the map; " if layer.unused else ""
    return (
        f'<div class="bar{centred}"><img alt="colour bar, {_range(scale)}" src="{png(bar)}"></div>'
        f'<p class="ends"><span>{scale.tell(start)}</span>'
        f"<span>{scale.tell((start + end) / 2)}</span><span>{scale.tell(end)}</span></p>"
        f"<p>{meaning}; {weight}{scale.legend}.</p>"
    )


def _range(scale: ColourScale) -> str:
    """The raw values of a map in words."""
    if scale.constant:
        return "constant" if np.isfinite(scale.low) else "undefined"
    return f"raw values {scale.tell(scale.low)} to {scale.tell(scale.high)}"


def _words(explanation: Explanation) -> str:
    """The phrase as chips: amber raised the score, blue lowered it."""
    if not explanation.words:
        return f"<h3>Words</h3><p>{escape(explanation.method)} does not score words.</p>"
    largest = max((abs(score) for _, score in explanation.words if np.isfinite(score)), default=0.0) or 1.0
    chips = ""
    shown = tell_scores([score for _, score in explanation.words])
    for (word, score), told in zip(explanation.words, shown, strict=True):
        step = round(score / largest * STEPS) if np.isfinite(score) else 0
        shade = f"plus{step}" if step >= 0 else f"minus{-step}"
        chips += f'<span class="chip {shade}">{escape(word)}<small>{told}</small></span> '
    return (
        f'<h3>Words</h3><p class="chips">{chips}</p>'
        '<p class="faint">Raw attribution; a word is the sum of its tokens. '
        "Amber speaks for the score, blue against it.</p>"
    )


def _regions(explanation: Explanation) -> str:
    if not explanation.regions:
        return '<h3>Places the words name</h3><p class="faint">No anatomical place: the prior is neutral.</p>'
    rows = ""
    for cells in places(explanation.regions):
        rows += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    return (
        "<h3>Places the words name</h3><table><thead><tr><th>words</th><th>region</th><th>side</th>"
        f"<th>meant as</th><th>weight</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _sum(explanation: Explanation) -> str:
    """How the terms add up to the map."""
    if not explanation.weights:
        return ""
    rows = "".join(
        f"<tr{_UNUSED if layer.unused else ''}><td>{number(layer.weight)}</td><td>{escape(layer.name)}</td>"
        f"<td>{'not in the map' if layer.unused else escape(layer.meaning)}</td></tr>"
        for layer in layers(explanation)
        if layer.weight is not None
    )
    return (
        "<h3>How the map adds up</h3><table><thead><tr><th>weight</th><th>term</th><th>what it shows</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>"
        '<p class="faint">The prior comes from the words alone, whatever the model saw.</p>'
    )


def _details(explanation: Explanation, key: str) -> str:
    recorded = record(explanation)
    data = strict_json(recorded).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    data = data.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    tokens = {f"{i + 1}. {token.text}": number(token.score) for i, token in enumerate(explanation.tokens)}
    return (
        "<details><summary>Parameters, tokens and provenance</summary>"
        f"<h3>Parameters</h3>{_table(explanation.parameters)}"
        f"<h3>Tokens</h3>{_table(tokens)}"
        f"<h3>Provenance</h3>{_table(_flat(explanation.provenance))}</details>"
        f'<script type="application/json" id="{key}-json">{data}</script>'
    )


def _table(values: Mapping[str, Any]) -> str:
    if not values:
        return '<p class="faint">none</p>'
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            made |= _flat(value, f"{above}{name}.")
        else:
            made[f"{above}{name}"] = json.dumps(value) if isinstance(value, (list, tuple, dict)) else value
    return made


def png(image: Image.Image) -> str:
    """A picture as the address of an img element."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def jpeg(image: Image.Image) -> str:
    """A picture without transparency as the address of an img element."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
