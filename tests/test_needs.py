"""What methods need and towers lack: refusals in one line, which name what does work."""

import dataclasses
import re

import numpy as np
import pytest

import matex
from matex.adapters.clip import adapt
from matex.attribution import METHODS, NEEDS
from matex.samples import samples
from tests.conftest import small_clip

REASON = "this tower has none"


def without(model, *lacking, side="image"):
    """The model with a tower that says it lacks something."""
    tower = model.encoders[side]
    tower = dataclasses.replace(tower, missing={**tower.missing, **dict.fromkeys(lacking, REASON)})
    return dataclasses.replace(model, encoders={**model.encoders, side: tower})


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_declares_what_it_needs_and_where_it_comes_from(name):
    kind = METHODS[name]
    assert kind.needs
    assert set(kind.needs) <= set(NEEDS)
    assert kind.passes
    assert kind.source
    assert kind.equation
    seeded = "seed" in {field.name for field in dataclasses.fields(kind)}
    assert seeded == bool(getattr(kind, "draws", ""))
    for error in getattr(kind, "errors", ()):
        assert error.endswith(".")


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("need", [need for need in NEEDS if need not in ("relu", "black box")])
def test_a_tower_that_lacks_something_refuses_exactly_who_needs_it(model, pixels, token_ids, need, tower):
    lacking = without(model, need, side=tower)
    served = {name for name, kind in METHODS.items() if tower in kind.towers and not {need, "relu"} & set(kind.needs)}
    refused = {name for name, kind in METHODS.items() if tower in kind.towers and need in kind.needs}
    assert served
    for name in refused:
        with pytest.raises(matex.UnsupportedModel) as caught:
            matex.attribute(lacking, pixels[:1], token_ids[:1], name, tower=tower)
        told = str(caught.value)
        assert "\n" not in told
        assert NEEDS[need] in told or NEEDS["relu"] in told
        assert REASON in told or "quick_gelu" in told
        named = re.search(r"There are (.*)\.$", told)
        assert named
        assert set(named[1].split(", ")) == served
    for name in served & {"saliency", "gradcam", "rollout", "occlusion"}:
        assert matex.attribute(lacking, pixels[:1], token_ids[:1], name, tower=tower).isfinite().any()


def test_the_refusal_comes_before_any_work(model, pixels, token_ids, monkeypatch):
    monkeypatch.setattr("matex.raw_maps.record", None)
    with pytest.raises(matex.UnsupportedModel):
        matex.attribute(without(model, "gradient"), pixels, token_ids, "matex")


def test_guided_backprop_is_served_where_there_is_a_relu(pixels, token_ids):
    with_relu = adapt(small_clip(activation="relu"), "small", preprocessing=None, tokenizer=None)
    assert with_relu.image.missing == with_relu.text.missing == {}
    for tower in ("image", "text"):
        assert matex.attribute(with_relu, pixels[:1], token_ids[:1], "guided-backprop", tower=tower).any()


@pytest.mark.parametrize("name", ["legrad", "maskclip", "clip-surgery"])
def test_methods_of_the_image_alone_are_refused_on_the_text(model, pixels, token_ids, name):
    with pytest.raises(matex.InputError, match=r"it explains the image tower alone\. There are .*rollout") as caught:
        matex.attribute(model, pixels[:1], token_ids[:1], name, tower="text")
    assert "legrad" not in str(caught.value).partition("There are")[2]


def test_a_text_tower_that_cannot_serve_leaves_the_words_out_and_the_map_in(tiny):
    film = samples()[0]
    explanation = matex.explain(without(tiny, "attention", side="text"), film.path, film.demo_phrase, "grad-eclip")
    assert explanation.words == ()
    assert any(note == f"no word scores: it needs {NEEDS['attention']}, and {REASON}" for note in explanation.notes)
    whole = matex.explain(tiny, film.path, film.demo_phrase, "grad-eclip")
    assert len(whole.words) == 6
    np.testing.assert_allclose(explanation.image.grid, whole.image.grid, atol=1e-6)


def test_an_image_tower_that_cannot_serve_is_refused_or_skipped(tiny):
    film = samples()[0]
    lacking = without(tiny, "attention")
    with pytest.raises(matex.UnsupportedModel, match=REASON):
        matex.explain(lacking, film.path, film.demo_phrase)
    made = matex.compare(lacking, film.path, film.demo_phrase, ["rollout", "gradcam"], skip_unsupported=True)
    assert list(made) == ["gradcam"]


def test_words_for_a_model_without_a_tokenizer_are_refused_in_one_line(model, pixels, token_ids):
    with pytest.raises(matex.InputError, match="no tokenizer"):
        matex.explain(model, samples()[0].path, "opacity")
    with pytest.raises(matex.InputError, match=r"token ids.*no tokenizer"):
        matex.attribute(model, pixels[:1], token_ids[:1], "clip-surgery", redundant="clear lungs")
    assert matex.attribute(model, pixels[:1], token_ids[:1], "clip-surgery", redundant=(97, 4, 98)).any()
