"""matex explain: files, options, refusals."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import matex
from matex.files import NAMES, RUN
from matex.samples import samples
from tests.cli.command_line import FILM, PHRASE, refused


def test_explain_writes_the_files_and_says_what_came_out(command):
    code, out, err = command("explain", FILM, PHRASE)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(NAMES)
    record = json.loads(Path("out/explanation.json").read_text())
    assert f"score    {record['score']:.3f}" in out
    assert out.endswith("Not for diagnosis.\n")
    assert "patient's left" in out
    assert np.load("out/image_map.npy").shape == (512, 512)
    assert record["parameters"]["alpha"] == 0.5
    assert [word["word"] for word in record["words"]] == PHRASE.split()


def test_json_is_all_that_stdout_gets_and_is_what_the_file_holds(command):
    code, out, err = command("explain", FILM, PHRASE, "--json", "-o", "deep/er")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(Path("deep/er/explanation.json").read_text())


def test_parameters_reach_the_method(command):
    arguments = ["-p", "alpha=0.25", "-p", "prior-strength=1", "-p", "gradient=similarity", "--laterality", "paper"]
    assert command("explain", FILM, PHRASE, *arguments)[0] == 0
    parameters = json.loads(Path("out/explanation.json").read_text())["parameters"]
    assert (parameters["alpha"], parameters["prior_strength"]) == (0.25, 1.0)
    assert (parameters["gradient"], parameters["laterality"]) == ("similarity", "paper")


def test_the_default_model_is_named_on_stderr_and_nowhere_else(command, monkeypatch, checkpoint):
    monkeypatch.delenv("MATEX_MODEL")
    real = matex.load
    asked = []

    def load(name, **settings):
        asked.append(name)
        return real(checkpoint, **settings)

    monkeypatch.setattr(matex, "load", load)
    code, out, err = command("explain", FILM, PHRASE, "--json")
    assert (code, asked) == (0, ["tiny"])
    json.loads(out)
    assert err == "matex: used the bundled model `tiny`, not for diagnosis; name another with --model.\n"
    assert refused(command("explain", FILM, ""))


def test_explain_reads_16_bit_grey_and_crops(command):
    values = np.linspace(0, 60000, 200 * 330).reshape(200, 330).astype(np.uint16)
    Image.fromarray(values).save("film.png")
    assert command("explain", "film.png", PHRASE, "--resize", "crop", "-m", "rollout")[0] == 0
    assert 0.3 < np.isnan(np.load("out/image_map.npy")).mean() < 0.5


def test_a_lung_mask_moves_the_prior(command):
    mask = np.zeros((512, 512), dtype=np.uint8)
    mask[100:300, 300:400] = 2
    Image.fromarray(mask).save("mask.png")
    np.save("mask.npy", mask)
    assert command("explain", FILM, PHRASE, "-o", "plain")[0] == 0
    assert command("explain", FILM, PHRASE, "--lung-mask", "mask.png", "-o", "png")[0] == 0
    assert command("explain", FILM, PHRASE, "--lung-mask", "mask.npy", "-o", "npy")[0] == 0
    maps = {name: np.load(f"{name}/image_map.npy") for name in ("plain", "png", "npy")}
    np.testing.assert_array_equal(maps["png"], maps["npy"])
    assert np.abs(maps["png"] - maps["plain"]).max() > 1e-3


def write_bad_files():
    Path("text.png").write_text("hello")
    Path("empty.png").touch()
    Path("cut.jpg").write_bytes(FILM.read_bytes()[:2000])
    Path("latin.txt").write_bytes("Lungs cl\xe9ar".encode("latin1"))
    Path("blank.txt").write_text(" \n ")
    Path("file").write_text("mine")
    np.save("nan.npy", np.full((64, 64), np.nan))
    Image.fromarray(np.ones((12, 12), dtype=np.uint8)).save("mask.png")
    Image.fromarray(np.full((512, 512), 7, dtype=np.uint8)).save("sevens.png")
    with Path("zip.npy").open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    np.save("pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    head = bytearray(Path("nan.npy").read_bytes())
    Path("huge.npy").write_bytes(head.replace(b"(64, 64), }" + b" " * 20, b"(99999999999, 99999999), }     "))
    # A PNG of 2^30 pixels: header, no data.
    size = b"IHDR" + (1 << 15).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    png = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + size + zlib.crc32(size).to_bytes(4, "big")
    Path("bomb.png").write_bytes(png + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big"))


BAD = [
    (["nowhere.png", "x"], "nowhere.png"),
    (["text.png", "x"], "got text"),
    (["empty.png", "x"], "empty"),
    (["cut.jpg", "x"], "damaged"),
    ([".", "x"], "folder"),
    (["nan.npy", "x"], "NumPy array"),
    ([FILM, ""], "empty text"),
    ([FILM, "  \t "], "empty text"),
    ([FILM, "opacity " * 200], "tokens"),
    ([FILM], "--report"),
    ([FILM, "x", "--report", "blank.txt"], "one of them"),
    ([FILM, "--report", "none.txt"], "none.txt"),
    ([FILM, "--report", "latin.txt"], "UTF-8"),
    ([FILM, "--report", "blank.txt"], "none"),
    ([FILM, "x", "-m", "matx"], "Did you mean 'matex'"),
    ([FILM, "x", "-p", "alpha"], "KEY=VALUE"),
    ([FILM, "x", "-p", "alpha=high"], "number"),
    ([FILM, "x", "-p", "alpha=-1"], "alpha"),
    ([FILM, "x", "-p", "alpha=1", "-p", "alpha=2"], "twice"),
    ([FILM, "x", "-p", "alfa=1"], "Known: alpha"),
    ([FILM, "x", "-p", "gradient=red"], "attention, similarity"),
    ([FILM, "x", "-p", "gradient_layers=1.5"], "whole number"),
    ([FILM, "x", "-m", "rollout", "--laterality", "paper"], "has none"),
    ([FILM, "x", "--laterality", "up"], "patient, paper"),
    ([FILM, "x", "--resize", "stretch"], "squash"),
    ([FILM, "x", "--domain", "cat"], "natural"),
    ([FILM, "x", "--view", "SIDEWAYS"], r"Unknown view 'SIDEWAYS'. Known: AP, .*, PA, .*"),
    ([FILM, "x", "--view", "FRONTLA"], "Did you mean 'FRONTAL'"),
    ([FILM, "x", "--view", " "], "Unknown view"),
    ([FILM, "x", "--device", "gpu"], "device"),
    ([FILM, "x", "--model", "nonsense"], "hf:"),
    ([FILM, "x", "--model", "hf:./missing"], "missing"),
    ([FILM, "x", "--model", "openai:file"], "preset"),
    ([FILM, "x", "-o", "file"], "is a file"),
    ([FILM, "x", "-o", "file/deeper"], "is a file"),
    ([FILM, "x", "-o", "n" * 300], "got File name too long"),
    ([FILM, "x", "--lung-mask", "mask.png"], r"\(12, 12\)"),
    ([FILM, "x", "--lung-mask", "sevens.png"], "7"),
    ([FILM, "x", "--lung-mask", "text.png"], "could not read .text.png.: unknown content"),
    ([FILM, "x", "--lung-mask", "zip.npy"], "could not read .zip.npy."),
    ([FILM, "x", "--lung-mask", "bomb.png"], "megapixels|could not read .bomb.png."),
    ([FILM, "x", "--lung-mask", "pickle.npy"], "in a lung mask, got other content: values of type object"),
    ([FILM, "x", "--lung-mask", "huge.npy"], "another number of bytes than its header says"),
    ([FILM, "x", "--lung-mask", "."], "got a folder"),
    ([FILM, "opacity \udcff"], "udcff|characters|Unicode"),
    ([FILM, "x", "y"], "unexpected extra argument"),
    ([FILM, "x", "--nope"], "No such option"),
    (["-film.png", "x"], "as ./-name, or try matex explain --help"),
    ([FILM, "x", "-p"], "requires an argument"),
    ([], "Missing argument"),
]


@pytest.mark.parametrize(("arguments", "told"), BAD, ids=[told for _, told in BAD])
def test_a_bad_request_ends_with_2_one_line_and_no_file(command, arguments, told):
    write_bad_files()
    before = sorted(Path().rglob("*"))
    assert refused(command("explain", *arguments), told)
    assert sorted(Path().rglob("*")) == before
    assert Path("file").read_text() == "mine"


def test_masks_of_both_lungs_in_one_value_are_parted(command):
    both = np.zeros((512, 512), dtype=np.uint8)
    both[100:400, 60:220] = both[100:400, 300:460] = 1
    labelled = both.copy()
    labelled[:, 256:] *= 2
    Image.fromarray(labelled).save("labelled.png")
    Image.fromarray(both * 255).save("bytes.png")
    Image.fromarray(both > 0).save("bits.png")
    Image.fromarray(np.repeat(both[:, :, None] * 255, 3, axis=2)).save("colour.png")
    np.save("booleans.npy", both > 0)
    maps = []
    for name in ("labelled.png", "bytes.png", "bits.png", "colour.png", "booleans.npy"):
        assert command("explain", FILM, PHRASE, "--lung-mask", name, "-o", name.split(".")[0])[0] == 0, name
        maps.append(np.load(f"{name.split('.')[0]}/image_map.npy"))
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_no_lung_mask(command):
    os.mkfifo("pipe")
    assert refused(command("explain", FILM, PHRASE, "--lung-mask", "pipe"), "regular file")


def test_view_and_mirrored_reach_the_film(command):
    assert command("explain", FILM, PHRASE, "--view", "LATERAL", "-m", "matex")[0] == 0
    record = json.loads(Path("out/explanation.json").read_text())
    assert record["provenance"]["image"]["view"] == "LATERAL"
    assert any("not frontal" in note for note in record["notes"])
    assert command("explain", FILM, PHRASE, "--mirrored")[0] == 0
    assert json.loads(Path("out/explanation.json").read_text())["provenance"]["image"]["mirrored"]
    assert command("verify", "out")[0] == 0
    out = command("compare", FILM, PHRASE, "-m", "matex,rollout", "--mirrored", "--view", "AP", "--json")[1]
    images = [entry["provenance"]["image"] for entry in json.loads(out)]
    assert [(image["view"], image["mirrored"]) for image in images] == [("AP", True)] * 2


def test_an_undefined_word_is_said_to_be(command):
    out = command("explain", FILM, "opacity")[1]
    record = json.loads(Path("out/explanation.json").read_text())
    undefined = [word["word"] for word in record["words"] if word["score"] is None]
    assert all(f"{word} undefined" in out for word in undefined)
    assert command("compare", FILM, "opacity", "-m", "rollout,matex")[0] == 0


def test_results_of_two_films_never_mix(command):
    other = samples()[2].path
    Path("three.txt").write_text("Opacity on the left. Opacity on the right. No effusion.")
    Path("one.txt").write_text("Opacity on the left.")
    first, second = (json.loads(command("explain", film, "x", "--json")[1]) for film in (FILM, other))
    sums = [record["provenance"]["image"]["sha256"] for record in (first, second)]
    assert sums[0] != sums[1]
    runs = (
        ["explain", FILM, "--report", "three.txt"],
        ["explain", other, "--report", "one.txt"],
        ["compare", FILM, PHRASE, "-m", "rollout,raw-attention"],
        ["explain", other, PHRASE],
        ["compare", FILM, PHRASE, "-m", "rollout"],
    )
    for arguments in runs:
        assert command(*arguments, "-o", "rep")[0] == 0
        wanted = sums[0] if arguments[1] == FILM else sums[1]
        records = [json.loads(path.read_text()) for path in Path("rep").rglob("explanation.json")]
        assert {record["provenance"]["image"]["sha256"] for record in records} == {wanted}, arguments
    assert sorted(path.name for path in Path("rep").iterdir()) == [RUN, "report.html", "rollout"]


def test_a_hostile_phrase_is_explained_as_text(command):
    hostile = '<script>alert(1)</script> & "quotes"'
    assert command("explain", FILM, hostile)[0] == 0
    page = Path("out/report.html").read_text()
    assert "<script>alert" not in page
    assert json.loads(Path("out/explanation.json").read_text())["text"] == hostile


def test_a_resolution_gives_a_finer_grid_and_is_in_the_record(command):
    arguments = ["-m", "rollout", "--model", "tiny", "--resolution"]
    code, out, err = command("explain", FILM, PHRASE, *arguments, "168", "--json")
    assert code == 0, err
    record = json.loads(out)
    assert record["image"]["grid"] == [21, 21]
    assert record["provenance"]["model"]["resolution"] == 168
    assert any("read at 168 x 168 pixels, trained at 112 x 112" in note for note in record["notes"])
    assert refused(command("explain", FILM, PHRASE, *arguments, "100"), "whole patches of 8 x 8")
