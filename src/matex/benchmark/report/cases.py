"""The films behind the numbers: best and worst cases, progressive removal as in MMEL, degradation as in CA-M2IB.

CaseFilms are read again from the data set that the run names. Where they cannot be, the maps are shown alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.adapters.model import Encoded
from matex.benchmark.config import Config
from matex.benchmark.report.section import Entry, Measure, Run, Section, Values
from matex.benchmark.report.style import style_of
from matex.benchmark.runs.inputs import Inputs, film_of, without_folder
from matex.checks import is_object
from matex.datasets import Sample
from matex.errors import CheckpointError, InputError, UnsupportedModel
from matex.geometry import Box, Placement
from matex.images import Film
from matex.metrics.confidence import highest_first
from matex.metrics.field_of_view import union
from matex.render.colormap import ColourScale
from matex.render.overlay import at_size, draw_film, fit, layered, paint
from matex.results import SaliencyMap

SIDE = 260  # longer side of a picture, pixels
REMOVED = (5, 10, 15, 20, 25)  # percent, as in MMEL's figure 5
EACH = 3  # best cases of each method, and as many of its worst
MEAN = 115  # grey in place of the model's mean colour, which differs a little from model to model
OUTLINE, OTHER = (95, 227, 255), (255, 122, 214)


@dataclass(frozen=True, eq=False)
class Picture:
    """A film with something done to it.

    Args:
        image: to show.
        caption: one or two short lines.
        alt: the same for those who cannot see it.
    """

    image: Image.Image
    caption: tuple[str, ...]
    alt: str


@dataclass(frozen=True, eq=False)
class Strip:
    """Pictures side by side."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, eq=False)
class CaseFilm:
    """A sample as its film shows it, with how the model read it."""

    sample: Sample
    film: Film
    placement: Placement
    phrase: Encoded


class CaseFilms:
    """CaseFilms of a run by sample; those that cannot be opened are missing: `reasons` by (data set, model)."""

    def __init__(
        self, run: Run, roots: Mapping[str, Path], wanted: Mapping[tuple[str, str], Mapping[str, int]]
    ) -> None:
        self.reasons: dict[tuple[str, str], str] = {}
        self._films: dict[tuple[str, str, str], CaseFilm] = {}
        # A run records names without folders: what lies in the current folder or on the hub may be another model.
        inputs, weights = Inputs(with_roots(run.config, roots), cached_only=True), run.record.get("weights")
        for (dataset, model), samples in wanted.items():
            try:
                for name, number in samples.items():
                    self._films[dataset, model, name] = _case_film(
                        inputs, dataset, model, name, number, weights.get(model) if is_object(weights) else None
                    )
            except (CheckpointError, InputError, UnsupportedModel) as error:
                root = roots.get(dataset)
                self.reasons[dataset, model] = without_folder(str(error), root) if root else str(error)

    def get(self, dataset: str, model: str, sample: str) -> CaseFilm | None:
        return self._films.get((dataset, model, sample))


def _case_film(inputs: Inputs, dataset: str, model: str, name: str, number: int, weights: object) -> CaseFilm:
    """A film read again, and how the model takes it.

    Raises:
        CheckpointError: the model is not at hand, or has other weights than the run recorded.
        InputError: the data set cannot be opened or holds something else, or the image cannot be read.
        UnsupportedModel: the model cannot be loaded.
    """
    sample = inputs.sample(dataset, number) if number < inputs.count(dataset) else None
    if sample is None or sample.id != name:
        raise InputError(f"Expected the samples of the run in the data set {dataset!r}, got others. Name its folder.")
    loaded = inputs.reader(model, dataset)
    film = film_of(loaded, sample)
    if loaded.weights_sha256 != weights:
        raise CheckpointError(f"Expected the weights that the run recorded for the model {model!r}, got others.")
    _, placement = loaded.prepare(film, inputs.choice(model).resize)
    return CaseFilm(sample, film, placement, loaded.encode(sample.text))


def with_roots(config: Config, roots: Mapping[str, Path]) -> Config:
    """The configuration with the folders that the user names; a run records none.

    Raises:
        InputError: a label that no data set of the run has.
    """
    labels = [choice.label for choice in config.datasets]
    for label in roots:
        if label not in labels:
            raise InputError(f"Expected --data LABEL=FOLDER with LABEL one of {', '.join(labels)}, got {label!r}.")
    datasets = tuple(
        dataclasses.replace(choice, parameters={**choice.parameters, "root": roots[choice.label]})
        if choice.label in roots
        else choice
        for choice in config.datasets
    )
    return dataclasses.replace(config, datasets=datasets)


def extremes(section: Section, method: str, measure: Measure) -> tuple[list[int], list[int]]:
    """Samples (best, worst) of a method, one per film, by number; equal values in the order of the ids."""
    values = section.values(method, measure)
    sign = -1 if measure.better == "lower" else 1
    order = [int(at) for at in np.argsort(-sign * values, kind="stable") if not math.isnan(values[at])]

    def first(numbers: Sequence[int]) -> list[int]:
        films: dict[str, int] = {}
        for number in numbers:
            films.setdefault(section.clusters[number], number)
        return list(films.values())[:EACH]

    best = first(order)
    worst = [number for number in first(order[::-1]) if number not in best]
    return best, worst


def typical(section: Section, method: str, measure: Measure) -> int | None:
    """The sample in the middle of a method's values."""
    values = section.values(method, measure)
    order = [int(at) for at in np.argsort(values, kind="stable") if not math.isnan(values[at])]
    return order[len(order) // 2] if order else None


class CaseMaps:
    """Maps and token scores of a run; one method's are read at a time."""

    def __init__(self, run: Run, section: Section) -> None:
        self._run = run
        self._section = section

    def of(self, entry: Entry, samples: Sequence[str]) -> dict[str, tuple[NDArray[np.float32], Values]]:
        """(raw grid, token scores) of some samples, from the first seed."""
        section = self._section
        found = self._run.store.maps(section.dataset, section.model, entry.label, entry.seeds[0])
        return {
            name: (grid, np.empty(0) if tokens is None else tokens.astype(np.float64))
            for name, grid, tokens in found
            if name in samples
        }


def cases(section: Section, entry: Entry, measure: Measure, maps: CaseMaps, films: CaseFilms) -> list[Strip]:
    """Best and worst cases of one method by one measure."""
    best, worst = extremes(section, entry.label, measure)
    names = [str(section.samples[number]["sample"]) for number in (*best, *worst)]
    grids = maps.of(entry, names)
    values, style = section.values(entry.label, measure), style_of(measure)
    strips: list[Strip] = []
    for title, numbers in (("best", best), ("worst", worst)):
        pictures = [
            Picture(
                case_picture(section, number, grids[name][0], films),
                (
                    f"“{section.samples[number]['text']}”",
                    f"{style.label} {style.number(values[number])}{_unit(style.unit)}",
                ),
                f"{entry.label} on “{section.samples[number]['text']}”, {style.label} {style.number(values[number])}",
            )
            for number in numbers
            if (name := str(section.samples[number]["sample"])) in grids
        ]
        if pictures:
            strips.append(Strip(title, tuple(pictures)))
    return strips


def case_picture(section: Section, number: int, grid: NDArray[np.float32], films: CaseFilms) -> Image.Image:
    """A map on its film with what is marked outlined; alone where there is no film."""
    row = section.samples[number]
    seen = films.get(section.dataset, section.model, str(row["sample"]))
    scale = ColourScale.of(grid)
    if seen is None:
        return outlined(map_alone(grid, row), (int(row["height"]), int(row["width"])), row["boxes"], None, None)
    size = fit(seen.placement.original, SIDE, SIDE)
    picture = layered(seen.film, grid, seen.placement, scale, size)
    return outlined(picture, seen.placement.original, row["boxes"], seen.sample.mask, seen.sample.other)


def map_alone(grid: NDArray[np.float32], row: Mapping[str, object]) -> Image.Image:
    """A map without its film, stretched to the film's shape."""
    height, width = fit((int(str(row["height"])), int(str(row["width"]))), SIDE, SIDE)
    values = np.asarray(Image.fromarray(grid.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    return Image.alpha_composite(
        Image.new("RGBA", (width, height), (20, 22, 26, 255)), paint(values, ColourScale.of(grid)).convert("RGBA")
    ).convert("RGB")


def outlined(
    picture: Image.Image,
    original: tuple[int, int],
    boxes: Sequence[Box],
    mask: NDArray[np.bool_] | None,
    other: NDArray[np.bool_] | None,
) -> Image.Image:
    """Draw the outline of the truth in light blue and that of unnamed findings in pink."""
    pixels = np.asarray(picture).copy()
    truth = union([(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes], original) if mask is None else mask
    for area, colour in ((other, OTHER), (truth, OUTLINE)):
        if area is not None and area.any():
            small = np.asarray(Image.fromarray(area).resize(picture.size, Image.Resampling.NEAREST))
            pixels[_edge(small)] = colour
    return Image.fromarray(pixels)


def removal(section: Section, entry: Entry, measure: Measure, maps: CaseMaps, films: CaseFilms) -> Strip | None:
    """A typical film with the highest 5 to 25 percent of the map taken out, as in MMEL's figure 5."""
    found = _typical_seen(section, entry, measure, maps, films)
    if found is None:
        return None
    seen, grid, _ = found
    size = fit(seen.placement.original, SIDE, SIDE)
    film = np.asarray(draw_film(seen.film, size))
    values = at_size(grid, seen.placement, size)
    known = np.isfinite(values)
    pictures = [Picture(Image.fromarray(film), ("whole film",), f"the film of “{seen.sample.text}”")]
    rank = np.full(values.shape, np.inf)
    order = np.argsort(-values[known], kind="stable")
    place = np.empty(order.size)
    place[order] = np.arange(order.size)
    rank[known] = place
    for percent in REMOVED:
        gone = rank < percent / 100 * known.sum()
        left = np.where(gone[..., None], np.uint8(MEAN), film)
        caption = f"{percent} % removed"
        pictures.append(Picture(Image.fromarray(left), (caption,), f"{entry.label}: {caption}"))
    return Strip(f"{entry.label}: “{seen.sample.text}”", tuple(pictures))


def degradation(section: Section, entry: Entry, measure: Measure, maps: CaseMaps, films: CaseFilms) -> Strip | None:
    """Inputs of the confidence metrics and of ROAR+ for a typical film and its phrase, as in CA-M2IB's figure 3."""
    found = _typical_seen(section, entry, measure, maps, films)
    if found is None:
        return None
    seen, grid, tokens = found
    size = fit(seen.placement.original, SIDE, SIDE)
    film = np.asarray(draw_film(seen.film, size)).astype(np.float64)
    values = at_size(grid, seen.placement, size)
    known = np.isfinite(values)
    low, high = float(values[known].min()), float(values[known].max())
    heat = np.nan_to_num((values - low) / (high - low))[..., None]  # minimum to maximum, as the metric multiplies
    high = known & (values > np.percentile(values[known], 75))
    mean = film[known].mean(axis=0)
    pieces = [
        (film, "film and phrase", seen.sample.text),
        (np.asarray(layered(seen.film, grid, seen.placement, ColourScale.of(grid), size)), "map", ""),
        (heat * film + (1 - heat) * MEAN, "confidence: film × map", _phrase_with_blanks(seen, tokens, keep=True)),
        (
            np.where(high[..., None], mean, film),
            "ROAR+: highest quarter to the mean",
            _phrase_with_blanks(seen, tokens, keep=False),
        ),
    ]
    pictures = tuple(
        Picture(
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)),
            tuple(line for line in (caption, text) if line),
            caption,
        )
        for pixels, caption, text in pieces
    )
    return Strip(entry.label, pictures)


def _typical_seen(
    section: Section, entry: Entry, measure: Measure, maps: CaseMaps, films: CaseFilms
) -> tuple[CaseFilm, NDArray[np.float32], Values] | None:
    number = typical(section, entry.label, measure)
    if number is None:
        return None
    name = str(section.samples[number]["sample"])
    seen = films.get(section.dataset, section.model, name)
    found = maps.of(entry, [name]).get(name)
    if seen is None or found is None or SaliencyMap(found[0], seen.placement).degenerate:
        return None
    return seen, found[0], found[1]


def _phrase_with_blanks(seen: CaseFilm, tokens: Values, keep: bool) -> str:
    """The phrase with the lower half of its tokens blanked, or the upper half of them."""
    spans = [(start, end) for start, end in seen.phrase.spans if end > start]
    if not len(tokens) or len(tokens) != len(spans) or np.isnan(tokens).any():
        return ""
    chosen = set(highest_first(tokens.tolist())[: math.ceil(len(spans) / 2)].tolist())
    text, shown, position = seen.sample.text, "", 0
    for number, (start, end) in enumerate(spans):
        shown += text[position:start] + (text[start:end] if (number in chosen) == keep else "▁")
        position = end
    return shown


def _edge(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of an area that touch one outside of it, and those that it touches: a line of two pixels."""
    edge = np.zeros_like(area)
    for one, other in _neighbours(area):
        edge[one] |= area[one] != area[other]
    return edge


def _neighbours(area: NDArray[np.bool_]) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    every, first, last = slice(None), slice(None, -1), slice(1, None)
    for one, other in (((first, every), (last, every)), ((every, first), (every, last))):
        yield one, other
        yield other, one


def _unit(unit: str) -> str:
    return f" {unit}" if unit == "%" else ""
