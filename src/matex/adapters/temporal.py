"""BioViL-T's transformer over the patches of two images, which is not run where there is one.

Source:
    "Learning to Exploit Temporal Structure for Biomedical Vision-Language Processing", arXiv:2301.04558.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TemporalAttention(nn.Module):
    """Multi-head attention whose projections have no bias but the last."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.proj_q, self.proj_k, self.proj_v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            projection(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for projection in (self.proj_q, self.proj_k, self.proj_v)
        )
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class TemporalBlock(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = TemporalAttention(dim, heads)
        self.mlp = FeedForward(dim)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        # Places are added to the values too, unlike in DETR, whose scheme the published comments name.
        tokens = tokens + self.attn(self.norm1(tokens) + places)
        return tokens + self.mlp(self.norm2(tokens))


class TemporalTransformer(nn.Module):
    """Compares the patches of two images; it is not run where there is one."""

    def __init__(self, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TemporalBlock(dim, heads) for _ in range(depth))
        self.norm_post = nn.LayerNorm(dim, eps=1e-6)
        self.type_embed = nn.Parameter(torch.zeros(2, 1, dim))

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Patches of both images [item, rows, columns, dim] to what changed, at the current image's patches."""
        rows, columns, dim = current.shape[1:]
        tokens = torch.cat([current.flatten(1, 2), previous.flatten(1, 2)], dim=1)
        sines = sine_positions(rows, columns, dim).to(tokens)
        places = torch.cat([sines + self.type_embed[0], sines + self.type_embed[1]])
        for block in self.blocks:
            tokens = block(tokens, places)
        return self.norm_post(tokens)[:, : rows * columns].unflatten(1, (rows, columns))


def sine_positions(rows: int, columns: int, dim: int) -> Tensor:
    """Fixed place embeddings of a grid, float32 [row * column, dim]: the row's half first, then the column's.

    Sine and cosine take turns; places run over (0, 2 pi] on each axis, as in DETR (arXiv:2005.12872).
    """
    wavelength = 10000 ** (2 * (torch.arange(dim // 2) // 2) / (dim // 2))

    def axis(count: int) -> Tensor:
        places = torch.arange(1, count + 1) / (count + 1e-6) * (2 * math.pi)
        angles = places[:, None] / wavelength
        return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=-1).flatten(1)

    down = axis(rows)[:, None].expand(-1, columns, -1)
    across = axis(columns)[None].expand(rows, -1, -1)
    return torch.cat([down, across], dim=-1).flatten(0, 1)
