"""The maps of a chunk as files, and the values of every metric on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from matex.adapters import Model
from matex.benchmark.controls import RunSpec, applies, targets_prediction
from matex.benchmark.runs.parquet import RESULTS, append_results
from matex.benchmark.runs.plan import Plan
from matex.benchmark.runs.stopwatch import Stopwatch
from matex.benchmark.runs.store import ChunkKey, map_file, pack
from matex.datasets import Sample
from matex.errors import InputError
from matex.metrics import Case, Comparing, make_metric
from matex.results import Explanation

Labels = Mapping[str, tuple[str, ...]]
"""Phrases of each class of a data set."""


class ChunkValues:
    """Map files and rows of results, collected while the methods of a chunk run.

    Args:
        plan: of the run.
        chunk: which part of it.
        samples: of the chunk.
        labels: of the data set.
        stopwatch: counts the seconds of each metric.
    """

    def __init__(
        self, plan: Plan, chunk: ChunkKey, samples: Sequence[Sample], labels: Labels, stopwatch: Stopwatch
    ) -> None:
        self.chunk = chunk
        self.samples = samples
        self.labels = labels
        self.timed = stopwatch.timed
        metrics = [(choice, make_metric(choice.name, choice.parameters)) for choice in plan.config.metrics]
        self.between = [(choice, metric) for choice, metric in metrics if isinstance(metric, Comparing)]
        single = [one for one in metrics if not (one[1].dataset_level or isinstance(one[1], Comparing))]
        self.metrics = [one for one in single if not targets_prediction(one[0])]
        self.of_prediction = [one for one in single if targets_prediction(one[0])]
        self.files: dict[str, bytes] = {}
        self.rows: dict[str, list[object]] = {name: [] for name in RESULTS}
        self.columns: dict[str, tuple[str, ...]] = {}  # names of each metric's columns, by its label

    def add_all(self, spec: RunSpec, model: Model, explanations: Sequence[Explanation]) -> list[Case]:
        """Store the maps of every sample by a method or control, and measure them.

        Raises:
            InputError: a metric that cannot be used on them.
        """
        arrays: dict[str, NDArray[np.float32]] = {}
        for sample, explanation in zip(self.samples, explanations, strict=True):
            arrays[sample.id] = explanation.image.grid
            if explanation.tokens:
                scores = [token.score for token in explanation.tokens]
                arrays[f"t:{sample.id}"] = np.asarray(scores, dtype=np.float32)
        self.files[map_file(self.chunk, spec.label, spec.seed)] = pack(arrays)
        cases = self._cases(model, self.samples, explanations)
        for choice, metric in self.metrics:
            if not applies(spec, choice):
                continue
            try:
                with self.timed("metrics", choice.label):
                    columns = metric(cases)
            except InputError as error:
                raise InputError(f"Metric {choice.label!r}: {error}") from None
            self.columns.setdefault(choice.label, tuple(columns))
            self._add(spec, choice.label, columns)
        return cases

    def add_some(
        self, spec: RunSpec, model: Model, numbers: Sequence[int], explanations: Sequence[Explanation]
    ) -> None:
        """Store and measure the maps of some samples; the values of the others are undefined.

        Args:
            spec: the method or control.
            model: two towers.
            numbers: of these samples within the chunk.
            explanations: one per number.
        """
        some = [self.samples[number] for number in numbers]
        maps = {sample.id: one.image.grid for sample, one in zip(some, explanations, strict=True)}
        self.files[map_file(self.chunk, spec.label, spec.seed)] = pack(maps)
        cases = self._cases(model, some, explanations)
        for choice, metric in self.metrics:
            if applies(spec, choice):
                with self.timed("metrics", choice.label):
                    found = metric(cases) if cases else {}
                names = found or self.columns.get(choice.label, ())
                columns = {name: np.full(len(self.samples), np.nan) for name in names}
                for name, values in found.items():
                    columns[name][list(numbers)] = values
                self._add(spec, choice.label, columns)

    def measure_predictions(self, spec: RunSpec, model: Model, explanations: Sequence[Explanation]) -> None:
        """Measure maps of the class that the model predicts, without storing them."""
        if not explanations:
            return
        cases = self._cases(model, self.samples, explanations)
        for choice, metric in self.of_prediction:
            with self.timed("metrics", choice.label):
                columns = metric(cases)
            self._add(spec, choice.label, columns)

    def compare(self, methods: Mapping[str, tuple[RunSpec, list[Case]]]) -> None:
        """Compute the metrics that compare the methods with each other, one run of each.

        Args:
            methods: by label.
        """
        for choice, metric in self.between if len(methods) > 1 else ():
            with self.timed("metrics", choice.label):
                compared = metric.between({label: cases for label, (_, cases) in methods.items()})
            for label, columns in compared.items():
                self._add(methods[label][0], choice.label, columns)

    def _cases(self, model: Model, samples: Sequence[Sample], explanations: Sequence[Explanation]) -> list[Case]:
        return [Case(model, *pair, self.labels) for pair in zip(samples, explanations, strict=True)]

    def _add(self, spec: RunSpec, metric: str, columns: Mapping[str, NDArray[np.float64]]) -> None:
        key = (self.chunk.dataset, self.chunk.model, spec.label, spec.seed, metric)
        for column, values in columns.items():
            append_results(self.rows, key, column, [sample.id for sample in self.samples], values)
