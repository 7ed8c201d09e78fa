"""Confidence measures and fits with loops, straight from their papers."""

import itertools
import math

import numpy as np
from scipy.optimize import minimize, minimize_scalar


def softmax(row):
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


def temperature(logits, right):
    """The minimum of the negative log-likelihood over log T by Brent's method."""

    def loss(log_temperature):
        scaled = [[value / math.exp(log_temperature) for value in row] for row in logits]
        return -sum(math.log(softmax(row)[own]) for row, own in zip(scaled, right, strict=True))

    return math.exp(minimize_scalar(loss, bounds=(-8, 8), method="bounded", options={"xatol": 1e-12}).x)


def temperature_and_bias(logits, holds):
    """The minimum of the negative log-likelihood of single events."""

    def loss(parameters):
        slope, bias = parameters
        total = 0.0
        for value, truth in zip(logits, holds, strict=True):
            z = slope * value + bias
            total += math.log1p(math.exp(-z)) if truth else math.log1p(math.exp(z))
        return total

    slope, bias = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-11, "fatol": 1e-15}).x
    return 1 / slope, bias


def calibration_error(confidence, correct, bins):
    """arXiv:1706.04599, eq. 3: bins ((m - 1) / M, m / M]."""
    total = 0.0
    for m in range(1, bins + 1):
        inside = [i for i, value in enumerate(confidence) if (m - 1) / bins < value <= m / bins]
        if inside:
            accuracy = sum(correct[i] for i in inside) / len(inside)
            mean = sum(confidence[i] for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


def debiased(confidence, correct, bins):
    """arXiv:1909.10155, definition 5.1, over bins of equal mass."""
    pairs = sorted(zip(confidence, correct, strict=True), key=lambda pair: pair[0])
    sizes = [len(pairs) // bins + (number < len(pairs) % bins) for number in range(bins)]
    total, start = 0.0, 0
    for size in sizes:
        some = pairs[start : start + size]
        start += size
        mean, share = sum(one[0] for one in some) / size, sum(one[1] for one in some) / size
        total += size / len(pairs) * ((mean - share) ** 2 - share * (1 - share) / (size - 1))
    return math.sqrt(max(total, 0.0))


def area_under_risk(confidence, correct):
    """Mean over all orders of equal confidences of the mean selective risk."""
    areas = []
    for order in itertools.permutations(range(len(confidence))):
        if any(confidence[a] < confidence[b] for a, b in itertools.pairwise(order)):
            continue
        risks = [sum(1 - correct[i] for i in order[:n]) / n for n in range(1, len(order) + 1)]
        areas.append(sum(risks) / len(risks))
    return sum(areas) / len(areas)


def area_under_roc(values, positive):
    pairs = [(a, b) for a, is_one in zip(values, positive, strict=True) if is_one
             for b, is_other in zip(values, positive, strict=True) if not is_other]  # fmt: skip
    return float(np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs]))
