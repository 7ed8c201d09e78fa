"""Phrases that the parser misread, by kind, with their siblings."""

import pytest

from matex.phrases import claim, parse, polarity
from tests.phrases.weights import EFFUSION

PNEUMOTHORAX = ("apex", "peripheral lung")


def places(text):
    """(the places with a weight, the places without)."""
    mentions = parse(text)
    weighed = {(m.side, m.region): m.weight for m in mentions if m.weight}
    return weighed, {(m.side, m.region) for m in mentions if not m.weight}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Without treatment the left basal consolidation has progressed.", ("left", "lower zone")),
        ("Without antibiotics, the right upper lobe pneumonia will progress.", ("right", "upper lobe")),
        ("Without contrast the left hilar mass cannot be assessed.", ("left", "hilum")),
        ("Without prior films the left apical nodule cannot be dated.", ("left", "apex")),
        ("In the absence of treatment the left basal consolidation has progressed.", ("left", "lower zone")),
    ],
)
def test_what_was_not_done_denies_no_finding(text, place):
    assert places(text) == ({place: 1.0}, set())
    assert polarity(text) == "positive"


def test_without_a_finding_still_denies_it():
    assert places("Without consolidation in the left base.") == ({}, {("left", "lower zone")})
    assert claim("Without comparison.") == "no finding"


@pytest.mark.parametrize(
    "text",
    [
        "IJ line at cavoatrial junction with no pneumothorax.",
        "Right IJ line terminating in the SVC without pneumothorax.",
        "Pacemaker with leads in the right atrium and right ventricle, no pneumothorax.",
        "ET tube above the carina, no pneumothorax.",
    ],
)
def test_where_a_device_lies_is_no_finding_next_to_a_denial(text):
    assert claim(text) == polarity(text) == "negated"
    assert all(mention.weight == 1 for mention in parse(text))  # the place of the tip is named


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IJ line at cavoatrial junction with small right pneumothorax.", "positive"),
        ("ET tube above the carina and enlarged heart, no pneumothorax.", "positive"),
        ("ET tube above the carina and possible left basal opacity.", "uncertain"),
        ("ET tube above the carina.", "no finding"),
    ],
)
def test_a_finding_next_to_a_device_counts(text, expected):
    assert claim(text) == expected


@pytest.mark.parametrize(
    ("text", "active", "absent"),
    [
        ("Right lung clearer than left.", ("left", "lung"), ("right", "lung")),
        ("The left base is clearer than the right.", ("right", "lower zone"), ("left", "lower zone")),
        ("Right base better aerated than the left.", ("left", "lower zone"), ("right", "lower zone")),
        ("The left apex is sharper than the right apex.", ("right", "apex"), ("left", "apex")),
        ("The lungs are clearer on the right.", ("left", "lung"), ("right", "lung")),
    ],
)
def test_the_clearer_side_has_no_weight(text, active, absent):
    assert places(text) == ({active: 1.0}, {absent})


@pytest.mark.parametrize(
    "text",
    [
        "Left lung is better aerated than on the prior film; right upper lobe mass.",
        "Left lung is better aerated than on the prior film but the right upper lobe has a mass.",
    ],
)
def test_an_earlier_film_is_no_other_side(text):
    assert places(text) == ({("left", "lung"): 1.0, ("right", "upper lobe"): 1.0}, set())


def test_less_of_a_finding_is_still_some_of_it():
    assert {m.side: m.weight for m in parse("Right effusion smaller than left.")} == {"right": 0.6, "left": 1.0}
    assert {m.side: m.weight for m in parse("Bilateral opacities, clearer on the left.")} == {"right": 1.0, "left": 0.6}


@pytest.mark.parametrize(
    ("text", "active", "normal"),
    [
        ("right lung base is normal and the left is abnormal", ("left", "lower zone"), ("right", "lower zone")),
        ("The right apex is clear and the left is hazy.", ("left", "apex"), ("right", "apex")),
        ("The left hilum is normal, the right is enlarged.", ("right", "hilum"), ("left", "hilum")),
        ("The right hemidiaphragm is normal but the left appears elevated.", ("left", "hemidiaphragm"), None),
    ],
)
def test_the_other_side_is_that_of_the_same_place(text, active, normal):
    weighed, absent = places(text)
    assert weighed == {active: 1.0}
    assert absent == {normal or ("right", "hemidiaphragm")}


@pytest.mark.parametrize(
    ("text", "active"),
    [
        ("The right base is clear and the left has an effusion.", {("left", region) for region in EFFUSION}),
        ("The right base is clear and the left shows an upper zone nodule.", {("left", "upper zone")}),
        ("The right lung is clear and the left is hazy.", {("left", "lung")}),
    ],
)
def test_a_side_with_a_place_or_an_effusion_of_its_own_takes_no_other(text, active):
    assert set(places(text)[0]) == active


@pytest.mark.parametrize(
    "text",
    [
        "Lungs are hardly clear.",
        "The lungs are barely normal.",
        "The lungs are far from clear.",
        "The lungs are less than clear.",
        "The lungs are anything but clear.",
    ],
)
def test_hardly_clear_is_not_clear(text):
    assert places(text) == ({(None, "lung"): 1.0}, set())
    assert polarity(text) == "positive"


def test_hardly_visible_denies_nothing():
    assert places("A hardly visible nodule in the left apex.") == ({("left", "apex"): 1.0}, set())


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("Left pneumothorax has been drained.", PNEUMOTHORAX),
        ("The left effusion was drained.", EFFUSION),
        ("Left effusion has been completely evacuated.", EFFUSION),
        ("The left effusion has been reabsorbed.", EFFUSION),
    ],
)
def test_what_has_been_drained_has_resolved(text, regions):
    assert places(text) == ({}, {("left", region) for region in regions})


def test_what_has_been_drained_in_part_is_still_there():
    assert polarity("Pneumothorax has been drained.") == "negated"
    assert set(places("The left effusion has been partially drained.")[0]) == {("left", region) for region in EFFUSION}
    assert set(places("The left effusion has not been drained.")[0]) == {("left", region) for region in EFFUSION}


@pytest.mark.parametrize(
    "text",
    [
        "There seems to be an opacity in the left base.",
        "Opacity at the left base, if real.",
        "Left basal opacity, probably real.",
        "Left basal opacity, if present.",
    ],
)
def test_an_opacity_that_may_not_be_real_is_uncertain_also_with_a_place(text):
    assert places(text) == ({("left", "lower zone"): 0.5}, set())
    assert polarity(text) == "uncertain"
