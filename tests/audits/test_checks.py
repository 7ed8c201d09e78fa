"""The checks as functions of maps and scores: no model, every number known in advance."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from matex.audits.checks import (
    check_corners,
    check_map,
    check_prior_share,
    check_random_weights,
    check_score,
    check_seeds,
    check_unrelated,
    guided,
)
from matex.audits.deletion import judge_drops, paint_over, region_to_delete
from matex.audits.limits import LIMITS, below_limit, from_limit, rule
from matex.audits.organ import check_lungs
from matex.audits.regions import (
    film_pixels,
    likeness,
)
from matex.audits.side import check_side, preference_finding, prior_finding, word_finding
from matex.phrases import Mention
from tests.audits.hand_made import (
    FLAT,
    MASK,
    NATURAL,
    OTHER,
    column,
    control,
    explained,
    image,
    lungs_check,
    side_controls,
    unguided,
)
from tests.fake_explanation import GRID, film

# --------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("value", "state"),
    [(0.0, "pass"), (0.2499, "pass"), (0.25, "warn"), (0.4999, "warn"), (0.5, "fail"), (math.nan, "skipped")],
)
def test_a_value_that_is_worse_when_large_warns_and_fails_from_its_limits(value, state):
    assert LIMITS["prior_share"] == (0.25, 0.5)
    assert from_limit(value, "prior_share") == state


@pytest.mark.parametrize(
    ("value", "state"),
    [(1.0, "pass"), (0.9, "pass"), (0.8999, "warn"), (0.7, "warn"), (0.6999, "fail"), (math.nan, "skipped")],
)
def test_a_value_that_is_worse_when_small_warns_and_fails_below_its_limits(value, state):
    assert LIMITS["seeds"] == (0.9, 0.7)
    assert below_limit(value, "seeds") == state


def test_a_rule_states_both_limits():
    assert rule("deletion", "share of regions", "below") == "Share of regions: warns below 0.95, fails below 0.8."


# --------------------------------------------------------------------------------------------------------- checks


def test_a_constant_map_is_no_map():
    assert check_map(explained(FLAT)).state == "fail"
    assert check_map(explained(column(3))).state == "pass"


def test_a_prior_counts_where_it_is_not_even():
    assert guided(explained(column(3)))
    assert guided(explained(column(3), prior=1 + 0.1 * column(3)))
    assert not guided(unguided(column(3)))
    assert not guided(explained(column(3), prior=np.ones(GRID, dtype=np.float32)))


@pytest.mark.parametrize(("rest", "state"), [(0.9, "pass"), (0.6, "warn"), (0.3, "fail")])
def test_the_prior_share_is_what_goes_with_the_prior(rest, state):
    check = check_prior_share(explained(column(3)), {"no_prior": control(column(3, rest), share=0.4)})
    assert check.values["prior_share"] == pytest.approx(1 - rest, abs=1e-6)
    assert check.values["stays_without_prior"] == 0.4
    assert check.state == state
    assert check.answer.startswith(f"{100 * (1 - rest):.0f} % of the map comes from the place that the phrase names")
    assert "without it, 40 % of the highlighted region stays" in check.answer


def test_a_method_without_a_prior_and_a_neutral_prior_are_told_apart():
    for explanation, why in (
        (unguided(column(3)), "this method has no prior"),
        (explained(column(3), prior=np.ones(GRID, dtype=np.float32)), "the prior is neutral here"),
    ):
        check = check_prior_share(explanation, {})
        assert (check.state, check.values) == ("skipped", {"prior_share": 0.0})
        assert why in check.answer


def test_the_prior_share_of_a_constant_map_is_undefined():
    check = check_prior_share(explained(FLAT), {"no_prior": control(FLAT)})
    assert check.state == "skipped"
    assert math.isnan(check.values["prior_share"])


@pytest.mark.parametrize(("share", "state"), [(0.2, "pass"), (0.75, "warn"), (0.95, "fail"), (math.nan, "skipped")])
def test_a_map_that_stays_for_an_unrelated_phrase_is_blind_to_the_phrase(share, state):
    check = check_unrelated({"unrelated": control(column(3), text="the weather", share=share)})
    assert check.state == state
    assert check.values["phrase"] == "the weather"
    assert ("shows what stands out in the film" in check.answer) == (state in ("warn", "fail"))
    if state != "skipped":
        assert check.answer.startswith(f"With “the weather” instead, {100 * share:.0f} % of the highlighted region")


@pytest.mark.parametrize(("other", "unrelated", "state"), [(0.1, 0.2, "pass"), (0.3, 0.1, "warn"), (0.1, 0.4, "warn")])
def test_the_score_is_compared_with_the_other_side_and_an_unrelated_phrase(other, unrelated, state):
    controls = {"other_side": control(column(9), score=other), "unrelated": control(FLAT, "weather", unrelated)}
    denial = {"opposite_claim": control(FLAT, f"no {OTHER}", 0.3)}
    assert check_score(explained(column(3), score=0.3), {**controls, **denial}).state == "warn"
    check = check_score(explained(column(3), score=0.3), controls)
    assert check.state == state
    assert check.values == {"score": 0.3, "score_other_side": other, "score_unrelated": unrelated}
    assert check.answer.startswith(f"The phrase scores 0.300, “{OTHER}” {other:.3f}, “weather” {unrelated:.3f}.")


def test_random_weights_are_averaged_over_the_maps_that_are_not_constant():
    controls = {
        "unrelated": control(FLAT, share=0.99),
        "random_weights_1": control(FLAT, share=0.6),
        "random_weights_2": control(FLAT, share=math.nan),
        "random_weights_3": control(FLAT, share=0.8),
    }
    check = check_random_weights(controls)
    assert check.state == "warn"
    assert check.values == {"stays": pytest.approx(0.7), "models": 3.0, "undefined": 1.0}
    assert "70 % of the highlighted region stays (mean of 2 models)" in check.answer
    undefined = check_random_weights({"random_weights_1": control(FLAT, share=math.nan)})
    assert (undefined.state, undefined.values["undefined"]) == ("skipped", 1.0)


def test_the_least_alike_two_seeds_decide():
    generator = np.random.default_rng(1)
    first = generator.random(GRID).astype(np.float32)
    maps = [image(first), image(first + 0.05 * generator.random(GRID).astype(np.float32)), image(-first)]
    check = check_seeds(maps)
    assert check.state == "fail"
    assert check.values["seeds"] == 3.0
    assert check.values["lowest_likeness"] == pytest.approx(-1, abs=0.01)
    pairs = [likeness(maps[0], maps[1]), likeness(maps[0], maps[2]), likeness(maps[1], maps[2])]
    assert check.values["mean_likeness"] == pytest.approx(np.mean(pairs))
    assert "3 seeds the map changes" in check.answer
    assert "hardly changes" in check_seeds(maps[:2]).answer
    assert check_seeds(maps[:2]).state == "pass"
    assert check_seeds([*maps, image(FLAT)]).state == "skipped"
    assert check_seeds([]).values == {"seeds": 0.0}


@pytest.mark.parametrize(("index", "state"), [(3, "pass"), (7, "warn")])
def test_a_map_outside_the_lungs_warns(index, state):
    mask = np.zeros((512, 512), dtype=np.uint8)
    mask[:, 73:220] = 1  # columns 2 to 5 of the grid
    check = check_lungs(explained(column(index), lung_mask=mask))
    assert check.state == state
    assert check.values["outside_lungs_of_an_even_map"] == pytest.approx(1 - 147 / 512, abs=0.01)
    assert check.values["outside_lungs"] == pytest.approx(1.0 if state == "warn" else 0.0, abs=0.05)
    assert check.values["lungs_by"] == "the lung mask"


def test_lungs_are_not_asked_for_where_there_are_none():
    mask = np.ones((512, 512), dtype=np.uint8)
    lateral = explained(column(3), picture=film(view="LATERAL"))
    masked = explained(column(3), picture=film(view="LATERAL"), lung_mask=mask)
    assert "Give a lung mask" in check_lungs(lateral).answer
    assert "Give a lung mask" not in check_lungs(masked).answer
    natural = explained(column(3), provenance={"domain": "natural"}, lung_mask=mask)
    assert check_lungs(natural).answer == "The image was not declared to be a chest film."
    heart = Mention("heart", 0, 5, "heart", None, False, False, False, 1.0)
    assert "outside the lungs" in check_lungs(explained(column(3), regions=(heart,))).answer
    silent = dataclasses.replace(heart, weight=0.0)
    assert check_lungs(explained(column(3), regions=(silent,))).state == "pass"
    assert check_lungs(explained(-column(3) - 1)).answer == "The map is nowhere above zero."


def test_corners_count_by_their_share_of_the_film():
    grid = np.zeros(GRID, dtype=np.float32)
    grid[0, 0] = 1.0
    check = check_corners(explained(grid))
    assert check.state == "fail"
    assert check.values["times"] == check.values["corners"] / check.values["corners_of_an_even_map"]
    assert check_corners(explained(FLAT)).values["times"] == pytest.approx(1)
    assert check_corners(explained(FLAT)).state == "pass"
    assert check_corners(explained(-FLAT)).state == "skipped"
    assert check_corners(explained(grid, provenance={"domain": "natural"})).state == "skipped"


# ------------------------------------------------------------------------------------------------------- deletion


@pytest.mark.parametrize(
    ("drops", "quantile", "state"),
    [
        ([0.3, 0.1, 0.2, 0.0, 0.25], 1.0, "pass"),
        ([0.3, *[0.1] * 9, 0.4], 0.9, "warn"),
        ([0.3, 0.1, 0.4, 0.5, 0.0], 0.5, "fail"),
        ([0.3, 0.3, 0.3], 0.5, "fail"),
        ([0.0, -0.1, -0.2], 1.0, "fail"),
        ([-0.1, -0.2, -0.3], 1.0, "fail"),
    ],
)
def test_deletion_counts_regions_that_matter_less_and_halves_ties(drops, quantile, state):
    check = judge_drops(torch.tensor(drops, dtype=torch.float64))
    assert check.values["quantile"] == pytest.approx(quantile)
    assert check.state == state
    assert check.values["drop"] == drops[0]
    assert check.values["random_drop_largest"] == max(drops[1:])
    assert check.values["random_drop_median"] == sorted(drops[1:])[(len(drops) - 2) // 2]
    assert check.values["regions"] == len(drops) - 1
    assert ("does not lower the score" in check.answer) == (drops[0] <= 0)
    if drops[0] > 0:
        percent = f"more than painting over {100 * quantile:.0f} % of {len(drops) - 1} regions"
        assert percent in check.answer


def test_the_region_to_delete_has_the_size_of_the_film_without_padding():
    region = region_to_delete(image(np.random.default_rng(0).random(GRID).astype(np.float32), "pad", (300, 700)))
    assert region.dtype == torch.bool
    assert region.shape == (96, 224)
    assert float(region.double().mean()) == pytest.approx(0.1, abs=0.01)
    plateau = np.zeros(GRID, dtype=np.float32)
    plateau[6:] = 1.0
    assert float(region_to_delete(image(plateau)).double().mean()) == pytest.approx(0.5, abs=0.05)


def test_painting_over_replaces_the_region_by_the_mean_of_the_film():
    placement = image(FLAT, "pad", (300, 700)).placement
    pixels = torch.rand(1, 3, 192, 224, generator=torch.Generator().manual_seed(0))
    region = torch.zeros(96, 224, dtype=torch.bool)
    region[10:20, 30:60] = True
    painted = paint_over(pixels, placement, [region, ~region])
    seen = torch.from_numpy(film_pixels(placement))
    mean = pixels[0][:, seen].mean(dim=1)
    assert torch.equal(painted[:, :, ~seen], pixels[:, :, ~seen].expand(2, -1, -1))
    for one, mask in zip(painted[:, :, seen], (region, ~region), strict=True):
        torch.testing.assert_close(one[:, mask.flatten()], mean[:, None].expand(3, int(mask.sum())))
        assert torch.equal(one[:, ~mask.flatten()], pixels[0][:, seen][:, ~mask.flatten()])


# ----------------------------------------------------------------------------------------------------------- side


def test_every_shift_of_the_side_has_its_sign_and_its_controls():
    """Positive to the patient's left, from the map of the phrase to that of the control."""
    check = check_side(explained(column(9), score=0.3), side_controls(), 50.0)
    values = check.values
    assert values["across"] == pytest.approx(9.5 / 14, abs=0.01)
    assert values["across_other_side"] == pytest.approx(4.5 / 14, abs=0.01)
    assert values["shift"] == pytest.approx(-5 / 14, abs=0.01)
    assert values["shift_without_prior"] == pytest.approx(-8 / 14, abs=0.01)
    assert values["shift_by_prior_alone"] == pytest.approx(-6 / 14, abs=0.01)
    assert values["stays_with_other_side_without_prior"] == pytest.approx(0)
    assert values["preference_for_named_side"] == pytest.approx(1 / (1 + math.exp(-50 * 0.2)))
    assert values["preference_on_mirrored_film"] == pytest.approx(1 / (1 + math.exp(50 * 0.3)))
    assert "the highlighted region moves by 43 % of the film's width to the patient's right." in check.answer
    assert "no prior in either map, it moves by 57 % of the film's width to the patient's right." in check.answer
    assert "The side of this map is the prior's." in check.answer


def test_every_shift_of_the_side_turns_with_the_named_side():
    mirrored = {"no_prior": control(column(3)), "other_side_no_prior": control(column(11))}
    changes = {"mirrored_prior": control(column(10)), "other_side": control(column(9)), **mirrored}
    check = check_side(explained(column(4), score=0.3), side_controls(**changes), 50.0)
    assert check.values["shift"] == pytest.approx(5 / 14, abs=0.01)
    assert check.values["shift_without_prior"] == pytest.approx(8 / 14, abs=0.01)
    assert check.values["shift_by_prior_alone"] == pytest.approx(6 / 14, abs=0.01)
    assert "the highlighted region moves by 43 % of the film's width to the patient's left." in check.answer
    assert "no prior in either map, it moves by 57 % of the film's width to the patient's left." in check.answer


def test_without_a_prior_the_maps_themselves_are_compared():
    check = check_side(unguided(column(9), score=0.3), side_controls(), 50.0)
    assert "shift_by_prior_alone" not in check.values
    assert check.values["shift_without_prior"] == check.values["shift"] == pytest.approx(-5 / 14, abs=0.01)
    assert check.state == "pass"
    assert check.answer.startswith("With the other side in the phrase")


def test_the_side_of_a_constant_map_is_skipped():
    for controls in (
        side_controls(other_side=control(FLAT)),
        side_controls(no_prior=control(FLAT)),
        side_controls(other_side_no_prior=control(FLAT)),
    ):
        assert check_side(explained(column(9)), controls, 50.0).state == "skipped"
    assert check_side(explained(FLAT), side_controls(), 50.0).answer == "One of the maps is constant and has no side."


def test_the_worst_part_of_the_side_decides():
    fails = {"mirrored_film": control(FLAT, score=0.3), "mirrored_film_other_side": control(FLAT, score=0.0)}
    for score, changes, state in (
        (0.3, {"mirrored_prior": control(column(9))}, "pass"),
        (0.3, {}, "fail"),
        (0.1, {"mirrored_prior": control(column(9))}, "warn"),
        (-0.2, {"mirrored_prior": control(column(9)), **fails}, "fail"),
    ):
        assert check_side(explained(column(9), score=score), side_controls(**changes), 50.0).state == state


@pytest.mark.parametrize(
    ("shift", "state", "movement"),
    [
        (0.0, "pass", "stays where it is"),
        (0.0199, "pass", "stays where it is"),
        (0.02, "pass", "moves by 2 % of the film's width to the patient's left"),
        (-0.099, "pass", "moves by 10 % of the film's width to the patient's right"),
        (-0.1, "warn", "moves by 10 % of the film's width to the patient's right"),
        (-0.1999, "warn", "moves by 20 % of the film's width to the patient's right"),
        (0.2, "fail", "moves by 20 % of the film's width to the patient's left"),
        (-0.2, "fail", "moves by 20 % of the film's width to the patient's right"),
        (math.nan, "skipped", "has no place"),
    ],
)
def test_a_shift_by_the_prior_counts_in_both_directions_and_names_its_own(shift, state, movement):
    finding = prior_finding(shift)
    assert finding.state == state
    assert f"the highlighted region {movement}." in finding.sentence
    assert ("is the prior's" in finding.sentence) == (state in ("warn", "fail"))


def test_a_map_that_stays_for_the_other_side_ignores_the_word():
    assert word_finding(0.3, 0.9499).state == "pass"
    assert word_finding(0.0, 0.95) == (
        "warn",
        "With the other side in the phrase, no prior in either map, it stays where it is. "
        "The map ignores left and right: it is the same for both.",
    )
    assert word_finding(-0.3, 1.0).sentence.count("patient's right") == 1


@pytest.mark.parametrize(
    ("on_film", "on_mirrored", "state", "sentence"),
    [
        (0.9, 0.1, "pass", "gives the named side 90 % on this film and 10 % on the mirrored film: it sees"),
        (0.8999, 0.1, "warn", "may follow the word"),
        (0.9, 0.1001, "warn", "may follow the word"),
        (0.1, 0.9, "fail", "it sees the finding on the other side."),
        (0.1001, 0.9, "warn", "may follow the word"),
        (0.1, 0.8999, "warn", "may follow the word"),
        (0.9, 0.9, "warn", "may follow the word"),
    ],
)
def test_the_preference_must_turn_with_the_film(on_film, on_mirrored, state, sentence):
    finding = preference_finding(on_film, on_mirrored)
    assert finding.state == state
    assert sentence in finding.sentence


def test_scores_far_apart_do_not_overflow():
    controls = side_controls(other_side=control(column(4), score=-1e6))
    assert check_side(explained(column(9)), controls, 100.0).values["preference_for_named_side"] == pytest.approx(1)


# ---------------------------------------------------------------------------------------- questions, limits, edges


EVERY = {
    "Does the map vary over the film?": (
        "",
        [lambda: check_map(explained(FLAT)), lambda: check_map(explained(column(3)))],
    ),
    "How much of the map comes from the prior alone?": (
        "Share of the map that goes when the prior is off: warns from 0.25, fails from 0.5.",
        [
            lambda: check_prior_share(explained(column(3)), {"no_prior": control(column(3))}),
            lambda: check_prior_share(unguided(column(3)), {}),
            lambda: check_prior_share(explained(FLAT), {"no_prior": control(FLAT)}),
        ],
    ),
    "Is the finding on the named side, or does the map follow the word or the prior?": (
        "Warns when the prior alone on the other side moves the highlighted region by 0.1 of the film's width or more, "
        "fails from 0.2. Without the prior: warns when 0.95 of the highlighted region or more stays with the other "
        "side in the phrase; passes when between the two phrases the model gives the named side 0.9 or more on the "
        "film and 0.1 or less on the mirrored film; fails in the opposite case, and otherwise warns.",
        [
            lambda: check_side(explained(column(9)), side_controls(), 50.0),
            lambda: check_side(explained(FLAT), side_controls(), 50.0),
            lambda: check_side(explained(column(9)), {"unrelated": control(FLAT)}, 50.0),
            lambda: check_side(explained(column(9), provenance=NATURAL), side_controls(), 50.0),
            lambda: check_side(explained(column(9), picture=film(view="LATERAL")), side_controls(), 50.0),
        ],
    ),
    "Would an unrelated phrase give the same map?": (
        "Share of the highlighted region that stays, no prior in either map: warns from 0.75, fails from 0.95.",
        [
            lambda: check_unrelated({"unrelated": control(FLAT)}),
            lambda: check_unrelated({"unrelated": control(FLAT, share=math.nan)}),
        ],
    ),
    "Does the phrase fit the film better than its opposite?": (
        "Warns when the other side, the opposite claim, or an unrelated phrase scores as high or higher.",
        [lambda: check_score(explained(column(3)), {"unrelated": control(FLAT)})],
    ),
    "Does the map depend on the random seed?": (
        "Rank correlation of the two least similar maps: warns below 0.9, fails below 0.7.",
        [
            lambda: check_seeds([image(column(3)), image(column(4))]),
            lambda: check_seeds([image(column(3)), image(FLAT)]),
        ],
    ),
    "Does the map depend on the trained weights?": (
        "Share of the highlighted region that stays, on average: warns from 0.5, fails from 0.8.",
        [
            lambda: check_random_weights({"random_weights_1": control(FLAT)}),
            lambda: check_random_weights({"random_weights_1": control(FLAT, share=math.nan)}),
        ],
    ),
    "Does the score depend on the highlighted region?": (
        "Share of random regions whose loss lowers the score less: warns below 0.95, fails below 0.8. It also fails "
        "when the score does not fall.",
        [lambda: judge_drops(torch.tensor([0.3, 0.1])), lambda: judge_drops(torch.tensor([-0.3, 0.1]))],
    ),
    "Does the map lie in the lungs?": (
        "Warns when the share outside the lungs is at least that of a map that is the same everywhere.",
        [
            lambda: lungs_check(MASK, column(3)),
            lambda: lungs_check(np.ones_like(MASK), column(3)),
            lambda: lungs_check(MASK, -column(3)),
            lambda: lungs_check(MASK, column(3), provenance=NATURAL),
        ],
    ),
    "Does the map point at the corners, where markers sit?": (
        "Share of the map in the corners over their share of the film: warns from 2, fails from 4.",
        [
            lambda: check_corners(explained(column(3))),
            lambda: check_corners(explained(-column(3))),
            lambda: check_corners(explained(column(3), provenance=NATURAL)),
        ],
    ),
}


@pytest.mark.parametrize("question", EVERY)
def test_every_check_has_its_question_limits_and_an_answer_whatever_its_state(question):
    limits, made = EVERY[question]
    for make in made:
        check = make()
        assert check.question == question
        assert check.rule == limits
        assert check.state in ("pass", "warn", "fail", "skipped")
        assert check.answer.endswith(".")
        assert isinstance(check.values, dict)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"provenance": NATURAL}, "The image was declared to have no anatomy: it has no patient's sides."),
        ({"picture": film(view="LATERAL")}, "Only a frontal film shows left and right side by side."),
    ],
)
def test_an_image_without_sides_is_skipped_also_where_controls_exist(changes, why):
    check = check_side(explained(column(9), **changes), side_controls(), 50.0)
    assert (check.state, check.answer, check.values) == ("skipped", why, {})


def test_a_phrase_without_a_side_is_skipped():
    check = check_side(explained(column(9)), {"unrelated": control(FLAT)}, 50.0)
    assert (check.state, check.answer) == (
        "skipped",
        "The phrase names no side to swap, or the model cannot read it with the other side.",
    )


def test_the_percentages_in_words_are_the_numbers():
    check = lungs_check(MASK, column(3) + column(9))
    assert check.answer == (
        "50 % of the map lies outside the lungs by the lung mask; a map that is the same everywhere would have "
        f"{100 * check.values['outside_lungs_of_an_even_map']:.0f} % there."
    )
    by_atlas = lungs_check(None, column(3))
    assert "the atlas' average lungs" in by_atlas.answer
    assert by_atlas.values["lungs_by"] == "the atlas' average lungs"
    ends = check_corners(explained(column(0)))
    numbers = (100 * ends.values["corners"], 100 * ends.values["corners_of_an_even_map"])
    assert ends.answer == "{:.0f} % of the map lies in the four corners, which are {:.0f} % of the film.".format(
        *numbers
    )
    sentence = preference_finding(0.95, 0.03).sentence
    assert "gives the named side 95 % on this film and 3 % on the mirrored film" in sentence


def test_an_even_map_warns_since_it_does_not_prefer_the_lungs():
    check = lungs_check(MASK, FLAT)
    assert check.values["outside_lungs"] == check.values["outside_lungs_of_an_even_map"]
    assert check.state == "warn"


@pytest.mark.parametrize(("value", "word"), [(0, "none"), (1, "all")])
def test_a_mask_of_nothing_or_everything_cannot_be_compared(value, word):
    check = lungs_check(np.full_like(MASK, value), column(3))
    assert check.state == "skipped"
    assert check.answer == f"By the lung mask, {word} of what the model sees is lung."


def test_an_uncertain_mention_outside_the_lungs_counts():
    heart = Mention("heart", 0, 5, "heart", None, False, True, False, 0.5)
    assert lungs_check(MASK, column(3), regions=(heart,)).state == "skipped"


def test_a_view_without_corners_is_skipped():
    cropped = explained(column(3), picture=film(300, 900), resize="crop")
    check = check_corners(cropped)
    assert check.state == "skipped"
    assert math.isnan(check.values["times"])
    assert check.answer == "The model sees no corners, or the map is nowhere above zero."


def test_pixels_that_share_the_edge_of_the_tenth_are_not_deleted():
    """One patch stands out over 2 % of the film; the rest of the tenth is shared by everything else."""
    grid = FLAT.copy()
    grid[3, 3] = 1.0
    region = region_to_delete(image(grid))
    assert region.double().mean() == pytest.approx(32 * 32 / (192 * 224))
    assert region[56, 56]
    assert region[:, 80:].sum() == region[80:].sum() == 0


def test_the_film_is_found_between_padding_at_its_sides():
    tall = image(column(6), "pad", (700, 300))
    assert region_to_delete(tall).shape == (192, 82)
    pixels = torch.rand(1, 3, 192, 224, generator=torch.Generator().manual_seed(0))
    painted = paint_over(pixels, tall.placement, [torch.ones(192, 82, dtype=torch.bool)])
    changed = (painted != pixels)[0, 0]
    assert changed.sum() == 192 * 82
    assert torch.equal(changed, torch.from_numpy(film_pixels(tall.placement)))
