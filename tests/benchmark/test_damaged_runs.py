"""A report on a run folder that was damaged or changed by hand: one line that names the folder."""

import io
import json
import os
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matex.benchmark.report import write_report
from matex.errors import InputError
from tests.benchmark import synthetic_run

JSON = ("run.json", "cells.json")
TABLES = ("results.parquet", "samples.parquet", "scores.parquet")
FILES = (*JSON, *TABLES, "problems.jsonl")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    config = synthetic_run.config(methods=["matex", "rise"], metrics=["pointing", "energy", "confidence-image"])
    return synthetic_run.write(tmp_path_factory.mktemp("runs") / "whole", config, synthetic_run.made_up_samples(3))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def refused(folder, *parts):
    with pytest.raises(InputError) as caught:
        write_report(folder, folder / "out")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700
    assert not (folder / "out").exists()
    for part in ("run", *parts):
        assert part in message
    return True


def pipe(file):
    file.unlink()
    os.mkfifo(file)


def endless(file):
    file.unlink()
    file.symlink_to("/dev/zero")


def folder_instead(file):
    file.unlink()
    file.mkdir()


CONTENTS = {
    "null": b"null",
    "list": b"[]",
    "list of numbers": b"[1, 2]",
    "object": b"{}",
    "number": b"3",
    "text": b'"x"',
    "empty": b"",
    "binary": bytes(range(256)) * 9,
    "pickle": pickle.dumps({"a": 1}),
    "zip": b"PK\x03\x04" + b"\0" * 99,
    "nested": b"[" * 50_000 + b"]" * 50_000,
    "nested objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "surrogates": b'{"config": "\\ud800", "problems": "\\udc00"}',
}


@pytest.mark.parametrize("name", FILES)
def test_another_content_is_refused(folder, name):
    original = (folder / name).read_bytes()
    for content in (*CONTENTS.values(), original[: len(original) // 2], original[:-9]):
        (folder / name).write_bytes(content)
        assert refused(folder)
    for change in (pipe, endless, folder_instead):
        (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(original)
        change(folder / name)
        assert refused(folder)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_with_other_columns_types_or_gaps_is_refused(folder, name):
    table = pq.read_table(folder / name)
    for at, column in enumerate(table.column_names):
        rows = len(table)
        other = [1] * rows if table[column].type == pa.string() else ["x"] * rows
        optional = column in ("group", "split", "boxes", "label", "attributes")
        for changed in (
            table.drop_columns([column]),
            table.rename_columns([f"{one}x" if one == column else one for one in table.column_names]),
            table.set_column(at, column, pa.array([b"x"] * rows)),
            table.set_column(at, column, pa.array([[1]] * rows)),
            *([] if optional else [table.set_column(at, column, pa.nulls(rows, table[column].type))]),
            table.set_column(at, column, pa.array(other)),
        ):
            pq.write_table(changed, folder / name)
            assert refused(folder, column)


@pytest.mark.parametrize(
    ("column", "value"),
    [("sha256", "zz"), ("sha256", ""), ("height", 0), ("width", -5), ("attributes", "["), ("attributes", "[]"),
     ("attributes", "[" * 50_000), ("boxes", [[1.0, 2.0]]), ("boxes", [[1.0, 2.0, float("nan"), 4.0]])],
)  # fmt: skip
def test_a_sample_that_cannot_be_is_refused(folder, column, value):
    rows = pq.read_table(folder / "samples.parquet")
    at = rows.column_names.index(column)
    changed = rows.set_column(at, column, pa.array([value] * len(rows), rows[column].type))
    pq.write_table(changed, folder / "samples.parquet")
    assert refused(folder, "samples.parquet")


def test_samples_may_have_no_boxes_at_all(folder):
    rows = pq.read_table(folder / "samples.parquet")
    at = rows.column_names.index("boxes")
    pq.write_table(rows.set_column(at, "boxes", pa.nulls(len(rows), rows["boxes"].type)), folder / "samples.parquet")
    write_report(folder, folder / "out")
    assert (folder / "out" / "report.html").is_file()


def test_an_entry_of_a_record_of_another_kind_is_refused(folder):
    for name in JSON:
        original = json.loads((folder / name).read_text())
        first = original[0] if isinstance(original, list) else original
        used = ("method", "kind", "dataset", "model", "name", "description", "seeds", "parameters")
        for key in used if name == "cells.json" else ("config", "problems", "environment", "weights", "fingerprints"):
            for value in (None, 5, [None], "\x1b[31m" * 999, {"a": [[[]]]}):
                if key == "seeds" or not isinstance(value, type(first[key])):
                    changed = {**first, key: value}
                    (folder / name).write_text(json.dumps([changed] if isinstance(original, list) else changed))
                    assert refused(folder)
        (folder / name).write_text(json.dumps(original))


def test_problems_that_were_lost_are_not_passed_over(folder):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "problems": record["problems"] + 1}))
    found = len((folder / "problems.jsonl").read_text().splitlines())
    expected = f"Expected {record['problems'] + 1} lines in problems.jsonl, got {found}. Copy the whole folder"
    assert refused(folder, expected, "Expected the run folder '", "got a damaged one")


def test_a_pickled_map_is_refused_and_never_opened(folder):
    for content in (pickle.dumps([1]), CONTENTS["zip"], b"", b"x" * 99, npz(values=np.array([print], dtype=object))):
        for file in (folder / "maps").rglob("*.npz"):
            file.write_bytes(content)
        assert refused(folder, "maps/")


def test_a_map_of_another_shape_is_refused(folder):
    for file in (folder / "maps").rglob("*.npz"):
        with np.load(file) as arrays:
            names = list(arrays.files)
        file.write_bytes(npz(**{name: np.zeros((2, 2, 2, 2), np.float32) for name in names}))
    assert refused(folder, "maps/")


def test_a_log_with_lines_that_are_no_events_is_passed_over(folder):
    lines = (folder / "log.jsonl").read_text()
    extra = [{"event": "chunk"}, {"event": 5}, {"event": "chunk", "seconds": "x", "overhead": 1, "samples": 1}]
    (folder / "log.jsonl").write_text(lines + "[1]\nnull\n{\n" + "".join(json.dumps(one) + "\n" for one in extra))
    write_report(folder, folder / "out")


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()
