"""Training films: normal films, findings simulated in them by a separate process, and real films."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np
from PIL import Image

from matex.simulation.chest import Lungs, find_lungs
from matex.simulation.film import SimulatedFilm, simulate
from matex.simulation.phrases import FINDINGS

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.sharedctypes import Synchronized

Item = TypeVar("Item")
SIZE = 112
"""Height and width of the films as the model sees them, pixels."""
MASK = 28
"""Height and width of the coverage maps kept for training."""
SLOTS = 2
"""Most findings in one film."""

# What the labels of the real collections say, in the grammar's names; the place is unknown.
LABELS: dict[str, tuple[str, ...]] = {
    "No Finding": (),
    "normal": (),
    "Infiltration": ("lung opacity",),
    "Pneumonia": ("pneumonia", "lung opacity"),
    "bacterial pneumonia": ("pneumonia", "lung opacity"),
    "viral pneumonia": ("pneumonia", "lung opacity"),
    "Consolidation": ("consolidation",),
    "Edema": ("lung opacity",),
    "Effusion": ("pleural effusion",),
    "Atelectasis": ("atelectasis",),
    "Nodule": ("nodule",),
    "Mass": ("mass",),
    "Cardiomegaly": ("cardiomegaly",),
    "Pneumothorax": ("pneumothorax",),
    "Fibrosis": ("interstitial pattern",),
}


@dataclass(frozen=True)
class Place:
    """Finding of a film in the terms of the grammar; side or zone None where the record does not state it."""

    finding: str
    side: str | None = None
    zone: str | None = None


@dataclass(frozen=True)
class TrainingFilm:
    """One film ready for a batch."""

    image: np.ndarray
    """uint8 [SIZE, SIZE]"""
    places: tuple[Place, ...]
    complete: bool
    """Whether the film shows nothing else."""
    coverage: np.ndarray | None
    """uint8 [SLOTS, MASK, MASK], 255 where the finding covers everything; None: it lies somewhere unknown."""


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def read_grey(path: Path) -> np.ndarray:
    """A film as uint8 [height, width]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def squash(pixels: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Resize to a square without cropping, as the model's image processor does."""
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


def read_normals(data: Path, split: str, without: frozenset[str] = frozenset()) -> list[np.ndarray]:
    """Normal films of one split at their own size, `without` those of these names."""
    rows = [row for row in read_manifest(data / "normals") if row["split"] == split and row["image"] not in without]
    return [read_grey(data / "normals" / row["image"]) for row in rows]


def read_real(data: Path, split: str) -> dict[tuple[str, bool], list[TrainingFilm]]:
    """Labelled films by (collection, normal or not); films whose labels the grammar lacks are left out."""
    films: dict[tuple[str, bool], list[TrainingFilm]] = {}
    for name in ("nih", "kermany"):
        for row in read_manifest(data / name):
            if row["split"] != split or row.get("view") == "LATERAL":
                continue
            found = tuple(dict.fromkeys(one for label in row["labels"] for one in LABELS.get(label, ())))
            healthy = row["labels"] in (["No Finding"], ["normal"])
            if not healthy and not found:
                continue
            image = squash(read_grey(data / name / row["image"]))
            blank = np.zeros((SLOTS, MASK, MASK), np.uint8) if healthy else None
            film = TrainingFilm(image, tuple(Place(one) for one in found), healthy, blank)
            films.setdefault((name, healthy), []).append(film)
    return films


def normal_films(normals: Sequence[np.ndarray]) -> list[TrainingFilm]:
    """Normal films as they are, without findings."""
    blank = np.zeros((SLOTS, MASK, MASK), np.uint8)
    return [TrainingFilm(squash(one), (), True, blank) for one in normals]


def from_simulated(film: SimulatedFilm) -> TrainingFilm:
    """A simulated film at the model's size, its masks as coverage."""
    coverage = np.zeros((SLOTS, MASK, MASK), np.uint8)
    for slot, placed in enumerate(film.findings):
        mask = Image.fromarray(placed.mask.astype(np.uint8) * 255)
        coverage[slot] = np.asarray(mask.resize((MASK, MASK), Image.Resampling.BOX))
    places = tuple(Place(placed.finding, placed.side, placed.zone) for placed in film.findings)
    return TrainingFilm(squash(film.image), places, True, coverage)


def tier_of(progress: float, rng: np.random.Generator) -> str:
    """Curriculum: obvious findings first, moderate and subtle ones added during training."""
    subtle = 0.1 * min(1.0, max(0.0, (progress - 0.25) / 0.4))
    moderate = 0.22 * min(1.0, max(0.0, (progress - 0.1) / 0.3))
    chance = rng.random()
    return "subtle" if chance < subtle else "moderate" if chance < subtle + moderate else "obvious"


SMALL = {"nodule": 2.0, "atelectasis": 1.5}
"""Findings that take longest to learn, and how much more often they are drawn."""


class Backgrounds:
    """Normal films with their lung fields, computed on first use; films whose lungs are not found are left out."""

    def __init__(self, normals: Sequence[np.ndarray]) -> None:
        self._normals = normals
        self._lungs: dict[int, Lungs] = {}

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, Lungs]:
        while True:
            index = int(rng.integers(len(self._normals)))
            if index not in self._lungs:
                self._lungs[index] = find_lungs(self._normals[index])
            if self._lungs[index].measured:  # else the zones are those of the average film and not of this one
                return self._normals[index], self._lungs[index]


def random_film(backgrounds: Backgrounds, progress: float, rng: np.random.Generator) -> TrainingFilm:
    """One or two simulated findings in a random normal film."""
    normal, lungs = backgrounds.draw(rng)
    names = list(FINDINGS)
    places = np.array([len(FINDINGS[name].sides) * len(FINDINGS[name].zones) for name in names])
    weights = places**0.5 * np.array([SMALL.get(name, 1.0) for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    entry = FINDINGS[name]
    film = simulate(
        normal,
        int(rng.integers(2**31)),
        findings=2 if rng.random() < 0.4 else 1,
        tier=tier_of(progress, rng),
        finding=name,
        side=entry.sides[int(rng.integers(len(entry.sides)))],
        zone=entry.zones[int(rng.integers(len(entry.zones)))],
        lungs=lungs,
    )
    return from_simulated(film)


class Workers(Generic[Item]):
    """Processes that fill a queue until they are stopped; use as a context manager.

    Args:
        method: how they start, "fork" or "spawn".
        target: run by each, with its own arguments, the queue and the progress.
        arguments: of each process.
        ahead: items that wait in the queue at most.
    """

    def __init__(
        self, method: str, target: Callable[..., None], arguments: Sequence[tuple[object, ...]], ahead: int
    ) -> None:
        context: Any = multiprocessing.get_context(method)
        self.queue: Queue[Item] = context.Queue(maxsize=ahead)
        self.progress: Synchronized[float] = context.Value("d", 0.0)
        self._processes = [
            context.Process(target=target, args=(*own, self.queue, self.progress), daemon=True) for own in arguments
        ]

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.join()

    def take(self) -> Item:
        """The next item.

        Raises:
            RuntimeError: a process has ended.
        """
        while True:
            try:
                return self.queue.get(timeout=5)
            except Empty:
                if not all(process.is_alive() for process in self._processes):
                    raise RuntimeError("a process that simulates films has ended") from None


class Simulator(Workers[TrainingFilm]):
    """Processes that simulate films from the normals ahead of the trainer."""

    def __init__(self, normals: Sequence[np.ndarray], seed: int, processes: int = 1, ahead: int = 512) -> None:
        super().__init__("fork", _produce, [(normals, [seed, 1, number]) for number in range(processes)], ahead)

    def films(self) -> Iterator[TrainingFilm]:
        while True:
            yield self.take()

    def ready(self) -> int:
        """Films that can be taken without waiting."""
        return int(self.queue.qsize())


class SimulatorHere:
    """Simulates films in this process, each when it is taken."""

    def __init__(self, normals: Sequence[np.ndarray], seed: Sequence[int], progress: Synchronized[float]) -> None:
        self._backgrounds = Backgrounds(normals)
        self._rng = np.random.default_rng(seed)
        self._progress = progress

    def films(self) -> Iterator[TrainingFilm]:
        while True:
            try:
                yield random_film(self._backgrounds, self._progress.value, self._rng)
            except ValueError:  # this film has no room for the finding
                continue

    def ready(self) -> int:
        """Films that can be taken: as many as are wanted."""
        return sys.maxsize


def _produce(
    normals: Sequence[np.ndarray], seed: Sequence[int], queue: Queue[TrainingFilm], progress: Synchronized[float]
) -> None:
    os.nice(15)  # the trainer needs the processor more
    put_all(SimulatorHere(normals, seed, progress).films(), queue)


def put_all(items: Iterable[Item], queue: Queue[Item]) -> None:
    """Put items into a queue for as long as the process that started this one lives; one killed cannot end it."""
    parent = multiprocessing.parent_process()
    for item in items:
        while True:
            if parent is not None and not parent.is_alive():
                return
            try:
                queue.put(item, timeout=5)
                break
            except Full:
                continue
