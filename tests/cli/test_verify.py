"""matex verify."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import matex
from matex.adapters.tokenizer import describe_tokenizer
from matex.cli.parameters import parse_parameters
from matex.saved import find_image, load_saved, recorded_parameters
from matex.verify import TOLERANCE, compare
from tests.cli.command_line import FILM, PHRASE, refused


@pytest.fixture
def saved(command):
    assert command("explain", FILM, PHRASE)[0] == 0
    return Path("out")


def test_verify_runs_the_record_again(command, saved):
    code, out, err = command("verify", saved)
    assert (code, err) == (0, "")
    assert out.startswith("same: map within")
    verdict = json.loads(command("verify", saved, "--json")[1])
    assert verdict["same"]
    assert verdict["map_difference"] <= TOLERANCE


def test_verify_compares_the_map_of_the_second_image_too(command):
    values = np.random.default_rng(2).integers(0, 255, (64, 70), dtype=np.uint8)
    Image.fromarray(values).save("other.png")
    assert command("explain", FILM, "other.png")[0] == 0
    code, out, err = command("verify", "out")
    assert (code, err) == (0, "")
    assert out.startswith("same: map within")
    path = Path("out/target_map.npy")
    recorded = np.load(path)
    changed = recorded.copy()
    changed[32, 35] = 1 - changed[32, 35] + 0.1
    np.save(path, changed)
    assert refused(command("verify", "out"), "target map: differs by up to")
    np.save(path, recorded[1:])
    assert refused(command("verify", "out"), "target map size: recorded")


def test_verify_finds_the_image_by_its_checksum_under_another_name(command):
    values = np.random.default_rng(2).integers(0, 255, (64, 70), dtype=np.uint8)
    Image.fromarray(values).save("film.png")
    assert command("explain", "film.png", PHRASE, "-o", "deep/out")[0] == 0
    assert refused(command("verify", "deep/out", "--image", FILM), "image checksum")
    shutil.move("film.png", "deep/renamed.png")
    assert find_image(load_saved(Path("deep/out"))).name == "renamed.png"
    assert command("verify", "deep/out")[0] == 0
    os.remove("deep/renamed.png")
    assert refused(command("verify", "deep/out"), "--image")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda record: record.update(score=record["score"] + 0.01), "score: recorded"),
        (lambda record: record.update(text="opacity in the right lower lung"), "map: differs"),
        (lambda record: record["parameters"].update(alpha=3.0), "map: differs"),
        (lambda record: record["provenance"]["model"].update(weights_sha256="0" * 64), "weights checksum"),
        (lambda record: record["parameters"].update(colour=3), "Unknown parameter"),
        (lambda record: record["provenance"].pop("resize"), "provenance.resize"),
        (lambda record: record.update(format="other"), "format"),
        (lambda record: record["provenance"].update(lung_mask="ab" * 32), "--lung-mask"),
        (lambda record: record["provenance"]["token_ids"].reverse(), "token ids: recorded"),
        (lambda record: record["provenance"]["model"].update(dtype="float16"), "weights checksum"),
        (lambda record: record["provenance"]["model"].update(dtype="int8"), "one of float32, float64"),
        (lambda record: record.update(parameters=[]), "parameters in .* to be dict, got list"),
        (lambda record: record.update(score="abc"), "score in .* to be float or null, got str"),
        (lambda record: record.update(text=3), "text in .* to be str"),
        (lambda record: record["parameters"].update(alpha={}), "recorded alpha of matex"),
        (lambda record: record["parameters"].update(alpha=-1.0), "Expected alpha of 0 or more"),
        (lambda record: record.update(method="mine"), "Unknown method 'mine'"),
        (
            lambda record: (record.update(method="mine"), record["provenance"].update(plugin={"name": "mine.py"})),
            r"plug-in .mine\.py.\. Name it with --plugin",
        ),
        (lambda record: record["parameters"].update(gradient=None), "gradient"),
        (lambda record: record["provenance"].update(model=[]), "provenance.model"),
        (lambda record: record["provenance"].update(image="film.png"), "provenance.image"),
        (lambda record: record["provenance"].update(versions=None), "versions"),
        (lambda record: record["provenance"].update(domain=["chest"]), "domain"),
    ],
)
def test_verify_says_what_differs(command, saved, change, told):
    record = json.loads((saved / "explanation.json").read_text())
    change(record)
    (saved / "explanation.json").write_text(json.dumps(record))
    assert refused(command("verify", saved), told)


def test_verify_compares_every_pixel(command, saved):
    values = np.load(saved / "image_map.npy")
    values[17, 400] += 0.002
    np.save(saved / "image_map.npy", values)
    assert refused(command("verify", saved), r"map: differs by up to 0\.002")
    assert command("verify", saved, "--tolerance", "0.01")[0] == 0
    for tolerance, passes_any in ("0.01", False), ("1", True):
        assert ("any map of this size passes" in command("verify", saved, "--tolerance", tolerance)[1]) is passes_any


def test_verify_loads_with_the_recorded_precision(command, saved, monkeypatch):
    asked = []
    real = matex.load

    def load(name, **settings):
        asked.append(settings["dtype"])
        return real(name, **settings)

    monkeypatch.setattr(matex, "load", load)
    record = json.loads((saved / "explanation.json").read_text())
    record["provenance"]["model"]["dtype"] = "float64"
    (saved / "explanation.json").write_text(json.dumps(record))
    assert command("verify", saved)[0] == 0
    assert asked == ["float64"]


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("clip-surgery", ["redundant=517,10,518"]),
        ("clip-surgery", ["redundant=clear lungs, no 3", "layers=2"]),
        ("clip-surgery", ["rivals=nodule, small;mass"]),
        ("mmel", ["scales=1,0.5", "theta=1,2,3"]),
        ("mmel", ["theta=2", "contrast=2"]),
        ("saliency", ["reduce=none"]),
    ],
)
def test_verify_reads_every_kind_of_parameter_back(command, method, given):
    parameters = [part for item in given for part in ("-p", item)]
    assert command("explain", FILM, PHRASE, "-m", method, *parameters)[::2] == (0, "")
    values = recorded_parameters(load_saved(Path("out")))
    assert values == {**values, **parse_parameters(method, given)}
    assert command("verify", "out")[::2] == (0, "")


def test_verify_finds_the_tokenizer_that_was_given(command, checkpoint, workplace):
    shutil.copytree(checkpoint.removeprefix("hf:"), "clip")
    Path("words").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.move(f"clip/{name}", f"words/{name}")
    for name in ("vocab.json", "merges.txt"):
        Path("clip", name).unlink(missing_ok=True)
    given = ["--model", "hf:clip", "--tokenizer", workplace / "words"]
    assert refused(command("explain", FILM, PHRASE, *given[:2]), "no tokenizer")
    assert command("explain", FILM, PHRASE, *given)[0] == 0
    record = Path("out/explanation.json").read_text()
    assert json.loads(record)["provenance"]["model"]["tokenizer"]["source"] == "words"
    assert str(workplace) not in record
    assert command("verify", "out")[0] == 0
    shutil.move("words", "others")
    assert refused(command("verify", "out"), "--tokenizer")
    assert command("verify", "out", "--tokenizer", "others")[0] == 0
    shutil.copytree("others", "words")
    settings = Path("words/tokenizer_config.json")
    settings.write_text(settings.read_text() + "\n")
    assert refused(command("verify", "out"), "checksum")


def test_a_hub_id_is_recorded_as_it_was_given():
    assert describe_tokenizer("somebody/clip") == {"source": "somebody/clip", "sha256": None}


def test_verify_contacts_no_hub_that_only_the_record_names(command, saved, monkeypatch):
    path = saved / "explanation.json"
    record = json.loads(path.read_text())
    record["provenance"]["model"]["name"] = "hf:somebody/clip"
    path.write_text(json.dumps(record))
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: pytest.fail("the hub was contacted"))
    assert refused(command("verify", saved), "in the hub's cache, found none", "Name it with --model")


def test_verify_wants_the_same_lung_mask(command):
    mask = np.zeros((512, 512), dtype=np.uint8)
    mask[100:300, 300:400] = 2
    np.save("mask.npy", mask)
    np.save("other.npy", np.roll(mask, 9, axis=0))
    assert command("explain", FILM, PHRASE, "--lung-mask", "mask.npy")[0] == 0
    assert command("verify", "out", "--lung-mask", "mask.npy")[0] == 0
    assert command("verify", "out")[0] == 0  # the folder holds the mask
    assert refused(command("verify", "out", "--lung-mask", "other.npy"), "lung mask checksum")
    Path("out/grids.npz").unlink()  # as earlier versions wrote it
    assert refused(command("verify", "out"), "--lung-mask")


def test_the_search_for_the_image_skips_what_it_should_not_open(command, monkeypatch):
    Image.fromarray(np.random.default_rng(2).integers(0, 255, (64, 70), dtype=np.uint8)).save("film.png")
    assert command("explain", "film.png", PHRASE)[0] == 0
    shutil.move("film.png", "zz.png")
    os.mkfifo("film")
    Path("gone.png").symlink_to("nowhere")
    with Path("aa.png").open("wb") as stream:
        stream.truncate(1 << 40)  # sparse
    Path("bb.png").write_bytes(b"unreadable")
    real = Path.open

    def denied(path, *arguments, **settings):
        if path.name == "bb.png":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **settings)

    monkeypatch.setattr(Path, "open", denied)
    assert find_image(load_saved(Path("out"))).name == "zz.png"


@pytest.mark.parametrize("values", [np.zeros((2, 2, 2)), np.zeros((2, 2), dtype=int), np.array("a")])
def test_verify_refuses_what_is_no_map(command, saved, values):
    np.save(saved / "image_map.npy", values)
    assert refused(command("verify", saved), "Expected (a map of floats|a .npy array of numbers)")
    with (saved / "image_map.npy").open("wb") as stream:
        np.savez(stream, a=values)
    assert refused(command("verify", saved), "array of numbers in image_map.npy")


@pytest.mark.parametrize("name", ["explanation.json", "image_map.npy"])
def test_verify_refuses_missing_and_damaged_files(command, saved, name):
    (saved / name).write_text("{")
    assert refused(command("verify", saved), f"{name}.* got other")
    (saved / name).unlink()
    assert refused(command("verify", saved), name)


def test_versions_are_remarks_and_no_differences(saved, checkpoint):
    record = load_saved(saved)
    model = matex.load(checkpoint)
    again = matex.explain(model, FILM, PHRASE)
    record.record["provenance"]["versions"]["torch"] = "0.1"
    verdict = compare(record, again)
    assert verdict.same
    assert any(remark.startswith("torch was '0.1'") for remark in verdict.remarks)
