"""Read a run folder and refuse one that is damaged, unfinished or without its controls."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.choices import MetricChoice
from matex.benchmark.config import Config, parse_config
from matex.benchmark.controls import applies, localises, run_specs, targets_prediction
from matex.benchmark.report.section import TUNED, Entry, Key, Measure, ReportSample, Run, Section, Values
from matex.benchmark.report.thresholds import tuned_iou
from matex.benchmark.runs.finish import describe, problem_rows
from matex.benchmark.runs.parquet import ADDED, ArrowTable, check_table, read_table
from matex.benchmark.runs.records import CellRow, ChunkRecord, Event, SampleRow, ScoreRow
from matex.benchmark.runs.store import FORMAT, MAX_RECORD, Store, is_chunk, read_lines
from matex.checks import as_path, is_array, is_object, parse_json, read_bytes, read_json, read_text
from matex.coerce import as_type
from matex.errors import InputError, shown
from matex.geometry import Box
from matex.metrics import METRICS, make_metric

_KEY = ("dataset", "model", "method", "metric", "column")


def read_run(folder: str | Path, partial: bool = False) -> Run:
    """Read a run folder.

    Args:
        folder: that `matex benchmark` wrote.
        partial: read the finished chunks of an interrupted run, or of shards that were not merged.

    Raises:
        InputError: no run folder; a run that is not finished, without `partial`; controls that are missing.
    """
    store = Store(as_path(folder, "the folder of a run"))
    if store.complete:
        return _finished(store)
    if not partial:
        raise InputError(_refusal(store))
    return _unfinished(store)


def check_controls(section: Section, config: Config) -> None:
    """Refuse localisation without its controls.

    Raises:
        InputError: a control that the configuration calls for is missing, or lacks samples that its methods have.
    """
    wanted = dict.fromkeys((cell.label, cell.of) for cell in run_specs(config) if cell.kind == "control")
    methods = [entry.label for entry in section.methods]
    needed = {label: of for label, of in wanted if of is None or of in methods}
    for measure in section.measures:
        if not measure.localises:
            continue
        for label in needed:
            missing = section.missing(label, measure)
            if label not in section.entries or missing:
                raise InputError(
                    f"Expected the control {label!r} on every sample of {section.dataset} with {section.model}, got "
                    f"none for {missing} of {len(section.samples)} samples in {measure.metric}. Run the benchmark "
                    "again: a localisation table is not made without its controls."
                )


def _finished(store: Store) -> Run:
    try:
        record = store.record
        older = record.get("format") != FORMAT
        config = _read_config(record, "run.json", older)
        described = _cells(store.path / "cells.json")
        results, samples, scores = (
            _table(store.path / f"{name}.parquet", name, older) for name in ("results", "samples", "scores")
        )
        # `check_table` has compared columns and types with those of these rows.
        tables = _Tables(results, cast(list[SampleRow], samples.to_pylist()), cast(list[ScoreRow], scores.to_pylist()))
        problems = read_lines(store.path / "problems.jsonl")
        if len(problems) != record.get("problems"):
            raise InputError(f"Expected {shown(record.get('problems'))} lines in problems.jsonl, got {len(problems)}.")
        _check_facts(record)
        sections = _sections(config, described, tables)
    except InputError as error:
        raise InputError(
            f"Expected the run folder {shown(str(store.path))} as matex benchmark wrote it, got a damaged one: {error} "
            "Copy the whole folder, or run it again."
        ) from None
    for section in sections:
        check_controls(section, config)
    return Run(store, record, config, sections, tuple(problems), _events(store), unfinished="")


def _read_config(record: Mapping[str, object], source: str, older: bool) -> Config:
    """The configuration of a run.

    Args:
        record: that holds it.
        source: file of the record, for errors.
        older: whether another version wrote it. Versions before format 4 measured metrics of the predicted class on
            maps of the true class; these are left out.
    """
    content = record.get("config")
    if not is_object(content):
        raise InputError(f"Expected the configuration in {source} to be an object, got {shown(content)}.")
    config = parse_config(content, source)
    if not older:
        return config
    kept = tuple(choice for choice in config.metrics if not targets_prediction(choice))
    return dataclasses.replace(config, metrics=kept)


def _unfinished(store: Store) -> Run:
    """The run as far as its chunks are done; controls that are missing are missing in the tables too."""
    from matex.benchmark.runs.parquet import join

    stores = [Store(path) for path in sorted((store.path / "shards").glob("*-of-*"))] or [store]
    plans = [one.plan for one in stores]
    first = next((plan for plan in plans if plan is not None), None)
    files = [file for one in stores for file in sorted((one.work / "chunks").rglob("*.json"))]
    if first is None or not files:
        raise InputError(
            f"Expected a run folder with at least one finished chunk, got {str(store.path)!r}. Run it first."
        )
    config = _read_config(first, "plan.json", first.get("format") != FORMAT)
    parts = [_chunk(file) for file in files]
    samples = {(row["dataset"], row["sample"]): row for part in parts for row in part["samples"]}
    tables = _Tables(
        join([_table(file.with_suffix(".parquet"), "results") for file in files]),
        [samples[key] for key in sorted(samples)],
        [row for part in parts for row in part["scores"]],
    )
    unsupported = {(row["dataset"], row["model"], row["method"]) for part in parts for row in part["left out"]}
    described = [
        entry
        for spec, entry in describe(config, unsupported)
        if any(applies(spec, metric) for metric in config.metrics)
    ]
    sections = _sections(config, described, tables)
    try:
        planned = as_type(first, _Planned)
    except ValueError:
        raise InputError(f"Expected the plan of {shown(str(store.path))} as it was written. Copy the folder.") from None
    chunks = sum(-(-count // config.chunk) for count in planned["counts"].values()) * len(config.models)
    problems = problem_rows(planned["problems"], parts)
    events = tuple(event for one in stores for event in _events(one))
    unfinished = (
        f"{len(files)} of {chunks} chunks are done; metrics of a whole data set are computed when a run is finished"
    )
    return Run(store, first, config, sections, tuple(problems), events, unfinished=unfinished)


def _chunk(file: Path) -> ChunkRecord:
    record = read_json(file, f"the chunk {file.name}", MAX_RECORD)
    if not is_chunk(record):
        raise InputError(
            f"Expected the chunk {shown(str(file))} as it was written, got a damaged file. Remove it, and go on with "
            "--resume."
        )
    return record


class _Planned(TypedDict):
    """What is read of the plan of a run that is not finished."""

    counts: dict[str, int]
    problems: tuple[dict[str, object], ...]


class _Tables(NamedTuple):
    """The tables of a run."""

    results: ArrowTable
    samples: Sequence[SampleRow]
    scores: Sequence[ScoreRow]


def _refusal(store: Store) -> str:
    path = str(store.path)
    if (store.path / "shards").is_dir():
        return f"Expected a whole run, got shards in {path!r}. Put them together with matex merge, or add --partial."
    if store.plan is not None:
        return f"Expected a finished run, got a stopped one in {path!r}. Finish it with --resume, or add --partial."
    return f"Expected a folder that matex benchmark wrote, got {path!r}, which holds no run. Check the path."


@dataclass(frozen=True, eq=False)
class _Results:
    """Rows of results.parquet, grouped by what was measured.

    Args:
        rows: indices of the rows of each column of each metric of each method.
        values: [row].
        seeds: [row].
        samples: numbers among `names`, [row].
        names: of the samples, "" for dataset-level metrics.
    """

    rows: Mapping[Key, NDArray[np.intp]]
    values: Values
    seeds: NDArray[np.int64]
    samples: NDArray[np.intp]
    names: tuple[str, ...]

    @classmethod
    def of(cls, table: ArrowTable) -> _Results:
        """From a pyarrow table."""
        encoded = {name: table[name].combine_chunks().dictionary_encode() for name in (*_KEY, "sample")}
        words = {name: tuple(column.dictionary.to_pylist()) for name, column in encoded.items()}
        numbers = {name: column.indices.to_numpy().astype(np.intp) for name, column in encoded.items()}
        code = np.zeros(len(table), dtype=np.int64)
        for name in _KEY:
            code = code * len(words[name]) + numbers[name]
        order = np.argsort(code, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if len(order) else []
        rows = {tuple(words[name][numbers[name][part[0]]] for name in _KEY): part for part in parts}
        values, seeds = table["value"].to_numpy(), table["seed"].to_numpy()
        return cls(cast(dict[Key, NDArray[np.intp]], rows), values, seeds, numbers["sample"], words["sample"])


def _sections(config: Config, described: Sequence[CellRow], tables: _Tables) -> tuple[Section, ...]:
    results = _Results.of(tables.results)
    return tuple(
        _section(dataset.label, model.label, config, described, results, tables.samples, tables.scores)
        for dataset in config.datasets
        for model in config.models
    )


def _section(
    dataset: str,
    model: str,
    config: Config,
    described: Sequence[CellRow],
    results: _Results,
    samples: Sequence[SampleRow],
    scores: Sequence[ScoreRow],
) -> Section:
    score_of = {row["sample"]: row["score"] for row in scores if (row["dataset"], row["model"]) == (dataset, model)}
    rows = [_sample(row) for row in samples if row["dataset"] == dataset and row["sample"] in score_of]
    place = {row["sample"]: number for number, row in enumerate(rows)}
    entries = {
        cell["method"]: Entry(
            cell["method"],
            cell["kind"],
            cell["of"],
            cell["name"],
            cell["description"],
            cell["parameters"],
            tuple(cell["seeds"]),
        )
        for cell in described
        if (cell["dataset"], cell["model"]) == (dataset, model)
    }
    number_of = np.array([place.get(name, -1) for name in results.names], dtype=np.intp)
    arrays: dict[tuple[str, str, str], tuple[Values, NDArray[np.bool_]]] = {}
    dataset_level: dict[tuple[str, str, str], Values] = {}
    for (of_dataset, of_model, method, metric, column), at in results.rows.items():
        if (of_dataset, of_model) != (dataset, model):
            continue
        if method not in entries:
            raise InputError(f"Expected {shown(method)} of results.parquet in cells.json too, found none.")
        values, samples_of = results.values[at], results.samples[at]
        if results.names[samples_of[0]] == "":
            dataset_level[method, metric, column] = values
        else:
            arrays[method, metric, column] = _by_seed(number_of[samples_of], results.seeds[at], values, len(place))
    for choice in config.metrics:
        if choice.name == "miou":
            arrays |= tuned_iou(choice.label, arrays, rows)
    found = {(metric, column) for _, metric, column in (*arrays, *dataset_level)}
    measures = [
        _measure(choice, column, any((label, choice.label, column) in dataset_level for label in entries))
        for choice in config.metrics
        for column in _in_order(choice, [column for metric, column in found if metric == choice.label])
    ]
    return Section(
        dataset,
        model,
        tuple(rows),
        entries,
        tuple(measures),
        np.array([score_of[row["sample"]] for row in rows], dtype=np.float64),
        arrays,
        dataset_level,
    )


def _measure(choice: MetricChoice, column: str, dataset_level: bool) -> Measure:
    better = "higher" if column == TUNED else METRICS[choice.name].better.get(column, "neither")
    metric = make_metric(choice.name, choice.parameters)
    parameters = {item.name: getattr(metric, item.name) for item in dataclasses.fields(metric)}
    return Measure(choice.label, column, choice.name, better, localises(choice), dataset_level, parameters)


def _in_order(choice: MetricChoice, columns: Sequence[str]) -> list[str]:
    """Columns as the metric lists them; those that it cannot list before it has seen the data come last."""
    known = list(METRICS[choice.name].better)
    return sorted(columns, key=lambda column: (known.index(column) if column in known else len(known), column))


def _by_seed(
    numbers: NDArray[np.intp], seeds: NDArray[np.int64], values: Values, samples: int
) -> tuple[Values, NDArray[np.bool_]]:
    """Values [seed, sample] and which samples have a row at all [sample]; the number -1 is no sample of the section."""
    different = np.unique(seeds)
    runs = np.full((len(different), samples), np.nan)
    present = np.zeros(samples, dtype=bool)
    known = numbers >= 0
    runs[np.searchsorted(different, seeds[known]), numbers[known]] = values[known]
    present[numbers[known]] = True
    return runs, present


def _table(path: Path, name: str, older: bool = False) -> ArrowTable:
    """One table of the run, with the columns that it was written with; runs of an older format may lack some."""
    data = read_bytes(path, f"{name}.parquet", MAX_RECORD)
    try:
        table = read_table(data)
    except (ValueError, OSError, NotImplementedError):  # pyarrow's errors are of these kinds
        raise InputError(f"Expected Parquet in {path.name}, got other content. Copy the folder again.") from None
    check_table(table, name, ADDED if older else ())
    return table


def _cells(path: Path) -> list[CellRow]:
    """Descriptions of the methods and controls, from cells.json."""
    rows = parse_json(f'{{"cells": {read_text(path, path.name, MAX_RECORD)}}}', path.name)["cells"]
    entries: list[CellRow] = []
    for number, row in enumerate(rows if is_array(rows) else [None]):
        try:
            entry = as_type({"of": None, **row} if is_object(row) else row, CellRow)
        except ValueError:
            entry = None
        if entry is None or not entry["seeds"]:
            raise InputError(f"Expected a method or control as entry {number} of cells.json, got {shown(row)}.")
        entries.append(entry)
    return entries


def _check_facts(record: Mapping[str, object]) -> None:
    for name in ("environment", "weights", "fingerprints"):
        if not isinstance(record.get(name, {}), Mapping):
            raise InputError(f"Expected {name} in run.json to be an object, got {shown(record[name])}.")


def _events(store: Store) -> tuple[Event, ...]:
    """Lines of log.jsonl whose times can be added up; the log may have been cut at any moment."""
    found: list[Event] = []
    for line in store.events:
        needed = _OF_EVENT.get(str(line.get("event")), ("event",))
        with contextlib.suppress(ValueError):
            event = as_type(line, Event)
            if all(name in event for name in needed):
                found.append(event)
    return tuple(found)


_OF_EVENT = {"chunk": ("seconds", "overhead", "samples"), "whole": ("seconds", "metric")}


def _sample(row: SampleRow) -> ReportSample:
    """A row of samples.parquet with its attributes decoded."""
    if not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]) or min(row["height"], row["width"]) < 1:
        raise InputError(f"Expected a hash and a size of the image of {shown(row['sample'])} in samples.parquet.")
    try:
        boxes = as_type(row["boxes"] or [], tuple[Box, ...])
    except ValueError:
        raise InputError(f"Expected boxes of four numbers for {shown(row['sample'])} in samples.parquet.") from None
    attributes = parse_json(row["attributes"] or "{}", "the attributes in samples.parquet")
    return {**row, "boxes": boxes, "attributes": attributes}
