"""Scores of images that retain only the highest places of a map."""

# torch's stubs leave unflatten, split and tolist untyped, and its functions are passed as values here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from matex.attribution.shared.ablation import patches, score_subsets
from matex.trace import Trace


def retained_scores(trace: Trace, maps: Sequence[Tensor], share: float = 0.25) -> Tensor:
    """Score of each pair with the highest patches of a map left and the others faded to the mean colour.

    Args:
        trace: of an image.
        maps: several maps of each pair, each [pair, rows, columns].
        share: of the patches that stay, in (0, 1]; at least one stays.

    Returns:
        [map, pair].
    """
    flat = torch.stack(list(maps)).flatten(2)  # [map, pair, patch]
    best = flat.topk(math.ceil(share * flat.shape[-1]), dim=-1).indices
    kept = torch.zeros_like(flat, dtype=torch.bool).scatter(-1, best, True)
    assert trace.grid is not None
    height, width = trace.inputs.shape[-2:]
    segments = patches(trace.grid, trace.patch, (height, width), trace.overlap)
    found = flat.new_zeros(len(flat), len(trace.item))
    for item in trace.item.unique().tolist():
        pairs = trace.item == item
        scores = score_subsets(
            lambda inputs, item=item: trace.scores(inputs, item),
            trace.tower,
            trace.inputs[item : item + 1],
            kept[:, pairs].flatten(0, 1),
            segments=segments,
        ).unflatten(0, (len(flat), -1))
        found[:, pairs] = scores.diagonal(dim1=1, dim2=2).to(found)  # each pair's own map with its own target
    return found
