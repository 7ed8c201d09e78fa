"""Common form of all data sets: one image, one phrase and its ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from matex.checks import is_iterable
from matex.errors import InputError, shown
from matex.geometry import Box
from matex.images import Film
from matex.registry import Parameterised, Registry


@dataclass(frozen=True, eq=False)
class Sample:
    """One image-text pair with its ground truth.

    Args:
        id: unique in its data set and the same in every run; names no file path and no patient.
        image: file to read, or a film in memory.
        text: the phrase.
        boxes: where the phrase is true, (x0, y0, x1, y1) in pixels of the image as read; empty when unknown.
        mask: the same to the pixel, bool [height, width]; None when unknown.
        other: where something else lies that the phrase does not name, bool [height, width]; None when unknown.
        label: class of the image, for data sets of classes.
        captions: all phrases of the image, for retrieval; empty when `text` is the only one.
        cluster: what statistics resample as one unit, as `layout.cluster` names it: the patient where known, else
            the study or the source film of a rendered image; empty where the image is itself the only film known.
        group: what results are broken down by, such as the finding.
        split: "train", "val", "test" or None.
        view: projection where the data set says it.
        attributes: further facts about the sample, plain values; results can be broken down by them.
    """

    id: str
    image: Path | Film
    text: str
    boxes: tuple[Box, ...] = ()
    mask: NDArray[np.bool_] | None = None
    other: NDArray[np.bool_] | None = None
    label: str | None = None
    captions: tuple[str, ...] = ()
    cluster: str = ""
    group: str = ""
    split: str | None = None
    view: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])

    def unit(self, film: Film) -> str:
        """Resampling unit of statistics: the cluster where known, else the film as read."""
        return self.cluster or f"film {film.sha256[:12]}"


@dataclass(frozen=True)
class Problem:
    """Row or file of a data set that could not be used; the run continues without it and the report names it."""

    file: str
    row: int | None  # line of the file, the header is 1; None: the file as a whole
    said: str


class Dataset(Parameterised, Protocol):
    """Samples in a fixed order. Opening one reads its tables, not its images.

    A frozen dataclass whose fields are what a benchmark's configuration may set; `root` is always the first.
    """

    @property
    def domain(self) -> str:
        """A name or file of `matex.domains`, or "sound": on natural images and sounds a spatial prior is neutral."""
        ...

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Rows and files that were left out, with reasons."""
        ...

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """Phrases of each class for zero-shot classification, by label; empty for data sets without classes."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of the tables' content, so that an interrupted run is not continued with other data."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


DATASETS: Registry[type[Dataset]] = Registry("data set")


def domain_of(dataset: Dataset) -> str:
    """Domain of a data set as an argument of `matex.explain`; that of sounds follows from what they are."""
    return "natural" if dataset.domain == "sound" else dataset.domain


def checked_samples(samples: object) -> Iterator[Sample]:
    """Samples one after another.

    Raises:
        InputError: no iterable, or something else than a sample in it.
    """
    advice = "Open a data set with matex.datasets.open_dataset, or make them with matex.datasets.Sample."
    if not is_iterable(samples):
        raise InputError(f"Expected samples, got {shown(samples)}. {advice}")
    for one in samples:
        if not isinstance(one, Sample):
            raise InputError(f"Expected samples, got {shown(one)} among them. {advice}")
        yield one
