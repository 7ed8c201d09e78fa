"""The part of a report that sets several models side by side: which conclusions hold on all of them.

A difference between two methods on one model is a fact about that model. Here the model is a random effect like the
film and the finding, so that an interval says what to expect of the next model; with two or three it is wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from matex.benchmark.rankings import Ranks, mixed_effect, rank_agreement, rank_methods
from matex.benchmark.report_figures import Drawing, rank_figure
from matex.benchmark.report_page import Block, Part
from matex.benchmark.report_run import Measure, Run, Section
from matex.benchmark.report_tables import (
    SHARED,
    Cell,
    Column,
    Compared,
    Measured,
    Numbers,
    Row,
    Style,
    Table,
    heading,
    places,
    plain_measures,
    short,
    style_of,
    two_findings,
)
from matex.metrics.statistics import FEWEST_CLUSTERS, Comparison, Summary, Values

BASELINE = "matex"  # what the others are compared with, if the run has it


@dataclass(frozen=True)
class Setting:
    """One data set on which several models explained the same samples.

    Args:
        dataset: label.
        numbers: of each model's section.
        methods: labels that every model has, in the order of the run.
        measures: columns that every model has and that say which way is better.
    """

    dataset: str
    numbers: tuple[Numbers, ...]
    methods: tuple[str, ...]
    measures: tuple[Measure, ...]

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(one.section for one in self.numbers)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(section.model for section in self.sections)

    def values(self, method: str, measure: Measure) -> Values:
        """[model, sample]."""
        return np.stack([section.values(method, measure) for section in self.sections])


def settings_of(run: Run) -> list[Setting]:
    """The data sets of a run that two models or more explained, sample by sample the same."""
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
    chosen = dict.fromkeys((*places(first), *two_findings(first), *plain_measures(first)))
    measures = tuple(
        measure
        for measure in chosen
        if not measure.whole
        and measure.better != "neither"
        and all(measure in section.measures for section in sections)
        and any(not np.isnan(section.values(method, measure)).all() for section in sections for method in methods)
    )
    return Setting(first.dataset, tuple(Numbers(one) for one in sections), methods, measures) if measures else None


def models_part(run: Run) -> tuple[Part, list[Table]] | None:
    """Everything about several models at once; None for a run of one."""
    settings = settings_of(run)
    if not settings:
        return None
    models = settings[0].models
    tables: list[Table] = []
    blocks: list[Block] = []
    for number, setting in enumerate(settings, start=1):
        key = f"m{number}"
        made = [means_table(setting, f"{key}-means"), agreement_table(setting, f"{key}-tau")]
        tables += made
        blocks.append(Block(key, f"All models: {setting.dataset}", tuple(made)))
    ranks, table, figure = ranks_over(settings)
    tables.append(table)
    blocks.insert(0, Block("m-ranks", "Ranks over models and measures", (table, figure)))
    facts = f"{len(models)} models ({', '.join(models)}) on the same samples."
    return Part("All models", facts, tuple(_sentences(settings, ranks)), tuple(blocks)), tables


def means_table(setting: Setting, key: str) -> Table:
    """Each method's mean on each model, and its difference to the baseline over all of them."""
    baseline = _baseline(setting)
    columns = [
        Column(label, measure.better, heading(measure))
        for measure in setting.measures
        for label in (*setting.models, f"minus {baseline}, over models")
    ]

    def cells(label: str) -> Iterator[Cell]:
        for measure in setting.measures:
            yield from (numbers.of(label, measure) for numbers in setting.numbers)
            yield None if label == baseline else over_models(setting, label, baseline, measure)

    rows = [Row(method, "method", tuple(cells(method))) for method in setting.methods]
    rows += [
        Row(short(control, ""), "control", tuple(cells(control.label)), group=SHARED, hint=control.description)
        for control in setting.sections[0].shared
    ]
    return Table(
        key,
        f"Methods on every model: {setting.dataset}",
        "Method",
        tuple(columns),
        tuple(rows),
        f"Last column of a measure: the method minus {baseline} over film, finding and model as random effects, with "
        "the 95 % interval of Student's t with one degree of freedom fewer than models. ▲ better and ▼ worse than "
        f"{baseline} where the interval leaves out 0.",
    )


def over_models(setting: Setting, first: str, second: str, measure: Measure) -> Compared | None:
    """First minus second on the same samples of every model; None where too little is defined."""
    difference = setting.values(first, measure) - setting.values(second, measure)
    models, samples = difference.shape
    section = setting.sections[0]
    effects: dict[str, list[Any]] = {
        "model": np.repeat(np.arange(models), samples).tolist(),
        "film": list(section.clusters) * models,
        "finding": [str(row["group"]) for row in section.samples] * models,
    }
    defined = ~np.isnan(difference)
    used = [bool(column.any()) for column in defined.T]
    if (defined.any(axis=1)).sum() < 2:
        return None
    found = mixed_effect(difference.ravel(), effects)
    films = len({cluster for cluster, some in zip(section.clusters, used, strict=True) if some})
    low, high = (found.low, found.high) if films >= FEWEST_CLUSTERS else (math.nan, math.nan)
    favours = ""
    if low > 0 or high < 0:
        favours = "first" if (found.mean > 0) == (measure.better == "higher") else "second"
    counts = int(defined.sum()), int((~defined).sum()), films
    comparison = Comparison(found.mean, low, high, math.nan, math.nan, *counts)
    return Compared(comparison, math.nan, style_of(measure), first, second, measure, favours)


def agreement_table(setting: Setting, key: str) -> Table:
    """Kendall's tau between the rankings of the methods on every two models."""
    rows: list[Row] = []
    clusters = setting.sections[0].clusters
    for i, j in combinations(range(len(setting.models)), 2):
        cells: list[Measured] = []
        for measure in setting.measures:
            stacked = np.stack([setting.values(method, measure) for method in setting.methods])  # method, model, sample
            found = rank_agreement(stacked[:, i], stacked[:, j], clusters)
            defined = int((~np.isnan(stacked[:, [i, j]])).sum())
            undefined = stacked[:, [i, j]].size - defined
            summary = Summary(found.tau, found.low, found.high, defined, undefined, len(set(clusters)))
            cells.append(Measured(summary, Style("tau", 1, 2), 1, math.nan, "", measure))
        rows.append(Row(f"{setting.models[i]} and {setting.models[j]}", "method", tuple(cells)))
    columns = tuple(Column(heading(measure)) for measure in setting.measures)
    return Table(
        key,
        f"Do models rank the methods alike? {setting.dataset}",
        "Kendall’s tau of",
        columns,
        tuple(rows),
        "Tau-b between the rankings of the methods' means: 1 the same order, 0 unrelated, -1 reversed; 95 % bootstrap "
        "interval over films.",
    )


def ranks_over(settings: Sequence[Setting]) -> tuple[Ranks, Table, Drawing]:
    """Mean ranks of the methods over every model, data set and measure."""
    methods = [method for method in settings[0].methods if all(method in setting.methods for setting in settings)]
    blocks: list[list[float]] = []
    better: list[bool] = []
    for setting in settings:
        for measure in setting.measures:
            for numbers in setting.numbers:
                blocks.append([numbers.mean(method, measure) for method in methods])
                better.append(measure.better == "higher")
    ranks = rank_methods(blocks, better)
    used = int((~np.isnan(np.array(blocks)).any(axis=1)).sum())
    order = np.argsort(ranks.means, kind="stable")
    rows = tuple(Row(methods[i], "method", (f"{ranks.means[i]:.2f}",)) for i in order)
    critical = f"{ranks.critical:.2f}" if math.isfinite(ranks.critical) else "–"
    lead = (
        f"Mean rank over {used} combinations of model, data set and measure, 1 is best. Friedman's test: "
        f"p = {ranks.p:.2g}; critical difference after Nemenyi {critical}. Measures of one model are not independent, "
        "so methods that lie farther apart than that need not differ on another model."
    )
    table = Table("m-ranks-table", "Mean ranks", "Method", (Column("Mean rank", "lower"),), rows, lead)
    figure = rank_figure(ranks, methods, "m-ranks-figure", lead)
    return ranks, table, figure


def _baseline(setting: Setting) -> str:
    return BASELINE if BASELINE in setting.methods else setting.methods[0]


def _sentences(settings: Sequence[Setting], ranks: Ranks) -> Iterator[str]:
    """Which differences to the baseline hold over all models, and which change sign between them."""
    for setting in settings:
        baseline = _baseline(setting)
        for measure in setting.measures:
            if not measure.localises:
                continue
            ahead: list[str] = []
            turned: list[str] = []
            for method in setting.methods:
                if method == baseline:
                    continue
                found = over_models(setting, method, baseline, measure)
                if found and found.favours == "first":
                    ahead.append(method)
                signs = {
                    np.sign(numbers.mean(method, measure) - numbers.mean(baseline, measure))
                    for numbers in setting.numbers
                }
                if {-1.0, 1.0} <= signs:
                    turned.append(method)
            sentence = f"{setting.dataset}, {heading(measure)}: "
            sentence += (
                f"ahead of {baseline} over all models: {', '.join(ahead)}."
                if ahead
                else f"no method is ahead of {baseline} over all models."
            )
            if turned:
                sentence += f" Ahead of it on some models and behind it on others: {', '.join(turned)}."
            yield sentence
