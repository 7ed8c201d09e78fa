"""Intervals and tests against loops, enumeration, scipy, and how often an interval holds the truth."""

import time

import numpy as np
import pytest
from scipy import stats

from matex.errors import InputError
from matex.metrics.statistics import FEWEST_CLUSTERS, compare_paired, holm, summarise
from tests.reference import statistics as twin


def skewed(count, seed=0):
    return np.random.default_rng(seed).exponential(2.0, count)


@pytest.mark.parametrize("clustered", [False, True])
def test_the_interval_equals_the_twin(clustered):
    values = skewed(43)
    clusters = [i // 3 for i in range(43)] if clustered else list(range(43))
    groups = [[v for v, c in zip(values, clusters, strict=True) if c == number] for number in dict.fromkeys(clusters)]
    found = summarise(values, clusters if clustered else None, resamples=400, seed=5)
    draws = np.random.default_rng(5).integers(0, len(groups), (400, len(groups)))
    assert (found.low, found.high) == pytest.approx(twin.bca(groups, draws.tolist()))
    assert found.mean == pytest.approx(values.mean())


def test_resampled_means_that_equal_the_mean_count_half():
    """Hits and misses: one resample in five or so has as many hits as the sample."""
    values = np.array([1.0] * 7 + [0.0] * 6)
    draws = np.random.default_rng(3).integers(0, 13, (500, 13))
    tied = np.isclose(values[draws].mean(1), values.mean()).sum()
    assert tied > 80
    found = summarise(values, resamples=500, seed=3)
    assert (found.low, found.high) == pytest.approx(twin.bca([[value] for value in values], draws.tolist()))


def test_the_interval_agrees_with_scipy():
    values = skewed(40)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20000, method="BCa", rng=np.random.default_rng(1))
    found = summarise(values, resamples=20000)
    width = found.high - found.low
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.03 * width)


def test_the_interval_holds_the_mean_as_often_as_it_says():
    held = [(s := summarise(skewed(60, seed), resamples=600)).low <= 2.0 <= s.high for seed in range(300)]
    assert 0.90 <= np.mean(held) <= 0.98


def test_clusters_widen_the_interval_of_values_that_repeat():
    """Each value four times is no more evidence than once."""
    values = skewed(30)
    once = summarise(values)
    repeated = np.repeat(values, 4)
    clusters = np.repeat(np.arange(30), 4).tolist()
    together = summarise(repeated, clusters)
    assert (together.low, together.high) == pytest.approx((once.low, once.high))
    alone = summarise(repeated)
    assert alone.high - alone.low < 0.6 * (once.high - once.low)


def test_undefined_values_are_left_out_and_counted():
    values = [1, np.nan, 3, np.nan, np.nan, 5, *range(9)]
    found = summarise(values)
    assert (found.mean, found.defined, found.undefined) == (3.75, 12, 3)
    same = summarise([1, 3, 5, *range(9)])
    assert (found.low, found.high) == (same.low, same.high)
    clustered = summarise(values, ["a", "a", "b", "c", "d", *"efghijklmn"])
    assert (clustered.low, clustered.high) == (same.low, same.high)
    assert clustered.clusters == 12


def test_too_few_values_have_no_interval():
    nothing = summarise([np.nan, np.nan])
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
    assert (nothing.defined, nothing.undefined, nothing.clusters) == (0, 2, 0)
    one = summarise([4.0])
    assert one.mean == 4
    assert np.isnan([one.low, one.high]).all()
    film = summarise([4.0, 5.0], ["film", "film"])
    assert film.mean == 4.5
    assert np.isnan(film.low)
    assert np.isnan(summarise([]).mean)


def test_many_samples_of_few_films_have_neither_interval_nor_p_value():
    """48 images rendered from four films are four films."""
    first, second = skewed(48), skewed(48, seed=1)
    films = [i % 4 for i in range(48)]
    alone, summary = summarise(first), summarise(first, films)
    assert alone.low < alone.mean < alone.high
    assert (summary.mean, summary.defined, summary.clusters) == (pytest.approx(alone.mean), 48, 4)
    assert np.isnan([summary.low, summary.high]).all()
    found = compare_paired(first, second, films)
    assert (found.pairs, found.clusters) == (48, 4)
    assert found.difference == pytest.approx(np.mean(first - second))
    assert np.isnan([found.low, found.high, found.p_bootstrap, found.p_wilcoxon]).all()


def test_intervals_and_tests_begin_with_the_fewest_clusters():
    values = skewed(60)
    for count in (FEWEST_CLUSTERS - 1, FEWEST_CLUSTERS):
        clusters = [i % count for i in range(60)]
        found = compare_paired(values, np.zeros(60), clusters, resamples=100)
        numbers = [summarise(values, clusters, resamples=100).low, found.low, found.p_bootstrap, found.p_wilcoxon]
        assert np.isnan(numbers).tolist() == [count < FEWEST_CLUSTERS] * 4


def test_undefined_values_do_not_make_a_cluster():
    """Ten films of which one has no defined value are nine."""
    values = np.where(np.arange(40) % 10 == 3, np.nan, skewed(40))
    found = summarise(values, [i % 10 for i in range(40)])
    assert (found.clusters, found.defined) == (9, 36)
    assert np.isnan(found.low)


def test_a_constant_has_an_interval_of_no_width():
    found = summarise([0.3] * 11)
    assert (found.low, found.high) == pytest.approx((0.3, 0.3))


def test_the_same_seed_gives_the_same_interval():
    assert summarise(skewed(50)) == summarise(skewed(50))
    assert summarise(skewed(50)) != summarise(skewed(50), seed=1)


def test_an_interval_does_not_depend_on_how_many_resamples_are_held(monkeypatch):
    values = skewed(30)
    whole = summarise(values, resamples=500)
    monkeypatch.setattr("matex.metrics.statistics._AT_ONCE", 30 * 70)
    assert summarise(values, resamples=500) == whole


def test_a_large_table_takes_seconds():
    values = skewed(1000)
    start = time.process_time()
    summarise(values)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("count", [10, 11, 13])
def test_the_signed_rank_test_equals_enumeration(count):
    random = np.random.default_rng(count)
    first, second = random.standard_normal((2, count)) + np.array([[0.8], [0]])
    found = compare_paired(first, second, resamples=200)
    assert found.p_wilcoxon == pytest.approx(twin.signed_rank((first - second).tolist()))


def test_the_signed_rank_test_on_hits_and_misses_is_a_sign_test():
    first = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1], dtype=float)
    second = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0], dtype=float)
    found = compare_paired(first, second, resamples=200)
    assert found.p_wilcoxon == pytest.approx(stats.binomtest(7, 8).pvalue)


def test_paired_tests_see_a_small_difference_that_is_always_there():
    random = np.random.default_rng(0)
    base = random.standard_normal(80) * 10
    found = compare_paired(base + 0.1 + 0.02 * random.standard_normal(80), base)
    assert found.p_bootstrap == 1 / 10_001  # never 0: the observed mean counts as one of the resampled
    assert found.p_wilcoxon < 0.001
    assert found.low > 0.05
    assert found.difference == pytest.approx(0.1, abs=0.02)


def test_paired_tests_are_right_under_the_null():
    random = np.random.default_rng(0)
    p = [
        (c := compare_paired(*random.standard_normal((2, 40)), resamples=300)).p_bootstrap + 1j * c.p_wilcoxon
        for _ in range(200)
    ]
    assert np.mean(np.real(p) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(np.imag(p) < 0.1) == pytest.approx(0.1, abs=0.06)


def test_only_samples_where_both_are_defined_are_compared():
    first = [1.0, np.nan, 3.0, 4.0, 6.0]
    second = [0.5, 2.0, np.nan, 2.0, 5.0]  # three pairs, too few for a test
    found = compare_paired(first, second)
    assert (found.pairs, found.undefined) == (3, 2)
    assert found.difference == pytest.approx((0.5 + 2 + 1) / 3)


def test_clusters_count_once_in_both_tests():
    random = np.random.default_rng(3)
    difference = random.standard_normal(12) + 0.5
    repeated, zeros = np.repeat(difference, 5), np.zeros(60)
    clusters = np.repeat(np.arange(12), 5).tolist()
    alone, together = compare_paired(difference, np.zeros(12)), compare_paired(repeated, zeros, clusters)
    assert together.p_wilcoxon == pytest.approx(alone.p_wilcoxon)
    assert together.p_bootstrap == pytest.approx(alone.p_bootstrap)
    assert compare_paired(repeated, zeros).p_wilcoxon < together.p_wilcoxon


def test_each_films_mean_counts_once_however_many_samples_it_has():
    films = [0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    more = [0.11, 0.37, -0.05, 0.23, 0.61]
    difference = [0.5, 0.1, 0.3, 0.7, -0.4, -0.9, 0.3, -0.1, 0.8, *more]
    means = [0.5, 0.2, -0.2 - 1e-9, 0.3, 0.35, *more]
    found = compare_paired(difference, [0.0] * 14, films, resamples=200)
    assert found.p_wilcoxon == pytest.approx(twin.signed_rank(means))
    assert found.p_wilcoxon != pytest.approx(twin.signed_rank([0.5, 0.4, -0.6, 0.3, 0.7, *more]))  # of the sums


def test_equal_methods_do_not_differ():
    found = compare_paired(np.arange(10.0), np.arange(10.0))
    assert (found.difference, found.p_bootstrap, found.p_wilcoxon) == (0, 1, 1)
    nothing = compare_paired([np.nan], [1.0])
    assert np.isnan([nothing.difference, nothing.p_bootstrap, nothing.p_wilcoxon]).all()


def test_holm_equals_the_twin():
    p = [0.01, 0.04, 0.03, 0.005, 0.5, 0.03]
    np.testing.assert_allclose(holm(p), twin.holm(p))
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert len(holm([])) == 0


def test_values_of_other_samples_are_refused():
    with pytest.raises(ValueError, match="same samples"):
        compare_paired([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="cluster"):
        summarise([1.0, 2.0], ["a"])


@pytest.mark.parametrize("level", [95, 1, 0, -0.5, float("nan")])
def test_a_level_that_is_no_share_is_refused_in_one_line(level):
    values = skewed(20)
    for compute in (lambda: summarise(values, level=level), lambda: compare_paired(values, values, level=level)):
        with pytest.raises(InputError, match=r"^Expected level between 0 and 1, such as 0.95, got .*\.$"):
            compute()


def test_statistics_without_resamples_and_values_that_are_no_p_are_refused():
    with pytest.raises(InputError, match="resamples of 1 or more"):
        summarise(skewed(20), resamples=0)
    for wrong in ([0.1, 1.5], [-0.1]):
        with pytest.raises(InputError, match="p_values from 0 to 1"):
            holm(wrong)
