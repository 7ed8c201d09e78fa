"""matex calibrate, and matex explain --calibration."""

import csv
import json

import pytest
from PIL import Image

from matex.datasets import open_dataset
from tests.cli.command_line import FILM, PHRASE, refused


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of simulated films with the finding in each; the model is the bundled one."""
    monkeypatch.setenv("MATEX_MODEL", "tiny")
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "patient"])
        data = open_dataset("simulated", films=120, tier="subtle", placed=False, seed=3)
        for number, sample in enumerate(data[index] for index in range(0, 120, 10)):
            Image.fromarray(sample.image.pixels).save(tmp_path / f"{number}.png")
            writer.writerow([f"{number}.png", sample.text, f"p{number}"])
    return tmp_path / "pairs.csv"


def test_a_calibration_is_fitted_and_read(command, table, tmp_path):
    file = tmp_path / "calibration.json"
    code, out, _ = command("calibrate", str(table), "-o", str(file), "--risk", "0.4", "--test", str(table))
    assert "test images of patients of the validation pairs: 12." in out
    assert code == 0
    assert "softmax: temperature" in out
    assert "ECE, 15 bins of equal width" in out
    phrase = json.loads(file.read_text())["phrases"][0]
    code, out, _ = command("explain", FILM, phrase, "-m", "rollout", "--calibration", str(file))
    assert code == 0
    assert "calibrated" in out
    assert "confidence" in json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert refused(command("explain", FILM, "a spine", "--calibration", str(file)), "Unknown phrase")
    other = command("explain", FILM, phrase, "--model", "tiny-plain", "--calibration", str(file))
    assert refused(other, "Expected the model of this calibration")
    assert refused(command("explain", FILM, phrase, "--against", "x", "--calibration", str(file)), "--calibration")
    assert refused(command("explain", str(table), "--calibration", str(file)), "a table")


def test_maps_are_measured_where_requested(command, table):
    code, out, _ = command("calibrate", str(table), "--json", "--maps", "-m", "rollout")
    assert code == 0
    assert {one["signal"] for one in json.loads(out)["maps"]} >= {"1 - confidence", "deviation, noise"}
    assert refused(command("calibrate", str(table), "-p", "alpha=1"), "-p with --maps")
    assert refused(command("calibrate", str(table), "--risk", "2"), "--risk")
    assert refused(command("calibrate", "none.csv"), "none.csv")
    assert refused(command("explain", FILM, PHRASE, "--calibration", "none.json"), "a calibration")
