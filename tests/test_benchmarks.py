"""The speed benchmark runs and reports every row; its numbers are for docs/speed.md, not for a test."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "speed.py"
TIMED = {
    "trace of the image tower, no gradients",
    "matex, image map",
    "matex, image and text maps",
    "matex, each further phrase, both maps",
    "matex-paper, image map",
    "grad-eclip, image map",
    "rollout, image map",
    "raw-attention, image map",
    "compare of four methods, both maps",
    "bundled model: explain, file to record",
}
MEMORY = {
    "peak of the whole process, resident",
    "peak of tensors and weights",
    "peak of tensors alone",
}


@pytest.mark.filterwarnings("ignore:.*laterality.*")
def test_every_subject_of_the_speed_benchmark_runs_and_has_its_ratio(monkeypatch):
    spec = importlib.util.spec_from_file_location("speed", SCRIPT)
    speed = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "speed", speed)  # dataclasses look their module up
    spec.loader.exec_module(speed)
    ticks = iter(range(10_000))
    seconds = speed.measure(speed.subjects(small=True), 1, lambda: next(ticks))
    assert set(seconds.values()) == {1}
    found = speed.ratios(seconds)
    assert {name for name, _ in found} == TIMED
    assert found["matex, image and text maps", "both plain forwards"] == (0.5, 1.6)


@pytest.mark.slow
def test_the_speed_benchmark_reports_every_ratio_and_the_machine(tmp_path):
    file = tmp_path / "speed.json"
    command = [sys.executable, str(SCRIPT), "--small", "--quick", "--threads", "1", "--json", str(file)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    content = json.loads(file.read_text(encoding="utf-8"))
    assert {row["name"] for row in content["rows"]} == TIMED | MEMORY
    assert all(row["low"] <= row["ratio"] <= row["high"] for row in content["rows"])
    assert [row["target"] for row in content["rows"] if row["target"]] == [1.5, 1.6, 0.35, 1.3, 1.3]
    for row in content["rows"]:
        assert f"| {row['name']} | {row['against']} | {row['ratio']:.3f} |" in output
    assert content["machine"]["threads"] == 1
    assert content["machine"]["torch"] in output.splitlines()[0]
