"""open_clip's dual encoders, read from their configuration and weights without the package: BiomedCLIP above all.

An image tower is open_clip's own vision transformer or one of timm, a text tower is open_clip's own or a BERT, in any
combination. Whatever else a configuration asks for is refused by its key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from matex.adapters import clip, openai, vit
from matex.adapters.bert import Bert, BertConfig, BertEncoder
from matex.adapters.checkpoint import fit, read_tensors, scale_of, unwrap, without_buffers
from matex.adapters.encoder import Encoder
from matex.adapters.folder import OPEN_CLIP_WEIGHTS, locate, read_json, read_weights, refuse_foreign
from matex.adapters.library import Network
from matex.adapters.model import MODELS, Model, Options, Similarity, Tokenizer
from matex.adapters.network import ClipConfig, TextTower, VisionTower
from matex.adapters.open_clip_config import CONFIG, OpenClipConfig, named, read_config, text_sizes, vision_sizes
from matex.adapters.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing, Resampling
from matex.adapters.tokenizer import bert_tokenizer
from matex.coerce import as_type
from matex.errors import CheckpointError, InputError, UnsupportedModel, shown

_BERTS = ("biomednlp-", "bio_clinicalbert", "bert-base-", "bert-large-", "biobert", "biolinkbert")
"""Parts of hub ids of BERTs whose heads are 64 wide, whose norms have an epsilon of 1e-12 and whose padding is id 0."""
_OTHER_BERTS = re.compile("roberta|deberta|albert|electra|mpnet|distil|xlm", re.IGNORECASE)  # other positions or blocks
_POOLERS: Mapping[str, Literal["first", "mean"]] = {
    "cls_last_hidden_state_pooler": "first",
    "cls_pooler": "first",
    "mean_pooler": "mean",
}
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
_RESIZE: Mapping[str, Literal["crop", "pad", "squash"]] = {"shortest": "crop", "longest": "pad", "squash": "squash"}


class _Network(nn.Module):
    """Both towers with their projections and the temperature."""

    def __init__(
        self, image: VisionTower, image_projection: nn.Module, text: TextTower | Bert, text_projection: nn.Module
    ) -> None:
        super().__init__()
        self.vision_model, self.visual_projection = image, image_projection
        self.text_model, self.text_projection = text, text_projection
        self.logit_scale = nn.Parameter(torch.empty(()))


@MODELS("open-clip:")
def load_open_clip(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load an open_clip model such as BiomedCLIP: a local folder, hf-hub:<id>, or a weights file with its architecture.

    Args:
        source: folder with open_clip_config.json, "hf-hub:" and a hub id, or a file.
        name: shown in outputs; the source otherwise.
        options: for a file the preset, which is the name of its architecture ("ViT-B-16", "ViT-B-32-quickgelu"); heads
            of the image and of the text tower where the configuration leaves them open; the tokenizer; whether the
            hub may be contacted.

    Raises:
        CheckpointError: not found, broken, or weights that do not fit the configuration.
        UnsupportedModel: a part of open_clip that is not read here.
    """
    options = options or Options()
    options.refuse("open-clip: models", "openai: files", "activation")
    path = Path(os.path.expanduser(source))
    if os.path.isfile(path):
        config, content, folder = named(options.preset, source), read_tensors(path), path.parent
        notes: tuple[str, ...] = ()
    else:
        folder = locate(source.removeprefix("hf-hub:"), options.cached_only, OPEN_CLIP_WEIGHTS)
        options.refuse("open-clip: folders", "open-clip: files", "preset")
        table = read_json(folder, CONFIG)
        refuse_foreign(folder, table)
        if table is None:
            raise CheckpointError(
                f"Expected a folder or hub id with {CONFIG}, found none in {shown(source)}. Folders of transformers "
                "load with hf:."
            )
        weights = read_weights(folder, OPEN_CLIP_WEIGHTS)
        config, content, notes = read_config(table, source), weights.tensors, weights.notes
    tensors = without_buffers(unwrap(content, "logit_scale", source))
    module = build(config, tensors, options, source)
    return adapt(module, name or f"open-clip:{source}", config, options, folder, notes)


def build(config: OpenClipConfig, tensors: Mapping[str, Tensor], options: Options, source: str) -> nn.Module:
    """Build a float32 network with these weights.

    Raises:
        CheckpointError: weights that do not fit the configuration.
        UnsupportedModel: a tower of another kind.
    """
    image_heads, text_heads = options.heads or (None, None)
    renamed = _rename(config, tensors)
    sizes: dict[str, object] = {"projection_dim": config.joint, "vision_config": {}, "text_config": {}}
    timm = config.vision.get("timm_model_name")
    if timm:
        trunk = {
            name.removeprefix("visual.trunk."): t for name, t in tensors.items() if name.startswith("visual.trunk.")
        }
        size = config.vision.get("image_size", 224)
        if not isinstance(size, int):
            raise CheckpointError(f"Expected image_size in {CONFIG} to be a number, got {shown(size)}. Correct it.")
        sizes["vision_config"] = vit.read_config(str(timm), size, trunk, image_heads, source)
    else:
        sizes["vision_config"] = vision_sizes(config, image_heads)
    if "hf_model_name" not in config.text:
        sizes["text_config"] = text_sizes(config, text_heads)
    towers = ClipConfig.from_dict(sizes, source)
    with torch.device("meta"):
        image = vit.build(towers.vision_config) if timm else VisionTower(towers.vision_config)
        biased = bool(timm and config.vision.get("timm_proj_bias", False))
        projection = nn.Linear(towers.vision_config.hidden_size, config.joint, bias=biased)
        if "hf_model_name" in config.text:
            text, head = _bert(config, renamed, text_heads, source)
        else:
            text = TextTower(towers.text_config)
            head = nn.Linear(towers.text_config.hidden_size, config.joint, bias=False)
        module = _Network(image, projection, text, head)
    fit(module, renamed, source, "open_clip")
    return module


def _rename(config: OpenClipConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of `_Network`; others keep theirs and are reported as unexpected."""
    own: dict[str, Tensor] = {}
    renamed: dict[str, Tensor] = {}
    trunk: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith("visual.trunk."):
            trunk[name.removeprefix("visual.trunk.")] = tensor
        elif name.startswith("visual.head.proj."):
            renamed["visual_projection." + name.removeprefix("visual.head.proj.")] = tensor
        elif "hf_model_name" in config.text and name.startswith("text.transformer."):
            renamed["text_model." + name.removeprefix("text.transformer.")] = tensor
        elif "hf_model_name" in config.text and name.startswith("text.proj."):
            renamed["text_projection." + name.removeprefix("text.proj.")] = tensor
        else:
            own[name.removeprefix("text.")] = tensor
    timm = {f"vision_model.{name}": tensor for name, tensor in vit.translate(trunk).items()}
    return {**openai.translate(own), **renamed, **timm}


def _bert(
    config: OpenClipConfig, renamed: Mapping[str, Tensor], heads: int | None, source: str
) -> tuple[Bert, nn.Module]:
    """A BERT without weights and its projection, sizes from the shapes of the weights.

    Raises:
        UnsupportedModel: another text model, pooling or projection.
        CheckpointError: weights without those of a BERT.
    """
    name, kind = str(config.text["hf_model_name"]), config.text.get("hf_proj_type", "mlp")
    known = any(part in name.lower() for part in _BERTS)
    if _OTHER_BERTS.search(name) or (heads is None and not known):
        raise UnsupportedModel(
            f"Expected a BERT whose heads are known in {shown(source)}, got hf_model_name={shown(name)}. Give "
            "heads=(IMAGE, TEXT) (--heads IMAGE,TEXT) if it is a BERT with absolute positions from 0."
        )
    if _pooler(config) not in _POOLERS or kind not in ("mlp", "linear"):
        raise UnsupportedModel(
            f"Expected hf_pooler_type one of {', '.join(_POOLERS)} and hf_proj_type mlp or linear in {shown(source)}, "
            f"got {shown(_pooler(config))} and {shown(kind)}."
        )
    start = "text_model.embeddings."
    shapes = [renamed.get(f"{start}{part}_embeddings.weight") for part in ("word", "position", "token_type")]
    inner = renamed.get("text_model.encoder.layer.0.intermediate.dense.weight")
    if inner is None or any(table is None or table.dim() != 2 for table in shapes):
        raise CheckpointError(f"Expected the weights of a BERT under text.transformer in {shown(source)}, got others.")
    words, positions, types = (table for table in shapes if table is not None)
    width = words.shape[1]
    layers = {key.split(".")[3] for key in renamed if key.startswith("text_model.encoder.layer.")}
    sizes = {
        "vocab_size": len(words),
        "hidden_size": width,
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads or width // vit.HEAD_WIDTH,
        "intermediate_size": len(inner),
        "max_position_embeddings": len(positions),
        "type_vocab_size": len(types),
    }
    bert = Bert(BertConfig.from_dict(sizes, source), pooler=_pooler(config) == "cls_pooler")
    between = (width + config.joint) // 2
    head = (
        nn.Linear(width, config.joint, bias=False)
        if kind == "linear"
        else nn.Sequential(
            nn.Linear(width, between, bias=False), nn.GELU(), nn.Linear(between, config.joint, bias=False)
        )
    )
    return bert, head


def _pooler(config: OpenClipConfig) -> str:
    return str(config.text.get("hf_pooler_type", "mean_pooler"))


def adapt(
    module: Network,
    name: str,
    config: OpenClipConfig,
    options: Options,
    folder: Path | None = None,
    notes: tuple[str, ...] = (),
) -> Model:
    """Wrap a network of `build` as a `Model`.

    Args:
        module: the network.
        name: shown in outputs.
        config: of the model.
        options: as of `load_open_clip`.
        folder: where a tokenizer may lie.
        notes: see `Model.notes`.
    """
    image = clip.image_tower(module.vision_model, module.visual_projection)
    text = module.text_model
    encoder: Encoder
    if isinstance(text, Bert):
        head = module.text_projection
        if _pooler(config) == "cls_pooler":
            head = nn.Sequential(text.pooler.dense, nn.Tanh(), head)
        encoder = BertEncoder(text, head, _POOLERS[_pooler(config)])
    else:
        encoder = clip.text_tower(text, module.text_projection)
    sizes, length = text.config, config.text.get("context_length", 77)
    if not isinstance(length, int):
        raise CheckpointError(f"Expected context_length in {CONFIG} to be a number, got {shown(length)}. Correct it.")
    words, missing = _tokenizer(config, options, folder, sizes.vocab_size)
    return Model(
        name=name,
        module=module,
        encoders={"image": image, "text": encoder},
        patch=image.patch,
        preprocessing=_preprocessing(config, image.size[0]),
        tokenizer=words,
        context=min(length, sizes.max_position_embeddings),
        vocabulary=sizes.vocab_size,
        similarity=Similarity(scale_of(module.logit_scale, name)),
        missing=missing,
        record={
            **({"preset": options.preset} if options.preset else {}),
            **({"heads": list(options.heads)} if options.heads else {}),
        },
        notes=notes,
    )


def _tokenizer(
    config: OpenClipConfig, options: Options, folder: Path | None, vocabulary: int
) -> tuple[Tokenizer | None, tuple[str, ...]]:
    """The tokenizer as given, next to the weights, or in the hub's cache; and how to get one where there is none."""
    published = config.text.get("hf_tokenizer_name") or config.text.get("hf_model_name")
    if published is None:
        found = openai.find_clip_tokenizer(options, folder or Path())
        return found, () if found else ("it has no tokenizer (give tokenizer= a folder with CLIP's)",)
    return bert_tokenizer(options, folder, str(published), vocabulary)


def _preprocessing(config: OpenClipConfig, side: int) -> Preprocessing:
    """Films as open_clip prepares images at inference.

    Raises:
        InputError: settings that it does not have, or that are not read here, by their key.
    """
    settings = config.preprocess
    only = {"mode": ("RGB",), "fill_color": (0,), "size": (side, [side, side])}  # their only values that are read here
    for key, value in settings.items():
        if key not in _PREPROCESS and value is not None and value not in only.get(key, ()):
            raise InputError(
                f"Expected preprocess_cfg without {key} in {CONFIG}, got {key}={shown(value)}. Prepare the images with "
                "open_clip itself and explain the scores: matex.from_score."
            )
    mode, filter = settings.get("resize_mode") or "shortest", settings.get("interpolation") or "bicubic"
    if not isinstance(mode, str) or mode not in _RESIZE or filter not in ("bicubic", "bilinear"):
        raise InputError(
            f"Expected resize_mode {', '.join(_RESIZE)} and interpolation bicubic or bilinear in {CONFIG}, got "
            f"{shown(mode)} and {shown(filter)}. Correct preprocess_cfg."
        )
    resampling: Resampling = "bilinear" if filter == "bilinear" else "bicubic"
    try:
        mean, std = (
            as_type(settings.get(name) or default, tuple[float, float, float])
            for name, default in (("mean", CLIP_MEAN), ("std", CLIP_STD))
        )
    except ValueError:
        raise InputError(
            f"Expected mean and std in {CONFIG} as three numbers, got {shown(settings.get('mean'))} and "
            f"{shown(settings.get('std'))}. Correct preprocess_cfg."
        ) from None
    return Preprocessing((side, side), _RESIZE[mode], resampling, 1 / 255, mean, std, half_even=_RESIZE[mode] == "crop")
