"""Which place has which side: sentences of reports with the places that a radiologist would mark."""

import pytest

from matex.domains import find_pack
from matex.phrases import claim, parse
from matex.phrases.anatomy import Anatomy
from matex.phrases.paraphrases import paraphrases, within_sentence
from matex.phrases.swap_sides import other_side
from matex.phrases.terms import Term, find_terms
from tests.phrases.weights import effusion, pneumothorax, weights


@pytest.mark.parametrize(
    "text",
    [
        "Right side down.",
        "Left side up.",
        "Right side down decubitus.",
        "Right lateral position.",
        "Right and left oblique views.",
        "L marker in the corner.",
    ],
)
def test_a_side_of_a_position_or_a_marker_is_no_place(text):
    assert weights(text) == {}
    assert claim(text) == "no finding"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Right side down decubitus shows a layering left effusion.", effusion(left=1)),
        ("Fluid on the right side up to the apex.", {"right apex": 1}),
        ("Opacity on the left side down to the base.", {"left lower zone": 1}),
    ],
)
def test_a_position_leaves_the_sides_of_findings(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Right upper and lower left lung opacities.", {"right upper zone": 1, "left lower zone": 1}),
        ("Opacities in the right upper and lower left lung.", {"right upper zone": 1, "left lower zone": 1}),
        ("Left upper/lower right zone nodules.", {"left upper zone": 1, "right lower zone": 1}),
        ("Right upper, mid and lower left zones.", {"right upper zone": 1, "left mid zone": 1, "left lower zone": 1}),
        ("Right mid and left lung opacities.", {"right mid zone": 1, "left lung": 1}),
        ("Upper zones of the right and left lung.", {"right upper zone": 1, "left upper zone": 1}),
        ("Opacities in the bases of the right and left lung.", {"right lower zone": 1, "left lower zone": 1}),
        ("Upper and lower zones of the left lung.", {"left upper zone": 1, "left lower zone": 1}),
        ("Apex of the right lung and base of the left lung.", {"right apex": 1, "left lower zone": 1}),
    ],
)
def test_each_level_or_part_has_the_sides_of_its_own_whole(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a side that other anatomy, a device or a direction owns
        ("Left sided large simple exophytic renal cyst, basal opacity.", {"lower zone": 1}),
        ("Left sided dual chamber implanted cardiac pacemaker and basal opacity.", {"lower zone": 1}),
        ("Right internal jugular tunnelled double lumen dialysis catheter, basal opacity.", {"lower zone": 1}),
        ("Left upper chest tube and basal opacity.", {"lower zone": 1}),
        ("Left small pigtail catheter and basal opacity.", {"lower zone": 1}),
        ("Left subclavian central venous catheter and basal opacity.", {"lower zone": 1}),
        ("Right and left ventricles and basal opacity.", {"heart": 1, "lower zone": 1}),
        ("Right ventricle.", {"heart": 1}),
        ("Small left ventricle.", {"heart": 1}),
        ("Kidney cyst, left ventricle.", {"heart": 1}),
        ("Either a small focal dense patchy rounded new consolidation or an effusion.", {}),
        (
            "Deviation of the trachea and upper mediastinum slightly to the right.",
            {"trachea": 1, "upper mediastinum": 1},
        ),
        ("Displaced rib fractures and a pleural effusion tracking up to the right apex.", {"rib": 1, "right apex": 1}),
        ("Displaced left kidney, basal opacity.", {"lower zone": 1}),
        # but not that of a finding next to them
        ("Effusion on the right obscuring the liver.", effusion(right=1)),
        ("Opacity on the left abutting the stomach.", {"left lung": 1}),
        ("Effusion on the right containing a chest tube.", effusion(right=1)),
        ("Mass in the left enlarging kidney.", {}),
        ("Calcification on the right kidney obscuring bowel.", {}),
        ("Effusion on the right, chest tube in place.", effusion(right=1)),
        ("Pneumothorax with a chest tube on the left.", {}),
        ("Chest tube on the left and basal opacity.", {"lower zone": 1}),
        ("Chest tube on the left with basal opacity.", {"lower zone": 1}),
        ("Chest tube removed; the left is clear.", {"left lung": 0}),
        ("Pacemaker, right effusion, the left is clear.", effusion(right=1, left=0)),
    ],
)
def test_a_side_belongs_to_one_noun(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L spine fracture and basal opacity.", {"spine": 1, "lower zone": 1}),
        ("L1 fracture and basal opacity.", {"lower zone": 1}),
        ("5 L of oxygen, basal opacity.", {"lower zone": 1}),
        ("2.5 L drained, basal opacity.", {"lower zone": 1}),
        ("r > l effusion", effusion(right=1, left=0.6)),
        ("Effusions, r < l.", effusion(right=0.6, left=1)),
        ("effusion l", {}),
        ("effusion L", effusion(left=1)),
        ("Left peri\u2010hilar opacity.", {"left perihilar": 1}),
        ("Left peri\u2011hilar opacity.", {"left perihilar": 1}),
        ('Right "lower" opacity.', {"right lower zone": 1}),
        ("R lung opacity.", {"right lung": 1}),
        ("3 cm L apical nodule.", {"left apex": 1}),
        ("Film of 12 May shows left effusion.", effusion(left=1)),
        ("12 May shows left effusion.", effusion(left=1)),
        ("Since May 2020 left effusion is larger.", effusion(left=1)),
        ("There may be 2 nodules in the left apex.", {"left apex": 0.5}),
        ("Opacity of 2 cm may be in the left apex.", {"left apex": 0.5}),
        ("Can’t exclude left basal opacity.", {"left lower zone": 0.5}),
        ("No upper, mid, lower zone opacity.", {"upper zone": 0, "mid zone": 0, "lower zone": 0}),
        ("No interval or significant change in the left effusion.", effusion(left=1)),
        ("The trachea is central.", {"trachea": 0}),
        ("Trachea central lungs clear.", {"trachea": 0, "lung": 0}),
        ("Opacity is central.", {"central lung": 1}),
        ("Mediastinal central mass.", {"mediastinum": 1, "central lung": 1}),
    ],
)
def test_letters_months_and_adjectives_are_read_in_their_context(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Effusions, larger again on the left.", effusion(right=0.6, left=1)),
        ("Nodules > 5 mm in the right and left lung.", {"right lung": 1, "left lung": 1}),
        ("Effusions larger in the right.", effusion(right=1, left=0.6)),
        ("Effusions larger at the left.", effusion(right=0.6, left=1)),
        ("Opacities slightly larger on the left.", {"right lung": 0.6, "left lung": 1}),
        ("Markings more increased on the right.", {"right lung": 1, "left lung": 0.6}),
        ("Opacities worse on both sides.", {"right lung": 1, "left lung": 1}),
        ("The lungs are less clear on the right.", {"right lung": 1, "left lung": 0}),
        ("The lungs are not as clear on the left.", {"right lung": 0, "left lung": 1}),
        ("Less clear right lung.", {"right lung": 1}),
        ("The right lung is clearer than on the left.", {"right lung": 0, "left lung": 1}),
        ("Clearer lung on the right than on the left.", {"right lung": 0, "left lung": 1}),
        ("Larger hazy opacity on the right than on the left.", {"right lung": 1, "left lung": 0.6}),
        ("More opacity in the left lower lobe than the right.", {"left lower lobe": 1, "right lower lobe": 0.6}),
        ("Right effusion is larger than the effusion on the left.", effusion(right=1, left=0.6)),
        ("Right effusion is larger than before: left effusion.", effusion(right=1, left=1)),
        ("Left lung is better aerated than before, right apical mass.", {"left lung": 1, "right apex": 1}),
        (
            "There are effusions at both bases, the left slightly larger than the right.",
            {"right lower zone": 0.6, "left lower zone": 1},
        ),
        ("Atelectasis right greater than left lung base.", {"right lower zone": 1, "left lower zone": 0.6}),
        (
            "Effusion on the right greater than on the left with basal opacity.",
            effusion(right=1, left=0.6) | {"lower zone": 1},
        ),
        ("Right greater than left effusions, hilar mass.", effusion(right=1, left=0.6) | {"hilum": 1}),
        ("Basal right greater than left effusions.", effusion(right=1, left=0.6) | {"lower zone": 1}),
        (
            "Right greater than left effusions, a left apical nodule and a right hilar mass.",
            effusion(right=1, left=0.6) | {"left apex": 1, "right hilum": 1},
        ),
        ("Effusions larger on the right and a left apical nodule.", effusion(right=1, left=0.6) | {"left apex": 1}),
        ("Opacities worse on the left, apical nodule.", {"right lung": 0.6, "left lung": 1, "apex": 1}),
        # the weights go to what is on both sides already, unless the comparison names another place
        ("Bilateral effusions, heart normal, right greater than left.", effusion(right=1, left=0.6) | {"heart": 0}),
        (
            "Bilateral effusions, right greater than left, and a left apical nodule.",
            effusion(right=1, left=0.6) | {"left apex": 1},
        ),
        (
            "Both hila are enlarged; the right lung is larger than the left.",
            {"right hilum": 1, "left hilum": 1, "right lung": 1, "left lung": 0.6},
        ),
        (
            "Bilateral opacities, right basal opacity greater than left.",
            {"right lung": 1, "left lung": 1, "right lower zone": 1, "left lower zone": 0.6},
        ),
    ],
)
def test_compared_sides_have_their_weights(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the standard of a comparison
        ("Compared to the right there is more opacity at the base.", {"right lower zone": 0, "lower zone": 1}),
        ("Opacity on the left but not on the right is basal.", {"left lower zone": 1, "right lower zone": 0}),
        ("Opacities on the left but not on the right are basal.", {"left lower zone": 1, "right lower zone": 0}),
        ("None on the right at the base.", {"right lower zone": 0}),
        ("None on the right but a nodule in the apex.", {"right apex": 0, "apex": 1}),
        (
            "The left base is less clear than the right with basal opacity.",
            {"left lower zone": 1, "right lower zone": 0, "lower zone": 1},
        ),
        ("Unlike the right base or apex, the left is hazy.", {"right lower zone": 0, "right apex": 0, "left apex": 1}),
        ("Unlike the right, the base of the left lung is hazy.", {"right lower zone": 0, "left lower zone": 1}),
        ("In contrast to the left lung, the lung is opacified.", {"left lung": 0, "lung": 1}),
        (
            "The left lung is not as well aerated at the base as the right.",
            {"left lower zone": 1, "right lower zone": 0},
        ),
        (
            "Left lower lobe opacity, none in the right lung; left apical nodule, none in the right apex.",
            {"left lower lobe": 1, "right lung": 0, "left apex": 1, "right apex": 0},
        ),
        ("Effusion in the left, not right.", effusion(left=1, right=0)),
        ("Left effusion, none on the right.", effusion(left=1, right=0)),
        ("Left none, right increased effusion.", {"left lung": 0} | effusion(right=1)),
        ("Compared to the right the left base is hazy.", {"right lower zone": 0, "left lower zone": 1}),
        ("As before, less clear right lung.", {"right lung": 1}),
        ("Opacity larger than before in the right lung compared to the left.", {"right lung": 1, "left lung": 0}),
        ("As before, the lungs are less clear on the right.", {"right lung": 1, "left lung": 0}),
        (
            "Left base hazy unlike the right base; left apex hazy unlike the right apex.",
            {"left lower zone": 1, "right lower zone": 0, "left apex": 1, "right apex": 0},
        ),
        ("Widespread opacities with sparing of the left.", {"left lung": 0}),
        ("No evidence of right, only left effusion.", effusion(right=0, left=1)),
        # what is excepted
        ("But not on the left.", {}),
        ("Lungs are clear but not on the right.", {"lung": 0, "right lung": 1}),
        ("Lungs are clear but not on the right, heart enlarged.", {"lung": 0, "right lung": 1, "heart": 1}),
        ("Lungs are clear but not in the right base.", {"lung": 0, "right lower zone": 1}),
        ("The lungs are clear but not the right base.", {"lung": 0, "right lower zone": 1}),
        ("The right base is clear but not the left apex.", {"right lower zone": 0, "left apex": 1}),
        ("Consolidation but not in the left lung.", {"left lung": 0}),
        ("The effusion has resolved but not on the right.", effusion(right=1)),
        ("Effusion has resolved on the left but not on the right.", effusion(left=0, right=1)),
        ("The right effusion has resolved but not the left effusion.", effusion(right=0, left=1)),
        ("Nodules on the right but not in the left lung.", {"right lung": 1, "left lung": 0}),
        ("Nodules in the right base but not in the left base.", {"right lower zone": 1, "left lower zone": 0}),
        ("The right and not the left lung is clear.", {"right lung": 0, "left lung": 1}),
        ("The left, but not the right, lung is clear.", {"left lung": 0, "right lung": 1}),
        ("Effusion resolved on the left, larger on the right.", effusion(left=0, right=1)),
        ("Effusion larger on the right, resolved on the left.", effusion(left=0, right=1)),
        ("Pneumothorax is no longer seen on the right, smaller on the left.", pneumothorax(right=0, left=1)),
        ("Effusions: left has resolved, worse on the right.", effusion(left=0, right=1)),
        ("Heart is normal, effusion worse on the left.", {"heart": 0, **effusion(left=1, right=0.6)}),
        ("Normal left lung, opacity worse on the right.", {"left lung": 0, "right lung": 1}),
        ("Right lung is clear, effusion worse on the left.", {"right lung": 0, **effusion(left=1)}),
        ("Right effusion has resolved, larger on the left.", effusion(right=0, left=1)),
        ("No right effusion, worse on the left.", effusion(right=0, left=1)),
        ("Left lung free of effusion, opacity larger on the right.", {"left lung": 0, "right lung": 1}),
        ("No change on the right, worse on the left.", {"right lung": 0.6, "left lung": 1}),
        ("The left is normal, worse on the right.", {"left lung": 0, "right lung": 1}),
        ("Effusion is seen on the right, worse on the left.", effusion(right=0.6, left=1)),
        ("No right and no left effusion.", effusion(right=0, left=0)),
        ("Right base opacity and no left effusion.", {"right lower zone": 1, **effusion(left=0)}),
    ],
)
def test_the_other_side_has_what_the_comparison_or_exception_says(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Stable on the left with left basal atelectasis.", {"left lower zone": 1}),
        ("The left is hazy but the bases are normal.", {"left lung": 1, "lower zone": 0}),
        ("Effusion right, left, heart enlarged.", effusion(right=1, left=1) | {"heart": 1}),
        ("Effusion, left, heart enlarged.", effusion(left=1) | {"heart": 1}),
        ("Effusions on each side obscuring consolidation.", effusion(right=1, left=1)),
        ("Effusions bilaterally obscuring consolidation.", effusion(right=1, left=1)),
        ("Effusion on the right obscuring consolidation.", effusion(right=1)),
        ("Heart normal, density on the left in the base reflects collapse.", {"heart": 0, "left lower zone": 1}),
        ("Density on the left in the base reflects collapse, heart normal.", {"left lower zone": 1, "heart": 0}),
        ("Clear on the right, hazy on the left.", {"right lung": 0, "left lung": 1}),
        ("Clear on the right base, hazy on the left.", {"right lower zone": 0, "left lung": 1}),
        ("Both are clear, no effusion.", {"right lung": 0, "left lung": 0}),
        ("Right normal lung.", {"right lung": 0}),
        ("Left stable, right effusion smaller.", effusion(left=1, right=1)),
        ("The left persists, the right effusion has resolved.", effusion(left=1, right=0)),
        ("Right better, left resolved.", {"right lung": 1, "left lung": 0}),
        ("Effusion: resolved on the right.", effusion(right=0)),
        ("On the left, left basal opacity.", {"left lower zone": 1}),
        ("Effusion left, right lung clear.", effusion(left=1) | {"right lung": 0}),
        ("No effusion left, right pneumothorax.", {**effusion(left=0), "right apex": 1, "right peripheral lung": 1}),
        ("No effusion right, left.", effusion(right=0, left=0)),
        ("Opacity right, left base nodule.", {"right lung": 1, "left lower zone": 1}),
        ("Opacity right, basal nodule.", {"right lung": 1, "lower zone": 1}),
        ("Hazy opacities bilaterally, apical nodule.", {"right lung": 1, "left lung": 1, "apex": 1}),
        ("Opacity on the right, basal.", {"right lower zone": 1}),
        ("Opacity on the left, in the lower lobe.", {"left lower lobe": 1}),
        ("On the left, apical nodule, basal atelectasis.", {"left apex": 1, "left lower zone": 1}),
        ("Small right, moderate left effusions.", effusion(right=1, left=1)),
        ("Small right and dense left effusions.", effusion(right=1, left=1)),
        ("No right, left or bilateral effusion.", effusion(right=0, left=0)),
        # the same place on the other side
        ("The bases are normal but the left is hazy.", {"lower zone": 0, "left lower zone": 1}),
        ("The right base is clear and the left is hazy at the apex.", {"right lower zone": 0, "left apex": 1}),
        (
            "The right base is clear and the left appears to have an effusion.",
            {"right lower zone": 0} | effusion(left=1),
        ),
        ("Right effusion is small and the left is hazy.", effusion(right=1) | {"left lung": 1}),
        ("The left is hazy.", {"left lung": 1}),
    ],
)
def test_a_side_alone_or_behind_its_finding(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left pleural small effusion.", {"pleura": 1} | effusion(left=1)),
        ("Left effusion along the chest wall.", {"left chest wall": 1}),
        ("Right major fissure effusion.", {"right major fissure": 1}),
        ("Right effusion tracking into the major fissure.", effusion(right=1) | {"right major fissure": 1}),
        ("Right hernia containing gas.", {}),
        ("Basal opacity and small right effusion.", {"lower zone": 1} | effusion(right=1)),
        ("Right hilar and lung masses.", {"right hilum": 1, "right lung": 1}),
        ("Right hilar or lung mass.", {"right hilum": 1, "right lung": 1}),
        ("Left effusion and small pneumothorax.", effusion(left=1) | {"left apex": 1, "left peripheral lung": 1}),
        ("Left effusion and loculated pneumothorax.", effusion(left=1) | {"left apex": 1, "left peripheral lung": 1}),
        (
            "Retrocardiac opacity, effusion on the right.",
            {"retrocardiac": 1, "left lower zone": 1} | effusion(right=1),
        ),
        ("No edema, retrocardiac opacity on the right.", {"retrocardiac": 1, "right lower zone": 1}),
        (
            "Retrocardiac opacity, nodule right, heart normal.",
            {"retrocardiac": 1, "left lower zone": 1, "right lung": 1, "heart": 0},
        ),
        (
            "Retrocardiac opacity, nodule on the right.",
            {"retrocardiac": 1, "left lower zone": 1, "right lung": 1},
        ),
        ("Retrocardiac opacity, on the right.", {"retrocardiac": 1, "right lower zone": 1}),
        ("Retrocardiac opacity, right side.", {"retrocardiac": 1, "right lower zone": 1}),
        ("The heart is enlarged on the left.", {"heart": 1}),
        ("The cardiac borders are indistinct on the left.", {"heart": 1}),
        ("Heart border obscured by consolidation on the left.", {"heart": 1, "left lung": 1}),
        ("Abdominal unusual gas on the left.", {"upper abdomen": 1}),
        ("Abdominal large gas on the left.", {"upper abdomen": 1}),
        ("Mediastinal mass calcification on the right.", {"mediastinum": 1}),
        ("Mass in the mediastinum on the right.", {"mediastinum": 1}),
        ("RUL opacity in the right.", {"right upper lobe": 1, "right lung": 1}),
        ("Opacity at the bases, small effusion on the left.", {"lower zone": 1} | effusion(left=1)),
        ("Opacity at the bases, loculated effusion on the left.", {"lower zone": 1} | effusion(left=1)),
        ("Opacity at the bases, effusion stable on the left.", {"lower zone": 1} | effusion(left=1)),
        ("Opacity at the bases, effusion again on the left.", {"lower zone": 1} | effusion(left=1)),
        ("Opacity at the bases, effusion bilaterally.", {"lower zone": 1} | effusion(right=1, left=1)),
        ("Opacity at the bases, no effusion on the left.", {"lower zone": 1} | effusion(left=0)),
        (
            "Opacity at the bases, pneumothorax or effusion on the left.",
            {"lower zone": 1, "left apex": 1, "left peripheral lung": 1} | effusion(left=1),
        ),
        ("Peripheral left apical opacity.", {"left apex": 1}),
        ("Peripheral left apicolateral opacity.", {"left apex": 1, "left peripheral lung": 1}),
        # parts and their wholes
        ("Heart normal, apical nodule in the right lung.", {"heart": 0, "right apex": 1}),
        ("Apical nodule in the right lung, and effusion.", {"right apex": 1}),
        ("Apical scar, nodule in the right lung.", {"apex": 1, "right lung": 1}),
        ("Opacity in the lung bases obscures the left hemidiaphragm.", {"lower zone": 1, "left hemidiaphragm": 1}),
        ("Base of the RLL is hazy.", {"right lower zone": 1, "right lower lobe": 1}),
        ("Nodule in the base within the left lower lobe.", {"left lower zone": 1, "left lower lobe": 1}),
        ("Nodule in the apical segment of the left upper lobe.", {"left apex": 1, "left upper lobe": 1}),
    ],
)
def test_a_side_reaches_the_places_of_its_finding(text, expected):
    assert weights(text) == expected


def test_a_denial_keeps_the_side_of_a_breast_from_the_other_one():
    found = parse("Mass in the upper outer quadrant, no mass in the left breast.", find_pack("mammography").anatomy)
    assert [(m.region, m.side, m.weight) for m in found] == [
        ("upper outer quadrant", None, 1.0),
        ("breast", "left", 0.0),
    ]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Larger on the left.", ["Larger on the left"] * 2),
        ("Effusion on the right, chest tube in place.", ["Effusion on the right"] * 2),
    ],
)
def test_the_words_of_compared_sides_are_those_of_the_comparison(text, spans):
    assert [mention.text for mention in parse(text)] == spans


def test_terms_outside_a_sentence_are_nothing_and_a_search_ends_near():
    terms = find_terms("odd " * 70, 0)
    assert (terms.word(-1), terms.word(len(terms))) == ("", "")
    assert not terms.is_modifier(-1)
    assert not terms.is_modifier(len(terms))
    assert (terms.skip(0, 1, "other"), terms.skip(19, -1, "other"), terms.skip(2, 1, "side")) == (16, 3, 2)
    assert (terms.after(2), terms.before(68)) == (range(3, 62), range(67, 8, -1))


def test_a_term_holds_its_kinds_words_value_and_place():
    terms = find_terms("The trachea is central?", 10)
    assert terms.all == (
        Term(frozenset({"place"}), "trachea", "trachea", 14, 21),
        Term(frozenset({"singular verb"}), "is", "", 22, 24),
        Term(frozenset({"normal"}), "central", "", 25, 32),
        Term(frozenset({"uncertain"}), "?", "", 32, 33),
    )
    assert find_terms("No interval or significant change, odd.", 0)[0].kinds == {"ignored"}


ONE_PLACE = Anatomy(
    midline=frozenset(),
    one_sided={},
    places={"knee": ("knee",)},
    weak_places={},
    findings={"other": ("fracture",)},
    body=(),
)


def test_without_a_region_for_a_side_alone_it_names_none():
    assert ONE_PLACE.usual("other") == ONE_PLACE.usual(None) == ()
    assert parse("left fracture", ONE_PLACE) == parse("the left is clear", ONE_PLACE) == ()
    assert [(m.region, m.side) for m in parse("left knee fracture", ONE_PLACE)] == [("knee", "left")]


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("Right apical nodule", "Left apical nodule"),
        ("Nodule in the LEFT apex", "Nodule in the RIGHT apex"),
        ("R effusion", "L effusion"),
        ("Lt base opacity, RLL nodule", "Rt base opacity, LLL nodule"),
        ("RUL and left hilar mass", "LUL and right hilar mass"),
        ("Right middle lobe opacity", None),
        ("Bilateral effusions", None),
    ],
)
def test_sides_are_exchanged_with_their_capitals(text, swapped):
    assert other_side(text) == swapped
    assert swapped is None or other_side(swapped) == text


def test_a_phrase_within_a_sentence_keeps_its_abbreviations():
    assert [within_sentence(text) for text in ("ET tube", "Nodule in the RUL seen", "")] == [
        "ET tube",
        "nodule in the RUL seen",
        "",
    ]
    assert paraphrases(" Nodule in rib X. ")[0] == "there is nodule in rib X"


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("Right base opacity, worse on the left.", "lower zone"),
        ("Opacity at the right base, worse on the left.", "lower zone"),
        ("Right lower zone hazy consolidation, greater on the left.", "lower zone"),
        ("Right upper lobe nodule, larger on the left.", "upper lobe"),
        ("Right perihilar opacities, worse on the left.", "perihilar"),
    ],
)
def test_a_comparison_after_a_finding_is_of_the_place_before_it(text, region):
    assert {(m.region, m.side) for m in parse(text)} == {(region, "right"), (region, "left")}
    assert max(m.weight for m in parse(text) if m.side == "left") == 1
