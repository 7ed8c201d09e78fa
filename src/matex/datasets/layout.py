"""Base of all layouts: samples in a fixed order, known once the tables are read, created on access."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from matex.datasets.sample import Problem, Sample
from matex.errors import InputError

Entry = Sample | Callable[[], Sample]
"""A sample, or how to make it where that takes memory or time."""


@dataclass(frozen=True)
class Reading:
    """Entries, problems and classes read from the tables of a data set."""

    entries: Sequence[Entry]
    problems: Sequence[Problem] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Phrases of each class, by label."""


class Layout(ABC):
    """A data set that is read from tables: a subclass is a frozen dataclass with `domain` and `read`."""

    @abstractmethod
    def read(self) -> Reading:
        """Read the tables.

        Raises:
            InputError: a table is missing, is not what it should be, or lacks a column.
        """

    @cached_property
    def reading(self) -> Reading:
        reading = self.read()
        if not reading.entries:
            first = reading.problems[0] if reading.problems else None
            reason = f" First of {len(reading.problems)} problems, {_place(first)}: {first.said}" if first else ""
            raise InputError(f"Expected at least one usable sample, got none. Check its path (root) and split.{reason}")
        ids = Counter(entry.id for entry in reading.entries if isinstance(entry, Sample))
        if twice := [name for name, count in ids.most_common(1) if count > 1]:
            text = next(entry.text for entry in reading.entries if isinstance(entry, Sample) and entry.id == twice[0])
            raise InputError(
                f"Expected samples with different ids, got two of the same id, with the phrase {text!r}. "
                "Leave one of the rows out."
            )
        return reading

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self.reading.problems)

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        return self.reading.labels

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the tables' entries for every sample; samples that are created on access count by their number."""
        digest = hashlib.sha256()
        for entry in self.reading.entries:
            content: tuple[object, ...] = ()
            if isinstance(entry, Sample):
                content = (entry.id, entry.text, entry.boxes, entry.label, entry.captions, entry.group, entry.split)
                content += (entry.cluster,)
            digest.update(repr(content).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.reading.entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self.reading.entries[index]
        return entry if isinstance(entry, Sample) else entry()

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def identity(*parts: str) -> str:
    """Twelve hexadecimal digits that identify a sample, the same in every run and for every split.

    File names and identifiers of medical collections are derived from those of patients and studies. Only this digest
    of them goes into results. It is a short name, not anonymity: who has the data set can compute it again.
    """
    return hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()[:12]


def cluster(unit: Literal["patient", "study", "film"], *parts: str) -> str:
    """Unit of independent observation of a sample: the largest of patient, study and film that is known.

    Films of one patient resemble each other, and images rendered from one source film show the same chest: neither
    counts as a further observation in an interval or a test.
    """
    return f"{unit} {identity(*parts)}"


def check_choice(name: str, value: str | None, choices: Sequence[str | None]) -> None:
    """Raise InputError for a field outside its choices."""
    if value not in choices:
        known = ", ".join("none" if choice is None else choice for choice in choices)
        raise InputError(f"Expected {name} among {known}, got {value!r}.")


def check_template(template: str) -> None:
    """Raise InputError for a template without the place for the name."""
    if "{}" not in template:
        raise InputError(f"Expected a template with {{}} where the name goes, got {template!r}.")


def _place(problem: Problem) -> str:
    return problem.file if problem.row is None else f"{problem.file} row {problem.row}"
