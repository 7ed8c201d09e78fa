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

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import bert, resnet
from matex.adapters.bert import Bert, BertConfig
from matex.adapters.checkpoint import fit, read_tensors, unwrap, without_buffers
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import ResNet

TOKENIZER, CONTEXT = "emilyalsentzer/Bio_ClinicalBERT", 97
"""Phrases are cut and padded to 97 tokens. The published code first lowers the case, keeps runs of letters and digits
alone and drops sentences of one word; a phrase of such words is read as it is."""
PREPROCESSING = Preprocessing((224, 224), "pad", "box", 1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize_to=256)
"""Grey films padded to a square of 256 pixels, whose centre of 224 is cut out. The published code resizes by area
(OpenCV), of which the box filter is Pillow's counterpart."""
SIDE = 299  # pixels that the network resizes its input to, bilinear with aligned corners
LOCAL_STAGE = 2  # layer3, whose output is projected patch by patch
LAST_STATES = 4  # hidden states of the text that are summed
TEMPERATURES = (4.0, 5.0, 10.0)  # attention over regions, words of a phrase, pairs of a batch


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

    def __init__(self, config: GloriaConfig) -> None:
        super().__init__()
        joint = config.text.hidden_size
        self.model = ResNet(config.blocks, config.width)
        self.global_embedder = nn.Linear(self.model.dim, joint)
        self.local_embedder = nn.Conv2d(self.model.dim // 2, joint, 1, bias=False)
        self.depth = len(config.blocks)

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels [item, 3, height, width] to the first stage's input [item, rows, columns, dim]."""
        resized = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=True)
        return resnet.start(self.model, resized)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        """Stage `layer` over a grid [item, rows, columns, dim]."""
        return resnet.stage(self.model, layer, hidden)

    def project_patches(self, hidden: Tensor) -> Tensor:
        """The output of stage `LOCAL_STAGE` to the joint space, [item, rows, columns, joint], not normalised.

        Unlike BioViL's, these are not what the global embedding is the mean of.
        """
        return resnet.to_grid(self.local_embedder(resnet.to_channels(hidden)))

    def pool(self, hidden: Tensor) -> Tensor:
        """The last stage's output to unit-norm embeddings [item, joint]."""
        return F.normalize(self.global_embedder(resnet.mean(hidden)), dim=-1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels to unit-norm global embeddings [item, joint]."""
        hidden = self.start(pixels)
        for layer in range(self.depth):
            hidden = self.stage(layer, hidden)
        return self.pool(hidden)


class TextEncoder(nn.Module):
    """Bio_ClinicalBERT; its last four hidden states are summed, without a projection."""

    def __init__(self, config: GloriaConfig) -> None:
        super().__init__()
        self.model = Bert(config.text)

    def pool(self, states: Sequence[Tensor], valid: Tensor) -> Tensor:
        """The last four hidden states, each [item, token, dim], to unit-norm embeddings [item, joint].

        The published code averages over 97 positions of which those behind the phrase are zero; normalised, that is the
        sum over the phrase, CLS and SEP included.
        """
        return F.normalize(bert.mean_over(torch.stack(list(states)).sum(dim=0), valid), dim=-1)

    def words(self, states: Sequence[Tensor], valid: Tensor, starts: Tensor) -> Tensor:
        """Embeddings of words for local attention, pieces of a word summed, [item, word, dim]; zero behind the last.

        Args:
            states: the last four hidden states, each [item, token, dim].
            valid: bool [item, token].
            starts: bool [item, token]; True where a word begins, at CLS and SEP too. CLS is word 0.
        """
        pieces = torch.stack(list(states)).sum(dim=0) * valid[..., None]
        number = starts.long().cumsum(dim=1) - 1
        words = pieces.new_zeros(len(pieces), int(number.max()) + 1, pieces.shape[-1])
        return words.scatter_add(1, number[..., None].expand_as(pieces), pieces)

    def forward(self, token_ids: Tensor, valid: Tensor) -> Tensor:
        """Token ids and which of them are valid, both [item, token], to unit-norm embeddings [item, joint]."""
        return self.pool(bert.hidden_states(self.model, token_ids, valid)[-LAST_STATES:], valid)


class Gloria(nn.Module):
    """Both encoders, under the names of the state dict."""

    def __init__(self, config: GloriaConfig | None = None) -> None:
        super().__init__()
        config = config or GloriaConfig()
        self.img_encoder = ImageEncoder(config)
        self.text_encoder = TextEncoder(config)


def local_attention(words: Tensor, patches: Tensor, temperature: float = TEMPERATURES[0]) -> Tensor:
    """Where each word of a phrase looks, a softmax over the patches.

    Args:
        words: [item, word, dim], not normalised.
        patches: [item, rows, columns, dim], not normalised.
        temperature: factor on the scores, 1 / tau of the paper.

    Returns:
        [item, word, rows, columns]; each word's weights sum to 1.

    Source:
        GLoRIA, section 3.2.2: s = softmax of v . t over the words, then a_ij = softmax of s_ij over the patches.
    """
    rows, columns = patches.shape[1:3]
    scores = torch.einsum("iwd,ipd->iwp", words, patches.flatten(1, 2)).softmax(dim=1)
    return (temperature * scores).softmax(dim=-1).unflatten(-1, (rows, columns))


def local_similarity(words: Tensor, patches: Tensor, aggregate: Literal["sum", "max"] = "sum") -> Tensor:
    """How well the words of a phrase fit the places that they attend to, [item].

    Args:
        words: [item, word, dim]; every word counts, so padding must be left out.
        patches: [item, rows, columns, dim].
        aggregate: "sum" is the paper's equation 4 and the training; published inference takes "max".
    """
    attended = torch.einsum("iwrc,ircd->iwd", local_attention(words, patches), patches)
    fits = TEMPERATURES[1] * F.cosine_similarity(words, attended, dim=-1)
    return fits.logsumexp(dim=-1) if aggregate == "sum" else fits.amax(dim=-1)


def load(path: Path, config: GloriaConfig | None = None) -> Gloria:
    """A GLoRIA from a checkpoint of its Lightning module, or from a state dict with the same names.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    landmark = "img_encoder.global_embedder.weight"
    tensors = unwrap(read_tensors(path), landmark, str(path))
    tensors = {name.removeprefix("gloria."): tensor for name, tensor in tensors.items()}
    kept: dict[str, Any] = without_buffers(tensors)
    with torch.device("meta"):
        module = Gloria(config)
    fit(module, kept, str(path), "GLoRIA")
    return module
