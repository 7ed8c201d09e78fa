"""Agreement statistics against published worked examples, loops and scipy."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from matex.errors import InputError
from matex.reader_study.agreement import (
    intraclass_correlation,
    krippendorff_alpha,
    weighted_kappa,
    with_interval,
)

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
_ = math.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T


def kappa_of_table(first, second, categories, power):
    """Cohen's weighted kappa from the table of counts, with loops."""
    n = len(first)
    observed = expected = 0.0
    for i, j in itertools.product(categories, categories):
        weight = abs(i - j) ** power
        observed += weight * sum(a == i and b == j for a, b in zip(first, second, strict=True)) / n
        expected += weight * sum(a == i for a in first) / n * sum(b == j for b in second) / n
    return 1 - observed / expected


@pytest.mark.parametrize(("weights", "power"), [("linear", 1), ("quadratic", 2)])
def test_weighted_kappa_is_that_of_the_table_of_counts(weights, power):
    rng = np.random.default_rng(power)
    first = rng.integers(1, 6, 43)
    second = np.clip(first + rng.integers(-1, 2, 43), 1, 5)
    expected = kappa_of_table(first.tolist(), second.tolist(), range(1, 6), power)
    assert weighted_kappa(first, second, weights) == pytest.approx(expected, abs=1e-12)


def test_weighted_kappa_of_a_table_solved_by_hand():
    # Counts [[2, 1], [0, 1]]: observed disagreement 1/4, expected 3/4 * 2/4 + 1/4 * 2/4 = 1/2.
    assert weighted_kappa([1, 1, 1, 2], [1, 1, 2, 2], "linear") == pytest.approx(0.5)


def test_quadratic_kappa_is_the_correlation_of_equal_distributions():
    # With equal means and variances quadratic kappa equals Pearson's correlation.
    first, second = [1, 2, 3, 4, 5, 1], [2, 1, 3, 5, 4, 1]
    assert weighted_kappa(first, second) == pytest.approx(stats.pearsonr(first, second).statistic, abs=1e-12)


def test_kappa_is_undefined_where_there_is_nothing_to_disagree_on():
    assert math.isnan(weighted_kappa([3, 3], [3, 3]))
    assert math.isnan(weighted_kappa([], []))
    with pytest.raises(InputError, match="two ratings"):
        weighted_kappa([1], [1, 2])


def test_intraclass_correlations_are_those_of_shrout_and_fleiss():
    # Psychological Bulletin 86, table 4: ICC(2,1) = .29, ICC(3,1) = .71. Intervals as the R package psych prints them.
    found = intraclass_correlation(SHROUT_FLEISS)
    assert found.agreement.value == pytest.approx(0.29, abs=0.005)
    assert found.consistency.value == pytest.approx(0.71, abs=0.005)
    assert (round(found.agreement.low, 2), round(found.agreement.high, 2)) == (0.02, 0.76)
    assert (round(found.consistency.low, 2), round(found.consistency.high, 2)) == (0.34, 0.95)


def test_consistency_ignores_offsets_and_agreement_does_not():
    ratings = np.array(SHROUT_FLEISS, dtype=float)
    shifted = ratings + np.array([0, 5, 2, -1])
    before, after = intraclass_correlation(ratings), intraclass_correlation(shifted)
    assert after.consistency.value == pytest.approx(before.consistency.value)
    assert after.agreement.value != pytest.approx(before.agreement.value)


def test_the_interval_of_the_consistency_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, hits = 0.5, 0
    for _number in range(300):
        ratings = rng.normal(size=(20, 1)) + rng.normal(size=(20, 3))
        found = intraclass_correlation(ratings).consistency
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 300 <= 0.985


def test_intraclass_correlations_that_are_undefined():
    assert math.isnan(intraclass_correlation([[1, 2]]).agreement.value)
    assert math.isnan(intraclass_correlation([[2, 2], [2, 2]]).agreement.value)
    same = intraclass_correlation([[1, 1], [3, 3], [2, 2]])
    assert same.agreement.value == same.consistency.value == 1
    assert math.isnan(same.agreement.low)
    with pytest.raises(InputError, match="without gaps"):
        intraclass_correlation([[1, math.nan], [2, 2]])


def test_alpha_is_that_of_krippendorffs_example():
    # "Computing Krippendorff's alpha-reliability", 2011, section C: ordinal .815, interval .849.
    assert krippendorff_alpha(KRIPPENDORFF, "ordinal") == pytest.approx(0.815, abs=0.0005)
    assert krippendorff_alpha(KRIPPENDORFF, "interval") == pytest.approx(0.849, abs=0.0005)


def test_alpha_is_undefined_without_pairs_and_without_variety():
    assert math.isnan(krippendorff_alpha([[1, math.nan], [math.nan, 2]]))
    assert math.isnan(krippendorff_alpha([[2, 2], [2, 2]]))
    assert math.isnan(krippendorff_alpha([[math.nan, math.nan]]))
    assert math.isnan(krippendorff_alpha(np.empty((0, 1))))
    assert krippendorff_alpha([[1, 1], [4, 4]]) == 1


def test_the_interval_of_a_statistic_holds_it():
    rng = np.random.default_rng(1)
    first = rng.integers(1, 6, 40)
    ratings = np.stack([first, np.clip(first + rng.integers(-1, 2, 40), 1, 5)], axis=1)
    found = with_interval(lambda pair: weighted_kappa(pair[:, 0], pair[:, 1]), ratings)
    assert found.low < found.value < found.high
    assert found.cases == 40
    assert math.isnan(with_interval(krippendorff_alpha, ratings[:9]).low)
