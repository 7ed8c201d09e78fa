"""The class whose score a metric follows: that of the explained phrase, or the predicted one."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.model import Model
from matex.errors import InputError
from matex.geometry import Resize
from matex.images import Film
from matex.metrics.embedding import embed_images, embed_texts
from matex.metrics.metric import Case
from matex.metrics.shrunk import coloured


def explained_class(case: Case) -> str | None:
    """Class that the explained phrase belongs to, the sample's own first; None where it belongs to none."""
    text, own = case.explanation.text, case.sample.label
    if own is not None and text in case.labels.get(own, ()):
        return own
    return next((name for name, phrases in case.labels.items() if text in phrases), None)


def explains_own_class(case: Case) -> bool:
    return case.sample.label not in case.labels or explained_class(case) == case.sample.label


def check_explained(cases: Sequence[Case], names: Sequence[str], target: Tensor) -> None:
    """Refuse maps of another class than the target, given by its number in `names` (-1: none), [case]."""
    for case, number in zip(cases, map(int, target), strict=True):
        if number >= 0 and explained_class(case) != names[number]:
            raise InputError(
                f"Expected the map of a phrase of the target class {names[number]!r}, got that of "
                f"{case.explanation.text!r} (sample {case.sample.id}). Explain a phrase of that class, or use "
                "target='truth' with maps of the true class, or protocol='similarity', which scores the phrase itself."
            )


_CLASSES: weakref.WeakKeyDictionary[Model, dict[object, tuple[list[str], Tensor]]] = weakref.WeakKeyDictionary()


def class_embeddings(model: Model, labels: Mapping[str, tuple[str, ...]], batch_size: int) -> tuple[list[str], Tensor]:
    """Names of the classes and their embeddings [class, joint], each the normalised mean over a class's phrases.

    Cached for as long as the model lives and its weights stay the same: with 80 phrases for each of 1000 classes this
    takes longer than many metrics do.
    """
    known = _CLASSES.setdefault(model, {})
    key = (model.weights_sha256, tuple(labels.items()))
    if key not in known:
        phrases = [model.encode(phrase).ids for of_class in labels.values() for phrase in of_class]
        each = torch.split(embed_texts(model, phrases, batch_size), [len(of_class) for of_class in labels.values()])
        known.clear()
        known[key] = (list(labels), F.normalize(torch.stack([some.mean(0) for some in each]), dim=-1))
    return known[key]


def predicted_classes(
    model: Model, films: Sequence[Film], resize: Resize, labels: Mapping[str, tuple[str, ...]], batch_size: int = 64
) -> list[str]:
    """The class with the highest cosine for each film, which `target="predicted"` measures.

    Args:
        model: whose classes these are.
        films: shrunk as the metric shrinks them.
        resize: as the films are preprocessed.
        labels: phrases of each class.
        batch_size: films run at once.
    """

    def image(number: int) -> Tensor:
        film = films[number]
        return model.prepare(dataclasses.replace(film, pixels=coloured(film.pixels), full=None), resize)[0][0]

    seen = embed_images(model, len(films), image, batch_size)
    names, classes = class_embeddings(model, labels, batch_size)
    similarity = seen.cpu().double() @ classes.cpu().double().T
    return [names[int(number)] for number in similarity.argmax(-1)]
