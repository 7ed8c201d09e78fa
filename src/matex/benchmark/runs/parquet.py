"""The tables of a run folder as Parquet: their columns and types, and the checks of what is read."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from matex.errors import InputError, MissingExtra, shortened


class ArrowColumn(Protocol):
    """What is used of a pyarrow column; pyarrow has no types."""

    type: object
    null_count: int

    def combine_chunks(self) -> ArrowColumn: ...
    def dictionary_encode(self) -> ArrowCodes: ...
    def to_numpy(self) -> NDArray[Any]: ...
    def to_pylist(self) -> list[Any]: ...


class ArrowCodes(Protocol):
    """A column as numbers among its different values."""

    dictionary: ArrowColumn
    indices: ArrowColumn


class ArrowGroups(Protocol):
    """A table grouped by columns."""

    def aggregate(self, aggregations: list[object]) -> ArrowTable: ...


class ArrowTable(Protocol):
    """What is used of a pyarrow.Table."""

    column_names: list[str]

    def __len__(self) -> int: ...
    def __getitem__(self, name: str) -> ArrowColumn: ...
    def to_pylist(self) -> list[dict[str, Any]]: ...
    def select(self, names: list[str]) -> ArrowTable: ...
    def group_by(self, names: list[str]) -> ArrowGroups: ...
    def sort_by(self, order: list[tuple[str, str]]) -> ArrowTable: ...


class ArrowField(Protocol):
    """Name and type of a column in a schema."""

    name: str
    type: object


RESULTS = ("dataset", "model", "method", "seed", "metric", "column", "sample", "value")
SAMPLES = (
    "dataset",
    "sample",
    "text",
    "cluster",
    "group",
    "split",
    "boxes",
    "label",
    "attributes",
    "height",
    "width",
    "sha256",
    "number",
)
SCORES = ("dataset", "model", "sample", "score")
ADDED = frozenset({"cluster"})
"""Columns that runs of older formats lack."""
MAY_BE_NULL = frozenset({"group", "split", "boxes", "label", "attributes"})


def results_table(columns: Mapping[str, Sequence[object]]) -> ArrowTable:
    """Rows of results as a pyarrow table; NaN stays NaN."""
    return arrow().table({name: columns[name] for name in RESULTS}, schema=schema("results"))


def append_results(
    columns: dict[str, list[object]],
    key: tuple[object, ...],
    column: str,
    samples: Sequence[str],
    values: NDArray[np.float64],
) -> None:
    """Append one row of results per value: of each sample, or of the data set where `samples` are empty names.

    Args:
        columns: to append to, by name, see `RESULTS`.
        key: data set, model, method, seed and metric.
        column: of the metric.
        samples: ids, one per value.
        values: [sample].
    """
    for name, part in zip(RESULTS, (*key, column), strict=False):
        columns[name] += [part] * len(values)
    columns["sample"] += samples
    columns["value"] += [float(value) for value in values]


def samples_table(rows: Sequence[Mapping[str, object]]) -> ArrowTable:
    return arrow().table({name: [row[name] for row in rows] for name in SAMPLES}, schema=schema("samples"))


def scores_table(rows: Sequence[Mapping[str, object]]) -> ArrowTable:
    return arrow().table({name: [row[name] for row in rows] for name in SCORES}, schema=schema("scores"))


def schema(table: str) -> Iterable[ArrowField]:
    """Columns and types of "results", "samples" or "scores", a pyarrow schema."""
    pa = arrow()
    columns = {"results": RESULTS, "samples": SAMPLES, "scores": SCORES}[table]
    kinds = {
        **dict.fromkeys(("seed", "height", "width", "number"), pa.int64()),
        **dict.fromkeys(("value", "score"), pa.float64()),
        "boxes": pa.list_(pa.list_(pa.float64())),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in columns])


def check_table(table: ArrowTable, name: str, optional: Collection[str] = ()) -> None:
    """Refuse a table with other columns or types than it was written with, or with missing values.

    Raises:
        InputError: what is wrong, in one line.
    """
    for column in schema(name):
        if column.name not in table.column_names:
            if column.name in optional:
                continue
            raise InputError(f"Expected a column {column.name} in {name}.parquet, got none. Copy the folder again.")
        found = table[column.name]
        if found.type != column.type:
            raise InputError(
                f"Expected {column.name} in {name}.parquet as {column.type}, got {shortened(str(found.type))}. "
                "Copy the folder again."
            )
        if found.null_count and column.name not in MAY_BE_NULL:
            raise InputError(f"Expected {column.name} in {name}.parquet in every row, got {found.null_count} gaps.")


def table_bytes(table: ArrowTable, order: Sequence[str] = ()) -> bytes:
    """A table as Parquet, sorted by these columns; rows that are equal in all of them keep their order."""
    arrow()
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(table.sort_by([(name, "ascending") for name in order]) if order else table, stream)
    return stream.getvalue()


def read_table(data: bytes) -> ArrowTable:
    """Read a pyarrow table from the bytes of a Parquet file."""
    arrow()
    import pyarrow.parquet

    return cast(ArrowTable, pyarrow.parquet.read_table(io.BytesIO(data)))


def join(tables: Sequence[ArrowTable]) -> ArrowTable:
    """Concatenate tables."""
    return arrow().concat_tables(tables)


def arrow() -> Any:
    """pyarrow.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("Benchmark runs need pyarrow: pip install matex[benchmark]") from None
    return pyarrow
