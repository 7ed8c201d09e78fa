"""Tables in common formats: CSV with any of the usual separators, JSON lines, JSON; plain or gzipped.

A table that is not what it should be ends the reading with one line; a row that is not is noted and left out.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import math
import os
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, SupportsFloat, TextIO, cast

from matex.checks import is_array, is_object, open_regular, shallow
from matex.datasets.sample import Problem
from matex.errors import SHOWN, InputError, shortened, shown

MAX_TABLE = 8 << 30
"""Bytes of a table, packed and unpacked; the largest in use, three million captions, has half a GiB."""
MAX_JSON = 1 << 30
"""Characters of a JSON file, which is read whole."""
MAX_LINE = 64 << 20
"""Characters of a line."""
SEPARATORS = (",", ";", "\t", "|")


class Unusable(ValueError):
    """Reason why a row cannot be used; the row is left out and reading continues."""


@dataclass(frozen=True)
class Row:
    """One row, or one entry of a JSON list, with its values by column."""

    file: str
    number: int  # line of the file, the header is 1; in a JSON list the entry, from 1
    cells: Mapping[str, object]

    def text(self, column: str) -> str:
        """Text of a cell that must not be empty, white space normalised."""
        found = self.optional(column)
        if found is None:
            raise Unusable(f"Expected something in column {column!r}, got nothing.")
        return found

    def optional(self, column: str) -> str | None:
        """Text of a cell, None where the column or its content is missing."""
        value = self.cells.get(column)
        if value is None or isinstance(value, bool | list | dict):
            return None
        return clean(str(value)) or None

    def number_in(self, column: str) -> float:
        """Number in a cell, which must be finite."""
        return number(self.cells.get(column), f"column {column!r}")

    def pixels(self, column: str) -> int:
        """Length in a cell, at least one pixel."""
        found = round(self.number_in(column))
        if found < 1:
            raise Unusable(f"Expected a number of pixels in column {column!r}, got {found}.")
        return found


def clean(text: str) -> str:
    """Normalise text to one line that can be written to any file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unusable("Expected text, got halves of characters (lone surrogates).") from None
    return " ".join(text.replace("\0", " ").split())


def number(value: object, where: str) -> float:
    """Convert a cell to a finite number."""
    try:
        result = float(value) if isinstance(value, str | SupportsFloat) and not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise Unusable(f"Expected a number in {where}, got {'nothing' if value in (None, '') else 'something else'}.")
    return result


def numbers(values: object, where: str) -> list[float]:
    """Convert a list to finite numbers."""
    if not is_array(values):
        raise Unusable(f"Expected numbers in {where}, got something else.")
    return [number(value, where) for value in values]


def once(name: str, seen: set[str]) -> None:
    """Register the image of a usable row.

    Raises:
        Unusable: such a row before had it too; two samples must not share an id.
    """
    if name in seen:
        raise Unusable("Expected each image in one row, got this one again. The first row counts.")
    seen.add(name)


@contextmanager
def leaving_out(row: Row, problems: list[Problem]) -> Generator[None]:
    """Record why a row is unusable as a problem, so that the caller's loop continues."""
    try:
        yield
    except Unusable as error:
        problems.append(Problem(row.file, row.number, str(error)))


def read_rows(path: Path, columns: Sequence[str], problems: list[Problem]) -> Iterator[Row]:
    """Iterate over the rows of a table: .csv, .tsv, .txt, .jsonl or .json, each also with .gz.

    Args:
        path: the table.
        columns: that it must have; others are read too.
        problems: gets the rows that are damaged.

    Raises:
        InputError: no such file, not such a table, or a column is missing.
    """
    suffix = Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()
    if suffix == ".json":
        rows = as_rows(path.name, read_list(path), problems)
        return _with_keys(path.name, rows, columns)
    if suffix == ".jsonl":
        return _with_keys(path.name, _json_lines(path, problems), columns)
    return _separated(path, columns, problems)


def read_object(path: Path) -> dict[str, object]:
    """Read a JSON file whose top level is an object.

    Raises:
        InputError: not there, not JSON, or no object.
    """
    content = _read_json(path)
    if not is_object(content):
        raise _other_top(path, "an object", content)
    return content


def read_list(path: Path) -> list[object]:
    """Read a JSON file whose top level is a list (array).

    Raises:
        InputError: not there, not JSON, or no list.
    """
    content = _read_json(path)
    if not is_array(content):
        raise _other_top(path, "a list", content)
    return content


def _read_json(path: Path) -> object:
    with open_text(path) as file:
        text = file.read(MAX_JSON + 1)
    if len(text) > MAX_JSON:
        raise InputError(f"Expected JSON of at most {MAX_JSON >> 20} MiB in {shortened(path.name)}, got more.")
    try:
        content: object = json.loads(text)
        if shallow(content):
            return content
        message = "nested too deep"
    except json.JSONDecodeError as error:
        message = f"line {error.lineno}: {shortened(error.msg)}"
    except (ValueError, RecursionError):  # also a whole number of too many digits
        message = "nested too deep, or a number of too many digits"
    raise InputError(f"Expected JSON in {shortened(path.name)}, got something else ({message}). Copy it again.")


def _other_top(path: Path, expected: str, content: object) -> InputError:
    got = "an object" if is_object(content) else "a list" if is_array(content) else "a single value"
    return InputError(f"Expected {expected} at the top of {path.name}, got {got}.")


def as_rows(file: str, entries: Sequence[object], problems: list[Problem]) -> Iterator[Row]:
    """Entries of a JSON list as rows; those that are no objects become problems."""
    for index, entry in enumerate(entries, start=1):
        with leaving_out(Row(file, index, {}), problems):
            yield Row(file, index, _checked_object(entry, "an object with named values"))


def _checked_object(entry: object, what: str) -> dict[str, object]:
    """Return an object of JSON; raise Unusable for other values, or texts that no file can hold."""
    if not (is_object(entry) and shallow(entry)):
        raise Unusable(f"Expected {what}, got something else.")
    for text in (*entry, *entry.values()):
        if isinstance(text, str) and not text.isascii():
            clean(text)
    return entry


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Iterate over line numbers and lines without their ends.

    Raises:
        InputError: no such file, or not UTF-8 text.
    """
    with open_text(path) as file:
        for index, line in enumerate(_bounded(file, path.name), start=1):
            yield index, line.rstrip("\r\n")


@contextmanager
def open_text(path: Path) -> Generator[TextIO]:
    """Open a text file, decompressed if its name ends with .gz, without its byte order mark.

    Raises:
        InputError: no such file, a folder, pipe or device, more than `MAX_TABLE` bytes, damaged, or not UTF-8.
    """
    name = shortened(path.name)
    if not os.path.lexists(path):
        raise InputError(f"Expected the file {name}, got none in {shown(path.parent)}. Check the path (root).")
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"Expected the file {path.name}, got a folder, pipe or device. Save it as a regular file.")
        with (
            open_regular(path, "a table or a text", MAX_TABLE, name) as packed,
            gzip.open(packed) if path.suffix == ".gz" else nullcontext(packed) as raw,
            io.TextIOWrapper(cast(BinaryIO, raw), encoding="utf-8-sig", newline="") as file,
        ):
            yield file
    except UnicodeDecodeError:
        raise InputError(f"Expected UTF-8 text in {name}, got other bytes. Save it as UTF-8.") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise InputError(f"Expected a gzip file, got a damaged one: {name}. Copy it again.") from None


def _bounded(file: TextIO, name: str) -> Iterator[str]:
    """Iterate over lines up to a total length, since a file may decompress to any size.

    Raises:
        InputError: a line above `MAX_LINE` characters, or more than `MAX_TABLE` of them in all.
    """
    total = 0
    while line := file.readline(MAX_LINE + 1):
        total += len(line)
        if len(line) > MAX_LINE or total > MAX_TABLE:
            what = f"lines of at most {MAX_LINE >> 20}" if len(line) > MAX_LINE else f"at most {MAX_TABLE >> 20}"
            raise InputError(f"Expected {what} MiB in {shortened(name)}, got more. Check the file.")
        yield line


def missing_columns(file: str, expected: Sequence[str], found: Sequence[str]) -> InputError:
    """Error for a table without a required column."""
    missing = [column for column in expected if column not in found]
    there = shortened(", ".join(str(column)[:SHOWN] for column in found[:20]), 200) or "none"
    return InputError(
        f"Expected columns {', '.join(expected)} in {shortened(file)}, got {there}: "
        f"no {', '.join(missing)}. Rename the columns or take the file as it was handed out."
    )


def _separated(path: Path, columns: Sequence[str], problems: list[Problem]) -> Iterator[Row]:
    with open_text(path) as file:
        head = next(_bounded(file, path.name), "")
        if not head.strip():
            raise InputError(f"Expected a table with columns {', '.join(columns)}, got an empty file: {path.name}.")
        separator = max(SEPARATORS, key=head.count)
        names = [name.strip() for name in next(csv.reader([head], delimiter=separator))]
        if not set(columns) <= set(names):
            raise missing_columns(path.name, columns, [name for name in names if name])
        needed = 1 + max(names.index(column) for column in columns)
        lines = csv.reader(_bounded(file, path.name), delimiter=separator)
        while True:
            place = lines.line_num + 2  # where the row begins; a quoted cell may go on over several lines
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(
                    f"Expected a table, got a damaged row from line {place} on in {path.name}: {error}."
                ) from None
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) < needed or any(cell.strip() for cell in cells[len(names) :]):
                message = f"Expected {len(names)} cells as in the header, got {len(cells)}."
                if (end := lines.line_num + 1) > place:
                    message += f" A quotation mark that opens here closes in line {end}."
                problems.append(Problem(path.name, place, f"{message} Quote cells that hold a {separator!r}."))
                continue
            yield Row(path.name, place, dict(zip(names, cells, strict=False)))


def _json_lines(path: Path, problems: list[Problem]) -> Iterator[Row]:
    for index, line in read_lines(path):
        if not line.strip():
            continue
        entry: object = None
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
        with leaving_out(Row(path.name, index, {}), problems):
            yield Row(path.name, index, _checked_object(entry, "a JSON object on this line"))


def _with_keys(file: str, rows: Iterator[Row], columns: Sequence[str]) -> Iterator[Row]:
    """Pass rows on and refuse the table at its end if a column was in none of them."""
    found: dict[str, None] = {}
    for row in rows:
        found.update(dict.fromkeys(str(key) for key in row.cells))
        yield row
    if not set(columns) <= set(found):
        raise missing_columns(file, columns, tuple(found))
