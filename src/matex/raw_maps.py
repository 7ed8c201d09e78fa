"""The one place where films and phrases become a trace, and a trace raw maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.black_box import BlackBox
from matex.adapters.encoder import Encoder
from matex.adapters.model import Encoded, Model
from matex.objectives import ClassScore, Contrast
from matex.priors.image_context import ImageContext
from matex.protocols import Fused, Method, on_side, side, unserved
from matex.recording import PairTrace, record
from matex.scores import record_scores
from matex.trace import Trace

Side = Literal["image", "text"]


def trace_inputs(
    model: Model,
    pixels: Tensor,
    token_ids: Tensor,
    pairs: Sequence[tuple[int, int]],
    contexts: Sequence[ImageContext],
    methods: Sequence[Method],
    towers: Sequence[Side] = ("image", "text"),
    other_contexts: Sequence[ImageContext] = (),
    objective: Contrast | ClassScore | None = None,
) -> PairTrace:
    """Run both towers over films and phrases for methods that share what was recorded.

    Args:
        model: both towers.
        pixels: of the different films, [image, channel, height, width], normalised.
        token_ids: of the different phrases, [phrase, token]; pixels or spectrograms of what is compared with otherwise.
        pairs: (film, phrase) numbers.
        contexts: what each pair's phrase says about places, one per pair; none without words.
        methods: that will read the trace; they say how far down gradients are needed.
        towers: that they will read.
        other_contexts: see `matex.record`.
        objective: the explained score where it depends on further phrases.
    """
    further = None if objective is None else model.batch([model.encode(text) for text in objective.further])
    if isinstance(model, BlackBox):
        return record_scores(model, pixels, token_ids, pairs, contexts, objective, further)
    sides = {"image": (model.image, model.text), "text": (model.text, model.image)}
    blocks = {f"{tower}_gradient_blocks": gradient_blocks(methods, *sides[tower]) for tower in towers}
    return record(
        model,
        pixels,
        token_ids,
        pairs,
        contexts=contexts,
        other_contexts=other_contexts,
        objective=objective,
        further=further,
        **blocks,
    )


def gradient_blocks(methods: Sequence[Method], tower: Encoder, other: Encoder) -> int:
    """Number of a tower's last blocks whose gradients any of the methods reads."""
    kind = side(tower)
    return max(0 if unserved(one, tower, other) else on_side(one, kind).gradient_blocks(kind) for one in methods)


def raw_maps(method: Method, trace: Trace) -> tuple[Tensor, dict[str, Tensor]]:
    """A method's raw map of each pair, and its terms before their weights where it has any, each [pair, ...]."""
    if not isinstance(method, Fused):
        return method(trace), {}
    terms = method.components(trace)
    return method.fuse(terms), terms


class ImageMaps(NamedTuple):
    """Raw maps of one method for pairs of a trace, on the model's device.

    Args:
        values: [pair, rows, columns].
        terms: before their weights, each shaped as the maps; none of a method without them.
        score: of each pair, [pair].
    """

    values: Tensor
    terms: dict[str, Tensor]
    score: Tensor

    @property
    def grids(self) -> NDArray[np.float32]:
        """The maps as an array [pair, rows, columns]."""
        return self.values.detach().to("cpu", torch.float32).numpy()


def image_maps(
    model: Model,
    pixels: Tensor,
    phrases: Sequence[Encoded],
    pairs: Sequence[tuple[int, int]],
    contexts: Sequence[ImageContext],
    methods: Sequence[Method],
    objective: Contrast | ClassScore | None = None,
) -> list[ImageMaps]:
    """Maps of films by each of the methods, over one trace.

    Args:
        phrases: as the model reads them.
        model, pixels, pairs, contexts, methods, objective: see `trace_inputs`.
    """
    token_ids = model.batch(phrases)
    trace = trace_inputs(model, pixels, token_ids, pairs, contexts, methods, ("image",), objective=objective).image
    return [ImageMaps(*raw_maps(method, trace), trace.score) for method in methods]
