"""docs/methods.md says what the methods say about themselves."""

import importlib.util
import re

import pytest

import matex
from matex.attribution import METHODS
from tests.test_docs import ROOT


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("make_methods", ROOT / "docs" / "make_methods.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_the_one_that_is_made(made):
    committed = made.PAGE.read_text(encoding="utf-8")
    assert made.without_costs(made.page()) == made.without_costs(committed), "run: make methods-page"


def test_measured_costs_change_nothing_else(made):
    some = {
        "methods": {"matex": {"image": 1.234, "text": 0.05}, "legrad": {"image": 2.0}},
        "model": "a model",
        "clock": "cpu",
    }
    told = made.page(some)
    assert "| no | 1.23 / 0.05 |" in told
    assert "| no | 2.00 / – |" in told
    assert "(a model; cpu clock)" in " ".join(told.split())
    assert made.without_costs(told) == made.without_costs(made.page())
    assert made.without_costs(told) != told


def test_the_page_has_all_of_every_method(made):
    page = made.page()
    for entry in matex.methods():
        section = re.search(rf"^### {entry.name}\n(.*?)(?=^##)", page, re.M | re.S)[1]
        flat = " ".join(section.split())
        assert " ".join(entry.summary.split()) in flat
        assert entry.source in flat
        assert all(part.split()[0] in flat for part in entry.equation.split("; "))
        assert all(error in flat for error in entry.errors)
        for parameter, default in entry.parameters.items():
            row = re.search(rf"^\| `{parameter}` \| `(.*?)` \| (.*) \|$", section, re.M)
            assert row, (entry.name, parameter)
            assert row[1] == repr(default)
            assert row[2], f"{entry.name}: the docstring does not say what {parameter} is"
    assert set(made.LOOKS) <= set(METHODS)


def test_the_pictures_are_there_and_small(made):
    for path in made.PICTURES.values():
        assert 50_000 < path.stat().st_size < 400_000
