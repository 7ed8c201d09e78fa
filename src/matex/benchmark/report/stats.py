"""Statistics of a report, apart from how they are printed.

Means with intervals, paired tests, the best control of a method, the best method of a column, and subgroups of samples.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.report.section import Better, Measure, Section
from matex.metrics.statistics import PairedComparison, Summary, compare_paired, holm, summarise, thirds
from matex.phrases.specialised import phrase_vocabulary

RESAMPLES = 2000
SIGNIFICANT = 0.05  # after correction
LEVELS = 8  # integers of more different values are cut into thirds, as fractions are; twice as many words are left out
EXCHANGED = "(exchanged side)"  # how the labels of that control end
Subset = tuple[str, NDArray[np.bool_]]  # name, and which samples it holds


@dataclass(frozen=True)
class Estimate:
    """Mean of a method by one measure.

    Args:
        summary: mean with its interval.
        repetitions: seeds, or repetitions of a dataset-level metric; 1 where the method is deterministic.
        spread: standard deviation over the means of the seeds; NaN with fewer than two.
        method: label.
        measure: what was measured.
    """

    summary: Summary
    repetitions: int
    spread: float
    method: str
    measure: Measure


@dataclass(frozen=True)
class Difference:
    """Paired difference between two methods on the same samples.

    Args:
        comparison: first minus second.
        p: corrected after Holm for the tests of the same table column or matrix.
        first: label.
        second: label.
        measure: what was measured.
        favours: which method is better where p is below 0.05; empty otherwise.
    """

    comparison: PairedComparison
    p: float
    first: str
    second: str
    measure: Measure
    favours: Literal["first", "second", ""]


class SectionStats:
    """Means, intervals and tests of a section, each computed once."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self._estimates: dict[tuple[str, str, str, str], Estimate] = {}
        self._comparisons: dict[tuple[str, str, str, str], PairedComparison] = {}

    def estimate(self, method: str, measure: Measure, subset: Subset | None = None) -> Estimate | None:
        """A method's mean, over all samples or over a named subset of them; None where it was not measured."""
        if not self.section.has(method, measure):
            return None
        key = (method, measure.metric, measure.column, subset[0] if subset else "")
        if key not in self._estimates:
            self._estimates[key] = self._estimated(method, measure, subset)
        return self._estimates[key]

    def _estimated(self, method: str, measure: Measure, subset: Subset | None) -> Estimate:
        section = self.section
        values = section.values(method, measure)
        clusters: Sequence[str] | None = None if measure.dataset_level else section.clusters
        if subset and clusters is not None:
            values = values[subset[1]]
            clusters = [cluster for cluster, chosen in zip(clusters, subset[1], strict=True) if chosen]
        summary = summarise(values, clusters, resamples=RESAMPLES)
        seeds = values if measure.dataset_level else section.seed_means(method, measure)
        spread = float(seeds.std(ddof=1)) if len(seeds) > 1 else math.nan
        return Estimate(summary, len(seeds), spread, method, measure)

    def mean(self, method: str, measure: Measure) -> float:
        """A method's mean over the samples where it is defined; NaN without any."""
        values = self.section.values(method, measure)
        return math.nan if np.isnan(values).all() else float(np.nanmean(values))

    def is_defined(self, measure: Measure) -> bool:
        """Whether any method has a finite mean."""
        return any(np.isfinite(self.mean(entry.label, measure)) for entry in self.section.methods)

    def compare(self, first: str, second: str, measure: Measure) -> PairedComparison:
        """First minus second on the samples that both have."""
        key = (first, second, measure.metric, measure.column)
        if key not in self._comparisons:
            section = self.section
            one, other = section.values(first, measure), section.values(second, measure)
            self._comparisons[key] = compare_paired(one, other, section.clusters, resamples=RESAMPLES)
        return self._comparisons[key]

    def best_control(self, method: str, measure: Measure) -> str | None:
        """The control, of its own and the shared ones, that comes closest to, or beats, a method by this measure.

        Not the exchanged side: a map that finds the finding in spite of a wrong word is no worse for it.
        """
        own = [entry for entry in self.section.controls_of(method) if not entry.label.endswith(EXCHANGED)]
        labels = [entry.label for entry in (*own, *self.section.shared)]
        ranked = self.best_first(labels, measure)
        return ranked[0] if ranked and not math.isnan(self.mean(ranked[0], measure)) else None

    def best_first(self, labels: Iterable[str], measure: Measure) -> list[str]:
        """Methods sorted by their means, best first, equal ones in the order given, undefined ones last."""
        sign = 1 if measure.better == "lower" else -1
        means = {label: sign * self.mean(label, measure) for label in labels}
        return sorted(means, key=lambda label: (math.isnan(means[label]), means[label]))


def compare_all(
    stats: SectionStats, tests: Sequence[tuple[str, str, Measure]], by: Literal["mean", "ranks"]
) -> dict[tuple[str, str, Measure], Difference]:
    """Paired differences with p-values corrected within each measure.

    Args:
        stats: of the section.
        tests: first, second, measure.
        by: "mean" for the bootstrap's p, "ranks" for Wilcoxon's, which has no least value where tests are many.
    """
    comparisons = {test: stats.compare(*test) for test in tests}
    found: dict[tuple[str, str, Measure], Difference] = {}
    for measure in dict.fromkeys(measure for _, _, measure in comparisons):
        keys = [key for key in comparisons if key[2] == measure]
        values = [comparisons[key].p_bootstrap if by == "mean" else comparisons[key].p_wilcoxon for key in keys]
        for key, p in zip(keys, holm(values), strict=True):
            first, second, _ = key
            better = favoured(comparisons[key].difference, measure.better) if p < SIGNIFICANT else ""
            found[key] = Difference(comparisons[key], float(p), first, second, measure, better)
    return found


def favoured(difference: float, better: Better) -> Literal["first", "second", ""]:
    """The method favoured by a difference, first minus second; empty where no direction is better."""
    if better == "neither" or difference == 0:
        return ""
    return "first" if (difference > 0) == (better == "higher") else "second"


def best_of(means: Sequence[float], better: Better) -> set[int]:
    """Indices of the best of several means; none where all known ones are equal or no direction is better."""
    known = [index for index, mean in enumerate(means) if not math.isnan(mean)]
    if not known or better == "neither":
        return set()
    sign = 1 if better == "higher" else -1
    top = max(sign * means[index] for index in known)
    best = {index for index in known if sign * means[index] == top}
    return best if len(best) < len(known) else set()


def any_tested(differences: Iterable[Difference]) -> bool:
    """Whether any of these differences has a p-value or an interval: with too few clusters none has."""
    return any(math.isfinite(one.p) or math.isfinite(one.comparison.low) for one in differences)


def share_outside(section: Section, metrics: Collection[str]) -> float:
    """Mean share of what is marked that lies outside of the model's view, by the first of these metrics that has it.

    0 where nothing lies outside or no metric says.
    """
    for measure in section.measures:
        if measure.column == "outside_view" and measure.metric in metrics:
            values = section.values(section.methods[0].label, measure)
            if not np.isnan(values).all() and np.nanmax(values) > 0:
                return float(np.nanmean(values))
    return 0.0


def smallest_loss(section: Section, measure: Measure) -> float:
    """Smallest value of a measure over all methods and repetitions; infinite without any."""
    losses = np.concatenate([section.values(entry.label, measure) for entry in section.methods])
    return float(np.nanmin(losses)) if np.isfinite(losses).any() else math.inf


def most_defined(stats: SectionStats, labels: Sequence[str], measures: Sequence[Measure]) -> int:
    """Largest number of defined values of these methods by these measures."""
    found = [stats.estimate(label, measure) for label in labels for measure in measures]
    return max((estimate.summary.defined for estimate in found if estimate is not None), default=0)


def subgroups(section: Section) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Samples by the levels of everything that is known about them: name, level, bool [sample].

    Numbers of many different values are cut into thirds; a fact that all samples share is left out, and so is one that
    differs from film to film.
    """
    rows = section.samples
    facts: dict[str, list[object]] = {name: [row[name] for row in rows] for name in ("group", "split")}
    for name in dict.fromkeys(name for row in rows for name in row["attributes"]):
        facts[name] = [row["attributes"].get(name) for row in rows]
    facts["vocabulary"] = [phrase_vocabulary(row["text"]) for row in rows]
    if facts.get("finding") == facts["group"]:
        del facts["group"]
    levels = {name: _levels(values, section.images) for name, values in facts.items()}
    return {name: of_level for name, of_level in levels.items() if len(of_level) > 1}


def _levels(values: Sequence[object], films: int) -> dict[str, NDArray[np.bool_]]:
    """Samples by level; none for what is only another name of each film."""
    known = [value for value in values if value is not None and value != ""]
    different = set(known)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    counted = all(isinstance(value, int) for value in known)
    if numeric and counted and len(different) >= films:
        return {}
    if numeric and len(different) > (LEVELS if counted else 3):
        return thirds(np.array([float(value) if isinstance(value, int | float) else math.nan for value in values]))
    if len(different) > LEVELS * 2:
        return {}
    numbers = {level: float(level) for level in different if isinstance(level, int | float)}
    order = sorted(numbers, key=numbers.__getitem__) if numeric else sorted(different, key=str)
    return {str(level): np.array([value == level for value in values]) for level in order}
