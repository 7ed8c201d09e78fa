"""What the words around a place or finding change: other owners of a side, levels, denials, comparisons."""

import pytest

from matex.phrases import claim
from tests.phrases.weights import effusion, weights


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left ventricular enlargement and an apical nodule.", {"heart": 1, "apex": 1}),
        ("The lingular heart border is obscured.", {"left lingula": 1, "heart": 1}),
        ("Left pneumothorax chest tube in place.", {"left apex": 1, "left peripheral lung": 1}),
        ("Right or left chest tubes with a basal opacity.", {"lower zone": 1}),
        ("Right and left chest tubes.", {}),
        ("Pleural drain in situ.", {}),
        ("Lung wire in situ.", {}),
        ("Kidney small cyst on the left.", {}),
        ("Renal lobulated cyst on the left.", {}),
        ("Renal cyst calcification on the left.", {}),
        ("Mass lesion in the liver on the right.", {}),
        ("Mass in the lobulated kidney on the left.", {}),
        ("Cyst in the large kidney on the left.", {}),
        ("Cyst in the upper kidney on the left.", {}),
    ],
)
def test_a_side_of_a_device_or_other_anatomy_is_no_side_of_the_chest(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left shift.", {}),
        ("Structures shifted left.", {}),
        ("Nodules deviated toward the right.", {}),
        ("Nodules displaced towards the right.", {}),
        ("Left shift of the mediastinum.", {"mediastinum": 1}),
        ("Displaced left lower lobe bronchus.", {"left lower lobe": 1}),
        ("Shifted left lung.", {"left lung": 1}),
        ("Displaced left pleural surface.", {"left pleura": 1}),
        ("Displaced left apicoposterior bronchus.", {"left upper lobe": 1}),
        ("Displaced right nodule.", {"right lung": 1}),
        ("Displaced left spiculation in the base.", {"left lower zone": 1}),
        ("Displaced left small nodule.", {"left lung": 1}),
    ],
)
def test_a_side_after_a_direction_is_a_place_only_before_a_noun(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Both small and large effusions.", effusion(right=1, left=1)),
        ("Both effusions and a nodule.", effusion(right=1, left=1)),
        ("Either a spiculated mass or an effusion.", {}),
        ("Either a small effusion or a mass.", {}),
    ],
)
def test_both_and_either_are_sides_unless_they_pair_two_findings(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Right lower opacity.", {"right lower zone": 1}),
        ("Right upper is hazy.", {"right upper zone": 1}),
        ("Opacity on the right lower.", {"right lower zone": 1}),
        ("Opacity in the right upper or middle lobe.", {"right upper lobe": 1, "right middle lobe": 1}),
        ("Nodule in the left upper anterior zone.", {"left upper zone": 1}),
        ("Opacity in the right lower residual lobe.", {"right lower lobe": 1}),
        ("Diaphragm on the left lower than on the right.", {"left hemidiaphragm": 0.6, "right hemidiaphragm": 1}),
        ("Right base and apex of the left lung are hazy.", {"right lower zone": 1, "left apex": 1}),
        ("Basal right or left lung opacity.", {"right lower zone": 1, "left lower zone": 1}),
        ("Basal or apical left opacity.", {"left lower zone": 1, "left apex": 1}),
    ],
)
def test_a_level_or_adjective_has_the_side_next_to_it(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nodule not seen on the prior film in the left base.", {"left lower zone": 1}),
        ("Nodule at the left base, not seen earlier.", {"left lower zone": 1}),
        ("Left basal nodule is absent on the prior film.", {"left lower zone": 1}),
        ("Nodules in the left base are absent on the previous film.", {"left lower zone": 1}),
        ("Consolidation has cleared in the right base.", {"right lower zone": 0}),
        ("The right base shows resolved effusion.", {"right lower zone": 0}),
        ("The right lung has none.", {"right lung": 0}),
        ("Left effusion, no longer seen on today's film.", effusion(left=0)),
        ("Right effusion resolved on the left lateral view.", effusion(right=0)),
        ("Disappeared right effusion.", effusion(right=0)),
        ("Vanished left nodule.", {"left lung": 0}),
        ("Not disappeared right effusion.", effusion(right=1)),
        ("Nearly vanished left nodule.", {"left lung": 1}),
        ("The right effusion has nearly disappeared.", effusion(right=1)),
        ("The right effusion is almost gone.", effusion(right=1)),
        ("The right effusion is not gone.", effusion(right=1)),
        ("Left effusion appears resolved right effusion persists.", effusion(left=0, right=1)),
        ("Left basal opacity, right apical nodule?", {"left lower zone": 0.5, "right apex": 0.5}),
        ("Left effusion possible, heart enlarged.", effusion(left=0.5) | {"heart": 1}),
        ("Left effusion possible but heart normal.", effusion(left=0.5) | {"heart": 0}),
        ("Opacity: left heart border not seen.", {"heart": 1}),
        (
            "Left basal opacity with the left hemidiaphragm not seen.",
            {"left lower zone": 1, "left hemidiaphragm": 1},
        ),
    ],
)
def test_a_denial_or_doubt_covers_its_own_part_and_what_is_said_of_this_film(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Larger right than left effusions.", effusion(right=1, left=0.6)),
        ("Smaller right than left effusion.", effusion(right=0.6, left=1)),
        ("Larger effusion on the right than on the left.", effusion(right=1, left=0.6)),
        ("More opacity on the right than left.", {"right lung": 1, "left lung": 0.6}),
    ],
)
def test_a_comparative_before_both_sides_compares_them(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hazy opacity without effusion.", "positive"),
        ("Opacity, possible artifact.", "uncertain"),
        ("Opacity and effusion, possible artifact.", "positive"),
        ("Status post pneumonia, no effusion.", "negated"),
        ("Discussed with Dr. Wilson, emergency department.", "no finding"),
        ("Tube not in the stomach.", "no finding"),
        ("Portable film shows bronchiolitis.", "positive"),
        ("Leads in the right atrium and in the right ventricle.", "no finding"),
        ("Drain in the right pleura and left pleural space.", "no finding"),
        ("Portable film, right lower lobe.", "positive"),
    ],
)
def test_a_sentence_claims_what_it_describes_and_nothing_about_devices_or_readers(text, expected):
    assert claim(text) == expected
