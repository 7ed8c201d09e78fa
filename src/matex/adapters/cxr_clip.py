"""CXR-CLIP: network, checkpoint and preprocessing of its Swin-tiny and ResNet-50 models.

Read in kakaobrain/cxr-clip (Soombit-ai/cxr-clip continues it); its published weights were not at hand. Certain: the
names and shapes of a checkpoint as its trainer writes it, the pooling, the preprocessing of its evaluation. Uncertain:
whether published files were written by exactly this trainer, since its evaluation loads them without checking names,
and whether all of them have linear projections (another projection is refused by its names).

Source:
    "CXR-CLIP: Toward Large Scale Chest X-ray Language-Image Pre-training", arXiv:2310.13292.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import bert, resnet, swin
from matex.adapters.bert import Bert, BertConfig
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet
from matex.adapters.swin import Swin, SwinConfig

JOINT = 512
TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 256
_HALF, _MEAN, _STD = (0.5, 0.5, 0.5), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING_SWIN = Preprocessing((224, 224), "crop", "bilinear", 1 / 255, _HALF, _HALF, half_even=True)
PREPROCESSING_RESNET = Preprocessing((224, 224), "crop", "bilinear", 1 / 255, _MEAN, _STD, half_even=True)
"""Shorter side to 224 pixels, centre cut out."""


@dataclass(frozen=True)
class CxrClipConfig:
    """Sizes of a CXR-CLIP model; defaults are the published ones.

    Args:
        image: of the Swin transformer, or the blocks per stage and the width of a ResNet.
        text: of the BERT.
        joint: dimensions of the joint space.
        pooling: which token of the text is read: "eos" is SEP, "bos" CLS, "mean" the mean over the phrase.
    """

    image: SwinConfig | tuple[tuple[int, ...], int] = field(default_factory=SwinConfig)
    text: BertConfig = field(default_factory=BertConfig)
    joint: int = JOINT
    pooling: Literal["eos", "bos", "mean"] = "eos"


SWIN = CxrClipConfig()
RESNET50 = CxrClipConfig(image=((3, 4, 6, 3), 64))


class Projection(nn.Module):
    def __init__(self, dim: int, joint: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dim, joint)

    def forward(self, features: Tensor) -> Tensor:
        return self.projection(features)


class SwinTrunk(nn.Module):
    """A Swin transformer of which one token is read.

    The published code takes the first token of the last hidden state, which is CLS in a ViT. Swin has none: what it
    takes is the patch at the top left of the last grid. Attention there sees the whole grid, since a window covers it,
    and gradients at the last stage's output vanish at every other patch.
    """

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.image_encoder = Swin(config)
        self.depth, self.dim = len(config.depths), config.hidden_size

    def start(self, pixels: Tensor) -> Tensor:
        return swin.start(self.image_encoder, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return swin.stage(self.image_encoder, layer, hidden)

    def read(self, hidden: Tensor) -> Tensor:
        return swin.norm(self.image_encoder, hidden[:, 0, 0])


class ResNetTrunk(nn.Module):
    """A ResNet of which the mean over the last grid is read."""

    def __init__(self, blocks: Sequence[int], width: int) -> None:
        super().__init__()
        self.resnet = ResNet(blocks, width)
        self.depth, self.dim = len(blocks), self.resnet.dim

    def start(self, pixels: Tensor) -> Tensor:
        return resnet.start(self.resnet, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return resnet.stage(self.resnet, layer, hidden)

    def read(self, hidden: Tensor) -> Tensor:
        return resnet.mean(hidden)


class TextTrunk(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.text_encoder = Bert(config)


class CxrClip(nn.Module):
    """Both encoders, their projections and the temperature, under the names of the state dict."""

    def __init__(self, config: CxrClipConfig = SWIN) -> None:
        super().__init__()
        image = config.image
        self.image_encoder = SwinTrunk(image) if isinstance(image, SwinConfig) else ResNetTrunk(*image)
        self.text_encoder = TextTrunk(config.text)
        self.image_projection = Projection(self.image_encoder.dim, config.joint)
        self.text_projection = Projection(config.text.hidden_size, config.joint)
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.pooling = config.pooling

    @property
    def scale(self) -> float:
        """What the model multiplies cosines with."""
        return float(self.logit_scale.detach().exp())

    def start_image(self, pixels: Tensor) -> Tensor:
        """Pixels [item, 3, height, width] to the first stage's input [item, rows, columns, dim]."""
        return self.image_encoder.start(pixels)

    def stage_image(self, layer: int, hidden: Tensor) -> Tensor:
        """Stage `layer` of the image encoder over a grid [item, rows, columns, dim]."""
        return self.image_encoder.stage(layer, hidden)

    def pool_image(self, hidden: Tensor) -> Tensor:
        """The last stage's output to unit-norm embeddings [item, joint]."""
        return F.normalize(self.image_projection(self.image_encoder.read(hidden)), dim=-1)

    def embed_image(self, pixels: Tensor) -> Tensor:
        """Pixels to unit-norm embeddings [item, joint]."""
        hidden = self.start_image(pixels)
        for layer in range(self.image_encoder.depth):
            hidden = self.stage_image(layer, hidden)
        return self.pool_image(hidden)

    def pool_text(self, hidden: Tensor, valid: Tensor) -> Tensor:
        """The last block's output [item, token, dim] to unit-norm embeddings [item, joint].

        Args:
            hidden: of the text encoder, whose blocks are run with `matex.adapters.bert`.
            valid: bool [item, token]; padding stands behind the phrase, whose last token is SEP.
        """
        if self.pooling == "mean":
            readout = bert.mean_over(hidden, valid)
        else:
            last = valid.long().sum(dim=1) - 1
            rows = last if self.pooling == "eos" else torch.zeros_like(last)
            readout = bert.take(hidden, rows[:, None])[:, 0]
        return F.normalize(self.text_projection(readout), dim=-1)

    def embed_text(self, token_ids: Tensor, valid: Tensor) -> Tensor:
        """Token ids and which of them are valid, both [item, token], to unit-norm embeddings [item, joint]."""
        return self.pool_text(bert.hidden_states(self.text_encoder.text_encoder, token_ids, valid)[-1], valid)


def load(path: Path, config: CxrClipConfig | None = None) -> CxrClip:
    """A CXR-CLIP from a checkpoint of its trainer (.tar, weights under "model"), or from a bare state dict.

    Args:
        path: file.
        config: sizes; by default those of the published model that the names in the file belong to.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    tensors: dict[str, Any] = without_buffers(
        unwrap(read_tensors(path), "text_projection.projection.weight", str(path))
    )
    if config is None:
        config = RESNET50 if "image_encoder.resnet.conv1.weight" in tensors else SWIN
    with torch.device("meta"):
        module = CxrClip(config)
    fit(module, tensors, str(path), "CXR-CLIP")
    return module
