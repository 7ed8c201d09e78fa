"""How far words act: comparisons, contrasts and denials, at the lengths where they stop."""

import pytest

from matex.phrases import claim, parse, sentences
from tests.phrases.weights import weights


def sides(text):
    return {(mention.region, mention.side): mention.weight for mention in parse(text)}


def test_sides_are_compared_over_a_description_of_any_length():
    words = "small patchy dense bulky chronic stable mild"
    for description in (words, f"{words} {words}"):
        assert sides(f"Right basal {description} opacity is greater than left.") == {
            ("lower zone", "right"): 1.0,
            ("lower zone", "left"): 0.6,
        }


def test_a_contrast_is_that_of_the_nearest_place():
    found = sides("Right lower zone opacity and right apical nodule but not on the left.")
    assert found == {("lower zone", "right"): 1.0, ("apex", "right"): 1.0, ("apex", "left"): 0.0}


def test_a_finding_without_a_place_before_its_denial_is_denied_on_the_side_after_it():
    assert set(sides("Effusion noted and resolved on the right.").values()) == {0.0}
    assert sides("Effusion is present on the left and absent on the right.")["lower zone", "left"] == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No complication after line placement.", "negated"),
        ("No devices.", "no finding"),
        ("Line in place, no complication.", "negated"),
        ("Fluid level not seen on the lateral view.", "positive"),
        ("Line not seen on the lateral view.", "no finding"),
        ("Normal portable radiograph.", "normal"),
        ("Tube in normal position.", "no finding"),
        ("Drains in the right upper lobe and lower lobe.", "no finding"),
        ("Drains in the RUL and RLL.", "no finding"),
        ("Drain in the right upper lobe and opacity in the lower lobe.", "positive"),
    ],
)
def test_a_denial_next_to_a_device_claims_something_or_nothing(text, expected):
    assert claim(text) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Nodule\nin the left lung", 1),
        ("Nodule\n\nin the left lung", 2),
        ("Nodule (approx. 2 cm) on the left.", 1),
        ("? nodule on the left", 1),
        ("Nodule? On the left.", 2),
    ],
)
def test_where_a_sentence_ends(text, count):
    assert len(sentences(text)) == count


@pytest.mark.parametrize(
    ("text", "right", "left"),
    [
        ("Left resolved, right increased effusion.", 1, 0),
        ("Right effusion larger and left resolved.", 1, 0),
        ("Right effusion larger and left resolved on this film.", 1, 0),
        ("Right effusion smaller and left resolved.", 1, 0),
        ("Both small dense effusions.", 1, 1),
        ("Effusions, smaller on the left.", 1, 0.6),
        ("Effusions, larger on the left.", 0.6, 1),
    ],
)
def test_each_side_of_an_effusion_has_the_weight_of_its_own_part(text, right, left):
    found = sides(text)
    assert found == {
        (region, side): weight
        for region in ("lower zone", "costophrenic angle")
        for side, weight in (("right", right), ("left", left))
    }


@pytest.mark.parametrize("place", ["left upper lobe", "left lung", "in the left upper zone"])
def test_a_denial_reaches_over_a_comma_to_a_place_that_ends_the_statement(place):
    assert set(sides(f"No consolidation, {place}.").values()) == {0.0}
    assert set(sides(f"No consolidation, {place} nodule.").values()) == {1.0}


def test_a_border_that_is_not_seen_is_obscured_also_after_a_comma():
    assert sides("Opacity, left heart border not seen.") == {("heart", None): 1.0}


def test_a_heading_is_normal_with_what_follows_it_and_beyond_normal_is_not():
    assert sides("Lungs: normal markings.") == {("lung", None): 0.0}
    assert sides("Heart exceeds normal limits, lungs clear.") == {("heart", None): 1.0, ("lung", None): 0.0}
    assert sides("Lungs clear, heart beyond normal limits and normal mediastinum.")["heart", None] == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bibasilar opacities; the left has resolved.", [("right", 1), ("left", 0)]),
        ("Bibasilar opacities; the left is unchanged.", [("right", 1), ("left", 1), ("left", 1)]),
    ],
)
def test_what_repeats_a_place_takes_its_side_away_only_where_it_is_denied(text, expected):
    assert [(mention.side, mention.weight) for mention in parse(text)] == expected


def test_a_heading_is_denied_within_its_own_statement():
    assert weights("Right base opacity; left lung: no opacity.") == {"right lower zone": 1, "left lung": 0}


def test_a_history_ends_where_something_else_is_denied():
    mentions = parse("History of left effusion and no right effusion.")
    assert {(mention.side, mention.historical, mention.negated) for mention in mentions} == {
        ("left", True, False),
        ("right", False, True),
    }
