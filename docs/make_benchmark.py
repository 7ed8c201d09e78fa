"""Write the numbers of benchmark runs into docs/benchmark/*.md: every table between its two marks is replaced.

python docs/make_benchmark.py RUNS     RUNS: folder of the runs of examples/evidence*.toml, each after `matex report`

A mark names the run and the table: `evidence-costly/s1-places-table` is of RUNS/evidence-costly/report.csv. A mark of
the kind `picture` names a figure of report.html, which is written to docs/benchmark/ under the name of the figure.
Tables of a run that is not in RUNS stay as they are, and the run is named at the end.
"""

from __future__ import annotations

import argparse
import base64
import csv
import html
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = [DOCS / "benchmark.md", *sorted((DOCS / "benchmark").glob("*.md"))]
SHOWN = ("matex", "mmel", "grad-eclip", "gradcam", "chefer", "legrad", "saliency", "raw-attention")  # in breakdowns
COMPARED = {"pointing": "points", "energy": "energy", "named_above_other": "named over other"}  # over models
Row = dict[str, str]


def localisation(rows: Sequence[Row], table: str) -> str:
    """A localisation table: each method, its own controls beneath it, those that all methods share at the end."""
    found = [row for row in rows if row["table"] == table]
    methods = [row for row in found if row["kind"] == "method"]
    lines = []
    for method in _names(methods):
        lines.append((f"**{method}**", [row for row in methods if row["row"] == method]))
        own = [row for row in found if row["of"] == method]
        lines += [(f"– {name}", [row for row in own if row["row"] == name]) for name in _names(own)]
    shared = _shared(found)
    lines += [(f"control: {name}", [row for row in shared if row["row"] == name]) for name in _names(shared)]
    return _table("map", [row["heading"] for row in lines[0][1]], [(name, map(_value, cells)) for name, cells in lines])


def plain(rows: Sequence[Row], table: str) -> str:
    """A table without controls of its own, row by row."""
    found = [row for row in rows if row["table"] == table]
    headings = list(dict.fromkeys(row["heading"] for row in found))
    return _table(
        "map",
        headings,
        [(name, map(_value, [row for row in found if row["row"] == name])) for name in _names(found)],
    )


def breakdown(rows: Sequence[Row], table: str) -> str:
    """A measure by the levels of an attribute, for some methods and the controls that all share, without intervals."""
    found = [row for row in rows if row["table"] == table]
    methods = [row for row in found if row["kind"] == "method"]
    shared = _shared(found)
    lines = [(name, [row for row in methods if row["row"] == name]) for name in SHOWN if name in _names(methods)]
    lines += [(f"control: {name}", [row for row in shared if row["row"] == name]) for name in _names(shared)]
    headings = list(dict.fromkeys(row["heading"] for row in found))
    return _table(
        "map",
        headings,
        [(name, (f"{float(row['value']):.0f}" if row["value"] else "–" for row in cells)) for name, cells in lines],
    )


def models(rows: Sequence[Row], table: str) -> str:
    """Means of the methods and the controls that all share on each model, the measures of COMPARED, no intervals."""
    found = [row for row in rows if row["table"] == table and row["column"] in COMPARED and not row["of"]]
    found = [row for row in found if " " not in row["heading"]]  # not the difference over models
    cells = {
        (row["row"], row["column"], row["heading"]): _value({**row, "heading": row["group"], "low": ""})
        for row in found
    }
    columns = [column for column in COMPARED if any(row["column"] == column for row in found)]
    names = list(dict.fromkeys(row["heading"] for row in found))
    controls = {row["row"] for row in found if row["kind"] == "control"}
    return _table(
        "map",
        [f"{COMPARED[column]}: {name}" for column in columns for name in names],
        [
            (
                f"control: {row}" if row in controls else row,
                [cells.get((row, column, name), "–") for column in columns for name in names],
            )
            for row in _names(found)
        ],
    )


def effects(rows: Sequence[Row], table: str) -> str:
    """What each method is above the first one, over the models, the measures of COMPARED."""
    found = [row for row in rows if row["table"] == table and row["column"] in COMPARED and " " in row["heading"]]
    columns = [column for column in COMPARED if any(row["column"] == column for row in found)]
    lines = []
    for name in _names(found):
        cells = {row["column"]: row for row in found if row["row"] == name and row["value"]}
        if cells:
            lines.append((name, [_value({**cells[one], "heading": cells[one]["group"]}) for one in columns]))
    return _table(f"map, {found[0]['heading']}", [COMPARED[column] for column in columns], lines)


def agreement(rows: Sequence[Row], table: str) -> str:
    """Kendall's tau between the models' rankings of the methods, the measures of COMPARED."""
    found = [row for row in rows if row["table"] == table and row["column"] in COMPARED]
    columns = list(dict.fromkeys(row["column"] for row in found))
    lines = [
        (
            name,
            [
                f"{float(row['value']):.2f} ({float(row['low']):.2f}–{float(row['high']):.2f})"
                for row in found
                if row["row"] == name
            ],
        )
        for name in _names(found)
    ]
    return _table("rankings of", [COMPARED[column] for column in columns], lines)


KINDS: dict[str, Callable[[Sequence[Row], str], str]] = {
    "localisation": localisation,
    "plain": plain,
    "breakdown": breakdown,
    "models": models,
    "agreement": agreement,
    "effects": effects,
}


def _shared(rows: Sequence[Row]) -> list[Row]:
    """The controls that stand under no single method; a table of places never goes without them."""
    shared = [row for row in rows if row["kind"] == "control" and not row["of"]]
    if not shared:
        raise SystemExit(f"Expected the controls of table {rows[0]['table']}, found none. Run matex report again.")
    return shared


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["row"] for row in rows))


def _value(row: Row) -> str:
    if not row["value"]:
        return "–"
    percent = "%" in row["heading"] or "100" in row["heading"]
    digits = 1 if percent else {"mass": 2, "kept": 2, "phrases": 0}.get(row["column"], 3)
    value = f"{float(row['value']):.{digits}f}"
    if row["low"]:
        value += f" ({float(row['low']):.{digits}f}–{float(row['high']):.{digits}f})"
    return value + (f", n = {row['n']}" if int(row["undefined"] or 0) else "")


def _table(corner: str, headings: Sequence[str], lines: Sequence[tuple[str, Iterable[str]]]) -> str:
    text = [f"| {corner} | " + " | ".join(headings) + " |", "| --- |" + " ---: |" * len(headings)]
    text += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in lines]
    return "\n".join(text)


def picture(report: str, key: str) -> tuple[bytes, str]:
    """A figure of report.html: its SVG, and what it shows in words."""
    found = re.search(
        rf'<figure id="{re.escape(key)}">.*?<img alt="([^"]*)" src="data:image/svg\+xml;base64,([^"]*)"', report, re.S
    )
    if not found:
        raise SystemExit(f"Expected figure {key} in report.html, found none. Run matex report again.")
    return base64.b64decode(found[2]), html.unescape(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    given = parser.parse_args()

    @cache
    def rows(run: str) -> list[Row]:
        with (given.runs / run / "report.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    absent: set[str] = set()

    def table_of(match: re.Match[str]) -> str:
        kind, run, table = match["kind"], match["run"], match["table"]
        if not (given.runs / run).exists():
            absent.add(run)
            return match[0]
        if kind == "picture":
            svg, words = picture((given.runs / run / "report.html").read_text(encoding="utf-8"), table)
            (DOCS / "benchmark" / f"{table}.svg").write_bytes(svg)
            return f"<!-- {kind} {run}/{table} -->\n![{words}](benchmark/{table}.svg)\n<!-- end -->"
        if not any(row["table"] == table for row in rows(run)):
            raise SystemExit(f"Expected table {table} of {given.runs / run}, found none. Run it, and matex report.")
        return f"<!-- {kind} {run}/{table} -->\n{KINDS[kind](rows(run), table)}\n<!-- end -->"

    marks = re.compile(r"<!-- (?P<kind>\w+) (?P<run>[\w-]+)/(?P<table>[\w-]+) -->\n.*?<!-- end -->", re.S)
    for page in PAGES:
        page.write_text(marks.sub(table_of, page.read_text(encoding="utf-8")), encoding="utf-8")
    if absent:
        print(f"Left as they are, for {given.runs} lacks the runs: {', '.join(sorted(absent))}")


if __name__ == "__main__":
    main()
