"""Which score a query explains: that of its phrase, the difference to another phrase, or that of a class."""

# torch's stubs leave split untyped.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from matex.adapters.black_box import BlackBox
from matex.adapters.model import Encoded, Model
from matex.errors import InputError, shown
from matex.forward_pass import PHRASES_AT_ONCE, encode
from matex.objectives import (
    ClassScore,
    ClassScoreKind,
    Contrast,
    Pooling,
    check_class_score,
    choose_class,
    read_classes,
)
from matex.prompts import PROMPT_SETS
from matex.queries import Query

Labels: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]
"""The name of a prompt set, phrases that are classes of their own, or prompts by class."""


def with_objective(
    model: Model,
    query: Query,
    against: str | None = None,
    labels: Labels | None = None,
    of: ClassScoreKind = "logit",
    pool: Pooling = "mean",
) -> Query:
    """The query with the score that is explained; its text becomes that of the explained class's prompt.

    Args:
        model: whose highest logit is the predicted class, and whose scale the logits have.
        query: its text names the explained class; empty for the predicted one.
        against, labels, of, pool: see `matex.explain`.

    Raises:
        InputError: both of `against` and `labels`, `of` or `pool` without `labels`, phrases that
            cannot be read, or a query without a phrase.
        UnknownName: no such prompt set.
    """
    if labels is None and (of, pool) != ("logit", "mean"):
        raise InputError("Expected of and pool with labels, got them without. Leave them out, or name the classes.")
    if against is None and labels is None:
        return query
    if query.target is not None:
        raise InputError("Expected a phrase with against or labels, got an image or sound to compare with.")
    if against is not None and labels is not None:
        raise InputError("Expected against or labels, one of them, got both. Leave one out.")
    if labels is None:
        return replace(query, objective=contrast(query.text, against))
    check_class_score(of, pool)
    known = PROMPT_SETS[labels] if isinstance(labels, str) else read_classes(labels)
    classes, name = choose_class(known, query.text or None)
    return _of_class(model, query, classes, name, of, pool)


def contrast(text: str, against: object) -> Contrast:
    """The difference of a phrase's score and that of another phrase.

    Raises:
        InputError: no other phrase, or the same one.
    """
    if not isinstance(against, str) or not against.strip():
        raise InputError(f"Expected against as the text of another phrase, got {shown(against)}. Write the phrase.")
    if against.split() == text.split():
        raise InputError(
            f"Expected against to differ from the phrase, got {shown(against)} for both. Write another phrase."
        )
    return Contrast(against)


def _of_class(
    model: Model,
    query: Query,
    classes: Mapping[str, tuple[str, ...]],
    name: str | None,
    of: ClassScoreKind,
    pool: Pooling,
) -> Query:
    """The score of a class, by default of the one with the highest logit, and its prompt that fits the film best."""
    prompts = [text for texts in classes.values() for text in texts]
    scores = phrase_scores(model, query, [model.encode(text) for text in prompts])
    by_prompt = {text: float(score) for text, score in zip(prompts, scores, strict=True)}
    first = next(iter(classes))
    settings = (of, pool, model.logit_scale)
    if predicted := name is None:
        logits = ClassScore(classes, first, classes[first][0], *settings).logits(scores)
        name = list(classes)[int(logits.argmax())]
    text = max(classes[name], key=lambda prompt: by_prompt[prompt])
    return replace(query, text=text, objective=ClassScore(classes, name, text, *settings, predicted))


def phrase_scores(model: Model, query: Query, phrases: Sequence[Encoded]) -> Tensor:
    """Scores of a query's film with many phrases, one pass of each encoder, [phrase].

    Args:
        model: whose scores these are.
        query: gives the film and its preprocessing.
        phrases: as the model reads them.
    """
    pixels, token_ids = model.prepare(query.film, query.resize)[0], model.batch(phrases)
    if isinstance(model, BlackBox):
        return model.scores(pixels, token_ids)[0]
    with torch.no_grad():
        texts = torch.cat([encode(model.text, some) for some in token_ids.split(PHRASES_AT_ONCE)])
        return encode(model.image, pixels)[0] @ texts.T
