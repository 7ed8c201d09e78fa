"""Choice of the explained score: that of the phrase, the difference to another phrase, or that of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypedDict

import torch
from torch import Tensor

from matex.adapters.black_box import BlackBox
from matex.adapters.model import Encoded, Model
from matex.errors import InputError, shown
from matex.forward_pass import encode
from matex.objectives import (
    ClassScore,
    ClassScoreKind,
    Contrast,
    Pooling,
    check_class_score,
    choose_class,
    read_classes,
)
from matex.phrase_cache import embed_phrases
from matex.prompts import PROMPT_SETS
from matex.queries import Query

Labels: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]
"""The name of a prompt set, phrases that are classes of their own, or prompts by class."""


class ScoreArguments(TypedDict, total=False):
    """Arguments of `matex.explain` that choose the explained score; none of them for that of the phrase."""

    against: str | None
    labels: Labels | None
    of: ClassScoreKind
    pool: Pooling


class ExplainedScore:
    """The score that a call explains, the same for all its films.

    Args:
        model: whose highest logit is the predicted class, and whose scale the logits have.
        against, labels, of, pool: see `matex.explain`.

    Raises:
        InputError: both of `against` and `labels`, `of` or `pool` without `labels`, or phrases that cannot be read.
        UnknownName: no such prompt set.
    """

    def __init__(
        self,
        model: Model,
        against: str | None = None,
        labels: Labels | None = None,
        of: ClassScoreKind = "logit",
        pool: Pooling = "mean",
    ) -> None:
        self.against, self.classes = check_score(against, labels, of, pool)
        self.of: ClassScoreKind = of
        self.pool: Pooling = pool
        self._model = model

    @property
    def of_one_phrase(self) -> bool:
        """Whether it is the score of the phrase itself."""
        return self.against is None and self.classes is None

    def explained(self, query: Query, model: Model | None = None) -> Query:
        """The query with this score; where it is that of a class, its text becomes the class's prompt that fits best.

        Args:
            query: its text is the phrase; with classes the name of one, one of its prompts, or a phrase that becomes a
                class of its own, and empty for the predicted one.
            model: the pair of encoders that reads the film; None for that of the score.

        Raises:
            InputError: the phrase equal to `against`, fewer than two classes, a prompt that the model cannot read, or a
                query without a phrase.
        """
        if self.of_one_phrase:
            return query
        if query.target is not None:
            raise InputError("Expected a phrase with against or labels, got an image or sound to compare with.")
        if self.classes is None:
            return replace(query, objective=contrast(query.text, self.against))
        model = model or self._model
        classes, name = choose_class(self.classes, query.text or None)
        if name is not None and len(classes[name]) == 1:
            text, predicted = classes[name][0], False
        else:
            name, text, predicted = self._best(model, query, classes, name)
        score = ClassScore(classes, name, text, self.of, self.pool, model.logit_scale, predicted)
        return replace(query, text=text, objective=score)

    def _best(
        self, model: Model, query: Query, classes: Mapping[str, tuple[str, ...]], name: str | None
    ) -> tuple[str, str, bool]:
        """The explained class, its prompt with the highest score, and whether the class was predicted."""
        prompts = [text for texts in classes.values() for text in texts]
        scores = phrase_scores(model, query, [model.encode(text) for text in prompts])
        by_prompt = {text: float(score) for text, score in zip(prompts, scores, strict=True)}
        first = next(iter(classes))
        if predicted := name is None:
            logits = ClassScore(classes, first, classes[first][0], self.of, self.pool, model.logit_scale).logits(scores)
            name = list(classes)[int(logits.argmax())]
        return name, max(classes[name], key=lambda prompt: by_prompt[prompt]), predicted


def check_score(
    against: str | None = None, labels: Labels | None = None, of: ClassScoreKind = "logit", pool: Pooling = "mean"
) -> tuple[str | None, Mapping[str, tuple[str, ...]] | None]:
    """The other phrase and the prompts by class of an explained score, whichever of them it has.

    Raises:
        InputError: both of `against` and `labels`, `of` or `pool` without `labels`, or phrases that cannot be read.
        UnknownName: no such prompt set.
    """
    if labels is None and (of, pool) != ("logit", "mean"):
        raise InputError("Expected of and pool with labels, got them without. Leave them out, or name the classes.")
    if against is not None and labels is not None:
        raise InputError("Expected against or labels, one of them, got both. Leave one out.")
    check_class_score(of, pool)
    if labels is None:
        return (None if against is None else contrast("", against).against), None
    return None, PROMPT_SETS[labels] if isinstance(labels, str) else read_classes(labels)


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
        return encode(model.image, pixels)[0] @ embed_phrases(model, token_ids).T
