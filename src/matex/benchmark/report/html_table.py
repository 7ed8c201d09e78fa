"""A table of a report as its HTML template reads it: every cell as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from matex.benchmark.report.section import Better
from matex.benchmark.report.style import ARROWS
from matex.benchmark.report.table import (
    Cell,
    Counts,
    DifferenceCell,
    MeanCell,
    QuotedCell,
    RowKind,
    Table,
    best_cells,
    common_counts,
)
from matex.benchmark.report.tables import TOO_FEW
from matex.metrics.statistics import FEWEST_CLUSTERS

WIDE = 7  # columns from which a table is set closer


@dataclass(frozen=True)
class HeadView:
    """A heading of a column; `counts` is what its means are of, where that differs between columns."""

    label: str
    better: Better
    arrow: str
    counts: str


@dataclass(frozen=True)
class CellView:
    """A cell: plain text, or a value with small lines under it; `mark` is a class, `hint` is shown on hovering."""

    text: str = ""
    value: str = ""
    lines: tuple[str, ...] = ()
    mark: str = ""
    hint: str = ""


@dataclass(frozen=True)
class RowView:
    """A row; `group` is a heading above it, empty where it is that of the row before."""

    label: str
    kind: RowKind
    hint: str
    group: str
    cells: tuple[CellView, ...]


@dataclass(frozen=True)
class TableView:
    """A table; `groups` are headings over several columns with their widths."""

    key: str
    title: str
    lead: str
    corner: str
    wide: bool
    groups: tuple[tuple[str, int], ...]
    heads: tuple[HeadView, ...]
    rows: tuple[RowView, ...]
    notes: tuple[str, ...]


def table_view(table: Table) -> TableView:
    """A table with its counts, the best method of each column and its footnotes in words."""
    common = common_counts(table)
    grouped = any(column.group for column in table.columns)
    groups = [(name, len(list(some))) for name, some in groupby(column.group for column in table.columns)]
    notes = (*([_counts_note(common)] if any(common) else []), *table.notes)
    return TableView(
        table.key,
        table.title,
        table.lead,
        table.corner,
        len(table.columns) >= WIDE,
        tuple(groups) if grouped else (),
        tuple(_heads(table, common)),
        tuple(_rows(table, common)),
        notes,
    )


def _heads(table: Table, common: Sequence[Counts | None]) -> Iterator[HeadView]:
    differ = len({counts for counts in common if counts}) > 1
    for column, counts in zip(table.columns, common, strict=True):
        counted = str(counts) if differ and counts else ""
        yield HeadView(column.label, column.better, ARROWS[column.better], counted)


def _rows(table: Table, common: Sequence[Counts | None]) -> Iterator[RowView]:
    best = best_cells(table)
    group = ""
    for index, row in enumerate(table.rows):
        cells = (
            _cell(cell, counts, (index, column) in best)
            for column, (cell, counts) in enumerate(zip(row.cells, common, strict=True))
        )
        yield RowView(row.label, row.kind, row.hint, row.group if row.group != group else "", tuple(cells))
        group = row.group or group


def _cell(cell: Cell, common: Counts | None, best: bool) -> CellView:
    if cell is None or isinstance(cell, str):
        return CellView(cell or "")
    if isinstance(cell, QuotedCell):
        return CellView(value=cell.printed.replace("±", " ± "))
    return _difference(cell) if isinstance(cell, DifferenceCell) else _mean(cell, common, best)


def _mean(cell: MeanCell, common: Counts | None, best: bool) -> CellView:
    """A mean with its interval, and what it is of where that differs from most of the column."""
    estimate, style = cell.estimate, cell.style
    counts = Counts.of(estimate)
    hint = str(counts)
    if estimate.repetitions > 1:
        seeds = "" if estimate.measure.dataset_level else f"{estimate.repetitions} seeds, "
        hint += f"; {seeds}standard deviation between them {style.number(estimate.spread)}"
    lines = (style.interval(estimate.summary.low, estimate.summary.high), str(counts) if counts != common else "")
    value = style.number(estimate.summary.mean)
    return CellView("", value, tuple(line for line in lines if line), "best" if best else "", hint)


def _difference(cell: DifferenceCell) -> CellView:
    """A difference with its interval, p-value and the name of what it is taken against."""
    difference, found, style = cell.difference, cell.difference.comparison, cell.style
    lines = (style.interval(found.low, found.high, signed=True), _p_value(difference.p), cell.note)
    counts = f"n = {found.pairs} from {found.clusters}, undefined = {found.undefined}"
    mark = {"first": "gain", "second": "loss", "": ""}[difference.favours]
    value = style.number(found.difference, signed=True)
    hint = f"{difference.first} minus {difference.second}: {counts}"
    return CellView("", value, tuple(line for line in lines if line), mark, hint)


def _p_value(p: float) -> str:
    if math.isnan(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _counts_note(common: Sequence[Counts | None]) -> str:
    """Definition of n."""
    different = {counts for counts in common if counts}
    name = "n or the number of repetitions" if any(counts.dataset_level for counts in different) else "n"
    enough = any(counts.clusters >= FEWEST_CLUSTERS for counts in different)
    first, *others = different
    note = f"{name} stands under the headings," if others else f"{first} in every cell"
    if any(counts.clusters != counts.defined and not counts.dataset_level for counts in different):
        note += " (samples from patients, or source films where patients are not known)"
    brackets = " In brackets: 95 % interval." if enough else f" No intervals: {TOO_FEW}."
    return f"{note} unless a cell says otherwise.{brackets} Underlined: the best method."
