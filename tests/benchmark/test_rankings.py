"""Statistics over models against closed forms, and their intervals against simulation."""

import numpy as np
import pytest
from scipy import stats

from matex.benchmark.report.rankings import _groups, mixed_effect, rank_agreement, rank_methods
from tests.reference import statistics as reference


def test_two_models_that_rank_alike_agree_and_the_reverse_disagrees():
    rng = np.random.default_rng(0)
    quality = np.arange(5)[:, None] * 0.5
    first = quality + rng.normal(0, 0.1, (5, 40))
    films = np.arange(40) // 2
    assert rank_agreement(first, first + 3, films).tau == pytest.approx(1)
    opposite = rank_agreement(first, -first, films)
    assert (opposite.tau, opposite.low, opposite.high) == pytest.approx((-1, -1, -1))


def test_the_interval_of_a_rank_correlation_covers_what_films_could_have_said():
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, (2, 6, 30))
    found = rank_agreement(first, second, range(30), resamples=400)
    assert found.tau == pytest.approx(stats.kendalltau(first.mean(1), second.mean(1)).statistic)
    assert found.low < found.tau < found.high


def test_undefined_values_leave_the_mean_of_the_others():
    first = np.array([[1.0, np.nan, 3.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    assert rank_agreement(first, first, range(3), resamples=10).tau == pytest.approx(1)


def test_a_rank_correlation_and_its_interval_agree_with_a_slow_computation():
    """Undefined values, ties, films of several samples, and a method that one model has no value of."""
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 4, (2, 5, 14)).astype(float)
    first[rng.random(first.shape) < 0.2] = np.nan
    second[3] = np.nan
    films = ["b", "a", "c", "d", "e", "a", "f"] * 2
    found = rank_agreement(first, second, films, resamples=60, seed=4)
    sampled = np.random.default_rng(4)
    draws = [sampled.integers(0, 6, size=6) for _ in range(60)]
    assert (found.tau, found.low, found.high) == pytest.approx(
        reference.rank_agreement(first, second, films, draws), abs=1e-12
    )
    assert rank_agreement(first, second, films, resamples=60) == rank_agreement(first, second, films, resamples=60)


def test_fewer_than_two_common_methods_have_no_rank_correlation():
    first, second = np.random.default_rng(0).random((2, 3, 6))
    second[1:] = np.nan
    found = rank_agreement(first, second, range(6), resamples=10)
    assert np.isnan([found.tau, found.low, found.high]).all()


def test_two_methods_can_be_ranked_and_compared():
    values = np.array([[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]])
    found = rank_agreement(values, -values, range(3), resamples=10)
    assert (found.tau, found.low, found.high) == (-1, -1, -1)
    ranks = rank_methods(values.T, [True] * 3)
    assert list(ranks.means) == [2, 1]
    assert np.isnan(ranks.p)  # Friedman's test needs three


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([[0.1, 0.2, 0.3]], np.nan),  # one block
        ([[0.1, 0.2], [0.1, 0.2]], np.nan),  # two methods
        ([[0.5] * 3] * 2, 1),  # nothing differs
        ([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], stats.friedmanchisquare([3, 3], [2, 2], [1, 1]).pvalue),
    ],
)
def test_the_test_of_friedman_is_said_where_there_is_one(values, p):
    assert rank_methods(values, [True] * len(values)).p == pytest.approx(p, nan_ok=True)


def test_without_a_block_that_has_all_methods_there_are_no_ranks():
    ranks = rank_methods([[np.nan, 1.0, 2.0]], [True])
    assert np.isnan(ranks.means).all()
    assert len(ranks.means) == 3
    assert np.isnan(ranks.p)
    assert (ranks.critical, ranks.groups) == (np.inf, ())


def test_mean_ranks_with_ties_and_the_critical_difference_of_the_published_table():
    values = np.array([[0.1, 0.4, 0.3, 0.4], [0.5, 0.6, 0.2, 0.9], [0.7, 0.7, 0.7, 0.8]])
    ranks = rank_methods(values, [True] * 3)
    assert ranks.means == pytest.approx(np.array([4 + 3 + 3, 1.5 + 2 + 3, 3 + 4 + 3, 1.5 + 1 + 1]) / 3)
    assert ranks.critical == pytest.approx(
        2.569 * np.sqrt(4 * 5 / (6 * 3)), abs=2e-3
    )  # q for four methods, Demsar 2006
    assert ranks.groups == ((3, 1, 0, 2),)
    assert ranks.p == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)


def test_lower_is_better_turns_the_ranks_and_undefined_blocks_are_left_out():
    values = [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [np.nan, 2.0, 9.0]]
    assert list(rank_methods(values, [True, True, True]).means) == [3, 2, 1]
    assert list(rank_methods(values, [False, False, True]).means) == [1, 2, 3]


def test_methods_that_are_far_apart_do_not_share_a_group():
    values = np.tile([4.0, 3.9, 2.0, 1.0], (60, 1))
    values[::2, :2] = values[::2, 1::-1]
    assert rank_methods(values, [True] * 60).groups == ((0, 1), (2,), (3,))


def balanced(rng, films, models, sds):
    film, model, residual = sds
    effects = rng.normal(0, film, films)[:, None] + rng.normal(0, model, models)
    return 0.3 + effects + rng.normal(0, residual, (films, models))


def test_a_balanced_design_gives_the_estimates_of_the_analysis_of_variance():
    table = balanced(np.random.default_rng(3), 12, 5, (0.5, 0.3, 0.2))
    films, models = table.shape
    mean = table.mean()
    of_film, of_model = table.mean(1), table.mean(0)
    residual = ((table - of_film[:, None] - of_model + mean) ** 2).sum() / ((films - 1) * (models - 1))
    film = of_film.var(ddof=1) - residual / models
    model = of_model.var(ddof=1) - residual / films
    error = np.sqrt(film / films + model / models + residual / table.size)
    where = np.indices(table.shape)
    found = mixed_effect(table.ravel(), {"film": list(where[0].ravel()), "model": list(where[1].ravel())})
    assert found.mean == pytest.approx(mean, abs=1e-9)
    for name, variance in (("film", film), ("model", model), ("residual", residual)):
        assert found.deviations[name] ** 2 == pytest.approx(variance, rel=1e-3)
    half = stats.t.ppf(0.975, models - 1) * error
    assert (found.mean - found.low, found.high - found.mean) == pytest.approx((half, half), rel=1e-3)


def test_the_interval_holds_the_mean_of_the_population_of_models():
    rng = np.random.default_rng(4)
    where = np.indices((20, 3))
    levels = {"film": list(where[0].ravel()), "model": list(where[1].ravel())}
    held = []
    for _ in range(200):
        found = mixed_effect(balanced(rng, 20, 3, (0.3, 0.4, 0.3)).ravel(), levels)
        held.append(found.low <= 0.3 <= found.high)
    assert 0.91 <= np.mean(held) <= 0.99


def test_a_constant_difference_has_no_spread():
    found = mixed_effect([0.5] * 4 + [np.nan], {"film": [0, 0, 1, 1, 2], "model": [0, 1, 0, 1, 0]})
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)
    assert found.deviations == {"film": 0, "model": 0, "residual": 0}


def test_a_constant_difference_has_no_spread_in_spite_of_rounding():
    """The standard deviation of fourteen times 0.1 is not 0 in floating point."""
    values = np.full(14, 0.1)
    assert values.std() > 0
    found = mixed_effect(values, crossed(7, 2))
    assert (found.mean, found.low, found.high) == (0.1, 0.1, 0.1)


def crossed(films, models):
    """Levels of every film on every model."""
    where = np.indices((films, models))
    return {"film": list(where[0].ravel()), "model": list(where[1].ravel())}


def test_differences_without_residual_have_the_interval_of_the_means_of_their_levels():
    """What depends on the model alone is a sample of models; what all models share, one of films."""
    of_model = np.array([0.1, 0.4, 0.3])
    found = mixed_effect(np.tile(of_model, 7), crossed(7, 3))
    half = stats.t.ppf(0.975, 2) * of_model.std(ddof=1) / np.sqrt(3)
    assert (found.mean, found.high - found.mean) == pytest.approx((of_model.mean(), half), rel=1e-2)
    of_film = np.random.default_rng(5).normal(0.3, 0.2, 9)
    found = mixed_effect(np.repeat(of_film, 3), crossed(9, 3))
    half = stats.t.ppf(0.975, 2) * of_film.std(ddof=1) / 3
    assert (found.mean, found.high - found.mean) == pytest.approx((of_film.mean(), half), rel=1e-2)


def test_an_unbalanced_design_has_the_greatest_restricted_likelihood():
    rng = np.random.default_rng(6)
    levels = {"film": list(rng.integers(0, 8, 40)), "finding": list(rng.integers(0, 4, 40)), "model": [0, 1, 2, 3] * 10}
    sizes = {"film": 0.3, "finding": 0.2, "model": 0.4}
    y = rng.normal(0.2, 0.2, 40) + sum(rng.normal(0, sizes[name], 8)[of] for name, of in levels.items())
    found = mixed_effect(y, levels)
    best = [found.deviations[name] ** 2 for name in levels]
    residual = found.deviations["residual"] ** 2
    deviance, mean, error = reference.restricted_likelihood(y, levels.values(), best, residual)
    half = stats.t.ppf(0.975, 3) * error
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half), abs=1e-8)
    for number in range(4):
        for factor in (0.8, 1.25):
            moved = [one * (factor if number == place else 1) for place, one in enumerate([*best, residual])]
            assert reference.restricted_likelihood(y, levels.values(), moved[:3], moved[3])[0] > deviance - 1e-9


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ValueError, match="two methods"):
        rank_agreement([[1.0, 2.0]], [[1.0, 2.0]], [0, 1])
    with pytest.raises(ValueError, match="two methods"):
        rank_methods([[1.0]], [True])
    with pytest.raises(ValueError, match="two levels of 'model'"):
        mixed_effect([1.0, 2.0], {"model": [0, 0]})
    for compute in (
        lambda: rank_agreement(np.eye(2), np.eye(2), [0, 1], level=95),
        lambda: rank_methods(np.eye(2), [True, True], level=95),
    ):
        with pytest.raises(ValueError, match=r"level between 0 and 1, such as 0.95, got 95"):
            compute()


def test_arrays_that_do_not_fit_together_are_refused_with_their_shapes():
    two = np.zeros((2, 3))
    for first, second, clusters in (
        (np.zeros((2, 3, 1)), np.zeros((2, 3, 1)), "abc"),
        (two, np.zeros((2, 4)), "abc"),
        (two[:1], two[:1], "abc"),
        (two, two, "ab"),
    ):
        with pytest.raises(ValueError, match=r"^Expected two arrays \[method, sample\]"):
            rank_agreement(first, second, clusters)
    with pytest.raises(ValueError, match=r"^Expected a level of every effect for each of 2 values"):
        mixed_effect([0.1, 0.2], {"model": [0]})


def test_methods_exactly_a_critical_difference_apart_differ():
    assert _groups(np.array([2.0, 1.0, 3.5]), 1.0) == ((1,), (0,), (2,))
    assert _groups(np.array([2.0, 1.0, 3.5]), 1.01) == ((1, 0), (2,))
    many = np.ones(60)
    assert _groups(many, 0.5) == (tuple(range(60)),)
