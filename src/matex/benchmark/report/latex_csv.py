"""The tables of a report as LaTeX (booktabs) and as one CSV of a row per number."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from matex.benchmark.report.section import Measure
from matex.benchmark.report.style import ARROWS
from matex.benchmark.report.table import Cell, Column, DifferenceCell, MeanCell, QuotedCell, Table, TableRow
from matex.results import DISCLAIMER
from matex.spreadsheets import spreadsheet_safe

COLUMNS: tuple[str, ...] = (
    "section",
    "table",
    "kind",
    "row",
    "of",
    "group",
    "heading",
    "metric",
    "column",
    "method",
    "against",
    "value",
    "low",
    "high",
    "error",
    "n",
    "undefined",
    "clusters",
    "draws",
    "spread",
    "p_holm",
    "better",
    "source",
)
WIDE = 6  # columns from which a table is shrunk to the width of the text
FLOATS = 10  # tables between ends of pages: LaTeX stops at some tens of tables that wait for their place
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "’": "'",
    "“": "``",
    "”": "''",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
}
_LATIN = 0x180  # letters that T1 fonts and inputenc know end here
_HEAD = r"""% Written by matex report. Copy the tables you need, with \usepackage{amssymb,booktabs,graphicx,longtable}.
% Quoted lines are as published, on other models and other data: not comparable with the lines of this run.
\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{amssymb,booktabs,graphicx,longtable}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\begin{document}
"""


def as_latex(sections: Sequence[tuple[str, Sequence[Table]]], title: str) -> str:
    """A document that compiles by itself; each table between comments that name it."""
    parts = [_HEAD, f"\\section*{{{escape(title)}}}\n\\noindent {escape(DISCLAIMER)}\n"]
    for name, tables in sections:
        parts.append(f"\n\\subsection*{{{escape(name)}}}\n")
        for at, table in enumerate(tables, start=1):
            parts.append(latex_table(table))
            parts.append("\\clearpage\n" if at % FLOATS == 0 or at == len(tables) else "")
    return "".join(parts) + "\\end{document}\n"


def latex_table(table: Table) -> str:
    """One table; one of many lines runs over several pages, one of many columns is made smaller."""
    spec = "l" + "r" * len(table.columns)
    heads = [*_group_line(table.columns), _line([table.corner, *(_head(column) for column in table.columns)])]
    body = "".join(_latex_rows(table.rows, len(table.columns)))
    caption = escape(" ".join(part for part in (f"{table.title}.", table.lead) if part))
    notes = "".join(f"\\par\\footnotesize {escape(note)}\n" for note in table.notes)
    start = f"\n% --- {table.key}\n"
    if len(table.rows) > 36:
        return (
            f"{start}{{\\scriptsize\\begin{{longtable}}{{{spec}}}\n\\caption{{{caption}}}\\\\\n\\toprule\n"
            f"{''.join(heads)}\\midrule\\endhead\n{body}\\bottomrule\n\\end{{longtable}}\n{notes}}}\n"
        )
    tabular = (
        f"\\begin{{tabular}}{{{spec}}}\n\\toprule\n{''.join(heads)}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}"
    )
    if len(table.columns) >= WIDE:
        tabular = f"\\resizebox{{\\textwidth}}{{!}}{{%\n{tabular}}}"
    opened = f"{start}\\begin{{table}}[ht]\\centering\\footnotesize\n\\caption{{{caption}}}\n"
    return f"{opened}{tabular}\n{notes}\\end{{table}}\n"


def as_csv(sections: Sequence[tuple[str, Sequence[Table]]]) -> str:
    """Every number of every table, as printed but in full precision; empty where there is none."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for name, tables in sections:
        for table in tables:
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    if cell is not None and not isinstance(cell, str):
                        facts = {**_where(name, table, row, column), **_facts(cell)}
                        writer.writerow({field: spreadsheet_safe(value) for field, value in facts.items()})
    return stream.getvalue()


def escape(text: str) -> str:
    """Text as LaTeX prints it; letters that its fonts lack by their number, so that the document compiles."""
    return "".join(
        _ESCAPES.get(letter, letter if ord(letter) < _LATIN else f"[U+{ord(letter):04X}]") for letter in text
    )


def _where(section: str, table: Table, row: TableRow, column: Column) -> dict[str, object]:
    return {
        "section": section,
        "table": table.key,
        "kind": row.kind,
        "row": row.label,
        "of": row.of,
        "group": " ".join(part for part in (row.group, column.group) if part),
        "heading": column.label,
    }


def _facts(cell: MeanCell | DifferenceCell | QuotedCell) -> dict[str, object]:
    """The columns of report.csv that depend on the cell."""
    if isinstance(cell, QuotedCell):
        return _quoted_facts(cell)
    facts, ends = _difference_facts(cell) if isinstance(cell, DifferenceCell) else _mean_facts(cell)
    scale = cell.style.scale
    return {
        **facts,
        "source": "this run",
        **{name: "" if math.isnan(value) else repr(scale * value) for name, value in ends.items()},
    }


def _quoted_facts(cell: QuotedCell) -> dict[str, object]:
    value, _, error = cell.printed.partition("±")
    return {
        "metric": cell.column.metric,
        "column": cell.column.column,
        "method": cell.row,
        "value": value,
        "error": error,
        "better": cell.column.better,
        "source": f"{cell.table.source}, table {cell.table.number}: {cell.table.data}",
    }


def _mean_facts(cell: MeanCell) -> tuple[dict[str, object], dict[str, float]]:
    estimate, summary = cell.estimate, cell.estimate.summary
    facts: dict[str, object] = {
        **_measure_facts(estimate.measure),
        "method": estimate.method,
        "n": summary.defined,
        "undefined": summary.undefined,
        "draws": estimate.repetitions,
        "clusters": summary.clusters,
    }
    return facts, {"value": summary.mean, "low": summary.low, "high": summary.high, "spread": estimate.spread}


def _difference_facts(cell: DifferenceCell) -> tuple[dict[str, object], dict[str, float]]:
    difference, comparison = cell.difference, cell.difference.comparison
    facts: dict[str, object] = {
        **_measure_facts(difference.measure),
        "method": difference.first,
        "against": difference.second,
        "n": comparison.pairs,
        "undefined": comparison.undefined,
        "clusters": comparison.clusters,
        "p_holm": "" if math.isnan(difference.p) else repr(difference.p),
    }
    return facts, {"value": comparison.difference, "low": comparison.low, "high": comparison.high}


def _measure_facts(measure: Measure) -> dict[str, str]:
    return {"metric": measure.metric, "column": measure.column, "better": measure.better}


def _group_line(columns: Sequence[Column]) -> list[str]:
    """A line of headings over several columns, with rules under them; nothing when no column has one."""
    if not any(column.group for column in columns):
        return []
    cells, rules, at = [""], "", 2
    for group, some in groupby(column.group for column in columns):
        width = len(list(some))
        cells.append(f"\\multicolumn{{{width}}}{{c}}{{{escape(group)}}}")
        rules += f"\\cmidrule(lr){{{at}-{at + width - 1}}}" if group else ""
        at += width
    return [" & ".join(cells) + " \\\\\n", f"{rules}\n"]


def _head(column: Column) -> str:
    return f"{column.label} {ARROWS[column.better]}".strip()


def _latex_rows(rows: Sequence[TableRow], columns: int) -> Iterator[str]:
    group = ""
    for at, row in enumerate(rows):
        if row.group and row.group != group:
            rule = "\\midrule\n" if at else ""
            yield f"{rule}\\multicolumn{{{columns + 1}}}{{l}}{{\\textbf{{{escape(row.group)}}}}} \\\\\n"
        group = row.group or group
        label = escape(row.label)
        if label.startswith(("[", "*")):  # behind the end of a line they would be its arguments
            label = "{}" + label
        if row.kind == "control":
            label = f"\\quad\\textit{{{label}}}"
        elif row.kind == "quoted":
            label = f"\\quad {label}"
        yield " & ".join([label, *(_latex_cell(cell) for cell in row.cells)]) + " \\\\\n"


def _latex_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return escape(cell)
    if isinstance(cell, QuotedCell):
        return escape(cell.printed)
    if isinstance(cell, DifferenceCell):
        found = cell.difference.comparison
        interval = cell.style.interval(found.low, found.high, signed=True)
        mark = {"first": "▲", "second": "▼", "": ""}[cell.difference.favours]
        return escape(f"{mark} {cell.style.number(found.difference, signed=True)} {interval}".strip())
    summary = cell.estimate.summary
    return escape(f"{cell.style.number(summary.mean)} {cell.style.interval(summary.low, summary.high)}".strip())


def _line(cells: Sequence[str]) -> str:
    return " & ".join(escape(cell) for cell in cells) + " \\\\\n"
