"""Embeddings of many images and phrases in batches, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from matex.adapters.model import Encoded, Model
from matex.attribution.shared.batching import batches
from matex.forward_pass import encode
from matex.metrics.metric import Case


def model_of(cases: Sequence[Case]) -> Model:
    """Return the one model of all cases.

    Raises:
        ValueError: no cases, or cases of several models.
    """
    models = {id(case.model): case.model for case in cases}
    if len(models) != 1:
        raise ValueError(f"Expected cases of one model, got {len(models)} models. Call the metric once per model.")
    return next(iter(models.values()))


def embed_images(model: Model, count: int, image: Callable[[int], Tensor], batch_size: int) -> Tensor:
    """Unit-norm embeddings of `count` images, [image, joint]; image(i) returns the i-th, [channel, height, width].

    Images are created batch by batch, so that only a batch of them is held at a time; the order of calls is that of the
    numbers, except where memory ran out and a batch is recomputed in pieces.
    """

    def run(start: int, stop: int) -> Tensor:
        return encode(model.image, torch.stack([image(i) for i in range(start, stop)]))

    return torch.cat(list(batches(run, count, batch_size)))


def embed_texts(model: Model, phrases: Sequence[Sequence[int]], batch_size: int) -> Tensor:
    """Unit-norm embeddings of phrases given as token ids, special tokens included, [phrase, joint].

    Equal phrases are run once, so that their embeddings are equal to the last bit.
    """
    different = sorted({tuple(phrase) for phrase in phrases}, key=lambda ids: (len(ids), ids))
    number = {ids: i for i, ids in enumerate(different)}

    def run(start: int, stop: int) -> Tensor:
        return encode(model.text, model.batch([Encoded(ids, ()) for ids in different[start:stop]]))

    embeddings = torch.cat(list(batches(run, len(different), batch_size)))
    return embeddings[[number[tuple(phrase)] for phrase in phrases]]
