"""Intervals and tests with loops and full enumeration."""

import itertools
import math
from statistics import NormalDist

import numpy as np


def mean_of(clusters):
    values = [value for cluster in clusters for value in cluster]
    return sum(values) / len(values)


def bca(clusters, draws, level=0.95):
    """Ends of the interval of the mean; clusters: lists of values; draws: which clusters each resample holds."""
    normal = NormalDist()
    whole = mean_of(clusters)
    means = sorted(mean_of([clusters[i] for i in draw]) for draw in draws)
    below = sum(0.5 if math.isclose(mean, whole, rel_tol=1e-11) else float(mean < whole) for mean in means) / len(means)
    bias = normal.inv_cdf(below)
    without = [mean_of(clusters[:i] + clusters[i + 1 :]) for i in range(len(clusters))]
    middle = sum(without) / len(without)
    skew = sum((middle - one) ** 3 for one in without)
    spread = sum((middle - one) ** 2 for one in without)
    acceleration = skew / (6 * spread**1.5)
    ends = []
    for tail in ((1 - level) / 2, 1 - (1 - level) / 2):
        z = bias + normal.inv_cdf(tail)
        place = normal.cdf(bias + z / (1 - acceleration * z)) * (len(means) - 1)
        low = math.floor(place)
        high = min(low + 1, len(means) - 1)
        ends.append(means[low] + (place - low) * (means[high] - means[low]))
    return ends


def signed_rank(differences):
    """Two-sided p-value over all ways to flip the signs; no zeros."""
    sizes = sorted(abs(d) for d in differences)
    rank = {size: np.mean([i + 1 for i, other in enumerate(sizes) if other == size]) for size in sizes}
    ranks = [rank[abs(d)] for d in differences]
    middle = sum(ranks) / 2
    seen = abs(sum(r for r, d in zip(ranks, differences, strict=True) if d > 0) - middle)
    all_sums = [
        sum(r for r, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((False, True), repeat=len(ranks))
    ]
    return sum(abs(total - middle) >= seen - 1e-9 for total in all_sums) / len(all_sums)


def holm(p_values):
    """Step down: the smallest times n, the next times n - 1, never below one before it, never above 1."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for step, i in enumerate(order):
        largest = max(largest, (len(p_values) - step) * p_values[i])
        corrected[i] = min(1.0, largest)
    return corrected


def tau_b(first, second):
    """Kendall's tau-b by counting pairs; NaN where one side ranks all alike. Pairs with NaN are left out."""
    known = [(a, b) for a, b in zip(first, second, strict=True) if not (math.isnan(a) or math.isnan(b))]
    concordant = ties_first = ties_second = 0
    pairs = list(itertools.combinations(known, 2))
    for (a, b), (c, d) in pairs:
        concordant += np.sign(a - c) * np.sign(b - d)
        ties_first += a == c
        ties_second += b == d
    scale = math.sqrt((len(pairs) - ties_first) * (len(pairs) - ties_second))
    return concordant / scale if scale else math.nan


def rank_agreement(first, second, films, draws):
    """Tau-b of the methods' means and its percentile interval; draws: which films each resample holds."""
    names = list(dict.fromkeys(films))

    def mean(row, chosen):
        values = [v for film in chosen for v, of in zip(row, films, strict=True) if of == names[film] and v == v]
        return sum(values) / len(values) if values else math.nan

    def tau(chosen):
        return tau_b([mean(row, chosen) for row in first], [mean(row, chosen) for row in second])

    taus = sorted(one for one in (tau(chosen) for chosen in draws) if one == one)
    ends = []
    for tail in (0.025, 0.975):
        place = tail * (len(taus) - 1)
        low = math.floor(place)
        high = min(low + 1, len(taus) - 1)
        ends.append(taus[low] + (place - low) * (taus[high] - taus[low]))
    return tau(range(len(names))), *ends


def restricted_likelihood(y, effects, variances, residual):
    """-2 log REML of crossed random effects with dense matrices, and the estimate of the mean with its error."""
    covariance = residual * np.eye(len(y))
    for levels, variance in zip(effects, variances, strict=True):
        covariance += variance * np.array([[float(a == b) for a in levels] for b in levels])
    inverse = np.linalg.inv(covariance)
    one = np.ones(len(y))
    information = one @ inverse @ one
    mean = one @ inverse @ y / information
    away = y - mean
    deviance = np.linalg.slogdet(covariance)[1] + math.log(information) + away @ inverse @ away
    return deviance, mean, 1 / math.sqrt(information)
