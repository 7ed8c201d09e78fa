"""Memory of a running server: films and explanations, the least recently used dropped first.

Nothing is written to disk, and nothing outlives the process.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from matex.audio.sound import Sound
from matex.images import Film
from matex.interaction import Interactions
from matex.queries import Domain
from matex.viewer.limits import Limits
from matex.viewer.results import Explained

T = TypeVar("T")


class Forgotten(LookupError):
    """Nothing is kept under this identifier: it was dropped, or never there."""


class Recent(Generic[T]):
    """A thread-safe mapping from random identifiers to values, bounded in number and in cost.

    Args:
        count: values kept at most.
        budget: largest sum of their costs; the newest value stays even where it exceeds the budget alone.
        cost: of a value, such as its bytes.
    """

    def __init__(self, count: int, budget: float = float("inf"), cost: Callable[[T], float] = lambda _: 0.0) -> None:
        self._count, self._budget, self._cost = count, budget, cost
        self._values: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, value: T) -> str:
        """Keep a value, and drop old ones until the bounds hold; its identifier is the return value."""
        key = secrets.token_urlsafe(9)
        with self._lock:
            self._values[key] = value
            while len(self._values) > 1 and self._exceeds():
                self._values.popitem(last=False)
        return key

    def __getitem__(self, key: str) -> T:
        """The value under an identifier, which counts as used.

        Raises:
            Forgotten: it is not there.
        """
        with self._lock:
            if key not in self._values:
                raise Forgotten(key)
            self._values.move_to_end(key)
            return self._values[key]

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> list[tuple[str, T]]:
        """Identifiers and values, the least recently used first."""
        with self._lock:
            return list(self._values.items())

    def _exceeds(self) -> bool:
        return len(self._values) > self._count or sum(map(self._cost, self._values.values())) > self._budget


@dataclass(frozen=True, eq=False)
class StoredFilm:
    """A film of this run.

    Args:
        film: as it is explained.
        read: as its file states it, before a person set its view or orientation.
        dicom: content of the file where that is DICOM: objects about the film need its header.
        mask: of its lungs, see `matex.explain`.
        domain: see `matex.domains.names`; "sound" for spectrograms.
    """

    film: Film
    read: Film
    dicom: bytes | None = None
    mask: NDArray[np.generic] | None = None
    domain: Domain = "chest"

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        sound = self.film.recording.samples.nbytes if isinstance(self.film, Sound) else 0
        return self.film.pixels.nbytes + len(self.dicom or b"") + (0 if self.mask is None else self.mask.nbytes) + sound

    def like(self, other: StoredFilm) -> bool:
        """Whether both are one film with the same view, orientation, mask and domain."""
        own, its = self.film, other.film
        same = (own.sha256, own.name, own.view, own.mirrored) == (its.sha256, its.name, its.view, its.mirrored)
        return same and self.mask is other.mask and self.domain == other.domain


class Memory:
    """Films, explanations and word maps of one run of the server."""

    def __init__(self, limits: Limits) -> None:
        self.films: Recent[StoredFilm] = Recent(limits.films, limits.film_bytes, lambda kept: kept.bytes)
        self.explanations: Recent[Explained] = Recent(
            limits.explanations, limits.explanation_bytes, lambda explained: explained.bytes
        )
        self.interactions: Recent[Interactions] = Recent(
            limits.interactions,
            limits.explanation_bytes,
            lambda found: found.query.film.pixels.nbytes + found.values.nbytes,
        )

    def keep_film(self, kept: StoredFilm) -> str:
        """Keep a film; one that is there already, with the same settings, keeps its identifier."""
        for key, known in self.films.items():
            if known.like(kept):
                return key
        return self.films.add(kept)
