"""Measures of confidence against loops, scipy and cases that are solved by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from matex.errors import InputError
from matex.trust.detection import area_under_roc, detection
from matex.trust.fit import fit_temperature, fit_temperature_and_bias
from matex.trust.measures import (
    area_under_risk,
    binomial_bound,
    brier,
    calibration_error,
    debiased_calibration_error,
    reliability,
    risk_coverage,
    sigmoid,
    softmax,
    threshold_for,
)
from tests.reference import trust as slow

RNG = np.random.default_rng(3)
SURE = np.round(RNG.uniform(0.3, 1, 61), 2)
RIGHT = RNG.uniform(size=61) < SURE**2


def test_softmax_and_sigmoid_do_not_overflow_and_agree_for_two_phrases():
    assert softmax([[1000.0, 0.0]]).tolist() == [[1.0, 0.0]]
    assert sigmoid([-1000.0, 1000.0]).tolist() == [0.0, 1.0]
    np.testing.assert_allclose(softmax([[0.7, -0.4]])[0, 0], sigmoid(1.1), rtol=1e-14)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_errors_are_those_of_the_loops(bins):
    assert calibration_error(SURE, RIGHT, bins) == pytest.approx(slow.calibration_error(SURE, RIGHT, bins), abs=1e-12)
    assert debiased_calibration_error(SURE, RIGHT, bins) == pytest.approx(slow.debiased(SURE, RIGHT, bins), abs=1e-12)


def test_a_confidence_on_the_edge_of_two_bins_belongs_to_the_lower_one():
    assert [one.answers for one in reliability([0.0, 0.5, 0.51, 1.0], [1, 1, 1, 1], bins=2)] == [2, 2]


def test_bins_of_equal_mass_hold_as_many_answers_each():
    assert [one.answers for one in reliability(SURE, RIGHT, 4, "equal-mass")] == [16, 15, 15, 15]


def test_a_calibrated_model_has_less_error_after_the_bias_is_removed():
    sure = np.random.default_rng(0).uniform(0.5, 1, 600)
    right = np.random.default_rng(1).uniform(size=600) < sure
    assert debiased_calibration_error(sure, right) < 0.5 * calibration_error(sure, right, by="equal-mass")


def test_bins_of_single_answers_have_no_debiased_error():
    assert math.isnan(debiased_calibration_error([0.5, 0.9], [1, 0], bins=2))


def test_brier_of_phrases_and_of_events():
    assert brier([[0.7, 0.2, 0.1]], [[0, 1, 0]]) == pytest.approx(0.49 + 0.64 + 0.01)
    assert brier([0.8, 0.4], [1, 0]) == pytest.approx((0.04 + 0.16) / 2)


def test_area_under_risk_averages_over_the_orders_of_equal_confidences():
    sure, right = [0.9, 0.7, 0.7, 0.7, 0.2], [1, 0, 1, 1, 0]
    assert area_under_risk(sure, right) == pytest.approx(slow.area_under_risk(sure, right), abs=1e-12)
    coverage, risk = risk_coverage(sure, right)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(0.4)


def test_a_constant_confidence_has_the_error_rate_as_its_area():
    assert area_under_risk([0.6] * 8, [1, 1, 0, 1, 0, 1, 1, 1]) == pytest.approx(0.25)


def test_the_threshold_gives_the_most_answers_within_the_risk():
    point = threshold_for([0.9, 0.8, 0.8, 0.5, 0.4], [1, 1, 0, 1, 0], risk=0.34)
    assert point[:3] == (0.5, 0.8, 0.25)
    assert threshold_for([0.9, 0.8], [0, 0], risk=0.05).threshold is None
    assert threshold_for([0.9, 0.8], [0, 1], risk=0.5).threshold == 0.8


@pytest.mark.parametrize(("events", "trials"), [(0, 1), (3, 50), (49, 50), (17, 400)])
def test_the_bound_of_a_share_is_that_of_the_beta_distribution(events, trials):
    assert binomial_bound(events, trials) == pytest.approx(stats.beta.ppf(0.95, events + 1, trials - events), abs=1e-9)


def test_the_bound_of_all_events_is_one():
    assert binomial_bound(5, 5) == 1


@pytest.mark.parametrize("values", [([], []), ([0.5], [1, 0]), ([1.5], [1])])
def test_confidences_that_are_none_are_refused(values):
    with pytest.raises(InputError, match="Expected"):
        calibration_error(*values)


def test_the_temperature_is_the_one_of_the_highest_likelihood():
    logits = RNG.normal(size=(80, 5)) * 4
    right = np.where(RNG.uniform(size=80) < 0.6, logits.argmax(1), RNG.integers(0, 5, 80))
    assert fit_temperature(logits, right) == pytest.approx(slow.temperature(logits, right), rel=1e-6)


def test_the_temperature_of_equal_gaps_has_a_closed_form():
    # One gap g, right in three of four cases: sigmoid(g / T) = 3 / 4, so T = g / ln 3.
    logits = np.array([[2.0, 0.0]] * 3 + [[0.0, 2.0]])
    assert fit_temperature(logits, np.zeros(4, int)) == pytest.approx(2 / math.log(3), rel=1e-10)


def test_temperature_and_bias_are_those_of_the_highest_likelihood():
    logits = RNG.normal(size=70) * 3 - 5
    holds = RNG.uniform(size=70) < sigmoid(0.6 * logits + 2.5)
    np.testing.assert_allclose(
        fit_temperature_and_bias(logits, holds), slow.temperature_and_bias(logits, holds), rtol=1e-6
    )


def test_temperature_and_bias_of_two_values_have_a_closed_form():
    # One of four holds at 0 and three of four at 2: b = -ln 3, 2 / T + b = ln 3.
    logits, holds = [0.0] * 4 + [2.0] * 4, [1, 0, 0, 0, 1, 1, 1, 0]
    found = fit_temperature_and_bias(logits, holds)
    np.testing.assert_allclose(found, (1 / math.log(3), -math.log(3)), rtol=1e-9)


def test_scores_without_a_best_temperature_are_refused():
    with pytest.raises(InputError, match="some wrong answers"):
        fit_temperature([[2.0, 0.0], [0.0, 1.0]], [0, 1])
    with pytest.raises(InputError, match="contrary"):
        fit_temperature([[2.0, 0.0], [0.0, 1.0]], [1, 0])
    with pytest.raises(InputError, match="separates"):
        fit_temperature_and_bias([0.0, 1.0, 2.0], [0, 1, 1])
    with pytest.raises(InputError, match="one kind"):
        fit_temperature_and_bias([0.0, 1.0], [1, 1])
    with pytest.raises(InputError, match="contrary"):
        fit_temperature_and_bias([0.0, 1.0, 2.0, 3.0], [1, 0, 1, 0])


def test_the_area_under_the_roc_curve_counts_ties_half():
    values, wrong = np.round(RNG.normal(size=30), 1), RNG.uniform(size=30) < 0.4
    assert area_under_roc(values, wrong) == pytest.approx(slow.area_under_roc(values, wrong), abs=1e-12)
    statistic = stats.mannwhitneyu(values[wrong], values[~wrong]).statistic
    assert area_under_roc(values, wrong) == pytest.approx(statistic / (wrong.sum() * (~wrong).sum()), abs=1e-12)


def test_detection_leaves_out_what_is_undefined_and_resamples_clusters():
    values, wrong = [1.0, 2.0, float("nan")] * 8, [False, True, True] * 8
    found = detection("x", values, wrong, [number // 2 for number in range(24)])
    assert (found.auc, found.low, found.high) == (1, 1, 1)
    assert (found.wrong, found.right, found.undefined) == (8, 8, 8)
    assert math.isnan(detection("x", values, wrong, [0] * 24).low)
    assert math.isnan(detection("x", [1.0, 2.0], [False, False], [0, 1]).auc)
