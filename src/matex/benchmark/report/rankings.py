"""Do methods rank alike on other models? Rank correlation, critical differences and effects over models.

A difference between two methods on one model says little about the next model. These statistics treat the model as
drawn from a population, like the film and the finding. All need scipy (extra `benchmark`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize as _optimize
from scipy import stats as _stats

from matex.metrics.statistics import RESAMPLES, Values, check_interval

stats: Any = _stats  # scipy has no types
optimize: Any = _optimize

_LEAST_RESIDUAL = 1e-4
"""Lower bound of the residual variance, as a share of the variance of the values. Without it, values that the effects
explain without residual would have no maximum of the likelihood, and an interval that is too narrow."""


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's tau-b between the rankings of the same methods on two models.

    Args:
        tau: of the methods' means; NaN where a model ranks all methods alike.
        low: lower end of its bootstrap interval over films.
        high: upper end.
    """

    tau: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods over blocks, with Friedman's test and the Nemenyi critical difference.

    Args:
        means: mean rank of each method, 1 is best [method].
        p: of Friedman's test that all methods rank alike; NaN with fewer than three methods or two blocks, 1 where all
            ranks are equal.
        critical: mean ranks that lie closer than this do not differ at the chosen level.
        groups: the largest runs of methods, best first, of which no two differ; indices into `means`.
    """

    means: Values
    p: float
    critical: float
    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class MixedEffect:
    """Mean of a difference over random films, findings and models.

    Args:
        mean: generalised least squares estimate.
        low: lower end of the interval, Student's t with one degree of freedom fewer than models.
        high: upper end.
        deviations: standard deviation of each random effect by name, and of the "residual".
    """

    mean: float
    low: float
    high: float
    deviations: dict[str, float]


def rank_agreement(
    first: ArrayLike,
    second: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES // 10,
    seed: int = 0,
) -> RankAgreement:
    """Agreement of two models' rankings of the same methods on the same samples.

    Args:
        first, second: [method, sample], NaN where undefined.
        clusters: film of each sample; films are resampled, the same ones for both models.
        level: of the interval.
        resamples: how many.
        seed: of the resampling.

    Raises:
        InputError: a level outside of (0, 1), or no resamples.
        ValueError: other shapes, or fewer than two methods.

    Source:
        Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945 (tau-b).
    """
    check_interval(level, resamples)
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 2 or one.shape != other.shape or len(one) < 2 or one.shape[1] != len(clusters):
        raise ValueError(
            f"Expected two arrays [method, sample] of two methods or more and a cluster for each sample, "
            f"got {one.shape}, {other.shape} and {len(clusters)} clusters."
        )
    (sums, counts), (other_sums, other_counts) = (_cluster_sums(values, clusters) for values in (one, other))
    pairs = ((sums, counts), (other_sums, other_counts))
    random = np.random.default_rng(seed)
    films = int(sums.shape[1])
    chosen: list[NDArray[np.int64]] = [random.integers(0, films, size=films) for _ in range(resamples)]
    with np.errstate(invalid="ignore"):  # a method without a value has no mean
        tau, *taus = [
            _tau(*(total[:, some].sum(1) / count[:, some].sum(1) for total, count in pairs))
            for some in (np.arange(films), *chosen)
        ]
    tails = (1 - level) / 2, (1 + level) / 2
    low, high = np.nanquantile(taus, tails) if np.isfinite(taus).any() else (math.nan, math.nan)
    return RankAgreement(tau, float(low), float(high))


def rank_methods(values: ArrayLike, better: Sequence[bool], *, level: float = 0.95) -> Ranks:
    """Rank methods within each block and average the ranks.

    Args:
        values: [block, method]; a block is a measure of a setting on a model. Blocks with NaN are left out.
        better: for each block, whether a larger value is better.
        level: of the critical difference.

    Raises:
        InputError: a level outside of (0, 1).
        ValueError: other shapes, or fewer than two methods.

    Source:
        Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006, section 3.2.2: blocks
        are taken to be independent. Measures of one model are not, so the critical difference is too small; it is
        a reading aid.
    """
    check_interval(level, resamples=1)
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or len(table) != len(better):
        raise ValueError(f"Expected [block, method] of two methods or more, got {table.shape} and {len(better)} signs.")
    signed = np.where(np.asarray(better)[:, None], -table, table)
    ranks: Values = stats.rankdata(signed[~np.isnan(signed).any(axis=1)], axis=1)
    blocks, methods = int(ranks.shape[0]), int(ranks.shape[1])
    means: Values = np.asarray(ranks.mean(axis=0)) if blocks else np.full(methods, np.nan)
    p = _friedman(ranks) if methods > 2 and blocks > 1 else math.nan
    quantile = float(stats.studentized_range.ppf(level, methods, np.inf)) / math.sqrt(2)
    critical = quantile * math.sqrt(methods * (methods + 1) / (6 * blocks)) if blocks else math.inf
    return Ranks(means, p, critical, _groups(means, critical))


def mixed_effect(values: ArrayLike, effects: Mapping[str, Sequence[Hashable]], *, over: str = "model") -> MixedEffect:
    """Mean of a value with crossed random effects, estimated by restricted maximum likelihood.

    `value = mean + effect of the film + effect of the finding + effect of the model + residual`, effects and residual
    normal and independent. With few models the interval is wide, as it should be.

    Args:
        values: one per observation, such as the difference of two methods on a film of a model; NaN are left out.
        effects: level of each observation by name of the effect, such as {"film": ..., "finding": ..., "model": ...}.
        over: the effect whose number of levels gives the interval's degrees of freedom.

    Raises:
        ValueError: lengths differ, or fewer than two levels of `over`.

    Source:
        Patterson and Thompson, "Recovery of inter-block information when block sizes are unequal", Biometrika 58,
        1971. The degrees of freedom are the conservative choice.
    """
    y = np.asarray(values, dtype=np.float64)
    if any(len(levels) != len(y) for levels in effects.values()):
        raise ValueError(f"Expected a level of every effect for each of {len(y)} values.")
    defined = ~np.isnan(y)
    y = y[defined]
    names = list(effects)
    indicators = [_indicators([one for one, use in zip(effects[name], defined, strict=True) if use]) for name in names]
    levels = {name: matrix.shape[1] for name, matrix in zip(names, indicators, strict=True)}
    if levels[over] < 2:
        raise ValueError(f"Expected two levels of {over!r} or more, got {levels[over]}.")
    scale = float(y.std())
    if scale <= 1e-12 * np.abs(y).max():  # equal but for rounding
        return MixedEffect(float(y[0]), float(y[0]), float(y[0]), dict.fromkeys([*names, "residual"], 0.0))
    likelihood = _Likelihood(y / scale, indicators)
    start = np.full(len(names), math.log(0.1))
    best: Values = optimize.minimize(
        likelihood.deviance, start, method="L-BFGS-B", bounds=[(-16.0, 14.0)] * len(names)
    ).x
    mean, error, residual = likelihood.estimate(best)
    half = float(stats.t.ppf(0.975, levels[over] - 1)) * error * scale
    ratios = np.exp(best)
    deviations = {name: scale * math.sqrt(residual * ratio) for name, ratio in zip(names, ratios, strict=True)}
    return MixedEffect(
        mean * scale,
        mean * scale - half,
        mean * scale + half,
        deviations | {"residual": scale * math.sqrt(residual)},
    )


class _Likelihood:
    """Profiled restricted likelihood of `y = mean + Z u + e`, with the variances of u relative to that of e.

    By Woodbury's identity only products with the columns of Z are needed, never a matrix of observations.
    """

    def __init__(self, y: Values, indicators: Sequence[Values]) -> None:
        z = np.concatenate(indicators, axis=1)
        self._groups = np.repeat(np.arange(len(indicators)), [one.shape[1] for one in indicators])
        self._zz, self._z1, self._zy = z.T @ z, z.sum(axis=0), z.T @ y
        self._count, self._y1, self._yy = len(y), float(y.sum()), float(y @ y)

    def _solve(self, log_ratios: Values) -> tuple[float, float, float, float]:
        """1' V^-1 1, 1' V^-1 y, y' V^-1 y and log det V, with V = I + Z D Z'."""
        root = np.exp(log_ratios / 2)[self._groups]
        inner = np.eye(len(root)) + root[:, None] * self._zz * root
        lower = np.linalg.cholesky(inner)
        one, y = (np.linalg.solve(lower, root * vector) for vector in (self._z1, self._zy))
        return (
            self._count - float(one @ one),
            self._y1 - float(one @ y),
            self._yy - float(y @ y),
            2 * float(np.log(np.diag(lower)).sum()),
        )

    def deviance(self, log_ratios: Values) -> float:
        """-2 log restricted likelihood, the residual variance profiled out, constants left out."""
        a, b, c, log_determinant = self._solve(log_ratios)
        squares, freedom = c - b * b / a, self._count - 1
        residual = max(squares / freedom, _LEAST_RESIDUAL)
        return log_determinant + math.log(a) + freedom * math.log(residual) + squares / residual

    def estimate(self, log_ratios: Values) -> tuple[float, float, float]:
        """Mean, its standard error, and the residual variance."""
        a, b, c, _ = self._solve(log_ratios)
        residual = max((c - b * b / a) / (self._count - 1), _LEAST_RESIDUAL)
        return b / a, math.sqrt(residual / a), residual


def _indicators(levels: Sequence[Hashable]) -> Values:
    """[observation, level] of zeros and ones."""
    number = {level: i for i, level in enumerate(dict.fromkeys(levels))}
    return np.eye(len(number))[[number[level] for level in levels]]


def _cluster_sums(values: Values, clusters: Sequence[Hashable]) -> tuple[Values, Values]:
    """Sum and number of the defined values, each [method, cluster]."""
    member = _indicators(clusters)
    defined = ~np.isnan(values)
    return np.where(defined, values, 0) @ member, defined @ member


def _tau(first: Values, second: Values) -> float:
    defined = ~(np.isnan(first) | np.isnan(second))
    if defined.sum() < 2:
        return math.nan
    return float(stats.kendalltau(first[defined], second[defined]).statistic)


def _friedman(ranks: Values) -> float:
    return 1.0 if np.ptp(ranks) == 0 else float(stats.friedmanchisquare(*ranks.T).pvalue)


def _groups(means: NDArray[np.float64], critical: float) -> tuple[tuple[int, ...], ...]:
    """Maximal runs of methods in order of rank whose ends lie closer than the critical difference."""
    if np.isnan(means).any():
        return ()
    order = [int(i) for i in np.argsort(means, kind="stable")]
    ends = [
        max(j for j in range(i, len(order)) if means[order[j]] - means[order[i]] < critical) for i in range(len(order))
    ]
    starts = [0, *(i for i, (before, after) in enumerate(pairwise(ends), start=1) if after > before)]
    return tuple(tuple(order[i : ends[i] + 1]) for i in starts)
