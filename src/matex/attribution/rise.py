"""RISE: the average of random masks, weighted by the scores of the masked inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.attribution.shared.ablation import all_subsets, per_pair, score_subsets
from matex.attribution.shared.batching import batches
from matex.checks import check, check_seed
from matex.protocols import METHODS
from matex.trace import Trace

_EXACT = 10  # up to so many tokens every subset is run


MAX_DRAWN = 1 << 26
"""Cells of all coarse masks together, which take 8 bytes each."""


def stretch(cells: int, cell: int) -> NDArray[np.float64]:
    """Linear interpolation of `cells` values to (cells + 1) * cell, mirrored about the outermost centres.

    Returns:
        [(cells + 1) * cell, cells]; the same numbers as scipy's zoom with order 1, mode "mirror" and grid_mode.
    """
    size = (cells + 1) * cell
    position = (np.arange(size) + 0.5) * (cells / size) - 0.5
    last = cells - 1
    position = np.abs(position)
    position = np.where(position > last, 2 * last - position, position)
    below = np.clip(np.floor(position).astype(int), 0, max(last - 1, 0))
    share = position - below
    weights = np.zeros((size, cells))
    weights[np.arange(size), below] += 1 - share
    weights[np.arange(size), np.minimum(below + 1, last)] += share
    return weights


class Masks:
    """Random smooth masks, the reference's own for the same seed.

    Args:
        count: how many.
        cells: of the coarse grid, per axis.
        keep: share of cells that are let through.
        size: (height, width), pixels.
        seed: of numpy's RandomState: first all coarse grids, then a vertical and a horizontal shift per mask.
    """

    def __init__(self, count: int, cells: int, keep: float, size: tuple[int, int], seed: int) -> None:
        random = np.random.RandomState(seed)
        self.size = size
        self.grids = torch.from_numpy((random.rand(count, cells, cells) < keep).astype(np.float64))
        cell = [-(-length // cells) for length in size]
        self.shifts = torch.tensor([[random.randint(0, cell[0]), random.randint(0, cell[1])] for _ in range(count)])
        self.stretches = [torch.from_numpy(stretch(cells, each)) for each in cell]

    def __call__(self, start: int, stop: int, device: torch.device) -> Tensor:
        """float64 [mask, height, width]"""
        bands: list[Tensor] = []
        for axis in (0, 1):
            pixel = self.shifts[start:stop, axis, None] + torch.arange(self.size[axis])
            bands.append(self.stretches[axis].to(device)[pixel.to(device)])
        return bands[0] @ self.grids[start:stop].to(device) @ bands[1].transpose(1, 2)


def share_out(with_part: Tensor, part: Tensor, mean_score: Tensor, keep: float, normalise: str) -> Tensor:
    """The map from averages over masks.

    Args:
        with_part: mean of score times mask, [target, place].
        part: mean of the mask, [place].
        mean_score: [target].
        keep: what the mean of the mask should be.
        normalise: "reference" divides by `keep`; "control" subtracts the mean score, so that masks that say nothing
            give zero, and divides by the mask mean that was really there.
    """
    if normalise == "reference":
        return with_part / keep
    never = part == 0
    return ((with_part - mean_score[:, None] * part) / part.masked_fill(never, 1.0)).masked_fill(never, 0.0)


@METHODS("rise")
@dataclass(frozen=True)
class Rise:
    """Average score of randomly masked inputs in which a place was visible.

    Args:
        masks: how many; the paper takes 4000 to 8000.
        cells: of the coarse grid, per axis.
        keep: chance of a cell or token to stay.
        seed: of the masks.
        normalise: "control" for the difference to the mean score, per pixel over the masks that showed it; "reference"
            for the published sum, in which the large constant part of cosine scores shows the masks themselves.
        batch_size: masked inputs run at once.
        progress: show a bar.

    Source:
        "RISE", arXiv:1806.07421, eq. 6; METHODS 11. Masks equal those of eclique/RISE for a seed. Hidden pixels take
        the mean colour, as masks multiply the normalised image. On the text tokens are removed; up to 10 tokens every
        subset is run with its chance, so that nothing is random.
    """

    masks: int = 4000
    cells: int = 7
    keep: float = 0.5
    seed: int = 0
    normalise: Literal["control", "reference"] = "control"
    batch_size: int = 64
    progress: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("black box",)
    passes: ClassVar[str] = "1 forward, then 1 per mask (4000); on up to 10 words one per subset"
    source: ClassVar[str] = "RISE, arXiv:1806.07421, eq. 6"
    equation: ClassVar[str] = "A_p = mean of (S(x * m) - mean S) m_p over masks, divided by the mean of m_p"
    errors: ClassVar[tuple[str, ...]] = (
        "The published sum keeps the large constant part of a cosine, which draws the masks themselves. It is "
        "subtracted here; normalise='reference' keeps it.",
        "Masks, cells and rate are not stated where it is compared with. 4000, 7, 0.5, the source's.",
    )
    draws: ClassVar[str] = "the masks; nothing on up to 10 words"

    def __post_init__(self) -> None:
        check(self.masks >= 1, "masks", "of 1 or more", self.masks)
        check(self.cells >= 2, "cells", "of 2 or more", self.cells)
        most = math.isqrt(MAX_DRAWN // max(self.masks, 1))  # all coarse masks are drawn at once
        check(self.cells <= most, "cells", f"of at most {most} with {self.masks} masks", self.cells)
        check(0 < self.keep < 1, "keep", "between 0 and 1", self.keep)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        if trace.grid:
            return per_pair(trace, self._pixels(trace))
        each = [self._tokens(trace, item) for item in range(len(trace.inputs))]
        return trace.to_grid(per_pair(trace, each))

    def _pixels(self, trace: Trace) -> list[Tensor]:
        """Maps of each item, [pairs of the item, height, width]"""
        pixels = trace.inputs
        height, width = pixels.shape[-2:]
        masks = Masks(self.masks, self.cells, self.keep, (height, width), self.seed)
        maps: list[Tensor] = []
        for item in range(len(pixels)):

            def run(start: int, stop: int, item: int = item) -> tuple[Tensor, Tensor, Tensor]:
                mask = masks(start, stop, pixels.device)
                scores = trace.scores(trace.tower.fade(pixels[item], mask[:, None].to(pixels)), item)
                flat = mask.flatten(1)
                return scores.T.to(flat) @ flat, flat.sum(0), scores.sum(0)

            totals: list[Tensor] = []
            for sums in batches(run, self.masks, self.batch_size, self.progress):
                totals = [total + more for total, more in zip(totals, sums, strict=True)] if totals else [*sums]
            with_part, part, score = (total / self.masks for total in totals)
            found = share_out(with_part, part, score, self.keep, self.normalise)
            maps.append(torch.unflatten(found.to(trace.target), 1, (height, width)))
        return maps

    def _tokens(self, trace: Trace, item: int) -> Tensor:
        """[pairs of the item, token]; zero for special tokens, which are never removed."""
        ids = trace.inputs[item : item + 1]
        content = trace.tower.axis(ids).content[0]
        count = int(content.sum())
        if count <= _EXACT:
            kept = all_subsets(count)
            size = kept.sum(1).double()
            chance = self.keep**size * (1 - self.keep) ** (count - size)
        else:
            generator = torch.Generator().manual_seed(self.seed)
            kept = torch.rand(self.masks, count, generator=generator, dtype=torch.float64) < self.keep
            chance = torch.full((self.masks,), 1 / self.masks, dtype=torch.float64)
        scores = score_subsets(
            lambda some: trace.scores(some, item), trace.tower, ids, kept, self.batch_size, self.progress
        ).double()
        mask, chance = kept.to(scores), chance.to(scores)
        weighted = (scores * chance[:, None]).T
        found = share_out(weighted @ mask, chance @ mask, weighted.sum(1), self.keep, self.normalise)
        values = trace.target.new_zeros(scores.shape[1], ids.shape[1])
        values[:, content] = found.to(values)
        return values
