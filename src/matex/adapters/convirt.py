"""ConVIRT: network, checkpoint and preprocessing of a public reimplementation.

The authors published neither code nor weights (yuhaozhang/convirt holds data lists). What people call a ConVIRT
checkpoint is mostly one of edreisMD/ConVIRT-pytorch, read here; one trained with GLoRIA's code loads with `gloria`.
Certain: names, shapes and pooling of that code. Uncertain: preprocessing at inference, since that code has training
transforms alone (random crops and flips, then ImageNet's mean and std), and its image size is a setting, 300 in the
file.

Source:
    "Contrastive Learning of Medical Visual Representations from Paired Images and Text", arXiv:2010.00747.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from matex.adapters import resnet
from matex.adapters.bert import GELU, Bert, BertConfig, BertEncoder
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.grid import GridEncoder, no_attention, patch_of
from matex.adapters.model import MODELS, Model, Options, Similarity
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet
from matex.adapters.tokenizer import bert_tokenizer
from matex.geometry import Size

TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 512
PREPROCESSING = Preprocessing((300, 300), "crop", "bilinear", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SCALE = 10.0  # 1 / temperature of the paper's loss
_CHILDREN = ("conv1", "bn1", "relu", "maxpool", *resnet.STAGES)  # torchvision's, in their order


@dataclass(frozen=True)
class ConvirtConfig:
    """Sizes of a ConVIRT model; defaults are those of the repository's configuration.

    Args:
        blocks: of the ResNet, per stage.
        width: of the ResNet's stem.
        text: of the BERT.
        joint: dimensions of the joint space.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    text: BertConfig = field(default_factory=BertConfig)
    joint: int = 512


class Head(nn.Module):
    """Two linear layers around a ReLU."""

    def __init__(self, first: nn.Linear, second: nn.Linear) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, pooled: Tensor) -> Tensor:
        return self.second(self.first(pooled).relu())


class Convirt(nn.Module):
    """Both encoders and their projections, under the names of the state dict."""

    def __init__(self, config: ConvirtConfig | None = None) -> None:
        super().__init__()
        config = config or ConvirtConfig()
        self.res_features = ResNet(config.blocks, config.width)
        dim, words = self.res_features.dim, config.text.hidden_size
        self.res_l1, self.res_l2 = nn.Linear(dim, dim), nn.Linear(dim, config.joint)
        self.bert_model = Bert(config.text)
        self.bert_l1, self.bert_l2 = nn.Linear(words, words), nn.Linear(words, config.joint)


@dataclass(frozen=True, eq=False)
class ImageEncoder:
    """The ResNet and its projection as stages over grids."""

    resnet: ResNet
    head: Head

    @property
    def depth(self) -> int:
        return len(resnet.STAGES)

    def grid(self, size: Size) -> Size:
        return resnet.grid(size)

    def start(self, pixels: Tensor) -> Tensor:
        return resnet.start(self.resnet, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        return resnet.stage(self.resnet, layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        return self.head(resnet.mean(hidden))

    def parts(self) -> Mapping[str, list[nn.Module]]:
        return {"projection": [self.head], **resnet.parts(self.resnet)}


@MODELS("convirt:")
def load_convirt(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load ConVIRT (ResNet-50 and Bio_ClinicalBERT) from a state dict of a public reimplementation.

    Args:
        source: the file.
        name: shown in outputs; the source otherwise.
        options: the tokenizer, and whether the hub may be contacted.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
        InputError: options of other families.
    """
    options = options or Options()
    options.refuse("convirt: models", "openai: files", "preset", "heads", "activation")
    path = Path(os.path.expanduser(source))
    return adapt(read(path), name or f"convirt:{source}", path, options)


def read(path: Path, config: ConvirtConfig | None = None) -> Convirt:
    """Read a ConVIRT from a state dict of edreisMD/ConVIRT-pytorch.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    tensors = without_buffers(unwrap(read_tensors(path), "res_l1.weight", str(path)))
    with torch.device("meta"):
        module = Convirt(config)
    fit(module, {_named(name): tensor for name, tensor in tensors.items()}, str(path), "ConVIRT")
    return module


def adapt(module: Convirt, name: str, path: Path | None = None, options: Options | None = None) -> Model:
    """Wrap a ConVIRT as a `Model`.

    Args:
        module: the network.
        name: shown in outputs.
        path: of its file, next to which a tokenizer may lie.
        options: as of `load_convirt`.
    """
    image = ImageEncoder(module.res_features, Head(module.res_l1, module.res_l2))
    config, size = module.bert_model.config, PREPROCESSING.size
    words, missing = bert_tokenizer(options or Options(), path, TOKENIZER, config.vocab_size)
    patch = patch_of(image, size)
    mixed = {"joint tokens": "its projection is not linear: the embedding is no mean of tokens in the joint space"}
    text = BertEncoder(module.bert_model, Head(module.bert_l1, module.bert_l2), "mean", missing={**GELU, **mixed})
    return Model(
        name=name,
        module=module,
        # The published code halves the precision of the text's mean, which is not repeated here.
        encoders={"image": GridEncoder(image, size, patch, {**no_attention("a ResNet"), **mixed}), "text": text},
        patch=patch,
        preprocessing=PREPROCESSING,
        tokenizer=words,
        context=min(CONTEXT, config.max_position_embeddings),
        vocabulary=config.vocab_size,
        similarity=Similarity(SCALE),
        missing=missing,
        notes=("preprocessing as the reimplementation trains, without its random crops; it states none for use",),
    )


def _named(name: str) -> str:
    """Numbers of the ResNet's children in a Sequential to their names."""
    parts = name.split(".")
    if parts[0] == "res_features" and len(parts) > 2 and parts[1].isdecimal() and int(parts[1]) < len(_CHILDREN):
        parts[1] = _CHILDREN[int(parts[1])]
    return ".".join(parts)
