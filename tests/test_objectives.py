"""Scores of several phrases: a contrast is the difference of two maps where methods are linear, a class its formula."""

import csv
import json
import math

import numpy as np
import pytest
import torch

import matex
from matex import phrase_cache
from matex.attribution import make
from matex.cli.app import run
from matex.objectives import ClassScore, Contrast, choose_class, read_classes, read_objective
from matex.samples import samples

FILM = samples()[0]
PHRASE = "opacity in the left lower lung"
OTHER = "opacity in the right lower lung"
LINEAR = {
    "gradient": {},
    "integrated-gradients": {"steps": 3},
    "gradient-shap": {"samples": 3},
    "occlusion": {},
    "kernel-shap": {"samples": 40},
    "rise": {"masks": 30, "cells": 3},
    "maskclip": {},
    "clip-surgery": {"redundant": (97, 4, 98)},
    "embedding-space": {"per_dimension": "absolute"},
}
CLASSES = {"a": ("p", "q"), "b": ("r",), "c": ("s", "t", "u")}


def maps(model, pixels, ids, name, parameters, objective=None, further=None):
    traces = matex.record(model, pixels, ids, objective=objective, further=further)
    return make(name, parameters)(traces.image)


@pytest.mark.parametrize("name", LINEAR)
def test_a_contrast_is_the_difference_of_two_maps_for_methods_that_are_linear_in_the_target(
    model, pixels, token_ids, name
):
    images, phrases, others = pixels[:2], token_ids[:2], token_ids[2:]
    found = maps(model, images, phrases, name, LINEAR[name], Contrast("other"), others)
    first = maps(model, images, phrases, name, LINEAR[name])
    second = maps(model, images, others.expand(2, -1), name, LINEAR[name])
    torch.testing.assert_close(found, first - second, rtol=0, atol=1e-8)
    assert not torch.allclose(found, first, atol=1e-4)


def test_the_score_of_a_contrast_is_a_difference_and_the_words_are_those_of_the_phrase(model, pixels, token_ids):
    plain = matex.record(model, pixels[:2], token_ids[:2])
    other = matex.record(model, pixels[:2], token_ids[2:].expand(2, -1))
    traces = matex.record(model, pixels[:2], token_ids[:2], objective=Contrast("other"), further=token_ids[2:])
    difference = plain.image.score - other.image.score
    torch.testing.assert_close(traces.image.score, difference, rtol=0, atol=1e-10)
    torch.testing.assert_close(traces.text.score, difference, rtol=0, atol=1e-10)
    torch.testing.assert_close(traces.image.target_weight, torch.zeros(2, dtype=torch.float64))
    words = make("grad-eclip", {})
    torch.testing.assert_close(words(traces.text), words(plain.text), rtol=0, atol=1e-10, equal_nan=True)
    shown = make("occlusion", {})
    torch.testing.assert_close(shown(traces.text), shown(plain.text), rtol=0, atol=1e-10, equal_nan=True)


def slow_score(scores, of, pool, scale):
    """The formula with loops; scores of p, q, r, s, t, u in this order, class a explained."""
    number = dict(zip("pqrstu", scores, strict=True))
    logits = []
    for prompts in CLASSES.values():
        values = [number[prompt] for prompt in prompts]
        logits.append(scale * (sum(values) / len(values) if pool == "mean" else max(values)))
    if of == "logit":
        return logits[0]
    if of == "log-softmax":
        return logits[0] - math.log(sum(math.exp(logit) for logit in logits))
    return logits[0] - max(logits[1:])


@pytest.mark.parametrize("of", ["logit", "log-softmax", "margin"])
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_the_score_of_a_class_agrees_with_its_formula(of, pool):
    objective = ClassScore(CLASSES, "a", "q", of, pool, 7.0)
    assert objective.further == ("p", "r", "s", "t", "u")
    scores = torch.randn(4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 0.2
    explained_first = scores[:, [1, 0, 2, 3, 4, 5]]
    for row, value in zip(scores.tolist(), objective(explained_first).tolist(), strict=True):
        assert value == pytest.approx(slow_score(row, of, pool, 7.0), abs=1e-12)
    assert objective.linear == (of == "logit" and pool == "mean")


@pytest.mark.parametrize("of", ["logit", "log-softmax", "margin"])
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_gradients_and_scores_of_a_class_agree_with_finite_differences(model, pixels, token_ids, of, pool):
    objective = ClassScore({"a": ("p",), "b": ("r", "s")}, "a", "p", of, pool, 3.0)
    image, own, further = pixels[:1], token_ids[:1], token_ids[1:]
    trace = matex.record(model, image, own, objective=objective, further=further).image
    gradient = trace.gradient_entry()
    step = torch.randn(image.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    scale = 1e-5
    up, down = trace.scores(torch.cat([image + scale * step, image - scale * step]), 0)[:, 0]
    assert float((up - down) / (2 * scale)) == pytest.approx(float((gradient * step).sum()), abs=1e-6)
    assert float(trace.scores(image, 0)) == pytest.approx(float(trace.score), abs=1e-12)


def test_a_black_box_is_explained_by_differences_of_its_scores():
    def calls(images, texts):
        return [[float(one[:, :16].mean() if "left" in text else one.mean()) for text in texts] for one in images]

    model = matex.from_score(calls, size=32, patch=8)
    film = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    found = matex.explain(model, film, "left", "occlusion", against="all of it")
    left, whole = (matex.explain(model, film, text, "occlusion") for text in ("left", "all of it"))
    assert found.score == pytest.approx(left.score - whole.score)
    np.testing.assert_allclose(found.image.grid, left.image.grid - whole.image.grid, atol=1e-4)
    chosen = matex.explain(model, film, None, "occlusion", labels=["left", "all of it"])
    assert chosen.text == max((left, whole), key=lambda one: one.score).text


def test_batches_and_comparisons_contrast_too(tiny):
    alone = matex.explain(tiny, FILM.path, PHRASE, "grad-eclip", against=OTHER)
    batch = matex.explain_batch(tiny, [(FILM.path, PHRASE), (FILM.path, "nodule")], "grad-eclip", against=OTHER)
    compared = matex.compare(tiny, FILM.path, PHRASE, ["grad-eclip", "rollout"], against=OTHER)
    for one in (batch[0], compared["grad-eclip"]):
        assert one.score == pytest.approx(alone.score, abs=1e-6)
        np.testing.assert_allclose(one.image.grid, alone.image.grid, atol=1e-5)
    assert any("does not depend on phrases" in note for note in compared["rollout"].notes)
    with pytest.raises(matex.InputError, match="differ from the phrase"):
        matex.explain_batch(tiny, [(FILM.path, "nodule"), (FILM.path, OTHER)], "grad-eclip", against=OTHER)


def test_the_predicted_class_is_the_one_with_the_highest_logit(tiny):
    labels = {"sided": [PHRASE, OTHER], "clear": ["clear lungs", "no opacity"], "air": ["pneumothorax"]}
    scores = {text: matex.explain(tiny, FILM.path, text, "rollout").score for some in labels.values() for text in some}
    best = max(labels, key=lambda name: sum(scores[text] for text in labels[name]) / len(labels[name]))
    found = matex.explain(tiny, FILM.path, labels=labels, method="gradient")
    assert found.query.objective.explained == best
    assert found.query.objective.predicted
    assert found.text == max(labels[best], key=scores.__getitem__)
    mean = sum(scores[text] for text in labels[best]) / len(labels[best])
    assert found.score == pytest.approx(tiny.logit_scale * mean, abs=1e-4)
    named = matex.explain(tiny, FILM.path, "pneumothorax", "gradient", labels=labels, of="margin")
    assert named.query.objective.explained == "air"
    further = matex.explain(tiny, FILM.path, "mass", "gradient", labels=["effusion", "no finding"])
    assert list(further.query.objective.classes) == ["mass", "effusion", "no finding"]


def test_a_set_of_prompts_is_named(tiny):
    found = matex.explain(tiny, FILM.path, "pneumonia", "maskclip", labels="chest14", of="log-softmax", pool="max")
    assert len(found.query.objective.classes) == 14
    assert found.text in found.query.objective.classes["pneumonia"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"against": PHRASE}, "differ from the phrase"),
        ({"against": 5}, "text of another phrase"),
        ({"against": OTHER, "labels": ["a", "b"]}, "one of them"),
        ({"labels": []}, "at least two classes"),
        ({"labels": ["a", "a"]}, "twice"),
        ({"labels": {"a": ["x"], "b": ["x"]}}, "twice"),
        ({"labels": ["a", ""]}, "as text with at least one"),
        ({"labels": 5}, "list of phrases"),
        ({"labels": "chest"}, "chest14"),
        ({"labels": ["a", "b"], "of": "softmax"}, "of to be one of"),
        ({"against": OTHER, "method": "ca-m2ib"}, "single phrase"),
        ({"against": OTHER, "method": "clip-surgery", "rivals": ("a",)}, "got both"),
        ({"against": OTHER, "method": "embedding-space", "prompts": ("a",)}, "got both"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(tiny, request_, said):
    with pytest.raises(ValueError, match=said):
        matex.explain(tiny, FILM.path, PHRASE, **request_)


def test_neither_a_phrase_nor_labels_is_refused(tiny):
    with pytest.raises(matex.InputError, match="got neither"):
        matex.explain(tiny, FILM.path)
    with pytest.raises(matex.InputError, match="the score of one phrase"):
        matex.explain(tiny, FILM.path, PHRASE, against=OTHER).audit(tiny)


def test_classes_are_read_from_lists_and_mappings():
    assert read_classes(["a b", "c"]) == {"a b": ("a b",), "c": ("c",)}
    assert read_classes({"x": "one", "y": ["two", "three"]}) == {"x": ("one",), "y": ("two", "three")}
    assert choose_class({"x": ("one",), "y": ("two",)}, "two")[1] == "y"


RECORDED = {
    "labels": {"a": ["x"], "b": ["y"]},
    "class": "a",
    "text": "x",
    "of": "logit",
    "pool": "mean",
    "scale": 2.0,
    "predicted": False,
}


def test_a_recorded_class_is_read():
    assert read_objective(RECORDED).record() == RECORDED


@pytest.mark.parametrize(
    "damaged",
    [
        *(5, {"against": 5}, {"against": " "}, {"labels": {"a": ["x"]}}, {"labels": {"a": ["x"]}, "of": "z"}),
        *({**RECORDED, "text": "z"}, {**RECORDED, "text": "y"}, {**RECORDED, "class": "c"}, {**RECORDED, "of": 3}),
        *({**RECORDED, "labels": {"a": ["x"]}}, {**RECORDED, "labels": {"a": ["x"], "b": []}}),
        *({**RECORDED, "scale": float("nan")}, {**RECORDED, "scale": "2"}, {**RECORDED, "scale": 0}),
        {**RECORDED, "predicted": "no"},
    ],
)
def test_a_damaged_record_of_a_score_is_refused(damaged):
    with pytest.raises(matex.InputError, match="recorded score"):
        read_objective(damaged)


@pytest.mark.parametrize(
    "options",
    [
        ["--against", OTHER],
        ["--labels", "chest14:pneumonia", "--of", "margin"],
        ["--labels", "labels.json", "--pool", "max", "--of", "log-softmax"],
        ["--labels", "labels.txt"],
    ],
)
def test_the_command_writes_them_down_loads_and_verifies(tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps({"low": [PHRASE, OTHER], "air": "pneumothorax"}))
    (tmp_path / "labels.txt").write_text(f"{PHRASE}\npneumothorax\n")
    phrase = [PHRASE] if options[0] == "--against" else []
    assert run(["explain", str(FILM.path), *phrase, "-m", "grad-eclip", "-o", "out", *options]) == 0
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    printed = capsys.readouterr().out
    assert record["score_kind"] in printed
    loaded = matex.Explanation.load("out")
    assert loaded.query.objective.record() == record["provenance"]["objective"]
    assert loaded.score_kind in (tmp_path / "out" / "report.html").read_text()
    assert run(["verify", "out"]) == 0
    record["provenance"]["objective"] = {"against": "clear lungs"}
    (tmp_path / "out" / "explanation.json").write_text(json.dumps(record))
    assert run(["verify", "out"]) == 2


def test_tables_contrast_every_row_and_do_not_keep_rows_of_another_score(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text(f"image,text\n{FILM.path},{PHRASE}\n")
    command = ["explain", "pairs.csv", "-m", "rollout", "-o", "rows"]
    assert run(command) == 0
    assert run([*command, "--against", OTHER]) == 0
    assert "1 explained, 0 kept" in capsys.readouterr().out
    assert run([*command, "--against", OTHER]) == 0
    assert "0 explained, 1 kept" in capsys.readouterr().out
    assert run(["compare", str(FILM.path), "-m", "rollout", "--labels", "chest14", "-o", "compared"]) == 0
    assert run(["compare", str(FILM.path), "-m", "rollout"]) == 2


CHOICES = {"low": (PHRASE, OTHER), "air": ("pneumothorax",)}


@pytest.mark.parametrize("of", ["logit", "log-softmax"])
def test_classes_of_a_batch_are_those_of_its_films_one_by_one(tiny, of):
    normal = samples()[1].path
    pairs = [(FILM.path, "air"), (normal, None), (FILM.path, None), (FILM.path, "low"), (normal, "nodule")]
    together = matex.explain_batch(tiny, pairs, "gradient", labels=CHOICES, of=of)
    for found, (image, text) in zip(together, pairs, strict=True):
        alone = matex.explain(tiny, image, text, "gradient", labels=CHOICES, of=of)
        assert found.query.objective == alone.query.objective
        assert found.text == alone.text
        assert found.score == pytest.approx(alone.score, abs=1e-4)
        np.testing.assert_allclose(found.image.values, alone.image.values, atol=1e-3)
    assert together[2].query.objective.predicted
    assert not together[3].query.objective.predicted


def test_an_empty_text_is_no_class(tiny):
    with pytest.raises(matex.InputError, match="empty text"):
        matex.explain(tiny, FILM.path, " ", "rollout", labels=CHOICES)
    with pytest.raises(matex.InputError, match="empty text"):
        matex.explain_batch(tiny, [(FILM.path, "")], "rollout", labels=CHOICES)
    assert run(["explain", str(FILM.path), "", "--labels", "chest14"]) == 2
    with pytest.raises(matex.InputError, match="got neither"):
        matex.explain_batch(tiny, [(FILM.path, None)], "rollout")


def test_tables_explain_classes_and_keep_rows_of_the_same_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text(f"image,text\n{FILM.path},air\n{FILM.path},\n{FILM.path},nodule\n")
    (tmp_path / "labels.json").write_text(json.dumps(CHOICES))
    command = ["explain", "pairs.csv", "-m", "rollout", "-o", "rows", "--labels", "labels.json"]
    assert run(command) == 0
    assert "3 explained, 0 kept" in (printed := capsys.readouterr().out)
    with (tmp_path / "rows" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["air", rows[1]["label"], "nodule"]
    assert rows[1]["label"] in CHOICES
    assert f"predicted: {rows[1]['label']}" in printed
    records = [json.loads((tmp_path / "rows" / row["folder"] / "explanation.json").read_text()) for row in rows]
    assert [record["provenance"]["objective"]["predicted"] for record in records] == [False, True, False]
    assert run(command) == 0
    assert "0 explained, 3 kept" in capsys.readouterr().out
    assert run([*command, "--of", "margin"]) == 0
    assert "3 explained, 0 kept" in capsys.readouterr().out
    (tmp_path / "films.csv").write_text(f"image\n{FILM.path}\n")
    assert run(["explain", "films.csv", "-m", "rollout", "-o", "predicted", "--labels", "labels.json"]) == 0
    assert run(["explain", "films.csv", "-m", "rollout", "-o", "predicted"]) == 2


def test_classes_and_dicom_objects_exclude_each_other_whatever_the_film(tmp_path, capsys):
    options = ["--labels", "chest14", "--dicom-out", str(tmp_path / "dicom"), "-o", str(tmp_path / "out")]
    assert run(["explain", str(FILM.path), *options]) == 2
    assert "--against or --labels" in capsys.readouterr().err


def test_prompts_are_encoded_once_for_all_films_of_a_model(tiny, monkeypatch):
    seen = []
    encode = phrase_cache.encode
    monkeypatch.setattr(phrase_cache, "encode", lambda tower, ids: seen.append(len(ids)) or encode(tower, ids))
    phrase_cache._CACHE.pop(tiny, None)
    matex.explain_batch(tiny, [(FILM.path, None), (samples()[1].path, None)], "rollout", labels=CHOICES)
    assert sum(seen) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": ["nodule"], "a": ["mass"], "b": ["clear lungs"]}', "got 'a' twice. Leave one out."),
        ('{"a": ["nodule"], "b": ["nodule"]}', "got 'nodule' twice. Leave one out."),
    ],
)
def test_a_label_given_twice_in_a_file_is_refused(content, message, tmp_path, capsys):
    labels = tmp_path / "labels.json"
    labels.write_text(content)
    assert run(["explain", str(FILM.path), "--labels", str(labels), "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_phrases_given_twice_are_named():
    with pytest.raises(ValueError, match="got 'nodule' twice"):
        read_classes(["nodule", "mass", "nodule"])


@pytest.mark.parametrize("setting", [{"of": "margin"}, {"pool": "max"}])
def test_settings_of_classes_without_classes_are_refused(tiny, setting, tmp_path, capsys):
    with pytest.raises(matex.InputError, match="of and pool with labels"):
        matex.explain(tiny, FILM.path, PHRASE, "gradient", **setting)
    ((key, value),) = setting.items()
    for text in ([PHRASE], ["--report", "report.txt"]):
        assert run(["explain", str(FILM.path), *text, f"--{key}", value, "-o", str(tmp_path / "out")]) == 2
        assert "--of and --pool with --labels" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["labels.json", "labels.txt"])
def test_a_missing_file_of_labels_is_not_taken_for_a_prompt_set(name, tmp_path, capsys):
    assert run(["explain", str(FILM.path), "--labels", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 2
    assert "Expected a file of labels" in capsys.readouterr().err
