"""Compute one chunk of a run: some samples, every method and control on them, every metric on every map.

The methods of a chunk share one trace, its controls come from the same films, and its files depend on nothing but the
configuration and its number. It makes no difference which process computes a chunk, when, and after which others;
resuming, shards and executors rest on that.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matex.adapters import Model
from matex.benchmark.controls import RunSpec, applies, control_map, run_specs, targets_prediction
from matex.benchmark.runs.inputs import FilmCache, Inputs, without_folder
from matex.benchmark.runs.parquet import RESULTS, results_table, table_bytes
from matex.benchmark.runs.plan import Plan
from matex.benchmark.runs.store import ChunkKey, chunk_file, map_file, pack, values_file
from matex.datasets import Sample
from matex.datasets.sample import domain_of
from matex.domains import anatomy_of
from matex.errors import InputError, UnsupportedModel
from matex.explained_score import ExplainedScore
from matex.images import Film
from matex.metrics import Case, Comparing, make_metric
from matex.metrics.target_class import predicted_classes
from matex.phrases.anatomy import CHEST
from matex.phrases.swap_sides import other_side
from matex.queries import Query, distinct, prepare
from matex.results import Explanation
from matex.score_traces import ScoreTraces
from matex.traced import Traced, trace_pairs

ProgressCallback = Callable[[str, int], None]
"""Called with a label and a number of maps whenever some are computed and measured."""


@dataclass(frozen=True)
class ChunkResult:
    """Files and timing of a computed chunk.

    Args:
        files: to write, by name in the run folder; the presence of the last one marks the chunk as done.
        log: seconds and counts.
    """

    files: Mapping[str, bytes]
    log: Mapping[str, object]


def compute(plan: Plan, inputs: Inputs, chunk: ChunkKey, on_progress: ProgressCallback) -> ChunkResult:
    """Compute one chunk.

    Raises:
        InputError: a method or a metric that cannot be used on these samples.
    """
    return _ChunkWorker(plan, inputs, chunk, on_progress).result()


def append(
    rows: dict[str, list[object]],
    key: tuple[object, ...],
    column: str,
    samples: Sequence[str],
    values: NDArray[np.float64],
) -> None:
    """Append one row per value: of each sample, or of the data set when `samples` are empty names."""
    for name, part in zip(RESULTS, (*key, column), strict=False):
        rows[name] += [part] * len(values)
    rows["sample"] += samples
    rows["value"] += [float(value) for value in values]


class _ChunkWorker:
    """State of a chunk while it is computed."""

    def __init__(self, plan: Plan, inputs: Inputs, chunk: ChunkKey, on_progress: ProgressCallback) -> None:
        self.plan = plan
        self.inputs = inputs
        self.chunk = chunk
        self.on_progress = on_progress
        self.specs = run_specs(plan.config)
        metrics = [(choice, make_metric(choice.name, choice.parameters)) for choice in plan.config.metrics]
        self.between = [(choice, metric) for choice, metric in metrics if isinstance(metric, Comparing)]
        single = [one for one in metrics if not (one[1].dataset_level or isinstance(one[1], Comparing))]
        self.metrics = [one for one in single if not targets_prediction(one[0])]
        self.of_prediction = [one for one in single if targets_prediction(one[0])]
        self.files: dict[str, bytes] = {}
        self.rows: dict[str, list[object]] = {name: [] for name in RESULTS}
        self.problems: list[dict[str, object]] = []
        self.unsupported: list[dict[str, object]] = []
        self.seconds: dict[str, dict[str, float]] = {"reading": {}, "methods": {}, "metrics": {}}
        self.numbers: dict[str, int] = {}
        self.samples: list[Sample] = []
        self.films: list[Film] = []
        self.templates: list[Explanation] = []  # one of each sample, with token scores where a method has them
        self.columns: dict[str, tuple[str, ...]] = {}  # names of each metric's columns, by its label
        self.compared: dict[str, tuple[RunSpec, list[Case]]] = {}

    def result(self) -> ChunkResult:
        start = time.perf_counter()
        with self._timed("reading", "samples"):
            self._read()
        if self.samples:
            self._explain("method", self.inputs.reader(self.chunk.model, self.chunk.dataset), "model")
            self._compare()
            self._explain_predictions()
            self._exchange_sides()
            for seed in sorted({spec.seed for spec in self.specs if spec.variant == "random weights"}):
                with self._timed("methods", "random weights drawn"):
                    other = self.inputs.reader(self.chunk.model, self.chunk.dataset, seed)
                self._explain("random weights", other, "random weights", seed)
            self._maps_without_a_model()
        self.files[values_file(self.chunk)] = table_bytes(results_table(self.rows))
        self.files[chunk_file(self.chunk)] = json.dumps(self._record(), ensure_ascii=False).encode()
        total = time.perf_counter() - start
        inside = sum(seconds for some in self.seconds.values() for seconds in some.values())
        facts = {"dataset": self.chunk.dataset, "model": self.chunk.model, "number": self.chunk.number}
        log = {**facts, "samples": len(self.samples), "seconds": total, "overhead": total - inside, **self.seconds}
        return ChunkResult(self.files, log)

    def _read(self) -> None:
        """Read the samples whose image and phrase can be read; the others become problems."""
        films = FilmCache(self.inputs.reader(self.chunk.model, self.chunk.dataset))
        for number, sample, film in films.of_each(self._numbered()):
            if isinstance(film, InputError):
                self._problem(number, sample, film)
                continue
            self.numbers[sample.id] = number
            self.samples.append(sample)
            self.films.append(film)

    def _numbered(self) -> Iterator[tuple[int, Sample]]:
        for number in self.plan.numbers(self.chunk):
            try:
                yield number, self.inputs.sample(self.chunk.dataset, number)
            except InputError as error:
                self._problem(number, None, error)

    def _problem(self, number: int, sample: Sample | None, error: InputError) -> None:
        message, file = str(error), ""
        if sample is not None and isinstance(sample.image, Path):
            file = sample.image.name
            message = without_folder(message, sample.image)
        self.problems.append(
            {
                "dataset": self.chunk.dataset,
                "model": self.chunk.model,
                "sample": sample.id if sample else f"number {number}",
                "file": file,
                "row": None,
                "said": message,
            }
        )

    def _explain(self, variant: str, model: Model, name: str, seed: int | None = None) -> None:
        """Run the methods of one variant on one model, all over one trace, and measure their maps."""
        todo = [spec for spec in self.specs if spec.variant == variant and seed in (None, spec.seed)]
        pairs = [(film, sample.text) for film, sample in zip(self.films, self.samples, strict=True)]
        own = [spec for spec in todo if not spec.score]
        with self._timed("methods", f"trace of the {name}"):
            traced = self._traced(model, pairs, own)
        for spec in own:
            explanations = self._maps_of(traced, spec)
            if not explanations:
                continue
            if variant == "method":
                self._set_templates(explanations)
            cases = self._store(spec, model, explanations)
            if spec.kind == "method" and self.between:
                self.compared.setdefault(spec.label, (spec, cases))
        self._explain_scores(model, dict(enumerate(sample.text for sample in self.samples)), todo)

    def _explain_scores(self, model: Model, texts: Mapping[int, str], todo: Sequence[RunSpec]) -> None:
        """Run the methods that explain another score than the phrase's own.

        A sample without such a score, since its phrase is the one to compare with, has undefined values.

        Args:
            model: two towers.
            texts: phrase by the number of its sample.
            todo: methods and controls; those of the phrase's own score are left out.
        """
        for settings in distinct([spec.score for spec in todo if spec.score], str)[0]:
            specs = [spec for spec in todo if spec.score == settings]
            with self._timed("methods", f"trace of {settings}"):
                queries = self._score_queries(model, ExplainedScore(model, **settings), texts)
                phrases = {query.text: model.encode(query.text) for query in queries.values()}
                traces = ScoreTraces(
                    model,
                    {number: prepare(model, query) for number, query in queries.items()},
                    list(queries.items()),
                    phrases,
                    [(spec.name, spec.parameters) for spec in specs],
                )
            for spec in specs:
                explanations = self._maps_of(traces, spec)
                if explanations or not queries:
                    self._store_some(spec, list(queries), explanations)

    def _score_queries(self, model: Model, score: ExplainedScore, texts: Mapping[int, str]) -> dict[int, Query]:
        """Queries with another score, by the numbers of the samples that have it."""
        queries: dict[int, Query] = {}
        resize = self.inputs.choice(self.chunk.model).resize
        domain = domain_of(self.inputs.dataset(self.chunk.dataset))
        for number, text in texts.items():
            if score.against is None or score.against.split() != text.split():
                queries[number] = score.explained(Query.of(self.films[number], text, resize, domain))
        return queries

    def _explain_predictions(self) -> None:
        """Run the methods on the first phrase of the class that the model predicts, for the metrics about it.

        These maps are measured and not stored.
        """
        if not self.of_prediction:
            return
        model, labels = (
            self.inputs.reader(self.chunk.model, self.chunk.dataset),
            self.inputs.dataset(self.chunk.dataset).labels,
        )
        todo = [spec for spec in self.specs if spec.variant == "method"]  # of the phrase's score: see `load_config`
        with self._timed("methods", "trace of predicted classes"):
            names = predicted_classes(model, self.films, self.inputs.choice(self.chunk.model).resize, labels)
            pairs = [(film, labels[name][0]) for film, name in zip(self.films, names, strict=True)]
            traced = self._traced(model, pairs, todo)
        for spec in todo:
            explanations = self._maps_of(traced, spec)
            cases = [Case(model, *pair, labels) for pair in zip(self.samples, explanations, strict=False)]
            for choice, metric in self.of_prediction if cases else ():
                with self._timed("metrics", choice.label):
                    columns = metric(cases)
                self._add(spec, choice.label, columns)

    def _set_templates(self, explanations: list[Explanation]) -> None:
        """Keep one explanation of each sample, with token scores if any method has them."""
        if not self.templates or (explanations[0].tokens and not self.templates[0].tokens):
            self.templates = explanations

    def _traced(self, model: Model, pairs: Sequence[tuple[Film, str]], todo: Sequence[RunSpec]) -> Traced:
        return trace_pairs(
            model,
            pairs,
            [(spec.name, spec.parameters) for spec in todo],
            resize=self.inputs.choice(self.chunk.model).resize,
            domain=domain_of(self.inputs.dataset(self.chunk.dataset)),
        )

    def _exchange_sides(self) -> None:
        """Run the methods on phrases with left and right exchanged, compared with the true places.

        Samples whose phrase names no side have no such map: their values are undefined.
        """
        all_specs = [spec for spec in self.specs if spec.variant == "exchanged side"]
        todo = [spec for spec in all_specs if not spec.score]
        if not all_specs:
            return
        anatomy = anatomy_of(domain_of(self.inputs.dataset(self.chunk.dataset))) or CHEST
        phrases = {
            number: phrase
            for number, sample in enumerate(self.samples)
            if (phrase := other_side(sample.text, anatomy)) is not None and self._readable(phrase)
        }
        traced: Traced | None = None
        if phrases:
            with self._timed("methods", "trace of exchanged sides"):
                traced = self._traced(
                    self.inputs.reader(self.chunk.model, self.chunk.dataset),
                    [(self.films[number], phrase) for number, phrase in phrases.items()],
                    todo,
                )
        for spec in todo:
            explanations = self._maps_of(traced, spec) if traced is not None else []
            if not explanations and spec.of in {row["method"] for row in self.unsupported}:
                continue
            self._store_some(spec, list(phrases), explanations)
        self._explain_scores(self.inputs.reader(self.chunk.model, self.chunk.dataset), phrases, all_specs)

    def _readable(self, phrase: str) -> bool:
        """Whether the model can encode the phrase: exchanging sides may make it longer."""
        try:
            self.inputs.reader(self.chunk.model, self.chunk.dataset).encode(phrase)
        except InputError:
            return False
        return True

    def _store_some(self, spec: RunSpec, numbers: Sequence[int], explanations: Sequence[Explanation]) -> None:
        """Store and measure the maps of some samples; the values of the others are undefined."""
        model, labels = (
            self.inputs.reader(self.chunk.model, self.chunk.dataset),
            self.inputs.dataset(self.chunk.dataset).labels,
        )
        some = [self.samples[number] for number in numbers]
        maps = {sample.id: one.image.grid for sample, one in zip(some, explanations, strict=True)}
        self.files[map_file(self.chunk, spec.label, spec.seed)] = pack(maps)
        cases = [Case(model, *pair, labels) for pair in zip(some, explanations, strict=True)]
        for choice, metric in self.metrics:
            if applies(spec, choice):
                with self._timed("metrics", choice.label):
                    found = metric(cases) if cases else {}
                names = found or self.columns.get(choice.label, ())
                columns = {name: np.full(len(self.samples), np.nan) for name in names}
                for name, values in found.items():
                    columns[name][list(numbers)] = values
                self._add(spec, choice.label, columns)
        self.on_progress(spec.label, len(self.plan.numbers(self.chunk)))

    def _maps_of(self, traced: Traced | ScoreTraces, spec: RunSpec) -> list[Explanation]:
        """The maps of a method; empty where the model does not support it, also for its controls."""
        if spec.of not in {row["method"] for row in self.unsupported}:
            try:
                with self._timed("methods", spec.label):
                    return traced.explain(spec.name, spec.parameters)
            except UnsupportedModel as error:
                where = {"dataset": self.chunk.dataset, "model": self.chunk.model, "method": spec.label}
                self.unsupported.append({**where, "file": "", "row": None, "said": str(error)})
            except InputError as error:
                raise InputError(f"Method {spec.label!r}: {error}") from None
        self.on_progress(spec.label, len(self.plan.numbers(self.chunk)))
        return []

    def _maps_without_a_model(self) -> None:
        model = self.inputs.reader(self.chunk.model, self.chunk.dataset)
        for spec in (spec for spec in self.specs if spec.variant == "map"):
            with self._timed("methods", spec.label):
                maps = [
                    control_map(spec, template, self.chunk.dataset, sample.id)
                    for template, sample in zip(self.templates, self.samples, strict=False)
                ]
            if maps:
                self._store(spec, model, maps)

    def _store(self, spec: RunSpec, model: Model, explanations: Sequence[Explanation]) -> list[Case]:
        """Store the maps of a method or control, measure them, and report progress."""
        arrays: dict[str, NDArray[np.float32]] = {}
        for sample, explanation in zip(self.samples, explanations, strict=True):
            arrays[sample.id] = explanation.image.grid
            if explanation.tokens:
                scores = [token.score for token in explanation.tokens]
                arrays[f"t:{sample.id}"] = np.asarray(scores, dtype=np.float32)
        self.files[map_file(self.chunk, spec.label, spec.seed)] = pack(arrays)
        labels = self.inputs.dataset(self.chunk.dataset).labels
        cases = [Case(model, *pair, labels) for pair in zip(self.samples, explanations, strict=True)]
        for choice, metric in self.metrics:
            if not applies(spec, choice):
                continue
            try:
                with self._timed("metrics", choice.label):
                    columns = metric(cases)
            except InputError as error:
                raise InputError(f"Metric {choice.label!r}: {error}") from None
            self.columns.setdefault(choice.label, tuple(columns))
            self._add(spec, choice.label, columns)
        self.on_progress(spec.label, len(self.plan.numbers(self.chunk)))
        return cases

    def _compare(self) -> None:
        """Compute the metrics that compare the methods with each other, one run of each."""
        for choice, metric in self.between if len(self.compared) > 1 else ():
            with self._timed("metrics", choice.label):
                compared = metric.between({label: cases for label, (_, cases) in self.compared.items()})
            for label, columns in compared.items():
                self._add(self.compared[label][0], choice.label, columns)

    def _add(self, spec: RunSpec, metric: str, columns: Mapping[str, NDArray[np.float64]]) -> None:
        key = (self.chunk.dataset, self.chunk.model, spec.label, spec.seed, metric)
        for column, values in columns.items():
            append(self.rows, key, column, [sample.id for sample in self.samples], values)

    def _record(self) -> dict[str, object]:
        """Samples, scores and problems: everything about the chunk but values of metrics."""
        pairs = list(zip(self.samples, self.films, strict=True))
        where = {"dataset": self.chunk.dataset, "model": self.chunk.model}
        return {
            "samples": [
                {"dataset": self.chunk.dataset, **_row(sample, film), "number": self.numbers[sample.id]}
                for sample, film in pairs
            ],
            "scores": [
                {**where, "sample": sample.id, "score": template.score}
                for sample, template in zip(self.samples, self.templates, strict=False)
            ],
            "numbers": self.numbers,
            "problems": self.problems,
            "left out": self.unsupported,
        }

    @contextlib.contextmanager
    def _timed(self, kind: str, label: str) -> Generator[None]:
        start = time.perf_counter()
        yield
        self.seconds[kind][label] = self.seconds[kind].get(label, 0.0) + time.perf_counter() - start


def _row(sample: Sample, film: Film) -> dict[str, object]:
    """A sample as samples.parquet holds it."""
    return {
        "sample": sample.id,
        "text": sample.text,
        "cluster": sample.cluster or f"film {film.sha256[:12]}",
        "group": sample.group,
        "split": sample.split,
        "boxes": [[float(edge) for edge in box] for box in sample.boxes],
        "label": sample.label,
        "attributes": json.dumps(dict(sample.attributes), sort_keys=True, ensure_ascii=False),
        "height": film.size[0],
        "width": film.size[1],
        "sha256": film.sha256,
    }
