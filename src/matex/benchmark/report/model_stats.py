"""Statistics over several models that explained the same samples: differences, agreement and ranks of the methods.

A difference between two methods on one model is a fact about that model. Here the model is a random effect like the
film and the finding, so that an interval says what to expect of the next model; with two or three it is wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matex.benchmark.report.measures import contrast_measures, localisation_measures, plain_measures
from matex.benchmark.report.rankings import Ranks, mixed_effect, rank_agreement, rank_methods
from matex.benchmark.report.section import Measure, Run, Section, Values
from matex.benchmark.report.stats import Difference, Estimate, SectionStats, favoured
from matex.metrics.statistics import FEWEST_CLUSTERS, PairedComparison, Summary

BASELINE = "matex"  # what the others are compared with, if the run has it


@dataclass(frozen=True)
class Setting:
    """One data set on which several models explained the same samples.

    Args:
        dataset: label.
        stats: of each model's section.
        methods: labels that every model has, in the order of the run.
        measures: columns that every model has and that say which direction is better.
    """

    dataset: str
    stats: tuple[SectionStats, ...]
    methods: tuple[str, ...]
    measures: tuple[Measure, ...]

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(one.section for one in self.stats)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(section.model for section in self.sections)

    @property
    def baseline(self) -> str:
        """The method that the others are compared with."""
        return BASELINE if BASELINE in self.methods else self.methods[0]

    def values(self, method: str, measure: Measure) -> Values:
        """Values of a method, [model, sample]."""
        return np.stack([section.values(method, measure) for section in self.sections])

    def changes_sign(self, first: str, second: str, measure: Measure) -> bool:
        """Whether the first method's mean is above the second's on some models and below it on others."""
        signs = {np.sign(one.mean(first, measure) - one.mean(second, measure)) for one in self.stats}
        return {-1.0, 1.0} <= signs


def settings_of(run: Run) -> list[Setting]:
    """The data sets of a run that two models or more explained by two methods or more, sample by sample the same."""
    by_dataset: dict[str, list[Section]] = {}
    for section in run.sections:
        by_dataset.setdefault(section.dataset, []).append(section)
    return [setting for sections in by_dataset.values() if (setting := _setting(sections))]


def _setting(sections: Sequence[Section]) -> Setting | None:
    first, *others = sections
    names = [[str(row["sample"]) for row in section.samples] for section in sections]
    if not others or any(one != names[0] for one in names):
        return None
    labels = [{entry.label for entry in section.methods} for section in sections]
    methods = tuple(entry.label for entry in first.methods if all(entry.label in some for some in labels))
    candidates = dict.fromkeys((*localisation_measures(first), *contrast_measures(first), *plain_measures(first)))
    measures = tuple(
        measure
        for measure in candidates
        if not measure.dataset_level
        and measure.better != "neither"
        and all(measure in section.measures for section in sections)
        and any(not np.isnan(section.values(method, measure)).all() for section in sections for method in methods)
    )
    if not measures or len(methods) < 2:
        return None
    return Setting(first.dataset, tuple(SectionStats(one) for one in sections), methods, measures)


def difference_over_models(setting: Setting, first: str, second: str, measure: Measure) -> Difference | None:
    """First minus second on the same samples of every model; None where fewer than two models have a value.

    Film, finding and model are random effects; the interval is NaN with fewer than FEWEST_CLUSTERS films. There is no
    p-value: `favours` says whether the interval leaves out 0.
    """
    difference = setting.values(first, measure) - setting.values(second, measure)
    models, samples = difference.shape
    section = setting.sections[0]
    effects: dict[str, list[object]] = {
        "model": [model for model in range(models) for _ in range(samples)],
        "film": list(section.clusters) * models,
        "finding": [str(row["group"]) for row in section.samples] * models,
    }
    defined = ~np.isnan(difference)
    if defined.any(axis=1).sum() < 2:
        return None
    effect = mixed_effect(difference.ravel(), effects)
    used = np.atleast_1d(defined.any(axis=0))
    films = len({cluster for cluster, there in zip(section.clusters, used, strict=True) if there})
    low, high = (effect.low, effect.high) if films >= FEWEST_CLUSTERS else (math.nan, math.nan)
    better = favoured(effect.mean, measure.better) if low > 0 or high < 0 else ""
    counts = int(defined.sum()), int((~defined).sum()), films
    comparison = PairedComparison(effect.mean, low, high, math.nan, math.nan, *counts)
    return Difference(comparison, math.nan, first, second, measure, better)


def model_agreement(setting: Setting, first: int, second: int, measure: Measure) -> Estimate:
    """Kendall's tau between the rankings of the methods on two models, given by their indices."""
    clusters = setting.sections[0].clusters
    values = np.stack([setting.values(method, measure)[[first, second]] for method in setting.methods])
    agreement = rank_agreement(values[:, 0], values[:, 1], clusters)
    defined = int((~np.isnan(values)).sum())
    undefined = values.size - defined
    summary = Summary(agreement.tau, agreement.low, agreement.high, defined, undefined, len(set(clusters)))
    return Estimate(summary, 1, math.nan, "", measure)


@dataclass(frozen=True)
class RanksOverSettings:
    """Ranks of the methods over every model, data set and measure.

    Args:
        methods: labels that every setting has.
        ranks: of these methods.
        blocks: combinations of model, data set and measure on which every method is defined.
    """

    methods: tuple[str, ...]
    ranks: Ranks
    blocks: int


def ranks_over(settings: Sequence[Setting]) -> RanksOverSettings | None:
    """Rank the methods over every model, data set and measure.

    None where fewer than two methods are common to all, or no model, data set and measure has values of all of them.
    """
    methods = tuple(method for method in settings[0].methods if all(method in setting.methods for setting in settings))
    if len(methods) < 2:
        return None
    blocks: list[list[float]] = []
    higher: list[bool] = []
    for setting in settings:
        for measure in setting.measures:
            for stats in setting.stats:
                blocks.append([stats.mean(method, measure) for method in methods])
                higher.append(measure.better == "higher")
    complete = int((~np.isnan(np.array(blocks)).any(axis=1)).sum())
    return RanksOverSettings(methods, rank_methods(blocks, higher), complete) if complete else None
