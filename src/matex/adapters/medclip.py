"""MedCLIP: network, published checkpoint and preprocessing.

Two image encoders were published, Swin-tiny and ResNet-50, both beside Bio_ClinicalBERT. Read in RyanWangZf/MedCLIP and
in the package MedCLIP 0.0.3, whose `medclip/modeling_medclip.py` holds what the published weights were trained with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import bert, resnet, swin
from matex.adapters.bert import Bert, BertConfig
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.folder import read_weights
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet
from matex.adapters.swin import Swin, SwinConfig

JOINT = 512
TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 77
"""The published processor cuts phrases at 77 tokens, although BERT has 512 positions."""
_MEAN, _STD = 0.5862785803043838, 0.27950088968644304
PREPROCESSING = Preprocessing((224, 224), "pad", "bicubic", 1 / 255, (_MEAN, _MEAN, _MEAN), (_STD, _STD, _STD))
"""Grey films padded to a square with black. The published code pads before it resizes and we after, so the film may lie
half a pixel apart; it also pads films of less than 224 pixels instead of enlarging them."""
_LARGEST_LOG_SCALE = 4.6052  # the published forward pass clamps the parameter to [0, ln 100]


@dataclass(frozen=True)
class MedClipConfig:
    """Sizes of a MedCLIP model; defaults are the published ones.

    Args:
        image: of the Swin transformer, or the blocks per stage and the width of a ResNet.
        text: of the BERT.
        joint: dimensions of the space in which both meet.
    """

    image: SwinConfig | tuple[tuple[int, ...], int] = dataclasses.field(default_factory=SwinConfig)
    text: BertConfig = dataclasses.field(default_factory=BertConfig)
    joint: int = JOINT


SWIN = MedClipConfig()
RESNET50 = MedClipConfig(image=((3, 4, 6, 3), 64))


class SwinEncoder(nn.Module):
    """The image encoder of MedCLIP-ViT: Swin, the mean over its last grid, a linear layer without bias."""

    def __init__(self, config: SwinConfig, joint: int) -> None:
        super().__init__()
        self.model = Swin(config)
        self.projection_head = nn.Linear(config.hidden_size, joint, bias=False)
        self.depth = len(config.depths)

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels [item, 3, height, width] to the first stage's input [item, rows, columns, dim]."""
        return swin.start(self.model, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        """Stage `layer` over a grid [item, rows, columns, dim]."""
        return swin.stage(self.model, layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        """The last stage's output to unit-norm embeddings [item, joint]."""
        return F.normalize(self.projection_head(swin.norm(self.model, hidden).mean(dim=(1, 2))), dim=-1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels to unit-norm embeddings [item, joint]."""
        hidden = self.start(pixels)
        for layer in range(self.depth):
            hidden = self.stage(layer, hidden)
        return self.pool(hidden)


class ResNetEncoder(nn.Module):
    """The image encoder of MedCLIP-ResNet: a ResNet-50 whose last linear layer, without bias, is the projection."""

    def __init__(self, blocks: Sequence[int], width: int, joint: int) -> None:
        super().__init__()
        self.model = ResNet(blocks, width, outputs=joint)
        self.depth = len(blocks)

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels [item, 3, height, width] to the first stage's input [item, rows, columns, dim]."""
        return resnet.start(self.model, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        """Stage `layer` over a grid [item, rows, columns, dim]."""
        return resnet.stage(self.model, layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        """The last stage's output to unit-norm embeddings [item, joint]."""
        return F.normalize(self.model.fc(resnet.mean(hidden)), dim=-1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels to unit-norm embeddings [item, joint]."""
        hidden = self.start(pixels)
        for layer in range(self.depth):
            hidden = self.stage(layer, hidden)
        return self.pool(hidden)


class TextEncoder(nn.Module):
    """Bio_ClinicalBERT and a linear layer without bias; blocks are run with `matex.adapters.bert`.

    The embedding is read at three depths: `readouts` names the blocks, counted from 1 (transformers' hidden states 1, 2
    and last; state 0 is the first block's input).
    """

    def __init__(self, config: BertConfig, joint: int) -> None:
        super().__init__()
        self.model = Bert(config)
        self.projection_head = nn.Linear(config.hidden_size, joint, bias=False)
        self.readouts = (1, 2, config.num_hidden_layers)

    def pool(self, states: Sequence[Tensor], valid: Tensor | None) -> Tensor:
        """Hidden states after the blocks of `readouts`, each [item, token, dim], to unit-norm embeddings [item, joint].

        Args:
            states: three; their means over tokens are averaged.
            valid: bool [item, token]; tokens that are averaged over. None averages over padding too, as the published
                code does: there the embedding of a phrase depends on the longest phrase of its batch. With `valid` it
                is the published embedding of the phrase encoded alone.
        """
        mean = torch.stack([bert.mean_over(state, valid) for state in states]).mean(dim=0)
        return F.normalize(self.projection_head(mean), dim=-1)

    def forward(self, token_ids: Tensor, valid: Tensor) -> Tensor:
        """Token ids and which of them are valid, both [item, token], to unit-norm embeddings [item, joint]."""
        states = bert.hidden_states(self.model, token_ids, valid)
        return self.pool([states[number] for number in self.readouts], valid)


class MedClip(nn.Module):
    """Both encoders and the temperature, under the names of the published state dict."""

    def __init__(self, config: MedClipConfig = SWIN) -> None:
        super().__init__()
        image = config.image
        self.vision_model = (
            SwinEncoder(image, config.joint)
            if isinstance(image, SwinConfig)
            else ResNetEncoder(image[0], image[1], config.joint)
        )
        self.text_model = TextEncoder(config.text, config.joint)
        self.logit_scale = nn.Parameter(torch.zeros(()))

    @property
    def scale(self) -> float:
        """What the model multiplies cosines with, at most 100."""
        return float(self.logit_scale.detach().clamp(0, _LARGEST_LOG_SCALE).exp())


def load(path: Path, config: MedClipConfig | None = None) -> MedClip:
    """A MedCLIP from its published folder or its pytorch_model.bin, or from safetensors with the same names.

    Args:
        path: folder or file.
        config: sizes; by default those of the published model that the names in the file belong to.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    content: dict[str, Any] = read_weights(path).tensors if path.is_dir() else read_tensors(path)
    tensors = without_buffers(unwrap(content, "text_model.projection_head.weight", str(path)))
    if config is None:
        config = RESNET50 if "vision_model.model.fc.weight" in tensors else SWIN
    with torch.device("meta"):
        module = MedClip(config)
    fit(module, tensors, str(path), "MedCLIP")
    return module
