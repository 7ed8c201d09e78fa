"""The report of a run as one HTML page that loads nothing, from the templates of `render`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from matex.benchmark.report.blocks import Block, Part, StripGroup
from matex.benchmark.report.html_table import TableView, table_view
from matex.benchmark.report.panels import Drawing
from matex.benchmark.report.section import Entry, Run
from matex.benchmark.report.table import Table
from matex.benchmark.runs.records import Event
from matex.checks import is_object
from matex.metrics.statistics import FEWEST_CLUSTERS
from matex.render.page import STYLE, render, style_sheet

LISTED = 200  # problems that are shown one by one
FREQUENT = 12  # kinds of problems that are counted
TIMED: tuple[Literal["methods", "metrics", "reading"], ...] = ("methods", "metrics", "reading")
"""Kinds of work whose seconds the log states."""
PROBLEM_COLUMNS = ("dataset", "model", "method", "file", "row", "said")


@dataclass(frozen=True)
class BlockView:
    """A block as the template reads it, each part with the name of its macro."""

    key: str
    title: str
    lead: str
    parts: tuple[tuple[Literal["table", "figure", "strips"], TableView | Drawing | StripGroup], ...]
    folded: tuple[TableView, ...]


@dataclass(frozen=True)
class PartView:
    """A part as the template reads it; `of` names it in its blocks, empty where it is the only one."""

    key: str
    title: str
    of: str
    facts: str
    findings: tuple[str, ...]
    blocks: tuple[BlockView, ...]


@dataclass(frozen=True)
class EntryView:
    """A method or control with its parameters and seeds in words."""

    label: str
    description: str
    parameters: str
    seeds: str


@dataclass(frozen=True)
class ProblemsView:
    """Samples left out, counted by reason and row by row."""

    total: int
    counts: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int


@dataclass(frozen=True)
class TimesView:
    """Seconds of a run, and (name, kind, seconds, milliseconds per sample, percent) of each method and metric."""

    seconds: str
    samples: int
    overhead: str
    rows: tuple[tuple[str, str, str, str, str], ...]


def page(run: Run, title: str, parts: Sequence[Part], scores: Sequence[Drawing]) -> str:
    """The whole page.

    Args:
        run: that is reported.
        title: of the page.
        parts: in order.
        scores: figures of the scores that were explained.
    """
    views = [_part_view(part, several=len(parts) > 1) for part in parts]
    return render(
        "benchmark.html",
        title,
        f"{STYLE}\n{style_sheet('benchmark.css')}",
        script="",
        lead=_lead(run),
        unfinished=run.unfinished,
        contents=tuple(_contents(views)),
        parts=views,
        scores=tuple(scores),
        entries=tuple(_entries(run)),
        problems=_problems(run.problems),
        times=_times(run.events),
        provenance=tuple(_provenance(run)),
        fewest_clusters=FEWEST_CLUSTERS,
    )


def _part_view(part: Part, several: bool) -> PartView:
    of = part.title if several else ""
    blocks = tuple(_block_view(block) for block in part.blocks)
    return PartView(_anchor(part.title), part.title, of, part.facts, part.findings, blocks)


def _block_view(block: Block) -> BlockView:
    parts = tuple(_piece(part) for part in block.parts)
    return BlockView(block.key, block.title, block.lead, parts, tuple(table_view(table) for table in block.folded))


def _piece(
    part: Table | Drawing | StripGroup,
) -> tuple[Literal["table", "figure", "strips"], TableView | Drawing | StripGroup]:
    if isinstance(part, Table):
        return "table", table_view(part)
    return ("figure" if isinstance(part, Drawing) else "strips"), part


def _lead(run: Run) -> str:
    config = run.config
    counts = ", ".join(
        f"{len(section.samples)} samples of {section.dataset} with {section.model}" for section in run.sections
    )
    seeds = f"{len(config.seeds)} seed{'s' if len(config.seeds) > 1 else ''}"
    return (
        f"{len(config.methods)} methods, {len(config.metrics)} metrics, {seeds}: {counts}. Every localisation result "
        "is reported with its controls."
    )


def _contents(parts: Sequence[PartView]) -> Iterator[tuple[str, str]]:
    """(anchor, title) of what the page begins with a list of; blocks only where there is one part."""
    for part in parts:
        yield part.key, part.title
        if not part.of:
            yield from ((block.key, block.title) for block in part.blocks)
    yield "methods", "Methods and controls"
    yield "problems", "Problems"
    yield "time", "Time"
    yield "provenance", "Provenance"


def _entries(run: Run) -> Iterator[EntryView]:
    """Glossary of all names, without the controls of single methods."""
    known: dict[str, Entry] = {}
    for section in run.sections:
        for label, entry in section.entries.items():
            if entry.kind == "method" or entry.of is None:
                known.setdefault(label, entry)
    for entry in known.values():
        parameters = ", ".join(f"{name}={value}" for name, value in entry.parameters.items())
        seeds = ", ".join(str(seed) for seed in entry.seeds if seed >= 0)
        yield EntryView(entry.label, entry.description, parameters or "defaults", seeds or "deterministic")


def _problems(problems: Sequence[Mapping[str, object]]) -> ProblemsView:
    counts = Counter(f"{row.get('dataset', '')}: {_kind_of(row)}" for row in problems)
    rows = (
        tuple(str(row.get(name) if row.get(name) is not None else "") for name in PROBLEM_COLUMNS)
        for row in problems[:LISTED]
    )
    more = max(0, len(problems) - LISTED)
    return ProblemsView(len(problems), tuple(counts.most_common(FREQUENT)), PROBLEM_COLUMNS, tuple(rows), more)


def _kind_of(row: Mapping[str, object]) -> str:
    """The message without the numbers that differ from row to row."""
    message = str(row.get("said", ""))
    return f"{row['method']}: {message}" if row.get("method") else message.partition(", got")[0]


def _times(events: Sequence[Event]) -> TimesView | None:
    """Seconds by method and metric, from the log; None where it holds no times."""
    chunks = [event for event in events if event.get("event") == "chunk"]
    dataset_level = [event for event in events if event.get("event") == "whole"]
    if not chunks:
        return None
    total = sum(event.get("seconds", 0.0) for event in (*chunks, *dataset_level))
    overhead = sum(event.get("overhead", 0.0) for event in chunks)
    samples = sum(event.get("samples", 0) for event in chunks)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for event in chunks:
        for kind in TIMED:
            for label, spent in event.get(kind, {}).items():
                seconds[kind, label] += spent
    for event in dataset_level:
        seconds["metrics", f"{event.get('metric')} (whole)"] += event.get("seconds", 0.0)
    rows = (
        (
            label,
            kind,
            f"{spent:.1f}",
            f"{1000 * spent / max(samples, 1):.1f}",
            f"{100 * spent / max(total, 1e-9):.1f}",
        )
        for (kind, label), spent in sorted(seconds.items(), key=lambda item: -item[1])
    )
    return TimesView(f"{total:.0f}", samples, f"{100 * overhead / max(total, 1e-9):.1f}", tuple(rows))


def _provenance(run: Run) -> Iterator[tuple[str, object]]:
    """(name, value) of versions, hashes, times and every entry of the configuration."""
    record = run.record
    for heading, key in (("version", "environment"), ("weights", "weights"), ("fingerprint", "fingerprints")):
        values = record.get(key)
        yield from ((f"{heading} of {name}", value) for name, value in (values.items() if is_object(values) else ()))
    yield "threads", record.get("threads", "")
    yield "format", record.get("format", "")
    times = {event.get("event", ""): event["time"] for event in run.events if "time" in event}
    yield from ((f"time of {name}", value) for name, value in times.items())
    yield from _flat(record.get("config", {}), "configuration")


def _flat(value: object, name: str) -> Iterator[tuple[str, object]]:
    """Leaves of nested tables and lists of tables, with their full names."""
    if isinstance(value, Mapping) and value:
        for key, inner in cast(Mapping[str, object], value).items():
            yield from _flat(inner, f"{name}.{key}")
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for index, inner in enumerate(cast(list[object], value)):
            yield from _flat(inner, f"{name}[{index}]")
    else:
        yield name, value


def _anchor(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())
