"""A region that a phrase names, and what the phrase says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["right", "left"]
"""The patient's side."""

UNCERTAIN_WEIGHT = 0.5
LESSER_SIDE_WEIGHT = 0.6
"""Of the side with less of a finding, where the other one has 1; a side that is only clearer has 0."""


@dataclass(frozen=True)
class Mention:
    """One region of the atlas on one side, read from a phrase."""

    text: str
    """The words it was read from: phrase[start:end]."""
    start: int
    end: int
    region: str
    """A key of atlas.REGIONS."""
    side: Side | None
    """The patient's side; None for a midline region, or when the phrase gives none."""
    negated: bool
    """Absent, resolved or normal, or only the standard of a comparison ("unlike the right")."""
    uncertain: bool
    historical: bool
    """About the past: status post, history of, lobectomy."""
    weight: float
    """In [0, 1]; 0 when negated or historical."""
    normal: bool = False
    """Described as normal; such a mention is negated too."""
