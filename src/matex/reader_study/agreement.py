"""Agreement of readers on an ordered scale: weighted kappa, intraclass correlation, Krippendorff's alpha."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matex.checks import check
from matex.errors import InputError, MissingExtra

Values = NDArray[np.float64]
Weights = Literal["linear", "quadratic"]
RESAMPLES = 2000


class Agreement(NamedTuple):
    """A statistic with its 95 % interval.

    Args:
        value: NaN where undefined.
        low: lower end; NaN likewise.
        high: upper end.
        cases: number of cases that it rests on.
    """

    value: float
    low: float
    high: float
    cases: int


def weighted_kappa(first: ArrayLike, second: ArrayLike, weights: Weights = "quadratic") -> float:
    """Cohen's kappa of two sequences of ratings, disagreements weighted by their distance on the scale.

    Args:
        first, second: ratings of the same cases, whole numbers [case].
        weights: "linear", the distance, or "quadratic", its square.

    Returns:
        1 for equal ratings, 0 for agreement as by chance, below 0 for less; NaN without cases, or where both readers
        give one and the same rating throughout.

    Source:
        Cohen, "Weighted kappa", Psychological Bulletin 70, 1968.

    Examples:
        >>> round(weighted_kappa([1, 2, 3, 4], [1, 2, 3, 3]), 3)
        0.875
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise InputError(f"Expected two ratings of each case, got shapes {one.shape} and {other.shape}.")
    power = 1 if weights == "linear" else 2
    if not len(one):
        return math.nan
    observed = (np.abs(one - other) ** power).mean()
    expected = (np.abs(one[:, None] - other[None, :]) ** power).mean()
    return float(1 - observed / expected) if expected > 0 else math.nan


class IntraclassCorrelation(NamedTuple):
    """Two-way intraclass correlations of single ratings.

    Args:
        agreement: ICC(2,1), absolute agreement of readers who stand for all readers.
        consistency: ICC(3,1), consistency of these readers; constant offsets between them do not count.
    """

    agreement: Agreement
    consistency: Agreement


def intraclass_correlation(ratings: ArrayLike, level: float = 0.95) -> IntraclassCorrelation:
    """ICC(2,1) and ICC(3,1) with their intervals, from a two-way analysis of variance.

    Args:
        ratings: [case, reader], without gaps.
        level: of the intervals.

    Returns:
        NaN with fewer than two cases or readers, or without any variance.

    Raises:
        MissingExtra: scipy is not installed.

    Source:
        Shrout and Fleiss, "Intraclass correlations", Psychological Bulletin 86, 1979.

    Examples:
        >>> found = intraclass_correlation([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9],
        ...                                 [6, 2, 4, 7]])
        >>> round(found.agreement.value, 2), round(found.consistency.value, 2)
        (0.29, 0.71)
    """
    values = np.asarray(ratings, dtype=np.float64)
    check(0 < level < 1, "level", "between 0 and 1, such as 0.95", level)
    if values.ndim != 2 or np.isnan(values).any():
        raise InputError(f"Expected ratings [case, reader] without gaps, got shape {values.shape}.")
    cases, readers = values.shape
    undefined = Agreement(math.nan, math.nan, math.nan, cases)
    if min(cases, readers) < 2 or np.ptp(values) == 0:
        return IntraclassCorrelation(undefined, undefined)
    mean = values.mean()
    rows = readers * ((values.mean(axis=1) - mean) ** 2).sum() / (cases - 1)
    columns = cases * ((values.mean(axis=0) - mean) ** 2).sum() / (readers - 1)
    residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + mean
    error = (residual**2).sum() / ((cases - 1) * (readers - 1))
    squares = (float(rows), float(columns), float(error))
    return IntraclassCorrelation(
        _agreement(*squares, cases, readers, level), _consistency(*squares, cases, readers, level)
    )


def _agreement(rows: float, columns: float, error: float, cases: int, readers: int, level: float) -> Agreement:
    """ICC(2,1) from the mean squares of cases, readers and residuals."""
    spread = readers * columns + (readers * cases - readers - cases) * error
    value = cases * (rows - error) / (spread + cases * rows)
    if error == 0:
        return Agreement(value, math.nan, math.nan, cases)
    ratio = columns / error
    inner = cases * (1 + (readers - 1) * value) - readers * value
    top = (readers - 1) * (cases - 1) * (readers * value * ratio + inner) ** 2
    freedom = top / ((cases - 1) * (readers * value * ratio) ** 2 + inner**2)
    upper, lower = _quantile(level, cases - 1, freedom), _quantile(level, freedom, cases - 1)
    low = cases * (rows - upper * error) / (upper * spread + cases * rows)
    high = cases * (lower * rows - error) / (spread + cases * lower * rows)
    return Agreement(value, low, high, cases)


def _consistency(rows: float, columns: float, error: float, cases: int, readers: int, level: float) -> Agreement:
    """ICC(3,1) from the mean squares; that of the readers does not enter."""
    value = (rows - error) / (rows + (readers - 1) * error)
    if error == 0:
        return Agreement(value, math.nan, math.nan, cases)
    ratio, freedom = rows / error, (cases - 1) * (readers - 1)
    low, high = ratio / _quantile(level, cases - 1, freedom), ratio * _quantile(level, freedom, cases - 1)
    return Agreement(value, (low - 1) / (low + readers - 1), (high - 1) / (high + readers - 1), cases)


def _quantile(level: float, first: float, second: float) -> float:
    """Quantile of the F distribution for a two-sided interval.

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        stats: object = importlib.import_module("scipy.stats")
    except ImportError:
        raise MissingExtra("Intraclass correlations need scipy: pip install 'matex[benchmark]'") from None
    return float(stats.f.ppf((1 + level) / 2, first, second))


def krippendorff_alpha(ratings: ArrayLike, metric: Literal["ordinal", "interval"] = "ordinal") -> float:
    """Krippendorff's alpha of any number of readers, who may have left out cases.

    Args:
        ratings: [case, reader], NaN where a reader gave none; cases with fewer than two ratings do not count.
        metric: "ordinal" counts the ratings between two categories, "interval" the squared difference.

    Returns:
        1 for equal ratings, 0 as by chance; NaN without pairs of ratings, or where all ratings are equal.

    Source:
        Krippendorff, "Computing Krippendorff's alpha-reliability", 2011, section on ordinal and interval data.
    """
    values = np.asarray(ratings, dtype=np.float64)
    categories = np.unique(values[~np.isnan(values)])
    if not len(categories):
        return math.nan
    counts = np.stack([(values == one).sum(axis=1) for one in categories], axis=1).astype(np.float64)
    counts = counts[counts.sum(axis=1) >= 2]  # [case, category]
    if not len(counts):
        return math.nan
    pairable = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(categories))
    coincidences = (pairs / (pairable - 1)[:, None, None]).sum(axis=0)
    totals = coincidences.sum(axis=0)
    distance = _distances(categories, totals, metric)
    expected = np.outer(totals, totals) - np.diag(totals)
    disagreement = (expected * distance).sum() / (totals.sum() - 1)
    return float(1 - (coincidences * distance).sum() / disagreement) if disagreement > 0 else math.nan


def _distances(categories: Values, totals: Values, metric: Literal["ordinal", "interval"]) -> Values:
    """Squared distances of categories, [category, category]."""
    if metric == "interval":
        return (categories[:, None] - categories[None, :]) ** 2
    below = np.cumsum(totals) - totals / 2
    return (below[:, None] - below[None, :]) ** 2


def with_interval(statistic: Callable[[Values], float], ratings: ArrayLike, seed: int = 0) -> Agreement:
    """A statistic of ratings [case, reader] with its percentile bootstrap interval over cases.

    Resamples where it is undefined are left out; NaN with fewer than ten cases.
    """
    values = np.asarray(ratings, dtype=np.float64)
    if len(values) < 10:
        return Agreement(statistic(values), math.nan, math.nan, len(values))
    random = np.random.default_rng(seed)
    found = [statistic(values[random.integers(0, len(values), len(values))]) for _ in range(RESAMPLES)]
    if np.isnan(found).all():
        return Agreement(statistic(values), math.nan, math.nan, len(values))
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Agreement(statistic(values), float(low), float(high), len(values))
