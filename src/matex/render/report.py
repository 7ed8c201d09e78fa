"""report.html: one or several explanations on a page, complete without its script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from PIL import Image

from matex.checks import as_path
from matex.files import replacing
from matex.geometry import Box
from matex.render.browser_files import film_script, film_style
from matex.render.colormap import ColourScale
from matex.render.film_data import viewer_data
from matex.render.overlay import (
    SIDE,
    Sides,
    at_size,
    contours,
    draw_film,
    draw_unseen,
    fit,
    letters,
    overlay,
    paint,
    target_overlay,
)
from matex.render.page import FILM_STYLE, LAYERS, SHADES, jpeg, render, render_fragment
from matex.render.panel import Layer, describe_mention, format_score, format_word_scores, layers, number, panel, places
from matex.results import Explanation
from matex.serialise import strict_json, to_dict

THUMB = 560  # longer side of a picture on a contact sheet, pixels


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
        boxes: for each explanation the boxes that readers marked on its film; drawn dashed, never shown to a model.
        left_out: methods that are not on the page, each with the reason.
    """
    target = as_path(path, "a file")
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
    pairs = zip(explanations, boxes or [()] * len(explanations), strict=True)
    return render(
        "report.html",
        title,
        FILM_STYLE,
        film_script(),
        lead=lead,
        lines=lines,
        left_out=by_reason(left_out or {}),
        sections=[ExplanationSection(f"e{index}", one, marked) for index, (one, marked) in enumerate(pairs, start=1)],
        one_phrase=len({explanation.text for explanation in explanations}) == 1,
        one_film=len({explanation.film.sha256 for explanation in explanations}) == 1,
        legends=list(dict.fromkeys(sides.legend for one in explanations if (sides := letters(one)))),
        version=explanations[0].computation.matex if explanations else "",
    )


def by_reason(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    """The methods that are left out for the same reason, by that reason."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return names


def fragment(explanation: Explanation) -> str:
    """For notebooks: the panel as a picture, and where scripts run the film component in its place.

    Viewers of notebooks that remove scripts keep the picture and its text.
    """
    full = panel(explanation)
    words = ", ".join(f"{word} {number(score)}" for word, score in explanation.words)
    picture = draw_film(explanation.film, fit(explanation.image.placement.original, SIDE, SIDE))
    data: dict[str, object] = {
        **viewer_data(explanation, (final_layer(explanation), *layers(explanation))),
        "picture": jpeg(picture),
        "style": film_style(),
        "heading": f"“{explanation.text}”: score {format_score(explanation.score)}, {explanation.method}",
        "words": f"Words: {words}" if words else "",
    }
    return render_fragment(
        "fragment.html",
        explanation=explanation,
        words=words,
        picture=full.resize((1152, round(full.height * 0.6)), Image.Resampling.LANCZOS),
        film_data=embedded(data),
        script=film_script("notebook.js"),
    )


def final_layer(explanation: Explanation) -> Layer:
    """The final map, as a layer next to its terms."""
    image = explanation.image
    return Layer("Map", "the final map", image.grid, ColourScale(*image.range), weight=None)


class PhrasePart(NamedTuple):
    """A piece of the phrase; `kind` is "on", "off" or "normal" where the parser found a place in it."""

    text: str
    kind: str = ""
    meaning: str = ""


class Chip(NamedTuple):
    """One word with its score; `shade` is the style class of its colour."""

    word: str
    score: str
    shade: str


class MapView(NamedTuple):
    """One map that the reader can switch to, with its colour bar."""

    layer: Layer
    picture: Image.Image

    @property
    def range(self) -> str:
        """The raw values of the map in words."""
        scale = self.layer.scale
        if scale.constant:
            return "constant" if np.isfinite(scale.low) else "undefined"
        return f"raw values {scale.format(scale.low)} to {scale.format(scale.high)}"

    @property
    def everywhere(self) -> str:
        """The one value of a constant map, in words."""
        low = self.layer.scale.low
        return f"constant, {number(low)} everywhere" if np.isfinite(low) else "undefined everywhere"

    @property
    def bar(self) -> Image.Image:
        return Image.fromarray(self.layer.scale.colours[None, :, :])

    @property
    def ends(self) -> tuple[float, float, float]:
        """Raw values at the left end, the centre and the right end of the colour bar."""
        start, end = self.layer.scale.ends
        return (start, (start + end) / 2, end)


class FilmLayers(NamedTuple):
    """The film, and the maps that can be laid over it."""

    film: Image.Image
    maps: Sequence[MapView]
    contours: Image.Image
    sides: Sides | None


@dataclass(frozen=True)
class ExplanationSection:
    """One explanation as the template shows it.

    Args:
        key: anchor on the page.
        explanation: that is shown.
        boxes: marked by readers, in original pixels.
    """

    key: str
    explanation: Explanation
    boxes: Sequence[Box]

    def thumbnail(self) -> Image.Image:
        """The overlay for the contact sheet."""
        return overlay(self.explanation, THUMB)

    def target(self) -> Image.Image | None:
        """The image or sound that was compared with, with its map; None for a phrase."""
        target = self.explanation.target
        return None if target is None else target_overlay(self.explanation, target, THUMB)

    def facts(self, one_phrase: bool, one_film: bool) -> list[str]:
        """Lines under the thumbnail: what differs between the explanations of the page."""
        explanation = self.explanation
        seconds = explanation.computation.seconds
        facts = [] if one_phrase else [explanation.method]
        facts.append(f"score {format_score(explanation.score)}")
        if one_phrase and np.isfinite(seconds):
            facts.append(f"own formula {duration(seconds)}")
        if explanation.image.degenerate:
            facts.append("constant map")
        if not one_film:
            facts.append(explanation.film.name)
        return facts

    def phrase(self) -> list[PhrasePart]:
        """The phrase in pieces, with the places that the parser found."""
        text = self.explanation.text
        marks: dict[tuple[int, int], list[str]] = {}
        for mention in self.explanation.regions:
            kind = "normal" if mention.normal else "off" if mention.weight == 0 else "on"
            marks.setdefault((mention.start, mention.end), [kind]).append(", ".join(describe_mention(mention)))
        parts, position = list[PhrasePart](), 0
        for (start, end), (kind, *meanings) in sorted(marks.items()):
            if start < position:
                continue
            parts += [PhrasePart(text[position:start]), PhrasePart(text[start:end], kind, "; ".join(meanings))]
            position = end
        return [*parts, PhrasePart(text[position:])]

    def viewer(self) -> FilmLayers:
        """The film with the maps that can be switched between: the final one, the terms and the prior."""
        explanation = self.explanation
        placement = explanation.image.placement
        size, small = fit(placement.original, SIDE, SIDE), fit(placement.original, 512, 512)
        final = final_layer(explanation)
        values = at_size(final.grid, placement, size)
        film = draw_film(explanation.film, size).convert("RGBA")
        if not (seen := np.isfinite(values)).all():
            film.alpha_composite(draw_unseen(seen))
        return FilmLayers(
            film.convert("RGB"),
            [
                MapView(layer, paint(at_size(layer.grid, placement, small), layer.scale))
                for layer in (final, *layers(explanation))[:LAYERS]
            ],
            contours(final.scale.strength(values), 1.6),
            letters(explanation),
        )

    def chips(self) -> list[Chip]:
        """The words with their scores: amber raised the score of the phrase, blue lowered it."""
        words = self.explanation.words
        largest = max((abs(score) for _, score in words if np.isfinite(score)), default=0.0) or 1.0
        numbers = format_word_scores([score for _, score in words])
        shades = [round(score / largest * SHADES) if np.isfinite(score) else 0 for _, score in words]
        return [
            Chip(word, score, f"plus{shade}" if shade >= 0 else f"minus{-shade}")
            for (word, _), score, shade in zip(words, numbers, shades, strict=True)
        ]

    def places(self) -> list[tuple[str, ...]]:
        """Rows of the table of places: words, region, side, assertion, weight."""
        return places(self.explanation.regions)

    def terms(self) -> list[Layer]:
        """The terms that add up to the map."""
        return [layer for layer in layers(self.explanation) if layer.weight is not None]

    def details(self) -> dict[str, Mapping[str, object]]:
        """The tables that are folded away, by their headings."""
        explanation = self.explanation
        tokens = {f"{i + 1}. {token.text}": number(token.score) for i, token in enumerate(explanation.tokens)}
        return {
            "Parameters": explanation.parameters,
            "Tokens": tokens,
            "Provenance": _flat(explanation.provenance),
        }

    def json(self) -> str:
        """The record as JSON that cannot end the script element it stands in."""
        return embedded(to_dict(self.explanation))

    def film_data(self, viewer: FilmLayers) -> str:
        """The film and the maps of the viewer for the script of the page, in JSON."""
        return embedded(viewer_data(self.explanation, [view.layer for view in viewer.maps], self.boxes))


def embedded(values: Mapping[str, object]) -> str:
    """Values as JSON without characters that would end the script element it stands in."""
    json = strict_json(values)
    for character in "<>&\u2028\u2029":
        json = json.replace(character, f"\\u{ord(character):04x}")
    return json


def duration(seconds: float) -> str:
    """A time to two or more significant digits, never "0 ms"."""
    milliseconds = 1000 * seconds
    if milliseconds >= 1000:
        return f"{seconds:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


def _flat(values: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Nested mappings as one, names joined by dots."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(cast("Mapping[str, object]", value), f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = json.dumps(value) if isinstance(value, (list, tuple, dict)) else value
    return flat
