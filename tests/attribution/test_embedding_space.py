"""Embedding-space XAI: the loop over coordinates is the twin of the one product that replaces it."""

import pytest
import torch

import matex
from matex.attribution import make
from matex.attribution.scoring import questions
from tests.attribution.subjects import Subject, exact
from tests.reference import embedding_space

OPERATORS = ["gradient", "integrated-gradients", "gradient-shap", "occlusion"]


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
        asked = torch.zeros(1, 1, 20, dtype=torch.float64)
        asked[..., i] = 1
        elements = make(operator, {}).elements(trace, asked)
        elements = elements.abs() if per_dimension == "absolute" else elements
        channels = {"image": -3, "text": -1}[tower]
        total = total + trace.target[0, i] * (elements if operator == "occlusion" else elements.sum(channels))[0, 0]
    exact(method(trace)[0], total)
    plain = matex.attribute(model, *subject.inputs, method=operator, tower=tower)
    if per_dimension == "signed":
        exact(method(trace)[0], plain)
    else:
        assert not torch.allclose(method(trace)[0], plain, atol=1e-4)


def test_many_phrases_share_the_maps_of_an_image(model, pixels, token_ids, monkeypatch):
    method = make("embedding-space", {"per_dimension": "absolute"})
    trace = matex.record(model, pixels[:1], token_ids, pairs=[(0, 0), (0, 1), (0, 2)]).image
    together = method(trace)
    for i in range(3):
        exact(
            together[i],
            matex.attribute(model, pixels[:1], token_ids[i : i + 1], "embedding-space", per_dimension="absolute"),
        )
    runs = []
    embed = type(model.image).embed
    monkeypatch.setattr(type(model.image), "embed", lambda self, x: runs.append(len(x)) or embed(self, x))
    method(trace)
    assert runs == [1]


def test_one_phrase_costs_one_forward_and_one_backward(model, subject, monkeypatch):
    trace = matex.record(model, *subject.inputs).image
    assert len(questions(trace)[0]) == 1
    forwards, backwards = [], []
    embed, grad = type(model.image).embed, torch.autograd.grad
    monkeypatch.setattr(type(model.image), "embed", lambda self, x: forwards.append(len(x)) or embed(self, x))
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: backwards.append(1) or grad(*a, **k))
    make("embedding-space", {})(trace)
    assert (forwards, backwards) == ([1], [1])


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="Expected operator to be one of gradient, integrated-gradients"):
        make("embedding-space", {"operator": "rise"})
