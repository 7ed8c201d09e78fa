"""Tables of a run in the layout of the papers, with the numbers that the papers print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from matex.benchmark.report.papers import DEFECTS, PublishedColumn, PublishedTable
from matex.benchmark.report.section import Measure, Section
from matex.benchmark.report.stats import SectionStats
from matex.benchmark.report.style import ARROWS
from matex.benchmark.report.table import Cell, Column, QuotedCell, Table, TableRow, mean_cell
from matex.benchmark.report.tables import short_label

Layout = tuple[str, tuple[Column, ...], tuple[TableRow, ...]]  # heading of the first column, columns, rows


def paper_table(stats: SectionStats, table: PublishedTable, key: str) -> Table | None:
    """This run in the layout of a paper's table, with its numbers; None where the run measured none of it."""
    matched = [_match(stats.section, column) for column in table.columns]
    if not any(matched):
        return None
    corner, columns, rows = (_methods_as_columns if table.across else _methods_as_rows)(stats, table, matched)
    title = f"As {table.paper}, table {table.number}"
    error = f" ± is the {table.error}." if table.error else ""
    lead = (
        f"Quoted lines are as published in {table.source}, table {table.number}: {table.model} on {table.data}.{error} "
        f"This run is {stats.section.model} on {stats.section.dataset}: another model and other data, so the "
        "quoted and the measured numbers are not comparable; only the layout is shared."
    )
    return Table(key, title, corner, columns, rows, lead, tuple(_notes(table, matched)), table)


def _notes(table: PublishedTable, matched: Sequence[Measure | None]) -> Iterator[str]:
    """Notes on parts of the paper's table that were not measured, and on its known errors."""
    absent = dict.fromkeys(
        f"{column.group} {column.label}".strip()
        for column, measure in zip(table.columns, matched, strict=True)
        if measure is None
    )
    if absent:
        yield f"Not measured in this run: {', '.join(absent).rstrip('.')}."
    if any(column.setting == ("target", "predicted") for column in table.columns):
        yield "Columns of the prediction are of the map of the predicted class’s phrase, others of the true class’s."
    yield from (DEFECTS[name] for name in table.defects)


def _methods_as_rows(stats: SectionStats, table: PublishedTable, matched: Sequence[Measure | None]) -> Layout:
    """Methods as rows, the quoted one under each."""
    section = stats.section

    def measured(label: str) -> tuple[Cell, ...]:
        return tuple(mean_cell(stats.estimate(label, measure)) if measure else None for measure in matched)

    def quoted(label: str) -> tuple[Cell, ...]:
        row = next(row for row in table.rows if row.label == label)
        cells = zip(row.printed.split(), table.columns, strict=True)
        return tuple(QuotedCell(printed, column, label, table) for printed, column in cells)

    rows: list[TableRow] = []
    placed: set[str] = set()
    for row in table.rows:
        for method in (entry for entry in section.methods if entry.name in row.methods):
            rows.append(TableRow(method.label, "method", measured(method.label), hint=method.description))
            placed.add(method.label)
        rows.append(TableRow(f"{row.label}, as published", "quoted", quoted(row.label), row.label))
    for method in section.methods:
        if method.label not in placed:
            rows.append(TableRow(method.label, "method", measured(method.label), hint=method.description))
    for control in section.shared:
        if any(measure and section.has(control.label, measure) for measure in matched):
            rows.append(TableRow(control.label, "control", measured(control.label), hint=control.description))
    columns = tuple(Column(column.label, column.better, column.group) for column in table.columns)
    return "Method", columns, tuple(rows)


def _methods_as_columns(stats: SectionStats, table: PublishedTable, matched: Sequence[Measure | None]) -> Layout:
    """Methods as columns; for each quantity the row of this run, its controls if it localises, and the paper's rows."""
    section = stats.section
    heads = _heads(section, table)
    printed = {row.label: row.printed.split() for row in table.rows}
    controls = [entry.label for entry in section.shared if entry.label in ("control: uniform", "control: random")]

    def measured(measure: Measure, label_of: Callable[[str], str | None]) -> tuple[Cell, ...]:
        labels = [label_of(method) if method else None for _, method in heads]
        return tuple(mean_cell(stats.estimate(label, measure)) if label else None for label in labels)

    def quoted(index: int, group: str) -> TableRow:
        column = table.columns[index]
        cells = [
            QuotedCell(printed[head][index], column, head, table) if head in printed else None for head, _ in heads
        ]
        data = "MS-CXR" if "MSCXR" in column.group else "Conceptual Captions"
        return TableRow(f"as published, {data}", "quoted", (*cells, *(None,) * len(controls)), group=group)

    rows: list[TableRow] = []
    quantities = dict.fromkeys((column.metric, column.column) for column in table.columns)
    for quantity in quantities:
        indices = [index for index, one in enumerate(table.columns) if (one.metric, one.column) == quantity]
        first, measure = table.columns[indices[0]], matched[indices[0]]
        group = f"{'Image' if 'Image' in first.group else 'Text'}, {first.label} {ARROWS[first.better]}"
        if measure:
            cells = (
                *measured(measure, str),
                *(mean_cell(stats.estimate(label, measure)) for label in controls),
            )
            rows.append(TableRow(f"this run, {section.dataset}", "method", cells, group=group))
            if measure.localises:
                rows += _control_rows(section, measure, group, measured, len(controls))
        rows += [quoted(index, group) for index in indices]
    columns = [Column(head if label in (None, head) else f"{head} ({label})") for head, label in heads]
    columns += [Column(label.removeprefix("control: "), group="controls") for label in controls]
    return "Quantity", tuple(columns), tuple(rows)


def _heads(section: Section, table: PublishedTable) -> list[tuple[str, str | None]]:
    """(name in the paper, label of our method or None) of each column, then the methods that the paper lacks."""
    heads: list[tuple[str, str | None]] = []
    for row in table.rows:
        own = [entry.label for entry in section.methods if entry.name in row.methods]
        heads += [(row.label, label) for label in own] or [(row.label, None)]
    named = {label for _, label in heads}
    return heads + [(entry.label, entry.label) for entry in section.methods if entry.label not in named]


def _control_rows(
    section: Section,
    measure: Measure,
    group: str,
    measured: Callable[[Measure, Callable[[str], str | None]], tuple[Cell, ...]],
    width: int,
) -> list[TableRow]:
    """The controls of a row of localisation, those of a method in its column; `width` empty cells at the end."""
    kinds: dict[str, dict[str, str]] = {}
    for method in section.methods:
        for control in section.controls_of(method.label):
            kinds.setdefault(short_label(control), {})[method.label] = control.label
    for control in section.shared:
        kinds[short_label(control)] = {method.label: control.label for method in section.methods}
    empty = (None,) * width
    return [
        TableRow(kind, "control", (*measured(measure, label_of.get), *empty), "methods above", group)
        for kind, label_of in kinds.items()
    ]


def _match(section: Section, column: PublishedColumn) -> Measure | None:
    """The measure of this run that a published column corresponds to."""
    for measure in section.measures:
        same = (measure.name, measure.column) == (column.metric, column.column)
        if same and (column.setting is None or measure.parameters.get(column.setting[0]) == column.setting[1]):
            return measure
    return None
