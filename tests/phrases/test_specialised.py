"""Words of specialists, and their scores against those of common words."""

import numpy as np
import pytest

import matex
from matex.datasets import Sample
from matex.metrics import Case, make_metric
from matex.phrases.specialised import EVERYDAY, phrase_vocabulary, specialised_words, vocabulary_of
from matex.samples import samples


def test_words_of_specialists_are_those_of_the_lexicon_that_a_layperson_does_not_know():
    assert {"atelectasis", "hilar", "costophrenic", "picc"} <= specialised_words()
    assert not specialised_words() & EVERYDAY
    assert [vocabulary_of(word) for word in ("Effusion", "lung", "banana", "air-bronchogram")] == [
        "specialised",
        "common",
        "common",
        "specialised",
    ]
    assert phrase_vocabulary("large heart") == "common"


def test_shares_and_chances_are_those_of_the_groups(tiny):
    film = samples()[0].path
    text = "atelectasis and a mass in the left hilar region"
    explanation = matex.explain(tiny, film, text, "gradient")
    found = make_metric("vocabulary", {})([Case(tiny, Sample("s", film, text), explanation, {})])
    special = [score for word, score in explanation.words if word in ("atelectasis", "hilar")]
    common = [score for word, score in explanation.words if word not in ("atelectasis", "hilar")]
    positive = sum(max(score, 0) for score in special), sum(max(score, 0) for score in common)
    assert found["specialised_share"][0] == pytest.approx(positive[0] / sum(positive))
    assert found["specialised_words"][0] == pytest.approx(2 / 9)
    assert found["specialised_auc"][0] == pytest.approx(np.mean([[a > b for b in common] for a in special]))


def test_phrases_of_one_kind_are_undefined(tiny):
    film = samples()[0].path
    explanation = matex.explain(tiny, film, "a large heart", "gradient")
    found = make_metric("vocabulary", {})([Case(tiny, Sample("s", film, "a large heart"), explanation, {})])
    assert all(np.isnan(values[0]) for values in found.values())
