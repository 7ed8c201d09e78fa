"""Least values of parameters that several methods and metrics share: they are accepted, one less is refused."""

import dataclasses

import pytest

import matex
from matex.adapters.randomise import randomised
from matex.attribution import METHODS, make
from matex.metrics import METRICS, make_metric
from matex.metrics.statistics import compare_paired, summarise

LEAST = {"batch_size": 1, "seed": 0, "samples": 1, "masks": 1, "steps": 1, "layers": 1, "window": 1, "stride": 1}
TWO = ("infidelity-samples", "roar-plus-batch_size")  # a fit, and a contrast with other films, need two


def cases():
    for registry, made in ((METHODS, make), (METRICS, make_metric)):
        for name, kind in registry.items():
            for field in dataclasses.fields(kind):
                if field.name in LEAST and field.type in ("int", "int | None"):
                    yield pytest.param(made, name, field.name, id=f"{name}-{field.name}")


@pytest.mark.parametrize(("made", "name", "field"), list(cases()))
def test_the_least_value_is_accepted_and_one_less_refused(made, name, field):
    least = 2 if f"{name}-{field}" in TWO else LEAST[field]
    made(name, {field: least})
    with pytest.raises(ValueError, match=field):
        made(name, {field: least - 1})


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_of_functions_are_refused_likewise(seed, tiny):
    for call in (
        lambda: summarise(range(20), seed=seed),
        lambda: compare_paired(range(20), range(20), seed=seed),
        lambda: randomised(tiny, seed),
    ):
        with pytest.raises(matex.InputError, match="seed from 0 to"):
            call()
