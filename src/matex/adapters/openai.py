"""Checkpoints in OpenAI's CLIP format (CheXzero, CXR-RePaiR, CLIP itself): a state dict, read into a CLIPModel.

The format carries no activation and no preprocessing: a preset names both, nothing is guessed.
"""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from matex.adapters.clip import adapt, given_tokenizer, load_tokenizer, refuse_incomplete
from matex.adapters.model import MODELS, CheckpointError, Model, Tokenizer, UnsupportedModel
from matex.adapters.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from matex.registry import Registry


@dataclass(frozen=True)
class Preset:
    """What a state dict does not say about itself.

    Args:
        activation: of the feed-forward parts, as transformers names it.
        preprocessing: with the size left to the weights.
    """

    activation: str
    preprocessing: Preprocessing


PRESETS: Registry[Preset] = Registry("preset")
# Raw 0-255 values by way of a square of 320, as rajpurkarlab's CheXzero and CXR-RePaiR prepare films. They pad at 320
# and we at 224, so the film may lie a third of a pixel apart.
_MEAN, _STD = 101.48761, 83.43944
_RAJPURKAR = Preprocessing((224, 224), "pad", "bicubic", 1.0, (_MEAN, _MEAN, _MEAN), (_STD, _STD, _STD), by_way_of=320)
PRESETS("clip")(Preset("quick_gelu", Preprocessing((224, 224), "crop", "bicubic", 1 / 255, CLIP_MEAN, CLIP_STD)))
PRESETS("chexzero")(Preset("quick_gelu", _RAJPURKAR))
PRESETS("cxr-repair")(Preset("quick_gelu", _RAJPURKAR))


@MODELS("openai:")
def load_openai(
    source: str, *, name: str | None = None, preset: str | None = None, tokenizer: str | None = None
) -> Model:
    """A ViT CLIP from an OpenAI-format state dict (.pt, .pth), loaded with weights_only.

    Args:
        source: the file.
        name: shown in outputs; the source otherwise.
        preset: "clip", "chexzero" or "cxr-repair": activation and normalisation of the checkpoint.
        tokenizer: folder or hub id with CLIP's tokenizer. Without it the checkpoint's own folder, an installed
            open_clip and the hub's cache are tried.

    Raises:
        CheckpointError: no file, not a state dict of tensors, missing or unexpected names.
        UnsupportedModel: a ResNet image tower.
    """
    from transformers import CLIPConfig, CLIPModel

    if preset is None:
        raise CheckpointError(
            f"Expected a preset for {source!r}, since the file names neither activation nor normalisation. "
            f"Give preset (--preset) one of {', '.join(PRESETS)}."
        )
    chosen = PRESETS[preset]
    weights = read_state_dict(Path(source).expanduser())
    config = CLIPConfig(**_architecture(source, weights, chosen.activation))
    with torch.device("meta"):
        module = CLIPModel(config)
    translated = _translate(weights, config)
    expected = set(module.state_dict())
    refuse_incomplete(source, expected - set(translated), set(translated) - expected)
    try:
        module.load_state_dict(translated, assign=True, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"Expected weights of one CLIP model in {source!r}, got: {error}") from error
    _restore_positions(module)
    module.eval().requires_grad_(False)
    vision: Any = config.vision_config
    preprocessing = replace(chosen.preprocessing, size=(vision.image_size, vision.image_size))
    words = find_clip_tokenizer(tokenizer, Path(source).expanduser().parent)
    missing = [] if words else ["it has no tokenizer (give tokenizer= a folder with CLIP's vocab.json and merges.txt)"]
    return adapt(
        module,
        name or f"openai:{Path(source).name}",
        preprocessing=preprocessing,
        tokenizer=words,
        missing=missing,
        record={"preset": preset, "activation": chosen.activation},
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, common wrappers taken off; never runs code from the file.

    Raises:
        CheckpointError: no file, a TorchScript archive, a pickle with other things than tensors, or no tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"Expected a checkpoint file, found none at {str(path)!r}. Check the path.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in any way
        kind = "a TorchScript archive" if "TorchScript" in str(error) else "something else or a broken file"
        raise CheckpointError(
            f"Expected a file of tensors alone in {str(path)!r}, got {kind}, which is not opened since it could run "
            "code. Save it again as torch.save(model.state_dict(), ...)."
        ) from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"Expected a dictionary of tensors in {str(path)!r}, got {type(content).__name__}.")
    names = [str(name) for name in content]
    prefix = "module." if all(name.startswith("module.") for name in names) else ""
    return {str(name).removeprefix(prefix): value.float() for name, value in content.items()}


def _architecture(source: str, weights: dict[str, Tensor], activation: str) -> dict[str, Any]:
    """Sizes of the towers, read off the shapes of the weights."""
    if "visual.layer1.0.conv1.weight" in weights:
        raise UnsupportedModel(
            f"Expected a ViT image tower in {source!r}, got a ResNet. Attention methods need a ViT checkpoint."
        )
    landmarks = (
        "visual.conv1.weight",
        "visual.positional_embedding",
        "positional_embedding",
        "text_projection",
    )
    absent = [n for n in (*landmarks, "token_embedding.weight") if n not in weights]
    if absent:
        raise CheckpointError(
            f"Expected an OpenAI CLIP state dict in {source!r}, got one without {', '.join(absent)}. "
            "Hugging Face folders load with hf:."
        )
    depths = [_depth(weights, tower) for tower in ("visual.transformer.", "transformer.")]
    ranks = [weights[name].dim() for name in (*landmarks, "token_embedding.weight")]
    if min(depths) < 1 or ranks != [4, 2, 2, 2, 2]:
        raise CheckpointError(
            f"Expected an OpenAI CLIP state dict in {source!r}, got {depths[0]} image and {depths[1]} text blocks and "
            f"weights of ranks {ranks} where {[4, 2, 2, 2, 2]} belong. Use a complete ViT checkpoint."
        )
    conv, positions = weights["visual.conv1.weight"], weights["visual.positional_embedding"]
    text_width, joint = weights["text_projection"].shape
    patch, side = conv.shape[-1], round((len(positions) - 1) ** 0.5)
    vocabulary = len(weights["token_embedding.weight"])
    return {
        "projection_dim": joint,
        "vision_config": {
            "hidden_size": conv.shape[0],
            "intermediate_size": _width(weights, "visual.transformer."),
            "num_hidden_layers": depths[0],
            "num_attention_heads": max(1, conv.shape[0] // 64),
            "image_size": side * patch,
            "patch_size": patch,
            "hidden_act": activation,
        },
        "text_config": {
            "hidden_size": text_width,
            "intermediate_size": _width(weights, "transformer."),
            "num_hidden_layers": depths[1],
            "num_attention_heads": max(1, text_width // 64),
            "max_position_embeddings": len(weights["positional_embedding"]),
            "vocab_size": vocabulary,
            "hidden_act": activation,
            # CLIP's vocabulary ends with its start and end tokens.
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
            "pad_token_id": vocabulary - 1,
        },
    }


def _depth(weights: dict[str, Tensor], tower: str) -> int:
    start = f"{tower}resblocks."
    numbers = [n[len(start) :].split(".")[0] for n in weights if n.startswith(start)]
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


def _width(weights: dict[str, Tensor], tower: str) -> int:
    name = f"{tower}resblocks.0.mlp.c_fc.weight"
    return len(weights[name]) if name in weights else 1


def _translate(weights: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """OpenAI's names to CLIPModel's; what has no counterpart keeps its name and is reported as unexpected."""
    from transformers import CLIPModel

    with torch.device("meta"):
        names = set(CLIPModel(config).state_dict())
    # transformers 5 lost one level of nesting that 4 had.
    vision, text = (
        next(iter(p for p in paths if any(n.startswith(p + "encoder") for n in names)))
        for paths in (
            ("vision_model.", "vision_model.vision_model."),
            ("text_model.", "text_model.text_model."),
        )
    )
    whole = {
        "visual.class_embedding": f"{vision}embeddings.class_embedding",
        "visual.conv1.weight": f"{vision}embeddings.patch_embedding.weight",
        "visual.positional_embedding": f"{vision}embeddings.position_embedding.weight",
        "token_embedding.weight": f"{text}embeddings.token_embedding.weight",
        "positional_embedding": f"{text}embeddings.position_embedding.weight",
        "logit_scale": "logit_scale",
    }
    stems = {
        "visual.ln_pre.": f"{vision}pre_layrnorm.",
        "visual.ln_post.": f"{vision}post_layernorm.",
        "ln_final.": f"{text}final_layer_norm.",
        "visual.transformer.resblocks.": f"{vision}encoder.layers.",
        "transformer.resblocks.": f"{text}encoder.layers.",
    }
    parts = {
        ".ln_1.": ".layer_norm1.",
        ".ln_2.": ".layer_norm2.",
        ".mlp.c_fc.": ".mlp.fc1.",
        ".mlp.c_proj.": ".mlp.fc2.",
        ".attn.out_proj.": ".self_attn.out_proj.",
    }
    translated: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name in ("input_resolution", "context_length", "vocab_size"):  # old exports carry these as tensors
            continue
        if name in whole:
            translated[whole[name]] = value
        elif name == "visual.proj":
            translated["visual_projection.weight"] = value.T.contiguous()
        elif name == "text_projection":
            translated["text_projection.weight"] = value.T.contiguous()
        else:
            stem = next((s for s in stems if name.startswith(s)), "")
            new = stems.get(stem, "") + name.removeprefix(stem)
            for old, part in parts.items():
                new = new.replace(old, part) if stem else new
            if ".attn.in_proj_" in new:
                kind = new.rsplit("in_proj_", 1)[1]
                base = new.split(".attn.")[0]
                for letter, third in zip("qkv", value.chunk(3), strict=True):
                    translated[f"{base}.self_attn.{letter}_proj.{kind}"] = third.clone()
            else:
                translated[new] = value
    return translated


def _restore_positions(module: Any) -> None:
    """Buffers that no checkpoint carries and the meta device left empty."""
    for owner in module.modules():
        for key, buffer in list(owner.named_buffers(recurse=False)):
            if key == "position_ids":
                setattr(owner, key, torch.arange(buffer.shape[-1])[None])


def find_clip_tokenizer(given: str | None, folder: Path) -> Tokenizer | None:
    """CLIP's tokenizer: as given, beside the checkpoint, from an installed open_clip, or from the hub's cache."""
    if given is not None:
        return given_tokenizer(given)
    found = load_tokenizer(folder)
    if found is not None:
        return found
    package = importlib.util.find_spec("open_clip")
    if package is not None and package.origin is not None:
        merges = Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
        if merges.is_file():
            return tokenizer_from_merges(merges)
    return load_tokenizer("openai/clip-vit-base-patch32", cached_only=True)


def tokenizer_from_merges(path: Path) -> Tokenizer:
    """CLIP's tokenizer from its published merge list (gzip): bytes, bytes at word ends, merges, start and end."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges: Any = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1] if line.strip()]
    letters = list(bytes_to_unicode().values())
    pieces = letters + [f"{letter}</w>" for letter in letters] + ["".join(pair) for pair in merges]
    vocabulary = {piece: i for i, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges)
