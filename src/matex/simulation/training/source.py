"""Source of a training run's batches: other processes simulate and prepare them, as far as that pays."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch

from matex.simulation.training.batches import Batch, Batches, Films
from matex.simulation.training.pool import (
    Simulator,
    SimulatorHere,
    Workers,
    normal_films,
    put_all,
    read_normals,
    read_real,
)
from matex.simulation.training.recipe import Recipe
from matex.simulation.training.vocabulary import read_tokenizer

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.sharedctypes import Synchronized

Prepared: TypeAlias = tuple[int, int, dict[str, np.ndarray], dict[str, np.ndarray]]
"""Number of the process, films that it has simulated, and the arrays and token ids of a batch."""


class Source(Protocol):
    """Batches of a run, as a context manager."""

    @property
    def simulated(self) -> int:
        """Films simulated so far."""
        ...

    def __enter__(self) -> Source: ...

    def __exit__(self, *_: object) -> None: ...

    def next(self, progress: float) -> Batch:
        """A batch at this share of the schedule."""
        ...


class SimulatedElsewhere:
    """Films simulated by other processes, batches prepared in this one: for a CPU, which the training keeps busy."""

    def __init__(self, data: Path, recipe: Recipe, batches: Batches, processes: int) -> None:
        self._data = data
        self._recipe = recipe
        self._batches = batches
        self._normals = read_normals(data, "train")
        self._simulator = Simulator(self._normals, recipe.seed, processes)

    def __enter__(self) -> SimulatedElsewhere:
        self._simulator.__enter__()
        real = read_real(self._data, "train")
        self._films = Films(real, self._recipe, self._simulator, normal_films(self._normals))
        self._films.fill(self._recipe.first)
        return self

    def __exit__(self, *_: object) -> None:
        self._simulator.__exit__()

    @property
    def simulated(self) -> int:
        return self._films.simulated

    def next(self, progress: float) -> Batch:
        self._simulator.progress.value = progress
        return self._batches.make(self._films.batch(self._batches.rng), progress)


class PreparedElsewhere:
    """Batches prepared by other processes, each with films of its own: for a GPU, which waits for one process.

    A batch may be some dozen steps old when it is taken.
    """

    def __init__(self, data: Path, recipe: Recipe, words: Path, processes: int) -> None:
        share = replace(recipe, films=recipe.films // processes, first=recipe.first // processes)
        arguments = [(data, share, words, number) for number in range(processes)]
        # Spawned: a forked process inherits locks of the tokenizer's threads.
        self._workers: Workers[Prepared] = Workers("spawn", _prepare, arguments, ahead=48)
        self._counts = [0] * processes

    def __enter__(self) -> PreparedElsewhere:
        self._workers.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.__exit__()

    @property
    def simulated(self) -> int:
        return sum(self._counts)

    def next(self, progress: float) -> Batch:
        self._workers.progress.value = progress
        number, self._counts[number], arrays, tokens = self._workers.take()
        return Batch(**_tensors(arrays), tokens=_tensors(tokens))


def _prepare(
    data: Path, recipe: Recipe, words: Path, number: int, queue: Queue[Prepared], progress: Synchronized[float]
) -> None:
    os.nice(5)
    torch.set_num_threads(1)
    normals = read_normals(data, "train")
    simulator = SimulatorHere(normals, [recipe.seed, 1, number], progress)
    films = Films(read_real(data, "train"), recipe, simulator, normal_films(normals))
    films.fill(recipe.first)
    batches = Batches(recipe, read_tokenizer(words), [recipe.seed, 3, number])

    def prepared() -> Prepared:
        values = dict(vars(batches.make(films.batch(batches.rng), progress.value)))
        tokens = values.pop("tokens")
        return number, films.simulated, _arrays(values), _arrays(tokens)

    put_all((prepared() for _ in itertools.count()), queue)


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    # A tensor in a queue is a file descriptor each, of which there are too few for this many.
    return {name: value.numpy() for name, value in tensors.items()}


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in arrays.items()}
