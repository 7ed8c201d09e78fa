"""Interactions of a cooperative game: what a word and a place add together when parts of both sides are removed.

Source:
    "Explaining Similarity in Vision-Language Encoders
    with Weighted Banzhaf Interactions", arXiv:2508.05430, METHODS 20.
    The encoders are independent, so that m masked images and n masked phrases cost m + n forwards and give m * n values
    of the game. Faithful interactions of order 2: the best approximation of the game by main effects and pairs.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor


class Fit(NamedTuple):
    """The best approximation of a game by an order-2 model.

    Args:
        pairs: interaction of each unit of one side with each of the other, [image unit, text unit].
        image: main effects, [image unit].
        text: main effects, [text unit].
        r_squared: share of the game's weighted variance that the model has; NaN for a constant game.
    """

    pairs: Tensor
    image: Tensor
    text: Tensor
    r_squared: float


def masks(units: int, count: int, chance: float, seed: int) -> Tensor:
    """Random subsets of one side, bool [count, unit]: all there are where that is not more than `count`.

    The empty and the full one come first.
    """
    if 2**units <= count:
        every = torch.tensor(list(itertools.product((False, True), repeat=units)), dtype=torch.bool)
        return every.reshape(2**units, units)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(count - 2, units, generator=generator, dtype=torch.float64) < chance
    ends = torch.tensor([[False], [True]]).expand(2, units)
    return torch.cat([ends, drawn])


def banzhaf(values: Tensor, image: Tensor, text: Tensor, chance: float) -> Fit:
    """p-weighted faithful Banzhaf interactions by least squares.

    Subsets that were drawn with the chance p count alike; where all subsets were run, each counts by its chance. In the
    limit the pairs of one side are orthogonal to those across, so they are left out of the fit.

    Args:
        values: of the game, [image mask, text mask].
        image: bool [image mask, unit].
        text: bool [text mask, unit].
        chance: p of each unit to stay.
    """
    x, y = (torch.cat([torch.ones(len(mask), 1, dtype=torch.float64), mask.double()], dim=1) for mask in (image, text))
    weights = [_chances(mask, chance) for mask in (image, text)]
    left, right = (weight.sqrt()[:, None] * part for weight, part in zip(weights, (x, y), strict=True))
    scaled = weights[0].sqrt()[:, None] * values.double() * weights[1].sqrt()
    # The model is bilinear, [1, zx] M [1, zy]: least squares over all pairs of masks is one solution for each side.
    half = _least_squares(left, scaled)
    model = _least_squares(right, half.T).T
    share = _explained(values.double(), x @ model @ y.T, weights[0][:, None] * weights[1])
    # Main effects of a faithful index are the coefficients themselves, at the empty set of the other side.
    return Fit(model[1:, 1:], model[1:, 0], model[0, 1:], share)


def _chances(mask: Tensor, chance: float) -> Tensor:
    """Weight of each subset, sum 1: its chance where all subsets are there, alike where they were drawn."""
    if len(mask) == 2 ** mask.shape[1]:
        size = mask.sum(dim=1).double()
        return chance**size * (1 - chance) ** (mask.shape[1] - size)
    return torch.full((len(mask),), 1 / len(mask), dtype=torch.float64)


def shapley(values: Tensor, image: Tensor, text: Tensor) -> Fit:
    """Faithful Shapley interactions of order 2 by least squares under the Shapley kernel.

    The model holds at the empty and the full set exactly, as the index demands; pairs of one side take part.

    Args:
        values: of the game, [image mask, text mask]; the first mask of each side is empty and the last of all subsets,
            or the second of drawn ones, is full.
        image: bool [image mask, unit].
        text: bool [text mask, unit].
    """
    players = image.shape[1] + text.shape[1]
    joint = torch.cat(
        [image.repeat_interleave(len(text), 0), text.repeat(len(image), 1)], dim=1
    ).double()  # [mask pair, player]
    flat, size = values.double().flatten(), joint.sum(dim=1).long()
    empty, full = flat[size == 0][0], flat[size == players][0]
    inner = (size > 0) & (size < players)
    pairs = torch.tensor(list(itertools.combinations(range(players), 2))).T
    design = torch.cat([joint, joint[:, pairs[0]] * joint[:, pairs[1]]], dim=1)[inner]
    chance = torch.tensor([0.0] + [_kernel(players, s) for s in range(1, players)] + [0.0], dtype=torch.float64)
    drawn = size[inner].bincount(minlength=players + 1).double()
    complete = len(image) == 2 ** image.shape[1] and len(text) == 2 ** text.shape[1]
    every = torch.tensor([math.comb(players, s) for s in range(players + 1)], dtype=torch.float64)
    # Drawn subsets stand for all subsets of their size.
    weight = (chance if complete else chance * every / drawn.clamp(min=1))[size[inner]]
    gain, constraint = flat[inner] - empty, torch.ones(design.shape[1], dtype=torch.float64)
    solution = _constrained(design, gain, weight, constraint, full - empty)
    share = _explained(gain, design @ solution, weight)
    matrix = torch.zeros(players, players, dtype=torch.float64)
    matrix[pairs[0], pairs[1]] = solution[players:]
    cut = image.shape[1]
    return Fit(matrix[:cut, cut:], solution[:cut], solution[cut:players], share)


def _kernel(players: int, size: int) -> float:
    """Shapley kernel, up to a factor."""
    return (players - 1) / (math.comb(players, size) * size * (players - size))


def _constrained(design: Tensor, gain: Tensor, weight: Tensor, constraint: Tensor, total: Tensor) -> Tensor:
    """Weighted least squares with constraint . solution = total."""
    normal = design.T @ (weight[:, None] * design)
    system = torch.zeros(len(normal) + 1, len(normal) + 1, dtype=torch.float64)
    system[:-1, :-1], system[-1, :-1], system[:-1, -1] = normal, constraint, constraint
    right = torch.cat([design.T @ (weight * gain), total[None]])
    return _least_squares(system, right[:, None])[:-1, 0]


def _explained(values: Tensor, model: Tensor, weight: Tensor) -> float:
    """R^2 under the weights."""
    weight = weight / weight.sum()
    spread = (weight * (values - (weight * values).sum()).square()).sum()
    if float(spread) < 1e-24:
        return math.nan
    return float(1 - (weight * (values - model).square()).sum() / spread)


Index = Literal["banzhaf", "shapley"]


def _least_squares(system: Tensor, right: Tensor) -> Tensor:
    """The least-squares solution of least norm."""
    return cast(Tensor, torch.linalg.lstsq(system, right, driver="gelsd").solution)
