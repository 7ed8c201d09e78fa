"""BioViL and BioViL-T: networks, published checkpoints and preprocessing.

The image model and the text model (CXR-BERT) are published as separate files. Read in the package hi-ml-multimodal
0.2.2 (microsoft/hi-ml).

Sources:
    "Making the Most of Text Semantics to Improve Biomedical Vision-Language Processing", arXiv:2204.09817.
    "Learning to Exploit Temporal Structure for Biomedical Vision-Language Processing", arXiv:2301.04558.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import resnet
from matex.adapters.bert import Bert, BertConfig, BertEncoder
from matex.adapters.checkpoint import Tensors, fit, read_tensors, unwrap, without_buffers
from matex.adapters.folder import locate, read_json, read_weights, refuse_foreign
from matex.adapters.grid import JointGridEncoder, no_attention, patch_of
from matex.adapters.model import MODELS, Model, Options, Similarity
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.resnet import BatchNorm, ResNet
from matex.adapters.temporal import TemporalTransformer
from matex.adapters.tokenizer import RewritingTokenizer, bert_tokenizer
from matex.errors import CheckpointError, InputError, shown
from matex.geometry import Size

TOKENIZER, CONTEXT = "microsoft/BiomedVLP-CXR-BERT-specialized", 512
SCALE = 100.0  # stated nowhere: the published files hold no temperature, and the score is the cosine
_IMAGE_FILE = re.compile(r"biovil_(image_resnet50|t_image_model)_proj_size_128\.(pt|safetensors)")


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
        self.joint = joint
        self.model = nn.Sequential(
            nn.Conv2d(dim, joint, 1, bias=False), BatchNorm(joint), nn.ReLU(), nn.Conv2d(joint, joint, 1)
        )


class ImageModel(nn.Module):
    """BioViL's or BioViL-T's image model, under the names of the published state dict.

    Stages are the ResNet's four and, in BioViL-T, the fusion with a previous image. The published code compares two
    images with a transformer and, given one, fills in a learned vector at every patch instead: with one image the
    temporal transformer is not run. Explanations are of one image.
    """

    def __init__(self, config: ImageConfig = BIOVIL) -> None:
        super().__init__()
        self.encoder = Trunk(config)
        self.projector = Projector(self.encoder.dim, config.joint)
        self.temporal = config.temporal is not None
        self.depth = len(config.blocks) + self.temporal

    def grid(self, size: Size) -> Size:
        return resnet.grid(size)

    def start(self, pixels: Tensor) -> Tensor:
        return resnet.start(self.encoder.encoder, pixels)

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        if self.temporal and layer == self.depth - 1:
            return self._fuse(hidden, None)
        return resnet.stage(self.encoder.encoder, layer, hidden)

    def pool(self, hidden: Tensor) -> Tensor:
        return resnet.mean(self.project(hidden))

    def project(self, patches: Tensor) -> Tensor:
        """Patches to the joint space; their mean is the embedding.

        The published local map takes each patch's cosine with the phrase and smooths it with a Gaussian of 1.5 patches.
        """
        columns = patches.reshape(-1, patches.shape[-1])[:, :, None, None]
        return self.projector.model(columns).flatten(1).unflatten(0, patches.shape[:-1])

    def parts(self) -> Mapping[str, list[nn.Module]]:
        trunk = self.encoder
        fusion: dict[str, list[nn.Module]] = {}
        if self.temporal:
            fusion = {f"block {self.depth - 1}": [trunk.backbone_to_vit, trunk.vit_pooler]}
        return {"projection": [self.projector], **fusion, **resnet.parts(trunk.encoder)}

    def forward(self, pixels: Tensor, previous: Tensor) -> Tensor:
        """Embeddings of images compared with previous ones, both [item, 3, height, width]; for BioViL-T.

        Returns:
            [item, joint], not normalised.

        Raises:
            InputError: a BioViL, which reads one image.
        """
        if not self.temporal:
            raise InputError(
                "Expected one image per item, since BioViL compares none, got a previous one. Leave it out."
            )
        hidden, before = self.start(pixels), self.start(previous)
        for layer in range(self.depth - 1):
            hidden, before = self.stage(layer, hidden), self.stage(layer, before)
        return self.pool(self._fuse(hidden, before))

    def _fuse(self, hidden: Tensor, previous: Tensor | None) -> Tensor:
        """Patches and what changed since the previous image, [item, rows, columns, 2 * temporal]."""
        patches = self._narrow(hidden)
        if previous is None:
            change = resnet.to_grid(self.encoder.missing_previous_emb).expand_as(patches)
        else:
            change = self.encoder.vit_pooler(patches, self._narrow(previous))
        return torch.cat([patches, change], dim=-1)

    def _narrow(self, hidden: Tensor) -> Tensor:
        return resnet.to_grid(self.encoder.backbone_to_vit(resnet.to_channels(hidden)))


class ProjectionHead(nn.Module):
    """CLS to the joint space."""

    def __init__(self, dim: int, joint: int) -> None:
        super().__init__()
        self.joint = joint
        self.dense_to_hidden = nn.Linear(dim, joint)
        self.LayerNorm = nn.LayerNorm(joint, eps=1e-12)
        self.dense_to_output = nn.Linear(joint, joint)

    def forward(self, readout: Tensor) -> Tensor:
        return self.dense_to_output(self.LayerNorm(F.gelu(self.dense_to_hidden(readout))))


class TextModel(nn.Module):
    """CXR-BERT with its projection, under the names of the state dict."""

    def __init__(self, config: BertConfig = TEXT, joint: int = 128) -> None:
        super().__init__()
        self.bert = Bert(config, pooler=False)
        self.cls_projection_head = ProjectionHead(config.hidden_size, joint)


class BioVil(nn.Module):
    """Both models, which are published apart."""

    def __init__(self, image: ImageModel, text: TextModel) -> None:
        super().__init__()
        self.image, self.text = image, text


@MODELS("biovil:")
def load_biovil(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load BioViL or BioViL-T (ResNet-50 and CXR-BERT) from its folder or hub id, which holds both models.

    Args:
        source: folder, or hub id such as microsoft/BiomedVLP-BioViL-T: CXR-BERT's files and one image model,
            biovil_image_resnet50_proj_size_128.pt or biovil_t_image_model_proj_size_128.pt.
        name: shown in outputs; the source otherwise.
        options: the tokenizer, and whether the hub may be contacted.

    Raises:
        CheckpointError: a file that is missing, or names and shapes of another network.
        UnsupportedModel: a configuration of another text model.
        InputError: options of other families.
    """
    options = options or Options()
    options.refuse("biovil: models", "openai: files", "preset", "heads", "activation")
    folder = locate(source, options.cached_only, further=_IMAGE_FILE)
    images = sorted(path for path in folder.iterdir() if _IMAGE_FILE.fullmatch(path.name))
    if len(images) != 1:
        raise CheckpointError(
            f"Expected one image model (biovil_image_resnet50_proj_size_128.pt or biovil_t_image_model_proj_size_128.pt"
            f") next to CXR-BERT in {shown(source)}, got {len(images)}. Download it into that folder."
        )
    module = BioVil(read_image(images[0]), read_text(folder))
    if (joint := module.image.projector.joint) != (words := module.text.cls_projection_head.joint):
        raise CheckpointError(
            f"Expected image and text of one joint space in {shown(source)}, got {joint} and {words}."
        )
    return adapt(module, name or f"biovil:{source}", folder, options)


def adapt(module: BioVil, name: str, folder: Path | None = None, options: Options | None = None) -> Model:
    """Wrap a BioViL or BioViL-T as a `Model`.

    Args:
        module: both networks.
        name: shown in outputs.
        folder: of its files, where a tokenizer may lie.
        options: as of `load_biovil`.
    """
    image, text = module.image, module.text
    preprocessing = PREPROCESSING_T if image.temporal else PREPROCESSING
    config = text.bert.config
    words, missing = bert_tokenizer(options or Options(), folder, TOKENIZER, config.vocab_size, own_code=True)
    patch = patch_of(image, preprocessing.size)
    return Model(
        name=name,
        module=module,
        encoders={
            "image": JointGridEncoder(image, preprocessing.size, patch, no_attention("a ResNet")),
            "text": BertEncoder(text.bert, text.cls_projection_head, "first"),
        },
        patch=patch,
        preprocessing=preprocessing,
        tokenizer=None if words is None else RewritingTokenizer(words, _without_stops),
        context=min(CONTEXT, config.max_position_embeddings),
        vocabulary=config.vocab_size,
        similarity=Similarity(SCALE),
        missing=missing,
    )


def read_image(path: Path, config: ImageConfig | None = None) -> ImageModel:
    """Read the image model from its published file, or from safetensors with the same names.

    Args:
        path: file.
        config: sizes; by default those of the published model that the names in the file belong to.

    Raises:
        CheckpointError: no such file, other content than tensors, or names and shapes of another network.
    """
    tensors = unwrap(read_tensors(path), "projector.model.0.weight", str(path))
    # torchvision's classifier of 1000 classes stays in the published file and is never run.
    weights = _without(without_buffers(tensors), "encoder.encoder.fc.")
    if config is None:
        config = BIOVIL_T if "encoder.missing_previous_emb" in weights else BIOVIL
    with torch.device("meta"):
        module = ImageModel(config)
    fit(module, weights, str(path), "BioViL image")
    return module


def read_text(folder: Path) -> TextModel:
    """Read CXR-BERT from its published folder.

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
    weights = _without(without_buffers(tensors), "cls.predictions.", "bert.pooler.")
    fit(module, weights, str(folder), "CXR-BERT")
    return module


def _without_stops(text: str) -> str:
    """A phrase without the . ! ? at its end, as the published engine reads it."""
    return text.rstrip("!?.")


def _without(tensors: Tensors, *stems: str) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(stems)}
