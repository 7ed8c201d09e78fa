"""docs/methods.md and docs/methods/ agree with the methods."""

import importlib.util
import re

import pytest

import matex
from matex.attribution import METHODS
from tests.test_docs import ROOT


@pytest.fixture(scope="module")
def pages_of():
    spec = importlib.util.spec_from_file_location("make_methods", ROOT / "docs" / "make_methods.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_the_one_that_is_made(pages_of):
    committed = pages_of.PAGE.read_text(encoding="utf-8")
    assert pages_of.without_costs(pages_of.page()) == pages_of.without_costs(committed), "run: make methods-page"
    pages = {path: path.read_text(encoding="utf-8") for path in pages_of.SECTIONS.glob("*.md")}
    assert pages == pages_of.method_pages(), "run: make methods-page"


def test_measured_costs_change_nothing_else(pages_of):
    some = {
        "methods": {"matex": {"image": 1.234, "text": 0.05}, "legrad": {"image": 2.0}},
        "model": "a model",
        "clock": "cpu",
    }
    told = pages_of.page(some)
    assert "| no | 1.23 / 0.05 |" in told
    assert "| no | 2.00 / – |" in told
    assert "(a model; cpu clock)" in " ".join(told.split())
    assert pages_of.without_costs(told) == pages_of.without_costs(pages_of.page())
    assert pages_of.without_costs(told) != told


def test_the_page_has_all_of_every_method(pages_of):
    pages = pages_of.method_pages()
    for entry in matex.methods():
        section = pages[pages_of.SECTIONS / f"{entry.name}.md"]
        flat = " ".join(section.split())
        assert " ".join(entry.summary.split()) in flat
        assert entry.source in flat
        assert all(part.split()[0] in flat for part in entry.equation.split("; "))
        assert all(error in flat for error in entry.errors)
        for parameter, default in entry.parameters.items():
            row = re.search(rf"^\| `{parameter}` \| `(.*?)` \| (.+) \| (.*) \|$", section, re.M)
            assert row, (entry.name, parameter)
            assert row[1] == repr(default)
            assert row[3], f"{entry.name}: the docstring does not say what {parameter} is"
    assert set(pages_of.LOOKS) <= set(METHODS)


def test_the_pictures_are_there_and_small(pages_of):
    for path in pages_of.PICTURES.values():
        assert 50_000 < path.stat().st_size < 400_000
