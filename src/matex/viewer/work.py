"""Computations of jobs: explanations, scores of other phrases, the score without a region, agreement of maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from matex.adapters.model import Model
from matex.attribution.matex import Matex
from matex.audits.deletion import paint_over
from matex.audits.regions import film_pixels, likeness, stays
from matex.errors import InputError
from matex.explained_score import ExplainedScore, ScoreArguments, phrase_scores
from matex.geometry import Box, Placement, Resize
from matex.images import Film
from matex.interaction import Interactions, interactions
from matex.pipeline import score
from matex.protocols import make
from matex.queries import Domain, Query
from matex.registry import Parameters
from matex.results import Explanation, Scored
from matex.traced import Traced, trace_query
from matex.yardstick import yardstick as compare_score


class Question(NamedTuple):
    """A phrase about a film, and how the model is to take them."""

    film: Film
    text: str
    resize: Resize = "model"
    domain: Domain = "chest"
    lung_mask: NDArray[np.generic] | None = None
    score: ScoreArguments = ScoreArguments()

    @property
    def query(self) -> Query:
        """As the library takes it, with the phrase's own score."""
        return Query.of(self.film, self.text, self.resize, self.domain, lung_mask=self.lung_mask)

    def explained(self, model: Model) -> Query:
        """With the score that is explained."""
        return ExplainedScore(model, **self.score).explained(self.query)


def explain(
    model: Model, question: Question, method: str, parameters: Parameters
) -> tuple[Explanation, NDArray[np.float32] | None]:
    """An explanation, and the attention of each block where the browser weighs the flow itself.

    Raises:
        InputError: a phrase or a parameter that the model or the method cannot take.
        UnknownName: no such method or parameter.
        UnsupportedModel: a model without what the method needs.
    """
    traced = trace_query(model, question.explained(model), [(method, parameters)])
    return traced.explain(method, parameters)[0], _attention(traced, method, parameters)


def _attention(traced: Traced, method: str, parameters: Parameters) -> NDArray[np.float32] | None:
    """The readout token's head-mean attention to the patches, [block, rows, columns]; None without a weighted flow."""
    chosen = make(method, parameters)
    if not isinstance(chosen, Matex) or chosen.flow != "weighted":
        return None
    trace = traced.trace.image
    rows = [trace.to_grid(trace.attention_row(block).mean(dim=1))[0] for block in range(trace.depth)]
    return torch.stack(rows).detach().to("cpu", torch.float32).numpy()


def word_maps(model: Model, question: Question, method: str) -> Interactions:
    """Matrix of the phrase's words against places.

    Raises:
        InputError: a phrase that the model cannot read, or a method that knows no phrase.
        UnknownName: no such method.
        UnsupportedModel: a model without what the method needs.
    """
    return interactions(model, question.film, question.text, method, resize=question.resize, domain=question.domain)


def yardstick(model: Model, question: Question) -> list[Scored]:
    """Scores that the phrase's own is to be compared with, the phrase first.

    The same phrase with the other side, denied, a phrase about something else, and no words at all, as far as the
    phrase and the model have them.
    """
    return list(compare_score(model, question.query).rows)


def scores(model: Model, question: Question, phrases: Sequence[str]) -> list[float]:
    """Cosine similarity of the film with each phrase.

    Raises:
        InputError: a phrase that the model cannot read.
    """
    encoded = [model.encode(phrase) for phrase in phrases]
    return [float(one) for one in phrase_scores(model, question.query, encoded)]


def covered(model: Model, question: Question, boxes: Sequence[Box]) -> tuple[float, float]:
    """The explained score of the film as it is, and with boxes painted over in its mean colour.

    Args:
        boxes: fractions of the film as it lies.

    Raises:
        InputError: boxes that lie where the model does not look, or all over the film.
    """
    pixels, placement = model.prepare(question.film, question.resize)
    region = _region(placement, boxes)
    if not region.any() or region.all():
        raise InputError("Expected a region that covers a part of what the model sees, got none of it or all of it.")
    painted = paint_over(pixels, placement, [torch.from_numpy(region)])
    query = question.explained(model)
    phrases = [query.text, *(query.objective.further if query.objective else ())]
    values = score(model, torch.cat([pixels, painted]), model.batch([model.encode(phrase) for phrase in phrases]))
    before, after = query.objective(values) if query.objective else values[:, 0]
    return float(before), float(after)


def agreement(explanations: Sequence[Explanation]) -> dict[str, list[list[float]]]:
    """Similarity of one film's maps, pair by pair: rank correlation, and overlap of the highest tenth.

    Raises:
        InputError: maps of different films.
    """
    if len({explanation.film.sha256 for explanation in explanations}) > 1:
        raise InputError("Expected maps of one film, got several. Compare methods or phrases on the same film.")
    maps = [explanation.image for explanation in explanations]
    if len({one.placement.model for one in maps}) > 1:
        raise InputError("Expected maps from models with inputs of one size, got several. Choose one model.")
    return {
        "likeness": [[likeness(first, second) for second in maps] for first in maps],
        "stays": [[stays(first, second) for second in maps] for first in maps],
    }


def _region(placement: Placement, boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Boxes as a mask of the model pixels that show the film, without padding."""
    height, width = placement.original
    mask = np.zeros(placement.model, dtype=np.bool_)
    down, across = (np.arange(side) + 0.5 for side in placement.model)
    for x0, y0, x1, y1 in boxes:
        left, top, right, bottom = placement.box_to_model((x0 * width, y0 * height, x1 * width, y1 * height))
        mask |= np.logical_and.outer((down >= top) & (down < bottom), (across >= left) & (across < right))
    film = film_pixels(placement)
    return mask[film.any(axis=1)][:, film.any(axis=0)]
