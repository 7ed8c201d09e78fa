import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from matex.errors import InputError
from matex.files import NAMES, RUN, check_folder, writing
from matex.render.save import save, save_run
from matex.serialise import strict_json, to_dict
from tests.fake_explanation import GRID, fake, film


def test_saving_writes_the_five_files_and_nothing_else(tmp_path):
    explanation = fake(film(300, 500), resize="crop")
    assert explanation.save(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(NAMES)
    values = np.load(tmp_path / "a" / "b" / "image_map.npy")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, explanation.image.values)
    with Image.open(tmp_path / "a" / "b" / "panel.png") as picture:
        assert picture.width == 1920


def test_the_record_is_strict_json_with_sorted_keys():
    def refuse(constant):
        raise AssertionError(constant)

    explanation = fake(
        score=float("inf"), provenance={"path": Path("x"), "array": np.arange(2), "n": np.float32("nan")}
    )
    text = strict_json(to_dict(explanation))
    loaded = json.loads(text, parse_constant=refuse)
    assert list(loaded) == sorted(loaded)
    assert loaded["score"] is None
    assert loaded["provenance"]["array"] == [0, 1]
    assert loaded["provenance"]["n"] is None
    assert loaded["words"][0] == {"score": 0.83, "word": "opacity"}
    assert loaded["regions"][0]["side"] == "left"
    assert loaded["components"]["gradient"]["weight"] == 0.5
    assert strict_json(to_dict(explanation)) == text


def test_the_record_holds_no_path():
    text = strict_json(to_dict(fake()))
    assert str(Path.cwd()) not in text
    assert "/" not in json.loads(text)["provenance"]["image"]["name"]


@pytest.mark.parametrize("stage", ["overlay", "panel", "page"])
def test_a_failure_while_writing_leaves_the_folder_as_it_was(tmp_path, monkeypatch, stage):
    fake().save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_, **__):
        raise RuntimeError("broken")

    where = {"overlay": "framed_overlay", "panel": "panel", "page": "page"}[stage]
    monkeypatch.setattr(f"matex.render.save.{where}", fail)
    with pytest.raises(RuntimeError, match="broken"):
        save(fake(text="another phrase"), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(RuntimeError, match="broken"):
        save(fake(), tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matex.render.save._write_map", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        save(fake(), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_under_the_map_is_called_full(tmp_path, monkeypatch):
    from matex.render import save as saving

    def on_a_full_disk(explanation, folder):
        (folder / "image_map.npy").symlink_to("/dev/full")
        write(explanation, folder)

    write = saving._write
    monkeypatch.setattr(saving, "_write", on_a_full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        save(fake(), tmp_path / "out")


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(InputError, match="is a file"):
            save(fake(), folder)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_where_a_file_should_be_is_refused_before_anything_is_replaced(tmp_path):
    (tmp_path / "panel.png").mkdir()
    with pytest.raises(InputError, match=r"panel\.png"):
        save(fake(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["panel.png"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"):
        check_folder(tmp_path / "out")


def test_writing_renames_all_files_or_none(tmp_path):
    def interrupted():
        with writing(tmp_path) as temporary:
            (temporary / "a").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with writing(tmp_path) as temporary:
        (temporary / "a").write_text("1")
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_holds_one_run(tmp_path):
    other = film(name="other", sha256="cd" * 32)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine.txt").write_text("mine")
    save_run({"one": fake(), "two": fake(method="rollout"), "three": fake()}, tmp_path, "page")
    assert json.loads((tmp_path / RUN).read_text())["folders"]["two"]["method"] == "rollout"
    save_run({"one": fake(other)}, tmp_path, "page")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"notes.txt", "one/mine.txt", RUN, "report.html", *(f"one/{name}" for name in NAMES)}
    save(fake(), tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"notes.txt", "one/mine.txt", *NAMES}
    save_run({"four": fake(other)}, tmp_path, "page")
    assert not (tmp_path / "explanation.json").exists()


def test_a_folder_of_folders_that_no_run_named_is_left_alone(tmp_path):
    save(fake(), tmp_path / "patient")
    kept = sorted(tmp_path.rglob("*"))
    (tmp_path / RUN).write_text(json.dumps({"format": "matex-run/1", "folders": {"..": {}, "": {}, ".": {}}}))
    save(fake(), tmp_path)
    assert set(kept) < set(tmp_path.rglob("*"))
    for odd in ("[]", "{", '{"format": "matex-run/1", "folders": 3}', "[" * 100_000):
        (tmp_path / RUN).write_text(odd)
        save(fake(), tmp_path)
    assert set(kept) < set(tmp_path.rglob("*"))


def test_a_run_that_fails_midway_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    from matex.render import save as room

    save_run({"one": fake()}, tmp_path, "page")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    real, calls = room.panel, []

    def second_fails(explanation):
        calls.append(explanation)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(explanation)

    monkeypatch.setattr(room, "panel", second_fails)
    with pytest.raises(KeyboardInterrupt):
        save_run({"one": fake(text="other"), "two": fake()}, tmp_path, "other page")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_file_or_link_where_a_folder_should_be_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "two").write_text("mine")
    for name in ("one", "two"):
        with pytest.raises(InputError, match="Move it away"):
            save_run({name: fake()}, tmp_path / "out", "page")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one", "two"]


def test_a_constant_map_is_called_so_everywhere():
    constant = fake(grid=np.full(GRID, 0.3, dtype=np.float32))
    assert to_dict(constant)["image"]["degenerate"] is True
    assert to_dict(fake())["image"]["degenerate"] is False


def test_the_record_tells_the_film_once():
    text = strict_json(to_dict(fake()))
    assert text.count(fake().film.sha256) == 1
    assert {"score", "words", "regions", "parameters", "provenance"} <= json.loads(text).keys()
