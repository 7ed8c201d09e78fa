"""The part of a report that compares several models: which conclusions hold on all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from matex.benchmark.report.blocks import Block, Part
from matex.benchmark.report.figures import rank_figure
from matex.benchmark.report.model_stats import (
    RanksOverSettings,
    Setting,
    difference_over_models,
    model_agreement,
    ranks_over,
    settings_of,
)
from matex.benchmark.report.section import Measure, Run
from matex.benchmark.report.style import Style, heading
from matex.benchmark.report.table import Cell, Column, MeanCell, Table, TableRow, difference_cell, mean_cell
from matex.benchmark.report.tables import SHARED, short_label

TAU = Style("tau", 1, 2)


def models_part(run: Run) -> tuple[Part, list[Table]] | None:
    """Part on several models together, with its tables; None for a run of one model or one method."""
    settings = settings_of(run)
    if not settings:
        return None
    models = settings[0].models
    blocks: list[Block] = []
    tables: list[Table] = []
    ranking: list[Table] = []
    if ranks := ranks_over(settings):
        table = ranks_table(ranks)
        figure = rank_figure(ranks.ranks, ranks.methods, "m-ranks-figure", table.lead)
        blocks.append(Block("m-ranks", "Ranks over models and measures", (table, figure)))
        ranking.append(table)
    for number, setting in enumerate(settings, start=1):
        key = f"m{number}"
        of_setting = (means_table(setting, f"{key}-means"), agreement_table(setting, f"{key}-tau"))
        tables += of_setting
        blocks.append(Block(key, f"All models: {setting.dataset}", of_setting))
    facts = f"{len(models)} models ({', '.join(models)}) on the same samples."
    return Part("All models", facts, tuple(_sentences(settings)), tuple(blocks)), [*tables, *ranking]


def means_table(setting: Setting, key: str) -> Table:
    """Each method's mean on each model, and its difference to the baseline over all of them."""
    baseline = setting.baseline
    columns = [
        Column(label, measure.better, heading(measure))
        for measure in setting.measures
        for label in (*setting.models, f"minus {baseline}, over models")
    ]

    def cells(label: str) -> Iterator[Cell]:
        for measure in setting.measures:
            yield from (mean_cell(stats.estimate(label, measure)) for stats in setting.stats)
            if label == baseline:
                yield None
            else:
                yield difference_cell(difference_over_models(setting, label, baseline, measure))

    rows = [TableRow(method, "method", tuple(cells(method))) for method in setting.methods]
    rows += [
        TableRow(short_label(control), "control", tuple(cells(control.label)), group=SHARED, hint=control.description)
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


def agreement_table(setting: Setting, key: str) -> Table:
    """Kendall's tau between the rankings of the methods on every two models."""
    rows = [
        TableRow(
            f"{setting.models[first]} and {setting.models[second]}",
            "method",
            tuple(MeanCell(model_agreement(setting, first, second, measure), TAU) for measure in setting.measures),
        )
        for first, second in combinations(range(len(setting.models)), 2)
    ]
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


def ranks_table(ranks: RanksOverSettings) -> Table:
    """Mean ranks of the methods, best first."""
    means = ranks.ranks.means
    order = [int(i) for i in np.argsort(means, kind="stable")]
    rows = tuple(TableRow(ranks.methods[i], "method", (f"{means[i]:.2f}",)) for i in order)
    return Table("m-ranks-table", "Mean ranks", "Method", (Column("Mean rank", "lower"),), rows, _ranks_lead(ranks))


def _ranks_lead(ranks: RanksOverSettings) -> str:
    p = ranks.ranks.p
    test = f"p = {p:.2g}" if math.isfinite(p) else "no p with fewer than three methods or two combinations"
    return (
        f"Mean rank over {ranks.blocks} combinations of model, data set and measure, 1 is best. Friedman's test: "
        f"{test}; critical difference after Nemenyi {ranks.ranks.critical:.2f}. Measures of one model are not "
        "independent, so methods that lie farther apart than that need not differ on another model."
    )


def _sentences(settings: Sequence[Setting]) -> Iterator[str]:
    """Sentences on differences to the baseline that hold over all models, and on those that change sign."""
    for setting in settings:
        for measure in setting.measures:
            if measure.localises:
                yield _sentence(setting, measure)


def _sentence(setting: Setting, measure: Measure) -> str:
    baseline = setting.baseline
    others = [method for method in setting.methods if method != baseline]
    differences = {method: difference_over_models(setting, method, baseline, measure) for method in others}
    ahead = [method for method, found in differences.items() if found and found.favours == "first"]
    unstable = [method for method in others if setting.changes_sign(method, baseline, measure)]
    sentence = f"{setting.dataset}, {heading(measure)}: "
    if ahead:
        sentence += f"ahead of {baseline} over all models: {', '.join(ahead)}."
    else:
        sentence += f"no method is ahead of {baseline} over all models."
    if unstable:
        sentence += f" Ahead of it on some models and behind it on others: {', '.join(unstable)}."
    return sentence
