"""GLoRIA: network, checkpoint and preprocessing of its ResNet-50 model.

Read in marshuang80/gloria; its published weights were not at hand. Certain, since its own loader is strict: the names
and shapes of a checkpoint, the pooling, the resizing inside the network, the preprocessing. Uncertain: whether the
published file opens with weights_only, since it also holds its training configuration as an OmegaConf object (save the
state dict alone if it is refused). A ResNet-18 checkpoint would have a local embedder of 1024 channels over a stage of
256, which cannot be run; DenseNet checkpoints are not read.

Source:
    "GLoRIA: A Multimodal Global-Local Representation Learning Framework for Label-efficient Medical Image Recognition",
    ICCV 2021.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import resnet
from matex.adapters.bert import Bert, BertConfig, BertEncoder
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.grid import LocalGridEncoder, no_attention, patch_of
from matex.adapters.model import MODELS, Model, Options, Similarity
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet
from matex.adapters.tokenizer import RewritingTokenizer, bert_tokenizer
from matex.geometry import Size

TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 97
"""Phrases are cut and padded to 97 tokens. The published code first lowers the case, keeps runs of letters and digits
alone and drops sentences of one word; a phrase of such words is read as it is."""
PREPROCESSING = Preprocessing((224, 224), "pad", "box", 1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize_to=256)
"""Grey films padded to a square of 256 pixels, whose centre of 224 is cut out. The published code resizes by area
(OpenCV), of which the box filter is Pillow's counterpart."""
SIDE = 299  # pixels that the network resizes its input to, bilinear with aligned corners
LOCAL_STAGE = 2  # layer3, whose output is projected patch by patch
LAST_STATES = 4  # hidden states of the text that are summed
TEMPERATURE = 10.0  # factor on the cosines of a batch


@dataclass(frozen=True)
class GloriaConfig:
    """Sizes of a GLoRIA model; defaults are the published ones.

    Args:
        blocks: of the ResNet, per stage.
        width: of the ResNet's stem.
        text: of the BERT, whose dimensions are those of the joint space.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    text: BertConfig = field(default_factory=BertConfig)


class ImageEncoder(nn.Module):
    """A ResNet with a global and a local projection."""

    local_stage = LOCAL_STAGE

    def __init__(self, config: GloriaConfig) -> None:
        super().__init__()
        joint = config.text.hidden_size
        self.model = ResNet(config.blocks, config.width)
        self.global_embedder = nn.Linear(self.model.dim, joint)
        self.local_embedder = nn.Conv2d(self.model.dim // 2, joint, 1, bias=False)
        self.depth = len(config.blocks)

    def grid(self, size: Size) -> Size:
        return resnet.grid((SIDE, SIDE))

    def start(self, pixels: Tensor) -> Tensor:
        resized = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=True)
        return resnet.start(self.model, resized)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return resnet.stage(self.model, layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        return self.global_embedder(resnet.mean(hidden))

    def project(self, patches: Tensor) -> Tensor:
        return self.global_embedder(patches)

    def project_local(self, patches: Tensor) -> Tensor:
        return F.linear(patches, self.local_embedder.weight[:, :, 0, 0])

    def parts(self) -> Mapping[str, list[nn.Module]]:
        return {"projection": [self.global_embedder, self.local_embedder], **resnet.parts(self.model)}


class TextEncoder(nn.Module):
    """Bio_ClinicalBERT, whose last four hidden states are summed over the phrase, without a projection."""

    def __init__(self, config: GloriaConfig) -> None:
        super().__init__()
        self.model = Bert(config.text)


class Gloria(nn.Module):
    """Both encoders, under the names of the state dict."""

    def __init__(self, config: GloriaConfig | None = None) -> None:
        super().__init__()
        config = config or GloriaConfig()
        self.img_encoder = ImageEncoder(config)
        self.text_encoder = TextEncoder(config)


@MODELS("gloria:")
def load_gloria(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load GLoRIA (ResNet-50 and Bio_ClinicalBERT) from a checkpoint of its Lightning module or a state dict.

    Args:
        source: the file.
        name: shown in outputs; the source otherwise.
        options: the tokenizer, and whether the hub may be contacted.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
        InputError: options of other families.
    """
    options = options or Options()
    options.refuse("gloria: models", "openai: files", "preset", "heads", "activation")
    path = Path(os.path.expanduser(source))
    return adapt(read(path), name or f"gloria:{source}", path, options)


def read(path: Path, config: GloriaConfig | None = None) -> Gloria:
    """Read a GLoRIA from a checkpoint of its Lightning module, or from a state dict with the same names.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    landmark = "img_encoder.global_embedder.weight"
    tensors = unwrap(read_tensors(path), landmark, str(path))
    tensors = without_buffers({name.removeprefix("gloria."): tensor for name, tensor in tensors.items()})
    with torch.device("meta"):
        module = Gloria(config)
    fit(module, tensors, str(path), "GLoRIA")
    return module


def adapt(module: Gloria, name: str, path: Path | None = None, options: Options | None = None) -> Model:
    """Wrap a GLoRIA as a `Model`.

    Args:
        module: the network.
        name: shown in outputs.
        path: of its file, next to which a tokenizer may lie.
        options: as of `load_gloria`.
    """
    image, bert = module.img_encoder, module.text_encoder.model
    config, size = bert.config, PREPROCESSING.size
    words, missing = bert_tokenizer(options or Options(), path, TOKENIZER, config.vocab_size)
    patch = patch_of(image, size)
    last = range(max(0, config.num_hidden_layers - LAST_STATES), config.num_hidden_layers - 1)
    return Model(
        name=name,
        module=module,
        encoders={
            "image": LocalGridEncoder(image, size, patch, no_attention("a ResNet")),
            # The published sum over states and 97 positions, zero behind the phrase, is this mean times a constant.
            "text": BertEncoder(bert, nn.Identity(), "mean", taps=tuple(last)),
        },
        patch=patch,
        preprocessing=PREPROCESSING,
        tokenizer=None if words is None else RewritingTokenizer(words, _plain),
        context=min(CONTEXT, config.max_position_embeddings),
        vocabulary=config.vocab_size,
        similarity=Similarity(TEMPERATURE),
        missing=missing,
        cells=image.grid(size),
    )


def _plain(text: str) -> str:
    """Letters and digits alone, in lower case, as the published code reads a phrase."""
    # Letter by letter, so that every character stays at its place.
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in re.sub(r"\W", " ", text))
