"""Embeddings of many images and phrases in batches, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.black_box import BlackBox
from matex.adapters.inputs import refuse_several_sizes, stack_images
from matex.adapters.model import Encoded, Model
from matex.attribution.shared.batching import batches
from matex.forward_pass import encode
from matex.geometry import Resize
from matex.images import Film
from matex.metrics.metric import Case
from matex.scores import Scorer, phrase_scorer

_PHRASES = 64  # run at once


def model_of(cases: Sequence[Case]) -> Model:
    """Return the one model of all cases.

    Raises:
        ValueError: no cases, or cases of several models.
        InputError: films of several shapes at the model's input.
    """
    models = {id(case.model): case.model for case in cases}
    if len(models) != 1:
        raise ValueError(f"Expected cases of one model, got {len(models)} models. Call the metric once per model.")
    refuse_several_sizes(case.explanation.image.placement.model for case in cases)
    return next(iter(models.values()))


def paired_scores(
    model: Model,
    count: int,
    image: Callable[[int], Tensor],
    phrases: Sequence[Sequence[int]],
    batch_size: int,
) -> NDArray[np.float64]:
    """Score of the i-th image with the i-th phrase, [image]: the cosine, or what a black box returns.

    Args:
        model: whose scores these are.
        count: number of images.
        image: image(i) returns the i-th, [channel, height, width]; see `embed_images`.
        phrases: token ids of each, special tokens included.
        batch_size: images run at once.
    """
    if not isinstance(model, BlackBox):
        images = embed_images(model, count, image, batch_size)
        return cosine(images, embed_texts(model, phrases, batch_size))
    values = np.full(count, np.nan)
    for phrase in dict.fromkeys(tuple(phrase) for phrase in phrases):
        rows = [i for i, ids in enumerate(phrases) if tuple(ids) == phrase]
        score = phrase_scorer(model, phrase)

        def run(start: int, stop: int, rows: list[int] = rows, score: Scorer = score) -> Tensor:
            return score(stack_images([image(i) for i in rows[start:stop]]))

        values[rows] = torch.cat(list(batches(run, len(rows), batch_size))).numpy()
    return values


def cosine(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """Products of unit vectors [row, joint], row by row, [row]."""
    return (first.cpu().double() * second.cpu().double()).sum(-1).numpy()


def embed_images(model: Model, count: int, image: Callable[[int], Tensor], batch_size: int) -> Tensor:
    """Unit-norm embeddings of `count` images, [image, joint]; image(i) returns the i-th, [channel, height, width].

    Images are created batch by batch, so that only a batch of them is held at a time; the order of calls is that of the
    numbers, except where memory ran out and a batch is recomputed in pieces.
    """

    def run(start: int, stop: int) -> Tensor:
        return encode(model.image, stack_images([image(i) for i in range(start, stop)]))

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


def film_scores(
    model: Model, films: Iterable[Film], phrases: Sequence[str], resize: Resize = "model"
) -> NDArray[np.float64]:
    """Score of every film with every phrase, [film, phrase]: the cosine, or what a black box returns.

    Films run one at a time, so that they may have different shapes at the model's input.
    """
    encoded = [model.encode(phrase) for phrase in phrases]
    if isinstance(model, BlackBox):
        ids = model.batch(encoded)
        rows = [model.scores(model.prepare(film, resize)[0], ids)[0] for film in films]
    else:
        texts = embed_texts(model, [one.ids for one in encoded], _PHRASES)
        rows = [encode(model.image, model.prepare(film, resize)[0])[0] @ texts.T for film in films]
    return torch.stack(rows).double().cpu().numpy()
