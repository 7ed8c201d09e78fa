"""Maximum-likelihood fits of a temperature, and of temperature and bias, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matex.errors import InputError
from matex.trust.measures import Values, sigmoid, softmax

_LOW, _HIGH = 1e-6, 1e6  # inverse temperatures between which the likelihood is searched
_STEPS = 200


def fit_temperature(logits: ArrayLike, right: ArrayLike) -> float:
    """Temperature T of softmax(logits / T) with the highest likelihood of the right phrases.

    The log-likelihood is concave in 1 / T, so the root of its derivative is unique and found by bisection.

    Args:
        logits: [image, phrase].
        right: number of the right phrase of each image, [image].

    Raises:
        InputError: scores for which no finite, positive temperature exists: every right phrase has the highest score,
            or right phrases score no higher than the mean of all.

    Source:
        "On Calibration of Modern Neural Networks", arXiv:1706.04599, eq. 9.

    Examples:
        >>> round(fit_temperature([[2.0, 0.0]] * 3 + [[0.0, 2.0]], [0, 0, 0, 0]), 4)
        1.8205
    """
    values = np.asarray(logits, dtype=np.float64)
    numbers: NDArray[np.intp] = np.asarray(right, dtype=np.intp)
    own = values[np.arange(len(values)), numbers]

    def slope(inverse: float) -> float:
        """Derivative of the mean log-likelihood with respect to 1 / T."""
        return float((own - (softmax(inverse * values) * values).sum(axis=1)).mean())

    if (own >= values.max(axis=1)).all():
        raise InputError(
            "Expected validation pairs with some wrong answers, got none: any sharper temperature fits better. Add "
            "harder pairs."
        )
    if slope(_LOW) <= 0:
        raise InputError(
            "Expected right phrases to score above the mean of all phrases, got the contrary: no temperature makes "
            "such scores a confidence. Check the pairs and the model."
        )
    low, high = np.log(_LOW), np.log(_HIGH)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(float(np.exp(middle))) > 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def fit_temperature_and_bias(logits: ArrayLike, holds: ArrayLike) -> tuple[float, float]:
    """Temperature T and bias b of sigmoid(logit / T + b) with the highest likelihood, by Newton's method.

    Args:
        logits: of each pair, [pair].
        holds: 1 where the phrase holds for the image, 0 elsewhere, [pair].

    Raises:
        InputError: pairs of one kind alone, pairs that a threshold on the logit separates, or logits that are not
            higher where the phrase holds.

    Source:
        Platt, "Probabilistic outputs for support vector machines", 1999, without its smoothed targets.

    Examples:
        >>> temperature, bias = fit_temperature_and_bias([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0], [0, 0, 1, 1, 1, 0])
        >>> round(temperature, 4), round(bias, 4)
        (1.4427, 0.0)
    """
    values, truth = np.asarray(logits, dtype=np.float64), np.asarray(holds, dtype=np.float64)
    _check_pairs(values, truth)
    centre, spread = values.mean(), values.std()
    design = np.stack([(values - centre) / spread, np.ones_like(values)], axis=1)
    weights = np.zeros(2)
    for _ in range(_STEPS):
        likely = sigmoid(design @ weights)
        gradient = design.T @ (truth - likely)
        curvature = (design * (likely * (1 - likely))[:, None]).T @ design
        step = np.linalg.solve(curvature, gradient)
        while _likelihood(design @ (weights + step), truth) < _likelihood(design @ weights, truth) - 1e-12:
            step /= 2
        weights = weights + step
        if np.abs(step).max() < 1e-13 * max(1.0, float(np.abs(weights).max())):
            break
    slope = float(weights[0] / spread)
    if slope <= 0:
        raise InputError(
            "Expected higher scores where the phrase holds, got the contrary: no temperature makes such scores a "
            "confidence. Check the pairs and the model."
        )
    return 1 / slope, float(weights[1] - slope * centre)


def _likelihood(logits: Values, truth: Values) -> float:
    """Log-likelihood of events [pair]."""
    return float((truth * logits - np.logaddexp(0, logits)).sum())


def _check_pairs(values: Values, truth: Values) -> None:
    """Refuse pairs whose likelihood has no maximum.

    Raises:
        InputError: see `fit_temperature_and_bias`.
    """
    held, failed = values[truth == 1], values[truth == 0]
    if not len(held) or not len(failed):
        raise InputError("Expected pairs that hold and pairs that do not, got one kind alone. Add other phrases.")
    if held.min() >= failed.max() or held.max() <= failed.min():
        raise InputError(
            "Expected validation pairs with some wrong answers, got a score that separates all of them: any sharper "
            "temperature fits better. Add harder pairs."
        )
