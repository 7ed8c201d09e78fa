"""Roles of words, their stability under paraphrase, and random text towers, against loops and single explanations."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

import matex
from matex.adapters.randomise import randomised, stages
from matex.datasets import Sample
from matex.metrics import Case, make_metric
from matex.metrics.word_evidence import above, roles_of
from matex.phrases.paraphrases import FRAMES
from matex.samples import samples

FILM = samples()[0]
TEXTS = ("opacity in the left lower lung", "there is a small nodule at the right apex")


def cases_of(tiny, method="grad-eclip", texts=TEXTS, **parameters):
    return [
        Case(tiny, Sample(f"s{n}", FILM.path, text), matex.explain(tiny, FILM.path, text, method, **parameters), {})
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("nodule in the left upper lung", "finding filler filler place place place"),
        ("no pleural effusion", "filler finding finding"),
        ("the weather is fine", "filler filler filler filler"),
        ("consolidation", "finding"),
    ],
)
def test_the_lexicon_says_what_a_word_does(text, roles):
    assert list(roles_of(text)) == roles.split()


def test_shares_and_the_chance_of_named_words_agree_with_loops(tiny):
    cases = cases_of(tiny, "occlusion")
    found = make_metric("word-roles", {})(cases)
    for n, case in enumerate(cases):
        roles = roles_of(case.explanation.text)
        scores = [score for _, score in case.explanation.words]
        total = sum(score for score in scores if score > 0)
        for role in ("finding", "place", "filler"):
            own = sum(score for score, its in zip(scores, roles, strict=True) if its == role and score > 0)
            assert found[f"{role}_share"][n] == pytest.approx(own / total)
        wins = [
            float(a > b) + 0.5 * (a == b)
            for a, x in zip(scores, roles, strict=True)
            if x != "filler"
            for b, y in zip(scores, roles, strict=True)
            if y == "filler"
        ]
        assert found["named_auc"][n] == pytest.approx(np.mean(wins))
    assert sum(found[f"{role}_share"][0] for role in ("finding", "place", "filler")) == pytest.approx(1)


def test_a_map_without_words_or_roles_is_undefined(tiny):
    found = make_metric("word-roles", {})(cases_of(tiny, texts=("fine", "nodule")))
    assert np.isnan(found["named_auc"]).all()
    assert np.isnan(found["finding_share"][0])
    blind = cases_of(tiny, "clip-surgery")  # it has no text side
    for name in ("word-roles", "word-stability", "text-randomisation"):
        assert all(np.isnan(values).all() for values in make_metric(name, {})(blind).values()), name
    assert np.isnan(above([], [1.0]))


def test_stability_is_that_of_explanations_of_the_sentences(tiny):
    cases = cases_of(tiny, "occlusion")
    found = make_metric("word-stability", {"batch_size": 3})(cases)
    for n, case in enumerate(cases):
        own = [score for _, score in case.explanation.words]
        alike, shares = [], []
        for frame in FRAMES:
            text = frame.replace("{}", case.explanation.text)
            words = [score for _, score in matex.explain(tiny, FILM.path, text, "occlusion").words]
            before = len(roles_of(frame.split("{}")[0]))
            inner = words[before : before + len(own)]
            alike.append(spearmanr(own, inner).statistic)
            shares.append(1 - sum(map(abs, inner)) / sum(map(abs, words)))
        assert found["word_stability"][n] == pytest.approx(np.mean(alike), abs=1e-4)
        assert found["frame_share"][n] == pytest.approx(np.mean(shares), abs=1e-4)


def test_random_text_towers_are_those_of_explanations_of_random_models(tiny):
    cases = cases_of(tiny, "occlusion")
    found = make_metric("text-randomisation", {})(cases)
    names = [name for name in stages(tiny) if name.startswith("text ")]
    assert list(found) == ["words", *[f"cascade/{name.removeprefix('text ')}" for name in names]]
    for count in (1, len(names)):
        other = randomised(tiny, 0, names[:count])
        for n, case in enumerate(cases):
            again = matex.explain(other, FILM.path, case.explanation.text, "occlusion")
            expected = spearmanr([s for _, s in case.explanation.words], [s for _, s in again.words]).statistic
            assert found[f"cascade/{names[count - 1].removeprefix('text ')}"][n] == pytest.approx(expected, abs=1e-4)
    np.testing.assert_array_equal(found["words"], found[f"cascade/{names[-1].removeprefix('text ')}"])


def test_the_texts_own_settings_are_used_again(tiny):
    cases = cases_of(tiny, "grad-eclip", **{"text.layers": 1})
    steady = make_metric("word-stability", {})(cases)["word_stability"]
    without = [
        dataclasses.replace(case, explanation=dataclasses.replace(case.explanation, parameters={})) for case in cases
    ]
    assert not np.allclose(steady, make_metric("word-stability", {})(without)["word_stability"], equal_nan=True)
