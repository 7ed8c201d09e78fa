"""The checks that depend on the domain: whether the map lies in the organ, and whether the image has sides."""

import math

import numpy as np
import pytest

from matex.audits.checks import no_sides
from matex.audits.organ import check_lungs, check_organ, organ_check
from matex.audits.side import check_side
from matex.domains import find_pack
from matex.phrases import Mention
from tests.audits.hand_made import FLAT, MASK, column, explained, lungs_check, said, side_controls
from tests.fake_explanation import film

BRAIN, ABDOMEN, MAMMOGRAM = "brain-axial", "abdomen", "mammography"


def head(height=512, width=512, x=(0.25, 0.75), y=(0.125, 0.875)):
    """A bright rectangle on a dark image, from fractions x and y of the image."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[round(y[0] * height) : round(y[1] * height), round(x[0] * width) : round(x[1] * width)] = 160
    return film(height, width, pixels=pixels, view="AXIAL-VENTRICLES")


def in_domain(domain, grid, picture=None, **changes):
    return explained(grid, picture=picture or head(), provenance={"domain": domain}, **changes)


@pytest.mark.parametrize(("index", "state", "share"), [(4, "pass", 0), (9, "pass", 0), (1, "warn", 1), (13, "warn", 1)])
def test_a_map_of_a_brain_should_lie_in_the_box_around_the_head(index, state, share):
    """The box covers columns 3.5 to 10.5 of 14 and rows 1.5 to 10.5 of 12: 37.5 % of the image."""
    grid = column(index)
    grid[:3] = grid[9:] = 0
    check = check_organ(in_domain(BRAIN, grid), find_pack(BRAIN))
    assert check.question == "Does the map lie in the head?"
    assert check.rule == "Warns when the share outside the head is at least that of a map that is the same everywhere."
    assert check.state == state
    assert check.values["outside_organ"] == pytest.approx(share, abs=0.02)
    assert check.values["outside_organ_of_an_even_map"] == pytest.approx(0.625, abs=0.01)
    assert set(check.values) == {"outside_organ", "outside_organ_of_an_even_map"}
    assert check.answer == (
        f"{100 * check.values['outside_organ']:.0f} % of the map lies outside the box around the head; a map that is "
        f"the same everywhere would have {100 * check.values['outside_organ_of_an_even_map']:.0f} % there."
    )


def test_an_even_map_warns_since_it_does_not_prefer_the_organ():
    check = check_organ(in_domain(BRAIN, FLAT), find_pack(BRAIN))
    assert check.values["outside_organ"] == check.values["outside_organ_of_an_even_map"]
    assert check.state == "warn"


def test_the_check_of_an_organ_replaces_that_of_the_lungs():
    found = organ_check(in_domain(BRAIN, column(5)))
    assert list(found) == ["organ"]
    assert found["organ"].question == "Does the map lie in the head?"
    assert found["organ"] == check_organ(in_domain(BRAIN, column(5)), find_pack(BRAIN))
    lung = organ_check(explained(column(3)))
    assert list(lung) == ["lungs"]
    assert lung["lungs"].question == "Does the map lie in the lungs?"


def test_an_organ_that_fills_the_film_by_its_pack_is_not_checked():
    check = organ_check(in_domain(ABDOMEN, column(5), film(view="AP")))["organ"]
    assert check.question == "Does the map lie in the abdomen?"
    assert said(check) == ("skipped", "The abdomen fills the image.", {})
    assert check.rule.startswith("Warns when the share outside the abdomen is at least")


def test_an_organ_that_is_not_found_is_not_checked():
    flat = film(pixels=np.full((512, 512), 90, np.uint8))
    for domain, organ in ((BRAIN, "head"), (MAMMOGRAM, "breast")):
        check = organ_check(in_domain(domain, column(5), flat))["organ"]
        assert check.question == f"Does the map lie in the {organ}?"
        assert said(check) == ("skipped", f"No {organ} was found in front of a dark background.", {})
        assert check.rule.startswith(f"Warns when the share outside the {organ} is at least")


@pytest.mark.parametrize(("x", "word", "even"), [((0.02, 0.98), "fills", 0.0), ((0.02, 0.15), "lies outside", 1.0)])
def test_an_organ_that_a_cropped_view_fills_or_misses_is_not_checked(x, word, even):
    """The model sees the middle third of a wide image."""
    wide = head(300, 1050, x, (0, 1))
    check = organ_check(in_domain(BRAIN, column(5), wide, resize="crop"))["organ"]
    assert (check.state, check.answer) == ("skipped", f"The head {word} what the model sees.")
    assert check.values["outside_organ_of_an_even_map"] == even
    assert check.question == "Does the map lie in the head?"
    assert check.rule.startswith("Warns when the share outside the head is at least")


def test_a_map_that_is_nowhere_above_zero_lies_in_no_organ():
    check = organ_check(in_domain(BRAIN, -column(5)))["organ"]
    assert (check.state, check.answer) == ("skipped", "The map is nowhere above zero.")
    assert math.isnan(check.values["outside_organ"])


def test_the_reasons_why_lungs_are_not_checked():
    lateral = explained(column(3), picture=film(view="LATERAL"))
    assert said(check_lungs(lateral)) == ("skipped", "The atlas covers frontal films only. Give a lung mask.", {})
    heart = Mention("heart", 0, 5, "heart", None, False, False, False, 1.0)
    outside = explained(column(3), regions=(heart,))
    assert said(check_lungs(outside)) == ("skipped", "The phrase names a place outside the lungs.", {})


def test_the_share_outside_the_lungs_is_stated_in_words(monkeypatch):
    for share, state in ((0.5999, "pass"), (0.6, "warn")):
        monkeypatch.setattr("matex.audits.organ.share_inside", lambda image, region, share=share: (share, 0.6))
        values = {"outside_lungs": share, "outside_lungs_of_an_even_map": 0.6, "lungs_by": "the lung mask"}
        answer = (
            "60 % of the map lies outside the lungs by the lung mask; a map that is the same everywhere would have "
            "60 % there."
        )
        assert said(lungs_check(MASK, column(3))) == (state, answer, values)


@pytest.mark.parametrize(
    ("domain", "view", "stated", "why"),
    [
        (BRAIN, "AXIAL-VENTRICLES", True, None),
        (BRAIN, "AXIAL-VENTRICLES", False, "Nothing states which side of the image is the patient's right."),
        (BRAIN, None, True, "The view is not known, or does not show left and right side by side."),
        (BRAIN, "AXIAL", True, "The view is not known, or does not show left and right side by side."),
        (ABDOMEN, None, False, None),
        (ABDOMEN, "AP", False, None),
        (ABDOMEN, "LATERAL", True, "The view is not known, or does not show left and right side by side."),
        (MAMMOGRAM, "RCC", True, "The view is not known, or does not show left and right side by side."),
        ("chest-lateral", "LATERAL", True, "The view is not known, or does not show left and right side by side."),
        ("natural", None, True, "The image was declared to have no anatomy: it has no patient's sides."),
        ("chest", "PA", False, None),
        ("chest", "LATERAL", True, "Only a frontal film shows left and right side by side."),
    ],
)
def test_sides_need_a_view_that_shows_both_and_a_display_that_is_known(domain, view, stated, why):
    explanation = in_domain(domain, column(9), film(view=view, oriented=stated))
    assert no_sides(explanation) == why
    if why is not None:
        assert said(check_side(explanation, side_controls(), 50.0)) == ("skipped", why, {})


def test_a_mirrored_film_states_its_sides():
    shown = film(view="AXIAL-VENTRICLES", oriented=False, mirrored=True)
    assert no_sides(in_domain(BRAIN, column(9), shown)) is None
