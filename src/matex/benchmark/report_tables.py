"""The tables of a report as data; report_page.py and report_files.py write them as HTML, LaTeX and CSV.

A table of places never comes without its controls: `_with_controls` puts every method's own under it and those that all
methods share at the end, and `report_run.check_controls` has refused the run where one is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.published import DEFECTS, Better, PublishedColumn, PublishedTable
from matex.benchmark.report_run import TUNED, Entry, Measure, Section, curve_of, stage_of
from matex.metrics.roar import SMALL_LOSS
from matex.metrics.statistics import FEWEST_CLUSTERS, Comparison, Summary, compare_paired, holm, summarise

RESAMPLES = 2000
SIGNIFICANT = 0.05  # after correction
LEVELS = 8  # whole numbers of more different values are cut into thirds, as fractions are; twice as many words left out
PAIRWISE = 24  # methods up to which all of them are compared with each other

ARROWS: Mapping[Better, str] = {"higher": "↑", "lower": "↓", "neither": ""}

EXCHANGED = "(exchanged side)"  # how the labels of that control end
SHARED = "Controls shared by all methods"  # the line above them

RowKind = Literal["method", "control", "quoted"]


@dataclass(frozen=True)
class Style:
    """How the values of a measure are written.

    Args:
        label: heading.
        scale: values are multiplied by it.
        decimals: after the point.
        unit: behind the heading.
    """

    label: str
    scale: float = 1.0
    decimals: int = 3
    unit: str = ""

    def number(self, value: float, signed: bool = False) -> str:
        """A value as it is printed; an en dash where there is none."""
        if not math.isfinite(value):
            return "–"
        told = f"{value * self.scale:{'+' if signed else ''}.{self.decimals}f}"
        return told.replace("-", "−") if float(told) else told.lstrip("+-")

    def interval(self, low: float, high: float, signed: bool = False) -> str:
        return f"[{self.number(low, signed)}, {self.number(high, signed)}]" if math.isfinite(low) else ""


@dataclass(frozen=True)
class Measured:
    """A number of this run.

    Args:
        summary: mean with its interval.
        style: how it is written.
        draws: seeds, or repetitions of a measure of the whole; 1 where nothing is drawn.
        spread: standard deviation over the means of the seeds; NaN with fewer than two.
        method: label.
        measure: what was measured.
    """

    summary: Summary
    style: Style
    draws: int
    spread: float
    method: str
    measure: Measure


@dataclass(frozen=True)
class Quoted:
    """A number as a paper prints it, with ± and its error where it has one."""

    printed: str
    column: PublishedColumn
    row: str
    table: PublishedTable


@dataclass(frozen=True)
class Compared:
    """A difference between two methods on the same samples.

    Args:
        comparison: first minus second.
        p: corrected after Holm for the tests of the same table column or matrix.
        against: label of the second.
        favours: "first" or "second" where p is below 0.05, by which way is better; "" otherwise.
        told: what the second is called in the cell; empty where the row says it.
    """

    comparison: Comparison
    p: float
    style: Style
    first: str
    against: str
    measure: Measure
    favours: Literal["first", "second", ""]
    told: str = ""


Cell = Measured | Quoted | Compared | str | None
TOO_FEW = f"fewer than {FEWEST_CLUSTERS} patients, films or repetitions stand behind each number"


@dataclass(frozen=True)
class Column:
    """A heading; `group` is one above it, over several columns."""

    label: str
    better: Better = "neither"
    group: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Args:
        label: what stands at its head.
        kind: how it is shown.
        cells: one per column.
        of: label of the method under which it stands; empty for what belongs to none.
        group: heading above it, given where it changes.
        hint: what the label means.
    """

    label: str
    kind: RowKind
    cells: tuple[Cell, ...]
    of: str = ""
    group: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Args:
        key: unique in the report; names its anchor and its rows in report.csv.
        title: heading.
        corner: heading of the first column.
        columns: headings.
        rows: lines.
        lead: what is said above it.
        notes: what is said under it.
        published: the paper's table that it is laid out like.
    """

    key: str
    title: str
    corner: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    lead: str = ""
    notes: tuple[str, ...] = ()
    published: PublishedTable | None = None


STYLES: Mapping[tuple[str, str], Style] = {
    ("pointing", "pointing"): Style("Pointing game", 100, 1, "%"),
    ("pointing", "pointing_within"): Style("Pointing within {within} px", 100, 1, "%"),
    ("energy", "energy"): Style("Energy inside", 100, 1, "%"),
    ("iou", "iou"): Style("IoU at {threshold:g} ({by})", 1, 1, "%"),
    ("miou", TUNED): Style("mIoU, tuned threshold", 1, 1, "%"),
    ("miou", "hit"): Style("Hit rate", 100, 1, "%"),
    ("named-over-other", "points_named"): Style("Points at the named finding", 100, 1, "%"),
    ("named-over-other", "points_other"): Style("Points at the other finding", 100, 1, "%"),
    ("named-over-other", "named_above_other"): Style("Mean of map higher on the named", 100, 1, "%"),
    ("named-over-other", "energy_share"): Style("Named finding’s share of the energy in both", 100, 1, "%"),
    ("confidence-image", "drop"): Style("Drop", 1, 2, "cosine × 100"),
    ("confidence-image", "drop_relative"): Style("Drop, relative", 1, 1, "% of the score"),
    ("confidence-image", "increase"): Style("Increase", 1, 1, "% of samples"),
    ("confidence-image", "removed_drop"): Style("Drop when removed", 1, 2, "cosine × 100"),
    ("confidence-image", "removed_drop_relative"): Style("Drop when removed, relative", 1, 1, "% of the score"),
    ("confidence-image", "removed_increase"): Style("Increase when removed", 1, 1, "% of samples"),
    ("confidence-image", "mass"): Style("Mean of the mask", 1, 3),
    ("confidence-text", "drop"): Style("Drop", 1, 2, "cosine × 100"),
    ("confidence-text", "drop_relative"): Style("Drop, relative", 1, 1, "% of the score"),
    ("confidence-text", "increase"): Style("Increase", 1, 1, "% of samples"),
    ("confidence-text", "kept"): Style("Share of tokens kept", 1, 2),
    ("deletion-insertion", "deletion_auc"): Style("Deletion AUC", unit="cosine"),
    ("deletion-insertion", "insertion_auc"): Style("Insertion AUC", unit="cosine"),
    ("retrieval", "cases"): Style("Phrases", 1, 0),
    ("roar-plus", "roar_image"): Style("ROAR+ of images", 1, 1, "% of the loss"),
    ("roar-plus", "roar_text"): Style("ROAR+ of text", 1, 1, "% of the loss"),
    ("road", "road"): Style("ROAD", unit="cosine"),
    ("road", "road_morf_auc"): Style("ROAD, most relevant first, AUC", unit="cosine"),
    ("road", "road_lerf_auc"): Style("ROAD, least relevant first, AUC", unit="cosine"),
    ("infidelity", "infidelity"): Style("Infidelity", 1, 2, "(cosine × 100) squared"),
    ("stability", "stability"): Style("Stability", unit="rank correlation"),
}
WORDS: Mapping[str, str] = {
    "auc": "AUC",
    "iou": "IoU",
    "ir1": "image retrieval @1",
    "ir5": "image retrieval @5",
    "tr1": "text retrieval @1",
    "tr5": "text retrieval @5",
    "top1": "@1",
    "top5": "@5",
    "top10": "@10",
    "ssim": "SSIM",
    "abs": "(absolute)",
    "x100": "× 100",
    "morf": "most relevant first",
    "lerf": "least relevant first",
    "max": "maximum",
    "roar": "ROAR+",
    "road": "ROAD",
}


def style_of(measure: Measure) -> Style:
    """How a measure is written; one that is not known here, as of a plug-in, under its own name."""
    known = STYLES.get((measure.name, measure.column))
    label = measure.column.replace("_", " ")
    if known:
        values = dict(measure.parameters)
        label = known.label.format(**values) if "{" in known.label else known.label
    else:
        label = " ".join(WORDS.get(word, word) for word in label.split())
        label = label[:1].upper() + label[1:]
    if measure.metric != measure.name:  # the configuration runs a metric more than once
        label = f"{label} ({measure.metric})"
    return Style(label, known.scale, known.decimals, known.unit) if known else Style(label)


class Numbers:
    """Means, intervals and tests of a section, each computed once."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self._summaries: dict[tuple[Any, ...], Measured] = {}
        self._comparisons: dict[tuple[Any, ...], Comparison] = {}

    def of(self, method: str, measure: Measure, subset: tuple[str, NDArray[np.bool_]] | None = None) -> Measured | None:
        """A method's mean, over all samples or over a named subset of them; None where it was not measured."""
        section = self.section
        if not section.has(method, measure):
            return None
        key = (method, measure.metric, measure.column, subset[0] if subset else "")
        if key not in self._summaries:
            values = section.values(method, measure)
            clusters: Sequence[str] | None = None if measure.whole else section.clusters
            if subset and clusters is not None:
                values = values[subset[1]]
                clusters = [cluster for cluster, chosen in zip(clusters, subset[1], strict=True) if chosen]
            summary = summarise(values, clusters, resamples=RESAMPLES)
            seeds = values if measure.whole else section.seed_means(method, measure)
            spread = float(seeds.std(ddof=1)) if len(seeds) > 1 else math.nan
            self._summaries[key] = Measured(summary, style_of(measure), len(seeds), spread, method, measure)
        return self._summaries[key]

    def mean(self, method: str, measure: Measure) -> float:
        values = self.section.values(method, measure)
        return math.nan if np.isnan(values).all() else float(np.nanmean(values))

    def compare(self, first: str, second: str, measure: Measure) -> Comparison:
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
        sign = -1 if measure.better == "lower" else 1
        own = [entry for entry in self.section.controls_of(method) if not entry.label.endswith(EXCHANGED)]
        controls = (*own, *self.section.shared)
        means = {entry.label: sign * self.mean(entry.label, measure) for entry in controls}
        known = {label: mean for label, mean in means.items() if not math.isnan(mean)}
        return max(known, key=lambda label: known[label]) if known else None


def places(section: Section) -> list[Measure]:
    """Measures of where a map points, on single findings."""
    return [
        measure
        for measure in section.measures
        if measure.localises
        and measure.name != "named-over-other"
        and measure.column != "outside_view"
        and not curve_of(measure.column)
    ]


def two_findings(section: Section) -> list[Measure]:
    """Measures of films with a finding that the phrase names and one that it does not."""
    found = [one for one in section.measures if one.name == "named-over-other" and one.column != "outside_view"]
    return [
        measure
        for measure in found
        if any(not np.isnan(section.values(entry.label, measure)).all() for entry in section.methods)
    ]


def localisation(numbers: Numbers, measures: Sequence[Measure], key: str, title: str, lead: str = "") -> Table:
    """Where maps point, by several measures."""

    def cells(label: str) -> tuple[Cell, ...]:
        return tuple(numbers.of(label, measure) for measure in measures)

    rows = _with_controls(numbers.section, cells)
    notes = [
        _exchanged_note(numbers, measures),
        _outside_note(numbers.section, measures),
        *_threshold_notes(measures),
    ]
    return Table(
        key, title, "Method, and its controls", columns_of(measures), rows, lead, tuple(note for note in notes if note)
    )


def _with_controls(section: Section, cells: Callable[[str], tuple[Cell, ...]]) -> tuple[Row, ...]:
    """The rows of a table of places: each method and under it its own controls, then those that all methods share."""
    rows: list[Row] = []
    for method in section.methods:
        rows.append(Row(method.label, "method", cells(method.label), hint=method.description))
        for control in section.controls_of(method.label):
            found = cells(control.label)
            if control.label.endswith(EXCHANGED) and all(_undefined(cell) for cell in found):
                continue  # no phrase of the data set names a side
            name = short(control, method.label)
            rows.append(Row(name, "control", found, of=method.label, hint=control.description))
    for control in section.shared:
        name = short(control, "")
        rows.append(Row(name, "control", cells(control.label), group=SHARED, hint=control.description))
    return tuple(rows)


def _undefined(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, Measured) and not cell.summary.defined)


def against_controls(numbers: Numbers, measures: Sequence[Measure], key: str) -> Table:
    """Every method minus the best of its controls."""
    methods = [entry.label for entry in numbers.section.methods]
    pairs = {
        (method, measure): control
        for measure in measures
        for method in methods
        if (control := numbers.best_control(method, measure)) is not None
    }
    found = tested(numbers, [(method, control, measure) for (method, measure), control in pairs.items()], by="mean")

    def cell(method: str, measure: Measure) -> Cell:
        control = pairs.get((method, measure))
        if control is None:
            return None
        own = numbers.section.entries[control]
        told = f"itself, {short(own, method)}" if own.of else short(own, method)
        return replace(found[method, control, measure], told=f"against {told}")

    rows = [Row(method, "method", tuple(cell(method, measure) for measure in measures)) for method in methods]
    return Table(
        key,
        "Each method against the best of its controls",
        "Method minus its best control",
        columns_of(measures),
        tuple(rows),
        "Paired differences on the same samples. The control is the one with the best mean among those of the method, "
        "chosen for each column by itself, which favours the control. "
        + _tests_lead(
            found,
            "p: two-sided paired bootstrap of the mean over films, corrected after Holm for the methods of a column; "
            "▲ and ▼ where it is below 0.05. Intervals are those of each difference by itself, without correction.",
        ),
    )


def prior_question(numbers: Numbers, measures: Sequence[Measure], key: str) -> Table | None:
    """Whether a method's prior helps its model or replaces it."""
    section, alone = numbers.section, "control: prior alone"
    rows: list[tuple[str, str, str]] = []
    for method in section.methods:
        without = f"{method.label} (no prior)"
        if without in section.entries and alone in section.entries:
            rows += [
                (method.label, without, f"{method.label} minus itself without the prior"),
                (method.label, alone, f"{method.label} minus the prior alone"),
                (without, alone, f"{method.label} without the prior minus the prior alone"),
            ]
    if not rows:
        return None
    found = tested(numbers, [(first, second, m) for first, second, _ in rows for m in measures], by="mean")
    made = [
        Row(label, "method", tuple(found[first, second, measure] for measure in measures))
        for first, second, label in rows
    ]
    return Table(
        key,
        "Does the prior help the model or replace it?",
        "Comparison",
        columns_of(measures),
        tuple(made),
        "A method whose prior helps beats both itself without the prior and the prior alone. One that only matches the "
        "prior alone has been replaced by it. "
        + _tests_lead(found, "p and intervals as above, p corrected for the lines of a column."),
    )


def breakdown(
    numbers: Numbers, measure: Measure, name: str, levels: Mapping[str, NDArray[np.bool_]], key: str
) -> Table:
    """One measure by the levels of one attribute."""

    def cells(label: str) -> tuple[Cell, ...]:
        return tuple(numbers.of(label, measure, (f"{name}={level}", chosen)) for level, chosen in levels.items())

    columns = tuple(
        Column(f"{level} (n = {int(chosen.sum())})", measure.better, name) for level, chosen in levels.items()
    )
    rows = _with_controls(numbers.section, cells)
    return Table(key, f"{heading(measure)} by {name}", "Method, and its controls", columns, rows)


def attributes(section: Section) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Samples by the levels of everything that is known about them: name, level, bool [sample].

    Numbers of many different values are cut into thirds; a fact that all samples share is left out, and so is one that
    differs from film to film.
    """
    rows = section.samples
    facts: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in ("group", "split")}
    for name in dict.fromkeys(name for row in rows for name in row["attributes"]):
        facts[name] = [row["attributes"].get(name) for row in rows]
    if facts.get("finding") == facts["group"]:
        del facts["group"]
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for name, values in facts.items():
        cut = _levels(values, section.images)
        if len(cut) > 1:
            found[name] = cut
    return found


def measured_table(
    numbers: Numbers, measures: Sequence[Measure], key: str, title: str, lead: str = "", notes: tuple[str, ...] = ()
) -> Table:
    """Methods, and those controls that were measured."""
    section = numbers.section
    entries = [*section.methods, *section.shared]
    rows = [
        Row(
            entry.label.removeprefix("control: "),
            entry.kind,
            tuple(numbers.of(entry.label, measure) for measure in measures),
            hint=entry.description,
        )
        for entry in entries
        if any(section.has(entry.label, measure) for measure in measures)
    ]
    return Table(
        key, title, "Method", columns_of(measures), tuple(rows), lead, (*notes, *_loss_notes(section, measures))
    )


def _loss_notes(section: Section, measures: Sequence[Measure]) -> Iterator[str]:
    """Where ROAR+ divides by a loss that is too small for a percentage of it to mean much."""
    for measure in measures:
        if (measure.name, measure.column) == ("roar-plus", "loss_original"):
            losses = np.concatenate([section.values(entry.label, measure) for entry in section.methods])
            smallest = float(np.nanmin(losses)) if np.isfinite(losses).any() else math.inf
            if smallest < SMALL_LOSS:
                yield (
                    f"The loss on clean films is as small as {smallest:.4f}. Below {SMALL_LOSS} the percentages of "
                    "ROAR+ magnify noise: compare the losses themselves, or validate on more films."
                )


def pairwise(numbers: Numbers, measure: Measure, key: str) -> Table:
    """Every method minus every other."""
    methods = [entry.label for entry in numbers.section.methods]
    order = sorted(methods, key=lambda method: _worth(numbers.mean(method, measure), measure))
    tests = [(first, second, measure) for at, first in enumerate(order) for second in order[at + 1 :]]
    found = tested(numbers, tests, by="ranks")
    rows = [
        Row(first, "method", tuple(found.get((first, second, measure)) for second in order[1:])) for first in order[:-1]
    ]
    return Table(
        key,
        f"{heading(measure)}: methods against each other",
        "Row minus column",
        tuple(Column(method) for method in order[1:]),
        tuple(rows),
        "Best method first. "
        + _tests_lead(
            found,
            "Paired differences with 95 % intervals; p: Wilcoxon’s signed-rank test over films, corrected after Holm "
            f"for the {len(tests)} pairs, as intervals are not; ▲ and ▼ where it is below 0.05.",
            "Paired differences. ",
        ),
    )


def _tests_lead(found: Mapping[Any, Compared], lead: str, without: str = "") -> str:
    """What p and the intervals are; that there are none, where too few patients or films stand behind every number."""
    if any(math.isfinite(compared.p) or math.isfinite(compared.comparison.low) for compared in found.values()):
        return lead
    return f"{without}No p and no intervals: {TOO_FEW}."


def tested(
    numbers: Numbers, tests: Sequence[tuple[str, str, Measure]], by: Literal["mean", "ranks"]
) -> dict[tuple[str, str, Measure], Compared]:
    """Comparisons with p-values corrected within each measure.

    Args:
        numbers: of the section.
        tests: first, second, measure.
        by: "mean" for the bootstrap's p, "ranks" for Wilcoxon's, which has no least value where tests are many.
    """
    made = {(first, second, measure): numbers.compare(first, second, measure) for first, second, measure in tests}
    found: dict[tuple[str, str, Measure], Compared] = {}
    for measure in dict.fromkeys(measure for _, _, measure in made):
        keys = [key for key in made if key[2] == measure]
        values = [made[key].p_bootstrap if by == "mean" else made[key].p_wilcoxon for key in keys]
        for key, p in zip(keys, holm(values), strict=True):
            first, second, _ = key
            favours = _favours(made[key], measure) if p < SIGNIFICANT else ""
            found[key] = Compared(made[key], float(p), style_of(measure), first, second, measure, favours)
    return found


def paper_table(numbers: Numbers, table: PublishedTable, key: str) -> Table | None:
    """This run laid out like a paper's table, its numbers beside ours; None where the run measured none of it."""
    matched = [_match(numbers.section, column) for column in table.columns]
    if not any(matched):
        return None
    made = (_across if table.across else _down)(numbers, table, matched)
    title = f"As {table.paper}, table {table.number}"
    error = f" ± is the {table.error}." if table.error else ""
    lead = (
        f"Quoted lines are as published in {table.source}, table {table.number}: {table.model} on {table.data}.{error} "
        f"This run is {numbers.section.model} on {numbers.section.dataset}: another model and other data, so the "
        "quoted and the measured numbers are not comparable; only the layout is shared."
    )
    absent = list(
        dict.fromkeys(
            f"{column.group} {column.label}".strip()
            for column, measure in zip(table.columns, matched, strict=True)
            if measure is None
        )
    )
    notes = [f"Not measured in this run: {', '.join(absent).rstrip('.')}."] if absent else []
    if any(column.setting == ("target", "predicted") for column in table.columns):
        notes.append(
            "The columns of the prediction need the map of the predicted class’s phrase; a run explains the phrase of "
            "the sample, so it has no such column."
        )
    notes += [DEFECTS[name] for name in table.defects]
    return Table(key, title, made[0], made[1], made[2], lead, tuple(notes), table)


def _down(
    numbers: Numbers, table: PublishedTable, matched: Sequence[Measure | None]
) -> tuple[str, tuple[Column, ...], tuple[Row, ...]]:
    """Methods as rows, the quoted line under each."""
    section = numbers.section

    def ours(label: str) -> tuple[Cell, ...]:
        return tuple(numbers.of(label, measure) if measure else None for measure in matched)

    def quoted(label: str) -> tuple[Cell, ...]:
        row = next(row for row in table.rows if row.label == label)
        cells = zip(row.printed.split(), table.columns, strict=True)
        return tuple(Quoted(printed, column, label, table) for printed, column in cells)

    rows: list[Row] = []
    placed: set[str] = set()
    for row in table.rows:
        for method in (entry for entry in section.methods if entry.name in row.methods):
            rows.append(Row(method.label, "method", ours(method.label), hint=method.description))
            placed.add(method.label)
        rows.append(Row(f"{row.label}, as published", "quoted", quoted(row.label), row.label))
    for method in section.methods:
        if method.label not in placed:
            rows.append(Row(method.label, "method", ours(method.label), hint=method.description))
    for control in section.shared:
        if any(measure and section.has(control.label, measure) for measure in matched):
            rows.append(Row(control.label, "control", ours(control.label), hint=control.description))
    columns = tuple(Column(column.label, column.better, column.group) for column in table.columns)
    return "Method", columns, tuple(rows)


def _across(
    numbers: Numbers, table: PublishedTable, matched: Sequence[Measure | None]
) -> tuple[str, tuple[Column, ...], tuple[Row, ...]]:
    """Methods as columns; for each quantity the line of this run, of places its controls, and those of the paper."""
    section = numbers.section
    heads: list[tuple[str, str | None]] = []  # (name in the paper or label, label of our method)
    for row in table.rows:
        own = [entry.label for entry in section.methods if entry.name in row.methods]
        heads += [(row.label, label) for label in own] or [(row.label, None)]
    named = {label for _, label in heads}
    heads += [(entry.label, entry.label) for entry in section.methods if entry.label not in named]
    printed = {row.label: row.printed.split() for row in table.rows}
    beside = [entry.label for entry in section.shared if entry.label in ("control: uniform", "control: random")]

    def ours(measure: Measure, label: Callable[[str], str | None]) -> tuple[Cell, ...]:
        labels = [label(method) if method else None for _, method in heads]
        return tuple(numbers.of(one, measure) if one else None for one in labels)

    def quoted(at: int, group: str) -> Row:
        column = table.columns[at]
        cells = tuple(Quoted(printed[head][at], column, head, table) if head in printed else None for head, _ in heads)
        data = "MS-CXR" if "MSCXR" in column.group else "Conceptual Captions"
        return Row(f"as published, {data}", "quoted", (*cells, *(None,) * len(beside)), group=group)

    rows: list[Row] = []
    quantities = dict.fromkeys((column.metric, column.column) for column in table.columns)
    for quantity in quantities:
        places = [at for at, one in enumerate(table.columns) if (one.metric, one.column) == quantity]
        first, measure = table.columns[places[0]], matched[places[0]]
        group = f"{'Image' if 'Image' in first.group else 'Text'}, {first.label} {ARROWS[first.better]}"
        if measure:
            controls = tuple(numbers.of(label, measure) for label in beside)
            own = Row(f"this run, {section.dataset}", "method", (*ours(measure, str), *controls), group=group)
            rows += [own, *(_controls_across(section, measure, group, ours, len(beside)) if measure.localises else ())]
        rows += [quoted(at, group) for at in places]
    columns = [Column(head if label in (None, head) else f"{head} ({label})") for head, label in heads]
    columns += [Column(label.removeprefix("control: "), group="controls") for label in beside]
    return "Quantity", tuple(columns), tuple(rows)


def _controls_across(
    section: Section,
    measure: Measure,
    group: str,
    ours: Callable[[Measure, Callable[[str], str | None]], tuple[Cell, ...]],
    width: int,
) -> list[Row]:
    """Under a line of places the lines of the controls, those of a method in its column."""
    kinds: dict[str, dict[str, str]] = {}
    for method in section.methods:
        for control in section.controls_of(method.label):
            kinds.setdefault(short(control, method.label), {})[method.label] = control.label
    for control in section.shared:
        kinds[short(control, "")] = {method.label: control.label for method in section.methods}
    empty = (None,) * width
    return [
        Row(kind, "control", (*ours(measure, of.get), *empty), "methods above", group) for kind, of in kinds.items()
    ]


def _match(section: Section, column: PublishedColumn) -> Measure | None:
    """The measure of this run that a published column corresponds to."""
    for measure in section.measures:
        same = (measure.name, measure.column) == (column.metric, column.column)
        if same and (column.setting is None or measure.parameters.get(column.setting[0]) == column.setting[1]):
            return measure
    return None


def columns_of(measures: Sequence[Measure]) -> tuple[Column, ...]:
    return tuple(Column(heading(measure), measure.better) for measure in measures)


def heading(measure: Measure) -> str:
    """Label and unit of a measure."""
    style = style_of(measure)
    return f"{style.label}, {style.unit}" if style.unit else style.label


def short(control: Entry, method: str) -> str:
    """A control's name under its method: "random weights" instead of "matex (random weights)"."""
    label = control.label.removeprefix("control: ")
    return label.removeprefix(f"{method} (").removesuffix(")") if control.of else label


def _favours(comparison: Comparison, measure: Measure) -> Literal["first", "second", ""]:
    if measure.better == "neither" or comparison.difference == 0:
        return ""
    return "first" if (comparison.difference > 0) == (measure.better == "higher") else "second"


def _worth(mean: float, measure: Measure) -> tuple[bool, float]:
    """Sorts the best first and the undefined last."""
    return (math.isnan(mean), mean if measure.better == "lower" else -mean)


def _levels(values: Sequence[Any], films: int) -> dict[str, NDArray[np.bool_]]:
    """Samples by level; none for what is only another name of each film."""
    known = [value for value in values if value is not None and value != ""]
    different = set(known)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    counted = all(isinstance(value, int) for value in known)
    if numeric and counted and len(different) >= films:
        return {}
    if numeric and len(different) > (LEVELS if counted else 3):
        column = np.array([math.nan if value in (None, "") else float(value) for value in values])
        low, high = np.nanquantile(column, [1 / 3, 2 / 3])
        return {
            f"up to {low:.3g}": column <= low,
            f"{low:.3g} to {high:.3g}": (column > low) & (column <= high),
            f"above {high:.3g}": column > high,
        }
    if len(different) > LEVELS * 2:
        return {}
    return {str(level): np.array([value == level for value in values]) for level in sorted(different, key=str)}


def _outside_note(section: Section, measures: Sequence[Measure]) -> str:
    """Which share of the truth the model does not see."""
    for measure in section.measures:
        if measure.column == "outside_view" and measure.metric in {one.metric for one in measures}:
            values = section.values(section.methods[0].label, measure)
            if not np.isnan(values).all() and np.nanmax(values) > 0:
                return (
                    f"On average {100 * np.nanmean(values):.1f} % of what is marked lies outside of what the model "
                    "sees (centre crop); it counts neither for nor against a map."
                )
    return ""


def _exchanged_note(numbers: Numbers, measures: Sequence[Measure]) -> str:
    """How the exchanged side reads, and on how many samples it exists."""
    section = numbers.section
    labels = [entry.label for entry in section.entries.values() if entry.label.endswith(EXCHANGED)]
    counts = [found.summary.defined for label in labels for one in measures if (found := numbers.of(label, one))]
    if not labels:
        return ""
    if not any(counts):
        return "Exchanged side: no phrase of these samples names a side, so there is no such control."
    return (
        f"Exchanged side: the method for the phrase with left and right exchanged, on the {max(counts)} samples whose "
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


@dataclass(frozen=True)
class Curve:
    """Values along a share of pixels or tokens.

    Args:
        measures: one per point.
        percents: where the points lie.
    """

    name: str
    metric: str
    measures: tuple[Measure, ...] = field(repr=False)
    percents: tuple[int, ...] = ()


def curves(section: Section) -> list[Curve]:
    """Every column family with points, in the order of the metrics."""
    found: dict[tuple[str, str], list[tuple[int, Measure]]] = {}
    for measure in section.measures:
        if point := curve_of(measure.column):
            found.setdefault((measure.metric, point[0]), []).append((point[1], measure))
    return [
        Curve(
            name, metric, tuple(m for _, m in sorted(points, key=lambda p: p[0])), tuple(sorted(p for p, _ in points))
        )
        for (metric, name), points in found.items()
    ]


def plain_measures(section: Section) -> list[Measure]:
    """Measures that stand for themselves: no points of curves, stages, or agreements with another method."""
    return [
        measure
        for measure in section.measures
        if not curve_of(measure.column)
        and not stage_of(measure.column)
        and " with " not in measure.column
        and measure.column != "outside_view"
    ]
