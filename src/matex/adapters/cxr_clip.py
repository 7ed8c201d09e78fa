"""CXR-CLIP: network, checkpoint and preprocessing of its Swin-tiny and ResNet-50 models.

Read in kakaobrain/cxr-clip (Soombit-ai/cxr-clip continues it); its published weights were not at hand. Certain: the
names and shapes of a checkpoint as its trainer writes it, the pooling, the preprocessing of its evaluation. Uncertain:
whether published files were written by exactly this trainer, since its evaluation loads them without checking names,
and whether all of them have linear projections (another projection is refused by its names).

Source:
    "CXR-CLIP: Toward Large Scale Chest X-ray Language-Image Pre-training", arXiv:2310.13292.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from matex.adapters import resnet, swin
from matex.adapters.bert import GELU, Bert, BertConfig, BertEncoder
from matex.adapters.checkpoint import fit, read_tensors, scale_of, unwrap, without_buffers
from matex.adapters.grid import GridEncoder, JointGridEncoder, no_attention, patch_of
from matex.adapters.model import MODELS, Model, Options, Similarity
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet
from matex.adapters.swin import Swin, SwinConfig
from matex.adapters.tokenizer import bert_tokenizer
from matex.errors import InputError, shown
from matex.geometry import Size

JOINT = 512
_READ: Mapping[str, Literal["first", "last", "mean"]] = {"eos": "last", "bos": "first", "mean": "mean"}
TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 256
_HALF, _MEAN, _STD = (0.5, 0.5, 0.5), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING_SWIN = Preprocessing((224, 224), "crop", "bilinear", 1 / 255, _HALF, _HALF, half_even=True)
PREPROCESSING_RESNET = Preprocessing((224, 224), "crop", "bilinear", 1 / 255, _MEAN, _STD, half_even=True)
"""Shorter side to 224 pixels, centre cut out."""
_ONE_PLACE = (
    "the image is read at one patch of the last stage, that at the top left, as published: gradients at that stage's "
    "output are zero elsewhere (gradcam and m2ib: give a lower layer)"
)


@dataclass(frozen=True)
class CxrClipConfig:
    """Sizes of a CXR-CLIP model; defaults are the published ones.

    Args:
        image: of the Swin transformer, or the blocks per stage and the width of a ResNet.
        text: of the BERT.
        joint: dimensions of the joint space.
    """

    image: SwinConfig | tuple[tuple[int, ...], int] = field(default_factory=SwinConfig)
    text: BertConfig = field(default_factory=BertConfig)
    joint: int = JOINT


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

    def grid(self, size: Size) -> Size:
        return swin.grid(self.image_encoder, size)

    def start(self, pixels: Tensor) -> Tensor:
        return swin.start(self.image_encoder, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return swin.stage(self.image_encoder, layer, hidden)

    def read(self, hidden: Tensor) -> Tensor:
        return swin.norm(self.image_encoder, hidden[:, 0, 0])

    def parts(self) -> dict[str, list[nn.Module]]:
        return swin.parts(self.image_encoder)


class ResNetTrunk(nn.Module):
    """A ResNet of which the mean over the last grid is read."""

    def __init__(self, blocks: Sequence[int], width: int) -> None:
        super().__init__()
        self.resnet = ResNet(blocks, width)
        self.depth, self.dim = len(blocks), self.resnet.dim

    def grid(self, size: Size) -> Size:
        return resnet.grid(size)

    def start(self, pixels: Tensor) -> Tensor:
        return resnet.start(self.resnet, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return resnet.stage(self.resnet, layer, hidden)

    def read(self, hidden: Tensor) -> Tensor:
        return resnet.mean(hidden)

    def parts(self) -> dict[str, list[nn.Module]]:
        return resnet.parts(self.resnet)


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


@dataclass(frozen=True, eq=False)
class ImageEncoder:
    """A trunk and its projection as stages over grids."""

    trunk: SwinTrunk | ResNetTrunk
    head: Projection

    @property
    def depth(self) -> int:
        return self.trunk.depth

    def grid(self, size: Size) -> Size:
        return self.trunk.grid(size)

    def start(self, pixels: Tensor) -> Tensor:
        return self.trunk.start(pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return self.trunk.stage(layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        return self.head(self.trunk.read(hidden))

    def project(self, patches: Tensor) -> Tensor:
        """Patches of a ResNet to the joint space."""
        return self.head(patches)

    def parts(self) -> Mapping[str, list[nn.Module]]:
        return {"projection": [self.head], **self.trunk.parts()}


@MODELS("cxr-clip:")
def load_cxr_clip(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load CXR-CLIP (Swin-tiny or ResNet-50, with Bio_ClinicalBERT) from a checkpoint of its trainer.

    Args:
        source: the file (.tar, weights under "model"), or a bare state dict.
        name: shown in outputs; the source otherwise.
        options: the tokenizer, whether the hub may be contacted, and as preset the token of the text that is read:
            "eos" (SEP, the default), "bos" (CLS) or "mean", a setting of its training that the file does not hold.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
        InputError: options of other families, or an unknown preset.
    """
    options = options or Options()
    options.refuse("cxr-clip: models", "openai: files", "heads", "activation")
    if options.preset not in (None, *_READ):
        raise InputError(
            f"Expected preset {', '.join(_READ)} or none with cxr-clip: models, got {shown(options.preset)}."
        )
    path = Path(os.path.expanduser(source))
    return adapt(read(path), name or f"cxr-clip:{source}", path, options)


def read(path: Path, config: CxrClipConfig | None = None) -> CxrClip:
    """Read a CXR-CLIP from a checkpoint of its trainer (.tar, weights under "model"), or from a bare state dict.

    Args:
        path: file.
        config: sizes; by default those of the published model that the names in the file belong to.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    tensors = without_buffers(unwrap(read_tensors(path), "text_projection.projection.weight", str(path)))
    if config is None:
        config = RESNET50 if "image_encoder.resnet.conv1.weight" in tensors else SWIN
    with torch.device("meta"):
        module = CxrClip(config)
    fit(module, tensors, str(path), "CXR-CLIP")
    return module


def adapt(module: CxrClip, name: str, path: Path | None = None, options: Options | None = None) -> Model:
    """Wrap a CXR-CLIP as a `Model`.

    Args:
        module: the network.
        name: shown in outputs.
        path: of its file, next to which a tokenizer may lie.
        options: as of `load_cxr_clip`.

    Raises:
        CheckpointError: a temperature that is no finite number above 0.
    """
    options = options or Options()
    trunk, bert = module.image_encoder, module.text_encoder.text_encoder
    preprocessing = PREPROCESSING_SWIN if isinstance(trunk, SwinTrunk) else PREPROCESSING_RESNET
    network, config = ImageEncoder(trunk, module.image_projection), bert.config
    words, missing = bert_tokenizer(options, path, TOKENIZER, config.vocab_size)
    patch = patch_of(network, preprocessing.size)
    if isinstance(trunk, SwinTrunk):
        lacks = {
            **GELU,
            "joint tokens": "it was trained to read one patch in the joint space, that at the top left",
        }
        image = GridEncoder(network, preprocessing.size, patch, {**no_attention("a Swin transformer"), **lacks})
    else:
        image = JointGridEncoder(network, preprocessing.size, patch, no_attention("a ResNet"))
    return Model(
        name=name,
        module=module,
        encoders={
            "image": image,
            "text": BertEncoder(bert, module.text_projection, _READ[options.preset or "eos"]),
        },
        patch=patch,
        preprocessing=preprocessing,
        tokenizer=words,
        context=min(CONTEXT, config.max_position_embeddings),
        vocabulary=config.vocab_size,
        similarity=Similarity(scale_of(module.logit_scale, name)),
        missing=missing,
        record={"preset": options.preset} if options.preset else {},
        notes=(_ONE_PLACE,) if isinstance(trunk, SwinTrunk) else (),
    )
