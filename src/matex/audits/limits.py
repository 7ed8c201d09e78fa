"""Limits at which each check warns and fails, and these limits in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from matex.results import State

LIMITS: Mapping[str, tuple[float, float]] = {
    "prior_share": (0.25, 0.5),
    "side": (0.1, 0.2),
    "side_ignored": (0.95, math.inf),
    "side_preference": (0.9, 0.1),
    "unrelated_phrase": (0.75, 0.95),
    "random_weights": (0.5, 0.8),
    "seeds": (0.9, 0.7),
    "deletion": (0.95, 0.8),
    "corners": (2.0, 4.0),
}
"""(warn, fail) of each check; docs/audit.md says what each number means and where it comes from."""


def from_limit(value: float, name: str) -> State:
    """State of a value that is worse the larger it is; an undefined value is skipped."""
    warn, fail = LIMITS[name]
    return "skipped" if math.isnan(value) else "fail" if value >= fail else "warn" if value >= warn else "pass"


def below_limit(value: float, name: str) -> State:
    """State of a value that is worse the smaller it is; an undefined value is skipped."""
    warn, fail = LIMITS[name]
    return "skipped" if math.isnan(value) else "fail" if value < fail else "warn" if value < warn else "pass"


def rule(name: str, quantity: str, direction: Literal["from", "below"]) -> str:
    """The limits of a check as a sentence."""
    warn, fail = LIMITS[name]
    return f"{quantity[0].upper()}{quantity[1:]}: warns {direction} {warn:g}, fails {direction} {fail:g}."
