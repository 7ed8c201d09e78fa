"""The small CLIP that ships with the package, loaded by the same code as anybody's Hugging Face folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from matex.adapters.clip import load_hf
from matex.adapters.model import MODELS, Model
from matex.images import InputError

FOLDER = Path(__file__).parent / "tiny"


@MODELS("tiny")
def load_tiny(
    source: str = "", *, name: str | None = None, preset: str | None = None, tokenizer: str | None = None
) -> Model:
    """The bundled model: a small CLIP trained on simulated findings in real normal films; for trying things out.

    Args:
        source: empty, the model has a place of its own.
        name: shown in outputs.
        preset: not used by this model.
        tokenizer: not used by this model.
    """
    if source or preset or tokenizer:
        raise InputError("Expected 'tiny' alone: the bundled model takes no path, preset or tokenizer.")
    model = load_hf(str(FOLDER), name=name or "tiny")
    training = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))
    return replace(model, record={"training": training["summary"]})
