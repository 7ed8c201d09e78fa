"""Tables of a report: localisation with its controls, paired comparisons, breakdowns, every other metric.

A table of localisation never comes without its controls: `with_controls` puts those of a method under it and those that
all methods share at the end, and `load.check_controls` has refused the run where one is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.report.section import TUNED, Entry, Measure, Section
from matex.benchmark.report.stats import (
    EXCHANGED,
    Difference,
    SectionStats,
    any_tested,
    compare_all,
    most_defined,
    share_outside,
    smallest_loss,
)
from matex.benchmark.report.style import heading
from matex.benchmark.report.table import Cell, Column, MeanCell, Table, TableRow, difference_cell, mean_cell
from matex.metrics.roar import SMALL_LOSS
from matex.metrics.statistics import FEWEST_CLUSTERS

PAIRWISE = 24  # methods up to which all of them are compared with each other
SHARED = "Controls shared by all methods"  # the heading above them
TOO_FEW = f"fewer than {FEWEST_CLUSTERS} patients, films or repetitions stand behind each number"


def localisation(stats: SectionStats, measures: Sequence[Measure], key: str, title: str, lead: str = "") -> Table:
    """Localisation of the maps by several measures."""

    def cells(label: str) -> tuple[Cell, ...]:
        return tuple(mean_cell(stats.estimate(label, measure)) for measure in measures)

    notes = (_exchanged_note(stats, measures), _outside_note(stats.section, measures), *_threshold_notes(measures))
    return Table(
        key,
        title,
        "Method, and its controls",
        columns_of(measures),
        with_controls(stats.section, cells),
        lead,
        tuple(note for note in notes if note),
    )


def with_controls(section: Section, cells: Callable[[str], tuple[Cell, ...]]) -> tuple[TableRow, ...]:
    """Rows of each method and under it its own controls, then those that all methods share."""
    rows: list[TableRow] = []
    for method in section.methods:
        rows.append(TableRow(method.label, "method", cells(method.label), hint=method.description))
        for control in section.controls_of(method.label):
            found = cells(control.label)
            if control.label.endswith(EXCHANGED) and all(_undefined(cell) for cell in found):
                continue  # no phrase of the data set names a side
            name = short_label(control)
            rows.append(TableRow(name, "control", found, of=method.label, hint=control.description))
    for control in section.shared:
        name = short_label(control)
        rows.append(TableRow(name, "control", cells(control.label), group=SHARED, hint=control.description))
    return tuple(rows)


def _undefined(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, MeanCell) and not cell.estimate.summary.defined)


def against_controls(stats: SectionStats, measures: Sequence[Measure], key: str) -> Table:
    """Every method minus the best of its controls."""
    methods = [entry.label for entry in stats.section.methods]
    pairs = {
        (method, measure): control
        for measure in measures
        for method in methods
        if (control := stats.best_control(method, measure)) is not None
    }
    tests = [(method, control, measure) for (method, measure), control in pairs.items()]
    differences = compare_all(stats, tests, by="mean")

    def cell(method: str, measure: Measure) -> Cell:
        control = pairs.get((method, measure))
        if control is None:
            return None
        entry = stats.section.entries[control]
        name = short_label(entry)
        note = f"against itself, {name}" if entry.of else f"against {name}"
        return difference_cell(differences[method, control, measure], note)

    rows = [TableRow(method, "method", tuple(cell(method, measure) for measure in measures)) for method in methods]
    return Table(
        key,
        "Each method against the best of its controls",
        "Method minus its best control",
        columns_of(measures),
        tuple(rows),
        "Paired differences on the same samples. The control is the one with the best mean among those of the method, "
        "chosen for each column by itself, which favours the control. "
        + _tests_lead(
            differences.values(),
            "p: two-sided paired bootstrap of the mean over films, corrected after Holm for the methods of a column; "
            "▲ and ▼ where it is below 0.05. Intervals are those of each difference by itself, without correction.",
        ),
    )


def prior_question(stats: SectionStats, measures: Sequence[Measure], key: str) -> Table | None:
    """Whether a method's prior helps its model or replaces it; None where no method has a prior."""
    section, alone = stats.section, "control: prior alone"
    pairs: list[tuple[str, str, str]] = []
    for method in section.methods:
        without = f"{method.label} (no prior)"
        if without in section.entries and alone in section.entries:
            pairs += [
                (method.label, without, f"{method.label} minus itself without the prior"),
                (method.label, alone, f"{method.label} minus the prior alone"),
                (without, alone, f"{method.label} without the prior minus the prior alone"),
            ]
    if not pairs:
        return None
    differences = compare_all(stats, [(first, second, m) for first, second, _ in pairs for m in measures], by="mean")
    rows = [
        TableRow(label, "method", tuple(difference_cell(differences[first, second, measure]) for measure in measures))
        for first, second, label in pairs
    ]
    return Table(
        key,
        "Does the prior help the model or replace it?",
        "Comparison",
        columns_of(measures),
        tuple(rows),
        "A method whose prior helps beats both itself without the prior and the prior alone. One that only matches the "
        "prior alone has been replaced by it. "
        + _tests_lead(differences.values(), "p and intervals as above, p corrected for the lines of a column."),
    )


def breakdown(
    stats: SectionStats, measure: Measure, name: str, levels: Mapping[str, NDArray[np.bool_]], key: str
) -> Table:
    """One measure by the levels of one attribute."""

    def cells(label: str) -> tuple[Cell, ...]:
        subsets = [(f"{name}={level}", chosen) for level, chosen in levels.items()]
        return tuple(mean_cell(stats.estimate(label, measure, subset)) for subset in subsets)

    columns = tuple(
        Column(f"{level} (n = {int(chosen.sum())})", measure.better, name) for level, chosen in levels.items()
    )
    rows = with_controls(stats.section, cells)
    return Table(key, f"{heading(measure)} by {name}", "Method, and its controls", columns, rows)


def measured_table(stats: SectionStats, measures: Sequence[Measure], key: str, title: str, lead: str = "") -> Table:
    """Methods, and those controls that were measured."""
    section = stats.section
    rows = [
        TableRow(
            entry.label.removeprefix("control: "),
            entry.kind,
            tuple(mean_cell(stats.estimate(entry.label, measure)) for measure in measures),
            hint=entry.description,
        )
        for entry in (*section.methods, *section.shared)
        if any(section.has(entry.label, measure) for measure in measures)
    ]
    notes = tuple(_loss_notes(section, measures))
    return Table(key, title, "Method", columns_of(measures), tuple(rows), lead, notes)


def _loss_notes(section: Section, measures: Sequence[Measure]) -> Iterator[str]:
    """Notes on losses too small for ROAR+, which divides by them."""
    for measure in measures:
        if (measure.name, measure.column) != ("roar-plus", "loss_original"):
            continue
        smallest = smallest_loss(section, measure)
        if smallest < SMALL_LOSS:
            yield (
                f"The loss on clean films is as small as {smallest:.4f}. Below {SMALL_LOSS} the percentages of "
                "ROAR+ magnify noise: compare the losses themselves, or validate on more films."
            )


def pairwise(stats: SectionStats, measure: Measure, key: str) -> Table:
    """Every method minus every other."""
    order = stats.best_first([entry.label for entry in stats.section.methods], measure)
    tests = [(first, second, measure) for index, first in enumerate(order) for second in order[index + 1 :]]
    differences = compare_all(stats, tests, by="ranks")
    rows = [
        TableRow(
            first, "method", tuple(difference_cell(differences.get((first, second, measure))) for second in order[1:])
        )
        for first in order[:-1]
    ]
    return Table(
        key,
        f"{heading(measure)}: methods against each other",
        "Row minus column",
        tuple(Column(method) for method in order[1:]),
        tuple(rows),
        "Best method first. "
        + _tests_lead(
            differences.values(),
            "Paired differences with 95 % intervals; p: Wilcoxon’s signed-rank test over films, corrected after Holm "
            f"for the {len(tests)} pairs, as intervals are not; ▲ and ▼ where it is below 0.05.",
            "Paired differences. ",
        ),
    )


def _tests_lead(differences: Iterable[Difference], lead: str, without: str = "") -> str:
    """Definition of p and the intervals, or their absence where every number comes from too few patients or films."""
    return lead if any_tested(differences) else f"{without}No p and no intervals: {TOO_FEW}."


def columns_of(measures: Sequence[Measure]) -> tuple[Column, ...]:
    """One column per measure."""
    return tuple(Column(heading(measure), measure.better) for measure in measures)


def short_label(control: Entry) -> str:
    """A control's name under its method: "random weights" instead of "matex (random weights)"."""
    label = control.label.removeprefix("control: ")
    return label.removeprefix(f"{control.of} (").removesuffix(")") if control.of else label


def _outside_note(section: Section, measures: Sequence[Measure]) -> str:
    """Note on the share of the truth that the model does not see."""
    share = share_outside(section, {measure.metric for measure in measures})
    if not share > 0:
        return ""
    return (
        f"On average {100 * share:.1f} % of what is marked lies outside of what the model "
        "sees (centre crop); it counts neither for nor against a map."
    )


def _exchanged_note(stats: SectionStats, measures: Sequence[Measure]) -> str:
    """Note on reading the exchanged side, and on the number of samples that have one."""
    labels = [entry.label for entry in stats.section.entries.values() if entry.label.endswith(EXCHANGED)]
    if not labels:
        return ""
    count = most_defined(stats, labels, measures)
    if not count:
        return "Exchanged side: no phrase of these samples names a side, so there is no such control."
    return (
        f"Exchanged side: the method for the phrase with left and right exchanged, on the {count} samples whose "
        "phrase names a side, measured where the finding truly is. Far below the method: its map goes where the word "
        "says. As high as the method: its map goes to the finding, or to whatever stands out, whatever side is named."
    )


def _threshold_notes(measures: Sequence[Measure]) -> list[str]:
    notes: list[str] = []
    if any(measure.column == TUNED for measure in measures):
        notes.append(
            "mIoU: per finding, the threshold that is best on other films (the validation split where the data set has "
            "one and a test split, otherwise the other half of the films), so every method is judged at its own best "
            "threshold and never on the films that chose it."
        )
    if any(measure.name == "iou" for measure in measures):
        notes.append(
            "IoU at a percentile gives every map the same area; at a value, it is a contest of how peaked maps are."
        )
    if any(measure.name == "energy" for measure in measures):
        notes.append("Energy: share of the positive part of the raw map that lies inside what is marked.")
    return notes
