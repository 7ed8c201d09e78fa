"""The benchmarks run and report every row; their numbers are for docs/speed.md, not for a test."""

import importlib.util
import json
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from matex.datasets.simulated import read_names

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPT = FOLDER / "speed.py"
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


@pytest.fixture
def methods(monkeypatch):
    """The module benchmarks/methods.py, found as it finds its neighbour."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("methods")
    for name in ("methods", "speed"):
        sys.modules.pop(name, None)


class Clock:
    """Time passes by one second whenever somebody looks."""

    def __init__(self):
        self.seconds = 0

    def __call__(self):
        self.seconds += 1
        return self.seconds


@pytest.mark.filterwarnings("ignore:.*laterality.*")
def test_every_target_of_the_methods_benchmark_has_its_ratio(methods):
    costs = methods.Costs(small=True)
    seconds = methods.measure(methods.targets(costs), 1, Clock())
    assert set(seconds.values()) == {1}
    found = methods.ratios(seconds)
    assert [target for _, target in found.values()] == [1.3, None, 20, 20, 1.053, 1.053, 1.053, 1.0]
    assert {ratio for ratio, _ in found.values()} == {1}


def test_one_prompt_of_embedding_space_is_one_forward_and_one_backward(methods):
    assert methods.Costs(small=True).calls() == {"forwards": 1, "backwards": 1}


def test_a_method_run_with_fewer_inputs_is_charged_for_all_of_them(methods):
    costs = methods.Costs(small=True)
    found = methods.cost_of_each(costs, 1, Clock(), only="rise")
    assert found == {"rise, image": 4000 / methods.ROWS * methods.PLAINS, "rise, text": methods.PLAINS}
    assert methods.by_method(found) == {"rise": {"image": 625, "text": 10}}


@pytest.mark.filterwarnings("ignore:.*laterality.*")
def test_the_methods_benchmark_knows_every_method_on_every_tower(methods):
    from matex.attribution import METHODS

    work, times = methods.each(methods.Costs(small=True))
    assert set(work) == set(times) == {f"{name}, {tower}" for name, kind in METHODS.items() for tower in kind.towers}
    for name in ("matex, image", "guided-backprop, text", "ca-m2ib, image", "clip-surgery, image"):
        work[name]()


@pytest.mark.slow
def test_the_methods_benchmark_reports_every_cost_and_the_machine(tmp_path):
    file = tmp_path / "methods.json"
    command = [sys.executable, str(FOLDER / "methods.py"), "--small", "--quick", "--threads", "1", "--json", str(file)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["machine"]["threads"] == 1
    assert all(cost > 0 for method in content["methods"].values() for cost in method.values())
    assert content["methods"]["legrad"].keys() == {"image"}
    for row in content["rows"]:
        assert f"| {row['name']} | {row['against']} | {row['ratio']:.3f} |" in output


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
    assert [row["target"] for row in content["rows"] if row["target"]] == [1.1, 1.6, 0.35, 1.3, 1.3]
    for row in content["rows"]:
        assert f"| {row['name']} | {row['against']} | {row['ratio']:.3f} |" in output
    assert content["machine"]["threads"] == 1
    assert content["machine"]["torch"] in output.splitlines()[0]


def test_the_benchmark_of_saving_reports_every_file():
    small = ["--height", "300", "--width", "250", "--rounds", "1", "--repeats", "1", "--method", "raw-attention"]
    script = FOLDER / "save.py"
    done = subprocess.run([sys.executable, str(script), *small], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in ("save, all five files", "overlay.png", "panel.png", "report.html", "explanation.json"):
        assert f"| {name}" in done.stdout


def test_the_final_test_of_a_version_is_opened_once(tmp_path, monkeypatch):
    path = FOLDER / "evidence_test.py"
    module = runpy.run_path(str(path))
    record = tmp_path / "record.jsonl"
    assert module["opened"](record) == {}
    record.write_text(json.dumps({"version": version("matex"), "date": "2026-01-02"}) + "\n")
    monkeypatch.setitem(module["main"].__globals__, "RECORD", record)
    with pytest.raises(SystemExit, match="opened on 2026-01-02"):
        module["main"]([])


def test_the_final_test_and_the_choice_of_defaults_use_films_that_no_report_uses():
    examples = FOLDER.parent / "examples"
    final, choice, unreported = (
        read_names(examples / f"{name}-normals.txt") for name in ("test", "choice", "unreported")
    )
    assert (len(final), len(choice)) == (120, 140)
    assert not final & choice
    assert unreported == final | choice
    for path in examples.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        lists = (
            text.count('only = "examples/test-normals.txt"'),
            text.count('without = "examples/unreported-normals.txt"'),
        )
        roots = text.count("data/normals")
        assert lists == ((roots, 0) if path.name == "evidence-test.toml" else (0, roots)), path.name


@pytest.mark.slow
def test_the_corpus_benchmark_reports_every_row():
    command = [sys.executable, str(FOLDER / "corpus.py"), "--rounds", "1", "--films", "2"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for what in ("explain, tiny", "explain, ViT-B/32", "clip-surgery, tiny", "explain_each", "stream, 96", "rise, 256"):
        assert f"| {what}" in output
