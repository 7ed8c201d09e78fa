"""Words against regions over films, against loops; groups with a difference that was put in."""

import csv
import json
import math

import numpy as np
import pytest
from scipy import stats

import matex
from matex.bias import associations
from matex.bias import compare as module
from matex.bias.compare import levels_of
from matex.bias.observe import Observation, observe
from matex.bias.regions import REGIONS, regions_of
from matex.datasets import Sample
from matex.errors import InputError
from matex.metrics.statistics import holm
from matex.samples import samples

FILMS = [one for one in samples() if len(regions_of(matex.read(one.path))) == len(REGIONS)][:3]
PAIRS = [
    Sample(f"{number}", film.path, "left nodule", cluster=film.name, view="PA", attributes={"sex": "FM"[number % 2]})
    for number, film in enumerate(FILMS)
]


def test_shares_are_those_of_the_matrix_and_the_masks(tiny):
    first, second = observe(tiny, PAIRS[:1], "second-order", False, {})
    assert (first.word, second.word) == ("left", "nodule")
    assert first.attributes == {"view": "PA", "markers": first.attributes["markers"], "sex": "F"}
    film = matex.read(FILMS[0].path)
    found = matex.interactions(tiny, film, "left nodule")
    masks, (height, width) = regions_of(film), film.size
    rows, columns = found.values.shape[1:]
    for number, region in enumerate(REGIONS):
        total = part = area = 0.0
        for row in range(rows):
            for column in range(columns):
                y = slice(row * height // rows, (row + 1) * height // rows)
                x = slice(column * width // columns, (column + 1) * width // columns)
                cover = masks[region][y, x].mean()
                value = abs(float(found.values[1, row, column]))
                total, part, area = total + value, part + value * cover, area + cover / (rows * columns)
        assert second.shares[number] == pytest.approx(part / total, abs=5e-3), region  # cells of whole pixels
        assert second.even[number] == pytest.approx(area, abs=5e-3), region
    assert np.nansum(second.shares) == pytest.approx(1, abs=1e-6)
    assert second.map.sum() == pytest.approx(1, abs=1e-5)


def test_phrases_of_one_film_are_one_observation_where_no_patient_is_known(tiny):
    pairs = [
        Sample(f"{film}{text}", FILMS[film].path, text) for film, text in ((0, "nodule"), (0, "mass"), (1, "nodule"))
    ]
    nodule, mass, other = (one.cluster for one in observe(tiny, pairs, "grad-eclip", False, {}))
    assert nodule == mass != other


@pytest.fixture
def made(monkeypatch):
    """Observations of two words in 24 films; women's maps of "nodule" lie .2 more in the left lung."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        attributes = {"sex": "FM"[number % 2], "age": 20 + number, "view": "PA"}
        for word in ("nodule", "left"):
            even = np.full(len(REGIONS), 0.2)
            shares = even + rng.normal(0, 0.02, len(REGIONS))
            if word == "nodule" and number % 2 == 0:
                shares[1] += 0.2
            rows.append(Observation(word, f"p{number}", attributes, shares, even, np.ones((32, 32), np.float32) / 1024))
    monkeypatch.setattr(module, "observe", lambda *_: iter(rows))
    return rows


def test_a_difference_between_groups_is_found_and_corrected(tiny, made):
    found = associations(tiny, [], ["sex", "age"])
    assert found.groups["sex"] == {"F": 12, "M": 12}
    assert sum(found.groups["age"].values()) == 24
    assert len(found.differences) == 2 * len(REGIONS) * (1 + 3)
    first = found.differences[0]
    assert (first.word, first.region, first.attribute, first.level) == ("nodule", "left lung", "sex", "F")
    women, men = (
        np.array([row.shares[1] - row.even[1] for row in made if row.word == "nodule" and row.attributes["sex"] == sex])
        for sex in "FM"
    )
    assert first.difference == pytest.approx(women.mean() - men.mean())
    assert first.low < 0.2 < first.high
    assert first.p == pytest.approx(stats.mannwhitneyu(women, men).pvalue)
    np.testing.assert_allclose([one.p_holm for one in found.differences], holm([one.p for one in found.differences]))
    assert all(math.isnan(one.p) for one in found.differences if one.attribute == "age" and one.clusters < 10)
    assert all(one.p_holm > 0.05 for one in found.differences[1:] if not math.isnan(one.p))
    whole = next(one for one in found.overall if (one.word, one.region) == ("nodule", "left lung"))
    assert whole.share - whole.even == pytest.approx(whole.excess)
    assert (whole.pairs, whole.clusters) == (24, 24)


def test_results_are_written(tiny, made, tmp_path):
    associations(tiny, [], ["sex"]).save(tmp_path / "bias")
    record = json.loads((tmp_path / "bias" / "bias.json").read_text())
    assert record["tests"] == 2 * len(REGIONS)
    with (tmp_path / "bias" / "differences.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["region"] == "left lung"
    text = (tmp_path / "bias" / "bias.html").read_text()
    assert text.count("<img") == 4
    assert "10 tests" in text


def test_attributes_that_cannot_be_compared_are_refused(tiny, made):
    with pytest.raises(InputError, match="two or more values, got 'PA' alone"):
        associations(tiny, [], ["view"])
    with pytest.raises(InputError, match="got none"):
        associations(tiny, [], ["nope"])
    with pytest.raises(InputError, match="Lower least"):
        associations(tiny, [], ["sex"], least=100)
    with pytest.raises(InputError, match="at most 8 values, got 9"):
        levels_of([f"device {number}" for number in range(9)], "device")


def test_levels_are_words_or_thirds_of_numbers():
    known, levels = levels_of(["a", None, "b", ""], "x")
    assert known.tolist() == [True, False, True, False]
    assert {name: mask.tolist() for name, mask in levels.items()} == {
        "a": [True] + [False] * 3,
        "b": [False, False, True, False],
    }
    _, levels = levels_of([*range(12), None], "age")
    assert [int(mask.sum()) for mask in levels.values()] == [4, 4, 4]


def test_films_are_measured_from_end_to_end(tiny):
    found = associations(tiny, PAIRS, ["sex"], "grad-eclip", least=2)
    assert found.pairs == 3
    assert all(math.isnan(one.p) for one in found.differences)  # three patients
