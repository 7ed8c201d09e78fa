"""Methods for words against places; each is a dataclass whose fields are its parameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from matex.adapters.encoder import TokenAxis
from matex.adapters.model import Model
from matex.attribution.ca_m2ib import CaM2IB
from matex.attribution.shared.ablation import patches
from matex.checks import check, check_seed
from matex.errors import InputError, UnsupportedModel
from matex.forward_pass import ForwardPass
from matex.geometry import Size
from matex.interaction.attention import word_attention
from matex.interaction.games import Fit, banzhaf, masks, shapley
from matex.interaction.masked import masked_images, masked_phrases
from matex.interaction.second_order import second_order, word_factors
from matex.interaction.sides import Path
from matex.interaction.units import Units
from matex.protocols import Method, require
from matex.registry import Parameterised, Registry
from matex.trace import Trace


class Pair(NamedTuple):
    """An image and a phrase as a model reads them.

    Args:
        model: that reads them.
        image: the encoder's pass over the image.
        text: the encoder's pass over the phrase, padded as the model was trained.
        words: of the phrase.
        groups: tokens of each word, bool [word, token].
        units: parts of the film that games cover, in the place of cells.
    """

    model: Model
    image: ForwardPass
    text: ForwardPass
    words: tuple[str, ...]
    groups: Tensor
    units: Units | None = None


class Found(NamedTuple):
    """Result of a method.

    Args:
        values: [word, rows, columns].
        report: what it measured of itself; None for what is undefined.
        cell: (height, width) of one place, model pixels, where places are not those of the model.
        units: values of words and units, [word, unit], where the method itself works on units.
    """

    values: Tensor
    report: dict[str, float | None]
    cell: Size | None = None
    units: Tensor | None = None


class InteractionMethod(Parameterised, Protocol):
    """A frozen dataclass whose fields are its parameters."""

    def __call__(self, pair: Pair) -> Found:
        """Values of words and places, and what the method measured of itself."""
        ...


INTERACTION_METHODS: Registry[type[InteractionMethod]] = Registry("method of interactions")
"""By name; every attribution method serves too, see `WordMaps`."""


@INTERACTION_METHODS("second-order")
@dataclass(frozen=True)
class SecondOrderMethod:
    """Integrated second-order attributions, exact up to the error of two integrals.

    Args:
        layer: block of the image whose input is moved from blank to what it is; None as in `Path.of`.
        text_layer: the same on the phrase.
        nodes: of the Gauss-Legendre rules; the report says how far the sum misses its closed form (measured in
            docs/interactions.md).
        batch_size: nodes run at once.

    Source:
        arXiv:2408.14153, in the cheap order of METHODS 20: the words first, then one target for each word.
    """

    layer: int | None = None
    text_layer: int | None = None
    nodes: int = 32
    batch_size: int = 8

    def __post_init__(self) -> None:
        check(1 <= self.nodes <= 512, "nodes", "from 1 to 512", self.nodes)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def __call__(self, pair: Pair) -> Found:
        image, text = Path.of(pair.image, self.layer), Path.of(pair.text, self.text_layer)
        found = second_order(image, text, pair.groups, self.nodes, self.batch_size)
        values = _on_grid(found.values, image.state.axis)
        missed = (found.total - found.expected) / abs(found.expected) if found.expected else None
        inside = float(values.sum())
        report = {
            "sum": found.total,
            "expected_sum": found.expected,
            "closed_form_error": missed,
            "words_and_places": inside,
            "special_tokens": found.total - inside,
        }
        return Found(values, report)


def _on_grid(values: Tensor, axis: TokenAxis) -> Tensor:
    """Values of words and image tokens [word, token] at the places of the image, [word, rows, columns].

    Raises:
        UnsupportedModel: an encoder without a grid.
    """
    if axis.grid is None:
        raise UnsupportedModel("Expected an image encoder with places on a grid, got one without.")
    return torch.unflatten(values[:, axis.content[0]], 1, axis.grid)


@dataclass(frozen=True)
class WordMaps:
    """The map of an attribution method with the factor of one word as its target, for each word.

    Args:
        method: that makes the maps; methods that are linear in the target split their map exactly.
        text_layer: block of the phrase whose input is moved, see `SecondOrderMethod`.
        nodes: of the integral that gives each word's factor.
    """

    method: Method
    text_layer: int | None = None
    nodes: int = 32

    def __call__(self, pair: Pair) -> Found:
        factors = word_factors(Path.of(pair.text, self.text_layer), pair.groups, self.nodes)
        # The phrase itself as a further target: a method that knows no phrase gives it the map of every word.
        target = torch.cat([factors.to(pair.image.embedding), pair.text.embedding.detach().to(pair.image.embedding)])
        item = torch.zeros(len(target), dtype=torch.long)
        maps = self.method(Trace(pair.image, item, target, (), pair.model, (pair.text, item)))
        if torch.allclose(maps, maps[:1].expand_as(maps), rtol=1e-4):
            raise InputError(
                "Expected a method whose map depends on the phrase, got one that gives every word the same map. "
                "second-order, grad-eclip and maskclip are three that do."
            )
        return Found(maps[:-1], {})


@INTERACTION_METHODS("ca-m2ib")
@dataclass(frozen=True)
class WordAttention:
    """CA-M2IB's own attention: how much each word, behind the bottleneck of the phrase, attends to each place.

    Weights are positive and add up to 1 for each word: they say nothing about raising or lowering the score.

    Args:
        layer: number of the block whose output passes the bottleneck; None as in the attribution method.
        beta: weight of the compression.
        steps: of the optimiser.
        samples: noisy copies per step.
        learning_rate: of the optimiser.
        seed: of the noise.
        logits: "clip" is the model's own scale times the cosine; "paper" divides by sqrt(joint), which is nearly even.

    Source:
        CA-M2IB, eq. 4; see `attention.word_attention`.
    """

    layer: int | None = None
    beta: float = 0.1
    steps: int = 10
    samples: int = 10
    learning_rate: float = 1.0
    seed: int = 0
    logits: Literal["clip", "paper"] = "clip"

    def __post_init__(self) -> None:
        self._method  # noqa: B018  checks the ranges

    @property
    def _method(self) -> CaM2IB:
        return CaM2IB(**{field.name: getattr(self, field.name) for field in fields(self)})

    def __call__(self, pair: Pair) -> Found:
        method, item = self._method, torch.zeros(1, dtype=torch.long)
        require("ca-m2ib", method, pair.text.tower, pair.image.tower)
        image = pair.image.embedding.detach()
        trace = Trace(pair.text, item, image, (), pair.model, (pair.image, item))
        rows = word_attention(trace, method)
        weights = pair.groups.to(rows) @ rows / pair.groups.sum(dim=1, keepdim=True).to(rows)
        places = _on_grid(weights, pair.image.tower.axis(pair.image.inputs))
        entropy = cast(Tensor, torch.special.entr(places))
        evenness = entropy.sum(dim=(1, 2)).mean() / math.log(places[0].numel())
        return Found(places, {"evenness": float(evenness), **method.report(trace)[0]})


@dataclass(frozen=True)
class Game(ABC):
    """Interactions of the game in which places are covered and words removed.

    Args:
        cells: of the image, about how many per axis; each is a player, unless units are given.
        masks: images with covered cells; all subsets where these are not more.
        text_masks: phrases with removed words; likewise.
        chance: of a cell or word to stay where masks are drawn.
        seed: of the masks.
        batch_size: inputs run at once.
        progress: show a bar.

    Source:
        arXiv:2508.05430; METHODS 20.
    """

    cells: int = 7
    masks: int = 256
    text_masks: int = 64
    chance: float = 0.5
    seed: int = 0
    batch_size: int = 32
    progress: bool = False

    def __post_init__(self) -> None:
        check(1 <= self.cells <= 16, "cells", "from 1 to 16", self.cells)
        for name in ("masks", "text_masks"):
            check(4 <= getattr(self, name) <= 1 << 16, name, "from 4 to 65536", getattr(self, name))
        check(0 < self.chance < 1, "chance", "between 0 and 1", self.chance)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def __call__(self, pair: Pair) -> Found:
        if pair.units is not None:
            values, report = self._play(pair, pair.units.labels, pair.units.players)
            return Found(pair.units.spread(values), report, units=values[:, : pair.units.count])
        height, width = pair.image.inputs.shape[-2:]
        cell = (max(1, height // self.cells), max(1, width // self.cells))
        grid = (height // cell[0], width // cell[1])
        segments = patches(grid, cell, (height, width)).to(pair.image.inputs.device)
        values, report = self._play(pair, segments, grid[0] * grid[1])
        return Found(values.unflatten(1, grid), report, cell)

    def _play(self, pair: Pair, segments: Tensor, players: int) -> tuple[Tensor, dict[str, float | None]]:
        """Interactions of words with the players of the image, [word, player], and the report.

        Args:
            pair: that is scored.
            segments: player of each pixel, [height, width].
            players: of the image.
        """
        image = masks(players, self.masks, self.chance, self.seed)
        text = masks(len(pair.words), self.text_masks, self.chance, self.seed + 1)
        for side, mask, parameter in (("places", image, "masks"), ("words", text, "text_masks")):
            _check_enough(mask, side, parameter)
        seen = masked_images(pair.image, segments, image, self.batch_size, self.progress)
        read = masked_phrases(pair.text, pair.groups, text, self.batch_size)
        fit = self.fit((seen @ read.T).double().cpu(), image, text)
        report: dict[str, float | None] = {
            "r_squared": fit.r_squared,
            "image_masks": float(len(image)),
            "text_masks": float(len(text)),
        }
        return fit.pairs.T, report

    @abstractmethod
    def fit(self, values: Tensor, image: Tensor, text: Tensor) -> Fit:
        """The order-2 model of the game's values [image mask, text mask]."""


def _check_enough(masks: Tensor, units: str, parameter: str) -> None:
    """Refuse masks that leave the interactions of a side open, of which least squares would return some.

    Raises:
        InputError: fewer independent masks than units.
    """
    design = torch.cat([torch.ones(len(masks), 1, dtype=torch.float64), masks.double()], dim=1)
    if int(cast(Tensor, torch.linalg.matrix_rank(design))) < design.shape[1]:
        raise InputError(
            f"Expected {parameter} that tell {masks.shape[1]} {units} apart, got {len(masks)}. Give at least "
            f"{4 * masks.shape[1]}."
        )


@INTERACTION_METHODS("banzhaf")
@dataclass(frozen=True)
class BanzhafMethod(Game):
    """p-weighted faithful Banzhaf interactions, p the chance; see `Game`."""

    def fit(self, values: Tensor, image: Tensor, text: Tensor) -> Fit:
        return banzhaf(values, image, text, self.chance)


@INTERACTION_METHODS("shapley")
@dataclass(frozen=True)
class ShapleyMethod(Game):
    """Faithful Shapley interactions; see `Game`. Fewer cells, since pairs of one side take part in the fit."""

    cells: int = 5

    def fit(self, values: Tensor, image: Tensor, text: Tensor) -> Fit:
        return shapley(values, image, text)
