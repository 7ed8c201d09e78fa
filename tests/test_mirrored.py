"""A mirrored film gives the score of the standard film and its map flipped, at every door."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import matex
from matex.cli import run as command
from matex.samples import samples

PHRASE = "opacity in the left lower lung"
BOX = (60, 40, 84, 70)  # on the standard film, 96 x 90
FLIPPED = (96 - BOX[2], BOX[1], 96 - BOX[0], BOX[3])


@pytest.fixture(scope="module")
def pixels():
    with Image.open(samples()[0].path) as film:
        return np.asarray(film.convert("L").resize((96, 90)))


@pytest.fixture
def films(tmp_path, pixels, monkeypatch):
    """standard.png and mirrored.png in the current folder."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pixels).save("standard.png")
    Image.fromarray(pixels[:, ::-1]).save("mirrored.png")
    return tmp_path


def dicom(pixels, orientation, path):
    pytest.importorskip("pydicom")
    from tests.test_dicom_read import film, written

    return written(film(pixels, PatientOrientation=orientation, WindowCenter=128, WindowWidth=256), path)


def test_explain_each_flips_the_declared_and_the_dicom_film(tiny, films, pixels):
    declared = matex.Pair("mirrored.png", PHRASE, mirrored=True)
    standard, flipped = matex.explain_each(tiny, [("standard.png", PHRASE), declared])
    assert flipped.score == standard.score
    np.testing.assert_allclose(flipped.image.values[:, ::-1], standard.image.values, atol=1e-6)
    assert flipped.words == standard.words
    dicom(pixels, ["L", "F"], "l.dcm")
    dicom(pixels[:, ::-1], ["R", "F"], "r.dcm")
    standard, flipped = matex.explain_each(tiny, [("l.dcm", PHRASE), ("r.dcm", PHRASE)])
    assert flipped.film.mirrored
    assert flipped.score == standard.score
    np.testing.assert_allclose(flipped.image.values[:, ::-1], standard.image.values, atol=1e-6)
    assert flipped.score != matex.explain(tiny, "mirrored.png", PHRASE).score  # the test would notice


def test_a_row_of_a_table_that_declares_it_is_flipped_and_verified(films, capsys):
    (films / "t.csv").write_text(f"image,text,mirrored\nstandard.png,{PHRASE},no\nmirrored.png,{PHRASE},yes\n")
    assert command(["explain", "t.csv", "-o", "out"]) == 0
    with open("out/results.csv", encoding="utf-8", newline="") as file:
        standard, flipped = csv.DictReader(file)
    assert standard["score"] == flipped["score"]
    one, other = (np.load(films / "out" / row["folder"] / "image_map.npy") for row in (standard, flipped))
    np.testing.assert_allclose(other[:, ::-1], one, atol=1e-6)
    folder = f"out/{flipped['folder']}"
    capsys.readouterr()
    assert command(["verify", folder, "--image", "mirrored.png", "--tolerance", "1e-5"]) == 0
    record = json.loads((films / folder / "explanation.json").read_text())
    record["provenance"]["image"]["mirrored"] = False
    (films / folder / "explanation.json").write_text(json.dumps(record))
    assert command(["verify", folder, "--image", "mirrored.png"]) == 2  # the model sees the film as it lies
    assert "score: recorded" in capsys.readouterr().err


def test_the_benchmark_scores_and_locates_on_a_mirrored_dicom_film_as_on_the_standard_one(films, pixels):
    parquet = pytest.importorskip("pyarrow.parquet")
    from matex.benchmark import parse_config, run

    rows = [("l.dcm", pixels, ["L", "F"], BOX), ("r.dcm", pixels[:, ::-1], ["R", "F"], FLIPPED)]
    for name, values, orientation, _ in rows:
        dicom(values, orientation, name)
    lines = [json.dumps({"image": name, "text": PHRASE, "boxes": [box]}) for name, _, _, box in rows]
    (films / "manifest.jsonl").write_text("\n".join(lines))
    configuration = {
        "models": ["tiny"],
        "methods": ["matex"],
        "metrics": ["pointing", "energy", "iou"],
        "datasets": [{"name": "manifest", "parameters": {"root": str(films)}}],
    }
    run(parse_config(configuration), films / "run")
    standard, flipped = parquet.read_table(films / "run" / "scores.parquet").to_pylist()
    assert flipped["score"] == standard["score"]
    found = {}
    for row in parquet.read_table(films / "run" / "results.parquet").to_pylist():
        if "random" not in row["method"]:
            found.setdefault((row["method"], row["metric"], row["column"]), []).append(row["value"])
    assert {"matex", "control: prior alone"} <= {method for method, _, _ in found}
    for key, (one, other) in found.items():
        assert other == pytest.approx(one, abs=1e-5, nan_ok=True), key
