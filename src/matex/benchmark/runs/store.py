"""The run folder: what a benchmark writes and a report reads.

    run.json          resolved configuration, versions, hashes of weights, fingerprints of data sets; written last
    samples.parquet   what was explained: dataset, sample, text, cluster (patient where known, else source film), group,
                      split, boxes, label, attributes (JSON), height, width, sha256 of the image, number among the
                      samples used
    scores.parquet    cosine of image and phrase: dataset, model, sample, score
    results.parquet   one row per value: dataset, model, method, seed (-1 for deterministic methods), metric, column,
                      sample ("" for a dataset-level metric), value (NaN where undefined)
    cells.json        descriptions of the methods and controls, and which direction of each column of a metric is better
    problems.jsonl    rows, images and methods that were left out, and why
    maps/<dataset>/<model>/<method>/<seed>/<chunk>.npz   raw grids by sample, token scores under "t:<sample>"
    log.jsonl         times and events; the only file that differs from run to run
    work/             state of an unfinished run; removed when the run is complete

Every file is written under a temporary name and renamed, so a run may be interrupted at any moment. Tables are sorted
and a chunk depends on nothing but its number, so that the bytes are the same however the run was divided.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.runs.parquet import ArrowTable, read_table
from matex.benchmark.runs.records import ChunkRecord, ProblemRow, SampleRow, ScoreRow, UnsupportedRow
from matex.checks import is_array, is_object, parse_array, parse_json, read_bytes, read_json
from matex.coerce import required_entries
from matex.errors import InputError, shown
from matex.serialise import strict_json

if sys.platform != "win32":
    import fcntl


FORMAT = "matex-benchmark/4"
PLAN = "work/plan.json"
MAX_RECORD = 1 << 30
"""Largest file of a run folder that is read, bytes."""
_TEMPORARY = ".part"


@dataclass(frozen=True, order=True)
class ChunkKey:
    """A chunk of the samples of a data set with one model.

    Args:
        dataset: label.
        model: label.
        number: from 0.
    """

    dataset: str
    model: str
    number: int


@dataclass(frozen=True)
class Store:
    """Reads and writes one run folder."""

    path: Path

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def complete(self) -> bool:
        return os.path.exists(self.path / "run.json")

    @property
    def record(self) -> dict[str, object]:
        """run.json of a complete run.

        Raises:
            InputError: the file is damaged.
        """
        return self._read_json("run.json", "Copy the folder again, or run it again.")

    @property
    def plan(self) -> dict[str, object] | None:
        """The plan of an unfinished run; None when there is none."""
        return self._read_json(PLAN, "Start a new run with -o.") if os.path.exists(self.path / PLAN) else None

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """Lock the folder against other processes; the system releases it when the process ends, also by kill -9.

        On Windows, and on file systems without locks, two processes in one folder go unnoticed.

        Raises:
            InputError: another process has it, or it cannot be written to.
        """
        if sys.platform == "win32":
            yield
            return
        with self._writing("work/lock"):
            self.work.mkdir(parents=True, exist_ok=True)
            lock = (self.work / "lock").open("ab")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"Expected the run folder {str(self.path)!r} for this process alone, got one that another process "
                    "is writing to. Wait for it, or name another with -o."
                ) from None
            except OSError:
                pass
            yield

    def start(self, plan: Mapping[str, object]) -> None:
        """Create the folder and record the plan."""
        self.write(PLAN, as_json(plan))

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically.

        Raises:
            InputError: a folder that cannot be written to, or a full disk.
        """
        file = self.path / name
        temporary = file.with_name(f"{file.name}.{os.getpid()}{_TEMPORARY}")
        with self._writing(name):
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(data)
                os.replace(temporary, file)
            except OSError:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)  # a full disk has no room for partial files
                raise

    def log(self, event: str, **facts: object) -> None:
        """Append a line to log.jsonl.

        Raises:
            InputError: as for `write`.
        """
        line = json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n"
        with self._writing("log.jsonl"), (self.path / "log.jsonl").open("ab+") as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":  # a process was killed while it wrote its line
                    line = "\n" + line
            stream.write(line.encode())

    @property
    def events(self) -> list[dict[str, object]]:
        """Lines of log.jsonl; none where there is no log, and without one that was cut when a process was killed."""
        return read_lines(self.path / "log.jsonl")

    def has(self, chunk: ChunkKey) -> bool:
        return (self.path / chunk_file(chunk)).exists()

    def chunk(self, chunk: ChunkKey) -> ChunkRecord:
        """Samples, scores, problems and unsupported methods of a chunk, as its file holds them.

        Raises:
            InputError: the file is damaged.
        """
        name, advice = chunk_file(chunk), _advice(chunk)
        record = self._read_json(name, advice)
        if not is_chunk(record):
            raise self._damaged(name, advice)
        return record

    def values(self, chunk: ChunkKey) -> ArrowTable:
        """The chunk's rows of results, a pyarrow table.

        Raises:
            InputError: the file is missing or damaged.
        """
        try:
            return read_table((self.path / values_file(chunk)).read_bytes())
        except (OSError, ValueError):
            raise self._damaged(values_file(chunk), _advice(chunk)) from None

    def _read_json(self, name: str, advice: str) -> dict[str, object]:
        try:
            return read_json(self.path / name, name, MAX_RECORD)
        except InputError:
            raise self._damaged(name, advice) from None

    def _damaged(self, name: str, advice: str) -> InputError:
        return InputError(
            f"Expected {name} in the run folder {shown(str(self.path))} as it was written, got a damaged file. {advice}"
        )

    @contextlib.contextmanager
    def _writing(self, name: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"Expected to write {name} in the run folder {str(self.path)!r}, got {error.strerror}. "
                "Make room or name another folder, then go on with --resume."
            ) from None

    def maps(
        self, dataset: str, model: str, method: str, seed: int
    ) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float32] | None]]:
        """(sample, raw grid, token scores or None) of every map of one method, in the order of the samples."""
        folder = self.path / map_folder(dataset, model, method, seed)
        for file in sorted(folder.glob("*.npz"), key=lambda file: (len(file.stem), file.stem)):
            arrays = self._arrays(file)
            for name, values in arrays.items():
                if not name.startswith("t:"):
                    yield name, values, arrays.get(f"t:{name}")

    def _arrays(self, file: Path) -> dict[str, NDArray[np.float32]]:
        """The arrays of one file of maps.

        Raises:
            InputError: not a .npz of grids and lists of numbers.
        """
        try:
            data = read_bytes(file, "maps", MAX_RECORD)
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if any(member.file_size > len(data) for member in archive.infolist()):  # they are stored uncompressed
                    raise ValueError
                names = [member.filename.removesuffix(".npy") for member in archive.infolist()]
                read = {name: parse_array(archive.read(f"{name}.npy"), "a map") for name in names}
            arrays = {name: array.astype(np.float32, copy=False) for name, array in read.items()}
            if any(array.ndim != (1 if name.startswith("t:") else 2) for name, array in arrays.items()):
                raise ValueError
        except (ValueError, KeyError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            name = file.relative_to(self.path).as_posix()
            raise self._damaged(name, "Copy the folder again, or run it again.") from None
        return arrays

    def tidy(self) -> None:
        """Remove the state of an unfinished run, and partial files of a killed process."""
        shutil.rmtree(self.work, ignore_errors=True)
        for folder in (self.path, *(self.path / "maps").rglob("*")):
            if folder.is_dir():
                for file in folder.glob(f"*{_TEMPORARY}"):
                    file.unlink(missing_ok=True)


def map_folder(dataset: str, model: str, method: str, seed: int) -> str:
    """The folder of one method's maps in the run folder."""
    return "/".join(("maps", *(as_folder(label) for label in (dataset, model, method)), str(seed)))


def map_file(chunk: ChunkKey, method: str, seed: int) -> str:
    return f"{map_folder(chunk.dataset, chunk.model, method, seed)}/{chunk.number}.npz"


def chunk_file(chunk: ChunkKey) -> str:
    """The file whose presence marks a chunk as done: it is written last."""
    return f"work/chunks/{as_folder(chunk.dataset)}/{as_folder(chunk.model)}/{chunk.number}.json"


def is_chunk(record: Mapping[str, object]) -> TypeGuard[ChunkRecord]:
    """Whether a record has the entries of a chunk, with rows that have all their columns."""
    kinds = {"samples": SampleRow, "scores": ScoreRow, "problems": ProblemRow, "left out": UnsupportedRow}
    has_rows = all(
        is_array(rows := record.get(name))
        and all(is_object(row) and required_entries(kind) <= row.keys() for row in rows)
        for name, kind in kinds.items()
    )
    return has_rows and is_object(record.get("numbers"))


def _advice(chunk: ChunkKey) -> str:
    return f"Remove {chunk_file(chunk)} there and go on with --resume."


def values_file(chunk: ChunkKey) -> str:
    return chunk_file(chunk).removesuffix(".json") + ".parquet"


def as_folder(label: str) -> str:
    """Encode a label as a folder name that every file system accepts."""
    name = quote(label, safe=" ()+,=-_")
    return name.replace(".", "%2E") if name.startswith(".") or name.endswith(".") else name


def pack(arrays: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Encode arrays as .npz, the same bytes for the same arrays; numpy's own writer cannot name an array "file"."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue())
    return stream.getvalue()


def timestamp() -> str:
    """Local time with its offset from UTC, for the log."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def read_lines(file: Path) -> list[dict[str, object]]:
    """Rows of a file of JSON lines, without one that was cut when a process was killed; empty without file."""
    found: list[dict[str, object]] = []
    for line in read_bytes(file, "JSON lines", MAX_RECORD).split(b"\n") if _has_content(file) else ():
        with contextlib.suppress(ValueError):
            found.append(parse_json(line.decode("utf-8"), file.name))
    return found


def _has_content(file: Path) -> bool:
    return os.path.exists(file) and not (file.is_file() and file.stat().st_size == 0)


def as_json(value: object) -> bytes:
    """Readable JSON, the same bytes for the same value."""
    return (strict_json(value) + "\n").encode()


def as_lines(rows: Sequence[Mapping[str, object]]) -> bytes:
    """One JSON object per line."""
    return b"".join((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows)
