"""Calibrated confidence of an answer, as an explanation holds it."""

from __future__ import annotations

from typing import NamedTuple


class Confidence(NamedTuple):
    """Confidence of a calibrated model in its answer on one image.

    Args:
        probability: that the phrase holds, in [0, 1].
        answer: the phrase with the highest probability; of a model with a sigmoid for each pair "holds" or "does not
            hold".
        confidence: probability of the answer, in [0, 1].
        threshold: confidence below which the model abstains; None where no threshold reached the wanted risk.
        risk: wanted share of wrong answers among those given, in (0, 1).
        among: number of phrases that the calibration was fitted on.
        films: number of images that the calibration was fitted on.
    """

    probability: float
    answer: str
    confidence: float
    threshold: float | None
    risk: float
    among: int
    films: int

    @property
    def abstain(self) -> bool:
        """Whether the model should give no answer."""
        return self.threshold is None or self.confidence < self.threshold

    @property
    def summary(self) -> str:
        """Probability, answer and decision in one sentence."""
        answer = self.answer if self.answer in _VERDICTS else f"“{self.answer}”"
        found = f"probability {self.probability:.2f} (calibrated, {self.among} phrases); answer: {answer}"
        return f"{found}, confidence {self.confidence:.2f}"

    @property
    def decision(self) -> str:
        """Whether the answer should be given, with the reason."""
        films = f"{self.films} validation images"
        if self.threshold is None:
            return f"abstain: no confidence reached an error rate of {self.risk:.0%} on {films}"
        below = "below" if self.abstain else "at or above"
        verdict = "abstain" if self.abstain else "answer"
        return (
            f"{verdict}: confidence {self.confidence:.2f} is {below} {self.threshold:.2f}, the threshold for an error "
            f"rate of {self.risk:.0%} on {films}"
        )


HOLDS, FAILS = "holds", "does not hold"
_VERDICTS = (HOLDS, FAILS)
