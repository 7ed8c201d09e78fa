"""MedCLIP: network, published checkpoint and preprocessing.

Two image encoders were published, Swin-tiny and ResNet-50, each with Bio_ClinicalBERT. Read in RyanWangZf/MedCLIP and
in the package MedCLIP 0.0.3, whose `medclip/modeling_medclip.py` holds what the published weights were trained with.

Source:
    "MedCLIP: Contrastive Learning from Unpaired Medical Images and Text", EMNLP 2022, arXiv:2210.10163.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from matex.adapters import resnet, swin
from matex.adapters.bert import GELU, Bert, BertConfig, BertEncoder
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.folder import read_weights
from matex.adapters.grid import JointGridEncoder, no_attention, patch_of
from matex.adapters.model import MODELS, Model, Options, Similarity
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet
from matex.adapters.swin import Swin, SwinConfig
from matex.adapters.tokenizer import bert_tokenizer
from matex.errors import InputError, shown
from matex.geometry import Size

JOINT = 512
TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 77
"""The published processor cuts phrases at 77 tokens, although BERT has 512 positions."""
_MEAN, _STD = 0.5862785803043838, 0.27950088968644304
PREPROCESSING = Preprocessing((224, 224), "pad", "bicubic", 1 / 255, (_MEAN, _MEAN, _MEAN), (_STD, _STD, _STD))
"""Grey films padded to a square with black. The published code pads before it resizes and we after, so the film may lie
half a pixel apart; it also pads films of less than 224 pixels instead of enlarging them."""
PADDED = "padding-in-mean"  # preset: the published mean over tokens, padding included
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

    def grid(self, size: Size) -> Size:
        return swin.grid(self.model, size)

    def start(self, pixels: Tensor) -> Tensor:
        return swin.start(self.model, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return swin.stage(self.model, layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        return self.projection_head(swin.norm(self.model, hidden).mean(dim=(1, 2)))

    def project(self, patches: Tensor) -> Tensor:
        return self.projection_head(swin.norm(self.model, patches))

    def parts(self) -> Mapping[str, list[nn.Module]]:
        return {"projection": [self.projection_head], **swin.parts(self.model)}


class ResNetEncoder(nn.Module):
    """The image encoder of MedCLIP-ResNet: a ResNet-50 whose last linear layer, without bias, is the projection."""

    def __init__(self, blocks: Sequence[int], width: int, joint: int) -> None:
        super().__init__()
        self.model = ResNet(blocks, width, outputs=joint)
        self.depth = len(blocks)

    def grid(self, size: Size) -> Size:
        return resnet.grid(size)

    def start(self, pixels: Tensor) -> Tensor:
        return resnet.start(self.model, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return resnet.stage(self.model, layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        return self.model.fc(resnet.mean(hidden))

    def project(self, patches: Tensor) -> Tensor:
        return self.model.fc(patches)

    def parts(self) -> Mapping[str, list[nn.Module]]:
        return {"projection": [self.model.fc], **resnet.parts(self.model)}


class TextEncoder(nn.Module):
    """Bio_ClinicalBERT and a linear layer without bias, under the names of the state dict."""

    def __init__(self, config: BertConfig, joint: int) -> None:
        super().__init__()
        self.model = Bert(config)
        self.projection_head = nn.Linear(config.hidden_size, joint, bias=False)


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
        """Logit scale of the cosines, at most 100."""
        return float(self.logit_scale.detach().clamp(0, _LARGEST_LOG_SCALE).exp())


@MODELS("medclip:")
def load_medclip(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load MedCLIP (Swin-tiny or ResNet-50, with Bio_ClinicalBERT) from its published folder or file.

    Args:
        source: folder with pytorch_model.bin or model.safetensors, or one such file.
        name: shown in outputs; the source otherwise.
        options: the tokenizer, whether the hub may be contacted, and the preset "padding-in-mean", which averages the
            text over padding too, as published: the embedding of a phrase then depends on the longest of its batch.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
        InputError: options of other families.
    """
    options = options or Options()
    options.refuse("medclip: models", "openai: files", "heads", "activation")
    if options.preset not in (None, PADDED):
        raise InputError(f"Expected preset {PADDED!r} or none with medclip: models, got {shown(options.preset)}.")
    path = Path(os.path.expanduser(source))
    return adapt(read(path), name or f"medclip:{source}", path, options)


def read(path: Path, config: MedClipConfig | None = None) -> MedClip:
    """Read a MedCLIP from its published folder or its pytorch_model.bin, or from safetensors with the same names.

    Args:
        path: folder or file.
        config: sizes; by default those of the published model that the names in the file belong to.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    content = read_weights(path).tensors if path.is_dir() else read_tensors(path)
    tensors = without_buffers(unwrap(content, "text_model.projection_head.weight", str(path)))
    if config is None:
        config = RESNET50 if "vision_model.model.fc.weight" in tensors else SWIN
    with torch.device("meta"):
        module = MedClip(config)
    fit(module, tensors, str(path), "MedCLIP")
    return module


def adapt(module: MedClip, name: str, path: Path | None = None, options: Options | None = None) -> Model:
    """Wrap a MedCLIP as a `Model`.

    Args:
        module: the network.
        name: shown in outputs.
        path: of its files, where a tokenizer may lie.
        options: as of `load_medclip`.
    """
    options = options or Options()
    text, image = module.text_model, module.vision_model
    padded = options.preset == PADDED
    config = text.model.config
    words, missing = bert_tokenizer(options, path, TOKENIZER, config.vocab_size)
    patch = patch_of(image, PREPROCESSING.size)
    kind = "a Swin transformer" if isinstance(image, SwinEncoder) else "a ResNet"
    lacks: Mapping[str, str] = {} if isinstance(image, ResNetEncoder) else GELU
    return Model(
        name=name,
        module=module,
        encoders={
            "image": JointGridEncoder(image, PREPROCESSING.size, patch, {**no_attention(kind), **lacks}),
            # The embedding is read from hidden states 1, 2 and the last: the outputs of blocks 0, 1 and the last.
            "text": BertEncoder(text.model, text.projection_head, "mean", taps=(0, 1), pools_padding=padded),
        },
        patch=patch,
        preprocessing=PREPROCESSING,
        tokenizer=words,
        context=min(CONTEXT, config.max_position_embeddings),
        vocabulary=config.vocab_size,
        similarity=Similarity(module.scale),
        missing=missing,
        record={"preset": options.preset} if padded else {},
        notes=("the text embedding depends on the longest phrase of its batch, as published",) if padded else (),
    )
