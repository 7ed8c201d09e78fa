"""A table of a report as data; html.py and latex_csv.py write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from matex.benchmark.report.papers import PublishedColumn, PublishedTable
from matex.benchmark.report.section import Better
from matex.benchmark.report.stats import Difference, Estimate, best_of
from matex.benchmark.report.style import Style, style_of

RowKind = Literal["method", "control", "quoted"]


@dataclass(frozen=True)
class MeanCell:
    """A mean of this run, and how it is written."""

    estimate: Estimate
    style: Style


@dataclass(frozen=True)
class DifferenceCell:
    """A difference between two methods, and how it is written.

    Args:
        difference: first minus second.
        style: of the measure.
        note: what the second is called in the cell; empty where the row says it.
    """

    difference: Difference
    style: Style
    note: str = ""


@dataclass(frozen=True)
class QuotedCell:
    """A number as a paper prints it, with ± and its error where it has one."""

    printed: str
    column: PublishedColumn
    row: str
    table: PublishedTable


Cell = MeanCell | DifferenceCell | QuotedCell | str | None


@dataclass(frozen=True)
class Column:
    """A heading; `group` is one above it, over several columns."""

    label: str
    better: Better = "neither"
    group: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Args:
        label: its heading.
        kind: how it is shown.
        cells: one per column.
        of: label of the method that it belongs to; empty for what belongs to none.
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
        rows: in order.
        lead: text above it.
        notes: text under it.
        published: the paper's table whose layout it has.
    """

    key: str
    title: str
    corner: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    lead: str = ""
    notes: tuple[str, ...] = ()
    published: PublishedTable | None = None

    @property
    def methods_across(self) -> bool:
        """Whether methods are the columns and measures the rows."""
        return self.published is not None and self.published.across


def mean_cell(estimate: Estimate | None) -> MeanCell | None:
    """The cell of a mean; None where nothing was measured."""
    return None if estimate is None else MeanCell(estimate, style_of(estimate.measure))


def difference_cell(difference: Difference | None, note: str = "") -> DifferenceCell | None:
    """The cell of a difference; None where nothing was compared."""
    return None if difference is None else DifferenceCell(difference, style_of(difference.measure), note)


class Counts(NamedTuple):
    """Sample size of a mean: samples and clusters, or repetitions of a dataset-level metric."""

    defined: int
    undefined: int
    clusters: int
    dataset_level: bool

    @classmethod
    def of(cls, estimate: Estimate) -> Counts:
        summary = estimate.summary
        return cls(summary.defined, summary.undefined, summary.clusters, estimate.measure.dataset_level)

    def __str__(self) -> str:
        if not self.dataset_level:
            clusters = f" from {self.clusters}" if self.clusters != self.defined else ""
            return f"n = {self.defined}{clusters}" + (f", {self.undefined} undefined" if self.undefined else "")
        total = self.defined + self.undefined
        repetitions = f"{total} repetition{'' if total == 1 else 's'}"
        return f"{self.defined} of {repetitions} defined" if self.undefined else repetitions


def common_counts(table: Table) -> list[Counts | None]:
    """The most frequent counts of each column; of the whole table where methods are its columns."""

    def most_frequent(columns: Sequence[int]) -> Counts | None:
        cells = [row.cells[column] for row in table.rows for column in columns]
        counts = Counter(Counts.of(cell.estimate) for cell in cells if isinstance(cell, MeanCell))
        return counts.most_common(1)[0][0] if counts else None

    every = range(len(table.columns))
    if table.methods_across:
        return [most_frequent(every)] * len(table.columns)
    return [most_frequent([column]) for column in every]


def best_cells(table: Table) -> set[tuple[int, int]]:
    """(row, column) of the best method of each column; of each row, where methods are columns."""
    lines: dict[int, list[tuple[int, int, Estimate]]] = {}
    for index, row in enumerate(table.rows):
        for column, cell in enumerate(row.cells):
            if row.kind == "method" and isinstance(cell, MeanCell) and table.columns[column].group != "controls":
                line = index if table.methods_across else column
                lines.setdefault(line, []).append((index, column, cell.estimate))
    return {
        line[number][:2]
        for line in lines.values()
        for number in best_of([estimate.summary.mean for *_, estimate in line], _direction(table, *line[0]))
    }


def _direction(table: Table, _row: int, column: int, estimate: Estimate) -> Better:
    """Better direction along the line of a cell: that of its column, or of the row's measure."""
    return estimate.measure.better if table.methods_across else table.columns[column].better
