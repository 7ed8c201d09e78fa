"""Names that every doctest of the package may use: one model, one film, one explanation."""

from functools import cache

import pytest

import matex
from matex.samples import samples

PHRASE = "opacity in the left lower lung"


@cache
def names() -> dict[str, object]:
    sample = samples()[1]
    film = matex.read(sample.path).known_as("PA", None)
    model = matex.load("tiny")
    return {
        "matex": matex,
        "model": model,
        "film": film,
        "path": sample.path,
        "phrase": PHRASE,
        "explanation": matex.explain(model, film, PHRASE),
    }


@pytest.fixture(autouse=True)
def in_doctests(request, monkeypatch, tmp_path):
    """Give doctests these names and an empty folder; other tests are left alone."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)
        request.getfixturevalue("doctest_namespace").update(names())
