"""`compare_models` against scores and ranks computed one by one, and a model whose side direction is projected out."""

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

import matex
from matex.datasets import Sample
from matex.errors import InputError, UnsupportedModel
from matex.model_comparison import map_agreement
from matex.results import SaliencyMap
from matex.samples import samples

TEXTS = ("opacity in the left lower lung", "opacity in the right lower lung", "clear lungs")
PAIRS = [
    Sample(f"{number}-{text}", film.path, text, cluster=film.name)
    for number, film in enumerate(samples()[:3])
    for text in TEXTS
]


@pytest.fixture(scope="module")
def plain() -> matex.Model:
    return matex.load("tiny-plain")


@pytest.fixture(scope="module")
def found(tiny, plain):
    return matex.compare_models(tiny, plain, PAIRS, "grad-eclip", shown=2)


def test_each_pair_has_the_scores_and_ranks_of_both_models(tiny, plain, found):
    one = found.pairs[4]
    for model, score, rank in ((tiny, one.score_first, one.rank_first), (plain, one.score_second, one.rank_second)):
        scores = [matex.explain(model, PAIRS[4].image, text, "grad-eclip").score for text in TEXTS]
        assert score == pytest.approx(scores[1], abs=1e-5)
        assert rank == 1 + sum(other > scores[1] for other in scores)


def test_phrases_are_sorted_by_their_change_and_sum_up_their_pairs(found):
    whole, *phrases = found.phrases
    assert whole.text == "all pairs"
    assert whole.pairs == 9
    assert {one.text for one in phrases} == set(TEXTS)
    assert sorted(phrases, key=lambda one: -abs(one.score_change)) == phrases
    for one in found.phrases:
        pairs = [pair for pair in found.pairs if one.text in ("all pairs", pair.text)]
        assert one.score_change == pytest.approx(np.mean([pair.score_second - pair.score_first for pair in pairs]))
        assert one.gained - one.lost == sum((pair.rank_second == 1) - (pair.rank_first == 1) for pair in pairs)
        assert math.isnan(one.low)  # three films support no interval


def test_the_pairs_that_agree_least_are_drawn(found):
    lowest = sorted(one.map_correlation for one in found.pairs)[:2]
    assert [one.agreement for one in found.shown] == pytest.approx(lowest)


def test_a_model_agrees_with_itself(tiny):
    found = matex.compare_models(tiny, tiny, PAIRS, "grad-eclip", shown=0)
    assert all(one.map_correlation == pytest.approx(1) and one.score_first == one.score_second for one in found.pairs)
    assert found.phrases[0].score_change == 0
    assert found.shown == ()


def test_a_projected_direction_changes_the_phrases_that_lie_on_it(tiny):
    other = dataclasses.replace(matex.load("tiny"), name="without sides")
    ids = other.batch([other.encode(text) for text in TEXTS[:2]])
    with torch.no_grad():
        texts = matex.record(other, other.prepare(matex.read(samples()[0].path))[0].expand(2, -1, -1, -1), ids)
        difference = texts.text.embedding[0] - texts.text.embedding[1]
        direction = difference / difference.norm()
        weight = other.module.visual_projection.weight
        weight -= torch.outer(direction, direction @ weight)
    found = {one.text: one for one in matex.compare_models(tiny, other, PAIRS, "rollout").phrases}
    assert abs(found[TEXTS[0]].score_change) > 5 * abs(found[TEXTS[2]].score_change)
    assert found["all pairs"].map_correlation == pytest.approx(1)  # the attention is untouched


def test_maps_of_different_grids_are_compared_on_the_film(tiny):
    placement = matex.explain(tiny, samples()[0].path, "nodule", "rollout").image.placement
    rng = np.random.default_rng(0)
    first = SaliencyMap(rng.normal(size=placement.grid).astype(np.float32), placement)
    flipped = SaliencyMap(-first.grid, placement)
    fine = SaliencyMap(np.kron(first.grid, np.ones((8, 8), np.float32)), placement)
    correlation, shared = map_agreement(first, flipped)
    assert correlation == pytest.approx(-1)
    assert shared < 0.05
    assert 0.8 < map_agreement(first, fine)[0] < 1
    constant = SaliencyMap(np.zeros_like(first.grid), placement)
    assert all(math.isnan(one) for one in map_agreement(first, constant))
    a, b = (placement.map_to_original(one.grid) for one in (first, fine))
    assert map_agreement(first, fine)[0] == pytest.approx(stats.spearmanr(a.ravel(), b.ravel()).statistic, abs=0.05)


def test_a_comparison_is_written_whole(found, tmp_path):
    found.save(tmp_path / "models")
    record = json.loads((tmp_path / "models" / "comparison.json").read_text())
    assert record["models"] == ["tiny", "tiny-plain"]
    with (tmp_path / "models" / "pairs.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 9
    page = (tmp_path / "models" / "comparison.html").read_text()
    assert page.count("<img") == 4
    assert TEXTS[0] in page


def test_models_and_pairs_that_cannot_be_compared_are_refused(tiny):
    box = matex.from_score(lambda images, texts: np.zeros((len(images), len(texts))))
    with pytest.raises(UnsupportedModel):
        matex.compare_models(tiny, box, PAIRS, "grad-eclip")
    with pytest.raises(InputError, match="two or more"):
        matex.compare_models(tiny, tiny, PAIRS[:1])
