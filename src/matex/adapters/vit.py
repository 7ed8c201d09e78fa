"""Vision transformers under timm's names of weights, read into the modules of `network.VisionTower`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from matex.adapters.library import Network
from matex.adapters.network import VisionConfig, VisionTower
from matex.errors import CheckpointError, UnsupportedModel, shown

_HEADS = {"tiny": 3, "small": 6, "base": 12, "large": 16}
HEAD_WIDTH = 64
_NAME = re.compile(rf"vit_({'|'.join(_HEADS)})_patch(\d+)_(\d+)")
_STEMS = {
    "patch_embed.proj.": "embeddings.patch_embedding.",
    "norm_pre.": "pre_layrnorm.",
    "norm.": "post_layernorm.",
    "blocks.": "encoder.layers.",
}
_PARTS = {".norm1.": ".layer_norm1.", ".norm2.": ".layer_norm2.", ".attn.proj.": ".self_attn.out_proj."}


def read_config(
    name: str, size: int, weights: Mapping[str, Tensor], heads: int | None, source: str
) -> dict[str, object]:
    """The configuration of a tower, as in a config.json of CLIP, from its name in timm and the shapes of its weights.

    Args:
        name: in timm, with or without a tag behind a point.
        size: side of the images, pixels.
        weights: under timm's names.
        heads: as the caller gave them; None for those of the name.
        source: named in refusals.

    Raises:
        UnsupportedModel: another architecture.
        CheckpointError: weights of another width than the name says, without heads.
    """
    match = _NAME.fullmatch(name.split(".")[0])
    if match is None:
        raise UnsupportedModel(
            f"Expected a timm image tower such as vit_base_patch16_224 in {shown(source)}, got {shown(name)}. "
            "Embed with open_clip itself and explain the scores: matex.from_score."
        )
    patches, positions = weights.get("patch_embed.proj.weight"), weights.get("pos_embed")
    if patches is None or positions is None or "cls_token" not in weights or patches.dim() != 4:
        raise CheckpointError(
            f"Expected the weights of a timm vision transformer with a class token in {shown(source)}, got others. "
            "Use the checkpoint's own open_clip_config.json."
        )
    width, patch = len(patches), int(match[2])
    if heads is None and width != _HEADS[match[1]] * HEAD_WIDTH:
        raise CheckpointError(
            f"Expected {_HEADS[match[1]] * HEAD_WIDTH} dimensions in the {name} of {shown(source)}, got {width}. Give "
            "heads=(IMAGE, TEXT) (--heads IMAGE,TEXT) for towers of other sizes."
        )
    depth = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
    inner = weights.get("blocks.0.mlp.fc1.weight")
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width if inner is None else len(inner),
        "num_hidden_layers": depth,
        "num_attention_heads": heads or _HEADS[match[1]],
        "image_size": size,
        "patch_size": patch,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
    }


def build(config: VisionConfig) -> VisionTower:
    """A tower without weights: its patch embedding has a bias, and no norm precedes its blocks."""
    tower: Network = VisionTower(config)
    dim, patch = config.hidden_size, config.patch_size
    tower.embeddings.patch_embedding = nn.Conv2d(config.num_channels, dim, patch, patch)
    tower.pre_layrnorm = nn.Identity()
    return tower


def translate(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename timm's weights to those of `build`; others keep their names and are reported as unexpected."""
    translated: dict[str, Tensor] = {}
    for name, value in weights.items():
        stem = next((stem for stem in _STEMS if name.startswith(stem)), "")
        new = _STEMS.get(stem, "") + name.removeprefix(stem)
        for old, part in _PARTS.items():
            new = new.replace(old, part)
        block, joined, kind = new.partition(".attn.qkv.")
        if name == "cls_token":
            translated["embeddings.class_embedding"] = value.flatten()
        elif name == "pos_embed":
            translated["embeddings.position_embedding.weight"] = value.flatten(0, -2)
        elif joined and len(value) % 3 == 0:
            for letter, third in zip("qkv", value.chunk(3), strict=True):
                translated[f"{block}.self_attn.{letter}_proj.{kind}"] = third
        else:
            translated[new] = value
    return translated
