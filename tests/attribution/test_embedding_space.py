"""Embedding-space XAI: the loop over coordinates is the twin of the one product that replaces it."""

import dataclasses
import json

import pytest
import torch

import matex
from matex.attribution import make
from matex.cli import run
from matex.cli.parameters import parse_parameters
from matex.samples import samples
from tests.attribution.pairs import Numbers
from tests.attribution.subjects import Subject, exact
from tests.reference import clip, embedding_space

OPERATORS = ["gradient", "integrated-gradients", "gradient-shap", "occlusion"]
MAPS = {
    "rise": {"masks": 20, "cells": 3},
    "kernel-shap": {"samples": 60},
    "gradcam": {"at": "input"},
    "attn-lrp": {},
}


@pytest.fixture
def subject(module, pixels, token_ids):
    return Subject(module, pixels[0], token_ids[0])


@pytest.mark.parametrize("per_dimension", ["signed", "absolute"])
@pytest.mark.parametrize("embed", ["normalized", "raw"])
def test_gradients_agree_with_the_loop_over_coordinates(model, subject, per_dimension, embed):
    settings = {"method": "embedding-space", "per_dimension": per_dimension, "embed": embed}
    how = (per_dimension == "absolute", embed == "raw")
    found = matex.attribute(model, *subject.inputs, **settings)
    exact(found, embedding_space.image_gradients(subject.module, subject.pixels, subject.text, *how))
    found = matex.attribute(model, *subject.inputs, tower="text", **settings)
    exact(found, embedding_space.text_gradients(subject.module, subject.ids, subject.image, *how))


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("per_dimension", ["signed", "absolute"])
def test_every_operator_equals_its_own_sum_over_coordinates(model, subject, operator, tower, per_dimension):
    method = make("embedding-space", {"operator": operator, "per_dimension": per_dimension})
    trace = getattr(matex.record(model, *subject.inputs), tower)
    total = 0
    for i in range(20):
        targets = torch.zeros(1, 1, 20, dtype=torch.float64)
        targets[..., i] = 1
        elements = make(operator, {}).elements(trace, targets)
        elements = elements.abs() if per_dimension == "absolute" else elements
        channels = {"image": -3, "text": -1}[tower]
        total = total + trace.target[0, i] * (elements if operator == "occlusion" else elements.sum(channels))[0, 0]
    exact(method(trace)[0], total)
    plain = matex.attribute(model, *subject.inputs, method=operator, tower=tower)
    if per_dimension == "signed":
        exact(method(trace)[0], plain)
    else:
        assert not torch.allclose(method(trace)[0], plain, atol=1e-4)


@pytest.mark.parametrize("operator", MAPS)
@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("per_dimension", ["signed", "absolute"])
def test_methods_with_finished_maps_are_operators_too(model, subject, operator, tower, per_dimension):
    """The map of each coordinate by itself, one after the other, with the operator's own settings."""
    given = tuple(f"{name}={value}" for name, value in MAPS[operator].items())
    settings = {"operator": operator, "operator_parameters": given, "per_dimension": per_dimension}
    trace = getattr(matex.record(model, *subject.inputs), tower)
    total = 0
    for i in range(20):
        one = torch.zeros(1, 20, dtype=torch.float64)
        one[:, i] = 1
        map_of_one = make(operator, MAPS[operator])(trace.retargeted(torch.tensor([0]), one))[0]
        total = total + trace.target[0, i] * (map_of_one.abs() if per_dimension == "absolute" else map_of_one)
    exact(make("embedding-space", settings)(trace)[0].nan_to_num(), total.nan_to_num())
    if per_dimension == "signed" and operator != "gradcam":
        exact(total.nan_to_num(), make(operator, MAPS[operator])(trace)[0].nan_to_num())


def test_an_operator_has_its_own_parameters(model, subject):
    def of(operator, *given):
        settings = {"operator": operator, "operator_parameters": given}
        return matex.attribute(model, *subject.inputs, method="embedding-space", **settings)

    plain = matex.attribute(model, *subject.inputs, method="integrated-gradients", baseline="blur", steps=3)
    exact(of("integrated-gradients", "baseline=blur", "steps=3"), plain)
    exact(
        of("occlusion", "window=14", "stride=7"),
        matex.attribute(model, *subject.inputs, method="occlusion", window=14, stride=7),
    )
    for operator, given, message in (
        ("occlusion", "window", "such as 'baseline=white'"),
        ("occlusion", "windows=7", "windows"),
        ("occlusion", "window=wide", "window to be"),
    ):
        with pytest.raises(ValueError, match=message):
            of(operator, given)
    with pytest.raises(ValueError, match="'normalized' with the operator rise"):
        make("embedding-space", {"operator": "rise", "embed": "raw"})


def test_many_phrases_share_the_maps_of_an_image(model, pixels, token_ids, monkeypatch):
    method = make("embedding-space", {"per_dimension": "absolute"})
    trace = matex.record(model, pixels[:1], token_ids, pairs=[(0, 0), (0, 1), (0, 2)]).image
    together = method(trace)
    for i in range(3):
        exact(
            together[i],
            matex.attribute(model, pixels[:1], token_ids[i : i + 1], "embedding-space", per_dimension="absolute"),
        )
    again = matex.record(model, pixels[:1], token_ids, pairs=[(0, 0), (0, 1), (0, 2)]).image
    runs, start = [], type(model.image).start
    monkeypatch.setattr(type(model.image), "start", lambda self, x, ids: runs.append(len(x)) or start(self, x, ids))
    method(again)
    assert runs == [1]


@pytest.mark.parametrize("method", ["embedding-space", "gradient", "saliency"])
def test_one_phrase_costs_one_forward_and_one_backward_with_its_trace(model, subject, monkeypatch, method):
    forwards, backwards = [], []
    start, grad = type(model.image).start, torch.autograd.grad
    monkeypatch.setattr(type(model.image), "start", lambda self, x, ids: forwards.append(len(x)) or start(self, x, ids))
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: backwards.append(1) or grad(*a, **k))
    matex.attribute(model, *subject.inputs, method=method)
    assert (forwards, backwards) == ([1], [1])


PROMPTS = ("4 11", "62", "30 7 7")


@pytest.fixture
def reader(model):
    """The small model with a tokenizer."""
    return dataclasses.replace(model, tokenizer=Numbers())


@pytest.mark.parametrize("per_dimension", ["signed", "absolute"])
@pytest.mark.parametrize("embed", ["normalized", "raw"])
def test_a_set_of_prompts_gives_the_average_of_their_maps(module, reader, subject, per_dimension, embed):
    settings = {"method": "embedding-space", "per_dimension": per_dimension, "embed": embed, "prompts": PROMPTS}
    targets = [subject.text, *(clip.text(module, Numbers()(text)["input_ids"]).embedding for text in PROMPTS)]
    expected = embedding_space.image_gradients_of_a_set(
        module, subject.pixels, [target.detach() for target in targets], per_dimension == "absolute", embed == "raw"
    )
    exact(matex.attribute(reader, *subject.inputs, **settings), expected)
    plain = {name: value for name, value in settings.items() if name != "prompts"}
    words = matex.attribute(reader, *subject.inputs, tower="text", **settings)
    exact(words, matex.attribute(reader, *subject.inputs, tower="text", **plain))


def test_the_score_of_a_set_is_reported(module, reader, subject):
    traces = matex.record(reader, *subject.inputs)
    method = make("embedding-space", {"prompts": PROMPTS})
    texts = [subject.text, *(clip.text(module, Numbers()(text)["input_ids"]).embedding for text in PROMPTS)]
    mean = sum(float(clip.cosine(subject.image, text.detach())) for text in texts) / 4
    assert method.report(traces.image) == [{"mean_score": pytest.approx(mean, abs=1e-12)}]
    assert method.report(traces.text) == make("embedding-space", {}).report(traces.image) == [{}]


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("per_dimension", ["signed", "absolute"])
@pytest.mark.parametrize("operator", ["gradient", "occlusion"])
def test_kept_maps_give_the_same_and_serve_every_further_set(
    reader, pixels, token_ids, monkeypatch, operator, tower, per_dimension
):
    settings = {"operator": operator, "per_dimension": per_dimension}
    pairs = [(0, 0), (1, 2), (0, 1)]
    trace = getattr(matex.record(reader, pixels, token_ids, pairs), tower)
    sets = [(), PROMPTS, PROMPTS[:1]]
    expected = [make("embedding-space", {**settings, "prompts": prompts})(trace) for prompts in sets]
    kept = [make("embedding-space", {**settings, "prompts": prompts, "keep_maps": True}) for prompts in sets]
    exact(kept[0](trace).nan_to_num(), expected[0].nan_to_num())
    runs, start = [], type(trace.tower).start
    monkeypatch.setattr(type(trace.tower), "start", lambda self, x, ids: runs.append(len(x)) or start(self, x, ids))
    for method, map in zip(kept[1:], expected[1:], strict=True):
        exact(method(trace).nan_to_num(), map.nan_to_num())
    assert runs == []
    assert kept[0].coordinates(trace).shape[:2] == (20, len(trace.inputs))


def test_prompts_are_given_on_the_command_line_with_semicolons(tmp_path, capsys):
    given = ["prompts=opacity, left base; a film with consolidation (left)", "per_dimension=signed"]
    prompts = ("opacity, left base", "a film with consolidation (left)")
    assert parse_parameters("embedding-space", given) == {"prompts": prompts, "per_dimension": "signed"}
    film, out = str(samples()[0].path), str(tmp_path / "out")
    parameters = [part for item in given for part in ("-p", item)]
    assert run(["explain", film, "opacity", "-m", "embedding-space", *parameters, "-o", out, "--model", "tiny"]) == 0
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert record["parameters"]["prompts"] == list(prompts)
    assert record["provenance"]["report"]["image"]["mean_score"] != record["score"]
    assert run(["verify", out, "--image", film]) == 0
    assert "same" in capsys.readouterr().out


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="Expected operator to be one of gradient, integrated-gradients"):
        make("embedding-space", {"operator": "chefer"})
    with pytest.raises(ValueError, match="Expected prompts to be a tuple of texts, got 'opacity'"):
        make("embedding-space", {"prompts": "opacity"})
