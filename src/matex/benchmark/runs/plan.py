"""The record of what a run has to do: its configuration, data, weights and share of the chunks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matex.benchmark.config import Config, parse_config
from matex.benchmark.plain_config import differences, plain, public
from matex.benchmark.runs.records import PlanRecord, ProblemRow
from matex.benchmark.runs.store import FORMAT, ChunkKey, Store
from matex.coerce import as_type
from matex.errors import InputError

Shard = tuple[int, int]  # (which, of how many), from 1


@dataclass(frozen=True)
class Plan:
    """Inputs of a run, as its folder records them.

    Args:
        config: resolved.
        counts: samples of each data set, by label.
        data: hash of each data set's tables, by label.
        weights: hash of each model's weights, by label; None for models without weights of their own.
        problems: of the data sets' tables.
        threads: of torch, which the last bits of a map depend on.
        environment: versions.
        shard: None for the whole run.
    """

    config: Config
    counts: Mapping[str, int]
    data: Mapping[str, str]
    weights: Mapping[str, str | None]
    problems: Sequence[ProblemRow]
    threads: int
    environment: Mapping[str, str]
    shard: Shard | None = None

    def chunks(self) -> list[ChunkKey]:
        """Every chunk of the run or the shard, one model after the other so that one is in memory at a time."""
        size = self.config.chunk
        every = [
            ChunkKey(dataset.label, model.label, number)
            for model in self.config.models
            for dataset in self.config.datasets
            for number in range(-(-self.counts[dataset.label] // size))
        ]
        which, shards = self.shard or (1, 1)
        return every[which - 1 :: shards]

    def numbers(self, chunk: ChunkKey) -> range:
        """Numbers of a chunk's samples among those used."""
        start = chunk.number * self.config.chunk
        return range(start, min(start + self.config.chunk, self.counts[chunk.dataset]))

    def as_plain(self) -> PlanRecord:
        return {
            "format": FORMAT,
            "config": plain(self.config),
            "counts": dict(self.counts),
            "data": dict(self.data),
            "weights": dict(self.weights),
            "problems": self.problems,
            "threads": self.threads,
            "environment": dict(self.environment),
            "shard": self.shard,
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, object]) -> Plan:
        """Raises InputError for a folder that another version of the package wrote, and for a damaged record."""
        if values.get("format") != FORMAT:
            raise InputError(
                f"Expected a run of format {FORMAT}, got {values.get('format')}. Use the version it names."
            )
        try:
            record = as_type(values, PlanRecord)
        except ValueError:
            raise InputError(
                "Expected the plan of a run as it was written, got a damaged one. Copy the folder again, or start "
                "a new run with -o."
            ) from None
        return cls(
            parse_config(record["config"], "the recorded configuration"),
            record["counts"],
            record["data"],
            record["weights"],
            tuple(record["problems"]),
            record["threads"],
            record["environment"],
            record["shard"],
        )


def shard_of_environment() -> Shard | None:
    """The shard that torchrun or a similar launcher assigns to this process; None for a single process."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and size.isdecimal()) or int(size) < 2:
        return None
    return int(rank) + 1, int(size)


def refuse_changes(before: object, config: Config, store: Store) -> None:
    """Refuse a configuration that differs from the recorded one in more than where its folders are.

    That the folders hold the same data and weights is checked by their hashes.

    Raises:
        InputError: another configuration, or a recorded one that is damaged.
    """
    changed = differences(public(before), json.loads(json.dumps(public(plain(config)))))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"Expected the configuration that {str(store.path)!r} was started with, got another: {changed[0]}{more}. "
            "Take the old one, or start a new run with -o."
        )


def plan_record(plan: Plan) -> dict[str, object]:
    """The plan as an unfinished run folder holds it, without the user's folders."""
    config = plain(plan.config)
    return {**plan.as_plain(), "config": public(config), "without_folders": public(config) != config}
