"""ImageBind: six trunks that embed images, text, audio, depth, thermal images and IMU recordings in one space.

Names of modules and weights are those of the published `imagebind_huge.pth`, so that its state dict loads as it is. The
architecture is that of "ImageBind: One Embedding Space To Bind Them All", arXiv:2305.05665, for inference: dropout and
stochastic depth, which do nothing then, are left out. Blocks run piece by piece, since methods read query, key, value
and the gradient at the attention output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.encoder import Attended, single_row
from matex.adapters.network import empty_embedding
from matex.errors import InputError, shown

NORM_EPS = 1e-6
"""Of the norms of trunks and heads; those of the stems have torch's default, 1e-5."""
LARGEST_SCALE = 100.0


@dataclass(frozen=True)
class TrunkConfig:
    """A pre-norm transformer; the feed-forward part is `ratio` times as wide.

    Args:
        bias_kv: attention has one further, learned key and value that belongs to no token.
        pre_norm: a norm precedes the first block.
    """

    dim: int
    depth: int
    heads: int
    bias_kv: bool = False
    pre_norm: bool = False
    ratio: int = 4


@dataclass(frozen=True)
class PatchConfig:
    """A modality that is cut into patches: images, depth, thermal images, mel spectrograms.

    Args:
        trunk: the transformer behind the patches.
        size: of the input, (height, width); of a spectrogram (mel bins, frames).
        kernel: side of a patch.
        stride: distance between patches; smaller than the kernel where they overlap.
        channels: of the input.
        frames: how often an image is repeated, to be read as a film; 0 for inputs that are read as they are.
        stem: name of the stem among the weights.
        scaled: the published forward multiplies the embedding with an inverse temperature.
    """

    trunk: TrunkConfig
    size: tuple[int, int] = (224, 224)
    kernel: int = 16
    stride: int = 16
    channels: int = 1
    frames: int = 0
    stem: str = "rgbt_stem"
    scaled: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the patches."""
        height, width = self.size
        return ((height - self.kernel) // self.stride + 1, (width - self.kernel) // self.stride + 1)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, *self.size)


@dataclass(frozen=True)
class TextConfig:
    """Byte-pair tokens as CLIP has them; attention is causal and the end token, the largest id, is the readout."""

    trunk: TrunkConfig
    context: int = 77
    vocabulary: int = 49408

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.context,)


@dataclass(frozen=True)
class ImuConfig:
    """Recordings of accelerometer and gyroscope, `kernel` samples of all channels to one token."""

    trunk: TrunkConfig
    channels: int = 6
    samples: int = 2000
    kernel: int = 8

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.samples)


def _vision() -> PatchConfig:
    return PatchConfig(
        TrunkConfig(1280, 32, 16, pre_norm=True), kernel=14, stride=14, channels=3, frames=2, scaled=False
    )


@dataclass(frozen=True)
class ImageBindConfig:
    """Sizes of the six trunks; the defaults are ImageBind-huge, the one that was published."""

    joint: int = 1024
    vision: PatchConfig = field(default_factory=_vision)
    text: TextConfig = field(default_factory=lambda: TextConfig(TrunkConfig(1024, 24, 16)))
    audio: PatchConfig = field(
        default_factory=lambda: PatchConfig(TrunkConfig(768, 12, 12, bias_kv=True), (128, 204), stride=10)
    )
    depth: PatchConfig = field(
        default_factory=lambda: PatchConfig(TrunkConfig(384, 12, 8, bias_kv=True), stem="depth_stem")
    )
    thermal: PatchConfig = field(default_factory=lambda: PatchConfig(TrunkConfig(768, 12, 12, bias_kv=True)))
    imu: ImuConfig = field(default_factory=lambda: ImuConfig(TrunkConfig(512, 6, 8, bias_kv=True)))


MODALITIES = ("vision", "text", "audio", "depth", "thermal", "imu")
HUGE = ImageBindConfig()
SMALL = ImageBindConfig(
    joint=20,
    vision=PatchConfig(
        TrunkConfig(24, 3, 3, pre_norm=True), (35, 35), kernel=7, stride=7, channels=3, frames=2, scaled=False
    ),
    text=TextConfig(TrunkConfig(16, 2, 2), context=11, vocabulary=99),
    audio=PatchConfig(TrunkConfig(30, 3, 5, bias_kv=True), (18, 33), kernel=8, stride=5),
    depth=PatchConfig(TrunkConfig(18, 2, 3, bias_kv=True), (16, 40), kernel=8, stride=8, stem="depth_stem"),
    thermal=PatchConfig(TrunkConfig(28, 2, 7, bias_kv=True), (24, 32), kernel=8, stride=8),
    imu=ImuConfig(TrunkConfig(32, 2, 4, bias_kv=True), samples=48),
)
"""For tests: every size differs, so that a swapped axis cannot pass."""


class Attention(nn.Module):
    """The weights of multi-head attention under torch's names, and its two halves as functions."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        dim, bias = config.dim, config.bias_kv
        self.heads = config.heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * dim))
        self.bias_k = nn.Parameter(torch.empty(1, 1, dim)) if bias else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, dim)) if bias else None
        self.out_proj = nn.Linear(dim, dim)

    def project(self, normed: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value [batch, heads, token, head_dim] of tokens [batch, token, dim].

        With `bias_kv` the last key and the last value are learned constants, which belong to no token and take their
        part of the softmax: attention to the tokens then sums to less than 1.

        Args:
            normed: after the block's first norm.
            rows: [batch]; the query of this token alone.
        """
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        queried = normed if rows is None else single_row(normed, rows)
        query, key, value = (
            F.linear(tokens, weight, bias)
            for tokens, weight, bias in zip((queried, normed, normed), weights, biases, strict=True)
        )
        if self.bias_k is not None and self.bias_v is not None:
            key = torch.cat((key, self.bias_k.expand(len(key), -1, -1)), dim=1)
            value = torch.cat((value, self.bias_v.expand(len(value), -1, -1)), dim=1)
        query, key, value = (
            torch.unflatten(part, -1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        return query, key, value

    @staticmethod
    def output(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Heads side by side, before the output projection, [batch, query, dim].

        Args:
            mask: bool, broadcast to [batch, heads, query, key]; True where a query may attend.
        """
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.dim, config.ratio * config.dim)
        self.fc2 = nn.Linear(config.ratio * config.dim, config.dim)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(hidden)))


class Block(nn.Module):
    """One pre-norm transformer block, in the pieces that methods ask for."""

    def __init__(self, config: TrunkConfig, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.attn = Attention(config)
        self.norm_1 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.mlp = FeedForward(config)
        self.norm_2 = nn.LayerNorm(config.dim, eps=NORM_EPS)

    def norm(self, hidden: Tensor) -> Tensor:
        """Input of the block's attention, [batch, token, dim]."""
        return self.norm_1(hidden)

    def attend(self, normed: Tensor, rows: Tensor | None = None) -> Attended:
        """Query, key, value and the attention output before the output projection.

        Args:
            normed: of `norm`, [batch, token, dim].
            rows: [batch]; the attention of this token alone.
        """
        query, key, value = self.attn.project(normed, rows)
        mask = None
        if self.causal:
            token = torch.arange(normed.shape[1], device=normed.device)
            querying = token[None] if rows is None else rows[:, None]
            mask = (token <= querying[..., None])[:, None]
        return Attended(query, key, value, self.attn.output(query, key, value, mask))

    def output_projection(self, output: Tensor) -> Tensor:
        return self.attn.out_proj(output)

    def after_attention(self, hidden: Tensor, output: Tensor) -> Tensor:
        """Both residual additions and the feed-forward part; rows of `hidden` as in `output` [batch, query, dim]."""
        hidden = hidden + self.output_projection(output)
        return hidden + self.mlp(self.norm_2(hidden))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.after_attention(hidden, self.attend(self.norm(hidden)).output)


class Trunk(nn.Module):
    """A norm where the modality has one, then the blocks."""

    def __init__(self, config: TrunkConfig, causal: bool = False) -> None:
        super().__init__()
        first = nn.LayerNorm(config.dim, eps=NORM_EPS) if config.pre_norm else nn.Identity()
        self.pre_transformer_layer = nn.Sequential(first)
        self.blocks = nn.ModuleList(Block(config, causal) for _ in range(config.depth))


class Repeat(nn.Module):
    """An image [batch, channel, height, width] as a film of equal frames [batch, channel, frame, height, width]."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels[:, :, None].expand(-1, -1, self.frames, -1, -1)


class Stem(nn.Module):
    """Pieces of the input to tokens: a projection, and a norm where the modality has one."""

    def __init__(self, projection: nn.Module, norm: nn.LayerNorm | None = None) -> None:
        super().__init__()
        self.proj = projection
        self.norm_layer = norm

    def forward(self, inputs: Tensor) -> Tensor:
        tokens: Tensor = self.proj(inputs)
        if tokens.dim() > 3:  # of a convolution, [batch, dim, ..., rows, columns]: row by row
            tokens = tokens.flatten(2).transpose(1, 2)
        return tokens if self.norm_layer is None else self.norm_layer(tokens)


class Positions(nn.Module):
    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, dim))


class PatchEmbeddings(nn.Module):
    """Input [batch, channel, height, width] to [batch, 1 + rows * columns, dim], CLS first."""

    def __init__(self, config: PatchConfig) -> None:
        super().__init__()
        dim, kernel, stride = config.trunk.dim, config.kernel, config.stride
        rows, columns = config.grid
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        if config.frames:
            over = (config.frames, kernel, kernel)
            film = nn.Conv3d(config.channels, dim, over, (config.frames, stride, stride), bias=False)
            stem = Stem(nn.Sequential(Repeat(config.frames), film))
        else:
            stem = Stem(nn.Conv2d(config.channels, dim, kernel, stride, bias=False), nn.LayerNorm(dim))
        self.stem_name = config.stem
        self.add_module(config.stem, stem)
        self.pos_embedding_helper = Positions(1 + rows * columns, dim)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens: Tensor = self.get_submodule(self.stem_name)(inputs)
        tokens = torch.cat((self.cls_token.expand(len(tokens), -1, -1), tokens), dim=1)
        return tokens + self.pos_embedding_helper.pos_embed


class ImuEmbeddings(nn.Module):
    """Recordings [batch, channel, sample] to [batch, 1 + sample / kernel, dim], CLS first."""

    def __init__(self, config: ImuConfig) -> None:
        super().__init__()
        dim = config.trunk.dim
        self.kernel = config.kernel
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + config.samples // config.kernel, dim))
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        projection = nn.Linear(config.channels * config.kernel, dim, bias=False)
        self.imu_stem = Stem(projection, nn.LayerNorm(dim))

    def forward(self, inputs: Tensor) -> Tensor:
        pieces = inputs.unfold(-1, self.kernel, self.kernel)  # [batch, channel, token, sample]
        tokens = self.imu_stem(pieces.transpose(1, 2).flatten(2))
        return torch.cat((self.cls_token.expand(len(tokens), -1, -1), tokens), dim=1) + self.pos_embed


class TextEmbeddings(nn.Module):
    """Token ids [batch, token] to [batch, token, dim]; fewer tokens than the context need no padding."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        dim = config.trunk.dim
        self.pos_embed = nn.Parameter(torch.empty(1, config.context, dim))
        self.token_embedding = empty_embedding(config.vocabulary, dim)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.token_embedding(inputs) + self.pos_embed[:, : inputs.shape[1]]


class TextHead(nn.Module):
    """A norm and the projection, under the published name."""

    def __init__(self, dim: int, joint: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.LayerNorm(dim, eps=NORM_EPS), nn.Linear(dim, joint, bias=False))

    def forward(self, readout: Tensor) -> Tensor:
        return self.proj(readout)


class Normalise(nn.Module):
    """Embeddings of unit norm."""

    def forward(self, embedding: Tensor) -> Tensor:
        return F.normalize(embedding, dim=-1)


class LogitScale(nn.Module):
    """An inverse temperature, stored as its logarithm: learned for text, a constant for the others."""

    def __init__(self, learned: bool) -> None:
        super().__init__()
        value = torch.empty(())
        self.log_logit_scale: Tensor
        if learned:
            self.log_logit_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_logit_scale", value)

    @property
    def value(self) -> Tensor:
        return self.log_logit_scale.exp().clamp(max=LARGEST_SCALE)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.value * embedding


class ImageBind(nn.Module):
    """Trunks of some or all modalities; the weights have no values until a checkpoint fills them.

    Images are called vision, as in the checkpoint. A trunk runs as

        tokens = network.tokens(modality, inputs)                     # [batch, token, dim]
        for block in network.blocks(modality):
            tokens = block(tokens)
        embedding = network.project(modality, tokens[batch, network.readout(modality, inputs)])   # [batch, joint]

    and each block in pieces: `norm`, `attend`, `output_projection`, `after_attention`.
    """

    def __init__(self, config: ImageBindConfig = HUGE, modalities: Iterable[str] = MODALITIES) -> None:
        super().__init__()
        self.config = config
        self.modalities = tuple(name for name in MODALITIES if name in set(modalities))
        sizes = {name: config_of(config, name) for name in self.modalities}
        self.modality_preprocessors = nn.ModuleDict({name: _embeddings(size) for name, size in sizes.items()})
        self.modality_trunks = nn.ModuleDict(
            {name: Trunk(size.trunk, isinstance(size, TextConfig)) for name, size in sizes.items()}
        )
        self.modality_heads = nn.ModuleDict({name: _head(size, config.joint) for name, size in sizes.items()})
        self.modality_postprocessors = nn.ModuleDict({name: _postprocessor(size) for name, size in sizes.items()})

    def tokens(self, modality: str, inputs: Tensor) -> Tensor:
        """The first block's input, [batch, token, dim]; CLS is token 0 of every modality but text.

        Args:
            modality: one of `modalities`.
            inputs: pixels [batch, 3, height, width]; token ids [batch, token]; spectrograms [batch, 1, bin, frame];
                depth or thermal images [batch, 1, height, width]; IMU recordings [batch, channel, sample].

        Raises:
            InputError: a modality without weights, or inputs of another shape.
        """
        self._check(modality, inputs)
        trunk = cast(Trunk, self.modality_trunks[modality])
        embeddings = self.modality_preprocessors[modality]
        if modality != "text":
            inputs = inputs.to(self.dtype(modality))
        return trunk.pre_transformer_layer(embeddings(inputs))

    def blocks(self, modality: str) -> list[Block]:
        """The blocks of a trunk, first block first."""
        self._check(modality)
        trunk = cast(Trunk, self.modality_trunks[modality])
        return [cast(Block, block) for block in trunk.blocks]

    def readout(self, modality: str, inputs: Tensor) -> Tensor:
        """Position of the token that becomes the embedding, [batch]: CLS, or the end token of a text.

        Raises:
            InputError: a text without the end token.
        """
        self._check(modality, inputs)
        if modality != "text":
            return torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)
        end = self.config.text.vocabulary - 1
        ends = inputs == end
        if not bool(ends.any(dim=-1).all()):
            raise InputError(f"Expected the end token (id {end}) in every row of token ids. Add it last.")
        return ends.int().argmax(dim=-1)

    def project(self, modality: str, readout: Tensor) -> Tensor:
        """Tokens after the last block [..., dim] to the joint space [..., joint], not normalised."""
        self._check(modality)
        return self.modality_heads[modality](readout)

    def embed(self, modality: str, inputs: Tensor) -> Tensor:
        """Inputs, as `tokens` takes them, to embeddings of unit norm [batch, joint]."""
        hidden = self.tokens(modality, inputs)
        for block in self.blocks(modality):
            hidden = block(hidden)
        return F.normalize(self.project(modality, single_row(hidden, self.readout(modality, inputs))[:, 0]), dim=-1)

    def scale(self, modality: str) -> float:
        """Factor of a unit embedding in the published forward; 1 for images, which have no scale."""
        self._check(modality)
        post = self.modality_postprocessors[modality]
        return float(cast(LogitScale, post[1]).value.detach()) if isinstance(post, nn.Sequential) else 1.0

    def dtype(self, modality: str) -> torch.dtype:
        return next(self.modality_trunks[modality].parameters()).dtype

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings as the published forward returns them: unit norm times the modality's scale, [batch, joint].

        Args:
            inputs: by modality, as `tokens` takes them. Inputs with a further axis behind the batch are clips of one
                recording [batch, clip, ...]; their embeddings are averaged and not normalised again.
        """
        outputs: dict[str, Tensor] = {}
        for modality, value in inputs.items():
            self._check(modality)
            clips = value.dim() == len(config_of(self.config, modality).shape) + 2
            embedding = self.embed(modality, value.flatten(0, 1) if clips else value)
            scaled = self.modality_postprocessors[modality](embedding)
            outputs[modality] = scaled.unflatten(0, value.shape[:2]).mean(dim=1) if clips else scaled
        return outputs

    def _check(self, modality: str, inputs: Tensor | None = None) -> None:
        if modality not in self.modalities:
            raise InputError(
                f"Expected a modality that this model has ({', '.join(self.modalities)}), got {shown(modality)}. "
                "Load a checkpoint with its weights."
            )
        if inputs is None:
            return
        size = config_of(self.config, modality)
        if isinstance(size, TextConfig):
            fits = inputs.dim() == 2 and 0 < inputs.shape[1] <= size.context and not inputs.is_floating_point()
            expected = f"token ids (batch, token) of at most {size.context} tokens"
        else:
            fits = tuple(inputs.shape[1:]) == size.shape
            expected = f"shape (batch, {', '.join(map(str, size.shape))})"
        if not fits:
            raise InputError(
                f"Expected {modality} inputs of {expected}, got {shown(tuple(inputs.shape))} of "
                f"{str(inputs.dtype).removeprefix('torch.')}. Prepare them as the model was trained."
            )


def config_of(config: ImageBindConfig, modality: str) -> PatchConfig | TextConfig | ImuConfig:
    """The sizes of one modality."""
    return getattr(config, modality)


def _embeddings(size: PatchConfig | TextConfig | ImuConfig) -> nn.Module:
    if isinstance(size, TextConfig):
        return TextEmbeddings(size)
    return ImuEmbeddings(size) if isinstance(size, ImuConfig) else PatchEmbeddings(size)


def _head(size: PatchConfig | TextConfig | ImuConfig, joint: int) -> nn.Module:
    """Norm and projection; identities take the index of the published readout selection and, for IMU, dropout."""
    dim = size.trunk.dim
    if isinstance(size, TextConfig):
        return TextHead(dim, joint)
    between = [nn.Identity() for _ in range(2 if isinstance(size, ImuConfig) else 1)]
    return nn.Sequential(nn.LayerNorm(dim, eps=NORM_EPS), *between, nn.Linear(dim, joint, bias=False))


def _postprocessor(size: PatchConfig | TextConfig | ImuConfig) -> nn.Module:
    if isinstance(size, PatchConfig) and not size.scaled:
        return Normalise()
    return nn.Sequential(Normalise(), LogitScale(learned=isinstance(size, TextConfig)))
