"""Attention rollout: the product of the attention maps, the residual stream counted in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matex.protocols import METHODS
from matex.trace import Trace


def rollout_row(attention: Callable[[int], Tensor], last_row: Tensor, readout: Tensor, depth: int) -> Tensor:
    """The readout token's row of the rolled-out attention.

    Only that row is carried down through the blocks, so the cost per block is one vector-matrix product.

    Args:
        attention: head-mean attention of a block, [pair, query, key].
        last_row: head-mean attention of the readout token in the last block, [pair, key].
        readout: position of the readout token, [pair].
        depth: number of blocks.

    Returns:
        [pair, token]; sums to 1.

    Source:
        "Quantifying Attention Flow in Transformers", arXiv:2005.00928: A~ = rownorm(A + I), R = A~_L ... A~_1.
    """
    itself = torch.nn.functional.one_hot(readout, last_row.shape[-1]).to(last_row)
    row = (last_row + itself) / 2
    for layer in reversed(range(depth - 1)):
        row = (torch.einsum("pq,pqk->pk", row, attention(layer)) + row) / 2
    return row


@METHODS("rollout")
@dataclass(frozen=True)
class Rollout:
    """What the readout token gathered from each token over all blocks; blind to the other modality.

    Source:
        "Quantifying Attention Flow in Transformers", arXiv:2005.00928. Heads are averaged.
    """

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("readout", "attention")
    passes: ClassVar[str] = "1 forward"
    source: ClassVar[str] = "Abnar and Zuidema, arXiv:2005.00928"
    equation: ClassVar[str] = "A = R[readout], R = A~_L ... A~_1, A~ = (mean_h a + I) / 2"
    errors: ClassVar[tuple[str, ...]] = (
        "Grad-ECLIP's baseline of this name takes the last block alone, which is raw attention. Here all "
        "blocks are multiplied.",
        "On the text the begin token takes most of the row. Scores are given for words; special tokens stay "
        "in the raw vector.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        row = rollout_row(
            lambda layer: trace.attention(layer).mean(dim=1),
            trace.attention_row(-1).mean(dim=1),
            trace.readout,
            trace.depth,
        )
        return trace.to_grid(row)
