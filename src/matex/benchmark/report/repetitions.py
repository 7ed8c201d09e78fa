"""Means over random subsets of a run's samples with their standard error, as CA-M2IB's table prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matex.benchmark.report.section import Measure
from matex.benchmark.report.stats import SectionStats
from matex.benchmark.report.style import style_of
from matex.benchmark.report.table import Table, TableRow
from matex.benchmark.report.tables import columns_of
from matex.checks import count as check_count
from matex.metrics.statistics import repeated_means


@dataclass(frozen=True)
class Repetitions:
    """Random subsets of the samples.

    Args:
        count: how many subsets.
        size: samples of each, without replacement.
        seed: of the choice, which is the same for all methods.
    """

    count: int
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.count, "repetitions", 2, 10_000)
        check_count(self.size, "subset", 1, 10_000_000)


def repetition_table(
    stats: SectionStats, measures: Sequence[Measure], repetitions: Repetitions, key: str
) -> Table | None:
    """Mean and standard error over the subsets for each method and control; None where there are too few samples."""
    section = stats.section
    single = [measure for measure in measures if not measure.dataset_level]
    samples = len(section.samples)
    if not single or samples <= repetitions.size:
        return None
    rng = np.random.default_rng(repetitions.seed)
    subsets = [rng.choice(samples, repetitions.size, replace=False) for _ in range(repetitions.count)]

    def cell(label: str, measure: Measure) -> str | None:
        if not section.has(label, measure):
            return None
        mean, error = repeated_means(section.values(label, measure), subsets)
        style = style_of(measure)
        return f"{style.number(mean)} ± {style.number(error)}"

    rows = tuple(
        TableRow(
            entry.label.removeprefix("control: "),
            entry.kind,
            tuple(cell(entry.label, measure) for measure in single),
            hint=entry.description,
        )
        for entry in (*section.methods, *section.shared)
    )
    lead = (
        f"Mean ± standard error over {repetitions.count} random subsets of {repetitions.size} of the {samples} "
        "samples, the protocol of CA-M2IB's table 1. The subsets overlap, so that this error shrinks with their number "
        "and is no interval for other films; the intervals of the other tables are."
    )
    return Table(key, "Repetitions on random subsets", "Method", columns_of(single), rows, lead)
