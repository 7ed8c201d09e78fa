"""Statistics over models against closed forms, and their intervals against simulation."""

import numpy as np
import pytest
from scipy import stats

from matex.benchmark.report.rankings import mixed_effect, rank_agreement, rank_methods


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
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, models - 1) * error, rel=1e-3)


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
