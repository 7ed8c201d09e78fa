"""The contents of a run folder by data set and model: values by method and measure, controls by method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.config import Config
from matex.benchmark.controls import MAPS
from matex.benchmark.runs.records import Event, SampleColumns
from matex.benchmark.runs.store import Store
from matex.geometry import Box

Values = NDArray[np.float64]
Better = Literal["higher", "lower", "neither"]
Key = tuple[str, str, str, str, str]  # dataset, model, method, metric, column
TUNED = "miou"  # column that is made here, of the columns of the metric miou


class ReportSample(SampleColumns):
    """A row of samples.parquet, its boxes and attributes decoded."""

    boxes: Sequence[Box]
    attributes: Mapping[str, object]


@dataclass(frozen=True)
class Entry:
    """One method or control of a data set and model, as cells.json has it.

    Args:
        label: in results.
        kind: "method" or "control".
        of: label of the method that a control belongs to; None for those that serve all.
        name: registered method, or the label of a control without one.
        description: one sentence.
        parameters: without the seed.
        seeds: of its runs; -1 where nothing is drawn.
    """

    label: str
    kind: Literal["method", "control"]
    of: str | None
    name: str
    description: str
    parameters: Mapping[str, object]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Measure:
    """One column of one metric of the run.

    Args:
        metric: label.
        column: name.
        name: registered metric.
        better: which way is up.
        localises: whether the metric compares maps with places that are known.
        dataset_level: whether it judges all maps of a method at once, so that it has one value per repetition.
        parameters: of the metric, defaults included.
    """

    metric: str
    column: str
    name: str
    better: Better
    localises: bool
    dataset_level: bool
    parameters: Mapping[str, object] = field(compare=False, default_factory=dict[str, object])


@dataclass(frozen=True, eq=False)
class Section:
    """Results of one model on one data set.

    Args:
        dataset: label.
        model: label.
        samples: rows of samples.parquet, attributes decoded, in the order of every array of values.
        entries: methods and controls by label, methods first.
        measures: every column that has a value, metrics in the order of the configuration.
        scores: cosine of image and phrase [sample].
    """

    dataset: str
    model: str
    samples: tuple[ReportSample, ...]
    entries: Mapping[str, Entry]
    measures: tuple[Measure, ...]
    scores: Values
    _arrays: Mapping[tuple[str, str, str], tuple[Values, NDArray[np.bool_]]] = field(repr=False)
    _dataset_level: Mapping[tuple[str, str, str], Values] = field(repr=False)

    @property
    def methods(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries.values() if entry.kind == "method")

    @property
    def shared(self) -> tuple[Entry, ...]:
        """Controls that serve every method, in the order in which they are explained."""
        return tuple(self.entries[label] for label in MAPS if label in self.entries)

    def controls_of(self, method: str) -> tuple[Entry, ...]:
        """Controls made of one method: random weights, and without its prior or gate."""
        return tuple(entry for entry in self.entries.values() if entry.of == method)

    @cached_property
    def clusters(self) -> tuple[str, ...]:
        """The patient of each sample where known, else its source film, else the image itself.

        Phrases of one film, films of one patient and images rendered from one film are no independent evidence.
        """
        return tuple(cluster_of(sample) for sample in self.samples)

    @property
    def images(self) -> int:
        """Number of different images."""
        return len({str(sample["sha256"]) for sample in self.samples})

    @property
    def recorded(self) -> bool:
        """Whether the run recorded patients and source films; format 2 and older did not."""
        return all("cluster" in sample for sample in self.samples)

    def has(self, method: str, measure: Measure) -> bool:
        key = (method, measure.metric, measure.column)
        return key in self._arrays or key in self._dataset_level

    def values(self, method: str, measure: Measure) -> Values:
        """One value per sample, the mean over the seeds where it is defined, NaN where undefined or missing.

        Of a dataset-level metric: one value per repetition.
        """
        key = (method, measure.metric, measure.column)
        if measure.dataset_level:
            return self._dataset_level.get(key, np.empty(0))
        if key not in self._arrays:
            return np.full(len(self.samples), np.nan)
        runs = self._arrays[key][0]
        undefined: Values = np.full(len(self.samples), np.nan)
        known = ~np.isnan(runs)
        total = np.where(known, runs, 0.0).sum(axis=0)
        return np.divide(total, known.sum(axis=0), out=undefined, where=known.any(axis=0))

    def seed_means(self, method: str, measure: Measure) -> Values:
        """The mean over the samples, of each seed."""
        seeds: list[Values] = list(self._arrays.get((method, measure.metric, measure.column), ((), None))[0])
        return np.array([float(np.nanmean(run)) for run in seeds if not np.isnan(run).all()])

    def missing(self, method: str, measure: Measure) -> int:
        """Samples that have no row at all; an undefined value is a row and not missing."""
        if (method, measure.metric, measure.column) not in self._arrays:
            return len(self.samples)
        return int((~self._arrays[method, measure.metric, measure.column][1]).sum())


@dataclass(frozen=True, eq=False)
class Run:
    """Results of a run, as read for a report.

    Args:
        store: the folder.
        record: run.json, or the plan of a run that is not finished.
        config: resolved.
        sections: one per data set and model.
        problems: rows of problems.jsonl.
        events: rows of log.jsonl.
        unfinished: what is missing, in words; empty for a whole run.
    """

    store: Store
    record: Mapping[str, object]
    config: Config
    sections: tuple[Section, ...]
    problems: tuple[Mapping[str, object], ...]
    events: tuple[Event, ...]
    unfinished: str


def cluster_of(sample: SampleColumns) -> str:
    """Unit of independent evidence of a row of samples.parquet: "patient ...", "study ..." or "film ..."."""
    return str(sample.get("cluster") or f"film {sample['sha256']}")


def count_units(clusters: Iterable[str]) -> str:
    """Number of different patients, studies and films of samples, in words: "31 patients and 2 films"."""
    counts = Counter(cluster.partition(" ")[0] for cluster in set(clusters))
    plural = {"patient": "patients", "study": "studies", "film": "films"}
    named = [f"{counts[unit]} {unit if counts[unit] == 1 else plural[unit]}" for unit in plural if counts[unit]]
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named) or "no films"


def curve_of(column: str) -> tuple[str, int] | None:
    """(name, percent) of a column that is one point of a curve, such as deletion_at_25."""
    name, joint, percent = column.rpartition("_at_")
    return (name, int(percent)) if joint and percent.isdecimal() and len(percent) <= 3 else None


def stage_of(column: str) -> tuple[str, str, str] | None:
    """(order, stage, measure) of a column of the randomisation check, such as cascade/block 3/spearman."""
    order, slash, rest = column.partition("/")
    stage, second, measure = rest.partition("/")
    return (order, stage, measure) if slash and second else None
