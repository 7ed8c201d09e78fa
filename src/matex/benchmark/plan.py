"""What a run set out to do, and the data sets and models that it opens."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from matex.adapters import Model, load
from matex.adapters.randomise import randomised
from matex.benchmark.config import Config, ModelChoice, parse_config, plain
from matex.benchmark.store import FORMAT, ChunkKey
from matex.corpus import read_ahead
from matex.datasets import Dataset, Sample, open_dataset
from matex.errors import InputError, shortened, shown
from matex.images import READ_SIDE, Film, read

Shard = tuple[int, int]  # (which, of how many), from 1


@dataclass(frozen=True)
class Plan:
    """What a run set out to do, as its folder records it.

    Args:
        config: resolved.
        counts: samples of each data set, by label.
        data: what the tables of each data set say, as a hash, by label.
        weights: hash of each model's weights, by label.
        problems: of the data sets' tables.
        threads: of torch, which the last bits of a map depend on.
        environment: versions.
        shard: None for the whole run.
    """

    config: Config
    counts: Mapping[str, int]
    data: Mapping[str, str]
    weights: Mapping[str, str]
    problems: tuple[Mapping[str, Any], ...]
    threads: int
    environment: Mapping[str, str]
    shard: Shard | None = None

    def chunks(self) -> list[ChunkKey]:
        """Every chunk of the run or the shard, models in turn so that one is in memory at a time."""
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
        """Which of the used samples a chunk holds."""
        start = chunk.number * self.config.chunk
        return range(start, min(start + self.config.chunk, self.counts[chunk.dataset]))

    def as_plain(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **{item.name: getattr(self, item.name) for item in dataclasses.fields(self)},
            "config": plain(self.config),
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Plan:
        """Raises InputError for a folder that another version of the package wrote."""
        if values.get("format") != FORMAT:
            raise InputError(
                f"Expected a run of format {FORMAT}, got {values.get('format')}. Use the version it names."
            )
        return cls(
            parse_config(values["config"], "the recorded configuration"),
            values["counts"],
            values["data"],
            values["weights"],
            tuple(values["problems"]),
            values["threads"],
            values["environment"],
            (values["shard"][0], values["shard"][1]) if values["shard"] else None,
        )


class Opened:
    """Data sets and models of a configuration, opened when they are first asked for; one model is kept at a time."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._datasets: dict[str, Dataset] = {}
        self._model: tuple[str, Model] | None = None
        self._random: dict[int, Model] = {}

    def dataset(self, label: str) -> Dataset:
        if label not in self._datasets:
            choice = next(choice for choice in self.config.datasets if choice.label == label)
            try:
                self._datasets[label] = open_dataset(choice.name, **choice.parameters)
            except ValueError as error:
                raise InputError(f"Data set {label!r}: {error}") from None
        return self._datasets[label]

    def count(self, label: str) -> int:
        limit = next(choice.limit for choice in self.config.datasets if choice.label == label)
        return min(len(self.dataset(label)), limit or len(self.dataset(label)))

    def sample(self, label: str, number: int) -> Sample:
        """The sample of this number among those used, which are evenly spread over the data set."""
        dataset = self.dataset(label)
        return dataset[number * len(dataset) // self.count(label)]

    def choice(self, label: str) -> ModelChoice:
        return next(choice for choice in self.config.models if choice.label == label)

    def model(self, label: str) -> Model:
        if self._model is None or self._model[0] != label:
            self._random.clear()
            self._model = None
            self._model = (label, open_model(self.choice(label)))
        return self._model[1]

    def random_model(self, label: str, seed: int) -> Model:
        """The same architecture with weights drawn from a seed."""
        model = self.model(label)
        if seed not in self._random:
            self._random[seed] = randomised(model, seed)
        return self._random[seed]


class Films:
    """Films of some samples that are explained together; those of one image are one object, and run once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[tuple[str, str | None, bool], Film] = {}

    def of_each(self, samples: Iterable[tuple[int, Sample]]) -> Iterator[tuple[int, Sample, Film | InputError]]:
        """Numbered samples with their films, decoded in threads ahead of the caller.

        Yields:
            (number, sample, film); instead of the film the error, where the image or the phrase cannot be read.
        """
        with contextlib.closing(read_ahead(samples, lambda numbered: _film(numbered[1]))) as films:
            for (number, sample), film in films:
                yield number, sample, film if isinstance(film, InputError) else self._known_film(sample, film)

    def of(self, sample: Sample) -> Film:
        """The film of one sample.

        Raises:
            InputError: the image cannot be read, or the model cannot read the phrase.
        """
        film = self._known_film(sample, _film(sample))
        if isinstance(film, InputError):
            raise film
        return film

    def _known_film(self, sample: Sample, film: Film) -> Film | InputError:
        """The first film with this content; the error where the model cannot read the sample's phrase."""
        try:
            self._model.encode(sample.text)
        except InputError as error:
            return error
        return self._known.setdefault((film.sha256, film.view, film.mirrored), film)


def _film(sample: Sample) -> Film:
    return read(sample.image, side=READ_SIDE).known_as(sample.view, None)


def without_folder(message: str, path: Path) -> str:
    """A message for the files of a run, which name no folders: of a path in it, however quoted, the last part."""
    for quoted, name in ((shown(path), shown(path.name)), (shortened(str(path)), path.name), (str(path), path.name)):
        message = message.replace(quoted, name)
    return message


def open_model(choice: ModelChoice) -> Model:
    """The model that a configuration names."""
    return load(
        choice.name,
        preset=choice.preset,
        tokenizer=choice.tokenizer,
        device=_device(choice.device),
        dtype=choice.dtype,
        heads=choice.heads,
        activation=choice.activation,
    )


def shard_of_environment() -> Shard | None:
    """What torchrun and its like say about this process; None when it is alone."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and size.isdecimal()) or int(size) < 2:
        return None
    return int(rank) + 1, int(size)


def _device(device: str) -> str:
    """The GPU that torchrun gave to this process, where the configuration leaves the choice."""
    local = os.environ.get("LOCAL_RANK", "")
    if device == "auto" and local.isdecimal() and int(local) < torch.cuda.device_count():
        return f"cuda:{local}"
    return device
