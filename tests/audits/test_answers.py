"""Every state of every check: its value at the limits and next to them, and its sentence."""

import math

import numpy as np
import pytest

from matex.audits.checks import (
    check_corners,
    check_map,
    check_prior_share,
    check_random_weights,
    check_score,
    check_seeds,
    check_unrelated,
)
from matex.audits.side import check_side, preference_finding
from tests.audits.hand_made import COLUMNS, FLAT, ROWS, column, control, explained, image, said, side_controls, unguided
from tests.fake_explanation import GRID


def test_the_map_varies_or_is_constant_in_words():
    assert said(check_map(explained(column(3)))) == ("pass", "The map varies over the film.", {})
    assert said(check_map(explained(FLAT))) == ("fail", "The map is constant: it says nothing about where.", {})


def test_the_prior_share_is_stated_in_words():
    without = {"no_prior": control(column(3, 0.6), share=0.9)}
    assert check_prior_share(explained(column(3)), without).answer == (
        "40 % of the map comes from the place that the phrase names, whatever the film shows; without it, 90 % of the "
        "highlighted region stays where it is."
    )
    constant = {"no_prior": control(FLAT, share=math.nan)}
    state, answer, values = said(check_prior_share(explained(column(3)), constant))
    assert state == "fail"
    assert answer == (
        "100 % of the map comes from the place that the phrase names, whatever the film shows; without it, the map is "
        "constant."
    )
    assert math.isnan(values["stays_without_prior"])
    assert check_prior_share(unguided(column(3)), {}).answer == "None of it: this method has no prior."
    neutral = explained(column(3), prior=np.ones(GRID, dtype=np.float32))
    assert check_prior_share(neutral, {}).answer == "None of it: the prior is neutral here."
    undefined = check_prior_share(explained(FLAT), without)
    assert undefined.answer == "The map is constant: the share is undefined."
    assert set(undefined.values) == {"prior_share", "stays_without_prior"}


def test_the_unrelated_phrase_is_stated_in_words():
    start = "With “weather” instead, {} % of the highlighted region stays; by chance it would be 10 %."
    more = " The map shows what stands out in the film more than what the phrase says."
    for share, state, answer in (
        (0.749, "pass", start.format(75)),
        (0.75, "warn", start.format(75) + more),
        (0.949, "warn", start.format(95) + more),
        (0.95, "fail", start.format(95) + more),
    ):
        check = check_unrelated({"unrelated": control(column(3), "weather", share=share)})
        assert said(check) == (state, answer, {"stays": share, "phrase": "weather"})
    undefined = check_unrelated({"unrelated": control(FLAT, "weather", share=math.nan)})
    assert (undefined.state, undefined.answer) == ("skipped", "One of the two maps is constant.")
    assert set(undefined.values) == {"stays", "phrase"}


def test_the_scores_are_stated_in_words():
    """A score that is as high counts, by any of the three controls and by no other."""
    names = ("other_side", "opposite_claim", "unrelated")
    for name in names:
        others = {other: control(FLAT, other, 0.2999) for other in names}
        others["no_prior"] = others["random_weights_1"] = control(FLAT, "another", 0.9)
        values = {"score": 0.3, **{f"score_{other}": 0.2999 for other in names}}
        answer = "The phrase scores 0.300, “other_side” 0.300, “opposite_claim” 0.300, “unrelated” 0.300."
        assert said(check_score(explained(column(3), score=0.3), others)) == ("pass", answer, values)
        others[name] = control(FLAT, name, 0.3)
        check = check_score(explained(column(3), score=0.3), others)
        more = f" To the model, “{name}” fits as well or better: no map can explain a preference that the model does "
        assert said(check) == ("warn", f"{answer}{more}not have.", {**values, f"score_{name}": 0.3})


def test_random_weights_are_stated_in_words():
    answer = "With random weights, {} % of the highlighted region stays (mean of 1 models); by chance it would be 10 %."
    for share, state, percent in ((0.499, "pass", 50), (0.5, "warn", 50), (0.799, "warn", 80), (0.8, "fail", 80)):
        check = check_random_weights({"random_weights_1": control(FLAT, share=share)})
        assert said(check) == (state, answer.format(percent), {"stays": share, "models": 1.0, "undefined": 0.0})
    undefined = check_random_weights({"random_weights_1": control(FLAT, share=math.nan)})
    assert undefined.answer == "The maps cannot be compared: in each pair, one is constant."
    assert undefined.values["models"] == 1.0


def test_the_weights_of_a_black_box_are_not_known():
    check = check_random_weights({"unrelated": control(FLAT, share=0.99)})
    assert check.question == "Does the map depend on the trained weights?"
    assert (check.state, check.answer) == ("skipped", "The weights of this model are not known.")
    assert check.values == {"stays": pytest.approx(math.nan, nan_ok=True), "models": 0.0, "undefined": 0.0}
    assert check.rule == "Share of the highlighted region that stays, on average: warns from 0.5, fails from 0.8."


def test_seeds_are_stated_in_words(monkeypatch):
    check = check_seeds([])
    assert check.question == "Does the map depend on the random seed?"
    assert said(check) == ("skipped", "The method is deterministic.", {"seeds": 0.0})
    answer = "Over 2 seeds the map {}: the two least similar maps have a rank correlation of {:.2f}."
    for value, state, changes in (
        (0.9, "pass", "hardly changes"),
        (0.899, "warn", "changes"),
        (0.7, "warn", "changes"),
        (0.699, "fail", "changes"),
    ):
        monkeypatch.setattr("matex.audits.checks.likeness", lambda first, second, value=value: value)
        values = {"seeds": 2.0, "lowest_likeness": value, "mean_likeness": value}
        assert said(check_seeds([image(FLAT), image(FLAT)])) == (state, answer.format(changes, value), values)
    monkeypatch.setattr("matex.audits.checks.likeness", lambda first, second: math.nan)
    undefined = check_seeds([image(FLAT), image(FLAT)])
    assert (undefined.state, undefined.answer) == (
        "skipped",
        "One of the maps is constant: they cannot be compared.",
    )


def test_corners_warn_and_fail_at_their_limits(monkeypatch):
    for share, state in ((0.1799, "pass"), (0.18, "warn"), (0.3599, "warn"), (0.36, "fail")):
        monkeypatch.setattr("matex.audits.checks.share_inside", lambda image, region, share=share: (share, 0.09))
        answer = f"{100 * share:.0f} % of the map lies in the four corners, which are 9 % of the film."
        values = {"corners": share, "corners_of_an_even_map": 0.09, "times": share / 0.09}
        assert said(check_corners(explained(column(3)))) == (state, answer, values)
    monkeypatch.setattr("matex.audits.checks.share_inside", lambda image, region: (0.5, 0.625))
    assert "which are 62 % of the film" in check_corners(explained(column(3))).answer


def test_the_side_is_stated_in_words():
    check = check_side(explained(column(9), score=0.3), side_controls(), 50.0)
    assert (check.state, check.answer) == (
        "fail",
        "With the prior alone on the other side, the highlighted region moves by 43 % of the film's width to the "
        "patient's right. The side of this map is the prior's. With the other side in the phrase, no prior in either "
        "map, it moves by 57 % of the film's width to the patient's right. Between the two phrases the model gives the "
        "named side 100 % on this film and 0 % on the mirrored film: it sees the finding on the named side.",
    )
    start = "Between the two phrases the model gives the named side {} % on this film and {} % on the mirrored film: "
    assert preference_finding(0.05, 0.95) == ("fail", start.format(5, 95) + "it sees the finding on the other side.")
    assert preference_finding(0.95, 0.55) == (
        "warn",
        start.format(95, 55) + "its preference does not reverse when the film is mirrored, so the map may follow the "
        "word rather than the finding.",
    )


def test_a_map_in_the_middle_still_has_a_side():
    """Two positions whose sum is no number would be a constant map; positions of opposite maps are not."""
    ramp = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(GRID)
    check = check_side(explained(ramp, score=0.3), side_controls(other_side=control(-ramp)), 50.0)
    assert check.state != "skipped"


def test_the_preference_is_certain_from_a_logit_of_sixty():
    for difference, expected in ((0.61, 1 / (1 + math.exp(-60))), (-0.61, 1 / (1 + math.exp(60)))):
        controls = side_controls(other_side=control(column(4), score=0.3 - difference))
        value = check_side(explained(column(9), score=0.3), controls, 100.0).values["preference_for_named_side"]
        assert value == expected
