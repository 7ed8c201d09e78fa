"""The small CLIPs that ship with the package, loaded by the same code as any Hugging Face folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from matex.adapters.huggingface import load_hf
from matex.adapters.model import MODELS, Model, Options
from matex.errors import CheckpointError, InputError

ADAPTERS = Path(__file__).parent


@MODELS("tiny")
def load_tiny(source: str = "", *, name: str | None = None, options: Options | None = None) -> Model:
    """Load the bundled model: a small CLIP trained on simulated findings in real normal films, for demonstrations.

    Args:
        source: empty, the model has a place of its own.
        name: shown in outputs.
        options: none are used by this model.

    Raises:
        CheckpointError: weights that are not those whose training and evaluation are recorded.
    """
    return _load("tiny", source, name, options)


@MODELS("tiny-plain")
def load_tiny_plain(source: str = "", *, name: str | None = None, options: Options | None = None) -> Model:
    """Load the same architecture trained without localisation supervision: image-text pairs alone.

    Args:
        source: empty, the model has a place of its own.
        name: shown in outputs.
        options: none are used by this model.

    Raises:
        CheckpointError: weights that are not those whose training and evaluation are recorded.
    """
    return _load("tiny-plain", source, name, options)


def _load(which: str, source: str, name: str | None, options: Options | None) -> Model:
    """Load a bundled folder after comparing its weights with the checksum in its training record."""
    if source or (options is not None and options != Options(cached_only=options.cached_only)):
        raise InputError(f"Expected {which!r} alone: a bundled model takes no path, preset, tokenizer or other option.")
    folder = ADAPTERS / which
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    with (folder / "model.safetensors").open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    if checksum != training["weights_sha256"]:
        raise CheckpointError(
            f"Expected the bundled weights with the SHA-256 {training['weights_sha256'][:12]} that their training "
            f"record names, got {checksum[:12]}. Install matex again."
        )
    return replace(load_hf(str(folder), name=name or which), record={"training": training["summary"]})
