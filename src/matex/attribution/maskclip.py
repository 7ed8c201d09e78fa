"""MaskCLIP: the value of each patch in the last block, projected to the joint space as if it were the image's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.encoder import LocalTokens
from matex.errors import InputError
from matex.protocols import METHODS
from matex.trace import Trace


@METHODS("maskclip")
@dataclass(frozen=True)
class MaskClip:
    """Cosine of the phrase and each patch's value of the last block, carried to the joint space; signed.

    An encoder without attention has no values: each place of its last stage is carried to the joint space by itself,
    where the embedding is the mean of the places there. That is BioViL's local similarity without its smoothing. Where
    places of a lower stage were trained in the joint space (GLoRIA), it is these.

    Args:
        residual: add the block's input and its feed-forward part, as the official code for transformers does; False
            keeps the output projection alone, as the paper's text says. Without attention there is no such choice.
        key_similarity: weight by the cosine of CLS's and each patch's key behind the output projection, an addition of
            Grad-ECLIP's baseline that is in no MaskCLIP text. It needs CLS.

    Source:
        "Extract Free Dense Labels from CLIP", arXiv:2112.01071; METHODS 15, 22. No attention is used, so the number of
        heads does not matter.
    """

    residual: bool = True
    key_similarity: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image",)
    needs: ClassVar[tuple[str, ...]] = ("joint tokens",)
    passes: ClassVar[str] = "1 forward"
    source: ClassVar[str] = "MaskCLIP, arXiv:2112.01071"
    equation: ClassVar[str] = (
        "A_i = cos(text, projection of block(v_i)): the last block with each patch's own value in place of its "
        "attention"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "Paper and official code differ in the residual path. residual=True is the code, False the paper's text.",
        "Grad-ECLIP's baseline multiplies by a similarity of keys that is in no MaskCLIP text. Off; "
        "`key_similarity` sets it.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        if not trace.attentive:
            return self._places(trace)
        tower, last, hidden = trace.blocks, trace.depth - 1, trace.hidden(-1)
        with torch.no_grad():
            value = _whole(trace.value(last)).to(hidden)
            read = tower.after_attention(last, hidden, value) if self.residual else tower.output_projection(last, value)
            read = read if trace.pooling_head else trace.project(read)  # a head's output lies in the joint space
            patches = F.normalize(read.to(trace.target), dim=-1)
            scores = torch.einsum("ptj,pj->pt", patches, trace.target)
            if self.key_similarity:
                key = tower.output_projection(last, _whole(trace.key(last)).to(hidden)).to(trace.target)
                own = key[torch.arange(len(key), device=key.device), trace.readout]
                scores = scores * F.cosine_similarity(own[:, None], key, dim=-1)
        return trace.to_grid(scores)

    def _places(self, trace: Trace) -> Tensor:
        """The map of an encoder without attention."""
        if self.key_similarity:
            raise InputError("Expected key_similarity=False on an encoder without attention, which has no keys.")
        tower = trace.tower
        local = isinstance(tower, LocalTokens)
        behind = (tower.local_stage if local else trace.depth - 1) + 1
        with torch.no_grad():
            hidden = trace.state(behind).hidden
            places = tower.project_local(hidden) if local else trace.project(hidden)
            places = F.normalize(places.to(trace.target), dim=-1)
            return trace.to_grid(torch.einsum("ptj,pj->pt", places, trace.target), behind)


def _whole(heads: Tensor) -> Tensor:
    """[pair, heads, token, head_dim] to [pair, token, dim]."""
    return heads.transpose(1, 2).flatten(2)
