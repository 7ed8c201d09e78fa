"""Statistics of a report: which direction is better, where thresholds are chosen, what subgroups are."""

import hashlib
import math

import numpy as np
import pytest

from matex.benchmark.report.section import Entry, Measure, Section
from matex.benchmark.report.stats import (
    Difference,
    SectionStats,
    any_tested,
    best_of,
    compare_all,
    favoured,
    most_defined,
    share_outside,
    smallest_loss,
    subgroups,
)
from matex.benchmark.report.tables import breakdown, measured_table
from matex.benchmark.report.thresholds import tuned_iou
from matex.metrics.statistics import PairedComparison

ENERGY = Measure("energy", "energy", "energy", "higher", True, False)
DROP = Measure("drop", "drop", "confidence-image", "lower", False, False)
LOSS = Measure("roar", "loss_original", "roar-plus", "lower", False, True)
OUTSIDE = Measure("energy", "outside_view", "energy", "neither", True, False)
FILMS = 12


def section(values, measures=(ENERGY, DROP), attributes=None, own=(), whole=None):
    """A section in which every method has these values [seed, sample] by every measure."""
    runs = {label: np.atleast_2d(np.asarray(some, dtype=float)) for label, some in values.items()}
    count = next(iter(runs.values())).shape[1]
    samples = tuple(
        {
            "sample": str(i),
            "cluster": f"film {i}",
            "sha256": str(i),
            "text": "nodule",
            "group": "nodule",
            "split": None,
            "attributes": (attributes or [{}] * count)[i],
        }
        for i in range(count)
    )
    kinds = {label: "control" if label.startswith("control: ") or label in own else "method" for label in runs}
    entries = {
        label: Entry(
            label, kind, label.partition(" (")[0] if label in own else None, label, f"what {label} is", {}, (-1,)
        )
        for label, kind in kinds.items()
    }
    arrays = {
        (label, measure.metric, measure.column): (some, np.ones(count, dtype=bool))
        for label, some in runs.items()
        for measure in measures
    }
    return Section("data", "model", samples, entries, tuple(measures), np.zeros(count), arrays, whole or {})


def spread(mean, seed=0):
    return mean + np.random.default_rng(seed).normal(0, 0.01, FILMS)


@pytest.mark.parametrize(
    ("difference", "better", "expected"),
    [
        (0.1, "higher", "first"),
        (-0.1, "higher", "second"),
        (0.1, "lower", "second"),
        (-0.1, "lower", "first"),
        (0.0, "higher", ""),
        (0.0, "lower", ""),
        (0.1, "neither", ""),
    ],
)
def test_a_difference_favours_the_better_method(difference, better, expected):
    assert favoured(difference, better) == expected


def test_the_lower_drop_and_the_higher_energy_are_favoured_where_the_test_says_so():
    stats = SectionStats(section({"low": spread(0.2), "high": spread(0.8, 1), "twin": spread(0.2, 2)}))
    tests = [("low", "high", measure) for measure in (ENERGY, DROP)] + [("low", "twin", DROP)]
    for by in ("mean", "ranks"):
        found = compare_all(stats, tests, by)
        assert found["low", "high", ENERGY].favours == "second"
        assert found["low", "high", DROP].favours == "first"
        assert found["low", "twin", DROP].favours == ""
        assert found["low", "high", ENERGY].p < 0.05 <= found["low", "twin", DROP].p


def test_p_values_are_corrected_within_a_measure_alone():
    stats = SectionStats(section({"a": spread(0.2), "b": spread(0.21, 1), "c": spread(0.22, 2)}))
    alone = compare_all(stats, [("a", "b", ENERGY)], "mean")["a", "b", ENERGY].p
    beside_another_measure = compare_all(stats, [("a", "b", ENERGY), ("a", "c", DROP)], "mean")["a", "b", ENERGY].p
    together = compare_all(stats, [("a", "b", ENERGY), ("a", "c", ENERGY), ("b", "c", ENERGY)], "mean")
    assert beside_another_measure == alone == stats.compare("a", "b", ENERGY).p_bootstrap
    ranked = compare_all(stats, [("a", "b", ENERGY)], "ranks")["a", "b", ENERGY].p
    assert ranked == stats.compare("a", "b", ENERGY).p_wilcoxon != alone
    assert (
        sorted(found.p for found in together.values())[-1]
        > sorted(stats.compare(*pair, ENERGY).p_bootstrap for pair in (("a", "b"), ("a", "c"), ("b", "c")))[0]
    )
    assert together["a", "b", ENERGY].p >= alone


def test_the_best_control_is_the_highest_or_the_lowest_and_never_the_exchanged_side():
    values = {
        "m": spread(0.5),
        "m (random weights)": spread(0.3),
        "m (exchanged side)": spread(0.9),
        "control: uniform": spread(0.1),
        "control: random": spread(math.nan),
    }
    stats = SectionStats(section(values, own=("m (random weights)", "m (exchanged side)")))
    assert stats.best_control("m", ENERGY) == "m (random weights)"
    assert stats.best_control("m", DROP) == "control: uniform"
    assert SectionStats(section({"m": spread(0.5)})).best_control("m", ENERGY) is None
    undefined = {"m": spread(0.5), "control: uniform": spread(math.nan)}
    assert SectionStats(section(undefined)).best_control("m", ENERGY) is None


def test_methods_are_sorted_best_first_and_undefined_ones_last():
    stats = SectionStats(section({"a": [0.5], "undefined": [math.nan], "b": [0.7], "c": [0.5]}))
    assert stats.best_first(["undefined", "a", "b", "c"], ENERGY) == ["b", "a", "c", "undefined"]
    assert stats.best_first(["undefined", "a", "b", "c"], DROP) == ["a", "c", "b", "undefined"]


@pytest.mark.parametrize(
    ("means", "better", "expected"),
    [
        ([0.1, 0.3, 0.2], "higher", {1}),
        ([0.1, 0.3, 0.2], "lower", {0}),
        ([0.3, 0.3, 0.2], "higher", {0, 1}),
        ([0.3, math.nan, 0.2], "lower", {2}),
        ([0.3, 0.3], "higher", set()),
        ([0.3, 0.1], "neither", set()),
        ([math.nan], "higher", set()),
        ([], "higher", set()),
    ],
)
def test_the_best_of_several_means(means, better, expected):
    assert best_of(means, better) == expected


def test_an_estimate_counts_seeds_and_their_spread():
    runs = np.stack([spread(0.2), spread(0.4, 1)])
    runs[0, 3] = math.nan
    runs[:, 5] = math.nan
    estimate = SectionStats(section({"m": runs})).estimate("m", ENERGY)
    assert estimate.repetitions == 2
    assert estimate.spread == pytest.approx(np.std(np.nanmean(runs, axis=1), ddof=1))
    assert (estimate.summary.defined, estimate.summary.undefined) == (FILMS - 1, 1)
    values = [runs[1, 3], *np.delete(runs, [3, 5], axis=1).mean(axis=0)]
    assert estimate.summary.mean == pytest.approx(np.mean(values))
    single = SectionStats(section({"m": spread(0.2)})).estimate("m", ENERGY)
    assert single.repetitions == 1
    assert math.isnan(single.spread)
    assert SectionStats(section({"m": [0.2]})).estimate("other", ENERGY) is None


def test_an_estimate_of_a_subset_has_its_samples_and_films_alone():
    values = np.arange(FILMS, dtype=float)
    stats = SectionStats(section({"m": values}))
    chosen = values < 4
    estimate = stats.estimate("m", ENERGY, ("few", chosen))
    assert (estimate.summary.mean, estimate.summary.defined, estimate.summary.clusters) == (1.5, 4, 4)
    assert stats.estimate("m", ENERGY).summary.defined == FILMS  # the cache tells them apart
    assert stats.estimate("m", ENERGY, ("few", chosen)) is estimate


def test_an_estimate_is_of_its_method_and_measure_and_of_the_films_of_its_subset():
    """Twelve samples of four films, three of each; a subset of two films has two clusters."""
    some = section({"m": np.arange(FILMS) / 10})
    for number, row in enumerate(some.samples):
        row["cluster"] = f"film {number // 3}"
    stats = SectionStats(some)
    assert stats.estimate("m", ENERGY).summary.clusters == 4
    estimate = stats.estimate("m", ENERGY, ("two films", np.arange(FILMS) < 6))
    assert (estimate.summary.clusters, estimate.summary.defined) == (2, 6)
    assert (estimate.method, estimate.measure) == ("m", ENERGY)


@pytest.mark.parametrize(("p", "favours"), [(0.0499, "first"), (0.05, "")])
def test_a_difference_favours_a_method_below_the_level_of_the_test_alone(monkeypatch, p, favours):
    comparison = PairedComparison(0.2, 0.1, 0.3, p, p, FILMS, 0, FILMS)
    monkeypatch.setattr(SectionStats, "compare", lambda self, first, second, measure: comparison)
    stats = SectionStats(section({"a": spread(0.4), "b": spread(0.2, 1)}))
    for by in ("mean", "ranks"):
        found = compare_all(stats, [("a", "b", ENERGY)], by)["a", "b", ENERGY]
        assert (found.first, found.second, found.measure, found.p) == ("a", "b", ENERGY, p)
        assert found.favours == favours
        assert found.comparison is comparison


def test_a_difference_with_an_interval_alone_is_announced():
    """A difference over models has no p."""
    for p, low, expected in (
        (math.nan, 0.1, True),
        (0.2, math.nan, True),
        (math.nan, math.nan, False),
    ):
        comparison = PairedComparison(0.2, low, low, p, p, FILMS, 0, FILMS)
        assert any_tested([Difference(comparison, p, "a", "b", ENERGY, "")]) is expected


def test_tests_are_announced_only_where_there_are_any():
    stats = SectionStats(section({"a": spread(0.2), "b": spread(0.3)}))
    assert any_tested(compare_all(stats, [("a", "b", ENERGY)], "mean").values())
    few = SectionStats(section({"a": [0.1, 0.2], "b": [0.2, 0.4]}))
    assert not any_tested(compare_all(few, [("a", "b", ENERGY)], "mean").values())
    assert not any_tested([])


def test_what_lies_outside_of_the_view_is_a_mean_over_samples():
    cropped = section({"m": [0.0, 0.5, math.nan, 0.25]}, measures=(OUTSIDE,))
    assert share_outside(cropped, {"energy"}) == 0.25
    assert share_outside(cropped, {"pointing"}) == 0
    assert share_outside(section({"m": [0.0, 0.0]}, measures=(OUTSIDE,)), {"energy"}) == 0
    assert share_outside(section({"m": [math.nan]}, measures=(OUTSIDE,)), {"energy"}) == 0


def test_what_lies_outside_is_said_by_the_first_metric_that_sees_anything_there():
    other = Measure("pointing", "outside_view", "pointing", "neither", True, False)
    some = section({"m": [0.0, 0.0]}, measures=(OUTSIDE, other))
    there = np.ones(2, dtype=bool)
    some._arrays["m", "pointing", "outside_view"] = (np.array([[0.5, 0.25]]), there)
    assert share_outside(some, {"energy", "pointing"}) == 0.375
    some._arrays["m", "energy", "outside_view"] = (np.array([[0.5, 0.0]]), there)
    assert share_outside(some, {"energy", "pointing"}) == 0.25


def test_the_smallest_loss_is_that_of_any_method_and_repetition():
    losses = {("a", "roar", "loss_original"): np.array([0.5, 0.2]), ("b", "roar", "loss_original"): np.array([0.3])}
    some = section({"a": [0.0], "b": [0.0]}, measures=(), whole=losses)
    assert smallest_loss(some, LOSS) == 0.2
    nothing = {key: np.full(2, np.nan) for key in losses}
    assert smallest_loss(section({"a": [0.0], "b": [0.0]}, measures=(), whole=nothing), LOSS) == math.inf


def test_the_largest_number_of_defined_values():
    stats = SectionStats(section({"a": [0.1, math.nan, math.nan], "b": [0.1, 0.2, math.nan]}))
    assert most_defined(stats, ["a", "b"], [ENERGY]) == 2
    assert most_defined(stats, ["a"], [ENERGY, DROP]) == 1
    assert most_defined(stats, [], [ENERGY]) == 0


def levels(values):
    """Name of each level and how many samples it holds."""
    found = subgroups(section({"m": np.zeros(len(values))}, attributes=[{"fact": value} for value in values]))
    return {name: int(chosen.sum()) for name, chosen in found.get("fact", {}).items()}


def test_words_are_levels_and_names_of_films_are_none():
    assert levels(["left", "right", "left", None]) == {"left": 2, "right": 1}
    assert levels(["same"] * 4) == {}
    assert levels([f"name {i}" for i in range(17)]) == {}
    assert len(levels([f"name {i}" for i in range(16)])) == 16
    assert levels([True, False, True]) == {"True": 2, "False": 1}


def test_many_numbers_are_cut_into_thirds_and_few_are_not():
    assert levels([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == {"up to 0.267": 2, "0.267 to 0.433": 2, "above 0.433": 2}
    assert levels([0.1, 0.2, 0.3, 0.1]) == {"0.1": 2, "0.2": 1, "0.3": 1}
    assert levels([1, 2, 3, 4, 5, 6, 7, 8, 8]) == {**{str(n): 1 for n in range(1, 8)}, "8": 2}
    thirds = levels([1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    assert list(thirds.values()) == [4, 3, 3]
    assert levels([1, 2, 3]) == {}  # as many as films: another name of each


def test_what_is_not_known_is_no_level():
    assert levels(["a", "", "b", None, "a"]) == {"a": 2, "b": 1}
    assert levels([0.1, None, 0.2, "", 0.3]) == {"0.1": 1, "0.2": 1, "0.3": 1}
    found = levels([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, None])
    assert sum(found.values()) == 6


def test_three_different_numbers_are_levels_and_four_are_cut_into_thirds():
    assert list(levels([0.1, 0.2, 0.3, 0.3])) == ["0.1", "0.2", "0.3"]
    assert [name.split()[0] for name in levels([0.1, 0.2, 0.3, 0.4])] == ["up", "0.2", "above"]


def test_counts_are_in_the_order_of_their_size_and_words_in_that_of_the_alphabet():
    assert list(levels([10, 2, 2, 1, 10])) == ["1", "2", "10"]
    assert list(levels(["b", "10", "a", "2"])) == ["10", "2", "a", "b"]
    assert list(levels([True, "no", False])) == ["False", "True", "no"]


def test_a_group_that_repeats_the_finding_is_left_out():
    some = section({"m": np.zeros(4)}, attributes=[{"finding": "nodule"} for _ in range(4)])
    for number, row in enumerate(some.samples):
        row["group"] = row["attributes"]["finding"] = ("nodule", "mass")[number % 2]
    assert set(subgroups(some)) == {"finding"}
    for row in some.samples:
        del row["attributes"]["finding"]
    assert set(subgroups(some)) == {"group"}


def test_phrases_of_specialists_are_a_subgroup_where_there_are_others():
    some = section({"m": np.zeros(4)})
    for row, text in zip(some.samples, ("atelectasis", "large heart", "hilar mass", "clear lungs"), strict=True):
        row["text"] = text
    found = subgroups(some)["vocabulary"]
    assert {name: chosen.tolist() for name, chosen in found.items()} == {
        "common": [False, True, False, True],
        "specialised": [True, False, True, False],
    }


def rows(splits, groups=None, films=None):
    return [
        {
            "split": split,
            "text": "nodule",
            "group": (groups or ["nodule"] * len(splits))[i],
            "cluster": (films or [f"film {i}" for i in range(len(splits))])[i],
            "sha256": str(i),
        }
        for i, split in enumerate(splits)
    ]


def test_thresholds_are_chosen_on_the_validation_split_and_judged_on_the_test_split():
    """The validation films are best at 20, the test films at 60: what counts is what is known before the test."""
    there = np.ones(4, dtype=bool)
    arrays = {
        ("m", "miou", "iou_at_20"): (np.array([[0.9, 0.8, 0.1, 0.2]]), there),
        ("m", "miou", "iou_at_60"): (np.array([[0.1, 0.2, 0.9, 0.8]]), there),
        ("m", "other", "iou_at_60"): (np.array([[1.0, 1.0, 1.0, 1.0]]), there),
    }
    ((key, (values, _)),) = tuned_iou("miou", arrays, rows(["val", "val", "test", "test"])).items()
    assert key == ("m", "miou", "miou")
    np.testing.assert_array_equal(values, [[math.nan, math.nan, 0.1, 0.2]])


def test_thresholds_are_chosen_for_each_finding_and_each_seed():
    there = np.ones(4, dtype=bool)
    arrays = {
        ("m", "miou", "iou_at_20"): (np.array([[0.9, 0.1, 0.3, 0.4], [0.1, 0.9, 0.5, 0.6]]), there),
        ("m", "miou", "iou_at_60"): (np.array([[0.1, 0.9, 0.7, 0.8], [0.9, 0.1, 0.1, 0.2]]), there),
    }
    splits, groups = ["val", "val", "test", "test"], ["nodule", "mass", "nodule", "mass"]
    values, _ = tuned_iou("miou", arrays, rows(splits, groups))["m", "miou", "miou"]
    np.testing.assert_array_equal(values[:, 2:], [[0.3, 0.8], [0.1, 0.6]])


def test_without_both_splits_every_film_is_judged_at_the_threshold_of_the_other_half():
    films = [f"film {i}" for i in range(8)]
    there = np.ones(8, dtype=bool)
    rng = np.random.default_rng(0)
    low, high = rng.random((1, 8)), rng.random((1, 8))
    arrays = {("m", "miou", "iou_at_20"): (low, there), ("m", "miou", "iou_at_60"): (high, there)}
    for splits in (["val"] * 8, [None] * 8, ["test"] * 8):
        values, _ = tuned_iou("miou", arrays, rows(splits, films=films))["m", "miou", "miou"]
        assert not np.isnan(values).any()
        assert all(value in (one, other) for value, one, other in zip(values[0], low[0], high[0], strict=True))


def test_the_half_of_a_film_depends_on_its_cluster_alone():
    """By the first byte of its hash: reports of other methods or other samples compare at the same thresholds."""
    films = [f"film {i}" for i in range(16)]
    odd = np.array([hashlib.sha256(film.encode()).digest()[0] % 2 == 1 for film in films])
    there = np.ones(16, dtype=bool)
    low, high = np.where(odd, 0.9, 0.2), np.where(odd, 0.1, 0.8)  # each threshold is better on one half
    arrays = {("m", "miou", "iou_at_20"): (low[None], there), ("m", "miou", "iou_at_60"): (high[None], there)}
    values, _ = tuned_iou("miou", arrays, rows([None] * 16, films=films))["m", "miou", "miou"]
    np.testing.assert_array_equal(values[0], np.where(odd, 0.1, 0.2))


def test_a_breakdown_averages_the_samples_of_each_level():
    subtle = np.arange(FILMS) < 4
    stats = SectionStats(section({"m": np.where(subtle, 0.25, 0.75), "control: uniform": np.full(FILMS, 0.5)}))
    table = breakdown(stats, ENERGY, "tier", {"subtle": subtle, "obvious": ~subtle}, "tiers")
    headings = [(column.label, column.better, column.group) for column in table.columns]
    assert headings == [("subtle (n = 4)", "higher", "tier"), ("obvious (n = 8)", "higher", "tier")]
    means = {row.label: [cell.estimate.summary.mean for cell in row.cells] for row in table.rows}
    assert means == {"m": [0.25, 0.75], "uniform": [0.5, 0.5]}
    assert table.corner == "Method, and its controls"


def test_a_table_of_values_holds_the_controls_that_were_measured_without_their_prefix():
    stats = SectionStats(section({"m": spread(0.5), "control: uniform": spread(0.2)}))
    table = measured_table(stats, [ENERGY, DROP], "values", "Values", "Read down.")
    assert [(row.label, row.kind, len(row.cells)) for row in table.rows] == [
        ("m", "method", 2),
        ("uniform", "control", 2),
    ]
    assert (table.key, table.title, table.lead, table.corner) == ("values", "Values", "Read down.", "Method")
