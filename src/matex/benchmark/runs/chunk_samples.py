"""The samples of a chunk whose image and phrase can be read, and the problems of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from matex.benchmark.runs.inputs import FilmCache, Inputs, without_folder
from matex.benchmark.runs.plan import Plan
from matex.benchmark.runs.records import ProblemRow, SampleRow
from matex.benchmark.runs.store import ChunkKey
from matex.datasets import Sample
from matex.errors import InputError
from matex.images import Film


@dataclass(frozen=True)
class ChunkSamples:
    """Samples with their films, in the order of the data set.

    Args:
        samples: those that can be read.
        films: one per sample.
        numbers: of each sample in the data set, by its id.
        problems: entries of problems.jsonl for the samples that cannot be read.
    """

    samples: list[Sample] = field(default_factory=list[Sample])
    films: list[Film] = field(default_factory=list[Film])
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    problems: list[ProblemRow] = field(default_factory=list[ProblemRow])

    def rows(self, dataset: str) -> list[SampleRow]:
        """The samples as samples.parquet holds them.

        Args:
            dataset: label of the data set.
        """
        pairs = zip(self.samples, self.films, strict=True)
        return [_row(dataset, self.numbers[sample.id], sample, film) for sample, film in pairs]


def read_samples(plan: Plan, inputs: Inputs, chunk: ChunkKey) -> ChunkSamples:
    """Read the samples of a chunk; those whose image or phrase cannot be read become problems."""
    read = ChunkSamples()
    films = FilmCache(inputs.reader(chunk.model, chunk.dataset))
    for number, sample, film in films.of_each(_numbered(plan, inputs, chunk, read)):
        if isinstance(film, InputError):
            read.problems.append(_problem(chunk, number, sample, film))
            continue
        read.numbers[sample.id] = number
        read.samples.append(sample)
        read.films.append(film)
    return read


def _numbered(plan: Plan, inputs: Inputs, chunk: ChunkKey, read: ChunkSamples) -> Iterator[tuple[int, Sample]]:
    for number in plan.numbers(chunk):
        try:
            yield number, inputs.sample(chunk.dataset, number)
        except InputError as error:
            read.problems.append(_problem(chunk, number, None, error))


def _problem(chunk: ChunkKey, number: int, sample: Sample | None, error: InputError) -> ProblemRow:
    message, file = str(error), ""
    if sample is not None and isinstance(sample.image, Path):
        file = sample.image.name
        message = without_folder(message, sample.image)
    return {
        "dataset": chunk.dataset,
        "model": chunk.model,
        "sample": sample.id if sample else f"number {number}",
        "file": file,
        "row": None,
        "said": message,
    }


def _row(dataset: str, number: int, sample: Sample, film: Film) -> SampleRow:
    return {
        "dataset": dataset,
        "sample": sample.id,
        "text": sample.text,
        "cluster": sample.unit(film),
        "group": sample.group,
        "split": sample.split,
        "boxes": [[float(edge) for edge in box] for box in sample.boxes],
        "label": sample.label,
        "attributes": json.dumps(dict(sample.attributes), sort_keys=True, ensure_ascii=False),
        "height": film.size[0],
        "width": film.size[1],
        "sha256": film.sha256,
        "number": number,
    }
