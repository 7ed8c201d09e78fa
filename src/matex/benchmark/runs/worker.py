"""Compute one chunk of a run: some samples, every method and control on them, every metric on every map.

The methods of a chunk share one trace, its controls come from the same films, and its files depend on nothing but the
configuration and its number. It makes no difference which process computes a chunk, when, and after which others;
resuming, shards and executors rest on that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matex.adapters import Model
from matex.benchmark.controls import RunSpec, control_map, run_specs
from matex.benchmark.runs.chunk_samples import ChunkSamples, read_samples
from matex.benchmark.runs.chunk_values import ChunkValues
from matex.benchmark.runs.inputs import Inputs
from matex.benchmark.runs.parquet import results_table, table_bytes
from matex.benchmark.runs.plan import Plan
from matex.benchmark.runs.records import ChunkRecord, UnsupportedRow
from matex.benchmark.runs.stopwatch import Stopwatch
from matex.benchmark.runs.store import ChunkKey, chunk_file, values_file
from matex.datasets.sample import domain_of
from matex.domains import anatomy_of
from matex.errors import InputError, UnsupportedModel
from matex.explained_score import ExplainedScore
from matex.geometry import Resize
from matex.images import Film
from matex.metrics import Case
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
    start, stopwatch = time.perf_counter(), Stopwatch()
    with stopwatch.timed("reading", "samples"):
        read = read_samples(plan, inputs, chunk)
    values = ChunkValues(plan, chunk, read.samples, inputs.dataset(chunk.dataset).labels, stopwatch)
    worker = _ChunkWorker(plan, inputs, chunk, read, values, stopwatch, on_progress)
    if read.samples:
        worker.run()
    files = dict(values.files)
    files[values_file(chunk)] = table_bytes(results_table(values.rows))
    files[chunk_file(chunk)] = json.dumps(worker.record(), ensure_ascii=False).encode()
    total, by_kind = time.perf_counter() - start, stopwatch.seconds
    inside = sum(seconds for some in by_kind.values() for seconds in some.values())
    facts = {"dataset": chunk.dataset, "model": chunk.model, "number": chunk.number}
    log = {**facts, "samples": len(read.samples), "seconds": total, "overhead": total - inside, **by_kind}
    return ChunkResult(files, log)


class _ChunkWorker:
    """Run the methods and controls on the samples of a chunk, and hand their maps to its values."""

    def __init__(
        self,
        plan: Plan,
        inputs: Inputs,
        chunk: ChunkKey,
        read: ChunkSamples,
        values: ChunkValues,
        stopwatch: Stopwatch,
        on_progress: ProgressCallback,
    ) -> None:
        self.inputs = inputs
        self.chunk = chunk
        self.read = read
        self.values = values
        self.timed = stopwatch.timed
        self.on_progress = on_progress
        self.specs = run_specs(plan.config)
        self.count = len(plan.numbers(chunk))
        self.dataset = inputs.dataset(chunk.dataset)
        self.domain = domain_of(self.dataset)
        self.resize: Resize = inputs.choice(chunk.model).resize
        self.model = inputs.reader(chunk.model, chunk.dataset)
        self.unsupported: list[UnsupportedRow] = []
        self.templates: list[Explanation] = []  # one of each sample, with token scores where a method has them

    def run(self) -> None:
        self._explain("method", self.model, "model")
        self._explain_predictions()
        self._exchange_sides()
        for seed in sorted({spec.seed for spec in self.specs if spec.variant == "random weights"}):
            with self.timed("methods", "random weights drawn"):
                other = self.inputs.reader(self.chunk.model, self.chunk.dataset, seed)
            self._explain("random weights", other, "random weights", seed)
        self._maps_without_a_model()

    def record(self) -> ChunkRecord:
        """Samples, scores and problems: everything about the chunk but values of metrics."""
        dataset, model = self.chunk.dataset, self.chunk.model
        return {
            "samples": self.read.rows(self.chunk.dataset),
            "scores": [
                {"dataset": dataset, "model": model, "sample": sample.id, "score": template.score}
                for sample, template in zip(self.read.samples, self.templates, strict=False)
            ],
            "numbers": self.read.numbers,
            "problems": self.read.problems,
            "left out": self.unsupported,
        }

    def _explain(self, variant: str, model: Model, name: str, seed: int | None = None) -> None:
        """Run the methods of one variant on one model, all over one trace, and measure their maps."""
        todo = [spec for spec in self.specs if spec.variant == variant and seed in (None, spec.seed)]
        pairs = [(film, sample.text) for film, sample in zip(self.read.films, self.read.samples, strict=True)]
        own = [spec for spec in todo if not spec.score]
        compared: dict[str, tuple[RunSpec, list[Case]]] = {}
        with self.timed("methods", f"trace of the {name}"):
            traced = self._traced(model, pairs, own)
        for spec in own:
            explanations = self._maps_of(traced, spec)
            if not explanations:
                continue
            if variant == "method":
                self._set_templates(explanations)
            cases = self.values.add_all(spec, model, explanations)
            self._report(spec)
            if spec.kind == "method" and self.values.between:
                compared.setdefault(spec.label, (spec, cases))
        self._explain_scores(model, dict(enumerate(sample.text for sample in self.read.samples)), todo)
        self.values.compare(compared)

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
            with self.timed("methods", f"trace of {settings}"):
                queries = self._score_queries(ExplainedScore(model, **settings), texts)
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
                    self._add_some(spec, list(queries), explanations)

    def _score_queries(self, score: ExplainedScore, texts: Mapping[int, str]) -> dict[int, Query]:
        """Queries with another score, by the numbers of the samples that have it."""
        queries: dict[int, Query] = {}
        for number, text in texts.items():
            if score.against is None or score.against.split() != text.split():
                queries[number] = score.explained(Query.of(self.read.films[number], text, self.resize, self.domain))
        return queries

    def _explain_predictions(self) -> None:
        """Run the methods on the first phrase of the class that the model predicts, for the metrics about it."""
        if not self.values.of_prediction:
            return
        labels, films = self.dataset.labels, self.read.films
        todo = [spec for spec in self.specs if spec.variant == "method"]  # of the phrase's score: see `load_config`
        with self.timed("methods", "trace of predicted classes"):
            names = predicted_classes(self.model, films, self.resize, labels)
            pairs = [(film, labels[name][0]) for film, name in zip(films, names, strict=True)]
            traced = self._traced(self.model, pairs, todo)
        for spec in todo:
            self.values.measure_predictions(spec, self.model, self._maps_of(traced, spec))

    def _set_templates(self, explanations: list[Explanation]) -> None:
        """Keep one explanation of each sample, with token scores if any method has them."""
        if not self.templates or (explanations[0].tokens and not self.templates[0].tokens):
            self.templates = explanations

    def _traced(self, model: Model, pairs: Sequence[tuple[Film, str]], todo: Sequence[RunSpec]) -> Traced:
        methods = [(spec.name, spec.parameters) for spec in todo]
        return trace_pairs(model, pairs, methods, resize=self.resize, domain=self.domain)

    def _exchange_sides(self) -> None:
        """Run the methods on phrases with left and right exchanged, compared with the true places.

        Samples whose phrase names no side have no such map: their values are undefined.
        """
        all_specs = [spec for spec in self.specs if spec.variant == "exchanged side"]
        todo = [spec for spec in all_specs if not spec.score]
        if not all_specs:
            return
        anatomy = anatomy_of(self.domain) or CHEST
        phrases = {
            number: phrase
            for number, sample in enumerate(self.read.samples)
            if (phrase := other_side(sample.text, anatomy)) is not None and self._readable(phrase)
        }
        traced: Traced | None = None
        if phrases:
            with self.timed("methods", "trace of exchanged sides"):
                pairs = [(self.read.films[number], phrase) for number, phrase in phrases.items()]
                traced = self._traced(self.model, pairs, todo)
        for spec in todo:
            explanations = self._maps_of(traced, spec) if traced is not None else []
            if explanations or not self._is_unsupported(spec):
                self._add_some(spec, list(phrases), explanations)
        self._explain_scores(self.model, phrases, all_specs)

    def _readable(self, phrase: str) -> bool:
        """Whether the model can encode the phrase: exchanging sides may make it longer."""
        try:
            self.model.encode(phrase)
        except InputError:
            return False
        return True

    def _maps_of(self, traced: Traced | ScoreTraces, spec: RunSpec) -> list[Explanation]:
        """The maps of a method; empty where the model does not support it, also for its controls."""
        if not self._is_unsupported(spec):
            try:
                with self.timed("methods", spec.label):
                    return traced.explain(spec.name, spec.parameters)
            except UnsupportedModel as error:
                self.unsupported.append(
                    {
                        "dataset": self.chunk.dataset,
                        "model": self.chunk.model,
                        "method": spec.label,
                        "file": "",
                        "row": None,
                        "said": str(error),
                    }
                )
            except InputError as error:
                raise InputError(f"Method {spec.label!r}: {error}") from None
        self._report(spec)
        return []

    def _is_unsupported(self, spec: RunSpec) -> bool:
        return spec.of in {row["method"] for row in self.unsupported}

    def _maps_without_a_model(self) -> None:
        for spec in (spec for spec in self.specs if spec.variant == "map"):
            with self.timed("methods", spec.label):
                maps = [
                    control_map(spec, template, self.chunk.dataset, sample.id)
                    for template, sample in zip(self.templates, self.read.samples, strict=False)
                ]
            if maps:
                self.values.add_all(spec, self.model, maps)
                self._report(spec)

    def _add_some(self, spec: RunSpec, numbers: Sequence[int], explanations: Sequence[Explanation]) -> None:
        self.values.add_some(spec, self.model, numbers, explanations)
        self._report(spec)

    def _report(self, spec: RunSpec) -> None:
        """Report the maps of a method or control as computed and measured."""
        self.on_progress(spec.label, self.count)
