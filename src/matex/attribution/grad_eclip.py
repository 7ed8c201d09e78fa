"""Grad-ECLIP: value times gradient, weighted by how alike the readout's query and each key are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.model import Attended, Tower
from matex.attribution.shared.minmax import minmax
from matex.checks import check
from matex.protocols import METHODS
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
        layers: how many of the last blocks are summed, all where the tower has fewer; None for the reference's choice:
            1 on the image, 8 on the text.
        key_similarity: weight by the similarity of query and key; False leaves value times gradient.
        heads: "model" keeps the model's own heads. "single" is the reference, which runs the explained blocks again
            with one head as wide as all: that is another network, with another score than the one reported.
        qk: "raw" compares query and key as the paper and the notebooks do; "projected" sends both through the output
            projection first, as the reference's evaluation script does. Which gave the published tables is unknown.

    Source:
        "Gradient-based Visual Explanation for Transformer-based CLIP" (ICML 2024); METHODS 6. The image form cuts each
        block at zero before the sum, the text form cuts the sum.
    """

    layers: int | None = None
    key_similarity: bool = True
    heads: Literal["model", "single"] = "model"
    qk: Literal["raw", "projected"] = "raw"

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("readout", "attention", "gradient")
    passes: ClassVar[str] = "1 forward, 1 backward over the last block (8 on the text)"
    source: ClassVar[str] = "Grad-ECLIP, ICML 2024"
    equation: ClassVar[str] = (
        "E_i = sum over blocks of ReLU((G . v_i) minmax(cos(q_readout, k_i))); on the text ReLU of the sum"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "The reference runs the explained blocks with one head as wide as all, another network with another "
        "score. Here the model's own heads are used; heads='single' is the reference.",
        "Notebooks compare raw query and key, the evaluation script projects both first; which gave the "
        "tables is unknown. Raw is the default, qk='projected' the other.",
        "On the text the similarity is scaled over 77 positions there, padding included, so that padding changes "
        "the map. Here over the tokens up to the end token.",
        "0/0 where all keys are alike gives NaN there. Here the weight is zero.",
    )

    def __post_init__(self) -> None:
        check(self.layers is None or self.layers >= 1, "layers", "of 1 or more", self.layers)

    def gradient_blocks(self, kind: str) -> int:
        return self.layers or (1 if kind == "image" else 8)

    def __call__(self, trace: Trace) -> Tensor:
        image = trace.tower.kind == "image"
        wanted = min(self.gradient_blocks(trace.tower.kind), trace.depth)
        first = trace.depth - wanted
        if self.heads == "single":
            single: Any = _SingleHead(trace.tower)
            trace = trace.rerun(single, first)
        terms: list[Tensor] = []
        for layer in range(first, trace.depth):
            term = value_gradient(trace.gradient(layer), trace.value(layer)).sum(dim=1)
            if self.key_similarity:
                # The image form scales among patches, the text form among all tokens read, special ones included.
                among = trace.content if image else _up_to_readout(trace)
                query, key = trace.query(layer), trace.key(layer)
                if self.qk == "projected":
                    query, key = _projected(trace, layer, query[:, :, None])[:, :, 0], _projected(trace, layer, key)
                term = term * key_similarity(query, key, among)
            terms.append(term.relu() if image else term)
        total = torch.stack(terms).sum(dim=0)
        return trace.to_grid(total if image else total.relu())


@dataclass(frozen=True)
class _SingleHead:
    """A tower whose attention is one softmax over the full width; all else is the tower it is a view of."""

    tower: Tower

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tower, name)

    def attend(self, layer: int, hidden: Tensor, rows: Tensor | None = None, moving: Tensor | None = None) -> Attended:
        query, key, value = (_one_head(part) for part in self.tower.attend(layer, hidden, rows, moving)[:3])
        allowed = None
        if self.tower.causal:
            position = torch.arange(key.shape[2], device=key.device)
            querying = position if rows is None else rows[:, None]
            allowed = (position <= querying[..., None])[..., None, :, :]
        output = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return Attended(query, key, value, output[:, 0])


def _one_head(heads: Tensor) -> Tensor:
    """[batch, heads, token, head_dim] to one head of the full width."""
    return heads.transpose(1, 2).flatten(2)[:, None]


def _projected(trace: Trace, layer: int, heads: Tensor) -> Tensor:
    """Queries or keys behind the output projection, as one head, [pair, 1, token, dim]."""
    with torch.no_grad():
        whole = _one_head(heads)[:, 0].to(trace.hidden(layer))
        return trace.tower.output_projection(layer, whole).to(heads)[:, None]


def _up_to_readout(trace: Trace) -> Tensor:
    """Tokens from the first to the readout, bool [pair, token]."""
    position = torch.arange(trace.content.shape[1], device=trace.readout.device)
    return position <= trace.readout[:, None]
