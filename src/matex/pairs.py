"""Pairs of an input and a phrase that are explained: what methods read that perturb the input.

`Trace` adds activations and gradients. A model of which only scores are known has no more than this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from matex.adapters.encoder import Encoder, TokenAxis
from matex.adapters.model import Model
from matex.geometry import Size
from matex.priors.image_context import ImageContext
from matex.priors.spatial import SpatialPrior

T = TypeVar("T")


class Pairs(ABC):
    """One side of a batch of pairs; several may share an input.

    Args:
        tower: the encoder of this side.
        item: input of each pair, [pair].
        target: the other side's embedding, [pair, joint]; a constant.
        contexts: image regions that the phrase names, one per pair; only text-guided priors read them.
        model: that the encoder belongs to.
    """

    def __init__(
        self, tower: Encoder, item: Tensor, target: Tensor, contexts: Sequence[ImageContext], model: Model | None
    ) -> None:
        self._encoder = tower
        self._model = model
        self._memo: dict[Hashable, Any] = {}  # each of the type that the function of its key returns
        self._priors: dict[tuple[str, str, bool], list[SpatialPrior]] = {}
        self.item = item
        self.target = target.detach()
        self.contexts = tuple(contexts)

    @property
    def tower(self) -> Encoder:
        """The encoder of this side."""
        return self._encoder

    @property
    @abstractmethod
    def inputs(self) -> Tensor:
        """Different inputs, pixels [item, channel, height, width] or token ids [item, token]."""

    @property
    @abstractmethod
    def axis(self) -> TokenAxis:
        """The tokens that maps are given on, [item, token]."""

    @property
    @abstractmethod
    def score(self) -> Tensor:
        """Cosine similarity, or what a black box returns, [pair]."""

    @abstractmethod
    def scores(self, inputs: Tensor, item: int) -> Tensor:
        """Scores of other inputs against the targets of an item's pairs, the model as a black box; no graph.

        Args:
            inputs: pixels [input, channel, height, width] or token ids [input, token].
            item: index of the input whose pairs supply the targets.

        Returns:
            [input, pairs of the item], in the order of the pairs.
        """

    @abstractmethod
    def run_backward(self) -> None:
        """Run the one backward pass that was announced, so that no method's time includes it."""

    @property
    def attentive(self) -> bool:
        """Whether the encoder has attention over all tokens."""
        return False

    @property
    def levels(self) -> Tensor | None:
        """Black and white after the model's normalisation, [2, channel]; None without preprocessing, and for sounds."""
        preprocessing = None if self._model is None else self._model.preprocessing_of(self.tower.modality)
        return None if preprocessing is None else preprocessing.levels

    @property
    def logit_scale(self) -> float:
        """Inverse temperature that the model multiplies the score with; CLIP's 100 without a model."""
        return 100.0 if self._model is None else self._model.logit_scale

    @property
    def grid(self) -> Size | None:
        """(rows, columns) of the content tokens; None for words."""
        return self.axis.grid

    @property
    def patch(self) -> Size:
        """(height, width) of one patch, or the distance of two that overlap, model pixels.

        Raises:
            ValueError: a trace without its model; `record` sets it.
        """
        if self._model is None:
            raise ValueError("Expected a trace made by matex.record, got one without its model: its patch is unknown.")
        return self._model.patch_of(self.tower.modality)

    @property
    def overlap(self) -> Size:
        """(height, width) that neighbouring patches share, model pixels."""
        return (0, 0) if self._model is None else self._model.overlap_of(self.tower.modality)

    @property
    def content(self) -> Tensor:
        """Tokens that carry content (patches, words), bool [pair, token]."""
        return self.axis.content[self.item]

    @property
    def valid(self) -> Tensor:
        """Tokens that the encoder reads, special ones included, without padding, bool [pair, token]."""
        return self.axis.valid[self.item]

    def to_grid(self, values: Tensor, layer: int | None = None) -> Tensor:
        """Values per token [pair, token] as the raw map of a method.

        Args:
            values: of the tokens.
            layer: the block whose input they belong to, `depth` for the last one's output, where an encoder's tokens
                change between blocks; None for those of the last.

        Returns:
            [pair, rows, columns] of a grid, special tokens dropped; [pair, token] of words, NaN where a shorter phrase
            of a batch is padded.
        """
        axis = self._axis_before(layer)
        if axis.grid is None:
            return values.masked_fill(~axis.valid[self.item], torch.nan)
        return torch.unflatten(values[axis.content[self.item]], 0, (len(values), *axis.grid))

    def _axis_before(self, layer: int | None) -> TokenAxis:
        """The tokens that enter a block, per item; those that maps are given on where it is None."""
        return self.axis

    def priors(self, kind: str, laterality: str, printed: bool = False) -> list[SpatialPrior]:
        """The spatial prior of each pair's phrase on the patch grid, cached; see `ImageContext.prior`."""
        key = kind, laterality, printed
        if key not in self._priors:
            self._priors[key] = [context.prior(kind, laterality, printed) for context in self.contexts]
        return self._priors[key]

    def memo(self, key: Hashable, work: Callable[[], T]) -> T:
        """Result of `work`, computed once per key and cached with the trace."""
        if key not in self._memo:
            self._memo[key] = work()
        return self._memo[key]
