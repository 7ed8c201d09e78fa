"""Attention rollout: the product of the blocks' attention maps, including the residual stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matex.protocols import METHODS
from matex.trace import Trace


def rollout_row(attention: Callable[[int], Tensor], last_row: Tensor, readout: Tensor | None, depth: int) -> Tensor:
    """The row of the rolled-out attention through which the embedding is read.

    Only that row is carried down through the blocks, so the cost per block is one vector-matrix product.

    Args:
        attention: head-mean attention of a block, [pair, query, key].
        last_row: head-mean attention of the reader in the last block, [pair, key].
        readout: position of the token whose stream is read, which the residual of the last block adds, [pair]; or a
            distribution over several, [pair, token]; None for a pooling head, which has no residual.
        depth: number of blocks.

    Returns:
        [pair, token]; sums to 1.

    Source:
        "Quantifying Attention Flow in Transformers", arXiv:2005.00928: A~ = rownorm(A + I), R = A~_L ... A~_1.
    """
    if readout is not None and readout.dim() == 1:
        readout = torch.nn.functional.one_hot(readout, last_row.shape[-1]).to(last_row)
    row = last_row if readout is None else (last_row + readout) / 2
    for layer in reversed(range(depth - 1)):
        row = (torch.einsum("pq,pqk->pk", row, attention(layer)) + row) / 2
    return row


def reader_rollout(trace: Trace) -> Tensor:
    """The rolled-out attention of the readers: CLS's row, the mean row of pooled tokens, a pooling head's own."""
    last = trace.attention_row(-1).mean(dim=1)
    readout = None if trace.pooling_head else trace.reading.to(last)
    return rollout_row(lambda layer: trace.attention(layer).mean(dim=1), last, readout, trace.depth)


@METHODS("rollout")
@dataclass(frozen=True)
class Rollout:
    """Flow of information from each token to the readout token over all blocks; independent of the other modality.

    Source:
        "Quantifying Attention Flow in Transformers", arXiv:2005.00928. Heads are averaged.
    """

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("attention",)
    passes: ClassVar[str] = "1 forward"
    phrase_blind: ClassVar[bool] = True
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
        return trace.to_grid(reader_rollout(trace))
