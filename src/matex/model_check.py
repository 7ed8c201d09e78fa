"""Result of checking one property of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class ModelCheck:
    """One property of a model.

    Args:
        name: such as "image: a batch equals its items".
        state: "skipped" where the model does not have what the check is about.
        detail: what was found wrong, or why it was skipped.
    """

    name: str
    state: Literal["pass", "fail", "skipped"]
    detail: str = ""


def as_check(name: str, fault: str) -> ModelCheck:
    return ModelCheck(name, "fail" if fault else "pass", fault)


def difference(found: Tensor, expected: Tensor, tolerance: float) -> str:
    """Description of a difference between values that should be equal; empty where they are."""
    if found.shape != expected.shape:
        return f"expected shape {tuple(expected.shape)}, got {tuple(found.shape)}"
    if not bool(torch.isfinite(found).all()):
        return "got values that are not finite"
    size = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    error = float((found - expected).abs().max()) / size if found.numel() else 0.0
    return f"differs by {error:.1e}, at most {tolerance:g} expected" if error > tolerance else ""
