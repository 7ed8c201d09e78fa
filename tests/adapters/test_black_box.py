"""A model of which only scores are known: closed forms, the bundled model behind a function, refusals."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import matex
from matex.attribution import METHODS
from matex.datasets.sample import Sample
from matex.metrics.metric import METRICS, Case
from matex.samples import samples

FILM = samples()[0]
PHRASE = "opacity in the left lower lung"


def corner(images, texts):
    """The mean grey of the bottom right quarter, plus a tenth for each "left" in the text."""
    grey = [image[16:, 16:].mean() / 255 for image in images]
    return [[value + 0.1 * text.split().count("left") for text in texts] for value in grey]


@pytest.fixture
def model():
    return matex.from_score(corner, size=32, patch=8)


@pytest.mark.parametrize("method", ["occlusion", "kernel-shap", "rise"])
def test_maps_and_words_show_what_the_function_reads(model, method):
    settings = {"masks": 600, "cells": 4} if method == "rise" else {}
    explanation = matex.explain(model, FILM.path, PHRASE, method=method, **settings)
    grid = explanation.image.grid
    quarter = np.zeros(grid.shape, dtype=bool)
    quarter[grid.shape[0] // 2 :, grid.shape[1] // 2 :] = True
    if method == "rise":
        assert abs(grid[quarter].mean()) > 3 * abs(grid[~quarter].mean())
    else:
        np.testing.assert_allclose(grid[~quarter], 0, atol=1e-6)
        assert np.abs(grid[quarter]).min() > 0
    words = dict(explanation.words)
    # RISE subtracts the mean score, a half of it where the word stays in half of the subsets.
    assert words.pop("left") == pytest.approx(0.05 if method == "rise" else 0.1, abs=1e-6)
    np.testing.assert_allclose(list(words.values()), 0, atol=1e-2 if method == "rise" else 1e-6)
    pixels, _ = model.prepare(explanation.film)
    picture = ((pixels[0].permute(1, 2, 0).numpy() + 0.5) * 255).round().astype(np.uint8)
    assert explanation.score == pytest.approx(corner([picture], [PHRASE])[0][0])


def test_every_other_method_refuses_and_names_those_that_serve(model):
    comparison = matex.compare(model, FILM.path, PHRASE, list(METHODS), skip_unsupported=True)
    assert set(comparison) == {"kernel-shap", "occlusion", "rise"}
    assert set(comparison.left_out) == set(METHODS) - set(comparison)
    assert all("only its scores are known" in reason for reason in comparison.left_out.values())
    with pytest.raises(matex.UnsupportedModel, match=r"There are kernel-shap, occlusion, rise\."):
        matex.explain(model, FILM.path, PHRASE, method="matex")


@pytest.fixture(scope="module")
def wrapped(tiny):
    """The bundled model behind a function of 8-bit pictures and texts."""
    preprocessing = tiny.preprocessing

    def function(images, texts):
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() * preprocessing.scale
        mean, std = (torch.tensor(part)[:, None, None] for part in (preprocessing.mean, preprocessing.std))
        ids = tiny.batch([tiny.encode(text or "nothing") for text in texts])
        return matex.score(tiny, (pixels - mean) / std, ids).numpy()

    model = matex.from_score(
        function, size=preprocessing.size, patch=tiny.patch[0], fill=preprocessing.mean[0], name="wrapped"
    )
    return dataclasses.replace(
        model, preprocessing=dataclasses.replace(model.preprocessing, resampling=preprocessing.resampling)
    )


def test_behind_a_function_the_bundled_model_gives_its_own_maps(tiny, wrapped):
    own = matex.explain(tiny, FILM.path, PHRASE, method="occlusion", window=16)
    seen = matex.explain(wrapped, FILM.path, PHRASE, method="occlusion", window=16)
    assert seen.score == pytest.approx(own.score, abs=2e-3)
    assert np.corrcoef(own.image.grid.ravel(), seen.image.grid.ravel())[0, 1] > 0.99
    assert max(dict(own.words), key=dict(own.words).get) == max(dict(seen.words), key=dict(seen.words).get)


def test_the_audit_questions_a_black_box_and_leaves_its_weights_out(wrapped):
    audited = matex.audit(wrapped, FILM.path, PHRASE, "occlusion", window=16, regions=10)
    assert audited.checks["random_weights"].state == "skipped"
    assert "not known" in audited.checks["random_weights"].answer
    assert audited.checks["deletion"].state in ("pass", "warn", "fail")
    assert audited.checks["unrelated_phrase"].state in ("pass", "warn", "fail")


@pytest.mark.parametrize(
    ("metric", "column"),
    [
        ("deletion-insertion", None),
        ("confidence-image", None),
        ("confidence-text", None),
        ("road", "road"),
        ("infidelity", None),
    ],
)
def test_metrics_that_hide_and_show_measure_a_black_box(tiny, wrapped, metric, column):
    pytest.importorskip("captum" if metric == "infidelity" else "numpy")
    settings = {"window": 16}
    rows = []
    for model in (tiny, wrapped):
        explanation = matex.explain(tiny, FILM.path, PHRASE, method="occlusion", **settings)
        if model is wrapped:
            held = matex.explain(wrapped, FILM.path, PHRASE, method="occlusion", **settings)
            explanation = dataclasses.replace(explanation, token_ids=held.token_ids, tokens=held.tokens)
        case = Case(model, Sample(id="film", image=FILM.path, text=PHRASE), explanation, {})
        rows.append(METRICS[metric]()([case]))
    name = column or next(iter(rows[0]))
    assert np.isfinite(rows[1][name]).all()
    assert rows[1][name] == pytest.approx(rows[0][name], abs=0.05, rel=0.1)


def test_a_saved_explanation_says_that_the_weights_are_not_known(model, tmp_path):
    matex.explain(model, FILM.path, PHRASE, method="occlusion").save(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert record["provenance"]["model"]["weights_sha256"] is None
    assert record["provenance"]["model"]["name"] == "black box"


def test_scores_of_another_shape_and_wrong_arguments_are_refused():
    def undefined(images, texts):
        return np.full((len(images), len(texts)), np.nan)

    for function, match in ((lambda images, texts: [1.0], r"shape \(\d+, 1\)"), (undefined, "finite")):
        bad = matex.from_score(function, size=32)
        with pytest.raises(matex.InputError, match=match):
            matex.explain(bad, FILM.path, PHRASE, method="occlusion")
    for options in ({"size": 4}, {"patch": 0}, {"fill": 2}, {"name": ""}):
        with pytest.raises(matex.InputError):
            matex.from_score(corner, **options)
    with pytest.raises(matex.InputError, match="function of images and texts"):
        matex.from_score("tiny")
