"""Tables that never end, fill the memory or hold what no file can: one line or a noted row, in every layout."""

import gzip
import json
import os
from pathlib import Path

import pytest

from matex.datasets import open_dataset, tables
from matex.errors import InputError
from tests.datasets import layouts
from tests.datasets.test_links import LAYOUTS

TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".gz", ".xml")


def refusals(name, root, **fields):
    """What opening and going through a data set refuses, each in one short printable line."""
    try:
        dataset = open_dataset(name, root=root, **fields)
        for sample in dataset:
            for field in (sample.text, sample.group, sample.label or "", sample.cluster, *sample.captions):
                field.encode()
        said = [problem.said for problem in dataset.problems]
    except InputError as error:
        said = [str(error)]
    assert all(line.isprintable() and len(line) <= 600 for line in said)
    return said


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    name, write, fields = LAYOUTS[request.param]
    write(tmp_path / "root")
    return name, tmp_path / "root", fields


def files(root):
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_pipe_or_a_device_in_place_of_any_file_is_refused_and_never_waited_for(layout, monkeypatch):
    name, root, fields = layout
    monkeypatch.setenv("MATEX_FOLLOW_LINKS", "1")  # the link to the device is followed, the device is not read
    for path in files(root):
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        refusals(name, root, **fields)
        path.unlink()
        path.symlink_to("/dev/zero")
        refusals(name, root, **fields)
        path.unlink()
        path.write_bytes(content)


def test_a_file_that_is_larger_than_any_is_refused(layout):
    name, root, fields = layout
    for path in (path for path in files(root) if path.suffix in TABLES):
        content = path.read_bytes()
        with path.open("wb") as stream:
            stream.truncate(1 << 43)
        refusals(name, root, **fields)
        path.write_bytes(content)


def changed(value, part):
    """Copies of a JSON value, in each of which one text, key or value, is another."""
    if isinstance(value, str):
        yield part
    for key in list(value) if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0):
        for one in changed(value[key], part):
            copy = value.copy()
            copy[key] = one
            yield copy
        if isinstance(value, dict):
            yield {part if other == key else other: entry for other, entry in value.items()}


@pytest.mark.parametrize("part", ["\ud800", "\udc80.png", "\x1b[31m", "x" * 20_000, "\0", "../../../etc/passwd", ""])
def test_a_text_that_no_file_can_hold_is_a_noted_row_or_one_line(layout, part):
    name, root, fields = layout
    for path in (path for path in files(root) if path.suffix in (".json", ".jsonl")):
        content = path.read_text()
        lines = content.splitlines() if path.suffix == ".jsonl" else [content]
        for number, line in enumerate(lines):
            for value in changed(json.loads(line), part):
                path.write_text("\n".join([*lines[:number], json.dumps(value), *lines[number + 1 :]]))
                refusals(name, root, **fields)
        path.write_text(content)


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
@pytest.mark.parametrize("depth", [70, 5000, 200_000])
def test_json_of_many_levels_is_no_row(tmp_path, suffix, depth):
    row = '{"image": "a.png", "text": "nodule", "boxes": ' + "[" * depth + "]" * depth + "}"
    (tmp_path / f"manifest.{suffix}").write_text(row if suffix == "jsonl" else f"[{row}]")
    layouts.picture(tmp_path / "a.png")
    assert refusals("manifest", tmp_path)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.csv.gz", "t.json.gz", "t.jsonl.gz"])
def test_a_table_that_unpacks_or_goes_on_for_ever_ends_at_the_limit(tmp_path, monkeypatch, name):
    for limit in ("MAX_TABLE", "MAX_JSON"):
        monkeypatch.setattr(tables, limit, 1 << 20)
    monkeypatch.setattr(tables, "MAX_LINE", 1 << 18)
    pack = gzip.compress if name.endswith(".gz") else bytes
    for content in (b"image,text\n" * (1 << 18), b"image,text\n" + b"x" * (1 << 19), b'{"image": "a"}\n' * (1 << 17)):
        (tmp_path / name).write_bytes(pack(content))
        with pytest.raises(InputError) as caught:
            for _ in tables.read_rows(tmp_path / name, ("image", "text"), []):
                pass
        assert len(str(caught.value)) < 300


def test_texts_of_a_configuration_can_be_written(tmp_path):
    layouts.folder(tmp_path)
    for phrase in ("\ud800", "\udc80 nodule"):
        with pytest.raises(InputError, match="phrase of folder in Unicode"):
            open_dataset("folder", root=tmp_path, phrase=phrase)
    with pytest.raises(InputError, match="views of mimic-cxr in Unicode"):
        open_dataset("mimic-cxr", root=tmp_path, views=["PA", "\ud800"])


def test_a_table_of_explain_is_held_to_the_same(tmp_path):
    from matex.explain_table import check_table

    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(InputError):
        check_table(tmp_path / "t.csv")
    with pytest.raises(InputError):
        check_table(Path("/dev/zero"))
