"""Controls come along by themselves, and are what they say."""

import dataclasses

import numpy as np
import pytest

import matex
from matex.benchmark import parse_config
from matex.benchmark.controls import MAPS, applies, control_map, is_stochastic, run_specs
from matex.errors import InputError
from tests.benchmark import toy


def planned(methods, metrics, seeds=(0,)):
    return run_specs(parse_config(toy.config(methods=methods, metrics=metrics, seeds=list(seeds))))


@pytest.fixture(scope="module")
def explanation():
    sample = toy.Toy()[0]
    return matex.explain(matex.load("tiny"), sample.image, sample.text, "matex", view="PA")


@pytest.mark.parametrize("metric", ["pointing", "iou", "energy", "named-over-other"])
def test_a_metric_of_place_brings_every_control(metric):
    found = {spec.label: spec for spec in planned(["matex", "mmel", "rollout"], [metric])}
    assert found.keys() == {
        "matex",
        "mmel",
        "rollout",
        "matex (no prior)",
        "mmel (off)",
        "matex (exchanged side)",
        "mmel (exchanged side)",
        "rollout (exchanged side)",
        "matex (random weights)",
        "mmel (random weights)",
        "rollout (random weights)",
        *MAPS,
    }
    assert found["matex (no prior)"].parameters == {"prior_strength": 1.0}
    assert found["mmel (off)"].parameters == {"mode": "off"}
    assert {spec.of for spec in found.values() if "(" in spec.label} == {"matex", "mmel", "rollout"}
    assert all(found[label].of is None for label in MAPS)
    assert {spec.kind for spec in found.values() if spec.of or spec.label in MAPS} == {"control"}


def test_without_a_metric_of_place_uniform_and_random_maps_come_along():
    assert [spec.label for spec in planned(["rollout"], ["confidence-image"])] == [
        "rollout",
        "control: uniform",
        "control: random",
    ]


def test_a_method_that_is_listed_without_its_prior_is_not_run_twice():
    listed = {"name": "matex", "label": "model alone", "parameters": {"prior_strength": 1}}
    labels = [spec.label for spec in planned(["matex", listed], ["pointing"])]
    assert "matex (no prior)" not in labels
    assert "model alone" in labels


@pytest.mark.parametrize("parameters", [{"delta": 0}, {"prior_strength": 1}])
def test_a_method_whose_prior_has_no_weight_has_no_control_without_it(parameters):
    labels = [spec.label for spec in planned([{"name": "matex", "parameters": parameters}], ["pointing"])]
    assert "matex (no prior)" not in labels


def test_a_label_that_a_control_has_is_refused():
    with pytest.raises(InputError, match=r"no control has, got 'matex \(no prior\)'"):
        planned(["matex", {"name": "rollout", "label": "matex (no prior)"}], ["pointing"])


def test_seeds_multiply_what_draws_and_nothing_else():
    found = planned(["matex", "rise", {"name": "rise", "label": "fixed", "parameters": {"seed": 7}}], ["iou"], (0, 3))
    seeds = {}
    for spec in found:
        seeds.setdefault(spec.label, []).append(spec.seed)
        if spec.name == "rise" and spec.label != "fixed (random weights)":
            assert spec.parameters["seed"] == spec.seed
    assert seeds["matex"] == seeds["matex (no prior)"] == seeds["control: uniform"] == [-1]
    assert seeds["rise"] == seeds["rise (random weights)"] == seeds["control: random"] == [0, 3]
    assert seeds["matex (random weights)"] == [0, 3]
    assert seeds["rise (exchanged side)"] == [0, 3]
    assert seeds["matex (exchanged side)"] == [-1]
    assert seeds["fixed"] == seeds["fixed (exchanged side)"] == [7]


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("rollout", {}, False),
        ("m2ib", {}, True),
        ("mmel", {}, False),
        ("mmel", {"mode": "paper"}, True),
        ("integrated-gradients", {}, False),
        ("integrated-gradients", {"baseline": "noise"}, True),
        ("embedding-space", {}, False),
        ("embedding-space", {"operator": "gradient-shap"}, True),
    ],
)
def test_what_draws_random_numbers(name, parameters, expected):
    assert is_stochastic(name, parameters) is expected


def test_controls_get_the_metrics_that_say_something_about_them():
    metrics = ["pointing", "confidence-image", "stability", "together"]
    config = parse_config(toy.config(methods=["matex"], metrics=metrics))
    taken = {spec.label: [one.name for one in config.metrics if applies(spec, one)] for spec in run_specs(config)}
    assert taken["matex"] == metrics
    assert taken["matex (no prior)"] == ["pointing", "confidence-image", "stability"]
    assert taken["matex (random weights)"] == taken["matex (exchanged side)"] == ["pointing"]
    assert taken["control: random"] == ["pointing", "confidence-image", "together"]


def control(name, explanation, sample="one", seed=-1):
    spec = next(spec for spec in planned(["matex"], ["pointing"], (0, 1)) if spec.label == f"control: {name}")
    return control_map(dataclasses.replace(spec, seed=seed), explanation, "toy", sample)


def test_a_uniform_map_is_one_value(explanation):
    made = control("uniform", explanation)
    assert (made.image.grid == 1).all()
    assert made.image.placement == explanation.image.placement
    assert not made.tokens
    assert not made.components


def test_a_random_map_depends_on_seed_and_sample_alone(explanation):
    one, again = control("random", explanation, "a", 0), control("random", explanation, "a", 0)
    np.testing.assert_array_equal(one.image.grid, again.image.grid)
    assert one.tokens == again.tokens
    assert len(one.tokens) == len(explanation.tokens)
    for other in (control("random", explanation, "b", 0), control("random", explanation, "a", 1)):
        assert (other.image.grid != one.image.grid).all()
    assert 0 <= one.image.grid.min() < one.image.grid.max() < 1


def test_the_prior_alone_lies_on_the_side_that_the_phrase_names(explanation):
    """The phrase says left: on the image's right."""
    alone, mirrored = (control(name, explanation).image.grid for name in ("prior alone", "mirrored prior"))
    half = alone.shape[1] // 2
    assert alone[:, half:].sum() > 5 * alone[:, :half].sum()
    assert mirrored[:, :half].sum() > 5 * mirrored[:, half:].sum()
    assert explanation.prior is not None
    scaled = (explanation.prior - 1) / 1.5  # M of eq. 5 with the default strength
    np.testing.assert_allclose(alone, scaled, atol=1e-6)


def test_a_phrase_without_a_place_has_a_uniform_prior(explanation):
    silent = dataclasses.replace(explanation, regions=())
    assert (control("prior alone", silent).image.grid == 1).all()
