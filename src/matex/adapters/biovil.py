"""BioViL and BioViL-T: networks, published checkpoints and preprocessing.

The image model and the text model (CXR-BERT) are published as separate files. Read in the package hi-ml-multimodal
0.2.2 (microsoft/hi-ml).

Sources:
    "Making the Most of Text Semantics to Improve Biomedical Vision-Language Processing", arXiv:2204.09817.
    "Learning to Exploit Temporal Structure for Biomedical Vision-Language Processing", arXiv:2301.04558.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import bert, resnet
from matex.adapters.bert import Bert, BertConfig
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.folder import read_json, read_weights, refuse_foreign
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import BatchNorm, ResNet
from matex.errors import CheckpointError, InputError, shown

CONTEXT = 512
"""The published engine pads to the longest phrase of a batch and takes . ! ? off the end of each phrase first."""


def _preprocessing(side: int) -> Preprocessing:
    """Stretched to the full range, shorter side to 512 pixels, centre cut out; values in [0, 1], no mean, no std."""
    return Preprocessing(
        (side, side),
        "crop",
        "bilinear",
        1 / 255,
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        resize_to=512,
        stretch=True,
        half_even=True,
    )


PREPROCESSING = _preprocessing(480)  # grid 15 x 15
PREPROCESSING_T = _preprocessing(448)  # grid 14 x 14
TEXT = BertConfig(vocab_size=30522)


@dataclass(frozen=True)
class ImageConfig:
    """Sizes of an image model; defaults are BioViL's.

    Args:
        blocks: of the ResNet, per stage.
        width: of the ResNet's stem.
        temporal: dimensions of the temporal block; None for BioViL, 256 for BioViL-T.
        heads: of the temporal block's attention.
        depth: blocks of the temporal transformer.
        joint: dimensions of the joint space.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    temporal: int | None = None
    heads: int = 8
    depth: int = 3
    joint: int = 128


BIOVIL, BIOVIL_T = ImageConfig(), ImageConfig(temporal=256)


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


class Trunk(nn.Module):
    """The ResNet and, in BioViL-T, what joins it with a previous image."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.encoder = ResNet(config.blocks, config.width)
        self.dim = self.encoder.dim
        if config.temporal is not None:
            self.backbone_to_vit = nn.Conv2d(self.dim, config.temporal, 1, bias=False)
            self.vit_pooler = TemporalTransformer(config.temporal, config.heads, config.depth)
            self.missing_previous_emb = nn.Parameter(torch.zeros(1, config.temporal, 1, 1))
            self.dim = 2 * config.temporal


class Projector(nn.Module):
    """The patches of a grid to the joint space, each by itself."""

    def __init__(self, dim: int, joint: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(dim, joint, 1, bias=False), BatchNorm(joint), nn.ReLU(), nn.Conv2d(joint, joint, 1)
        )


class ImageModel(nn.Module):
    """BioViL's or BioViL-T's image model, under the names of the published state dict.

    Stages are the ResNet's four and, in BioViL-T, the fusion with a previous image. The published code compares two
    images with a transformer and, given one, fills in a learned vector at every patch instead: with one image the
    temporal transformer is not run.
    """

    def __init__(self, config: ImageConfig = BIOVIL) -> None:
        super().__init__()
        self.encoder = Trunk(config)
        self.projector = Projector(self.encoder.dim, config.joint)
        self.temporal = config.temporal is not None
        self.depth = len(config.blocks) + self.temporal

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels [item, 3, height, width] to the first stage's input [item, rows, columns, dim]."""
        return resnet.start(self.encoder.encoder, pixels)

    def stage(self, layer: int, hidden: Tensor, previous: Tensor | None = None) -> Tensor:
        """Stage `layer` over a grid [item, rows, columns, dim].

        Args:
            layer: counted from 0.
            hidden: the stage's input.
            previous: the previous image's input of the same stage, in BioViL-T's last stage alone.
        """
        if self.temporal and layer == self.depth - 1:
            return self._fuse(hidden, previous)
        return resnet.stage(self.encoder.encoder, layer, hidden)

    def _fuse(self, hidden: Tensor, previous: Tensor | None) -> Tensor:
        """Patches beside what changed since the previous image, [item, rows, columns, 2 * temporal]."""
        patches = self._narrow(hidden)
        if previous is None:
            change = resnet.to_grid(self.encoder.missing_previous_emb).expand_as(patches)
        else:
            change = self.encoder.vit_pooler(patches, self._narrow(previous))
        return torch.cat([patches, change], dim=-1)

    def _narrow(self, hidden: Tensor) -> Tensor:
        return resnet.to_grid(self.encoder.backbone_to_vit(resnet.to_channels(hidden)))

    def project_patches(self, hidden: Tensor) -> Tensor:
        """The last stage's output to the joint space, patch by patch, [item, rows, columns, joint], not normalised.

        Their mean is the embedding before normalisation. The published local map takes each patch's cosine with the
        phrase and smooths it with a Gaussian of 1.5 patches.
        """
        return resnet.to_grid(self.projector.model(resnet.to_channels(hidden)))

    def pool(self, hidden: Tensor) -> Tensor:
        """The last stage's output to unit-norm embeddings [item, joint]."""
        return F.normalize(resnet.mean(self.project_patches(hidden)), dim=-1)

    def forward(self, pixels: Tensor, previous: Tensor | None = None) -> Tensor:
        """Pixels, and those of a previous image for BioViL-T, to unit-norm embeddings [item, joint].

        Raises:
            InputError: a previous image for BioViL, which reads one.
        """
        if previous is not None and not self.temporal:
            raise InputError(
                "Expected one image per item, since BioViL compares none, got a previous one. Leave it out."
            )
        hidden = self.start(pixels)
        before = None if previous is None else self.start(previous)
        for layer in range(self.depth):
            after = self.stage(layer, hidden, before)
            if before is not None and layer < self.depth - 1:
                before = self.stage(layer, before)
            hidden = after
        return self.pool(hidden)


class ProjectionHead(nn.Module):
    """CLS to the joint space."""

    def __init__(self, dim: int, joint: int) -> None:
        super().__init__()
        self.dense_to_hidden = nn.Linear(dim, joint)
        self.LayerNorm = nn.LayerNorm(joint, eps=1e-12)
        self.dense_to_output = nn.Linear(joint, joint)

    def forward(self, readout: Tensor) -> Tensor:
        return self.dense_to_output(self.LayerNorm(F.gelu(self.dense_to_hidden(readout))))


class TextModel(nn.Module):
    """CXR-BERT with its projection; blocks are run with `matex.adapters.bert`."""

    def __init__(self, config: BertConfig = TEXT, joint: int = 128) -> None:
        super().__init__()
        self.bert = Bert(config, pooler=False)
        self.cls_projection_head = ProjectionHead(config.hidden_size, joint)

    def pool(self, hidden: Tensor) -> Tensor:
        """The last block's output [item, token, dim] to unit-norm embeddings [item, joint]; CLS is read."""
        return F.normalize(self.cls_projection_head(hidden[:, 0]), dim=-1)

    def forward(self, token_ids: Tensor, valid: Tensor) -> Tensor:
        """Token ids and which of them are valid, both [item, token], to unit-norm embeddings [item, joint]."""
        return self.pool(bert.hidden_states(self.bert, token_ids, valid)[-1])


def load_image(path: Path, config: ImageConfig | None = None) -> ImageModel:
    """The image model from its published file, or from safetensors with the same names.

    Args:
        path: file.
        config: sizes; by default those of the published model that the names in the file belong to.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    tensors = unwrap(read_tensors(path), "projector.model.0.weight", str(path))
    # torchvision's classifier of 1000 classes stays in the published file and is never run.
    kept = _without(without_buffers(tensors), "encoder.encoder.fc.")
    if config is None:
        config = BIOVIL_T if "encoder.missing_previous_emb" in kept else BIOVIL
    with torch.device("meta"):
        module = ImageModel(config)
    fit(module, kept, str(path), "BioViL image")
    return module


def load_text(folder: Path) -> TextModel:
    """CXR-BERT from its published folder.

    The code that its config.json names is not run: this file is what it does.

    Raises:
        CheckpointError: no config.json, or names and shapes of another network.
        UnsupportedModel: a configuration of another text model.
    """
    content = read_json(folder, "config.json", own_code=True)
    if content is None:
        raise CheckpointError(f"Expected config.json in {shown(str(folder))}, got none. Download the folder again.")
    refuse_foreign(folder, content)
    config, joint = BertConfig.from_dict(content, str(folder)), content.get("projection_size", 128)
    if isinstance(joint, bool) or not isinstance(joint, int) or not 1 <= joint <= 1 << 16:
        raise CheckpointError(f"Expected projection_size in {shown(str(folder))} as a number, got {shown(joint)}.")
    tensors = unwrap(read_weights(folder).tensors, "cls_projection_head.dense_to_hidden.weight", str(folder))
    with torch.device("meta"):
        module = TextModel(config, joint)
    # The head that predicts masked words and BERT's own layer over CLS are not read by the embedding.
    kept = _without(without_buffers(tensors), "cls.predictions.", "bert.pooler.")
    fit(module, kept, str(folder), "CXR-BERT")
    return module


def _without(tensors: dict[str, Any], *stems: str) -> dict[str, Any]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(stems)}
