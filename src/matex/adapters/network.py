"""CLIP's modules as in transformers, reduced to the parts that the towers call.

Names of modules, weights and configuration entries are those of transformers' CLIPModel, so that `clip.py` sees both
alike and its state dict is the published one. Importing transformers takes longer than importing torch; this file
imports torch alone. A test compares every output with CLIPModel's, bit by bit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.checks import is_object
from matex.errors import CheckpointError, UnsupportedModel, shown
from matex.registry import Parameterised


class QuickGELU(nn.Module):
    """OpenAI's approximation of GELU."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden * torch.sigmoid(1.702 * hidden)


class NewGELU(nn.Module):
    """The tanh approximation of GELU in transformers' order of operations."""

    def forward(self, hidden: Tensor) -> Tensor:
        inner = math.sqrt(2.0 / math.pi) * (hidden + 0.044715 * torch.pow(hidden, 3.0))
        return 0.5 * hidden * (1.0 + torch.tanh(inner))


class TanhGELU(nn.Module):
    """The tanh approximation of GELU in torch's order of operations."""

    def forward(self, hidden: Tensor) -> Tensor:
        return F.gelu(hidden, approximate="tanh")


ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "quick_gelu": QuickGELU,
    "gelu": nn.GELU,
    "gelu_new": NewGELU,
    "gelu_pytorch_tanh": TanhGELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
}


def bounded(default: int, low: int, high: int) -> int:
    """A dataclass field for integers in [low, high]."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class VisionConfig:
    """Configuration of the image tower; names and defaults are those of transformers' CLIPVisionConfig."""

    hidden_size: int = bounded(768, 1, 1 << 16)
    intermediate_size: int = bounded(3072, 1, 1 << 18)
    num_hidden_layers: int = bounded(12, 1, 1000)
    num_attention_heads: int = bounded(12, 1, 1 << 12)
    num_channels: int = bounded(3, 3, 3)
    image_size: int = bounded(224, 1, 1 << 14)
    patch_size: int = bounded(32, 1, 1 << 14)
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5


@dataclass(frozen=True)
class TextConfig:
    """Configuration of the text tower; names and defaults are those of transformers' CLIPTextConfig.

    Args:
        eos_token_id: id of the end token, whose place is the readout; 2 in old checkpoints, which then read the
            largest id of a phrase.
    """

    hidden_size: int = bounded(512, 1, 1 << 16)
    intermediate_size: int = bounded(2048, 1, 1 << 18)
    num_hidden_layers: int = bounded(12, 1, 1000)
    num_attention_heads: int = bounded(8, 1, 1 << 12)
    vocab_size: int = bounded(49408, 3, 1 << 24)
    max_position_embeddings: int = bounded(77, 3, 1 << 16)
    eos_token_id: int = bounded(49407, 0, 1 << 24)
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5


@dataclass(frozen=True)
class ClipConfig:
    """Configuration of a CLIP model: both towers and the dimension of the joint space."""

    vision_config: VisionConfig
    text_config: TextConfig
    projection_dim: int = bounded(512, 1, 1 << 16)

    @classmethod
    def from_dict(cls, content: Mapping[str, object], source: str) -> ClipConfig:
        """Read a config.json of model_type "clip".

        Args:
            content: of the file. Sections of old files (`vision_config_dict`) override the others, as in transformers.
            source: named in error messages.

        Raises:
            CheckpointError: a value that no CLIP model can have, by its key.
            UnsupportedModel: an activation that is not built here.
        """
        vision = _section(VisionConfig, content, "vision_config", source)
        text = _section(TextConfig, content, "text_config", source)
        size = content.get("projection_dim", 512)
        _check(cls, "projection_dim", size, "projection_dim", source)
        assert isinstance(size, int)
        return cls(vision, text, size)


Sizes = TypeVar("Sizes", VisionConfig, TextConfig)


def _section(kind: type[Sizes], content: Mapping[str, object], key: str, source: str) -> Sizes:
    known = {item.name: item.default for item in dataclasses.fields(kind)}
    values: dict[str, Any] = dict(known)  # each is checked before the tower is made
    for section, complete in ((key, False), (f"{key}_dict", True)):
        given = content.get(section)
        if given is None:
            continue
        if not is_object(given):
            raise _refusal(f"{section}", "a table", given, source)
        values |= {**(known if complete else {}), **{name: value for name, value in given.items() if name in known}}
    ends = values.get("eos_token_id")
    if isinstance(ends, list) and ends:
        values["eos_token_id"] = ends[0]
    for name, value in values.items():
        _check(kind, name, value, f"{key}.{name}", source)
    tower = kind(**values)
    _check_relations(tower, key, source)
    return tower


def _check(kind: type[Parameterised], name: str, value: object, key: str, source: str) -> None:
    """Check a value against its field: an integer in its range, a known activation, an epsilon in (0, 0.1]."""
    limits = next(item.metadata.get("range") for item in dataclasses.fields(kind) if item.name == name)
    if limits is not None:
        low, high = limits
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _refusal(key, f"a whole number from {low} to {high}" if low < high else str(low), value, source)
    elif name == "hidden_act":
        if not isinstance(value, str):
            raise _refusal(key, "the name of an activation", value, source)
        if value not in ACTIVATIONS:
            raise UnsupportedModel(
                f"Expected {key} in {source!r} to be one of {', '.join(ACTIVATIONS)}, got {shown(value)}."
            )
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 0.1:
        raise _refusal(key, "a number above 0 and at most 0.1", value, source)


def _check_relations(tower: VisionConfig | TextConfig, key: str, source: str) -> None:
    if tower.hidden_size % tower.num_attention_heads:
        expected = f"a divisor of hidden_size {tower.hidden_size}"
        raise _refusal(f"{key}.num_attention_heads", expected, tower.num_attention_heads, source)
    if isinstance(tower, VisionConfig) and tower.patch_size > tower.image_size:
        raise _refusal(f"{key}.patch_size", f"at most image_size {tower.image_size}", tower.patch_size, source)
    if isinstance(tower, TextConfig) and tower.eos_token_id >= tower.vocab_size:
        raise _refusal(f"{key}.eos_token_id", f"below vocab_size {tower.vocab_size}", tower.eos_token_id, source)


def _refusal(key: str, expected: str, value: object, source: str) -> CheckpointError:
    return CheckpointError(
        f"Expected {key} in {source!r} to be {expected}, got {shown(value)}. Correct the configuration."
    )


def empty_embedding(rows: int, dim: int) -> nn.Embedding:
    """Create an embedding without initialisation, which would import torch's compiler on the meta device (1.3 s)."""
    return nn.Embedding.from_pretrained(torch.empty(rows, dim), freeze=False)


class VisionEmbeddings(nn.Module):
    """Embed pixels [batch, 3, height, width] as tokens [batch, 1 + rows * columns, dim], CLS first."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_size, self.side = config.patch_size, config.image_size // config.patch_size
        self.class_embedding = nn.Parameter(torch.empty(config.hidden_size))
        self.patch_embedding = nn.Conv2d(
            config.num_channels, config.hidden_size, config.patch_size, config.patch_size, bias=False
        )
        self.position_embedding = empty_embedding(self.side**2 + 1, config.hidden_size)

    def forward(self, pixels: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        pixels = pixels.to(self.patch_embedding.weight.dtype)
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_embedding.expand(len(pixels), 1, -1), patches], dim=1)
        positions = self.position_embedding.weight[None]
        if interpolate_pos_encoding:
            positions = self._interpolated(positions, pixels.shape[-2], pixels.shape[-1])
        return tokens + positions

    def _interpolated(self, positions: Tensor, height: int, width: int) -> Tensor:
        """Interpolate the position embeddings to another grid, bicubic; unchanged for a square of as many patches."""
        rows, columns = height // self.patch_size, width // self.patch_size
        if rows * columns == self.side**2 and height == width:
            return positions
        grid = torch.unflatten(positions[:, 1:], 1, (self.side, self.side)).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
        return torch.cat((positions[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)


class TextEmbeddings(nn.Module):
    """Embed token ids [batch, token] as [batch, token, dim]."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = empty_embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = empty_embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, input_ids: Tensor, inputs_embeds: Tensor | None = None) -> Tensor:
        tokens = self.token_embedding(input_ids) if inputs_embeds is None else inputs_embeds
        return tokens + self.position_embedding.weight[: tokens.shape[1]]


class Attention(nn.Module):
    """Projections of multi-head attention; `clip.py` computes the attention itself."""

    def __init__(self, config: VisionConfig | TextConfig) -> None:
        super().__init__()
        dim = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.scale = (dim // self.num_heads) ** -0.5
        # In transformers' order, which fixes the random numbers that `randomised` assigns to each parameter.
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))


class FeedForward(nn.Module):
    def __init__(self, config: VisionConfig | TextConfig) -> None:
        super().__init__()
        self.activation_fn = ACTIVATIONS[config.hidden_act]()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.fc2(self.activation_fn(self.fc1(hidden)))


class Block(nn.Module):
    """One pre-norm transformer block; `clip.py` runs its parts."""

    def __init__(self, config: VisionConfig | TextConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = FeedForward(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class Encoder(nn.Module):
    def __init__(self, config: VisionConfig | TextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))


class VisionTower(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = VisionEmbeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)  # the published spelling
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class TextTower(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TextEmbeddings(config)
        self.encoder = Encoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class Clip(nn.Module):
    """Both towers, their projections and the temperature."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = TextTower(config.text_config)
        self.vision_model = VisionTower(config.vision_config)
        self.visual_projection = nn.Linear(config.vision_config.hidden_size, config.projection_dim, bias=False)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.empty(()))
