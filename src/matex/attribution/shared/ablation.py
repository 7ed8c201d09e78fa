"""Scores of an input with parts of it removed: pixels become the mean colour, words leave the phrase."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.encoder import Encoder
from matex.attribution.shared.batching import batches
from matex.geometry import Size
from matex.trace import Trace


def score_subsets(
    scores: Callable[[Tensor], Tensor],
    tower: Encoder,
    inputs: Tensor,
    kept: Tensor,
    batch_size: int = 64,
    progress: bool = False,
    segments: Tensor | None = None,
) -> Tensor:
    """Scores of one input with only some of its segments or content tokens left.

    Removed pixels are 0 in normalised space, the mean colour; removed tokens are taken out of the phrase, which
    becomes shorter, begin and end tokens stay (METHODS 17.2, `delete`). Equal subsets are run once.

    Args:
        scores: of a batch of inputs, [input, target]; see `Trace.scores`.
        tower: removes content tokens, or fades segments out.
        inputs: pixels [1, channel, height, width] or token ids [1, token].
        kept: which features stay, bool [subset, feature]: segments by number, or content tokens in reading order.
        batch_size: rows run at once.
        progress: show a bar.
        segments: of pixels: which segment each belongs to, from 0, or -1 where it always stays, [height, width].

    Returns:
        [subset, target].
    """
    if not kept.shape[1]:
        return scores(inputs).expand(len(kept), -1)
    different, back = cast(tuple[Tensor, Tensor], kept.unique(dim=0, return_inverse=True))
    if segments is not None:

        def run(start: int, stop: int) -> Tensor:
            return scores(tower.fade(inputs, segment_masks(segments, different[start:stop]).to(inputs)))

        return torch.cat(list(batches(run, len(different), batch_size, progress)))[back]
    found: dict[int, Tensor] = {}
    sizes = different.sum(1)
    for size in cast(list[int], sizes.unique().tolist()):
        which = (sizes == size).nonzero()[:, 0]
        ids = tower.remove(inputs, different[which])

        def run_tokens(start: int, stop: int, ids: Tensor = ids) -> Tensor:
            return scores(ids[start:stop])

        rows = torch.cat(list(batches(run_tokens, len(ids), batch_size, progress)))
        found |= dict(zip(cast(list[int], which.tolist()), rows, strict=True))
    return torch.stack([found[i] for i in range(len(different))])[back]


def patches(grid: Size, patch: Size, size: Size, overlap: Size = (0, 0)) -> Tensor:
    """Index of the patch of each pixel, row by row from 0, [height, width]; -1 after the last patch, read by none.

    Of patches that overlap, a pixel belongs to the one whose centre is nearest.
    """
    nearest: list[Tensor] = []
    for count, distance, length, shared in zip(grid, patch, size, overlap, strict=True):
        number = ((torch.arange(length) - shared // 2) // distance).clamp(0, count - 1)
        nearest.append(torch.where(torch.arange(length) < count * distance + shared, number, -1))
    rows, columns = nearest
    numbers = rows[:, None] * grid[1] + columns
    return torch.where((rows[:, None] < 0) | (columns < 0), -1, numbers)


def segment_masks(segments: Tensor, kept: Tensor) -> Tensor:
    """Kept segments [subset, segment] as masks [subset, 1, height, width]; pixels of segment -1 stay."""
    return F.pad(kept.to(segments.device), (0, 1), value=True)[:, None, segments]


def all_subsets(count: int) -> Tensor:
    """Every subset of `count` features, the empty one first and the full one last, bool [2 ** count, count]."""
    return torch.tensor(list(itertools.product((False, True), repeat=count)), dtype=torch.bool).reshape(2**count, count)


def per_pair(trace: Trace, values: Sequence[Tensor]) -> Tensor:
    """Values of each input for its own pairs, [pairs of the item, ...], as values of all pairs, [pair, ...]."""
    result = values[0].new_zeros(len(trace.item), *values[0].shape[1:])
    for item, some in enumerate(values):
        result[trace.item == item] = some
    return result
