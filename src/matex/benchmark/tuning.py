"""Search of a method's parameters by a metric, on samples that no result is reported on."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from matex.adapters import Model
from matex.attribution import make
from matex.benchmark.choices import DatasetChoice, MetricChoice, ModelChoice
from matex.benchmark.config import CHUNK
from matex.benchmark.runs.inputs import FilmCache, open_model, reader_of
from matex.benchmark.search import Search, is_test_split
from matex.checks import as_path, check_seed
from matex.datasets import Sample, open_dataset
from matex.datasets.sample import checked_samples, domain_of
from matex.errors import InputError
from matex.geometry import Resize
from matex.images import Film
from matex.metrics import METRICS, Case, Comparing, make_metric
from matex.metrics.statistics import FEWEST_CLUSTERS, compare_paired, holm
from matex.queries import Domain
from matex.traced import trace_pairs

SIGNIFICANT = 0.05  # after correction for the settings tried
RESAMPLES = 10_000  # the least p-value, corrected for hundreds of settings, must stay below SIGNIFICANT


@dataclass(frozen=True)
class Trial:
    """One setting of a method and the metric's mean with it.

    Args:
        parameters: those that were tried.
        value: mean of the metric's column over the samples where it is defined; NaN where it never is.
        undefined: samples where it is not.
        p: of the paired bootstrap against the defaults over patients or source films, corrected after Holm for the
            settings that were tried; NaN with too few of them, and for the defaults.
    """

    parameters: Mapping[str, object]
    value: float
    undefined: int
    p: float = math.nan


@dataclass(frozen=True)
class Tuned:
    """Every setting that was tried, on the same samples.

    Args:
        method: registered name.
        metric: by which settings were judged.
        column: of the metric.
        better: which way is up.
        trials: in the order they were tried.
        default: the method as it was, with the fixed parameters alone.
        fixed: parameters that were not tried.
        samples: how many were used.
        clusters: how many patients, or source films where patients are not known, the samples come from.
        left_out: rows and images that could not be used.
        split: of the samples.
        about: model and data set, for the record.
    """

    method: str
    metric: str
    column: str
    better: str
    trials: tuple[Trial, ...]
    default: Trial
    fixed: Mapping[str, object]
    samples: int
    clusters: int
    left_out: int
    split: str
    about: Mapping[str, str] = field(default_factory=dict[str, str])

    def best(self, count: int = 1) -> list[Trial]:
        """The best settings, the first tried of equals first."""
        sign = -1 if self.better == "higher" else 1
        known = [trial for trial in self.trials if not np.isnan(trial.value)]
        return sorted(known, key=lambda trial: sign * trial.value)[:count]

    @property
    def chosen(self) -> Trial:
        """The best setting that beats the defaults beyond noise (p < 0.05), or the defaults where none does.

        The best of many settings is ahead of the defaults by chance alone, so a mean is no reason to leave them.
        """
        sign = -1 if self.better == "higher" else 1
        ahead = [
            trial
            for trial in self.best(len(self.trials))
            if trial.p < SIGNIFICANT and sign * (trial.value - self.default.value) < 0
        ]
        return ahead[0] if ahead else self.default

    @property
    def conclusion(self) -> str:
        """Sentence on the chosen setting and the reason."""
        best = self.best()[0]
        tried = f"{len(self.trials)} settings on {self.samples} samples of {self.clusters} patients or films"
        if self.chosen is not self.default:
            return f"A setting beats the defaults beyond noise (p = {self.chosen.p:.2g} after Holm): {tried}."
        if self.clusters < FEWEST_CLUSTERS:
            reason = f"fewer than {FEWEST_CLUSTERS} patients or films cannot tell settings apart"
        elif math.isnan(best.p):
            reason = "the best setting and the defaults are defined on too few samples in common"
        else:
            reason = f"the best of the others is not ahead beyond noise (p = {best.p:.2g} after Holm)"
        return f"The defaults are kept: {reason}; {tried}."

    @property
    def parameters(self) -> dict[str, object]:
        """The chosen setting with the fixed parameters.

        Raises:
            InputError: the metric is undefined on every sample.
        """
        if not self.best():
            raise InputError(
                f"Expected {self.metric} to be defined on some of the {self.samples} samples, got NaN everywhere. "
                "Choose a metric that this data set allows."
            )
        return {**self.fixed, **self.chosen.parameters}


def tune(
    model: Model,
    samples: Iterable[Sample],
    method: str,
    values: Mapping[str, Sequence[object]],
    metric: str,
    column: str | None = None,
    *,
    metric_parameters: Mapping[str, object] | None = None,
    fixed: Mapping[str, object] | None = None,
    trials: int | None = None,
    seed: int = 0,
    split: str = "val",
    labels: Mapping[str, tuple[str, ...]] | None = None,
    resize: Resize = "model",
    domain: Domain = "chest",
    batch_size: int = CHUNK,
    progress: bool = False,
) -> Tuned:
    """Try settings of a method on validation samples; all settings read one trace of each sample.

    Args:
        model: from `matex.load`.
        samples: of a data set; those of `split` are used.
        method: registered name.
        values: those to try, by parameter.
        metric: registered name of one that judges single maps.
        column: of the metric; None for its first.
        metric_parameters: of the metric.
        fixed: parameters of the method that stay as they are.
        trials: None tries every combination; a number, that many different ones drawn at random.
        seed: of the draw.
        split: "val" or "train"; "none" takes samples that belong to no split, which the caller has set apart.
        labels: phrases of each class, for data sets of classes.
        resize: see `matex.explain`.
        domain: see `matex.explain`.
        batch_size: samples that are explained together.
        progress: show a bar.

    Raises:
        InputError: the test split, no sample of the split, or a metric that judges no single maps.
        UnknownName: no such method, metric or parameter.
        ValueError: a parameter outside its range.
    """
    measure = make_metric(metric, metric_parameters or {})
    kind = METRICS[metric]
    column = next(iter(kind.better)) if column is None else column
    better = kind.better.get(column, "neither")
    if kind.dataset_level or isinstance(measure, Comparing) or better == "neither":
        raise InputError(
            f"Expected a column of a metric that judges single maps and has a better end, got {metric}, {column}. "
            f"Columns of {metric}: {', '.join(kind.better) or 'none'}."
        )
    if is_test_split(split):
        raise InputError(f"Expected split 'val' or 'train', got {split!r}. Parameters chosen there say nothing there.")
    check_seed(seed)
    kept = dict(fixed or {})
    settings = [kept, *({**kept, **some} for some in _settings(values, trials, seed))]
    for some in settings:
        make(method, some)
    found: list[list[NDArray[np.float64]]] = [[] for _ in settings]
    clusters: list[str] = []
    left_out: list[str] = []
    for batch in _batches(model, _of_split(samples, split), batch_size, left_out, progress):
        traced = trace_pairs(
            model,
            [(film, sample.text) for sample, film in batch],
            [(method, some) for some in settings],
            resize=resize,
            domain=domain,
        )
        clusters += [sample.unit(film) for sample, film in batch]
        for of_setting, some in zip(found, settings, strict=True):
            pairs = zip(batch, traced.explain(method, some), strict=True)
            cases = [Case(model, sample, explanation, labels or {}) for (sample, _), explanation in pairs]
            of_setting.append(measure(cases).get(column, np.full(len(cases), np.nan)))
    if not found[0]:
        raise InputError(f"Expected samples of split {split!r}, got none. Name the split that they belong to.")
    default, *columns = (np.concatenate(parts) for parts in found)
    p_values = holm([compare_paired(tried, default, clusters, resamples=RESAMPLES).p_bootstrap for tried in columns])
    measured = tuple(
        _trial({key: value for key, value in some.items() if key in values}, tried, float(p))
        for some, tried, p in zip(settings[1:], columns, p_values, strict=True)
    )
    return Tuned(
        method,
        metric,
        column,
        better,
        measured,
        _trial({}, default),
        kept,
        len(default),
        len(set(clusters)),
        len(left_out),
        split,
    )


def tune_file(dataset: DatasetChoice, model: ModelChoice, search: Search, *, progress: bool = False) -> Tuned:
    """Run the search that a configuration of `matex tune` describes."""
    opened = open_dataset(dataset.name, **dataset.parameters)
    count = min(len(opened), dataset.limit or len(opened))
    metric: MetricChoice = search.metric
    tuned = tune(
        loaded := reader_of(open_model(model), opened),
        (opened[number * len(opened) // count] for number in range(count)),
        search.method,
        search.values,
        metric.name,
        search.column,
        metric_parameters=metric.parameters,
        fixed=search.fixed,
        trials=search.trials,
        seed=search.seed,
        split=search.split,
        labels=opened.labels,
        resize=model.resize,
        domain=domain_of(opened),
        progress=progress,
    )
    about = {"model": model.label, "weights": loaded.weights_sha256, "dataset": dataset.label}
    return replace(tuned, left_out=tuned.left_out + len(opened.problems), about=about)


def write_preset(tuned: Tuned, path: str | Path) -> Path:
    """Write the chosen setting as TOML: `matex explain -p @FILE`, or `preset = "FILE"` for a method of a benchmark.

    Where no setting beats the defaults beyond noise the preset holds the fixed parameters alone, and says so.

    Raises:
        InputError: a file that cannot be written.
    """
    parameters = tuned.parameters
    best, chosen = tuned.best()[0], tuned.chosen
    evidence = {
        "metric": tuned.metric,
        "column": tuned.column,
        "better": tuned.better,
        "value": chosen.value,
        "default": tuned.default.value,
        "best": best.value,
        "p_holm": best.p,
        "conclusion": tuned.conclusion,
        "undefined": chosen.undefined,
        "samples": tuned.samples,
        "clusters": tuned.clusters,
        "left_out": tuned.left_out,
        "split": tuned.split,
        "settings": len(tuned.trials),
        **tuned.about,
    }
    lines = [f"method = {_toml(tuned.method)}", "", "[parameters]"]
    lines += [f"{name} = {_toml(value)}" for name, value in parameters.items() if value is not None]
    lines += ["", "[evidence]", *(f"{name} = {_toml(value)}" for name, value in evidence.items())]
    path = as_path(path, "a file")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"Expected to write {str(path)!r}, got {error.strerror}. Name another file.") from None
    return path


def _settings(values: Mapping[str, Sequence[object]], trials: int | None, seed: int) -> list[dict[str, object]]:
    """Every combination in order, or some of them in a drawn order, none twice."""
    if not values or not all(values.values()):
        raise InputError(f"Expected values to try for one or more parameters, got {dict(values)}.")
    every = [dict(zip(values, some, strict=True)) for some in itertools.product(*values.values())]
    if trials is None or trials >= len(every):
        return every
    drawn = np.random.default_rng(seed).choice(len(every), trials, replace=False)
    return [every[number] for number in drawn]


def _of_split(samples: Iterable[Sample], split: str) -> Iterable[Sample]:
    return (sample for sample in checked_samples(samples) if sample.split == (None if split == "none" else split))


def _batches(
    model: Model, samples: Iterable[Sample], size: int, left_out: list[str], progress: bool
) -> Iterator[list[tuple[Sample, Film]]]:
    """Samples with their films, some at a time; those that cannot be read are named in `left_out`."""
    with tqdm(unit="sample", disable=not progress) as bar:
        waiting = iter(samples)
        while some := list(itertools.islice(waiting, size)):
            batch: list[tuple[Sample, Film]] = []
            for _, sample, film in FilmCache(model).of_each(enumerate(some)):
                if isinstance(film, InputError):
                    left_out.append(sample.id)
                else:
                    batch.append((sample, film))
            if batch:
                yield batch
            bar.update(len(some))


def _trial(parameters: Mapping[str, object], values: NDArray[np.float64], p: float = math.nan) -> Trial:
    known = values[~np.isnan(values)]
    return Trial(parameters, float(known.mean()) if len(known) else float("nan"), len(values) - len(known), p)


def _toml(value: object) -> str:
    """A plain value as TOML; JSON's strings, numbers and lists are TOML's."""
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if np.isnan(value) else f"{'-' if value < 0 else ''}inf"
    return json.dumps(value, ensure_ascii=False)
