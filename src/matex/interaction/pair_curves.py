"""Insertion and deletion of pairs: does the score follow the words and places that a matrix ranks highest?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.encoder import staged
from matex.adapters.model import Model, check_model
from matex.checks import check
from matex.errors import InputError
from matex.forward_pass import run
from matex.geometry import Placement
from matex.interaction.masked import masked_images, masked_phrases
from matex.interaction.result import Interactions
from matex.interaction.sides import word_groups
from matex.metrics.deletion import area_under
from matex.queries import prepare


class PairCurves(NamedTuple):
    """Scores while words and places are removed together.

    Args:
        removed: share of the words, and of the places, that is removed, [step], from 0 to 1.
        insertion: scores where what contributes least goes first.
        deletion: scores where what contributes most goes first.
        area: mean of insertion minus deletion over the share removed; above 0 where the score follows the matrix.
    """

    removed: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion: tuple[float, ...]
    area: float


def pair_curves(model: Model, found: Interactions, steps: int = 10, batch_size: int = 32) -> PairCurves:
    """Remove words and places in the order of a matrix, and score what is left.

    At each step the same share of words and of places is gone. The places with the largest sum over the words that are
    left go first, then the words with the largest sum over the places that are left (deletion), or the smallest
    (insertion). Places take the mean colour; words leave the phrase.

    Args:
        model: whose interactions were computed.
        found: the matrix, on a grid; maps in pixels are averaged over the model's patches.
        steps: of the curves; each takes two images and two phrases.
        batch_size: inputs run at once.

    Raises:
        InputError: interactions of units, whose maps have no grid.
        UnsupportedModel: a black box.

    Source:
        The area between the insertion and the deletion curve of arXiv:2508.05430, with one share for both sides, so
        that the few words do not all go before the many places.

    Examples:
        >>> found = matex.interactions(model, film, "opacity in the left lung")
        >>> curves = pair_curves(model, found, steps=4)
        >>> curves.removed, curves.insertion[0] == curves.deletion[0]
        ((0.0, 0.25, 0.5, 0.75, 1.0), True)
    """
    check_model(model)
    check(steps >= 1, "steps", "of 1 or more", steps)
    if found.units is not None:
        raise InputError("Expected interactions of a grid of places, got those of units. Compute them without units.")
    placement = found.placement
    grid = found.values if found.values.shape[1:] == placement.grid else placement.pixels_to_grid(found.values)
    prepared, phrase = prepare(model, found.query), model.encode(found.query.text)
    ids = model.batch([phrase])
    image, text = run(staged(model.image), prepared.pixels), run(staged(model.text), ids)
    groups = word_groups(found.query.text, phrase.spans, ids.shape[1])[1]
    segments = torch.from_numpy(_cells(placement)).to(prepared.pixels.device)
    curves: list[list[float]] = []
    for values in (-grid, grid):
        words, places = left_over(values.reshape(len(grid), -1), steps)
        seen = masked_images(image, segments, torch.from_numpy(places), batch_size)
        read = masked_phrases(text, groups, torch.from_numpy(words), batch_size)
        curves.append(_scores(seen, read))
    insertion, deletion = curves
    area = area_under(np.subtract(insertion, deletion))
    return PairCurves(tuple(np.linspace(0, 1, steps + 1).tolist()), tuple(insertion), tuple(deletion), area)


def left_over(values: NDArray[np.floating], steps: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Words and places that are left at each step of the deletion.

    Args:
        values: [word, place].
        steps: of the curve.

    Returns:
        bool [step, word] and bool [step, place], all of them first and none last.
    """
    words, places = (np.ones(count, dtype=np.bool_) for count in values.shape)
    kept_words, kept_places = [words.copy()], [places.copy()]
    for step in range(1, steps + 1):
        _remove(places, values[words].sum(axis=0), step / steps)
        _remove(words, values[:, places].sum(axis=1), step / steps)
        kept_words.append(words.copy())
        kept_places.append(places.copy())
    return np.stack(kept_words), np.stack(kept_places)


def _remove(left: NDArray[np.bool_], sums: NDArray[np.floating], share: float) -> None:
    """Remove those with the largest sums, in place, until this share of all is gone."""
    gone = round(share * len(left)) - int((~left).sum())
    order = np.argsort(np.where(left, -sums, np.inf), kind="stable")
    left[order[:gone]] = False


def _scores(seen: Tensor, read: Tensor) -> list[float]:
    """Cosine similarity of each image with the phrase of the same step."""
    return [float(value) for value in (seen * read).sum(dim=1)]


def _cells(placement: Placement) -> NDArray[np.int64]:
    """Number of the grid's cell of each model pixel, row by row; pixels beyond the last cell belong to it."""
    rows, columns = placement.grid
    height, width = placement.cell(placement.grid)
    down, across = (
        np.floor((np.arange(side) + 0.5 - shared / 2) / cell).clip(0, count - 1).astype(np.int64)
        for side, shared, cell, count in zip(
            placement.model, placement.overlap, (height, width), (rows, columns), strict=True
        )
    )
    return down[:, None] * columns + across
