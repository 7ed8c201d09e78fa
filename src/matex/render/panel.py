"""panel.png: film, map, terms, word scores, notes and provenance of one explanation in one picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.audio.sound import Sound
from matex.phrases import Mention
from matex.render.canvas import BACKGROUND, BRIGHT, FAINT, RULE, SOFT, WARNING, Canvas
from matex.render.colormap import NEGATIVE, POSITIVE, ColourScale
from matex.render.overlay import draw_film, draw_letters, fit, layered, letters, overlay, target_overlay
from matex.render.text import wrap
from matex.results import DISCLAIMER, Explanation
from matex.sensors.reading import SensorFilm

WIDTH, MARGIN, GAP = 1920, 56, 32
WORDS = 16  # bars that fit next to the film

_TITLES = {"sound": ("Spectrogram", "Map on the spectrogram"), "sensor": ("Reading", "Map on the reading")}
_LEGENDS = {
    "sound": "frequency in Hz upwards, time in s from the start",
    "sensor": "values from the lowest (black) to the highest; each channel of a recording in its own range",
}
TERMS = {
    "gradient": ("Gradient", "what raises the score"),
    "flow": ("Attention flow", "where attention went"),
    "consistency": ("Consistent gradient", "where the blocks agree"),
    "prior": ("Gradient under the prior", "gradient times M"),
}


@dataclass(frozen=True)
class Layer:
    """A map shown next to the final one: a term of the method, or its prior.

    Args:
        name: heading.
        meaning: half a sentence.
        grid: raw values, [rows, columns] or [height, width] in model pixels.
        scale: how its values are coloured.
        weight: in the final map; None when it is not a term of it.
    """

    name: str
    meaning: str
    grid: NDArray[np.float32]
    scale: ColourScale
    weight: float | None = None

    @property
    def unused(self) -> bool:
        """True for a term of weight 0: shown, but no part of the map."""
        return self.weight == 0


def layers(explanation: Explanation) -> tuple[Layer, ...]:
    """The method's terms and the prior."""
    shown = [
        Layer(*term_name(name), grid, ColourScale.of(grid), explanation.weights.get(name))
        for name, grid in explanation.components.items()
    ]
    if (prior := explanation.prior) is not None:
        shown.append(Layer("Prior M", "from the words alone", prior, ColourScale.of(prior)))
    return tuple(shown)


def term_name(name: str) -> tuple[str, str]:
    """(heading, meaning) of a component; one without a heading here is shown under its own name."""
    return TERMS.get(name, (name.replace("-", " ").replace("_", " ").capitalize(), "term of the method"))


def number(value: float) -> str:
    """Three significant digits, or "undefined"."""
    return f"{value:.3g}" if np.isfinite(value) else "undefined"


def model_name(explanation: Explanation) -> str:
    """Name of the model, of a local path only the last part: folders carry names of people."""
    name = explanation.computation.model or "unknown model"
    prefix, colon, source = name.partition(":")
    if not colon or (prefix == "hf" and re.fullmatch(r"\w[\w.-]*/[\w.-]+", source)):
        return name
    parts = [part for part in re.split(r"[/\\]", source) if part]
    return f"{prefix}:{parts[-1] if parts else ''}"


def panel(explanation: Explanation) -> Image.Image:
    """Draw everything about one explanation on a dark page, 1920 pixels wide."""
    page = Canvas(WIDTH)
    y = _header(page, explanation, MARGIN)
    y = _notes(page, explanation, y + 24)
    y = _pictures(page, explanation, y + 36)
    y = _terms(page, explanation, y + 44)
    return page.finish(_footer(page, explanation, y + 36) + MARGIN - 16)


def _header(page: Canvas, explanation: Explanation, y: float) -> float:
    right = WIDTH - MARGIN
    page.write(right, y - 8, format_score(explanation.score), 76, BRIGHT, "ra", bold=True)
    similarity = explanation.query.objective is None  # other scores name phrases, which need more than this line
    page.write(right, y + 84, f"score: {explanation.score_meaning}" if similarity else "score", 22, FAINT, "ra")
    y = page.paragraph(MARGIN, y - 4, f"“{explanation.text}”", 50, WIDTH - 2 * MARGIN - 380, BRIGHT, lines=4)
    height, width = explanation.film.size
    view = f", {explanation.film.view}" if explanation.film.view else ""
    domain = Path(explanation.query.domain).name
    kind = "" if domain == "chest" else f", domain {domain}"
    film = f"film {explanation.film.name} ({width} x {height}{view}{kind})"
    if isinstance(explanation.film, Sound):
        film = f"sound {explanation.film.name} ({explanation.film.recording.seconds:.3g} s)"
    elif isinstance(explanation.film, SensorFilm):
        film = f"{explanation.film.modality} {explanation.film.name}"
    line = f"method {explanation.method}   ·   model {model_name(explanation)}   ·   {film}"
    line += "" if similarity else f"   ·   score: {explanation.score_kind}"
    y = page.paragraph(MARGIN, y + 10, line, 25, WIDTH - 2 * MARGIN - 380, SOFT, lines=2)
    return max(y, MARGIN + 116)


def format_score(value: float) -> str:
    """Three decimals, as scores are shown, or "undefined"."""
    return f"{value:.3f}" if np.isfinite(value) else "undefined"


def _pictures(page: Canvas, explanation: Explanation, y: float) -> float:
    column = 650
    original = explanation.image.placement.original
    size = fit(original, 720, column)
    top = round(y + 42)
    frame = max(size[0], 420)
    film = draw_film(explanation.film, size)
    draw_letters(film, letters(explanation))
    mapped = overlay(explanation, max(size))
    domain = explanation.query.domain
    titles = _TITLES.get(domain, ("Film", "Map on the film"))
    for index, (title, picture) in enumerate(zip(titles, (film, mapped), strict=True)):
        x = MARGIN + index * (column + GAP)
        page.write(x, y, title, 26, SOFT)
        page.image.paste(picture, (x, top + (frame - size[0]) // 2))
    x = MARGIN + column + GAP
    scale = ColourScale(*explanation.image.range)
    bottom = page.colour_bar(x, top + frame + 18, column, 22, scale, lines=True)
    if not scale.constant:
        bottom = page.paragraph(x, bottom + 8, f"{scale.legend}; lines at 50, 75, 90 %", 20, column, FAINT) - 22
    sides = letters(explanation)
    legend = sides.legend if sides else _LEGENDS.get(domain, "no patient sides on this image")
    page.paragraph(MARGIN, top + frame + 18, legend, 20, column, FAINT)
    x = MARGIN + 2 * (column + GAP)
    after = _words(page, explanation, x, y, WIDTH - MARGIN - x)
    room = bottom - after - 32
    if len(places(explanation.regions)) * 80 <= max(room, 160):
        after = _places(page, explanation, [x], after + 32, WIDTH - MARGIN - x)
    else:  # no room next to the words: under the film
        bottom = _places(page, explanation, [MARGIN, MARGIN + column + GAP], bottom + 64, column)
    return max(bottom + 34, after)


def _words(page: Canvas, explanation: Explanation, x: float, y: float, width: float) -> float:
    if explanation.query.target is not None:
        return _target(page, explanation, x, y, width)
    page.write(x, y, "Words", 26, SOFT)
    y += 48
    words = explanation.words
    if not words:
        return page.paragraph(x, y, f"{explanation.method} does not score words.", 22, width, FAINT)
    shown = _largest(words, WORDS)
    largest = max((abs(score) for _, score in words if np.isfinite(score)), default=0.0) or 1.0
    name_width, value_width = min(190.0, width * 0.4), 84
    span = width - name_width - value_width - 16
    low = min(0.0, *(score for _, score in shown if np.isfinite(score)), 0.0) / largest
    high = max(0.0, *(score for _, score in shown if np.isfinite(score)), 0.0) / largest
    unit = span / ((high - low) or 1.0)
    zero = x + name_width + 16 - low * unit
    for (word, score), text in zip(shown, format_word_scores([score for _, score in shown]), strict=True):
        label = wrap(word, 24, name_width, 1)
        page.write(x + name_width, y + 14, label[0] if label else "", 24, BRIGHT, "rm")
        known = score if np.isfinite(score) else 0.0
        reach = zero + known / largest * unit
        colour = POSITIVE if known >= 0 else NEGATIVE
        page.draw.rectangle((min(zero, reach), y + 2, max(zero, reach) + 1, y + 26), fill=colour)
        page.write(x + width, y + 14, text, 22, SOFT, "rm")
        y += 40
    page.draw.line((zero, y - 40 * len(shown) - 4, zero, y - 8), fill=FAINT, width=2)
    caption = "raw attribution, a word is the sum of its tokens"
    if len(shown) < len(words):
        caption = f"the {len(shown)} strongest of {len(words)} words; {caption}"
    return page.paragraph(x, y + 2, caption, 20, width, FAINT)


def _target(page: Canvas, explanation: Explanation, x: float, y: float, width: float) -> float:
    """The image or sound that was compared with, with its map."""
    page.write(x, y, "Map on what it is compared with", 26, SOFT)
    if explanation.target is None:
        return page.paragraph(x, y + 48, f"{explanation.method} has no map of it.", 22, width, FAINT)
    picture = target_overlay(explanation, explanation.target, round(width))
    page.image.paste(picture, (round(x), round(y + 42)))
    bottom = y + 42 + picture.height + 18
    return page.colour_bar(x, bottom, width, 22, ColourScale(*explanation.target.range), lines=True) + 8


def format_word_scores(scores: Sequence[float]) -> list[str]:
    """Word scores with their sign, all to the precision of the largest."""
    scale = ColourScale(0.0, max((abs(score) for score in scores if np.isfinite(score)), default=0.0))
    numbers = [scale.format(score) for score in scores]
    zeros = [not number.strip("-0.") for number in numbers]
    return [
        number.lstrip("-") if zero else f"{'+' if score > 0 else ''}{number}"
        for score, number, zero in zip(scores, numbers, zeros, strict=True)
    ]


def _largest(words: Sequence[tuple[str, float]], count: int) -> list[tuple[str, float]]:
    """The words with the largest absolute scores, in reading order."""
    order = sorted(range(len(words)), key=lambda i: -abs(words[i][1]) if np.isfinite(words[i][1]) else 0.0)
    return [words[i] for i in sorted(order[:count])]


def _terms(page: Canvas, explanation: Explanation, y: float) -> float:
    shown = layers(explanation)
    if not shown:
        return y - 44
    columns = min(max(len(shown), 4), 6)
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    placement, sides = explanation.image.placement, letters(explanation)
    size = fit(placement.original, round(width * 1.2), round(width))
    for first in range(0, len(shown), columns):
        for index, layer in enumerate(shown[first : first + columns]):
            x = MARGIN + index * (width + GAP)
            picture = layered(explanation.film, layer.grid, placement, layer.scale, size)
            draw_letters(picture, sides)
            page.write(x, y, layer.name, 25, FAINT if layer.unused else BRIGHT)
            page.write(x, y + 33, "weight 0: not in the map" if layer.unused else layer.meaning, 20, FAINT)
            page.image.paste(_greyed(picture) if layer.unused else picture, (round(x), round(y + 66)))
            if layer.unused:
                continue
            if layer.weight is not None:
                page.write(x + width, y + 33, f"weight {number(layer.weight)}", 20, POSITIVE, "ra")
            page.colour_bar(x, y + 66 + size[0] + 12, width, 14, layer.scale)
        y += 66 + size[0] + 12 + 14 + 36 + (GAP if first + columns < len(shown) else 0)
    return y


def _greyed(picture: Image.Image) -> Image.Image:
    """The picture without colour and darker, for a term of weight 0."""
    return Image.blend(picture.convert("L").convert("RGB"), Image.new("RGB", picture.size, BACKGROUND), 0.4)


def _places(page: Canvas, explanation: Explanation, columns: Sequence[float], y: float, width: float) -> float:
    """List the places that the parser found, row by row in columns that start at these x."""
    page.write(columns[0], y, "Places the words name", 26, SOFT)
    y += 44
    if not explanation.regions:
        return page.paragraph(columns[0], y, "no anatomical place", 22, width, FAINT)
    named = places(explanation.regions)
    for first in range(0, len(named), len(columns)):
        ends: list[float] = []
        for x, (words, *facts, weight) in zip(columns, named[first : first + len(columns)], strict=False):
            below = page.paragraph(x, y, f"“{words}”", 24, width, BRIGHT, 2)
            ends.append(page.paragraph(x, below, ", ".join(facts) + f", weight {weight}", 22, width, SOFT, 2) + 8)
        y = max(ends)
    return y


def _notes(page: Canvas, explanation: Explanation, y: float) -> float:
    if not explanation.notes:
        return y - 24
    page.write(MARGIN, y, "Read this first", 23, WARNING)
    for note in explanation.notes:
        y = page.paragraph(MARGIN + 190, y, note, 23, WIDTH - 2 * MARGIN - 190, BRIGHT, 4) + 4
    return y


def describe_mention(mention: Mention) -> tuple[str, str, str]:
    """(region, patient's side, assertion) of a mention in words; "stated" unless negated, uncertain or historical."""
    flags = ("normal",) if mention.normal else ("negated", "uncertain", "historical")
    assertion = [word for word in flags if getattr(mention, word)]
    side = f"patient's {mention.side}" if mention.side else "no side"
    return (mention.region, side, " and ".join(assertion) or "stated")


def places(mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
    """(words, regions, side, assertion, weight) of the mentions; regions that share all else in one row."""
    rows: dict[tuple[int, str, str, str, str], list[str]] = {}
    for mention in mentions:
        region, side, assertion = describe_mention(mention)
        rows.setdefault((mention.start, mention.text, side, assertion, number(mention.weight)), []).append(region)
    return [(words, " and ".join(regions), *rest) for (_, words, *rest), regions in rows.items()]


def _footer(page: Canvas, explanation: Explanation, y: float) -> float:
    page.draw.line((MARGIN, y, WIDTH - MARGIN, y), fill=RULE, width=2)
    y += 24
    page.write(MARGIN, y, DISCLAIMER, 24, WARNING)
    weights = explanation.computation.weights_sha256
    parts = [
        f"matex {explanation.computation.matex}".strip(),
        f"film {explanation.film.sha256[:12]}",
    ]
    parts += [f"weights {weights[:12]}"] if weights else []
    page.write(WIDTH - MARGIN, y + 2, "   ·   ".join(parts), 20, FAINT, "ra")
    return y + 30
