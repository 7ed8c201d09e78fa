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

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import bert, resnet
from matex.adapters.bert import Bert, BertConfig
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet

TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 512
PREPROCESSING = Preprocessing((300, 300), "crop", "bilinear", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
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


class Convirt(nn.Module):
    """Both encoders and their projections, each two linear layers around a ReLU."""

    def __init__(self, config: ConvirtConfig | None = None) -> None:
        super().__init__()
        config = config or ConvirtConfig()
        self.res_features = ResNet(config.blocks, config.width)
        dim, words = self.res_features.dim, config.text.hidden_size
        self.res_l1, self.res_l2 = nn.Linear(dim, dim), nn.Linear(dim, config.joint)
        self.bert_model = Bert(config.text)
        self.bert_l1, self.bert_l2 = nn.Linear(words, words), nn.Linear(words, config.joint)
        self.depth = len(config.blocks)

    def start_image(self, pixels: Tensor) -> Tensor:
        """Pixels [item, 3, height, width] to the first stage's input [item, rows, columns, dim]."""
        return resnet.start(self.res_features, pixels)

    def stage_image(self, layer: int, hidden: Tensor) -> Tensor:
        """Stage `layer` of the image encoder over a grid [item, rows, columns, dim]."""
        return resnet.stage(self.res_features, layer, hidden)

    def pool_image(self, hidden: Tensor) -> Tensor:
        """The last stage's output to unit-norm embeddings [item, joint]."""
        return F.normalize(self.res_l2(self.res_l1(resnet.mean(hidden)).relu()), dim=-1)

    def embed_image(self, pixels: Tensor) -> Tensor:
        """Pixels to unit-norm embeddings [item, joint]."""
        hidden = self.start_image(pixels)
        for layer in range(self.depth):
            hidden = self.stage_image(layer, hidden)
        return self.pool_image(hidden)

    def pool_text(self, hidden: Tensor, valid: Tensor) -> Tensor:
        """The last block's output [item, token, dim] to unit-norm embeddings [item, joint]: the mean over the phrase.

        The repository halves the precision of that mean, which is not repeated here.
        """
        return F.normalize(self.bert_l2(self.bert_l1(bert.mean_over(hidden, valid)).relu()), dim=-1)

    def embed_text(self, token_ids: Tensor, valid: Tensor) -> Tensor:
        """Token ids and which of them are valid, both [item, token], to unit-norm embeddings [item, joint]."""
        return self.pool_text(bert.hidden_states(self.bert_model, token_ids, valid)[-1], valid)


def load(path: Path, config: ConvirtConfig | None = None) -> Convirt:
    """A ConVIRT from a state dict of edreisMD/ConVIRT-pytorch.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    tensors = without_buffers(unwrap(read_tensors(path), "res_l1.weight", str(path)))
    with torch.device("meta"):
        module = Convirt(config)
    fit(module, {_named(name): tensor for name, tensor in tensors.items()}, str(path), "ConVIRT")
    return module


def _named(name: str) -> str:
    """Numbers of the ResNet's children in a Sequential to their names."""
    parts: list[Any] = name.split(".")
    if parts[0] == "res_features" and len(parts) > 2 and parts[1].isdecimal() and int(parts[1]) < len(_CHILDREN):
        parts[1] = _CHILDREN[int(parts[1])]
    return ".".join(parts)
