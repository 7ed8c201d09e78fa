"""Ways to find which word goes with which place; each is a dataclass whose fields are its parameters."""

# torch's stubs leave unflatten, split and tolist untyped.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import Field, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from matex.adapters.model import Model
from matex.attribution.shared.ablation import patches, segment_masks
from matex.attribution.shared.batching import batches
from matex.checks import check, check_seed
from matex.errors import InputError, UnsupportedModel
from matex.forward_pass import ForwardPass, encode
from matex.geometry import Size
from matex.interaction.games import Fit, banzhaf, masks, shapley
from matex.interaction.second_order import second_order, word_factors
from matex.interaction.sides import Path
from matex.protocols import Method
from matex.registry import Registry
from matex.trace import Trace


class Pair(NamedTuple):
    """An image and a phrase as a model reads them.

    Args:
        model: that reads them.
        image: the encoder's pass over the image.
        text: the encoder's pass over the phrase, padded as the model was trained.
        words: of the phrase.
        groups: tokens of each word, bool [word, token].
    """

    model: Model
    image: ForwardPass
    text: ForwardPass
    words: tuple[str, ...]
    groups: Tensor


class Found(NamedTuple):
    """What a way found.

    Args:
        values: [word, rows, columns].
        report: what it measured of itself; None for what is undefined.
        cell: (height, width) of one place, model pixels, where places are not those of the model.
    """

    values: Tensor
    report: dict[str, float | None]
    cell: Size | None = None


class Way(Protocol):
    """A frozen dataclass whose fields are its parameters."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __call__(self, pair: Pair) -> Found:
        """Values of words and places, and what the way measured of itself."""
        ...


WAYS: Registry[type[Way]] = Registry("way")
"""By name; every attribution method is a way too, see `WordMaps`."""


@WAYS("second-order")
@dataclass(frozen=True)
class SecondOrderWay:
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
        axis = image.state.axis
        if axis.grid is None:
            raise UnsupportedModel("Expected an image encoder with places on a grid, got one without.")
        values = found.values[:, axis.content[0]].unflatten(1, axis.grid)
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


@dataclass(frozen=True)
class WordMaps:
    """The map of an attribution method with the factor of one word as its target, for each word.

    Args:
        method: that makes the maps; methods that are linear in the target split their map exactly.
        text_layer: block of the phrase whose input is moved, see `SecondOrderWay`.
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


@dataclass(frozen=True)
class Game(ABC):
    """Interactions of the game in which places are covered and words removed.

    Args:
        cells: of the image, about how many per axis; each is a player.
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
        height, width = pair.image.inputs.shape[-2:]
        cell = (max(1, height // self.cells), max(1, width // self.cells))
        grid = (height // cell[0], width // cell[1])
        segments = patches(grid, cell, (height, width)).to(pair.image.inputs.device)
        image = masks(grid[0] * grid[1], self.masks, self.chance, self.seed)
        text = masks(len(pair.words), self.text_masks, self.chance, self.seed + 1)
        for side, mask, parameter in (("cells", image, "masks"), ("words", text, "text_masks")):
            _check_enough(mask, side, parameter)
        seen = self._images(pair.image, segments, image)
        read = self._phrases(pair, text)
        values = (seen @ read.T).double().cpu()
        fit = self.fit(values, image, text)
        values = fit.pairs.T.unflatten(1, grid)
        report: dict[str, float | None] = {
            "r_squared": fit.r_squared,
            "image_masks": float(len(image)),
            "text_masks": float(len(text)),
        }
        return Found(values, report, cell)

    @abstractmethod
    def fit(self, values: Tensor, image: Tensor, text: Tensor) -> Fit:
        """The order-2 model of the game's values [image mask, text mask]."""

    def _images(self, image: ForwardPass, segments: Tensor, masks: Tensor) -> Tensor:
        """Embeddings of the image without the cells that a mask leaves out, [mask, joint]."""

        def embed(start: int, stop: int) -> Tensor:
            some = segment_masks(segments, masks[start:stop]).to(image.inputs)
            return encode(image.tower, image.tower.fade(image.inputs, some))

        return torch.cat(list(batches(embed, len(masks), self.batch_size, self.progress)))

    def _phrases(self, pair: Pair, masks: Tensor) -> Tensor:
        """Embeddings of the phrase without the words that a mask leaves out, [mask, joint]."""
        tower, ids = pair.text.tower, pair.text.inputs
        content = tower.axis(ids).content[0]
        phrases = [tower.remove(ids, ~pair.groups[~mask].any(dim=0)[content][None])[0].tolist() for mask in masks]

        def embed(start: int, stop: int) -> Tensor:
            return encode(tower, tower.collate(phrases[start:stop]).to(ids.device))

        return torch.cat(list(batches(embed, len(phrases), self.batch_size)))


def _check_enough(masks: Tensor, units: str, parameter: str) -> None:
    """Refuse masks that leave the interactions of a side open, of which least squares would return some.

    Raises:
        InputError: fewer independent masks than units.
    """
    design = torch.cat([torch.ones(len(masks), 1, dtype=torch.float64), masks.double()], dim=1)
    if int(torch.linalg.matrix_rank(design)) < design.shape[1]:
        raise InputError(
            f"Expected {parameter} that tell {masks.shape[1]} {units} apart, got {len(masks)}. Give at least "
            f"{4 * masks.shape[1]}."
        )


@WAYS("banzhaf")
@dataclass(frozen=True)
class BanzhafWay(Game):
    """p-weighted faithful Banzhaf interactions, p the chance; see `Game`."""

    def fit(self, values: Tensor, image: Tensor, text: Tensor) -> Fit:
        return banzhaf(values, image, text, self.chance)


@WAYS("shapley")
@dataclass(frozen=True)
class ShapleyWay(Game):
    """Faithful Shapley interactions; see `Game`. Fewer cells, since pairs of one side take part in the fit."""

    cells: int = 5

    def fit(self, values: Tensor, image: Tensor, text: Tensor) -> Fit:
        return shapley(values, image, text)
