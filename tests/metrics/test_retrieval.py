"""Retrieval under deletion and insertion of words, against queries asked one by one."""

import dataclasses

import numpy as np
import pytest

from matex.metrics import make_metric
from matex.metrics.retrieval import PERCENTS, degraded, expected_hit
from tests.metrics.made import film, make_case, same, small_model
from tests.reference import deletion, retrieval

TEXTS = ["3 14 15 9", "26 5", "7 7 8 1 30", "12 40 41 42 43 44", "26 5", "61"]
OWNER = [0, 0, 1, 2, 3, 3]


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def cases(model):
    return [
        make_case(model, seed, text=text, picture=film(owner))
        for seed, (text, owner) in enumerate(zip(TEXTS, OWNER, strict=True))
    ]


def test_recalls_equal_the_twin(model, cases):
    found = make_metric("retrieval", {"batch_size": 4})(cases)
    images = list(deletion.image_embeddings(model.module, [model.prepare(film(i))[0][0] for i in range(4)]))
    for side in ("deletion", "insertion"):
        curves = {}
        for percent in PERCENTS:
            phrases = [
                retrieval.left(list(case.token_ids), list(case.token_scores), percent, side == "insertion")
                for case in cases
            ]
            texts = [deletion.text_embedding(model.module, ids) for ids in phrases]
            for k in (1, 5):
                for way, value in zip(("ir", "tr"), retrieval.recalls(images, texts, OWNER, k), strict=True):
                    assert found[f"{side}_{way}{k}_at_{percent}"][0] == pytest.approx(value), (side, way, k, percent)
                    curves.setdefault(f"{way}{k}", []).append(value)
        for name, curve in curves.items():
            assert found[f"{side}_{name}_auc"][0] == pytest.approx(deletion.trapezoid(curve))


def test_many_queries_are_asked_some_at_a_time(model, monkeypatch):
    """Several chunks of queries, and captions that an image has twice and shares with another."""
    monkeypatch.setattr("matex.metrics.retrieval._ROWS", 2)
    texts, owner = ["3 14", "26 5", "26 5", "26 5", "61", "3 14", "9 9 2"], [4, 1, 3, 1, 0, 2, 4]
    random = np.random.default_rng(4)
    cases = [
        make_case(model, i, text=text, picture=film(one), scores=random.permutation(len(text.split())))
        for i, (text, one) in enumerate(zip(texts, owner, strict=True))
    ]
    found = make_metric("retrieval", {})(cases)
    order = list(dict.fromkeys(owner))
    images = list(deletion.image_embeddings(model.module, [model.prepare(film(i))[0][0] for i in order]))
    for percent in (0, 50, 100):
        phrases = [retrieval.left(list(c.token_ids), list(c.token_scores), percent, False) for c in cases]
        embedded = [deletion.text_embedding(model.module, ids) for ids in phrases]
        numbers = [order.index(one) for one in owner]
        for way, value in zip(("ir", "tr"), retrieval.recalls(images, embedded, numbers, 1), strict=True):
            assert found[f"deletion_{way}1_at_{percent}"][0] == pytest.approx(value), (way, percent)


def test_deletion_to_the_end_is_insertion_at_the_start(cases):
    found = make_metric("retrieval", {})(cases)
    for name in ("ir1", "ir5", "tr1", "tr5"):
        assert found[f"deletion_{name}_at_100"] == found[f"insertion_{name}_at_0"]
        assert found[f"deletion_{name}_at_0"] == found[f"insertion_{name}_at_100"]


def test_without_words_recall_is_chance(cases):
    """Six empty phrases over four images: each image is some phrase's first answer, whichever phrase comes first."""
    found = make_metric("retrieval", {})(cases)
    best = found["deletion_ir1_at_100"][0] * len(OWNER)
    assert best in (2, 1)  # the phrases of the one image that the empty phrase is nearest to
    assert found["deletion_tr1_at_100"][0] == pytest.approx(np.mean([2 / 6, 1 / 6, 1 / 6, 2 / 6]))
    assert found["deletion_ir5_at_100"][0] == 1


def test_words_go_by_score_and_equal_scores_in_reading_order(model):
    case = make_case(model, 0, text="3 14 15 9 26", scores=[0.1, 0.9, 0.5, 0.9, -2])
    bos, *words, eos = case.token_ids
    phrase = (case.token_ids, case.content, case.token_scores)
    assert degraded(*phrase, 0, False) == case.token_ids == degraded(*phrase, 100, True)
    assert degraded(*phrase, 20, False) == (bos, 3, 15, 9, 26, eos)
    assert degraded(*phrase, 20, True) == (bos, 14, eos)
    assert degraded(*phrase, 40, False) == (bos, 3, 15, 26, eos)
    assert degraded(*phrase, 50, True) == (bos, 14, 15, 9, eos)  # two and a half: halves up
    assert degraded(*phrase, 100, False) == (bos, eos) == degraded(*phrase, 0, True)
    assert words == [3, 14, 15, 9, 26]


def test_cases_without_scores_take_no_part(model, cases):
    metric = make_metric("retrieval", {})
    without = make_case(model, 9, text="50 51", scores=[np.nan, np.nan], picture=film(9))
    found = metric([*cases, without])
    same(found, metric(cases))
    assert found["cases"][0] == 6


def test_no_scores_at_all_are_undefined(model):
    found = make_metric("retrieval", {})([make_case(model, 0, scores=[])])
    assert set(found) == set(make_metric("retrieval", {}).better)
    assert found.pop("cases")[0] == 0
    assert all(np.isnan(values[0]) for values in found.values())


def test_cases_of_two_models_are_refused(model, cases):
    with pytest.raises(ValueError, match="one model"):
        make_metric("retrieval", {})([*cases, make_case(small_model(), 9)])


def test_cases_may_be_made_as_they_are_asked_for(cases):
    """A run does not hold a whole data set: what a case is read from may be gone when the next is looked at."""

    class Fresh(list):
        def __iter__(self):
            return (self[i] for i in range(len(self)))

        def __getitem__(self, i):
            return dataclasses.replace(super().__getitem__(i))

    metric = make_metric("retrieval", {})
    same(metric(Fresh(cases)), metric(cases))


def test_chance_among_equals():
    def one(above, tied, own, k):
        return expected_hit(np.array([float(above)]), np.array([float(tied)]), np.array([float(own)]), k)[0]

    assert one(0, 1, 1, 1) == 1
    assert one(1, 1, 1, 1) == 0
    assert one(0, 4, 1, 1) == pytest.approx(1 / 4)
    assert one(0, 10, 1, 5) == pytest.approx(1 / 2)
    assert one(3, 10, 2, 5) == pytest.approx(1 - (8 / 10) * (7 / 9))
    assert one(4, 3, 3, 5) == 1
    assert one(7, 3, 1, 5) == 0
