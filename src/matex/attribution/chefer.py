"""Chefer et al.: gradient times attention, carried down through the blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matex.attribution.grad_eclip import reader_value_gradient
from matex.protocols import METHODS
from matex.trace import Trace


def carry_down(trace: Trace, last: Tensor, below: Iterable[Tensor]) -> Tensor:
    """The readout's row of (I + M_L) ... (I + M_l), [pair, token].

    Args:
        trace: says how much each stream counts in the embedding.
        last: the readout's row of M in the last block, [pair, token]; the mean row where several tokens are read.
        below: M of the blocks below it, from the top, each [pair, query, key].
    """
    row = last if trace.pooling_head else trace.reading + last
    for matrix in below:
        row = row + torch.einsum("pq,pqk->pk", row, matrix)
    return row


@METHODS("chefer")
@dataclass(frozen=True)
class Chefer:
    """Positive part of gradient times attention, in the last block or multiplied through all of them (GAME).

    R starts as the identity, each block adds Abar R with Abar = mean over heads of ReLU(dS'/da * a), and the readout
    token's row of R is the map. S' is the cosine times the model's logit scale, as in the reference.

    Args:
        layers: "last" is what the authors' CLIP notebook runs and other papers compare with, gradient times attention
            of one block; "all" is the rule of the paper.

    Source:
        "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers",
        arXiv:2103.15679, eq. 5-6; METHODS 12. Two towers without cross attention need none of its bi-modal rules. With
        layers="all" the scale of S' matters: it weighs each gradient against the residual stream's identity.
    """

    layers: Literal["last", "all"] = "last"

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("attention", "gradient")
    passes: ClassVar[str] = "1 forward, 1 backward over the last block (all with layers='all')"
    source: ClassVar[str] = "Chefer et al., ICCV 2021, arXiv:2103.15679, eq. 5-6"
    equation: ClassVar[str] = "R = I; per block R <- R + Abar R, Abar = mean_h ReLU(dS/da * a); A_i = R[readout, i]"
    errors: ClassVar[tuple[str, ...]] = (
        "The CLIP notebook runs the last block alone, which other papers compare with. That is the default; "
        "layers='all' is the paper's rule.",
        "Papers cite CVPR 2021 (relevance propagation, `chefer-lrp`) for what is this method of ICCV 2021.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 1  # "all" needs every query row, which the trace finds by itself

    def __call__(self, trace: Trace) -> Tensor:
        below: Iterable[Tensor] = ()
        if self.layers == "all":
            below = (self._relevance(trace, layer) for layer in reversed(range(trace.depth - 1)))
        if trace.one_reader(-1):
            gradient = trace.logit_scale * reader_value_gradient(trace, -1)
            last = (gradient * trace.attention_row(-1)).relu().mean(dim=1)
        else:
            last = torch.einsum("pq,pqk->pk", trace.reading, self._relevance(trace, trace.depth - 1))
        if self.layers == "all":
            trace.gradient_rows(0)  # the lowest block first: one backward pass also finds those above
        return trace.to_grid(carry_down(trace, last, below))

    def _relevance(self, trace: Trace, layer: int) -> Tensor:
        """Mean over heads of ReLU(dS'/da * a) in one block, [pair, query, key]."""
        gradient = torch.einsum("phqd,phkd->phqk", trace.gradient_rows(layer), trace.value(layer))
        return (trace.logit_scale * gradient * trace.attention(layer)).relu().mean(dim=1)
