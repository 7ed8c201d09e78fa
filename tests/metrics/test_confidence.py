"""Confidence drop and increase against the slow twin, closed forms, and what is undefined."""

import dataclasses

import numpy as np
import pytest
import torch

from matex.errors import InputError
from matex.metrics import make_metric
from matex.metrics.confidence import confidence
from tests.conftest import EOS
from tests.metrics.made import loop, make_case, same, small_model
from tests.reference import confidence as twin


@pytest.fixture(scope="module")
def model():
    return small_model()


def cases_of(model):
    texts = ["3 14 15 9", "26 5", "7 7 8 1 30", "12 40 41 42 43 44"]
    return [make_case(model, seed, text=text) for seed, text in enumerate(texts)]


@pytest.mark.parametrize("mode", ["keep", "remove"])
def test_image_equals_the_twin(model, mode):
    cases = cases_of(model)
    found = make_metric("confidence-image", {"mode": mode, "batch_size": 3})(cases)
    for i, case in enumerate(cases):
        expected = twin.image(
            model.module, case.pixels, list(case.token_ids), case.explanation.image.grid, mode == "remove"
        )
        assert [values[i] for values in found.values()] == pytest.approx(expected, abs=2e-4, nan_ok=True)  # float32 map
    assert np.ptp(found["mass"]) > 0.01


@pytest.mark.parametrize(
    ("removal", "filler"), [("delete", None), ("paper", 0), ("blank", 77)], ids=["delete", "paper", "blank"]
)
@pytest.mark.parametrize("fraction", [0.5, 0.7])
def test_text_equals_the_twin(model, removal, filler, fraction):
    cases = cases_of(model)
    blank = {"blank_id": filler} if removal == "blank" else {}
    found = make_metric("confidence-text", {"removal": removal, "fraction": fraction, "batch_size": 3, **blank})(cases)
    for i, case in enumerate(cases):
        expected = twin.text(model.module, case.pixels, list(case.token_ids), list(case.token_scores), fraction, filler)
        actual = [found[name][i] for name in ("drop", "drop_relative", "increase")]
        assert actual == pytest.approx(expected, abs=1e-8, nan_ok=True)


@pytest.mark.parametrize("eos", [EOS, 2], ids=["pools at the first token", "pools at the largest id"])
def test_text_reference_equals_the_script_on_transformers(eos):
    model = small_model(eos=eos)
    cases = cases_of(model)
    found = make_metric("confidence-text", {"removal": "reference", "batch_size": 3})(cases)
    for i, case in enumerate(cases):
        expected = twin.text_by_the_script(model.module, case.pixels, list(case.token_ids), list(case.token_scores))
        actual = [found[name][i] for name in ("drop", "drop_relative", "increase")]
        assert actual == pytest.approx(expected, abs=1e-8, nan_ok=True)


def test_the_script_measures_nothing_where_the_first_token_is_kept(model):
    """The defect that METHODS 17.2 describes: a causal model pooled at position 0 sees the first token alone."""
    metric = make_metric("confidence-text", {"removal": "reference"})
    kept = metric([make_case(model, 0, scores=[4, 3, 2, 1])])
    removed = metric([make_case(model, 0, scores=[1, 2, 3, 4])])
    assert kept["drop"][0] == 0
    assert kept["increase"][0] == 0
    assert removed["drop"][0] != 0 or removed["increase"][0] == 100


def test_the_script_keeps_what_is_strictly_above_the_median(model):
    scores = {"3 14 15": [3, 1, 2], "3 14 15 9": [2, 1, 2, 1], "7 7 8 1 30": [1, 1, 1, 1, 5]}
    cases = [make_case(model, i, text=text, scores=values) for i, (text, values) in enumerate(scores.items())]
    kept = make_metric("confidence-text", {"removal": "reference"})(cases)["kept"]
    assert kept == pytest.approx([1 / 3, 2 / 4, 1 / 5])
    assert make_metric("confidence-text", {})(cases)["kept"] == pytest.approx([2 / 3, 2 / 4, 3 / 5])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("confidence-image", {"batch_size": 3}), ("confidence-text", {}), ("confidence-text", {"removal": "reference"})],
)
def test_a_batch_equals_its_cases_one_by_one(model, name, parameters):
    cases = [*cases_of(model), make_case(model, 8, grid=np.zeros((5, 5)), scores=[np.nan] * 4)]
    metric = make_metric(name, parameters)
    same(metric(cases), loop(metric, cases), tolerance=1e-8)


def test_a_map_of_ones_loses_nothing(model):
    found = make_metric("confidence-image", {})([make_case(model, i, grid=np.full((5, 5), 0.1)) for i in range(3)])
    for name, value in {"drop": 0, "increase": 0, "mass": 1}.items():
        assert (found[name] == value).all()


def test_removing_everything_leaves_the_mean_colour(model):
    case = make_case(model, 0, grid=np.ones((5, 5)))
    found = make_metric("confidence-image", {"mode": "remove"})([case])
    blank = twin.clip.image(model.module, torch.zeros_like(case.pixels)).embedding.detach()
    whole = twin.clip.image(model.module, case.pixels).embedding.detach()
    words = twin.clip.text(model.module, list(case.token_ids)).embedding.detach()
    before, after = (float(twin.clip.cosine(some, words)) for some in (whole, blank))
    expected = twin.measures(before, after)
    assert [found[f"removed_{name}"][0] for name in ("drop", "drop_relative", "increase")] == pytest.approx(
        expected, nan_ok=True
    )


def test_keeping_all_words_loses_nothing(model):
    found = make_metric("confidence-text", {"fraction": 1})(cases_of(model))
    assert (found["drop"] == 0).all()
    assert (found["increase"] == 0).all()
    assert (found["kept"] == 1).all()


@pytest.mark.parametrize("grid", [np.zeros((5, 5)), np.full((5, 5), -2.0), np.full((5, 5), np.nan)])
def test_a_map_that_says_nothing_is_undefined(model, grid):
    cases = [make_case(model, 0), make_case(model, 1, grid=grid)]
    found = make_metric("confidence-image", {})(cases)
    for values in found.values():
        assert np.isnan(values[1])
    assert np.isfinite(found["drop"][0])


@pytest.mark.parametrize("scores", [[], [np.nan] * 4, [1.0, np.nan, 2.0, 3.0], [1.0, 2.0]])
def test_a_phrase_without_scores_is_undefined(model, scores):
    found = make_metric("confidence-text", {})([make_case(model, 0, scores=scores), make_case(model, 1)])
    for name in ("drop", "increase", "kept"):
        assert np.isnan(found[name][0])
        assert np.isfinite(found[name][1])


def test_a_drop_in_percent_needs_a_score_above_zero():
    found = confidence(np.array([0.4, 0.4, 0.0, -0.1, 0.3]), np.array([0.1, 0.5, -0.2, -0.3, np.nan]))
    np.testing.assert_allclose(found["drop"], [30, 0, 20, 20, np.nan])
    np.testing.assert_allclose(found["drop_relative"], [75, 0, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(found["increase"], [0, 100, 0, 0, np.nan])


def test_no_cases_give_empty_columns(model):
    for name in ("confidence-image", "confidence-text"):
        assert all(len(values) == 0 for values in make_metric(name, {})([]).values())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("confidence-image", {"mode": "both"}),
        ("confidence-image", {"batch_size": 0}),
        ("confidence-text", {"removal": "blank"}),
        ("confidence-text", {"blank_id": 3}),
        ("confidence-text", {"fraction": 1.5}),
    ],
)
def test_wrong_parameters_are_refused(name, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters)) if "removal" not in parameters else "blank_id"):
        make_metric(name, parameters)


def test_the_end_token_is_no_filler(model):
    with pytest.raises(InputError, match="end token"):
        make_metric("confidence-text", {"removal": "blank", "blank_id": EOS})([make_case(model, 0)])


def test_cases_of_two_models_are_refused(model):
    other = dataclasses.replace(make_case(model, 1), model=small_model())
    with pytest.raises(ValueError, match="one model"):
        make_metric("confidence-image", {})([make_case(model, 0), other])
