"""The configuration of an open_clip model: open_clip_config.json, or the name of a built-in architecture.

A setting that would change an embedding and is not read here is refused by its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from matex.checks import is_object
from matex.errors import CheckpointError, UnknownName, UnsupportedModel, shown

CONFIG = "open_clip_config.json"
_VISION = {"width": 768, "layers": 12, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16, "image_size": 224}
_TEXT = {"width": 512, "layers": 12, "heads": 8, "mlp_ratio": 4.0, "context_length": 77, "vocab_size": 49408}
# Settings that do not change an embedding, or that hold at their only value that is read here.
_INERT = {
    *("patch_dropout", "output_tokens", "timm_model_pretrained", "timm_drop", "timm_drop_path", "hf_model_pretrained"),
    *("hf_tokenizer_name", "timm_model_name", "timm_pool", "timm_proj", "timm_proj_bias", "hf_model_name"),
    *("hf_proj_type", "hf_pooler_type", "pad_id", "eos_id", "attn_pooler_queries", "attn_pooler_heads"),
}
_FIXED: Mapping[str, tuple[object, ...]] = {
    "pool_type": ("tok", "argmax"),
    "pos_embed_type": ("learnable",),
    "proj_type": ("linear",),
    "block_type": (None, "default"),
    "tokenizer_kwargs": (None, {}, {"clean": "whitespace"}, {"clean": "lower"}),
    "tokenizer_mode": (None, "clip"),
}


def _built_in(
    image: int, patch: int, width: int, layers: int, text: int, joint: int, head: int = 64
) -> dict[str, object]:
    heads, depth = text // 64, {512: 12, 768: 12, 1024: 24}[text]
    vision = {"image_size": image, "patch_size": patch, "width": width, "layers": layers, "head_width": head}
    return {"embed_dim": joint, "vision_cfg": vision, "text_cfg": {"width": text, "heads": heads, "layers": depth}}


ARCHITECTURES: Mapping[str, Mapping[str, object]] = {
    "ViT-B-32": _built_in(224, 32, 768, 12, 512, 512),
    "ViT-B-16": _built_in(224, 16, 768, 12, 512, 512),
    "ViT-L-14": _built_in(224, 14, 1024, 24, 768, 768),
    "ViT-L-14-336": _built_in(336, 14, 1024, 24, 768, 768),
    "ViT-H-14": _built_in(224, 14, 1280, 32, 1024, 1024, head=80),
}
"""open_clip's built-in architectures by name; "-quickgelu" behind a name is OpenAI's activation."""


class OpenClipConfig(NamedTuple):
    """An open_clip_config.json.

    Args:
        joint: dimensions of the joint space.
        quick: whether open_clip's own towers use OpenAI's activation.
        vision: `vision_cfg`.
        text: `text_cfg`.
        preprocess: `preprocess_cfg`.
    """

    joint: int
    quick: bool
    vision: Mapping[str, object]
    text: Mapping[str, object]
    preprocess: Mapping[str, object]


def named(preset: str | None, source: str) -> OpenClipConfig:
    """The configuration of a built-in architecture.

    Raises:
        CheckpointError: no architecture was named.
        UnknownName: another name.
    """
    if preset is None:
        raise CheckpointError(
            f"Expected the architecture of {shown(source)}, since a weights file names none. Give preset (--preset) "
            f"one of {', '.join(ARCHITECTURES)}, or with -quickgelu behind it."
        )
    plain = preset.removesuffix("-quickgelu")
    if plain not in ARCHITECTURES:
        raise UnknownName("preset", preset, tuple(ARCHITECTURES))
    return read_config({"model_cfg": {**ARCHITECTURES[plain], "quick_gelu": preset != plain}}, source)


def read_config(table: Mapping[str, object], source: str) -> OpenClipConfig:
    """Check the content of an open_clip_config.json.

    Raises:
        CheckpointError: a section is missing or is no table.
        UnsupportedModel: a setting that is not read here, by its key.
    """
    model: object = table.get("model_cfg")
    vision, text = (model.get("vision_cfg"), model.get("text_cfg")) if is_object(model) else (None, None)
    joint = model.get("embed_dim") if is_object(model) else None
    if not (is_object(model) and is_object(vision) and is_object(text) and isinstance(joint, int)):
        raise CheckpointError(
            f"Expected model_cfg with embed_dim, vision_cfg and text_cfg in {CONFIG} of {shown(source)}, got "
            f"{shown(model)}. Copy the file again."
        )
    _refuse_other_settings(vision, _VISION, source)
    _refuse_other_settings(text, _TEXT, source)
    pool, projection = vision.get("timm_pool", "avg"), vision.get("timm_proj", "linear")
    if vision.get("timm_model_name") and (pool not in ("", "token") or projection != "linear"):
        raise UnsupportedModel(  # the same names of weights, other embeddings
            f"Expected timm_pool 'token' or '' and timm_proj 'linear' in {CONFIG} of {shown(source)}, got "
            f"{shown(pool)} and {shown(projection)}. Explain the scores of open_clip itself: matex.from_score."
        )
    if model.get("init_logit_bias") is not None or model.get("multimodal_cfg"):
        raise UnsupportedModel(
            f"Expected a model with CLIP's loss in {shown(source)}, got a SigLIP or CoCa of open_clip. SigLIP loads in "
            "transformers' format with hf:."
        )
    preprocess = table.get("preprocess_cfg") or dict[str, object]()
    if not is_object(preprocess):
        raise CheckpointError(
            f"Expected preprocess_cfg in {CONFIG} of {shown(source)} to be a table, got {shown(preprocess)}. Copy the "
            "file again."
        )
    return OpenClipConfig(joint, bool(model.get("quick_gelu", False)), vision, text, preprocess)


def _refuse_other_settings(section: Mapping[str, object], known: Mapping[str, object], source: str) -> None:
    """Refuse a setting of a tower that is not read here.

    Raises:
        UnsupportedModel: such a setting, by its key.
    """
    for key, value in section.items():
        inert = key in known or key in _INERT or not value
        if not inert and value not in _FIXED.get(key, ()):
            raise UnsupportedModel(
                f"Expected a model without {key} in {CONFIG} of {shown(source)}, got {key}={shown(value)}. Embed "
                "with open_clip itself and explain the scores: matex.from_score."
            )


def vision_sizes(config: OpenClipConfig, heads: int | None) -> dict[str, object]:
    """The configuration of open_clip's own image tower under the names of transformers."""
    return _sizes({**_VISION, **config.vision}, config.quick, heads)


def text_sizes(config: OpenClipConfig, heads: int | None) -> dict[str, object]:
    """The configuration of open_clip's own text tower under the names of transformers."""
    return _sizes({**_TEXT, **config.text}, config.quick, heads)


def _sizes(tower: Mapping[str, object], quick: bool, heads: int | None) -> dict[str, object]:
    width = _number(tower, "width")
    sizes: dict[str, object] = {
        "hidden_size": width,
        "intermediate_size": int(width * _number(tower, "mlp_ratio")),
        "num_hidden_layers": tower["layers"],
        "num_attention_heads": heads or tower.get("heads") or width // _number(tower, "head_width"),
        "hidden_act": "quick_gelu" if quick else "gelu",
    }
    if "patch_size" in tower:
        return {**sizes, "image_size": tower["image_size"], "patch_size": tower["patch_size"]}
    ends = {"vocab_size": tower["vocab_size"], "eos_token_id": _number(tower, "vocab_size") - 1}
    return {**sizes, **ends, "max_position_embeddings": tower["context_length"]}


def _number(tower: Mapping[str, object], name: str) -> int | float:
    """A setting that others are computed from.

    Raises:
        CheckpointError: no number.
    """
    value = tower[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CheckpointError(f"Expected {name} in {CONFIG} to be a number, got {shown(value)}. Copy the file again.")
    return value
