"""LeGrad: gradients of the score with respect to the attention maps, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.checks import check
from matex.protocols import METHODS
from matex.trace import Trace


@METHODS("legrad")
@dataclass(frozen=True)
class LeGrad:
    """Gradient of each block's own score with respect to its attention, summed over the last blocks.

    A block's score is the cosine of the phrase and the mean of all its output tokens, read through the final norm and
    the projection; its map is the mean over heads and query tokens of the gradient's positive part.

    Args:
        layers: how many of the last blocks are summed; all where the tower has fewer.

    Source:
        "LeGrad: An Explainability Method for Vision Transformers via Feature Formation Sensitivity", arXiv:2404.03214,
        with the reference's pooling (all tokens, CLS included, also where CLIP pools CLS); METHODS 16.
    """

    layers: int = 2

    towers: ClassVar[tuple[str, ...]] = ("image",)
    needs: ClassVar[tuple[str, ...]] = ("attention", "gradient", "joint tokens")
    passes: ClassVar[str] = "1 forward, and 1 backward of each of the last 2 blocks"
    source: ClassVar[str] = "LeGrad, arXiv:2404.03214"
    equation: ClassVar[str] = (
        "A_j = sum over the last blocks l of mean_h,q ReLU(ds_l / da_l[h, q, j]), s_l = cos(text, block l's mean "
        "token read through the final norm and projection)"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "The number of blocks varies within the paper. Two, as the reference; `layers` sets it.",
        "Tokens are pooled as a mean also where CLIP pools CLS. Kept as in the reference.",
    )

    def __post_init__(self) -> None:
        check(self.layers >= 1, "layers", "of 1 or more", self.layers)

    def gradient_blocks(self, kind: str) -> int:
        return 0  # its scores are not the trace's

    def __call__(self, trace: Trace) -> Tensor:
        blocks = trace.depth - trace.pooling_head
        one = _pooled_block if trace.pooling_head else _block
        terms = [one(trace, layer) for layer in range(max(0, blocks - self.layers), blocks)]
        return trace.to_grid(torch.stack(terms).sum(dim=0))


def _block(trace: Trace, layer: int) -> Tensor:
    """One block's map over all tokens, [pair, token]."""
    with torch.inference_mode(False), torch.enable_grad():
        hidden = trace.hidden(layer).clone()
        output = trace.outputs(layer).to(hidden, copy=True).requires_grad_()
        pooled = trace.blocks.after_attention(layer, hidden, output).mean(dim=1)
        embedding = F.normalize(trace.project(pooled).to(trace.target), dim=-1)
        (gradient,) = torch.autograd.grad((embedding * trace.target.clone()).sum(), output)
    value = trace.value(layer)
    rows = torch.unflatten(gradient.to(value), -1, (value.shape[1], -1)).transpose(1, 2)
    return torch.einsum("phqd,phkd->phqk", rows, value).relu().mean(dim=(1, 2))


def _pooled_block(trace: Trace, layer: int) -> Tensor:
    """One block's map where a head pools: the gradient of its score at the head's attention, [pair, token].

    The head reads the block's output; for a block that is not the last, as if it were.
    """
    blocks, head = trace.blocks, trace.depth - 1
    with torch.inference_mode(False), torch.enable_grad():
        state = trace.state(layer + 1)
        with torch.no_grad():
            attended = blocks.attend(head, blocks.norm(head, state.hidden), state.axis)
        output = attended.output.clone().requires_grad_()
        pooled = blocks.pool(state.followed_by(blocks.after_attention(head, state.hidden, output)))
        embedding = F.normalize(pooled.to(trace.target), dim=-1)
        (gradient,) = torch.autograd.grad((embedding * trace.target.clone()).sum(), output)
    row = torch.unflatten(gradient.to(attended.value), -1, (attended.value.shape[1], -1))[:, 0]
    return torch.einsum("phd,phkd->phk", row, attended.value).relu().mean(dim=1)
