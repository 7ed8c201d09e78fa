"""Complete a run whose chunks are all done: dataset-level metrics, sorted tables, descriptions, run.json."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Collection, Mapping, Sequence

from tqdm.auto import tqdm

from matex.benchmark.config import Config
from matex.benchmark.controls import RunSpec, applies, run_specs
from matex.benchmark.plain_config import plain, public
from matex.benchmark.runs.inputs import Inputs
from matex.benchmark.runs.parquet import (
    RESULTS,
    SCORES,
    ArrowTable,
    append_results,
    join,
    read_table,
    results_table,
    samples_table,
    scores_table,
    table_bytes,
)
from matex.benchmark.runs.plan import Plan
from matex.benchmark.runs.records import CellRow, ChunkRecord, DirectedCell, SampleRow
from matex.benchmark.runs.store import Store, as_json, as_lines, timestamp
from matex.benchmark.runs.stored_cases import StoredCases
from matex.errors import InputError
from matex.metrics import METRICS, make_metric


def finish(store: Store, plan: Plan, inputs: Inputs, progress: bool = False) -> None:
    """Write the tables of a run whose chunks are all done, and remove the files of an unfinished one."""
    parts = [store.chunk(chunk) for chunk in plan.chunks()]
    tables = [store.values(chunk) for chunk in plan.chunks()]
    tables += _dataset_level_metrics(store, plan, inputs, parts, progress)
    known = {(row["dataset"], row["sample"]): row for part in parts for row in part["samples"]}
    samples = [known[key] for key in sorted(known)]
    scores = [row for part in parts for row in part["scores"]]
    problems = problem_rows(plan.problems, parts)
    results = join(tables)
    store.write("results.parquet", table_bytes(results, RESULTS[:-1]))
    store.write("samples.parquet", table_bytes(samples_table(samples)))
    store.write("scores.parquet", table_bytes(scores_table(scores), SCORES[:-1]))
    store.write("cells.json", as_json(_described(plan, parts, _columns(results))))
    store.write("problems.jsonl", as_lines(problems))
    store.log("done", time=timestamp(), samples=len(samples), problems=len(problems))
    store.write("run.json", as_json(_record(plan, samples, len(problems))))
    store.tidy()


def problem_rows(planned: Sequence[Mapping[str, object]], parts: Sequence[ChunkRecord]) -> list[Mapping[str, object]]:
    """Lines of problems.jsonl: of the plan, of each chunk, and each method that a model does not support once."""
    unsupported = dict.fromkeys(json.dumps(row) for part in parts for row in part["left out"])
    return [*planned, *(row for part in parts for row in part["problems"]), *map(json.loads, unsupported)]


def _dataset_level_metrics(
    store: Store, plan: Plan, inputs: Inputs, parts: Sequence[ChunkRecord], progress: bool
) -> list[ArrowTable]:
    """Compute the metrics that compare all maps of a method with each other, from the stored maps."""
    config = plan.config
    chosen = [choice for choice in config.metrics if METRICS[choice.name].dataset_level]
    todo = [
        (model.label, dataset.label, spec, choice)
        for model in config.models
        for dataset in config.datasets
        for spec in run_specs(config)
        for choice in chosen
        if applies(spec, choice)
    ]
    numbers: dict[tuple[str, str], dict[str, int]] = {}
    for chunk, part in zip(plan.chunks(), parts, strict=True):
        numbers.setdefault((chunk.dataset, chunk.model), {}).update(part["numbers"])
    tables: list[ArrowTable] = []
    for model, dataset, spec, choice in tqdm(todo, desc="whole", disable=not (progress and todo)):
        name = f"work/whole/{len(tables)}.parquet"
        if not (store.path / name).exists():
            cases = StoredCases(store, inputs, numbers[dataset, model], dataset, model, spec)
            rows: dict[str, list[object]] = {column: [] for column in RESULTS}
            start = time.perf_counter()
            try:
                columns = make_metric(choice.name, choice.parameters)(cases) if len(cases) else {}
            except InputError as error:
                raise InputError(f"Metric {choice.label!r}: {error}") from None
            for column, values in columns.items():
                key = (dataset, model, spec.label, spec.seed, choice.label)
                append_results(rows, key, column, [""] * len(values), values)
            store.write(name, table_bytes(results_table(rows)))
            store.log("whole", metric=choice.label, method=spec.label, seconds=time.perf_counter() - start)
        tables.append(read_table((store.path / name).read_bytes()))
    return tables


def describe(config: Config, unsupported: Collection[tuple[str, str, str]]) -> list[tuple[RunSpec, CellRow]]:
    """Entries of cells.json without directions: every method and control, once per data set and model.

    Args:
        config: of the run.
        unsupported: (data set, model, method) of methods that a model does not support; they and their controls are
            left out.
    """
    found: dict[tuple[str, str, str], tuple[RunSpec, CellRow]] = {}
    seeds: dict[tuple[str, str, str], list[int]] = {}
    pairs = [(dataset.label, model.label) for dataset in config.datasets for model in config.models]
    for (dataset, model), spec in itertools.product(pairs, run_specs(config)):
        if (dataset, model, spec.label) in unsupported or (dataset, model, spec.of) in unsupported:
            continue
        key = (dataset, model, spec.label)
        seeds.setdefault(key, []).append(spec.seed)
        entry: CellRow = {
            "dataset": dataset,
            "model": model,
            "method": spec.label,
            "kind": spec.kind,
            "of": spec.of,
            "name": spec.name,
            "description": spec.description,
            "parameters": {key: value for key, value in spec.parameters.items() if key != "seed"},
            "seeds": seeds[key],
        }
        found.setdefault(key, (spec, entry))
    return list(found.values())


def _described(plan: Plan, parts: Sequence[ChunkRecord], columns: Mapping[str, Sequence[str]]) -> list[DirectedCell]:
    """Entries of cells.json, with the better direction of each column of the metrics that apply."""
    better = {
        choice.label: {
            column: METRICS[choice.name].better.get(column, "neither") for column in columns.get(choice.label, ())
        }
        for choice in plan.config.metrics
    }
    unsupported = {(row["dataset"], row["model"], row["method"]) for part in parts for row in part["left out"]}
    return [
        {**entry, "better": {one.label: better[one.label] for one in plan.config.metrics if applies(spec, one)}}
        for spec, entry in describe(plan.config, unsupported)
    ]


def _columns(results: ArrowTable) -> dict[str, list[str]]:
    """Columns of each metric, by name."""
    pairs = results.select(["metric", "column"]).group_by(["metric", "column"]).aggregate([]).to_pylist()
    found: dict[str, list[str]] = {}
    for pair in sorted(pairs, key=lambda pair: (pair["metric"], pair["column"])):
        found.setdefault(pair["metric"], []).append(pair["column"])
    return found


def _record(plan: Plan, samples: Sequence[SampleRow], problems: int) -> dict[str, object]:
    """run.json."""
    fingerprints: dict[str, str] = {}
    for choice in plan.config.datasets:
        digest = hashlib.sha256()
        for row in samples:
            if row["dataset"] == choice.label:
                digest.update(json.dumps(row, sort_keys=True).encode())
        fingerprints[choice.label] = digest.hexdigest()
    return {
        **plan.as_plain(),
        "config": public(plain(plan.config)),
        "problems": problems,
        "fingerprints": fingerprints,
        "shard": None,
    }
