"""The commands on every model family, as its users run them: from files on disk."""

import json

import numpy as np
import pytest
from PIL import Image

from matex.attribution import METHODS
from tests.adapters.folders import FAMILIES, SOUNDS
from tests.adapters.sounding import chirp
from tests.cli.command_line import refused

PHRASE = "opacity in the left lung"
FEW = (
    *("rise.masks=4", "kernel-shap.samples=4", "integrated-gradients.steps=2", "gradient-shap.samples=2"),
    *("m2ib.steps=1", "m2ib.samples=2", "ca-m2ib.steps=1", "ca-m2ib.samples=2", "occlusion.window=30"),
)
FEW_ARGUMENTS = [part for one in FEW for part in ("-p", one)]
SMALL_AUDIT = ("--regions", "10", "--repeats", "2")


@pytest.fixture
def film(tmp_path):
    """A small film with a bright spot, so that pages are quickly written."""
    values = np.random.default_rng(0).integers(40, 120, (90, 80), np.uint8)
    values[50:70, 50:70] = 220
    Image.fromarray(values).save(tmp_path / "film.png")
    return "film.png"


def written(families, name, tmp_path, monkeypatch):
    folder = tmp_path / name
    folder.mkdir()
    return families[name](folder, monkeypatch)


def listed(out):
    """The methods in the output of compare that have a map, and those that were left out with a reason."""
    lines = out.splitlines()
    served = [line.split()[0] for line in lines[: next(i for i, line in enumerate(lines) if "passes shared" in line)]]
    [said] = [line for line in lines if line.startswith("Left out")]
    return set(served), set(said.removesuffix(".").rpartition(": ")[2].split(", "))


@pytest.fixture
def no_pages(monkeypatch):
    """Compare draws no pages, which take ten times as long as the methods and are the same for every family."""
    monkeypatch.setattr("matex.render.save.save_run", lambda *_, **__: None)
    monkeypatch.setattr("matex.render.report.page", lambda *_, **__: "")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_film_is_explained_compared_and_audited(family, command, film, no_pages, tmp_path, monkeypatch):
    model = written(FAMILIES, family, tmp_path, monkeypatch).arguments()
    code, out, err = command("compare", film, PHRASE, "-m", "all", *FEW_ARGUMENTS, *model)
    assert code == 0, err
    served, left_out = listed(out)
    assert served | left_out == {name for name, kind in METHODS.items() if "image" in kind.towers}
    assert {"gradcam", "m2ib", "rise", "saliency"} <= served
    reasons = out.partition("Left out")[2].partition("\n")[2]
    assert all(name in reasons for name in left_out)
    code, out, err = command("explain", film, PHRASE, "-m", "m2ib", *model, "--json")
    assert code == 0, err
    record = json.loads(out)
    assert [word["word"] for word in record["words"]] == PHRASE.split()
    assert np.load(tmp_path / "out" / "image_map.npy").shape == (90, 80)
    code, out, err = command("audit", film, PHRASE, "-m", "gradcam", *SMALL_AUDIT, *model)
    assert code == 0, err
    assert "Would an unrelated phrase give the same map?" in out


@pytest.mark.parametrize("family", SOUNDS)
def test_a_sound_is_explained_and_compared_and_no_audit_reads_it(family, command, no_pages, tmp_path, monkeypatch):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "bark.wav", chirp(1.5), 16_000)
    model = written(SOUNDS, family, tmp_path, monkeypatch).arguments()
    code, out, err = command("compare", "bark.wav", "a nodule", "-m", "all", *FEW_ARGUMENTS, *model)
    assert code == 0, err
    served, left_out = listed(out)
    assert served | left_out == {name for name, kind in METHODS.items() if "image" in kind.towers}
    code, out, err = command("explain", "bark.wav", "a nodule", "-m", "m2ib", *model, "--json")
    assert code == 0, err
    assert [word["word"] for word in json.loads(out)["words"]] == ["a", "nodule"]
    assert refused(command("audit", "bark.wav", "a nodule", "-m", "m2ib", *model), "Expected an image, got a sound")


def test_one_benchmark_runs_over_several_families(command, tmp_path, monkeypatch):
    names = ("clip", "siglip", "medclip", "imagebind")
    entries = [written(FAMILIES, name, tmp_path, monkeypatch).entry(name) for name in names]
    (tmp_path / "families.toml").write_text(
        f"models = [{', '.join(entries)}]\n"
        'methods = ["gradcam", "saliency", "rollout"]\nmetrics = ["pointing", "confidence-image"]\n'
        '[[datasets]]\nname = "simulated"\nparameters = { films = 2 }\n'
    )
    code, _, err = command("benchmark", "families.toml", "-o", "run")
    assert code == 0, err
    problems = [json.loads(line) for line in (tmp_path / "run" / "problems.jsonl").read_text().splitlines()]
    assert [(one["model"], one["method"]) for one in problems] == [("medclip", "rollout")]
    code, _, err = command("report", "run")
    assert code == 0, err
    page = (tmp_path / "run" / "report.html").read_text()
    assert all(name in page for name in names)
    assert page.count("maps are shown alone: Expected a folder with config.json") == 1  # hf:tiny lies elsewhere


def test_a_benchmark_of_sounds_measures_deletion_into_silence(command, tmp_path, monkeypatch):
    soundfile, parquet = pytest.importorskip("soundfile"), pytest.importorskip("pyarrow.parquet")
    soundfile.write(tmp_path / "bark.wav", chirp(1.2), 16_000)
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"image": "bark.wav", "text": "a nodule"}) + "\n")
    entries = [written(SOUNDS, name, tmp_path, monkeypatch).entry(name) for name in SOUNDS]
    config = (
        f"models = [{', '.join(entries)}]\n"
        'methods = ["saliency"]\nmetrics = ["confidence-image", '
        '{name = "deletion-insertion", parameters = {protocol = "PROTOCOL"}}]\n'
        '[[datasets]]\nname = "manifest"\nparameters = { root = ".", domain = "sound" }\n'
    )
    (tmp_path / "sounds.toml").write_text(config.replace("PROTOCOL", "similarity"))
    assert refused(
        command("benchmark", "sounds.toml", "-o", "run"), "metrics that serve sounds", "'deletion-insertion'"
    )
    (tmp_path / "sounds.toml").write_text(config.replace("PROTOCOL", "rise"))
    code, _, err = command("benchmark", "sounds.toml", "-o", "run")
    assert code == 0, err
    results = parquet.read_table(tmp_path / "run" / "results.parquet").to_pylist()
    curves = {(row["model"], row["method"]): row["value"] for row in results if row["column"] == "rise_deletion_auc"}
    assert {method for _, method in curves} == {"saliency", "control: uniform", "control: random"}
    assert all(np.isfinite(value) for (_, method), value in curves.items() if method != "control: uniform")
    code, _, err = command("report", "run")
    assert code == 0, err
    (tmp_path / "films.toml").write_text(
        config.replace("PROTOCOL", "rise")
        .replace('name = "manifest"', 'name = "simulated"')
        .partition("parameters = { r")[0]
    )
    assert refused(command("benchmark", "films.toml", "-o", "films"), "encoder of image, got .*clap")
