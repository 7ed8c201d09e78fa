"""CLIP Surgery: a second path with value-value attention, and the feature common to all texts removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.checks import check, check_once
from matex.errors import InputError
from matex.protocols import METHODS
from matex.trace import Trace


def surgical_tokens(trace: Trace, layers: int) -> Tensor:
    """Tokens of the second path in the joint space, unit norm, [pair, token, joint].

    The path starts at the input of the first of the last `layers` blocks. Each block adds its attention with value in
    place of query and key, read from the original path, and leaves out the feed-forward part.
    """
    first = max(0, trace.depth - layers)
    with torch.no_grad():
        tokens = trace.hidden(first)
        for layer in range(first, trace.depth):
            value = trace.value(layer)
            output = F.scaled_dot_product_attention(value, value, value).transpose(1, 2).flatten(2)
            tokens = tokens + trace.blocks.output_projection(layer, output.to(tokens))
        return F.normalize(trace.project(tokens).to(trace.target), dim=-1)


def feature_surgery(tokens: Tensor, image: Tensor, texts: Tensor) -> Tensor:
    """Similarity of tokens to the first of several texts, without what all texts share.

    Args:
        tokens: unit norm, [pair, token, joint].
        image: embedding of the image, unit norm, [pair, joint].
        texts: unit norm, [pair, text, joint].

    Returns:
        [pair, token].
    """
    weight = (2 * torch.einsum("pj,pnj->pn", image, texts)).softmax(dim=-1)
    weight = weight / weight.mean(dim=-1, keepdim=True)
    weighted = weight[..., None] * texts
    return torch.einsum("ptj,pj->pt", tokens, weighted[:, 0] - weighted.mean(dim=1))


@METHODS("clip-surgery")
@dataclass(frozen=True)
class ClipSurgery:
    """Similarity of each patch and the phrase, attention replaced by value similarity, a redundant text taken away.

    Args:
        redundant: what the phrase is compared with: words, which need the model's tokenizer, or token ids, special
            tokens included. The empty text is the reference's choice and needs no tokenizer.
        rivals: further phrases; with them the phrase is one label of a set and the redundant text is not used. The
            result depends on the set.
        layers: how many of the last blocks get the second path; all of them where the tower has fewer.

    Source:
        "A Closer Look at the Explainability of Contrastive Language-Image Pre-training", arXiv:2304.05653; METHODS 14.
        Texts are read as they are: the reference averages 85 templates ("a photo of a ..."), which mean nothing for
        films. Embeddings are normalised over channels; Grad-ECLIP's copy normalised over tokens by mistake.
    """

    redundant: str | tuple[int, ...] = ""
    rivals: tuple[str, ...] = ()
    layers: int = 6

    towers: ClassVar[tuple[str, ...]] = ("image",)
    needs: ClassVar[tuple[str, ...]] = ("readout", "attention", "joint tokens")
    passes: ClassVar[str] = "1 forward, 1 short text forward"
    source: ClassVar[str] = "CLIP Surgery, arXiv:2304.05653"
    equation: ClassVar[str] = (
        "A_i = f_i . (T - T_redundant), f_i of a second path through the last 6 blocks whose attention is "
        "softmax(v v^T)"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "The multi-text form depends on the set of labels. The single-text form is the default; `rivals` "
        "gives the other.",
        "85 templates such as 'a photo of a ...' mean nothing for films. Phrases are read as they are.",
        "Grad-ECLIP's copy normalised over tokens by mistake. Here over channels.",
    )

    def __post_init__(self) -> None:
        check(self.layers >= 1, "layers", "of 1 or more", self.layers)
        check(self.redundant != (), "redundant", "to be words or at least one token id", self.redundant)
        check_once("one of rivals", self.rivals)

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        tokens = surgical_tokens(trace, self.layers)
        if self.rivals:
            if trace.objective is not None:
                raise InputError(
                    "Expected either rivals of clip-surgery or against and labels, got both. Leave one out."
                )
            rivals = torch.stack([trace.embed_text(rival) for rival in self.rivals])
            texts = torch.cat([trace.target[:, None], rivals.to(trace.target).expand(len(tokens), -1, -1)], dim=1)
            return trace.to_grid(feature_surgery(tokens, trace.embedding, texts))
        redundant = trace.embed_text(self.redundant).to(trace.target)
        return trace.to_grid(
            torch.einsum("ptj,pj->pt", tokens, trace.target - trace.target_weight[:, None] * redundant)
        )
