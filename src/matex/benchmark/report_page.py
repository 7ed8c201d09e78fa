"""The report of a run as one HTML page in the look of the explanations' reports; it loads nothing."""

from __future__ import annotations

import base64
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from matex.benchmark.report_figures import Drawing
from matex.benchmark.report_pictures import Strip
from matex.benchmark.report_run import Entry, Run
from matex.benchmark.report_tables import ARROWS, TOO_FEW, Cell, Column, Compared, Measured, Quoted, Table
from matex.metrics.statistics import FEWEST_CLUSTERS
from matex.render.page import STYLE, jpeg, render

LISTED = 200  # problems that are shown one by one
WIDE = 7  # columns from which a table is set closer


class Counted(NamedTuple):
    """What a mean is of: samples of some clusters, or repetitions of a measure of the whole."""

    defined: int
    undefined: int
    clusters: int
    whole: bool

    @classmethod
    def of(cls, cell: Measured) -> Counted:
        return cls(cell.summary.defined, cell.summary.undefined, cell.summary.clusters, cell.measure.whole)

    def __str__(self) -> str:
        if not self.whole:
            clusters = f" from {self.clusters}" if self.clusters != self.defined else ""
            return f"n = {self.defined}{clusters}" + (f", {self.undefined} undefined" if self.undefined else "")
        made = self.defined + self.undefined
        repetitions = f"{made} repetition{'' if made == 1 else 's'}"
        return f"{self.defined} of {repetitions} defined" if self.undefined else repetitions


@dataclass(frozen=True)
class Block:
    """A titled part of a section.

    Args:
        key: anchor.
        title: heading; short, since the contents list it.
        parts: tables, figures and HTML in order.
        folded: tables that are opened by a click.
        lead: what is said first.
    """

    key: str
    title: str
    parts: tuple[Table | Drawing | str, ...]
    folded: tuple[Table, ...] = ()
    lead: str = ""


@dataclass(frozen=True)
class Part:
    """Everything about one data set and model.

    Args:
        title: of the part.
        facts: what the run consists of here.
        shown: sentences on what the tables show.
        blocks: in order.
    """

    title: str
    facts: str
    shown: tuple[str, ...]
    blocks: tuple[Block, ...]


def page(run: Run, title: str, parts: Sequence[Part], extra: Sequence[Drawing]) -> str:
    """The whole page."""
    body = [
        _unfinished(run) if run.unfinished else "",
        _contents(parts),
        *(made for part in parts for made in _part(part, several=len(parts) > 1)),
        _card("scores", "Scores of the model", "".join(_figure(drawing) for drawing in extra)) if extra else "",
        _card("methods", "Methods and controls", _entries(run)),
        _card("problems", "Problems", _problems(run)),
        _card("time", "Time", _time(run)),
        _card("provenance", "Provenance", _provenance(run)),
    ]
    style = STYLE + "\n" + (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    return render(
        "benchmark.html",
        title,
        style,
        script="",
        lead=_lead(run),
        parts=[part for part in body if part],
        fewest_clusters=FEWEST_CLUSTERS,
    )


def strips(made: Sequence[Strip], paired: bool) -> str:
    """Pictures side by side under their headings."""
    told = "".join(
        f'<div class="strips"><h4>{escape(strip.title)}</h4><div class="strip">'
        + "".join(
            f'<div><img alt="{escape(picture.told)}" src="{jpeg(picture.image)}">'
            + "".join(f"<span>{escape(line)}</span>" for line in picture.caption)
            + "</div>"
            for picture in strip.pictures
        )
        + "</div></div>"
        for strip in made
    )
    return f'<div class="pair">{told}</div>' if paired else told


def table(made: Table, title: bool = True) -> str:
    """A table that scrolls by itself on narrow screens, with its footnotes."""
    common = _common(made)
    rows = "".join(_rows(made, common, _best(made)))
    notes = [*([_counts(common)] if any(common) else []), *made.notes]
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    wide = " wide" if len(made.columns) >= WIDE else ""
    heading = f'<h3 id="{made.key}">{escape(made.title)}</h3>' if title else ""
    return (
        f"{heading}{_explained(made.lead)}"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(made.title)}">'
        f'<table class="numbers{wide}"><thead>{_heads(made, common)}</thead><tbody>{rows}</tbody></table></div>'
        + (f'<ul class="footnotes">{listed}</ul>' if listed else "")
    )


def _part(part: Part, several: bool) -> Iterator[str]:
    """The cards of one data set and model; with several of them each has its own contents and names itself."""
    links = "".join(f'<a href="#{block.key}">{escape(block.title)}</a>' for block in part.blocks)
    contents = f'<nav class="toc" aria-label="{escape(part.title)}">{links}</nav>' if several else ""
    shown = "".join(f"<li>{escape(line)}</li>" for line in part.shown)
    listed = f'<div class="shown"><ul>{shown}</ul></div>' if shown else ""
    yield _card(_slug(part.title), part.title, _explained(part.facts) + contents + listed)
    for block in part.blocks:
        inside = _explained(block.lead)
        for piece in block.parts:
            if isinstance(piece, Table):
                inside += table(piece)
            elif isinstance(piece, Drawing):
                inside += _figure(piece)
            else:
                inside += piece
        if block.folded:
            folded = "".join(
                f"<details "
                f'id="{piece.key}"><summary>{escape(piece.title)}</summary>{table(piece, title=False)}</details>'
                for piece in block.folded
            )
            inside += folded
        yield _card(block.key, block.title, inside, part.title if several else "")


def _heads(made: Table, common: Sequence[Counted | None]) -> str:
    """One line of headings, or two where columns are grouped; n where it differs from column to column."""
    several = len({counted for counted in common if counted}) > 1
    heads = "".join(
        f'<th scope="col">{_head(column)}{f"<small>{counted}</small>" if several and counted else ""}</th>'
        for column, counted in zip(made.columns, common, strict=True)
    )
    corner = f'<th scope="col">{escape(made.corner)}</th>'
    if not any(column.group for column in made.columns):
        return f"<tr>{corner}{heads}</tr>"
    groups = ""
    for name, some in groupby(column.group for column in made.columns):
        groups += f'<th scope="colgroup" class="span" colspan="{len(list(some))}">{escape(name)}</th>'
    return f"<tr><th></th>{groups}</tr><tr>{corner}{heads}</tr>"


def _head(column: Column) -> str:
    told = {"higher": "higher is better", "lower": "lower is better"}.get(column.better, "")
    arrow = f'&nbsp;<span title="{told}">{ARROWS[column.better]}</span>' if told else ""
    return f"{escape(column.label)}{arrow}"


def _rows(made: Table, common: Sequence[Counted | None], best: set[tuple[int, int]]) -> Iterator[str]:
    group = ""
    for at, row in enumerate(made.rows):
        if row.group and row.group != group:
            width = len(made.columns) + 1
            yield f'<tr class="grouped"><th colspan="{width}" scope="rowgroup">{escape(row.group)}</th></tr>'
        group = row.group or group
        cells = "".join(_cell(cell, common[place], (at, place) in best) for place, cell in enumerate(row.cells))
        hint = f' title="{escape(row.hint)}"' if row.hint else ""
        yield f'<tr class="{row.kind}"><th scope="row"{hint}>{escape(row.label)}</th>{cells}</tr>'


def _cell(cell: Cell, common: Counted | None, best: bool) -> str:
    if cell is None:
        return "<td></td>"
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    if isinstance(cell, Quoted):
        return f"<td><b>{escape(cell.printed.replace('±', ' ± '))}</b></td>"
    if isinstance(cell, Compared):
        return _compared(cell)
    return _measured(cell, common, best)


def _measured(cell: Measured, common: Counted | None, best: bool) -> str:
    found, style = cell.summary, cell.style
    small = [style.interval(found.low, found.high)]
    counted = Counted.of(cell)
    if counted != common:
        small.append(str(counted))
    told = str(counted)
    if cell.draws > 1:
        seeds = "" if cell.measure.whole else f"{cell.draws} seeds, "
        told += f"; {seeds}standard deviation between them {style.number(cell.spread)}"
    lines = "".join(f"<small>{part}</small>" for part in small if part)
    mark = ' class="best"' if best else ""
    return f'<td{mark} title="{escape(told)}"><b>{style.number(found.mean)}</b>{lines}</td>'


def _compared(cell: Compared) -> str:
    found, style = cell.comparison, cell.style
    kind = {"first": "gain", "second": "loss", "": ""}[cell.favours]
    p = "" if math.isnan(cell.p) else ("p < 0.001" if cell.p < 0.001 else f"p = {cell.p:.3f}")
    lines = (style.interval(found.low, found.high, signed=True), p, cell.told)
    told = f"{cell.first} minus {cell.against}: n = {found.pairs} from {found.clusters}, undefined = {found.undefined}"
    small = "".join(f"<small>{escape(line)}</small>" for line in lines if line)
    mark = f' class="{kind}"' if kind else ""
    return f'<td{mark} title="{escape(told)}"><b>{style.number(found.difference, signed=True)}</b>{small}</td>'


def _common(made: Table) -> list[Counted | None]:
    """What most cells of each column are means of, said once; most of the whole table where methods are columns."""

    def most(columns: Sequence[int]) -> Counted | None:
        cells = [row.cells[place] for row in made.rows for place in columns]
        counts = Counter(Counted.of(one) for one in cells if isinstance(one, Measured))
        return counts.most_common(1)[0][0] if counts else None

    every = range(len(made.columns))
    if made.published is not None and made.published.across:
        return [most(every)] * len(made.columns)
    return [most([place]) for place in every]


def _counts(common: Sequence[Counted | None]) -> str:
    different = {counted for counted in common if counted}
    counts = "n or the number of repetitions" if any(counted.whole for counted in different) else "n"
    enough = any(counted.clusters >= FEWEST_CLUSTERS for counted in different)
    (first, *others) = different
    told = f"{counts} stands under the headings," if others else f"{first} in every cell"
    if any(counted.clusters != counted.defined and not counted.whole for counted in different):
        told += " (samples from patients, or source films where patients are not known)"
    brackets = " In brackets: 95 % interval." if enough else f" No intervals: {TOO_FEW}."
    return f"{told} unless a cell says otherwise.{brackets} Underlined: the best method."


def _best(made: Table) -> set[tuple[int, int]]:
    """(row, column) of the best method of each column; of each line, where methods are columns."""
    found: set[tuple[int, int]] = set()
    across = made.published is not None and made.published.across
    cells = [
        (at, place, cell)
        for at, row in enumerate(made.rows)
        for place, cell in enumerate(row.cells)
        if row.kind == "method"
        and isinstance(cell, Measured)
        and cell.measure.better != "neither"
        and made.columns[place].group != "controls"
    ]
    line: dict[int, list[tuple[int, int, Measured]]] = {}
    for at, place, cell in cells:
        if not math.isnan(cell.summary.mean):
            line.setdefault(at if across else place, []).append((at, place, cell))
    for some in line.values():
        sign = 1 if some[0][2].measure.better == "higher" else -1
        top = max(sign * cell.summary.mean for _, _, cell in some)
        if any(sign * cell.summary.mean < top for _, _, cell in some):
            found |= {(at, place) for at, place, cell in some if sign * cell.summary.mean == top}
    return found


def _figure(drawing: Drawing) -> str:
    data = base64.b64encode(drawing.svg).decode("ascii")
    narrow = ' class="narrow"' if drawing.narrow else ""
    return (
        f'<figure id="{drawing.key}"{narrow}><h3>{escape(drawing.title)}</h3>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(drawing.title)}">'
        f'<img alt="{escape(drawing.told)}" '
        f'src="data:image/svg+xml;base64,{data}"></div><figcaption>{escape(drawing.caption)}</figcaption></figure>'
    )


def _lead(run: Run) -> str:
    config = run.config
    counts = ", ".join(
        f"{len(section.samples)} samples of {section.dataset} with {section.model}" for section in run.sections
    )
    seeds = f"{len(config.seeds)} seed{'s' if len(config.seeds) > 1 else ''}"
    return (
        f"{len(config.methods)} methods, {len(config.metrics)} metrics, {seeds}: {counts}. Every number of a place "
        "stands with its controls."
    )


def _unfinished(run: Run) -> str:
    return (
        f'<p class="partial"><b>This run is not finished:</b> {escape(run.unfinished)}. The numbers are those '
        f"of what is "
        "done and will change; controls may be missing.</p>"
    )


def _contents(parts: Sequence[Part]) -> str:
    links: list[tuple[str, str]] = []
    several = len(parts) > 1
    for part in parts:
        links.append((_slug(part.title), part.title))
        links += [(block.key, block.title) for block in part.blocks if not several]
    links += [
        ("methods", "Methods and controls"),
        ("problems", "Problems"),
        ("time", "Time"),
        ("provenance", "Provenance"),
    ]
    told = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title in links)
    return f'<nav class="toc" aria-label="contents">{told}</nav>'


def _card(key: str, title: str, inside: str, of: str = "") -> str:
    small = f" <small>{escape(of)}</small>" if of else ""
    return f'<section class="card" id="{key}"><h2>{escape(title)}{small}</h2>{inside}</section>'


def _entries(run: Run) -> str:
    """What every name stands for."""
    known: dict[str, Entry] = {}
    for section in run.sections:
        for label, entry in section.entries.items():
            if entry.kind == "method" or entry.of is None:
                known.setdefault(label, entry)
    rows = "".join(
        f"<tr><th>{escape(entry.label)}</th><td>{escape(entry.description)}</td>"
        f"<td>{escape(', '.join(f'{name}={value}' for name, value in entry.parameters.items()) or 'defaults')}</td>"
        f"<td>{escape(', '.join(str(seed) for seed in entry.seeds if seed >= 0) or 'deterministic')}</td></tr>"
        for entry in known.values()
    )
    own = (
        "Besides these, every method has controls of its own wherever places are judged: the same method on the same "
        "architecture with random weights, and, where it has a prior or a gate, the method without it."
    )
    return (
        f'<div class="scroll"><table class="numbers words"><thead><tr><th>name</th><th>what it '
        f"is</th><th>parameters</th>"
        f"<th>seeds</th></tr></thead><tbody>{rows}</tbody></table></div>{_explained(own)}"
    )


def _problems(run: Run) -> str:
    """What was left out, counted and listed."""
    if not run.problems:
        return "<p>None: every row and image of the data sets was used, and every method could serve every model.</p>"
    by_said = Counter(f"{row.get('dataset', '')}: {_kind_of(row)}" for row in run.problems)
    counted = "".join(f"<li>{count} × {escape(said)}</li>" for said, count in by_said.most_common(12))
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(str(row.get(name) if row.get(name) is not None else ''))}</td>" for name in _SHOWN)
        + "</tr>"
        for row in run.problems[:LISTED]
    )
    more = len(run.problems) - LISTED
    rest = f"<p>{more} more are in problems.jsonl.</p>" if more > 0 else ""
    heads = "".join(f"<th>{name}</th>" for name in _SHOWN)
    return (
        f"<p>{len(run.problems)} rows, images or methods were left out; the run went on without "
        f"them.</p><ul>{counted}</ul>"
        f'<details><summary>All of them</summary><div class="scroll"><table class="numbers '
        f'words"><thead><tr>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>{rest}</details>"
    )


_SHOWN = ("dataset", "model", "method", "file", "row", "said")


def _kind_of(row: Mapping[str, Any]) -> str:
    """What was said, without the numbers that differ from row to row."""
    said = str(row.get("said", ""))
    return f"{row['method']}: {said}" if row.get("method") else said.partition(", got")[0]


def _time(run: Run) -> str:
    """Seconds by method and metric, from the log."""
    chunks = [event for event in run.events if event.get("event") == "chunk"]
    whole = [event for event in run.events if event.get("event") == "whole"]
    if not chunks:
        return "<p>The log holds no times.</p>"
    total = sum(float(event["seconds"]) for event in chunks) + sum(float(event["seconds"]) for event in whole)
    overhead = sum(float(event["overhead"]) for event in chunks)
    samples = sum(int(event["samples"]) for event in chunks)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for event in chunks:
        for kind in ("methods", "metrics", "reading"):
            for label, spent in event.get(kind, {}).items():
                seconds[kind, label] += spent
    for event in whole:
        seconds["metrics", f"{event['metric']} (whole)"] += float(event["seconds"])
    rows = "".join(
        f"<tr><th>{escape(label)}</th><td>{escape(kind)}</td><td>{spent:.1f}</td>"
        f"<td>{1000 * spent / max(samples, 1):.1f}</td><td>{100 * spent / max(total, 1e-9):.1f}</td></tr>"
        for (kind, label), spent in sorted(seconds.items(), key=lambda item: -item[1])
    )
    return (
        f"<p>{total:.0f} seconds of work for {samples} samples; {100 * overhead / max(total, 1e-9):.1f} % of it is the "
        "runner’s own. Methods that read a pass of the model share one (trace), whose time is not in theirs.</p>"
        '<details><summary>By method and metric</summary><div class="scroll"><table class="numbers"><thead><tr>'
        "<th>what</th><th>kind</th><th>seconds</th><th>ms per sample</th><th>share, %</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _provenance(run: Run) -> str:
    record = run.record
    facts: dict[str, Any] = {f"version of {name}": value for name, value in record.get("environment", {}).items()}
    facts |= {f"weights of {name}": value for name, value in record.get("weights", {}).items()}
    facts |= {f"fingerprint of {name}": value for name, value in record.get("fingerprints", {}).items()}
    facts |= {"threads": record.get("threads", ""), "format": record.get("format", "")}
    times = {str(event["event"]): str(event["time"]) for event in run.events if "time" in event}
    facts |= {f"time of {name}": value for name, value in times.items()}
    facts |= dict(_flat(record.get("config", {}), "configuration"))
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items())
    return (
        "<p>With this configuration, these versions, weights and images, matex benchmark writes the same "
        "results again, "
        "byte for byte on the same kind of machine.</p>"
        f"<details><summary>Versions, weights, configuration</summary><table>{rows}</table></details>"
    )


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}")
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for at, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{at}]")
    else:
        yield name, value


def _explained(text: str) -> str:
    return f'<p class="explained">{escape(text)}</p>' if text else ""


def _slug(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())
