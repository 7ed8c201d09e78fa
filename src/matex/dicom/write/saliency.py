"""One explanation as the DICOM objects hold it: arrays, words and numbers, no model and no film."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

DISCLAIMER = "Research. Evidence about a model, not a finding about a patient. Not for diagnosis."
UNSEEN = "not seen by the model"


@dataclass(frozen=True)
class AuditVerdict:
    """Verdict of the controls on the map.

    Args:
        state: "pass", "warn" or "fail".
        summary: the verdict in words.
        prior_share: share of the map that the text prior contributes, in [0, 1]; NaN where it is undefined.
        yardstick: (control, phrase, score) of other phrases on the same film, to compare the score with.
    """

    state: str
    summary: str
    prior_share: float
    yardstick: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class SaliencyContent:
    """The content of the objects.

    Args:
        raw: float32 [height, width] of the source's pixels, signed; NaN where the model did not see the film.
        values: `raw` scaled to [0, 1] by its minimum and maximum; NaN likewise, 0 everywhere on a constant map.
        threshold: of `values` from which a pixel belongs to the highlighted region, in (0, 1].
        phrase: that was explained.
        score: cosine similarity of film and phrase.
        words: (word, attribution), in reading order.
        places: what the phrase parser understood, one line per place.
        method: registered name.
        parameters: of the method, as text.
        model: name.
        weights_sha256: of the model.
        version: of matex.
        audit: None where the map was not audited.
    """

    raw: NDArray[np.float32]
    values: NDArray[np.float32]
    threshold: float
    phrase: str
    score: float
    words: tuple[tuple[str, float], ...]
    places: tuple[str, ...]
    method: str
    parameters: Mapping[str, str]
    model: str
    weights_sha256: str
    version: str
    audit: AuditVerdict | None = None

    @cached_property
    def known(self) -> NDArray[np.float32]:
        """`values` with 0 where the model did not see the film."""
        return np.nan_to_num(self.values, nan=0.0)

    @property
    def highlighted(self) -> NDArray[np.bool_]:
        """[height, width]: pixels at or above the threshold."""
        return self.known >= self.threshold

    @property
    def region(self) -> str:
        """Definition of `highlighted`, with the exact threshold."""
        return f"at or above {100 * self.threshold:.6g}% of the map's range"

    @property
    def description(self) -> str:
        """One line: method, phrase, model."""
        return f"{self.method} of {self.model}: {self.phrase}"
