"""Rows and records of a run folder, as its files hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict


class ProblemRow(TypedDict):
    """A line of problems.jsonl: a row, image or method that was left out, and why."""

    dataset: str
    file: str
    row: int | None
    said: str
    model: NotRequired[str]
    sample: NotRequired[str]


class UnsupportedRow(TypedDict):
    """A line of problems.jsonl: a method that a model does not support."""

    dataset: str
    model: str
    method: str
    file: str
    row: int | None
    said: str


class SampleColumns(TypedDict):
    """A row of samples.parquet without its boxes and attributes; runs of older formats lack `cluster`."""

    dataset: str
    sample: str
    text: str
    cluster: NotRequired[str]
    group: str | None
    split: str | None
    label: str | None
    height: int
    width: int
    sha256: str
    number: int


class SampleRow(SampleColumns):
    """A row of samples.parquet, its attributes as JSON."""

    boxes: Sequence[Sequence[float]] | None
    attributes: str | None


class ScoreRow(TypedDict):
    """A row of scores.parquet."""

    dataset: str
    model: str
    sample: str
    score: float


ChunkRecord = TypedDict(
    "ChunkRecord",
    {
        "samples": Sequence[SampleRow],
        "scores": Sequence[ScoreRow],
        "numbers": Mapping[str, int],
        "problems": Sequence[ProblemRow],
        "left out": Sequence[UnsupportedRow],
    },
)
"""Everything about a chunk but values of metrics; `numbers` are those of its samples among the samples used."""


class CellRow(TypedDict):
    """An entry of cells.json: a method or control of a data set and model."""

    dataset: str
    model: str
    method: str
    kind: Literal["method", "control"]
    of: str | None
    name: str
    description: str
    parameters: dict[str, object]
    seeds: Sequence[int]


class DirectedCell(CellRow):
    """An entry of cells.json with the better direction of each column, by metric."""

    better: dict[str, dict[str, str]]


class PlanRecord(TypedDict):
    """What a run has to do, see `Plan`."""

    format: str
    config: dict[str, object]
    counts: dict[str, int]
    data: dict[str, str]
    weights: dict[str, str | None]
    problems: Sequence[ProblemRow]
    threads: int
    environment: dict[str, str]
    shard: tuple[int, int] | None


class Event(TypedDict, total=False):
    """A line of log.jsonl; times in seconds."""

    event: str
    time: str
    seconds: float
    overhead: float
    samples: int
    metric: str
    methods: dict[str, float]
    metrics: dict[str, float]
    reading: dict[str, float]
