"""The matrix of words against places, with what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from matex.checks import as_path, is_object
from matex.errors import InputError, shown
from matex.geometry import Placement
from matex.queries import Query
from matex.registry import Parameters
from matex.results import DISCLAIMER, SaliencyMap


class Support(NamedTuple):
    """Joint contribution of a part of the film and a word.

    Args:
        word: of the phrase.
        sum: of the word's map inside, border cells by the share that lies inside; NaN where the model saw nothing.
        share: of the word's absolute values that lies inside, in [0, 1]; NaN for a map of zeros.
    """

    word: str
    sum: float
    share: float


@dataclass(frozen=True, eq=False)
class Interactions:
    """Joint contributions of each word and each place to the score of an image and a phrase.

    Args:
        query: film and phrase.
        words: of the phrase, in reading order.
        values: raw and signed, float32 [word, rows, columns].
        placement: of the grid in the film.
        score: cosine similarity of image and phrase.
        method: name.
        parameters: of that method.
        notes: what a reader should know of film and phrase.
        report: what it measured of itself, such as the error of its closed form; None for what is undefined.
        provenance: model, film and phrase, as plain data.
        units: how much each word and each unit contribute together, float32 [word, unit]; None without units.
    """

    query: Query
    words: tuple[str, ...]
    values: NDArray[np.float32]
    placement: Placement
    score: float
    method: str
    parameters: Parameters
    notes: tuple[str, ...] = ()
    report: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    provenance: Mapping[str, object] = field(default_factory=dict[str, object])
    units: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        """One line: words, grid and method."""
        rows, columns = self.values.shape[1:]
        return f"Interactions({len(self.words)} words x {rows} x {columns}, {self.method}, {self.query.text!r})"

    def of(self, word: str | int) -> SaliencyMap:
        """The map of one word.

        Args:
            word: as it stands in the phrase, or its number; of equal words the first.

        Raises:
            InputError: no such word.
        """
        return self._maps[self._number(word)]

    @cached_property
    def _maps(self) -> tuple[SaliencyMap, ...]:
        return tuple(SaliencyMap(grid, self.placement) for grid in self.values)

    def at(self, box: tuple[float, float, float, float]) -> tuple[tuple[str, float], ...]:
        """Support of each word by a part of the film: the mean of its map inside.

        Args:
            box: (x0, y0, x1, y1), original pixels.

        Returns:
            (word, mean) in reading order; NaN where the model saw nothing of the box.

        Raises:
            InputError: a box without pixels of the film.
        """
        left, top, right, bottom = self._pixels(box)
        found: list[tuple[str, float]] = []
        for word, image in zip(self.words, self._maps, strict=True):
            part = image.raw[top:bottom, left:right]
            found.append((word, float(np.nanmean(part)) if np.isfinite(part).any() else float("nan")))
        return tuple(found)

    def support(self, box: tuple[float, float, float, float]) -> tuple[Support, ...]:
        """The words that a part of the film supports: what they contribute together, and the share of each word's map.

        Sums of disjoint boxes add up. Compare a share with the share of the film that the box covers.

        Args:
            box: (x0, y0, x1, y1), original pixels.

        Returns:
            In reading order.

        Raises:
            InputError: a box without pixels of the film.

        Examples:
            >>> found = matex.interactions(model, film, "opacity in the left lung")
            >>> [support.word for support in found.support((256, 256, 512, 512))]
            ['opacity', 'in', 'the', 'left', 'lung']
        """
        left, top, right, bottom = self._pixels(box)
        inside = self.placement.shares((left, top, right, bottom), self.values.shape[1:])
        values = self.values.astype(np.float64)
        sums = (values * inside).sum(axis=(1, 2)) if inside.any() else np.full(len(values), np.nan)
        size = np.abs(values).sum(axis=(1, 2))
        parts = (np.abs(values) * inside).sum(axis=(1, 2))
        shares = np.divide(parts, size, out=np.full(len(values), np.nan), where=(size > 0) & inside.any())
        return tuple(map(Support, self.words, sums.tolist(), shares.tolist()))

    def _pixels(self, box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
        """A box as whole pixels of the film.

        Raises:
            InputError: a box without pixels of the film.
        """
        x0, y0, x1, y1 = (float(value) for value in box)
        height, width = self.placement.original
        left, top, right, bottom = int(max(x0, 0)), int(max(y0, 0)), int(min(x1, width)), int(min(y1, height))
        if not (left < right and top < bottom):
            raise InputError(
                f"Expected a box (x0, y0, x1, y1) with pixels of this film of {width} x {height}, got {shown(box)}."
            )
        return left, top, right, bottom

    def to_dict(self) -> dict[str, object]:
        """Everything as plain data; undefined numbers are None."""
        return {
            "disclaimer": DISCLAIMER,
            "method": self.method,
            "parameters": dict(self.parameters),
            "score": self.score,
            "words": list(self.words),
            "values": self.values.astype(float).round(9).tolist(),
            "units": None if self.units is None else self.units.astype(float).round(9).tolist(),
            "notes": list(self.notes),
            "report": dict(self.report),
            "provenance": dict(self.provenance),
        }

    def save(self, folder: str | Path) -> Path:
        """Write interactions.html, interactions.json, interactions.npy (the matrix) and interactions.png.

        The picture has one film for each word; the page holds it too, with the film to look closer and the numbers.

        Raises:
            InputError: a folder that cannot be made or written to.
        """
        from matex.files import writing
        from matex.render.interactions import page
        from matex.render.words import word_grid
        from matex.serialise import strict_json

        with writing(target := as_path(folder, "a folder"), alone=True) as temporary:
            (temporary / "interactions.json").write_text(strict_json(self.to_dict()) + "\n", encoding="utf-8")
            np.save(temporary / "interactions.npy", self.values)
            picture = word_grid(self.query.film, self.words, self._maps, self.query.domain, self._caption())
            picture.save(temporary / "interactions.png", "PNG")
            (temporary / "interactions.html").write_text(page(self, picture), encoding="utf-8")
        return target

    def _caption(self) -> str:
        """Phrase, method, model, film and score."""
        model = self.provenance.get("model")
        model = model.get("name", "") if is_object(model) else ""
        film = self.query.film.name
        return f"“{self.query.text}” · {self.method} · model {model} · film {film} · score {self.score:.3f}"

    def _number(self, word: str | int) -> int:
        if isinstance(word, int) and not isinstance(word, bool) and 0 <= word < len(self.words):
            return word
        lowered = [one.lower() for one in self.words]
        if isinstance(word, str) and word.lower() in lowered:
            return lowered.index(word.lower())
        raise InputError(f"Expected one of the words {', '.join(self.words)}, or a number of one, got {shown(word)}.")
