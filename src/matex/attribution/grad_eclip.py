"""Grad-ECLIP: value times gradient, weighted by how alike the readout's query and each key are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.method import METHODS, check, minmax
from matex.trace import Trace


def value_gradient(gradient: Tensor, value: Tensor) -> Tensor:
    """sum over channels of G times v per head, [pair, heads, token]; G is the readout token's row."""
    return torch.einsum("phd,phtd->pht", gradient, value)


def key_similarity(query: Tensor, key: Tensor, among: Tensor) -> Tensor:
    """Cosine of the readout token's query and each key over all heads at once, min-max'ed, [pair, token]."""
    whole_query, whole_key = query.flatten(1), key.transpose(1, 2).flatten(2)
    return minmax(F.cosine_similarity(whole_query[:, None], whole_key, dim=-1), among)


@METHODS("grad-eclip")
@dataclass(frozen=True)
class GradEclip:
    """Gradient of the score through the values of each token, weighted by key similarity.

    Args:
        layers: how many of the last blocks are summed; None for the reference's choice: 1 on the image, 8 on the text.
        key_similarity: weight by the similarity of query and key; False leaves value times gradient.

    Source:
        "Gradient-based Visual Explanation for Transformer-based CLIP" (ICML 2024); METHODS 6. The reference recomputes
        the blocks with a single head, which changes the model; here the model's own heads are kept.
    """

    layers: int | None = None
    key_similarity: bool = True

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    source: ClassVar[str] = "Grad-ECLIP, ICML 2024"

    def __post_init__(self) -> None:
        check(self.layers is None or self.layers >= 1, "layers", "of 1 or more", self.layers)

    def gradient_blocks(self, kind: str) -> int:
        return self.layers or (1 if kind == "image" else 8)

    def __call__(self, trace: Trace) -> Tensor:
        image = trace.tower.kind == "image"
        wanted = min(self.gradient_blocks(trace.tower.kind), trace.depth)
        terms: list[Tensor] = []
        for layer in range(trace.depth - wanted, trace.depth):
            term = value_gradient(trace.gradient(layer), trace.value(layer)).sum(dim=1)
            if self.key_similarity:
                # The image form scales among patches, the text form among all tokens read, special ones included.
                among = trace.content if image else _up_to_readout(trace)
                term = term * key_similarity(trace.query(layer), trace.key(layer), among)
            terms.append(term.relu() if image else term)
        total = torch.stack(terms).sum(dim=0)
        return trace.arrange(total if image else total.relu())


def _up_to_readout(trace: Trace) -> Tensor:
    """Tokens from the first to the readout, bool [pair, token]."""
    position = torch.arange(trace.content.shape[1], device=trace.readout.device)
    return position <= trace.readout[:, None]
