"""Checkpoints in OpenAI's CLIP format (CheXzero, CXR-RePaiR, CLIP itself): a state dict, read into a `network.Clip`.

The format carries no activation, no number of heads and no preprocessing: a preset or the caller names them, nothing is
guessed.
"""

from __future__ import annotations

import gzip
import importlib.util
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from matex.adapters.checkpoint import prefixes, read_tensors, regular, unwrap
from matex.adapters.clip import adapt, build, refuse_other_end
from matex.adapters.folder import locate
from matex.adapters.model import MODELS, Model, Options, Tokenizer
from matex.adapters.network import ClipConfig
from matex.adapters.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from matex.adapters.tokenizer import clip_tokenizer, given_tokenizer, load_tokenizer
from matex.errors import CheckpointError, UnsupportedModel, shown
from matex.registry import Registry

LANDMARK = "visual.conv1.weight"
HEAD_WIDTH, WIDEST = 64, 1024
"""OpenAI's own code makes every head 64 wide, and its widest tower has 1024 dimensions. Wider towers in this format are
other people's, with heads of 64, 80, 88 or 104 (open_clip ViT-H/14, ViT-g/14, ViT-bigG/14)."""


@dataclass(frozen=True)
class Preset:
    """Facts about a checkpoint that its state dict does not contain.

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
def load_openai(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load a ViT CLIP from an OpenAI-format state dict (.pt, .pth, .safetensors), read with weights_only.

    Args:
        source: the file.
        name: shown in outputs; the source otherwise.
        options: preset, "clip", "chexzero" or "cxr-repair": activation and normalisation of the checkpoint; heads and
            activation where they are not the preset's; tokenizer, folder or hub id with CLIP's tokenizer. Without it
            the checkpoint's own folder, an installed open_clip and the hub's cache are tried.

    Raises:
        CheckpointError: no file, not a state dict of tensors, missing or unexpected names, NaN, or a number of heads
            that neither the preset nor the caller knows.
        UnsupportedModel: a ResNet image tower.
    """
    options = options or Options()
    if options.preset is None:
        raise CheckpointError(
            f"Expected a preset for {shown(source)}, since the file names neither activation nor normalisation. "
            f"Give preset (--preset) one of {', '.join(PRESETS)}."
        )
    chosen = PRESETS[options.preset]
    activation = options.activation or chosen.activation
    path = Path(os.path.expanduser(source))
    tensors = read_state_dict(path)
    config = ClipConfig.from_dict(_architecture(source, tensors, activation, options), source)
    module = build(config, translate(tensors), source)
    side = config.vision_config.image_size
    words = find_clip_tokenizer(options, path.parent)
    missing = [] if words else ["it has no tokenizer (give tokenizer= a folder with CLIP's vocab.json and merges.txt)"]
    if words:
        refuse_other_end(words, config, source)
    return adapt(
        module,
        name or f"openai:{path.name}",
        preprocessing=replace(chosen.preprocessing, size=(side, side)),
        tokenizer=words,
        missing=missing,
        record={
            "preset": options.preset,
            "activation": activation,
            **({"heads": list(options.heads)} if options.heads else {}),
        },
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint file without its wrappers; never runs code from the file.

    Raises:
        CheckpointError: no file, a TorchScript archive, a pickle with other things than tensors, or no tensors.
    """
    return unwrap(read_tensors(path), LANDMARK, str(path))


def _architecture(source: str, weights: Mapping[str, Tensor], activation: str, options: Options) -> dict[str, object]:
    """Infer the configuration of the towers, as in a config.json, from the shapes of the weights."""
    if "visual.layer1.0.conv1.weight" in weights:
        raise UnsupportedModel(
            f"Expected a ViT image tower in {shown(source)}, got a ResNet with attention pooling, which is not "
            "read. Load it with open_clip and give its two encoders to matex.from_encoders."
        )
    landmarks = (LANDMARK, "visual.positional_embedding", "positional_embedding", "text_projection")
    absent = [n for n in (*landmarks, "token_embedding.weight") if n not in weights]
    if absent:
        before = prefixes(weights, LANDMARK)
        advice = (
            f"Its names stand behind {', '.join(map(repr, before[:2]))}: save that part alone."
            if before
            else "Hugging Face folders load with hf:."
        )
        raise CheckpointError(
            f"Expected an OpenAI CLIP state dict in {shown(source)}, got one without {', '.join(absent)}. {advice}"
        )
    depths = [_depth(weights, tower) for tower in ("visual.transformer.", "transformer.")]
    ranks = [weights[name].dim() for name in (*landmarks, "token_embedding.weight")]
    if min(depths) < 1 or ranks != [4, 2, 2, 2, 2]:
        raise CheckpointError(
            f"Expected an OpenAI CLIP state dict in {shown(source)}, got {depths[0]} image and {depths[1]} text blocks "
            f"and weights of ranks {ranks} where {[4, 2, 2, 2, 2]} belong. Use a complete ViT checkpoint."
        )
    conv, positions = weights[LANDMARK], weights["visual.positional_embedding"]
    text_width, joint = weights["text_projection"].shape
    patch, side = conv.shape[-1], math.isqrt(max(0, len(positions) - 1))
    if conv.shape[-2] != patch or side**2 != len(positions) - 1 or side < 1:
        raise CheckpointError(
            f"Expected square patches on a square grid in {shown(source)}, got patches of "
            f"{conv.shape[-2]}x{conv.shape[-1]} and {len(positions)} positions, which is no square and one. The file "
            "does not say how other grids are laid out."
        )
    heads = _heads(source, conv.shape[0], text_width, options)
    vocabulary = len(weights["token_embedding.weight"])
    return {
        "projection_dim": joint,
        "vision_config": {
            "hidden_size": conv.shape[0],
            "intermediate_size": _width(weights, "visual.transformer."),
            "num_hidden_layers": depths[0],
            "num_attention_heads": heads[0],
            "num_channels": conv.shape[1],
            "image_size": side * patch,
            "patch_size": patch,
            "hidden_act": activation,
        },
        "text_config": {
            "hidden_size": text_width,
            "intermediate_size": _width(weights, "transformer."),
            "num_hidden_layers": depths[1],
            "num_attention_heads": heads[1],
            "max_position_embeddings": len(weights["positional_embedding"]),
            "vocab_size": vocabulary,
            "hidden_act": activation,
            "eos_token_id": vocabulary - 1,  # CLIP's vocabulary ends with its start and end tokens
        },
    }


def _heads(source: str, image: int, text: int, options: Options) -> tuple[int, int]:
    """Attention heads of both towers: as given, or by OpenAI's rule where the towers are no wider than OpenAI's.

    Raises:
        CheckpointError: widths that the preset says nothing about.
    """
    if options.heads is not None:
        if max(image, text) > WIDEST and options.activation is None:
            raise CheckpointError(
                f"Expected the activation of {shown(source)}, since towers of {image} and {text} dimensions are not "
                "OpenAI's. Give activation (--activation), for example gelu for open_clip's models."
            )
        return options.heads
    if max(image, text) > WIDEST or image % HEAD_WIDTH or text % HEAD_WIDTH:
        raise CheckpointError(
            f"Expected the number of attention heads of {shown(source)}, which the file does not say and the preset "
            f"knows only for OpenAI's own models, got towers of {image} (image) and {text} (text) dimensions. Give "
            "heads=(IMAGE, TEXT) (--heads IMAGE,TEXT)."
        )
    return image // HEAD_WIDTH, text // HEAD_WIDTH


def _depth(weights: Mapping[str, Tensor], tower: str) -> int:
    """Count the blocks of a tower, from the first to the first gap."""
    start = f"{tower}resblocks."
    numbers = {name[len(start) :].split(".")[0] for name in weights if name.startswith(start)}
    return next(depth for depth in range(len(numbers) + 1) if str(depth) not in numbers)


def _width(weights: Mapping[str, Tensor], tower: str) -> int:
    name = f"{tower}resblocks.0.mlp.c_fc.weight"
    return len(weights[name]) if name in weights and weights[name].dim() else 1


_WHOLE = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_STEMS = {
    "visual.ln_pre.": "vision_model.pre_layrnorm.",
    "visual.ln_post.": "vision_model.post_layernorm.",
    "ln_final.": "text_model.final_layer_norm.",
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "transformer.resblocks.": "text_model.encoder.layers.",
}
_PARTS = {
    ".ln_1.": ".layer_norm1.",
    ".ln_2.": ".layer_norm2.",
    ".mlp.c_fc.": ".mlp.fc1.",
    ".mlp.c_proj.": ".mlp.fc2.",
    ".attn.out_proj.": ".self_attn.out_proj.",
}
_FACTS = ("input_resolution", "context_length", "vocab_size")  # old exports carry these as tensors


def translate(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename OpenAI's weights to `network.Clip`'s; others keep their names and are reported as unexpected."""
    translated: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name in _FACTS:
            continue
        if name in _WHOLE:
            translated[_WHOLE[name]] = value
        elif name in _TRANSPOSED:
            translated[_TRANSPOSED[name]] = value.T
        else:
            stem = next((s for s in _STEMS if name.startswith(s)), "")
            new = _STEMS.get(stem, "") + name.removeprefix(stem)
            for old, part in _PARTS.items():
                new = new.replace(old, part) if stem else new
            block, joined, kind = new.partition(".attn.in_proj_")
            if stem and joined and len(value) % 3 == 0:
                for letter, third in zip("qkv", value.chunk(3), strict=True):
                    translated[f"{block}.self_attn.{letter}_proj.{kind}"] = third
            else:
                translated[new] = value
    return translated


def find_clip_tokenizer(options: Options, folder: Path) -> Tokenizer | None:
    """Find CLIP's tokenizer: as given, next to the checkpoint, in an installed open_clip, or in the hub's cache."""
    if options.tokenizer is not None:
        return given_tokenizer(options.tokenizer, options.cached_only)
    found = load_tokenizer(folder)
    if found is not None:
        return found
    package = importlib.util.find_spec("open_clip")
    if package is not None and package.origin is not None:
        merges = Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
        if regular(merges):
            return tokenizer_from_merges(merges)
    try:
        return load_tokenizer(locate("openai/clip-vit-base-patch32", cached_only=True))
    except CheckpointError:
        return None


def tokenizer_from_merges(path: Path) -> Tokenizer:
    """Build CLIP's tokenizer from its published merge list (gzip): bytes, bytes at word ends, merges, start and end."""
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges = [line for line in lines[1 : 49152 - 256 - 2 + 1] if line.strip()]
    letters = _byte_letters()
    pieces = letters + [f"{letter}</w>" for letter in letters] + ["".join(merge.split()) for merge in merges]
    vocabulary = {piece: i for i, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    return clip_tokenizer(vocabulary, merges)


def _byte_letters() -> list[str]:
    """Characters that represent the bytes in byte-level vocabularies, printable bytes first, as in GPT-2."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
