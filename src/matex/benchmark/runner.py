"""Runs a configuration chunk by chunk into a run folder, goes on where it was stopped, and puts shards together."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from matex.benchmark.chunk import append
from matex.benchmark.config import Config, differences, plain, public
from matex.benchmark.controls import cells, explains_another_class, measured
from matex.benchmark.executors import EXECUTORS
from matex.benchmark.plan import Opened, Plan, Shard, shard_of_environment
from matex.benchmark.recall import Recalled
from matex.benchmark.store import (
    RESULTS,
    SCORES,
    ChunkKey,
    Store,
    arrow,
    as_json,
    as_lines,
    join,
    read_table,
    results_table,
    samples_table,
    scores_table,
    table_bytes,
)
from matex.errors import InputError, shown
from matex.metrics import METRICS, make_metric


def run(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    shard: Shard | None = None,
    executor: str = "serial",
    progress: bool = False,
    report: Callable[[str], None] | None = None,
    opened: Opened | None = None,
) -> Path:
    """Carry out a configuration; every method and control on every sample, every metric on every map.

    Args:
        config: what to run.
        out: run folder; must not exist, unless `resume`.
        resume: go on with what is in the folder; starts anew where there is nothing.
        shard: (i, n), from (1, n) to (n, n): do this part alone, in `out`/shards/i-of-n; `merge` puts them together.
            None reads RANK and WORLD_SIZE from the environment, as torchrun sets them.
        executor: "serial", or "ray" on all cores or the cluster that RAY_ADDRESS names.
        progress: show bars with the time left.
        report: is called with one line after every chunk, for logs and pipes, which show no bars.
        opened: the configuration's data sets and models, where they are open already.

    Returns:
        The folder that was written to.

    Raises:
        InputError: a folder with something else in it, a configuration that changed since, a data set or model that
            cannot be opened, or a full disk.
    """
    arrow()
    if executor not in EXECUTORS:
        raise InputError(f"Expected executor to be one of {', '.join(EXECUTORS)}, got {executor!r}.")
    shard = shard or shard_of_environment()
    if shard and not 1 <= shard[0] <= shard[1]:
        raise InputError(f"Expected a shard from 1/{shard[1]} to {shard[1]}/{shard[1]}, got {shard[0]}/{shard[1]}.")
    store = Store(Path(out))
    if shard and not store.complete:
        store = Store(store.path / f"shards/{shard[0]}-of-{shard[1]}")
    opened = opened or Opened(config)
    plan = _plan(store, opened, shard, resume)
    if plan is None:
        store.tidy()
        return store.path
    with store.held(), _threads(plan.threads):
        if store.complete:  # by a process that had the folder until now
            store.tidy()
            return store.path
        fresh = store.plan is None
        if fresh:
            store.start(_recorded(plan))
        store.log("start" if fresh else "resume", time=_now(), **_environment())
        todo = [chunk for chunk in plan.chunks() if not store.has(chunk)]
        _carry_out(store, plan, opened, todo, executor, progress, report)
        if shard:
            store.log("shard done", time=_now())
        else:
            finish(store, plan, opened, progress)
    return store.path


def merge(
    runs: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    config: Config | None = None,
    progress: bool = False,
) -> Path:
    """Put the shards of a run together; measures of the whole are taken here.

    Args:
        runs: folders of shards, or a folder with `shards` in it.
        out: run folder to write; the folder given, when it is one with shards in it.
        config: of the run. Needed where it names folders, which the shards do not record, and has measures of the
            whole, for which films are read again.
        progress: show bars.

    Raises:
        InputError: another configuration, or none where one is needed; shards of different configurations, weights
            or data; a shard that is missing or not done.
    """
    arrow()
    given = [Path(one) for one in runs]
    if out is None and (len(given) != 1 or not (given[0] / "shards").is_dir()):
        raise InputError("Expected one folder with shards in it, or -o OUT for the merged run. Name the folder.")
    store = Store(Path(out) if out is not None else given[0])
    if store.complete:
        raise InputError(f"Expected a folder without a finished run, got {str(store.path)!r}. Name another with -o.")
    if store.plan is not None:
        raise InputError(
            f"Expected a folder without a run, got an unfinished one in {str(store.path)!r}. Name another with -o."
        )
    shards = [Store(folder) for one in given for folder in (sorted((one / "shards").glob("*-of-*")) or [one])]
    plan = _with_folders(_joint_plan(shards), shards[0], config)
    opened = Opened(plan.config)
    with store.held(), _threads(plan.threads):
        for shard in shards:
            _copy(shard.path, store)
        finish(store, plan, opened, progress)
        for number, shard in enumerate(shards, start=1):
            for event in shard.events:
                store.log(event.pop("event"), shard=number, **event)
    if out is None:
        shutil.rmtree(store.path / "shards", ignore_errors=True)
    return store.path


def finish(store: Store, plan: Plan, opened: Opened, progress: bool = False) -> None:
    """Write the tables of a run whose chunks are all done, and remove what only an unfinished one needs."""
    parts = [store.chunk(chunk) for chunk in plan.chunks()]
    tables = [store.values(chunk) for chunk in plan.chunks()]
    tables += _measures_of_the_whole(store, plan, opened, parts, progress)
    known = {(row["dataset"], row["sample"]): row for part in parts for row in part["samples"]}
    samples = [known[key] for key in sorted(known)]
    scores = [row for part in parts for row in part["scores"]]
    problems = [*plan.problems, *(row for part in parts for row in part["problems"])]
    left_out = [row for part in parts for row in part["left out"]]
    problems += [json.loads(row) for row in dict.fromkeys(json.dumps(row) for row in left_out)]
    results = join(tables)
    store.write("results.parquet", table_bytes(results, RESULTS[:-1]))
    store.write("samples.parquet", table_bytes(samples_table(samples)))
    store.write("scores.parquet", table_bytes(scores_table(scores), SCORES[:-1]))
    store.write("cells.json", as_json(_described(plan, parts, _columns(results))))
    store.write("problems.jsonl", as_lines(problems))
    store.log("done", time=_now(), samples=len(samples), problems=len(problems))
    store.write("run.json", as_json(_record(plan, samples, len(problems))))
    store.tidy()


def _plan(store: Store, opened: Opened, shard: Shard | None, resume: bool) -> Plan | None:
    """The plan of a new or a recorded run; None when it is complete already. Writes nothing."""
    if store.path.exists() and not store.path.is_dir():
        raise InputError(f"Expected a run folder, got the file {str(store.path)!r}. Name another with -o.")
    held = {path.name for path in store.path.iterdir()} if store.path.exists() else set[str]()
    if held and not resume:
        raise InputError(
            f"Expected a new folder for the run, got {str(store.path)!r}, which exists. Go on with it with --resume, "
            "or name another with -o."
        )
    if store.complete:
        _refuse_changes(store.record["config"], opened.config, store)
        return None
    recorded = store.plan
    if recorded is None:
        if held - {"work"}:
            what = "shards: take --shard, or put them together with matex merge" if "shards" in held else "none"
            raise InputError(
                f"Expected a run to go on with, got {str(store.path)!r}, which holds {what}. Or name another with -o."
            )
        return _new_plan(opened, shard)
    before = Plan.from_plain(recorded)
    _refuse_changes(recorded["config"], opened.config, store)
    plan = _new_plan(opened, shard)
    for what, old, new in (
        ("the number of samples", before.counts, plan.counts),
        ("the data", before.data, plan.data),
        ("the weights", before.weights, plan.weights),
    ):
        if changed := differences(old, new):
            raise InputError(
                f"Expected {what} of the run in {str(store.path)!r}, got others: {changed[0]}. Start a new run with -o."
            )
    return dataclasses.replace(before, config=opened.config)  # the recorded one names no folders


def _recorded(plan: Plan) -> dict[str, Any]:
    """The plan as an unfinished run folder holds it, without the user's folders."""
    config = plain(plan.config)
    return {**plan.as_plain(), "config": public(config), "without_folders": public(config) != config}


def _refuse_changes(before: Mapping[str, Any], config: Config, store: Store) -> None:
    """Refuse another configuration than the recorded one; the same one with its folders elsewhere is no other.

    That the folders hold the same data and weights is checked by their hashes.
    """
    changed = differences(public(before), json.loads(json.dumps(public(plain(config)))))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"Expected the configuration that {str(store.path)!r} was started with, got another: {changed[0]}{more}. "
            "Take the old one, or start a new run with -o."
        )


def _new_plan(opened: Opened, shard: Shard | None) -> Plan:
    """Open every data set and model once, so that what cannot be opened is said before anything is written."""
    config = opened.config
    cells(config)
    _check_targets(config)
    counts = {choice.label: opened.count(choice.label) for choice in config.datasets}
    problems = [
        {"dataset": choice.label, **dataclasses.asdict(problem)}
        for choice in config.datasets
        for problem in opened.dataset(choice.label).problems
    ]
    weights = {choice.label: opened.model(choice.label).weights_sha256 for choice in reversed(config.models)}
    data = {choice.label: opened.dataset(choice.label).fingerprint for choice in config.datasets}
    return Plan(config, counts, data, weights, tuple(problems), torch.get_num_threads(), _environment(), shard)


def _check_targets(config: Config) -> None:
    """Refuse metrics of another class than the one that a run explains, which is that of each sample's own phrase."""
    for choice in config.metrics:
        if explains_another_class(choice):
            raise InputError(
                f"Expected metrics of the phrase that is explained, got target='predicted' for {choice.label!r}: a run "
                "explains each sample's own phrase, and the map of the true class says nothing about the predicted "
                "one. Use target='truth', or explain the predicted class in Python and call the metric on its maps."
            )


def _carry_out(
    store: Store,
    plan: Plan,
    opened: Opened,
    todo: Sequence[ChunkKey],
    executor: str,
    progress: bool,
    report: Callable[[str], None] | None,
) -> None:
    """Chunks that are not done yet, by an executor; what each comes to is written as soon as it is there."""
    made = len(cells(plan.config))
    total = sum(len(plan.numbers(chunk)) for chunk in plan.chunks()) * made
    left = sum(len(plan.numbers(chunk)) for chunk in todo) * made
    with tqdm(total=total, initial=total - left, unit="map", disable=not progress, smoothing=0) as bar:

        def told(label: str, maps: int) -> None:
            bar.set_postfix_str(label, refresh=False)
            bar.update(maps)

        done = len(plan.chunks()) - len(todo)
        for outcome in EXECUTORS[executor](plan, opened, todo, told):
            for name, data in outcome.files.items():
                store.write(name, data)
            store.log("chunk", **outcome.log)
            done += 1
            if report:
                facts = outcome.log
                report(
                    f"chunk {done} of {len(plan.chunks())}: {facts['samples']} samples of {facts['dataset']} with "
                    f"{facts['model']}, {facts['seconds']:.0f} s"
                )


def _measures_of_the_whole(
    store: Store, plan: Plan, opened: Opened, parts: Sequence[Mapping[str, Any]], progress: bool
) -> list[Any]:
    """Metrics that compare all maps of a method with each other, over the maps as they were kept."""
    config = plan.config
    chosen = [choice for choice in config.metrics if METRICS[choice.name].dataset_level]
    todo = [
        (model.label, dataset.label, cell, choice)
        for model in config.models
        for dataset in config.datasets
        for cell in cells(config)
        for choice in chosen
        if measured(cell, choice)
    ]
    numbers: dict[tuple[str, str], dict[str, int]] = {}
    for chunk, part in zip(plan.chunks(), parts, strict=True):
        numbers.setdefault((chunk.dataset, chunk.model), {}).update(part["numbers"])
    tables: list[Any] = []
    for model, dataset, cell, choice in tqdm(todo, desc="whole", disable=not (progress and todo)):
        name = f"work/whole/{len(tables)}.parquet"
        if not (store.path / name).exists():
            cases = Recalled(store, opened, numbers[dataset, model], dataset, model, cell)
            rows: dict[str, list[Any]] = {column: [] for column in RESULTS}
            start = time.perf_counter()
            try:
                columns = make_metric(choice.name, choice.parameters)(cases) if len(cases) else {}
            except InputError as error:
                raise InputError(f"Metric {choice.label!r}: {error}") from None
            for column, values in columns.items():
                key = (dataset, model, cell.label, cell.seed, choice.label)
                append(rows, key, column, [""] * len(values), values)
            store.write(name, table_bytes(results_table(rows)))
            store.log("whole", metric=choice.label, method=cell.label, seconds=time.perf_counter() - start)
        tables.append(read_table((store.path / name).read_bytes()))
    return tables


def _described(
    plan: Plan, parts: Sequence[Mapping[str, Any]], columns: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """cells.json: every method and control that was run, once per data set and model."""
    gone = {(row["dataset"], row["model"], row["method"]) for part in parts for row in part["left out"]}
    config = plan.config
    better = {
        choice.label: {
            column: METRICS[choice.name].better.get(column, "neither") for column in columns.get(choice.label, ())
        }
        for choice in config.metrics
    }
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    every = [(dataset, model) for dataset in config.datasets for model in config.models]
    for (dataset, model), cell in itertools.product(every, cells(config)):
        where = (dataset.label, model.label)
        if (*where, cell.label) in gone or (*where, cell.of) in gone:
            continue
        entry = found.setdefault(
            (*where, cell.label),
            {
                "dataset": dataset.label,
                "model": model.label,
                "method": cell.label,
                "kind": cell.kind,
                "of": cell.of,
                "name": cell.name,
                "description": cell.description,
                "parameters": {key: value for key, value in cell.parameters.items() if key != "seed"},
                "seeds": [],
                "better": {choice.label: better[choice.label] for choice in config.metrics if measured(cell, choice)},
            },
        )
        entry["seeds"].append(cell.seed)
    return list(found.values())


def _columns(results: Any) -> dict[str, list[str]]:
    """Columns of each metric, by name."""
    pairs = results.select(["metric", "column"]).group_by(["metric", "column"]).aggregate([]).to_pylist()
    found: dict[str, list[str]] = {}
    for pair in sorted(pairs, key=lambda pair: (pair["metric"], pair["column"])):
        found.setdefault(pair["metric"], []).append(pair["column"])
    return found


def _record(plan: Plan, samples: Sequence[Mapping[str, Any]], problems: int) -> dict[str, Any]:
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


def _joint_plan(shards: Sequence[Store]) -> Plan:
    """The plan of the whole run that these shards are parts of, all of them done."""
    plans: list[Plan] = []
    for shard in shards:
        if shard.plan is None:
            raise InputError(f"Expected the folder of a shard, got {str(shard.path)!r}, which holds none. Check it.")
        plans.append(Plan.from_plain(shard.plan))
    first = plans[0]
    for shard, plan in zip(shards, plans, strict=True):
        for what in ("config", "counts", "data", "weights"):
            old, new = (one.as_plain()[what] for one in (first, plan))
            if changed := differences(json.loads(json.dumps(old)), json.loads(json.dumps(new))):
                raise InputError(
                    f"Expected shards of one run, got another {what} in {str(shard.path)!r}: {changed[0]}. "
                    "Merge what belongs together."
                )
        if lacking := [chunk for chunk in plan.chunks() if not shard.has(chunk)]:
            raise InputError(
                f"Expected shards that are done, got {str(shard.path)!r}, which lacks {len(lacking)} of "
                f"{len(plan.chunks())} chunks. Go on with it with --resume."
            )
        for chunk in plan.chunks():  # a damaged file is said of the shard that it can be mended in
            shard.chunk(chunk)
            shard.values(chunk)
    whole = dataclasses.replace(first, shard=None)
    held = {chunk for plan in plans for chunk in plan.chunks()}
    if lacking := [chunk for chunk in whole.chunks() if chunk not in held]:
        given = ", ".join(f"{plan.shard[0]}/{plan.shard[1]}" if plan.shard else "whole" for plan in plans)
        raise InputError(f"Expected every shard of the run, got {given}: {len(lacking)} chunks are in none of them.")
    return whole


def _with_folders(plan: Plan, shard: Store, config: Config | None) -> Plan:
    """The plan with the configuration that names the folders, or as it is where nothing in them is read again."""
    if config is not None:
        _refuse_changes(plain(plan.config), config, shard)
        return dataclasses.replace(plan, config=config)
    whole = [choice.label for choice in plan.config.metrics if METRICS[choice.name].dataset_level]
    if whole and (shard.plan or {}).get("without_folders"):
        raise InputError(
            f"Expected --config FILE, the run's configuration, got none: {shown(whole[0])} reads films again, and the "
            "shards do not record the folders of data sets and models."
        )
    return plan


def _copy(source: Path, target: Store) -> None:
    """The maps and chunks of a shard into the merged run; linked where the file system can, to save room."""
    for file in (*(source / "maps").rglob("*.npz"), *(source / "work/chunks").rglob("*")):
        if file.suffix not in (".npz", ".json", ".parquet"):
            continue
        place = target.path / file.relative_to(source)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)  # of a merge that was stopped, and perhaps of a shard made again since
            os.link(file, place)
        except OSError:
            target.write(str(file.relative_to(source)), file.read_bytes())


@contextlib.contextmanager
def _threads(count: int) -> Generator[None]:
    """Run with this many threads: sums over other numbers of them differ in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _environment() -> dict[str, str]:
    packages = ("matex", "torch", "transformers", "numpy", "pillow", "pyarrow")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
