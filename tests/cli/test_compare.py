"""matex compare and matex demo."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import matex
from matex.attribution import METHODS
from matex.files import RUN
from matex.samples import samples
from tests.cli.command_line import FILM, PHRASE, refused


def test_compare_puts_methods_side_by_side(command):
    code, out, err = command("compare", FILM, PHRASE, "-m", "rollout, matex,")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["rollout", "matex"]
    assert sorted(path.name for path in Path("compare").iterdir()) == ["matex", RUN, "report.html", "rollout"]
    assert Path("compare/report.html").read_text().count('class="thumb"') == 2
    page = Path("compare/report.html").read_text()
    assert re.findall(r'<a class="thumb".*?<b>(.*?)</b>', page) == ["rollout", "matex"]
    assert "own formula 0 ms" not in page
    assert "Passes of the model that all of them share" in page
    assert "\npasses shared " in out
    assert refused(command("compare", FILM, PHRASE, "-m", "rollout,nope"), "'nope'")
    assert refused(command("compare", FILM, PHRASE, "-m", ","), "names of methods")
    assert refused(command("compare", FILM, PHRASE, "-m", "rollout,matex,rollout"), "every method once", "'rollout'")
    for odd in ("matex.alpha", "alpha=1", "rollout.alpha=1", "matex.alpha=x"):
        assert refused(command("compare", FILM, PHRASE, "-m", "matex", "-p", odd), "alpha")
    arguments = ["-m", "matex,grad-eclip", "-p", "matex.alpha=0.25", "--json"]
    entries = {entry["method"]: entry for entry in json.loads(command("compare", FILM, PHRASE, *arguments)[1])}
    assert entries["matex"]["parameters"]["alpha"] == 0.25


def test_notes_are_printed_once_by_every_command(command):
    unknown = "view and orientation unknown: taken as a frontal film in standard display"
    out = command("compare", FILM, PHRASE, "-m", "rollout,raw-attention", "-o", "a")[1]
    assert out.splitlines().count(f"note     {unknown}") == 1
    out = command("compare", FILM, "nodule", "-m", "rollout,matex", "-o", "b")[1]
    assert any(line.startswith("note     matex: spatial prior neutral") for line in out.splitlines())
    Path("report.txt").write_text("Opacity at the left base. Nodule in the right apex.")
    out = command("explain", FILM, "--report", "report.txt", "-m", "rollout", "-o", "c")[1]
    assert out.splitlines().count(f"note     {unknown}") == 1
    assert unknown in Path("c/report.html").read_text()
    Path("report.txt").write_text("Opacity at the left base. No effusion. Lungs are clear.")
    out = command("explain", FILM, "--report", "report.txt", "-o", "e")[1]
    assert "note     “No effusion.”: spatial prior neutral" in out
    out = command("explain", FILM, PHRASE, "-m", "rollout", "-o", "d")[1]
    assert out.splitlines().count(f"note     {unknown}") == 1


def test_compare_all_leaves_out_what_the_model_cannot_serve(command, monkeypatch):
    entries = [entry for entry in matex.methods() if entry.name in ("gradient", "guided-backprop", "rollout")]
    monkeypatch.setattr(
        matex, "methods", lambda: (*entries, dataclasses.replace(entries[0], name="x", towers=("text",)))
    )
    code, out, _ = command("compare", FILM, PHRASE, "-m", "all", "--json", "-o", "all")
    assert (code, [entry["method"] for entry in json.loads(out)]) == (0, ["gradient", "rollout"])
    assert refused(command("compare", FILM, PHRASE, "-m", "rollout,guided-backprop"), "quick_gelu")


FEWER = {
    "rise": ["masks=8"],
    "kernel-shap": ["samples=8"],
    "integrated-gradients": ["steps=2"],
    "gradient-shap": ["samples=2"],
    "occlusion": ["window=28"],
    "m2ib": ["steps=2", "samples=2"],
    "ca-m2ib": ["steps=2", "samples=2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_runs_on_both_towers_of_the_bundled_model(command, name):
    parameters = [part for item in FEWER.get(name, ()) for part in ("-p", item)]
    outcome = command("explain", FILM, PHRASE, "-m", name, "--model", "tiny", *parameters, "--json")
    if name == "guided-backprop":
        assert refused(outcome, "quick_gelu", "gradient, ")
        return
    code, out, err = outcome
    assert code == 0, err
    record = json.loads(out)
    values = np.load("out/image_map.npy")
    assert values.shape == (512, 512)
    assert (np.nanmin(values), np.nanmax(values)) == (0, 1)
    words = {word["word"]: word["score"] for word in record["words"]}
    if "text" in METHODS[name].towers:
        assert list(words) == PHRASE.split()
        assert len(set(words.values())) > 1
    else:
        assert words == {}


@pytest.mark.slow
def test_compare_all_finishes_and_says_what_it_left_out(command):
    arguments = [part for name, items in FEWER.items() for item in items for part in ("-p", f"{name}.{item}")]
    code, out, err = command("compare", FILM, PHRASE, "-m", "all", "--model", "tiny", *arguments)
    assert code == 0, err
    assert "Left out, as the model or this installation cannot serve them: guided-backprop." in out
    assert "<li><b>guided-backprop</b>: " in Path("compare/report.html").read_text()
    assert {path.name for path in Path("compare").iterdir() if path.is_dir()} == set(METHODS) - {"guided-backprop"}


def test_demo_explains_the_bundled_films(command, monkeypatch):
    films = (samples()[0], samples()[-1])
    monkeypatch.setattr("matex.samples.samples", lambda: films)
    code, out, err = command("demo", "-m", "raw-attention")
    assert (code, err) == (0, "")
    assert {path.name for path in Path("demo").iterdir()} == {RUN, "report.html", *(film.name for film in films)}
    page = Path("demo/report.html").read_text()
    assert all(film.demo_phrase in page for film in films)
    assert "demo/report.html" in out
    assert "Not for diagnosis" in out
    record = json.loads(Path("demo/right-lower-opacity/explanation.json").read_text())
    assert record["provenance"]["image"]["view"] == "PA"
    assert "2 radiographs, explained" in page
    assert "the model hf:clip" in page
    assert "bundled model" not in page
