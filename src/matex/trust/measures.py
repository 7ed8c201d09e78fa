"""Measures of confidence: calibration error, Brier score, risk-coverage curve, and a threshold for abstention."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matex.checks import check, count
from matex.errors import InputError

Values = NDArray[np.float64]
Binning = Literal["equal-width", "equal-mass"]
BINS = 15
"""Bins of "On Calibration of Modern Neural Networks", sec. 2."""


class Bin(NamedTuple):
    """Answers of similar confidence.

    Args:
        confidence: mean confidence.
        accuracy: share of right answers.
        answers: number of answers.
    """

    confidence: float
    accuracy: float
    answers: int


class OperatingPoint(NamedTuple):
    """A threshold on the confidence and what it gave on the images that it was chosen on.

    Args:
        threshold: answers of at least this confidence are given; None where no threshold reaches the wanted risk.
        coverage: share of the images that get an answer.
        risk: share of wrong answers among those given; NaN without any.
        risk_bound: upper end of the one-sided 95 % interval of that risk; NaN without any.
    """

    threshold: float | None
    coverage: float
    risk: float
    risk_bound: float


def softmax(logits: ArrayLike) -> Values:
    """Probabilities of logits [image, phrase] over the phrases, [image, phrase]."""
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: ArrayLike) -> Values:
    """Probabilities of logits of any shape, without overflow."""
    values = np.asarray(logits, dtype=np.float64)
    smaller = np.exp(-np.abs(values))
    return np.where(values < 0, smaller, 1.0) / (1 + smaller)


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, by: Binning = "equal-width") -> list[Bin]:
    """Confidence and accuracy of answers in bins of similar confidence; empty bins are left out.

    Args:
        confidence: of each answer, in [0, 1].
        correct: whether each answer is right.
        bins: how many at most.
        by: "equal-width" bins (low, high] of [0, 1], 0 in the first; "equal-mass" bins of as many answers each, the
            first ones one larger where they do not divide evenly. Equal confidences may fall into two such bins.

    Raises:
        InputError: no answers, different numbers of both, or confidences outside [0, 1].

    Examples:
        >>> [tuple(one) for one in reliability([0.9, 0.8, 0.4], [True, False, False], bins=2)]
        [(0.4, 0.0, 1), (0.8500000000000001, 0.5, 2)]
    """
    sure, right = _answers(confidence, correct)
    count(bins, "bins")
    if by == "equal-width":
        number = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
        groups = [np.flatnonzero(number == one) for one in range(bins)]
    else:
        groups = np.array_split(np.argsort(sure, kind="stable"), bins)
    return [Bin(float(sure[some].mean()), float(right[some].mean()), len(some)) for some in groups if len(some)]


def calibration_error(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, by: Binning = "equal-width"
) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over the bins, weighted by their answers.

    It is biased upwards: finite bins of a perfectly calibrated model differ by chance.

    Args:
        confidence, correct, bins, by: see `reliability`.

    Source:
        "On Calibration of Modern Neural Networks", arXiv:1706.04599, eq. 3 (equal width);
        "Measuring Calibration in Deep Learning", arXiv:1904.01685 (equal mass).

    Examples:
        >>> round(calibration_error([0.9, 0.8, 0.4], [True, False, False], bins=2), 3)
        0.367
    """
    found = reliability(confidence, correct, bins, by)
    answers = sum(one.answers for one in found)
    return sum(one.answers * abs(one.accuracy - one.confidence) for one in found) / answers


def debiased_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """Root mean square calibration error over equal-mass bins, without the share that chance contributes.

    The variance of a bin's accuracy, accuracy (1 - accuracy) / (answers - 1), is subtracted from its squared error;
    a sum below zero counts as 0. NaN where a bin has fewer than two answers.

    Args:
        confidence, correct, bins: see `reliability`.

    Source:
        "Verified Uncertainty Calibration", arXiv:1909.10155, definition 5.1.
    """
    found = reliability(confidence, correct, bins, "equal-mass")
    if min(one.answers for one in found) < 2:
        return math.nan
    answers = sum(one.answers for one in found)
    squares = [
        one.answers
        / answers
        * ((one.accuracy - one.confidence) ** 2 - one.accuracy * (1 - one.accuracy) / (one.answers - 1))
        for one in found
    ]
    return math.sqrt(max(sum(squares), 0.0))


def brier(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean squared error of probabilities.

    Args:
        probabilities: of each phrase on each image [image, phrase], rows summing to 1; or of single events [event].
        truth: 1 where the phrase is the right one or the event occurred, 0 elsewhere, of the same shape.

    Returns:
        Summed over the phrases, from 0 to 2; of single events from 0 to 1.

    Source:
        Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.
    """
    given, there = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    squares = (given - there) ** 2
    return float(squares.mean() if squares.ndim == 1 else squares.sum(axis=-1).mean())


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> tuple[Values, Values]:
    """Coverage and selective risk as answers are given in order of falling confidence.

    Args:
        confidence, correct: see `reliability`. Answers of equal confidence count as in random order: the risk is its
            expectation.

    Returns:
        Shares of the images that get an answer, 1/n to 1, and the share of wrong answers among those, both [answer].

    Source:
        "Selective Classification for Deep Neural Networks", arXiv:1705.08500, sec. 2.
    """
    sure, right = _answers(confidence, correct)
    order = np.argsort(-sure, kind="stable")
    wrong = 1.0 - right[order]
    _, first, counts = np.unique(-sure[order], return_index=True, return_counts=True)
    means = np.add.reduceat(wrong, first) / counts
    number = np.arange(1, len(sure) + 1)
    return number / len(sure), np.cumsum(np.repeat(means, counts)) / number


def area_under_risk(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve (AURC): mean selective risk over all coverages; lower is better.

    A confidence that tells nothing gives the error rate.

    Source:
        "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", arXiv:1805.08206, sec. 3.

    Examples:
        >>> area_under_risk([0.9, 0.8], [True, False])
        0.25
    """
    return float(risk_coverage(confidence, correct)[1].mean())


def threshold_for(confidence: ArrayLike, correct: ArrayLike, risk: float) -> OperatingPoint:
    """The lowest confidence from which at most a wanted share of the answers is wrong.

    Args:
        confidence, correct: see `reliability`.
        risk: wanted share of wrong answers among those given, in (0, 1).

    Examples:
        >>> threshold_for([0.9, 0.8, 0.7], [True, True, False], risk=0.1)[:3]
        (0.8, 0.6666666666666666, 0.0)
    """
    sure, right = _answers(confidence, correct)
    check(0 < risk < 1, "risk", "between 0 and 1, such as 0.05", risk)
    best = OperatingPoint(None, 0.0, math.nan, math.nan)
    for level in np.unique(sure):
        given = right[sure >= level]
        wrong = int(len(given) - given.sum())
        if wrong <= risk * len(given):
            bound = binomial_bound(wrong, len(given))
            best = OperatingPoint(float(level), len(given) / len(sure), wrong / len(given), bound)
            break
    return best


def binomial_bound(events: int, trials: int, level: float = 0.95) -> float:
    """Upper end of the one-sided Clopper-Pearson interval of a share.

    Source:
        Clopper and Pearson, Biometrika 26, 1934.

    Examples:
        >>> round(binomial_bound(0, 59), 4)
        0.0495
    """
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(events, trials, middle) > 1 - level else (low, middle)
    return high


def _at_most(events: int, trials: int, share: float) -> float:
    """Probability of at most so many events, each trial having one with this probability in (0, 1)."""
    number = np.arange(events + 1)
    ways = [math.lgamma(trials + 1) - math.lgamma(one + 1) - math.lgamma(trials - one + 1) for one in range(events + 1)]
    return float(np.exp(np.array(ways) + number * math.log(share) + (trials - number) * math.log1p(-share)).sum())


def _answers(confidence: ArrayLike, correct: ArrayLike) -> tuple[Values, Values]:
    """Confidences and whether the answers are right, as float64 [answer].

    Raises:
        InputError: no answers, different numbers of both, or confidences outside [0, 1].
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != right.shape or not len(sure):
        raise InputError(
            f"Expected a confidence and a truth for each answer, got shapes {sure.shape} and {right.shape}."
        )
    check(bool(((sure >= 0) & (sure <= 1)).all()), "confidence", "from 0 to 1", sure.tolist())
    return sure, right
