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
from matex.benchmark.runs.store import ChunkKey
from matex.benchmark.runs.worker import ChunkResult, ProgressCallback, compute
from matex.errors import MissingExtra

Executor = Callable[[Plan, Inputs, Sequence[ChunkKey], ProgressCallback], Iterator[ChunkResult]]
"""Carries out chunks in any order and tells (what, maps made) on the way."""


RETRIES = 3  # of a chunk whose worker was killed


def serial(plan: Plan, opened: Inputs, chunks: Sequence[ChunkKey], told: ProgressCallback) -> Iterator[ChunkResult]:
    """One chunk after the other, here."""
    for chunk in chunks:
        yield compute(plan, opened, chunk, told)


def on_ray(plan: Plan, opened: Inputs, chunks: Sequence[ChunkKey], told: ProgressCallback) -> Iterator[ChunkResult]:
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
        yield from _on_workers(ray, plan, opened, chunks, told)
    finally:
        if started:
            ray.shutdown()


EXECUTORS: Mapping[str, Executor] = {"serial": serial, "ray": on_ray}


def _on_workers(
    ray: Any, plan: Plan, opened: Inputs, chunks: Sequence[ChunkKey], told: ProgressCallback
) -> Iterator[ChunkResult]:
    """Never more chunks under way than twice the workers, so that their maps do not pile up."""
    cores = max(1, min(plan.threads, int(ray.cluster_resources().get("CPU", 1))))
    devices = {opened.model(choice.label).device.type for choice in plan.config.models}
    options = {"num_cpus": cores, "num_gpus": 1 if "cuda" in devices else 0, "max_retries": RETRIES}
    work: Any = ray.remote(**options)(_work)
    recorded = ray.put(plan.as_plain())
    room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
    waiting, running = list(reversed(chunks)), dict[Any, ChunkKey]()
    made = len(run_specs(plan.config))
    while waiting or running:
        while waiting and len(running) < room:
            chunk = waiting.pop()
            running[work.remote(recorded, chunk)] = chunk
        ready, _ = ray.wait(list(running))
        for reference in ready:
            chunk = running.pop(reference)
            try:
                outcome = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            told(chunk.dataset, len(plan.numbers(chunk)) * made)
            yield outcome


def _work(recorded: Mapping[str, Any], chunk: ChunkKey) -> ChunkResult:
    """A chunk in a worker's process."""
    plan = Plan.from_plain(recorded)
    torch.set_num_threads(plan.threads)
    return compute(plan, _opened(repr(recorded["config"]), plan), chunk, lambda _label, _maps: None)


_KEPT: dict[str, Inputs] = {}


def _opened(key: str, plan: Plan) -> Inputs:
    """The data sets and models of a configuration, kept between the chunks that a worker gets."""
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = Inputs(plan.config)
    return _KEPT[key]
