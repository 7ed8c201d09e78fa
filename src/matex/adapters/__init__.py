"""Model families, one file each, and `load`, which picks one by the prefix of the name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from matex.adapters import (
    biovil,
    bundled,
    convirt,
    cxr_clip,
    gloria,
    huggingface,
    imagebind,
    in_memory,
    medclip,
    open_clip,
    openai,
    slip,
)
from matex.adapters.black_box import from_score
from matex.adapters.checkpoint import refuse_not_finite
from matex.adapters.model import MODELS, Model, Options
from matex.adapters.resolution import at_resolution
from matex.adapters.tokenizer import describe_tokenizer
from matex.adapters.two_encoders import from_encoders
from matex.coerce import as_type
from matex.errors import CheckpointError, InputError, UnsupportedModel, shown

LONGEST_NAME = 1024  # characters; paths are shorter
DTypeName = Literal["float32", "float64", "float16", "bfloat16"]


def load(
    name: str | torch.nn.Module,
    *,
    processor: object = None,
    image_processor: object = None,
    preset: str | None = None,
    tokenizer: object = None,
    device: str = "auto",
    dtype: DTypeName = "float32",
    heads: Sequence[int] | None = None,
    activation: str | None = None,
    resolution: int | None = None,
    cached_only: bool = False,
) -> Model:
    """Load a model by name, ready to be explained.

    Args:
        name: "tiny", "hf:<hub id or folder>", "openai:<file>", "medclip:<folder>" and the other prefixes of
            `matex.models()`; or a dual encoder of transformers that is already in memory, which stays on its device and
            in its precision.
        processor: of a model in memory: the processor of transformers that belongs to it, with its tokenizer and its
            image processor. Without it only `attribute` works, on inputs that the caller prepared.
        image_processor: of a model in memory, where there is no processor of both.
        preset: for openai: files, "clip", "chexzero" or "cxr-repair"; for open-clip: files, the name of the
            architecture; for medclip:, see its loader.
        tokenizer: folder or hub id of the tokenizer, for checkpoints without one; for a model in memory also a fast
            tokenizer of transformers.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the first of CUDA and CPU that is available.
        dtype: of weights and passes; scores and maps are accumulated in float32 whatever it is. bfloat16 is faster
            where the processor has instructions for it (docs/speed.md); float16 is meant for GPUs.
        heads: attention heads of the image and of the text tower, for openai: files whose preset does not know them.
        activation: of the feed-forward parts, for openai: files that differ from their preset, as transformers names
            it: "gelu", "quick_gelu".
        resolution: side of the model's input, pixels, where it is not the trained one: a finer grid of patches by
            interpolated position embeddings, for CLIP, SigLIP and what has their image towers.
        cached_only: do not contact the model hub; what its cache holds still loads.

    Raises:
        InputError: an unknown name, or a device that is not available.
        CheckpointError: a file or folder that is not what it should be, or weights that are not finite, in the file
            or in this dtype.
        UnsupportedModel: an architecture that no adapter was written for.

    Examples:
        >>> model = matex.load("tiny")
        >>> model.name, model.image.size, model.image.patch
        ('tiny', (112, 112), (8, 8))
    """
    for setting, value in (
        ("device", device),
        ("dtype", dtype),
        ("preset", preset),
        ("activation", activation),
    ):
        if value is not None and not isinstance(value, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected {setting} as text, got {shown(value)}.")
    where = _device(device)
    if dtype not in DTypeName.__args__:
        raise InputError(f"Expected dtype to be one of {', '.join(DTypeName.__args__)}, got {shown(dtype)}.")
    if isinstance(name, torch.nn.Module):
        if device != "auto" or dtype != "float32":
            raise InputError("Expected no device or dtype with a model in memory. Move it before it is given.")
        options = Options(preset, None, _pair_of_heads(heads), activation, cached_only)
        return _at(resolution, in_memory.load(name, options, processor, tokenizer, image_processor))
    if processor is not None or image_processor is not None:
        raise InputError("Expected a processor only with a model in memory. A model of files has its own next to it.")
    if tokenizer is not None and not isinstance(tokenizer, str | Path):
        raise InputError(f"Expected tokenizer as text, got {shown(tokenizer)}.")
    words = None if tokenizer is None else str(tokenizer)
    options = Options(preset, words, _pair_of_heads(heads), activation, cached_only)
    _check_name(name)
    prefix = next((p for p in MODELS if name == p or (p.endswith(":") and name.startswith(p))), None)
    if prefix is None:
        raise InputError(
            f"Expected a model name 'tiny', 'hf:<hub id or folder>' or 'openai:<file>', got {shown(name)}. "
            f"Folders and hub ids take the prefix hf:; there are also {_others()} (matex models lists them)."
        )
    model = MODELS[prefix](name.removeprefix(prefix), name=name, options=options)
    model.module.to(where, getattr(torch, dtype))
    if dtype in ("float16", "bfloat16"):
        refuse_not_finite(model.module.state_dict(), name)
    return _at(resolution, _recorded(model, words))


def _others() -> str:
    """The names and prefixes that the refusal of a name does not spell out."""
    return ", ".join(sorted(set(MODELS) - {"tiny", "hf:", "openai:"}))


def _at(resolution: int | None, model: Model) -> Model:
    """The model at the resolution that the caller gave, if any."""
    if resolution is None:
        return model
    if isinstance(resolution, bool) or not isinstance(resolution, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"Expected resolution as an integer, pixels, got {shown(resolution)}.")
    return at_resolution(model, resolution)


def _check_name(name: object) -> None:
    """Refuse strings that neither a file system nor a hub accepts as a name.

    Raises:
        InputError: no text, too long, or with characters that are none.
    """
    if not isinstance(name, str):
        raise InputError(f"Expected a model's name or a CLIPModel, got {type(name).__name__}.")
    if len(name) > LONGEST_NAME:
        raise InputError(f"Expected a model's name of at most {LONGEST_NAME} characters, got {len(name)}.")
    if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InputError(f"Expected a model's name in valid Unicode, got {shown(name)}. Check its encoding.")


def _pair_of_heads(heads: Sequence[int] | None) -> tuple[int, int] | None:
    if heads is None:
        return None
    try:
        image, text = as_type(heads, tuple[int, int])
    except ValueError:
        image, text = 0, 0
    if min(image, text) < 1:
        raise InputError(f"Expected heads as two integers above 0, (image, text), got {shown(heads)}.")
    return (image, text)


def _recorded(model: Model, tokenizer: str | None) -> Model:
    """Add the caller's tokenizer to the model's record, so that the model can be reloaded from it."""
    if tokenizer is None:
        return model
    return dataclasses.replace(model, record={**model.record, "tokenizer": describe_tokenizer(tokenizer)})


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"Expected device 'auto', 'cpu', 'cuda' or 'mps', got {shown(device)}.") from None
    cuda = (resolved.index or 0) < torch.cuda.device_count()
    available = {"cpu": True, "cuda": cuda, "mps": torch.backends.mps.is_available()}
    if not available.get(resolved.type, False):
        raise InputError(f"Expected a device that this machine has, got {shown(device)}. Use device='auto'.")
    return resolved


__all__ = [
    "MODELS",
    "CheckpointError",
    "Model",
    "UnsupportedModel",
    "biovil",
    "bundled",
    "convirt",
    "cxr_clip",
    "from_encoders",
    "from_score",
    "gloria",
    "huggingface",
    "imagebind",
    "load",
    "medclip",
    "open_clip",
    "openai",
    "slip",
]
