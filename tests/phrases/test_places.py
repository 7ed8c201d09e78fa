"""Which place has which side: sentences of reports with the places that a radiologist would mark."""

import pytest

from matex.phrases import claim, parse

EFFUSION = ("lower zone", "costophrenic angle")


def weights(text):
    return {f"{mention.side or ''} {mention.region}".strip(): mention.weight for mention in parse(text)}


def effusion(**sides):
    return {f"{side} {region}": weight for side, weight in sides.items() for region in EFFUSION}


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
