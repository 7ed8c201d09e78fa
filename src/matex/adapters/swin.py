"""Swin transformer stage by stage, with the published names of weights and without transformers' import.

Hidden states are grids [item, rows, columns, dim] after every stage. transformers 5 renamed the submodules of its
SwinModel and translates published files while reading them; the names here are those of the files.

Source:
    "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", arXiv:2103.14030.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.library import Network
from matex.errors import InputError
from matex.geometry import Size

_SHUT = -100.0  # added to scores between regions that the shift brought side by side, as published


@dataclass(frozen=True)
class SwinConfig:
    """Sizes of a Swin transformer; defaults are those of microsoft/swin-tiny-patch4-window7-224.

    Args:
        image_size: side of the images that the weights were trained on, pixels; others are read as well.
        depths: blocks per stage; every second block shifts its windows.
        num_heads: attention heads per stage.
        window_size: side of a window, tokens.
    """

    image_size: int = 224
    patch_size: int = 4
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    mlp_ratio: float = 4.0
    layer_norm_eps: float = 1e-5

    @property
    def hidden_size(self) -> int:
        """Dimensions after the last stage."""
        return self.embed_dim * 2 ** (len(self.depths) - 1)


class PatchEmbeddings(nn.Module):
    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, config.embed_dim, config.patch_size, config.patch_size)


class Embeddings(nn.Module):
    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.patch_embeddings = PatchEmbeddings(config)
        self.norm = nn.LayerNorm(config.embed_dim)


class WindowAttention(nn.Module):
    """Projections and the learned bias of each head for each offset between two tokens of a window."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))


class Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)


class AttentionHalf(nn.Module):
    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.self = WindowAttention(dim, heads, window)
        self.output = Dense(dim, dim)


class Block(nn.Module):
    """One pre-norm block whose attention stays within windows."""

    def __init__(self, config: SwinConfig, dim: int, heads: int) -> None:
        super().__init__()
        inner = int(config.mlp_ratio * dim)
        self.layernorm_before = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.attention = AttentionHalf(dim, heads, config.window_size)
        self.layernorm_after = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.intermediate = Dense(dim, inner)
        self.output = Dense(inner, dim)


class PatchMerging(nn.Module):
    """Four neighbours to one token of twice the dimensions."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, hidden: Tensor) -> Tensor:
        padded = F.pad(hidden, (0, 0, 0, hidden.shape[2] % 2, 0, hidden.shape[1] % 2))
        neighbours = [padded[:, row::2, column::2] for column in range(2) for row in range(2)]
        return self.reduction(self.norm(torch.cat(neighbours, dim=-1)))


class Stage(nn.Module):
    def __init__(self, config: SwinConfig, number: int) -> None:
        super().__init__()
        dim = config.embed_dim * 2**number
        self.blocks = nn.ModuleList(Block(config, dim, config.num_heads[number]) for _ in range(config.depths[number]))
        if number < len(config.depths) - 1:
            self.downsample = PatchMerging(dim)


class Encoder(nn.Module):
    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Stage(config, number) for number in range(len(config.depths)))


class Swin(nn.Module):
    """A Swin transformer; run it with the functions of this file."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


def start(swin: Swin, pixels: Tensor) -> Tensor:
    """Pixels [item, 3, height, width] to patches [item, rows, columns, dim], the first stage's input.

    Pixels that fill no patch are completed with zeros at the right and the bottom.
    """
    patch = swin.config.patch_size
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels, (0, -width % patch, 0, -height % patch))
    return swin.embeddings.norm(swin.embeddings.patch_embeddings.projection(padded).permute(0, 2, 3, 1))


def stage(swin: Swin, layer: int, hidden: Tensor) -> Tensor:
    """Stage `layer`, counted from 0: patch merging, which halves rows and columns (not before the first), and blocks.

    Merging belongs to the stage that follows it, as in the paper's figure 3, so that the last block's output is a
    stage's output and no merged grid is.
    """
    layers: Network = swin.encoder.layers
    if layer:
        hidden = layers[layer - 1].downsample(hidden)
    for number, block in enumerate(layers[layer].blocks):
        hidden = run_block(block, hidden, swin.config.window_size, shifted=number % 2 == 1)
    return hidden


def grid(swin: Swin, size: Size) -> Size:
    """(rows, columns) of the last stage for images of (height, width) pixels."""
    step = swin.config.patch_size * 2 ** (len(swin.config.depths) - 1)
    return (-(-size[0] // step), -(-size[1] // step))


def parts(swin: Swin) -> dict[str, list[nn.Module]]:
    """Modules by stage, from the final norm back to the patch embeddings."""
    layers: Network = swin.encoder.layers
    stages = {
        f"block {layer}": [layers[layer].blocks, *([layers[layer - 1].downsample] if layer else [])]
        for layer in reversed(range(len(layers)))
    }
    return {"norm": [swin.layernorm], **stages, "embeddings": [swin.embeddings]}


def norm(swin: Swin, hidden: Tensor) -> Tensor:
    """The final norm over the last stage's output, [item, rows, columns, dim]."""
    return swin.layernorm(hidden)


def run_block(block: Network, hidden: Tensor, window: int, shifted: bool) -> Tensor:
    """One block over a grid [item, rows, columns, dim].

    Args:
        window: side of a window, tokens.
        shifted: whether windows lie half a window further; where one window covers the grid they do not.

    Raises:
        InputError: a grid that is smaller than a window.
    """
    rows, columns = hidden.shape[1:3]
    if min(rows, columns) < window:
        raise InputError(
            f"Expected images whose grid has at least {window} rows and columns at every stage, got {rows}x{columns}. "
            "Use larger images."
        )
    shift = window // 2 if shifted and min(rows, columns) > window else 0
    grid = F.pad(block.layernorm_before(hidden), (0, 0, 0, -columns % window, 0, -rows % window))
    padded = grid.shape[1:3]
    windows = to_windows(grid.roll((-shift, -shift), dims=(1, 2)), window)
    attended = from_windows(_attend(block.attention, windows, window, shift, padded), window, padded)
    hidden = hidden + attended.roll((shift, shift), dims=(1, 2))[:, :rows, :columns]
    inner = F.gelu(block.intermediate.dense(block.layernorm_after(hidden)))
    return hidden + block.output.dense(inner)


def _attend(attention: Network, windows: Tensor, window: int, shift: int, grid: tuple[int, ...]) -> Tensor:
    """Attention within windows [item, windows, token, dim], the output projection included."""
    half = attention.self
    query, key, value = (
        projection(windows).unflatten(-1, (half.num_heads, -1)).transpose(2, 3)
        for projection in (half.query, half.key, half.value)
    )
    bias = half.relative_position_bias_table[offsets(window).to(windows.device)].permute(2, 0, 1)
    if shift:
        bias = bias + shift_mask(grid, window, shift).to(bias)[:, None]
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.expand(query.shape[1], -1, -1, -1))
    return attention.output.dense(output.transpose(2, 3).flatten(3))


def to_windows(hidden: Tensor, window: int) -> Tensor:
    """Cut a grid [item, rows, columns, dim] into windows [item, windows, token, dim], row by row."""
    split = torch.unflatten(torch.unflatten(hidden, 2, (-1, window)), 1, (-1, window))
    return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def from_windows(windows: Tensor, window: int, grid: tuple[int, ...]) -> Tensor:
    """The inverse of `to_windows` for a grid of (rows, columns)."""
    split = torch.unflatten(windows, 1, (grid[0] // window, grid[1] // window))
    split = torch.unflatten(split, 3, (window, window))
    return split.transpose(2, 3).flatten(1, 2).flatten(2, 3)


def offsets(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens of a window, [query, key]."""
    place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    down, across = place[:, :, None] - place[:, None, :] + window - 1
    return down * (2 * window - 1) + across


def shift_mask(grid: tuple[int, ...], window: int, shift: int) -> Tensor:
    """Additive mask between tokens that only the cyclic shift put side by side, [windows, query, key]: 0 or -100."""
    down, across = (
        (torch.arange(side) >= side - window).long() + (torch.arange(side) >= side - shift).long() for side in grid
    )
    region = (3 * down[:, None] + across)[None, :, :, None]
    regions = to_windows(region, window)[0, :, :, 0]
    return torch.where(regions[:, :, None] == regions[:, None, :], 0.0, _SHUT)
