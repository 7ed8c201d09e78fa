"""The configuration of a benchmark: a TOML file as frozen dataclasses; errors are one line that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matex.benchmark.choices import (
    DatasetChoice,
    MethodChoice,
    MetricChoice,
    ModelChoice,
    dataset_choice,
    method_choice,
    metric_choice,
    model_choice,
    unique,
)
from matex.benchmark.config_key import ConfigKey
from matex.benchmark.score_keys import check_metrics
from matex.checks import MAX_BATCH, SEEDS, read_toml

CHUNK = 16
"""Samples that are explained together; the bytes of a run depend on it."""


@dataclass(frozen=True)
class Config:
    """Every method on every sample of every data set with every model, measured by every metric.

    Args:
        datasets: one or more.
        models: one or more.
        methods: one or more.
        metrics: one or more.
        seeds: of stochastic methods, random maps and random weights.
        chunk: samples explained together; an interrupted run loses at most one chunk.
    """

    datasets: tuple[DatasetChoice, ...]
    models: tuple[ModelChoice, ...]
    methods: tuple[MethodChoice, ...]
    metrics: tuple[MetricChoice, ...]
    seeds: tuple[int, ...] = (0,)
    chunk: int = CHUNK


def load_config(path: str | Path) -> Config:
    """Read the configuration of `matex benchmark`.

    Raises:
        InputError: no such file, no TOML, or a mistake in it.
    """
    return parse_config(read_toml(Path(path)), str(path))


def parse_config(content: Mapping[str, object], source: str = "configuration") -> Config:
    """A configuration from plain values, as TOML gives them; `source` is named in errors."""
    at = ConfigKey(source)
    at.known(content, ("seeds", "chunk", "datasets", "models", "methods", "metrics"))
    config = Config(
        datasets=unique(at / "datasets", [dataset_choice(*entry) for entry in at.entries(content, "datasets")]),
        models=unique(at / "models", [model_choice(*entry) for entry in at.entries(content, "models")]),
        methods=unique(at / "methods", [method_choice(*entry) for entry in at.entries(content, "methods")]),
        metrics=unique(at / "metrics", [metric_choice(*entry) for entry in at.entries(content, "metrics")]),
        seeds=(at / "seeds").typed(content.get("seeds", [0]), tuple[int, ...]),
        chunk=(at / "chunk").typed(content.get("chunk", CHUNK), int),
    )
    different = len(set(config.seeds)) == len(config.seeds)
    if not (different and 1 <= len(config.seeds) <= 1000 and all(0 <= seed < SEEDS for seed in config.seeds)):
        raise (at / "seeds").refusal("1 to 1000 different whole numbers from 0 to 4294967295", list(config.seeds))
    (at / "chunk").in_range(config.chunk, MAX_BATCH)
    check_metrics(
        source,
        {method.label: method.score for method in config.methods},
        {metric.label: metric.name for metric in config.metrics},
    )
    return config
