"""The grammar says only what is true, in many ways, and knows what it has said."""

from __future__ import annotations

import numpy as np
import pytest

from matex.simulation.phrases import (
    FAMILIES,
    FINDINGS,
    SIDES,
    ZONES,
    Claim,
    all_canonical,
    canonical,
    evidence,
    holds,
    phrase,
    sentence,
)
from matex.simulation.training.pool import Place

PLACES = [Place(*place) for _, *place in all_canonical()]


def draw(rng: np.random.Generator) -> list[Place]:
    """None, one or two different findings."""
    return [PLACES[i] for i in rng.choice(len(PLACES), size=int(rng.integers(3)), replace=False)]


def test_every_place_of_the_table_has_one_phrase_of_its_own():
    phrases = [text for text, *_ in all_canonical()]
    assert len(phrases) == len(set(phrases)) == 34


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("nodule", "right", "upper"), "nodule in the right upper lung"),
        (("opacity", "left", None), "opacity in the left lung"),
        (("pleural effusion", "left", "lower"), "left pleural effusion"),
        (("cardiomegaly", None, None), "cardiomegaly"),
        (("interstitial pattern", "both", None), "bilateral interstitial pattern"),
    ],
)
def test_canonical_phrases_read_like_a_report(place, expected):
    assert canonical(*place) == expected


def test_a_canonical_phrase_is_true_of_its_own_place_only():
    for text, *claimed in all_canonical():
        for place in PLACES:
            same = (place.finding, place.side, place.zone) == tuple(claimed)
            assert (holds([Claim(*claimed)], [place]) is True) is same, text


def test_what_the_grammar_says_is_true_of_the_film():
    rng = np.random.default_rng(5)
    for _ in range(3000):
        places = draw(rng)
        said = sentence(places, rng)
        assert holds(said.claims, places) is True, (places, said)


def test_the_words_agree_with_the_claims():
    rng = np.random.default_rng(6)
    for _ in range(3000):
        said = sentence(draw(rng), rng)
        words = said.text.lower().replace("-", " ").split()
        for side, other in (SIDES, SIDES[::-1]):
            sides = {claim.side for claim in said.claims}
            if side in words:
                assert sides & {side, "both"}, said
            if sides == {other}:
                assert side not in words, said
        for claim in said.claims:
            known = FINDINGS.get(claim.finding) or FAMILIES[claim.finding]
            if not claim.negated:
                assert any(word in said.text for word in known.words), said


def test_the_same_seed_says_the_same():
    places = [Place("mass", "left", "mid"), Place("cardiomegaly")]
    one, two, other = (phrase(places, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one == two != other


def test_sentences_vary():
    rng = np.random.default_rng(7)
    assert len({phrase([Place("nodule", "right", "lower")], rng) for _ in range(400)}) > 200


def test_a_clear_film_is_called_clear_and_never_anything_else():
    rng = np.random.default_rng(8)
    for _ in range(300):
        assert all(claim.negated for claim in sentence([], rng).claims)


def test_a_wider_word_is_true_and_a_doubtful_one_is_unknown():
    film = [Place("consolidation", "left", "lower")]
    assert holds([Claim("lung opacity")], film) is True
    assert holds([Claim("lung opacity", "right")], film) is False
    assert holds([Claim("pneumonia", "left", "lower")], film) is True
    assert holds([Claim("pneumonia")], [Place("opacity", "left", "lower")]) is None
    assert holds([Claim("abnormality", negated=True)], film) is False


def test_an_unknown_place_is_neither_right_nor_left():
    film = [Place("pleural effusion")]
    assert holds([Claim("pleural effusion")], film) is True
    assert holds([Claim("pleural effusion", "left")], film) is None
    assert holds([Claim("nodule")], film, complete=False) is None
    assert holds([Claim("nodule", negated=True)], film, complete=True) is True


def test_both_sides_need_both_sides():
    one, two = Place("pleural effusion", "right", "lower"), Place("pleural effusion", "left", "lower")
    assert holds([Claim("pleural effusion", "both")], [one]) is False
    assert holds([Claim("pleural effusion", "both")], [one, two]) is True
    assert evidence([Claim("pleural effusion", "both")], [one, two]) == (True, True)


def test_evidence_is_the_finding_that_was_named():
    film = [Place("nodule", "right", "upper"), Place("nodule", "left", "upper")]
    assert evidence([Claim("nodule", "left")], film) == (False, True)
    assert evidence([Claim("nodule")], film) == (True, True)
    assert evidence([Claim("mass", negated=True)], film) == (False, False)


def test_an_incomplete_record_never_denies_anything():
    rng = np.random.default_rng(9)
    film = [Place("pneumonia"), Place("lung opacity")]
    for _ in range(200):
        assert not any(claim.negated for claim in sentence(film, rng, complete=False).claims)


def test_zones_and_sides_of_the_table_are_known():
    for entry in FINDINGS.values():
        assert set(entry.sides) <= {*SIDES, "both", None}
        assert set(entry.zones) <= {*ZONES, None}
