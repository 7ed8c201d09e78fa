"""Re-explanation of cases: the same method's maps for other pixels, or of another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from matex.adapters.model import Encoded, Model, words
from matex.attribution import make
from matex.attribution.shared.batching import batches
from matex.domains import read_places
from matex.metrics.metric import Case
from matex.metrics.similarity import spearman
from matex.protocols import on_side, unserved
from matex.raw_maps import image_maps, trace_inputs

WordScores = tuple[tuple[str, float], ...]
"""(word, score) in reading order."""


@dataclass(frozen=True, eq=False)
class Maps:
    """Raw maps [case, height, width] in model pixels; components by name, of methods that have them."""

    values: Tensor
    components: dict[str, Tensor]


def explain_again(model: Model, cases: Sequence[Case], pixels: Tensor, batch_size: int = 16) -> Maps:
    """Explain other pixels with the cases' own method and phrases.

    Args:
        model: as the cases', or with other weights.
        cases: of one method; a case may occur several times.
        pixels: one image for each, [case, channel, height, width], normalised.
        batch_size: images run at once.

    Returns:
        Maps on the device of the model, interpolated from their grids.
    """
    method = make(cases[0].explanation.method, cases[0].explanation.parameters)

    def run(start: int, stop: int) -> dict[str, Tensor]:
        some = [case.explanation for case in cases[start:stop]]
        phrases = list(dict.fromkeys(one.token_ids for one in some))
        (maps,) = image_maps(
            model,
            pixels[start:stop],
            [Encoded(ids, ()) for ids in phrases],
            [(number, phrases.index(one.token_ids)) for number, one in enumerate(some)],
            [one.query.context(one.image.placement, one.regions) for one in some],
            [method],
        )
        return {"": maps.values, **maps.terms}

    parts = list(batches(run, len(cases), batch_size))
    return _in_model_pixels({name: torch.cat([part[name] for part in parts]) for name in parts[0]}, cases)


def original(cases: Sequence[Case]) -> Maps:
    """Maps and components of the cases themselves, as `explain_again` returns them."""
    grids = {"": [case.explanation.image.grid for case in cases]}
    for name in cases[0].explanation.components:
        grids[name] = [case.explanation.components[name] for case in cases]
    stacked = {name: torch.stack([torch.from_numpy(grid) for grid in some]) for name, some in grids.items()}
    return _in_model_pixels(stacked, cases)


def _in_model_pixels(grids: dict[str, Tensor], cases: Sequence[Case]) -> Maps:
    placement = cases[0].explanation.image.placement
    maps = {name: placement.map_to_model(values.detach().float()) for name, values in grids.items()}
    return Maps(maps.pop(""), maps)


def explain_words(
    model: Model, cases: Sequence[Case], phrases: Sequence[str], batch_size: int = 16
) -> list[WordScores]:
    """Word scores of other phrases, or of another model, by the cases' own method.

    Args:
        model: as the cases', or with other weights.
        cases: of one method; a case may occur several times.
        phrases: one for each case.
        batch_size: pairs run at once.

    Returns:
        (word, score) in reading order for each phrase; none where the text tower does not serve the method.
    """
    method = make(cases[0].explanation.method, cases[0].explanation.parameters)
    if unserved(method, model.text, model.image) is not None:
        return [()] * len(cases)
    on_words = on_side(method, "text")

    def run(start: int, stop: int) -> list[WordScores]:
        some, texts = [case.explanation for case in cases[start:stop]], phrases[start:stop]
        encoded = {text: model.encode(text) for text in dict.fromkeys(texts)}
        trace = trace_inputs(
            model,
            torch.stack([case.pixels for case in cases[start:stop]]),
            model.batch(list(encoded.values())),
            [(number, list(encoded).index(text)) for number, text in enumerate(texts)],
            [
                one.query.context(one.image.placement, read_places(text, one.query.domain), spans=encoded[text].spans)
                for one, text in zip(some, texts, strict=True)
            ],
            [method],
            ("text",),
        ).text
        scores = cast("list[list[float]]", on_words(trace).detach().to("cpu", torch.float64).tolist())
        found: list[WordScores] = []
        for text, row in zip(texts, scores, strict=True):
            spans = [(a, b, value) for (a, b), value in zip(encoded[text].spans, row, strict=False) if b > a]
            found.append(words(text, [(a, b) for a, b, _ in spans], [value for *_, value in spans]))
        return found

    return [one for part in batches(run, len(cases), batch_size) for one in part]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's correlation of two short vectors; NaN where one is constant or they have fewer than 3 entries."""
    if len(first) < 3:
        return float("nan")
    pair = torch.tensor([first, second], dtype=torch.float64)
    return float(spearman(pair[:1, None], pair[1:, None]))
