"""Answers of readers, read from the files that their pages saved and joined with the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from matex.checks import is_object, read_json
from matex.coerce import as_type
from matex.datasets.sample import Problem
from matex.datasets.tables import read_rows
from matex.errors import InputError, shown
from matex.reader_study.study import KEY_FORMAT

FORMAT = "matex-reader-answers/1"
Values = NDArray[np.float64]


class KeyItem(TypedDict):
    """A map of the study."""

    sample: str
    cluster: str
    text: str
    method: str


class KeyCase(TypedDict):
    """A map as one reader sees it."""

    case: str
    item: int
    repeated: bool


class KeyRecord(TypedDict):
    """The file that holds the key."""

    study: str
    questions: tuple[str, ...]
    scale: int
    items: tuple[KeyItem, ...]
    readers: tuple[tuple[KeyCase, ...], ...]


@dataclass(frozen=True, eq=False)
class Key:
    """The key that `Study.key` wrote, checked.

    Args:
        study: name of the study.
        questions: texts.
        scale: highest rating.
        items: sample, cluster, text and method of each map.
        readers: for each reader (item, repeated) by case.
    """

    study: str
    questions: tuple[str, ...]
    scale: int
    items: tuple[KeyItem, ...]
    readers: tuple[Mapping[str, tuple[int, bool]], ...]


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings of one question, NaN where there is none.

    Args:
        first: of the first presentation, [item, reader].
        second: of the repeated presentation, [item, reader].
    """

    first: Values
    second: Values


def read_key(path: Path) -> Key:
    """The key of a study.

    Raises:
        InputError: no such file, or not a key.
    """
    record = read_json(path, "the key of a reader study")
    if record.get("format") != KEY_FORMAT:
        raise InputError(
            f"Expected the key of a reader study ({KEY_FORMAT}), got another file: {shown(str(path))}. It is the file "
            "that --key named when the pages were made."
        )
    try:
        key = as_type(record, KeyRecord)
    except ValueError:
        raise InputError(f"Expected a whole key, got a damaged one: {shown(str(path))}. Copy it again.") from None
    readers = tuple({one["case"]: (one["item"], one["repeated"]) for one in cases} for cases in key["readers"])
    return Key(key["study"], key["questions"], key["scale"], key["items"], readers)


def read_answers(paths: Sequence[Path], key: Key) -> tuple[list[int], list[Ratings]]:
    """Numbers of the readers, and the ratings of each question.

    Args:
        paths: files that the pages saved, JSON or CSV, one for each reader.
        key: of the study.

    Raises:
        InputError: a file of another study, a reader twice or unknown, a case that is not the reader's, or a rating
            outside the scale.
    """
    found: dict[int, Mapping[str, Mapping[str, object]]] = {}
    for path in paths:
        reader, answers = _read_csv(path, key) if path.suffix.lower() == ".csv" else _read_json(path, key)
        if reader in found:
            raise InputError(f"Expected one file for each reader, got two of reader {reader}: {shown(str(path))}.")
        if not 1 <= reader <= len(key.readers) or set(answers) - set(key.readers[reader - 1]):
            raise InputError(
                f"Expected cases of a reader of this study, got others: {shown(str(path))}. Check the key."
            )
        found[reader] = answers
    readers = sorted(found)
    size = (len(key.items), len(readers))
    ratings: list[Ratings] = []
    for question in range(len(key.questions)):
        of_question = Ratings(np.full(size, np.nan), np.full(size, np.nan))
        for column, reader in enumerate(readers):
            for case, answer in found[reader].items():
                item, repeated = key.readers[reader - 1][case]
                target = of_question.second if repeated else of_question.first
                target[item, column] = _rating(answer.get(f"q{question + 1}"), key.scale, case)
        ratings.append(of_question)
    return readers, ratings


def _rating(value: object, scale: int, case: str) -> float:
    """A rating; NaN for a question that was left open."""
    if value in (None, ""):
        return np.nan
    try:
        rating = float(str(value))
    except ValueError:
        rating = np.nan
    if rating != rating or not 1 <= rating <= scale or rating != int(rating):
        raise InputError(f"Expected ratings from 1 to {scale}, got {shown(value)} in case {case}. Correct the file.")
    return rating


def _read_json(path: Path, key: Key) -> tuple[int, Mapping[str, Mapping[str, object]]]:
    record = read_json(path, "answers of a reader")
    answers, reader = record.get("answers"), record.get("reader")
    if record.get("format") != FORMAT or not is_object(answers) or type(reader) is not int:
        raise InputError(f"Expected answers that a page of the study saved, got another file: {shown(str(path))}.")
    if record.get("study") != key.study:
        raise _another_study(path)
    given: dict[str, Mapping[str, object]] = {}
    for case, one in answers.items():
        if not is_object(one):
            raise InputError(f"Expected answers to each case, got others in {shown(str(path))}. Copy it again.")
        given[case] = one
    return reader, given


def _read_csv(path: Path, key: Key) -> tuple[int, Mapping[str, Mapping[str, object]]]:
    problems: list[Problem] = []
    columns = ("study", "reader", "case", *(f"q{number}" for number in range(1, len(key.questions) + 1)))
    rows = list(read_rows(path, columns, problems))
    if problems or not rows:
        reason = problems[0].said if problems else "no rows"
        raise InputError(f"Expected answers in every row of {shown(str(path))}, got a problem: {reason}")
    if {row.optional("study") for row in rows} != {key.study}:
        raise _another_study(path)
    readers = {row.optional("reader") for row in rows}
    number = readers.pop() if len(readers) == 1 else None
    if number is None or not number.isdecimal():
        raise InputError(f"Expected the answers of one reader in {shown(str(path))}, got others. Give one file each.")
    answers = {str(row.optional("case")): row.cells for row in rows}
    if len(answers) < len(rows):
        raise InputError(
            f"Expected one row for each case in {shown(str(path))}, got {len(rows)} rows of {len(answers)} cases. "
            "Correct the file."
        )
    return int(number), answers


def _another_study(path: Path) -> InputError:
    return InputError(f"Expected answers of the key's study, got those of another: {shown(str(path))}. Check the key.")
