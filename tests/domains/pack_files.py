"""A small pack as plain data, which tests change, and as a file."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

KNEE: dict[str, Any] = {
    "name": "knee",
    "description": "A frontal radiograph of both knees.",
    "organ": "knee",
    "display": "the patient's right on the image's left",
    "frame": "film",
    "orientation": "assumed",
    "default_view": "AP",
    "whole": "knee",
    "phrases": [
        [f"{side} patellar fracture {number}", f"{side} patella"] for side in ("right", "left") for number in range(5)
    ],
    "sources": {"book": "An anatomy of the knee"},
    "views": {"AP": {}, "PA": {"plane": "AP"}},
    "regions": {
        "knee": {
            "words": ["knee", "knees"],
            "weak": True,
            "source": "book",
            "outlines": {"AP": {"box": [0.1, 0, 0.45, 1]}},
        },
        "patella": {
            "words": ["patella", "patellae", "patellar"],
            "source": "book",
            "outlines": {"AP": {"ellipse": [0.3, 0.4, 0.05, 0.1]}},
        },
        "field": {
            "words": ["between the knees"],
            "sided": False,
            "source": "book",
            "outlines": {"AP": {"polygon": [[0.45, 0.0], [0.55, 0.0], [0.55, 1.0], [0.45, 1.0]]}},
        },
    },
}


def knee(**changes: Any) -> dict[str, Any]:
    """The pack with other values at its top; None removes a key."""
    content = deepcopy(KNEE) | changes
    return {key: value for key, value in content.items() if value is not None}


def as_toml(content: dict[str, Any]) -> str:
    """Plain data as TOML, tables inline."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in content.items())


def write(folder: Path, content: dict[str, Any] | str, name: str = "knee.toml") -> Path:
    """The file of a pack."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else as_toml(content), encoding="utf-8")
    return path


def _key(key: str) -> str:
    return json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
