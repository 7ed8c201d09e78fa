"""Execute the chunks of a run in this process or on Ray workers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from matex.benchmark.controls import run_specs
from matex.benchmark.runs.inputs import Inputs
from matex.benchmark.runs.plan import Plan
from matex.benchmark.runs.records import PlanRecord
from matex.benchmark.runs.store import ChunkKey
from matex.benchmark.runs.worker import ChunkResult, ProgressCallback, compute
from matex.errors import MissingExtra

Executor = Callable[[Plan, Inputs, Sequence[ChunkKey], ProgressCallback], Iterator[ChunkResult]]
"""Computes chunks in any order and reports (label, number of maps) to the callback."""
RETRIES = 3  # of a chunk whose worker was killed


def serial(
    plan: Plan, inputs: Inputs, chunks: Sequence[ChunkKey], on_progress: ProgressCallback
) -> Iterator[ChunkResult]:
    """One chunk after the other, here."""
    for chunk in chunks:
        yield compute(plan, inputs, chunk, on_progress)


def on_ray(
    plan: Plan, inputs: Inputs, chunks: Sequence[ChunkKey], on_progress: ProgressCallback
) -> Iterator[ChunkResult]:
    """Chunks on the workers of Ray; what they come to is sent back here, so that workers need not see the run folder.

    A worker takes as many cores as the run has threads, and a GPU where a model is on one. A chunk whose worker dies
    is given to another, up to RETRIES times.

    Raises:
        ImportError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]  # an extra that development does without
    except ImportError:
        raise MissingExtra("--executor ray needs Ray: pip install matex[ray]") from None
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield from _on_workers(ray, plan, inputs, chunks, on_progress)
    finally:
        if started:
            ray.shutdown()


EXECUTORS: Mapping[str, Executor] = {"serial": serial, "ray": on_ray}


def _on_workers(
    ray: Any, plan: Plan, inputs: Inputs, chunks: Sequence[ChunkKey], on_progress: ProgressCallback
) -> Iterator[ChunkResult]:
    """Keep at most twice as many chunks in flight as there are workers, so that their maps do not pile up."""
    cores = max(1, min(plan.threads, int(ray.cluster_resources().get("CPU", 1))))
    devices = {inputs.model(choice.label).device.type for choice in plan.config.models}
    options = {"num_cpus": cores, "num_gpus": 1 if "cuda" in devices else 0, "max_retries": RETRIES}
    work = ray.remote(**options)(_compute_in_worker)
    record = ray.put(plan.as_plain())
    room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
    waiting, running = list(reversed(chunks)), dict[object, ChunkKey]()
    maps_per_sample = len(run_specs(plan.config))
    while waiting or running:
        while waiting and len(running) < room:
            chunk = waiting.pop()
            running[work.remote(record, chunk)] = chunk
        ready, _ = ray.wait(list(running))
        for reference in ready:
            chunk = running.pop(reference)
            try:
                outcome = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            on_progress(chunk.dataset, len(plan.numbers(chunk)) * maps_per_sample)
            yield outcome


def _compute_in_worker(record: PlanRecord, chunk: ChunkKey) -> ChunkResult:
    """Compute a chunk in a worker's process."""
    plan = Plan.from_plain(record)
    torch.set_num_threads(plan.threads)
    return compute(plan, _cached_inputs(repr(record["config"]), plan), chunk, lambda _label, _maps: None)


_CACHED_INPUTS: dict[str, Inputs] = {}


def _cached_inputs(key: str, plan: Plan) -> Inputs:
    """The data sets and models of a configuration, cached between the chunks of a worker."""
    if key not in _CACHED_INPUTS:
        _CACHED_INPUTS.clear()
        _CACHED_INPUTS[key] = Inputs(plan.config)
    return _CACHED_INPUTS[key]
