"""Scores of inputs that no trace has seen, and pairs of a model of which only scores are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from matex.adapters.black_box import BlackBox
from matex.adapters.encoder import TokenAxis
from matex.adapters.model import Model
from matex.forward_pass import encode
from matex.objectives import Objective
from matex.pairs import Pairs
from matex.priors.image_context import ImageContext
from matex.recording import PairTrace


class ScoredPairs(Pairs):
    """Inputs of one side of a black box and the scores of their pairs; there are no activations.

    Args:
        model: gives scores.
        side: which of its sides this is.
        inputs: different inputs of this side.
        others: different inputs of the other side.
        pairs: (input, other input) of each pair, [pair, 2].
        contexts: image regions that the phrase names, one per pair.
        objective: of the scores of the phrase and of further phrases; None for the phrase's score.
        further: the further phrases, as `model.batch` gives them.
    """

    def __init__(
        self,
        model: BlackBox,
        side: Literal["image", "text"],
        inputs: Tensor,
        others: Tensor,
        pairs: Tensor,
        contexts: Sequence[ImageContext],
        objective: Objective | None = None,
        further: Tensor | None = None,
    ) -> None:
        none = torch.zeros(len(pairs), 1, dtype=torch.float64)  # there are no embeddings
        super().__init__(model.encoders[side], pairs[:, 0], none, contexts, model)
        self._black_box = model
        self._side = side
        self._inputs = inputs
        self._others = others
        self._other_of = pairs[:, 1]
        self._objective = objective
        self._further = further

    @property
    def inputs(self) -> Tensor:
        return self._inputs

    @property
    def axis(self) -> TokenAxis:
        return self.tower.axis(self._inputs)

    @property
    def score(self) -> Tensor:
        return self.memo("score", self._score)

    def _score(self) -> Tensor:
        values = self.target.new_zeros(len(self.item))
        for item in range(len(self._inputs)):
            values[self.item == item] = self.scores(self._inputs[item : item + 1], item)[0]
        return values

    def run_backward(self) -> None:
        """Nothing: there are no gradients."""

    def scores(self, inputs: Tensor, item: int) -> Tensor:
        others = self._others[self._other_of[self.item == item]]
        on_image = self._side == "image"
        own = self._black_box.scores(inputs, others) if on_image else self._black_box.scores(others, inputs).T
        if self._objective is None or self._further is None:
            return own
        more = self._black_box.scores(inputs if on_image else others, self._further)
        more = more[:, None] if on_image else more[None]
        return self._objective(torch.cat([own[..., None], more.expand(*own.shape, -1)], dim=-1))


def record_scores(
    model: BlackBox,
    pixels: Tensor,
    token_ids: Tensor,
    pairs: Sequence[tuple[int, int]],
    contexts: Sequence[ImageContext] = (),
    objective: Objective | None = None,
    further: Tensor | None = None,
) -> PairTrace:
    """Set up pairs of images and phrases to be explained by perturbation; see `trace.record`."""
    which = torch.tensor(list(pairs)).reshape(-1, 2)
    sides: list[Any] = [
        ScoredPairs(model, "image", pixels, token_ids, which, contexts, objective, further),
        ScoredPairs(model, "text", token_ids, pixels, which.flip(1), contexts, objective, further),
    ]
    # Methods that read more than `Pairs` offers are refused before they see one.
    return PairTrace(*sides)


Scorer: TypeAlias = Callable[[Tensor], Tensor]
"""pixels [image, channel, height, width] -> scores [image]"""


def phrase_scorer(model: Model, token_ids: Sequence[int]) -> Scorer:
    """A function from pixels [image, channel, height, width] to their scores with one phrase, [image]; no graph.

    Args:
        model: whose scores these are: cosines, or what a black box returns.
        token_ids: of the phrase, special tokens included.
    """
    ids = model.text.collate([token_ids]).to(model.device)
    if isinstance(model, BlackBox):
        return lambda pixels: model.scores(pixels, ids)[:, 0]
    target = encode(model.text, ids)[0]
    return lambda pixels: encode(model.image, pixels) @ target
