"""Stored maps read back as cases, for metrics that compare all maps of a method with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import overload

import numpy as np
from numpy.typing import NDArray

from matex.adapters.model import words
from matex.benchmark.controls import RunSpec
from matex.benchmark.runs.inputs import Inputs, film_of
from matex.benchmark.runs.store import Store
from matex.datasets import Sample
from matex.datasets.sample import domain_of
from matex.metrics import Case
from matex.queries import Query
from matex.results import Explanation, SaliencyMap, Token

CACHED = 256  # cases held in memory; the others are recomputed when they are needed


class StoredCases(Sequence[Case]):
    """Every case of one method on one data set with one model, in the order of the samples.

    Maps and token scores are the stored ones; films are read again. Components, the prior and the score are not stored.

    Args:
        store: of the maps.
        inputs: of the films and the model.
        numbers: of the used samples by id.
        dataset: label.
        model: label.
        spec: of the method.
    """

    def __init__(
        self, store: Store, inputs: Inputs, numbers: Mapping[str, int], dataset: str, model: str, spec: RunSpec
    ) -> None:
        self._inputs = inputs
        self._dataset = dataset
        self._model = model
        self._cell = spec
        self._maps = [
            (sample, grid, scores) for sample, grid, scores in store.maps(dataset, model, spec.label, spec.seed)
        ]
        self._numbers = numbers
        self._case = lru_cache(maxsize=CACHED)(self._read)

    def __len__(self) -> int:
        return len(self._maps)

    @overload
    def __getitem__(self, index: int) -> Case: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Case]: ...

    def __getitem__(self, index: int | slice) -> Case | Sequence[Case]:
        if isinstance(index, slice):
            return [self._case(number) for number in range(len(self))[index]]
        return self._case(range(len(self))[index])

    def _read(self, number: int) -> Case:
        name, grid, scores = self._maps[number]
        sample = self._inputs.sample(self._dataset, self._numbers[name])
        model = self._inputs.reader(self._model, self._dataset)
        labels = self._inputs.dataset(self._dataset).labels
        return Case(model, sample, self._explanation(sample, grid, scores), labels)

    def _explanation(
        self, sample: Sample, grid: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> Explanation:
        model, resize = self._inputs.reader(self._model, self._dataset), self._inputs.choice(self._model).resize
        film = film_of(model, sample)
        _, placement = model.prepare(film, resize)
        phrase = model.encode(sample.text)
        spans = [(start, end) for start, end in phrase.spans if end > start]
        known = [] if scores is None else [float(score) for score in scores]
        tokens = tuple(
            Token(sample.text[start:end], start, end, score) for (start, end), score in zip(spans, known, strict=False)
        )
        return Explanation(
            query=Query(film, sample.text, resize, domain_of(self._inputs.dataset(self._dataset))),
            token_ids=phrase.ids,
            method=self._cell.name,
            parameters=self._cell.parameters,
            score=float("nan"),
            image=SaliencyMap(grid, placement),
            tokens=tokens,
            words=words(sample.text, spans, known) if known else (),
        )
