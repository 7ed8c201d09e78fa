"""Execute a configuration chunk by chunk into a run folder, and resume an interrupted run."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
from collections.abc import Callable, Generator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from tqdm.auto import tqdm

from matex.benchmark.config import Config
from matex.benchmark.controls import run_specs, targets_prediction
from matex.benchmark.plain_config import differences
from matex.benchmark.runs.executors import EXECUTORS
from matex.benchmark.runs.finish import finish
from matex.benchmark.runs.inputs import Inputs
from matex.benchmark.runs.parquet import arrow
from matex.benchmark.runs.plan import Plan, Shard, plan_record, refuse_changes, shard_of_environment
from matex.benchmark.runs.records import ProblemRow
from matex.benchmark.runs.store import ChunkKey, Store, timestamp
from matex.checks import as_path
from matex.errors import InputError
from matex.metrics import make_metric
from matex.metrics.metric import serves_sounds


def run(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    shard: Shard | None = None,
    executor: str = "serial",
    progress: bool = False,
    report: Callable[[str], None] | None = None,
    inputs: Inputs | None = None,
) -> Path:
    """Execute a configuration: every method and control on every sample, every metric on every map.

    Args:
        config: what to run.
        out: run folder; must not exist, unless `resume`.
        resume: continue the run in the folder; starts a new one where there is none.
        shard: (i, n), from (1, n) to (n, n): do this part alone, in `out`/shards/i-of-n; `merge` puts them together.
            None reads RANK and WORLD_SIZE from the environment, as torchrun sets them.
        executor: "serial", or "ray" on all cores or the cluster that RAY_ADDRESS names.
        progress: show bars with the time left.
        report: called with one line after every chunk, for logs and pipes, which show no bars.
        inputs: the configuration's data sets and models, where they are already open.

    Returns:
        The folder that was written to.

    Raises:
        InputError: a folder with something else in it, a configuration that changed since, a data set or model that
            cannot be inputs, or a full disk.
    """
    arrow()
    if executor not in EXECUTORS:
        raise InputError(f"Expected executor to be one of {', '.join(EXECUTORS)}, got {executor!r}.")
    shard = shard or shard_of_environment()
    if shard and not 1 <= shard[0] <= shard[1]:
        raise InputError(f"Expected a shard from 1/{shard[1]} to {shard[1]}/{shard[1]}, got {shard[0]}/{shard[1]}.")
    store = Store(as_path(out, "a folder"))
    if shard and not store.complete:
        store = Store(store.path / f"shards/{shard[0]}-of-{shard[1]}")
    inputs = inputs or Inputs(config)
    plan = _plan(store, inputs, shard, resume)
    if plan is None:
        store.tidy()
        return store.path
    with store.held(), thread_count(plan.threads):
        if store.complete:  # by a process that had the folder until now
            store.tidy()
            return store.path
        fresh = store.plan is None
        if fresh:
            store.start(plan_record(plan))
        store.log("start" if fresh else "resume", time=timestamp(), **_environment())
        todo = [chunk for chunk in plan.chunks() if not store.has(chunk)]
        _execute(store, plan, inputs, todo, executor, progress, report)
        if shard:
            store.log("shard done", time=timestamp())
        else:
            finish(store, plan, inputs, progress)
    return store.path


def _plan(store: Store, inputs: Inputs, shard: Shard | None, resume: bool) -> Plan | None:
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
        refuse_changes(store.record.get("config"), inputs.config, store)
        return None
    recorded = store.plan
    if recorded is None:
        if held - {"work"}:
            what = "shards: take --shard, or put them together with matex merge" if "shards" in held else "none"
            raise InputError(
                f"Expected a run to go on with, got {str(store.path)!r}, which holds {what}. Or name another with -o."
            )
        return _new_plan(inputs, shard)
    before = Plan.from_plain(recorded)
    refuse_changes(recorded["config"], inputs.config, store)
    plan = _new_plan(inputs, shard)
    for what, old, new in (
        ("the number of samples", before.counts, plan.counts),
        ("the data", before.data, plan.data),
        ("the weights", before.weights, plan.weights),
    ):
        if changed := differences(old, new):
            raise InputError(
                f"Expected {what} of the run in {str(store.path)!r}, got others: {changed[0]}. Start a new run with -o."
            )
    return dataclasses.replace(before, config=inputs.config)  # the recorded one names no folders


def _new_plan(inputs: Inputs, shard: Shard | None) -> Plan:
    """Open every data set and model once, so that errors come before anything is written."""
    config = inputs.config
    run_specs(config)
    _check_targets(inputs)
    _check_sounds(inputs)
    counts = {choice.label: inputs.count(choice.label) for choice in config.datasets}
    problems: list[ProblemRow] = [
        {"dataset": choice.label, "file": problem.file, "row": problem.row, "said": problem.said}
        for choice in config.datasets
        for problem in inputs.dataset(choice.label).problems
    ]
    weights = {choice.label: _weights(inputs, choice.label) for choice in reversed(config.models)}
    data = {choice.label: inputs.dataset(choice.label).fingerprint for choice in config.datasets}
    return Plan(config, counts, data, weights, tuple(problems), torch.get_num_threads(), _environment(), shard)


def _check_targets(inputs: Inputs) -> None:
    """Refuse metrics of the predicted class on data sets without classes.

    Raises:
        InputError: such a data set.
    """
    predicted = [choice.label for choice in inputs.config.metrics if targets_prediction(choice)]
    for choice in inputs.config.datasets if predicted else ():
        if not inputs.dataset(choice.label).labels:
            raise InputError(
                f"Expected data sets with classes for target='predicted' of {predicted[0]!r}, got {choice.label!r} "
                "without. Use target='truth', or leave the data set out."
            )


def _weights(inputs: Inputs, model: str) -> str | None:
    """Hash of a model's weights.

    Raises:
        InputError: a model that does not read one of the data sets.
    """
    for dataset in inputs.config.datasets:
        inputs.reader(model, dataset.label)
    return inputs.model(model).weights_sha256


def _check_sounds(inputs: Inputs) -> None:
    """Refuse metrics that would paint on the picture of a sound.

    Raises:
        InputError: such a metric.
    """
    for dataset in inputs.config.datasets:
        if inputs.dataset(dataset.label).domain != "sound":
            continue
        for choice in inputs.config.metrics:
            if not serves_sounds(make_metric(choice.name, choice.parameters)):
                raise InputError(
                    f"Expected metrics that serve sounds with the data set {dataset.label!r} (confidence-image, "
                    'confidence-text, deletion-insertion with protocol="rise", agreement), got '
                    f"{choice.label!r}. Leave it out."
                )


def _execute(
    store: Store,
    plan: Plan,
    inputs: Inputs,
    todo: Sequence[ChunkKey],
    executor: str,
    progress: bool,
    report: Callable[[str], None] | None,
) -> None:
    """Compute the missing chunks with an executor; the files of each are written as soon as it is done."""
    maps_per_sample = len(run_specs(plan.config))
    total = sum(len(plan.numbers(chunk)) for chunk in plan.chunks()) * maps_per_sample
    left = sum(len(plan.numbers(chunk)) for chunk in todo) * maps_per_sample
    with tqdm(total=total, initial=total - left, unit="map", disable=not progress, smoothing=0) as bar:

        def on_progress(label: str, maps: int) -> None:
            bar.set_postfix_str(label, refresh=False)
            bar.update(maps)

        done = len(plan.chunks()) - len(todo)
        for result in EXECUTORS[executor](plan, inputs, todo, on_progress):
            for name, data in result.files.items():
                store.write(name, data)
            store.log("chunk", **result.log)
            done += 1
            if report:
                facts = result.log
                report(
                    f"chunk {done} of {len(plan.chunks())}: {facts['samples']} samples of {facts['dataset']} with "
                    f"{facts['model']}, {facts['seconds']:.0f} s"
                )


@contextlib.contextmanager
def thread_count(count: int) -> Generator[None]:
    """Run with this many threads: sums over another number of threads differ in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _environment() -> dict[str, str]:
    packages = ("matex", "torch", "transformers", "numpy", "pillow", "pyarrow")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
