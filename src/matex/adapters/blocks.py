"""Pre-norm transformer blocks with the module names of transformers, shared by the encoders of several families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.encoder import Attended, State, TokenAxis, single_row
from matex.adapters.library import Network


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of transformers' CLIPEncoder and its relatives; a family adds how tokens enter and how they are pooled."""

    layers: nn.ModuleList
    missing: Mapping[str, str]
    causal: bool
    taps: tuple[int, ...] = ()

    @property
    def depth(self) -> int:
        return len(self.layers)

    def norm(self, layer: int, hidden: Tensor) -> Tensor:
        block: Network = self.layers[layer]
        return block.layer_norm1(hidden)

    def mask(self, layer: int, axis: TokenAxis, rows: Tensor | None = None) -> Tensor | None:
        if not self.causal:
            return axis.valid[:, None, None, :] if axis.padded else None
        position = torch.arange(axis.valid.shape[1], device=axis.valid.device)
        querying = position if rows is None else rows[:, None]
        return (position <= querying[..., None])[..., None, :, :]

    def attend(
        self,
        layer: int,
        normed: Tensor,
        axis: TokenAxis,
        rows: Tensor | None = None,
        moving: Tensor | None = None,
    ) -> Attended:
        block: Network = self.layers[layer]
        attention = block.self_attn
        queried = normed if rows is None else single_row(normed, rows)
        heads = attention.num_heads
        query, key, value = (
            torch.unflatten(_project(projection, x, moves), -1, (heads, -1)).transpose(1, 2)
            for projection, x, moves in (
                (attention.q_proj, queried, moving if rows is None else None),
                (attention.k_proj, normed, moving),
                (attention.v_proj, normed, moving),
            )
        )
        # is_causal describes square attention; for a single query row the causal mask is given explicitly.
        square = self.causal and rows is None
        mask = None if square else self.mask(layer, axis, rows)
        output = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=square, scale=attention.scale
        )
        return Attended(query, key, value, output.transpose(1, 2).flatten(2))

    def output_projection(self, layer: int, output: Tensor) -> Tensor:
        block: Network = self.layers[layer]
        return block.self_attn.out_proj(output)

    def after_attention(self, layer: int, hidden: Tensor, output: Tensor) -> Tensor:
        block: Network = self.layers[layer]
        hidden = hidden + self.output_projection(layer, output)
        return hidden + block.mlp(block.layer_norm2(hidden))

    def stage(self, layer: int, state: State) -> State:
        output = self.attend(layer, self.norm(layer, state.hidden), state.axis).output
        return state.followed_by(self.after_attention(layer, state.hidden, output), layer in self.taps)

    def weights(self, parts: Mapping[str, Sequence[nn.Module]]) -> dict[str, list[nn.Parameter]]:
        """The weights by stage from the output back: these parts, the blocks from the last on between them.

        Args:
            parts: "projection", "norm" and whatever lies above the blocks, then "embeddings", which lies below.
        """
        blocks = {f"block {layer}": [self.layers[layer]] for layer in reversed(range(len(self.layers)))}
        above = {name: modules for name, modules in parts.items() if name != "embeddings"}
        below = {"embeddings": parts["embeddings"]}
        ordered = {**above, **blocks, **below}
        return {name: [weight for part in some for weight in part.parameters()] for name, some in ordered.items()}


def _project(projection: nn.Module, tokens: Tensor, moving: Tensor | None) -> Tensor:
    """Project tokens [batch, token, dim] linearly; with `moving` [batch], autograd records these tokens alone.

    The backward pass is then that of one token instead of all. The forward pass is the same to the bit.
    """
    if moving is None:
        return projection(tokens)
    with torch.no_grad():
        constant: Tensor = projection(tokens)
    row: Tensor = projection(single_row(tokens, moving))[:, 0]
    batch = torch.arange(len(tokens), device=tokens.device)
    return constant.index_put((batch, moving), row - row.detach(), accumulate=True)
