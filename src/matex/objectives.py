"""Scores that depend on several phrases: the difference of two, or the score of a class among others.

An objective is a function of the scores of one input with several phrases, so that it serves models with embeddings and
black boxes alike. With embeddings, its gradient at the recorded embedding is the target of gradient methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, TypeVar, get_args

import torch
from torch import Tensor

from matex.checks import check_once, is_list, is_mapping, is_object
from matex.errors import InputError, shown

ClassScoreKind = Literal["logit", "log-softmax", "margin"]
Pooling = Literal["mean", "max"]
Choice = TypeVar("Choice", bound=str)


class Objective(Protocol):
    """A function of the scores of one input with several phrases."""

    @property
    def further(self) -> tuple[str, ...]:
        """The phrases besides the explained one."""
        ...

    @property
    def linear(self) -> bool:
        """Whether the score is a weighted sum of the phrases' scores with fixed weights."""
        ...

    @property
    def name(self) -> str:
        """The score in words, for outputs."""
        ...

    def __call__(self, scores: Tensor) -> Tensor:
        """The explained score of scores [..., phrase], the explained phrase first, then the further ones; [...]."""
        ...

    def record(self) -> dict[str, object]:
        """As plain values; `read_objective` is its inverse."""
        ...


@dataclass(frozen=True)
class Contrast:
    """S(phrase) - S(against): what speaks for one phrase rather than another.

    Args:
        against: the other phrase.

    Source:
        METHODS 21.
    """

    against: str

    @property
    def further(self) -> tuple[str, ...]:
        return (self.against,)

    @property
    def linear(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return f"cosine similarity minus that of “{self.against}”"

    def __call__(self, scores: Tensor) -> Tensor:
        return scores[..., 0] - scores[..., 1]

    def record(self) -> dict[str, object]:
        return {"against": self.against}


class Prompt(NamedTuple):
    """One of the phrases of a class."""

    of_class: str
    text: str


@dataclass(frozen=True)
class ClassScore:
    """Score of one class among several, each of which has one or more prompts.

    l_k = scale * mean (or maximum) over the prompts of class k of their scores.

    Args:
        classes: prompts by class.
        explained: the class that is explained.
        text: the prompt of that class whose words are explained; further prompts enter the score alone.
        of: "logit" is l_k; "log-softmax" is l_k - log sum_j exp l_j; "margin" is l_k minus the highest other l_j.
        pool: "mean" or "max" over the prompts of a class.
        scale: inverse temperature of the model.
        predicted: whether the class was chosen as the one with the highest logit.

    Source:
        METHODS 21.
    """

    classes: Mapping[str, tuple[str, ...]] = field(hash=False)
    explained: str
    text: str
    of: ClassScoreKind = "logit"
    pool: Pooling = "mean"
    scale: float = 1.0
    predicted: bool = False

    @cached_property
    def _prompts(self) -> tuple[Prompt, ...]:
        """All prompts, the one whose words are explained first."""
        prompts = [Prompt(name, text) for name, texts in self.classes.items() for text in texts]
        first = Prompt(self.explained, self.text)
        prompts.remove(first)
        return (first, *prompts)

    @property
    def further(self) -> tuple[str, ...]:
        return tuple(prompt.text for prompt in self._prompts[1:])

    @property
    def linear(self) -> bool:
        return self.of == "logit" and self.pool == "mean"

    @property
    def name(self) -> str:
        of = {"logit": "logit", "log-softmax": "log-softmax", "margin": "margin to the runner-up"}[self.of]
        chosen = "predicted class" if self.predicted else "class"
        return f"{of} of the {chosen} “{self.explained}” among {len(self.classes)}"

    def __call__(self, scores: Tensor) -> Tensor:
        logits = self.logits(scores)
        number = list(self.classes).index(self.explained)
        own = logits[..., number]
        if self.of == "logit":
            return own
        if self.of == "log-softmax":
            return own - logits.logsumexp(dim=-1)
        others = torch.cat([logits[..., :number], logits[..., number + 1 :]], dim=-1)
        return own - others.amax(dim=-1)

    def logits(self, scores: Tensor) -> Tensor:
        """Logits of the classes [..., class] of scores [..., phrase]."""
        of_class = {name: [i for i, one in enumerate(self._prompts) if one.of_class == name] for name in self.classes}
        pooled = [
            scores[..., numbers].mean(dim=-1) if self.pool == "mean" else scores[..., numbers].amax(dim=-1)
            for numbers in of_class.values()
        ]
        return self.scale * torch.stack(pooled, dim=-1)

    def record(self) -> dict[str, object]:
        return {
            "labels": {name: list(texts) for name, texts in self.classes.items()},
            "class": self.explained,
            "text": self.text,
            "of": self.of,
            "pool": self.pool,
            "scale": self.scale,
            "predicted": self.predicted,
        }


def read_objective(record: object) -> Contrast | ClassScore | None:
    """The objective of a record, as JSON holds it; None where one phrase's score was explained.

    Raises:
        InputError: a record that is damaged.
    """
    if record is None:
        return None
    try:
        if not is_object(record):
            raise TypeError("no object")
        return _recorded_contrast(record) if "against" in record else _recorded_class(record)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # an InputError is a ValueError
        raise InputError(
            f"Expected the recorded score as a contrast or a class, got {shown(record)}. Explain again."
        ) from error


def _recorded_contrast(record: Mapping[str, object]) -> Contrast:
    against = record["against"]
    if not isinstance(against, str) or not against.strip():
        raise ValueError("no phrase")
    return Contrast(against)


def _recorded_class(record: Mapping[str, object]) -> ClassScore:
    of, pool = check_class_score(record["of"], record["pool"])
    classes, scale, predicted = read_classes(record["labels"]), record["scale"], record["predicted"]
    explained, text = record["class"], record["text"]
    if (
        len(classes) < 2
        or not isinstance(explained, str)
        or not isinstance(text, str)
        or text not in classes[explained]
    ):
        raise ValueError("no explained class among others")
    if not isinstance(scale, int | float) or not 0 < scale < math.inf or not isinstance(predicted, bool):
        raise ValueError("no scale, or not known whether predicted")
    return ClassScore(classes, explained, text, of, pool, float(scale), predicted)


def check_class_score(of: object, pool: object) -> tuple[ClassScoreKind, Pooling]:
    """The score of a class and the pooling of its prompts.

    Raises:
        InputError: a value that there is not.
    """
    return _one_of("of", of, get_args(ClassScoreKind)), _one_of("pool", pool, get_args(Pooling))


def _one_of(name: str, value: object, choices: tuple[Choice, ...]) -> Choice:
    for choice in choices:
        if value == choice:
            return choice
    raise InputError(f"Expected {name} to be one of {', '.join(choices)}, got {shown(value)}.")


def read_classes(labels: object) -> dict[str, tuple[str, ...]]:
    """Prompts by class, of a list of phrases, each a class of its own, or of a mapping to one or more prompts.

    Raises:
        InputError: anything else, an empty phrase, or a phrase given twice.
    """
    if is_mapping(labels):
        given = {name: texts if is_list(texts) else [texts] for name, texts in labels.items()}
    elif is_list(labels):
        given = {text: [text] for text in labels}
        check_once("label", labels)
    else:
        raise InputError(f"Expected labels as a list of phrases or prompts by class, got {shown(labels)}.")
    classes: dict[str, tuple[str, ...]] = {}
    for name, texts in given.items():
        prompts = tuple(text for text in texts if isinstance(text, str) and text.strip())
        if not isinstance(name, str) or not prompts or len(prompts) < len(texts):
            raise InputError(
                f"Expected every label as text with at least one prompt, got {shown(name)} without. Write its phrase."
            )
        classes[name] = prompts
    check_once("prompt", (text for prompts in classes.values() for text in prompts))
    return classes


def choose_class(
    classes: Mapping[str, tuple[str, ...]], text: str | None
) -> tuple[dict[str, tuple[str, ...]], str | None]:
    """The classes with the named one among them, and its name; None where the predicted class is to be explained.

    Args:
        classes: prompts by class.
        text: name of a class or one of its prompts; a phrase that is neither becomes a class of its own.

    Raises:
        InputError: fewer than two classes.
    """
    chosen = dict(classes)
    name = text
    if text is not None and text not in chosen:
        name = next((known for known, prompts in chosen.items() if text in prompts), None)
        if name is None:
            name, chosen = text, {text: (text,), **chosen}
    if len(chosen) < 2:
        raise InputError("Expected at least two classes, got one. Name what it is compared with in labels.")
    return chosen, name


@dataclass(frozen=True, eq=False)
class Scoring:
    """The score of pairs as a function of one side's embeddings, where it depends on several phrases.

    Args:
        objective: of the scores.
        vectors: embeddings of the other side, unit norm: of the phrases for an image, of the image for a phrase;
            [pair, vector, joint].
        fixed: scores of the further phrases, which the words of the explained one do not change, [pair, phrase - 1];
            None on the image side.
    """

    objective: Objective
    vectors: Tensor
    fixed: Tensor | None = None

    def values(self, embeddings: Tensor) -> Tensor:
        """Scores [..., pair] of embeddings [..., pair, joint]."""
        return self.objective(self._scores(embeddings))

    def gradient(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the score at embeddings [pair, joint], and the sum of the weights of the other side's vectors.

        Returns:
            [pair, joint] and [pair].
        """
        with torch.inference_mode(False), torch.enable_grad():
            scores = self._scores(embeddings.detach().clone()).clone().requires_grad_()
            (weights,) = torch.autograd.grad(self.objective(scores).sum(), scores)
        weights = weights[:, : self.vectors.shape[1]]
        return torch.einsum("pv,pvj->pj", weights, self.vectors), weights.sum(dim=1)

    def of(self, pairs: Tensor) -> Scoring:
        """Of some pairs, by a mask or their numbers."""
        return Scoring(self.objective, self.vectors[pairs], None if self.fixed is None else self.fixed[pairs])

    def _scores(self, embeddings: Tensor) -> Tensor:
        scores = torch.einsum("...pj,pvj->...pv", embeddings, self.vectors.to(embeddings))
        if self.fixed is None:
            return scores
        fixed = self.fixed.to(scores).expand(*scores.shape[:-1], self.fixed.shape[-1])
        return torch.cat([scores, fixed], dim=-1)
