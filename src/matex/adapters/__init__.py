"""Model families, one file each, and `load`, which picks one by the prefix of the name."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch

from matex.adapters import bundled, clip, openai
from matex.adapters.model import MODELS, CheckpointError, Model, UnsupportedModel
from matex.images import InputError

DTypeName = Literal["float32", "float64", "float16", "bfloat16"]


def load(
    name: Any,
    *,
    preset: str | None = None,
    tokenizer: str | None = None,
    device: str = "auto",
    dtype: DTypeName = "float32",
) -> Model:
    """Load a model by name, ready to be explained.

    Args:
        name: "tiny", "hf:<hub id or folder>", "openai:<file>", or a transformers CLIPModel already in memory (which
            has no tokenizer or preprocessing, so that only `attribute` works on it).
        preset: for openai: files, "clip", "chexzero" or "cxr-repair".
        tokenizer: folder or hub id of the tokenizer, for checkpoints without one.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the first of CUDA and CPU that there is.
        dtype: of the weights; maps are accumulated in float32 whatever it is. Half precision needs a GPU.

    Raises:
        InputError: a name or device that there is not.
        CheckpointError: a file or folder that is not what it should be.
        UnsupportedModel: an architecture that no adapter was written for.
    """
    where = _device(device)
    if dtype not in DTypeName.__args__:
        raise InputError(f"Expected dtype to be one of {', '.join(DTypeName.__args__)}, got {dtype!r}.")
    if dtype in ("float16", "bfloat16") and where.type == "cpu":
        raise InputError(f"Expected float32 or float64 on the CPU, got {dtype}. Half precision needs device='cuda'.")
    if isinstance(name, torch.nn.Module):
        if preset is not None or device != "auto" or dtype != "float32":
            raise InputError("Expected no preset, device or dtype with a model in memory. Move it before it is given.")
        model = clip.adapt(
            name,
            type(name).__name__,
            preprocessing=None,
            tokenizer=clip.given_tokenizer(tokenizer) if tokenizer else None,
            missing=("a model from memory has no preprocessing", "a model from memory has no tokenizer"),
        )
        return _recorded(model, tokenizer)
    prefix = next((p for p in MODELS if str(name) == p or (p.endswith(":") and str(name).startswith(p))), None)
    if prefix is None:
        raise InputError(
            f"Expected a model name 'tiny', 'hf:<hub id or folder>' or 'openai:<file>', got {name!r}. "
            "Folders and hub ids take the prefix hf:."
        )
    model: Model = MODELS[prefix](str(name).removeprefix(prefix), name=str(name), preset=preset, tokenizer=tokenizer)
    model.module.to(where, getattr(torch, dtype))
    return _recorded(model, tokenizer)


def _recorded(model: Model, tokenizer: str | None) -> Model:
    """The model with the tokenizer that it was given in its record, so that it can be loaded again."""
    if tokenizer is None:
        return model
    return dataclasses.replace(model, record={**model.record, "tokenizer": clip.describe_tokenizer(tokenizer)})


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f"Expected device 'auto', 'cpu', 'cuda' or 'mps', got {device!r}.") from None
    cuda = (found.index or 0) < torch.cuda.device_count()
    there = {"cpu": True, "cuda": cuda, "mps": torch.backends.mps.is_available()}
    if not there.get(found.type, False):
        raise InputError(f"Expected a device that this machine has, got {device!r}. Use device='auto'.")
    return found


__all__ = ["MODELS", "CheckpointError", "Model", "UnsupportedModel", "bundled", "load", "openai"]
