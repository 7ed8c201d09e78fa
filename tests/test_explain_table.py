"""`matex explain TABLE.csv`: every row in its place, runs that go on, and what failed."""

import csv
import json
import os

import numpy as np
import pytest

from matex.cli import run
from matex.files import NAMES
from matex.samples import samples

PHRASE = "opacity in the left lower lung"


def table(folder, rows, header="image,text,view,mirrored"):
    path = folder / "t.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def results(out):
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def film(tmp_path):
    """A small film beside the table."""
    from PIL import Image

    with Image.open(samples()[0].path) as picture:
        picture.convert("L").resize((96, 90)).save(tmp_path / "film.png")
    return "film.png"


def test_every_row_gets_a_folder_and_the_table_of_results_is_in_order(tmp_path, film, capsys):
    out = tmp_path / "out"
    rows = [f"{film},{PHRASE}", f"{samples()[1].path},no effusion", f"{film},right nodule,LL,yes"]
    assert run(["explain", table(tmp_path, rows), "-o", str(out)]) == 0
    found = results(out)
    assert [(row["line"], row["text"], row["status"]) for row in found] == [
        ("2", PHRASE, "done"),
        ("3", "no effusion", "done"),
        ("4", "right nodule", "done"),
    ]
    for row in found:
        assert {path.name for path in (out / row["folder"]).iterdir()} == set(NAMES)
        record = json.loads((out / row["folder"] / "explanation.json").read_text())
        assert record["score"] == float(row["score"])
        assert record["text"] == row["text"]
    image = record["provenance"]["image"]
    assert (image["view"], image["mirrored"]) == ("LL", True)
    assert "3 explained, 0 kept" in capsys.readouterr().out


def test_a_run_goes_on_and_explains_again_only_what_changed(tmp_path, film, capsys):
    out, other = tmp_path / "out", tmp_path / "other.png"
    other.write_bytes((tmp_path / film).read_bytes())
    source = table(tmp_path, [f"{film},{PHRASE}", "other.png,right nodule", f"{film},left effusion"])
    assert run(["explain", source, "-o", str(out)]) == 0
    (first, second, third) = results(out)
    (out / third["folder"] / "panel.png").unlink()  # as if stopped there
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 60), dtype=np.uint8)).save(other)
    assert run(["explain", source, "-o", str(out)]) == 0
    assert [row["status"] for row in results(out)] == ["kept", "done", "done"]
    assert [row["folder"] for row in results(out)] == [row["folder"] for row in (first, second, third)]
    assert run(["explain", source, "-o", str(out), "-m", "gradcam"]) == 0
    assert [row["status"] for row in results(out)] == ["done"] * 3
    assert run(["explain", source, "-o", str(out), "-m", "gradcam"]) == 0
    assert [row["status"] for row in results(out)] == ["kept"] * 3
    assert run(["explain", source, "-o", str(out), "-m", "gradcam", "--resize", "pad"]) == 0
    assert [row["status"] for row in results(out)] == ["done"] * 3


def test_rows_at_fault_are_skipped_and_counted_or_stop_the_run(tmp_path, film, capsys):
    out = tmp_path / "out"
    (tmp_path / "damaged.png").write_bytes((tmp_path / film).read_bytes()[:200])
    rows = [
        f"{film},{PHRASE}",
        "missing.png,nodule",
        "damaged.png,nodule",
        f"{film},",
        f"{film},right nodule,,perhaps",
        "film.png",
        f'{film},"=1+1 nodule"',
    ]
    source = table(tmp_path, rows)
    assert run(["explain", source, "-o", str(out), "--on-error", "skip"]) == 2
    said = capsys.readouterr()
    assert "2 explained, 0 kept from an earlier run, 5 failed" in said.out
    assert "5 of 7" in said.err
    assert "counted from 0" not in said.err  # each is reported once, on stdout
    found = results(out)
    assert [row["line"] for row in found if row["status"] == "failed"] == ["3", "4", "5", "6", "7"]
    assert all(row["error"] for row in found if row["status"] == "failed")
    assert found[-1]["text"] == "'=1+1 nodule"
    assert run(["explain", source, "-o", str(tmp_path / "stop")]) == 2
    assert "Line 3 of t.csv: Expected an image file" in capsys.readouterr().err
    assert len(list((tmp_path / "stop").iterdir())) == 1  # the row before it


def test_json_is_one_object_per_row(tmp_path, film, capsys):
    source = table(tmp_path, [f"{film},{PHRASE}", "missing.png,nodule"])
    assert run(["explain", source, "-o", str(tmp_path / "out"), "--json", "--on-error", "skip"]) == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["line"], row["status"]) for row in rows] == [(2, "done"), (3, "failed")]
    assert rows[1]["score"] is None


def test_requests_that_make_no_sense_are_refused_before_anything_is_written(tmp_path, film, capsys):
    good = table(tmp_path, [f"{film},{PHRASE}"])
    out = tmp_path / "out"
    for arguments, message in (
        ([good, PHRASE], "column text"),
        ([good, "--lung-mask", "mask.png"], "column text"),
        ([str(tmp_path / film), PHRASE, "--on-error", "skip"], "--on-error"),
        ([str(tmp_path / "none.csv")], "got no file"),
        ([good, "-p", "alpah=1"], "alpah"),
        ([good, "--on-error", "ignore"], "--on-error"),
        ([good, "--view", "SIDEWAYS"], "Unknown view"),
    ):
        assert run(["explain", *arguments, "-o", str(out)]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert len(said.strip().splitlines()) == 1
        assert not out.exists()
    source = table(tmp_path, ["a,b"], header="film,phrase")
    assert run(["explain", source, "-o", str(out)]) == 2
    assert "no image, text" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_or_device_is_no_table(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.csv"):
        assert run(["explain", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert "Expected a table" in said
        assert len(said.strip().splitlines()) == 1


def test_a_table_without_rows_is_refused(tmp_path, capsys):
    (tmp_path / "pairs.csv").write_text("image,text\n")
    assert run(["explain", str(tmp_path / "pairs.csv"), "-o", str(tmp_path / "out")]) == 2
    assert "Expected a row for each pair in 'pairs.csv', got none." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cell", ["+cmd|calc", "@SUM(1)", "-1+1", '"=1', "\uff1d1"])
def test_a_phrase_that_a_spreadsheet_takes_for_a_formula_gets_an_apostrophe(tmp_path, film, cell):
    source = table(tmp_path, ['{},"{} nodule"'.format(film, cell.replace('"', '""'))])
    assert run(["explain", source, "-o", str(tmp_path / "out"), "-m", "raw-attention"]) == 0
    assert results(tmp_path / "out")[0]["text"] == f"'{cell} nodule"
