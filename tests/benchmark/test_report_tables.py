"""Tables, their cells and the sentences about them, from sections made in memory."""

import dataclasses
import math
import re

import numpy as np
import pytest

from matex.benchmark.report.load import _measure
from matex.benchmark.report.measures import contrast_measures, curves, localisation_measures, plain_measures
from matex.benchmark.report.papers import TABLES
from matex.benchmark.report.repetitions import Repetitions, repetition_table
from matex.benchmark.report.section import Measure, cluster_of, count_units, curve_of, stage_of
from matex.benchmark.report.stats import SectionStats, compare_all
from matex.benchmark.report.style import Style, heading, style_of
from matex.benchmark.report.table import Column, Counts, Table, TableRow, best_cells, common_counts, mean_cell
from matex.benchmark.report.tables import (
    TOO_FEW,
    against_controls,
    breakdown,
    localisation,
    measured_table,
    pairwise,
    prior_question,
    short_label,
)
from matex.benchmark.report.verdicts import verdicts
from matex.errors import InputError
from matex.metrics.roar import SMALL_LOSS
from tests.benchmark import synthetic_run
from tests.benchmark.test_report_stats import DROP, ENERGY, FILMS, LOSS, OUTSIDE, section, spread

NAMED = Measure("named-over-other", "energy_share", "named-over-other", "higher", True, False)
POINT = Measure("deletion", "deletion_at_20", "deletion-insertion", "lower", False, False)
EARLIER = Measure("deletion", "deletion_at_5", "deletion-insertion", "lower", False, False)
STAGE = Measure("randomisation", "cascade/block 1/spearman", "randomisation", "lower", False, False)
AGREEMENT = Measure("agreement", "spearman with mmel", "agreement", "neither", False, False)


def sentence(values):
    (found,) = verdicts(SectionStats(section(values)), ENERGY)
    return found


def test_the_sentence_counts_methods_ahead_of_level_with_and_behind_their_controls():
    said = sentence(
        {
            "best": spread(0.8),
            "ahead": spread(0.6, 1),
            "level": spread(0.3, 2),
            "even": spread(0.3, 3),
            "behind": spread(0.1, 4),
            "last": spread(0.05, 5),
            "control: uniform": spread(0.3, 6),
            "control: random": spread(0.01, 7),
        }
    )
    assert "best has the best mean, 8" in said
    assert "; the best of its controls is uniform with 30." in said
    assert "It is ahead of every other method (p < 0.05 after Holm)." in said
    assert said.endswith(
        " 2 of 6 methods beat the best of their controls (p < 0.05 after Holm). No significant difference from their "
        "controls: level, even. Behind their controls: behind, last."
    )


def test_the_sentence_names_all_that_share_the_best_mean():
    same = spread(0.8)
    equal = {"a": same, "b": same, "c": same, "control: uniform": spread(0.3, 1)}
    assert "a, b and c share the best mean, " in sentence(equal)
    no_other = r"; the best control of a is uniform with \d+\.\d\. 3 of 3 methods beat "
    assert re.search(no_other, sentence(equal))
    ahead = r"\. They are ahead of every other method \(p < 0\.05 after Holm\)\. {} of {} methods beat "
    assert re.search(ahead.format(4, 4), sentence(equal | {"d": spread(0.4, 2)}))
    level = np.tile([-1e-3, 1e-3], FILMS // 2)
    tied = sentence(equal | {"d": same + level - 1e-5, "e": same - level - 1e-5})
    assert " No significant difference from a (p of 0.05 or more after Holm): d, e. " in tied
    two = sentence({"a": same, "b": same, "c": spread(0.4, 2), "control: uniform": spread(0.3, 1)})
    assert "a and b share the best mean, " in two
    assert re.search(ahead.format(3, 3), two)
    one = sentence({"a": same, "d": same + level - 1e-5, "control: uniform": spread(0.3, 1)})
    assert " No significant difference from it (p of 0.05 or more after Holm): d. " in one
    alone = sentence({"a": same, "control: uniform": spread(0.3, 1)})
    assert re.search(r"; the best of its controls is uniform with \d+\.\d\. 1 of 1 methods beat the best of ", alone)


@pytest.mark.parametrize(("lesser", "greater"), [(0.5, 0.5 * (1 + 1e-7)), (1e-9, 1.1e-9)])
def test_means_that_differ_at_all_are_not_shared(lesser, greater):
    values = {"a": np.full(FILMS, lesser), "b": np.full(FILMS, greater), "control: uniform": np.zeros(FILMS)}
    assert "b has the best mean, " in sentence(values)


def test_the_best_mean_has_its_interval_where_there_is_one():
    some = two_methods(FILMS)
    assert re.search(r"a has the best mean, \d+\.\d \[\d+\.\d, \d+\.\d\]; the best", sentence(some))
    assert re.search(r"a has the best mean, \d+\.\d; the best", sentence({k: v[:5] for k, v in some.items()}))


def two_methods(films):
    return {"a": spread(0.8)[:films], "control: uniform": spread(0.3, 1)[:films]}


def test_with_few_films_the_texts_say_that_there_is_no_test():
    stats = SectionStats(section({label: some[:5] for label, some in two_methods(FILMS).items()}))
    lead = against_controls(stats, [ENERGY], "key").lead
    assert lead.endswith(f"by itself, which favours the control. No p and no intervals: {TOO_FEW}.")


def test_ten_films_are_enough_for_a_verdict_and_nine_are_not():
    for films, few in ((9, True), (10, False)):
        said = sentence(two_methods(films))
        assert (f"{films} films are too few" in said) == few
        assert ("beat the best of their controls" in said) != few


def difference_of(cell):
    return cell.difference.first, cell.difference.second


def test_methods_against_each_other_fill_the_triangle_from_the_best_down():
    stats = SectionStats(section({"low": spread(0.2), "high": spread(0.8, 1), "mid": spread(0.5, 2)}))
    for measure, order in ((ENERGY, ["high", "mid", "low"]), (DROP, ["low", "mid", "high"])):
        table = pairwise(stats, measure, "key")
        assert [column.label for column in table.columns] == order[1:]
        assert [(row.label, row.kind) for row in table.rows] == [(name, "method") for name in order[:-1]]
        cells = [[cell and difference_of(cell) for cell in row.cells] for row in table.rows]
        best, second, last = order
        assert cells == [[(best, second), (best, last)], [None, (second, last)]]
        tested = table.rows[0].cells[0].difference
        assert tested.favours == "first"
        assert table.rows[0].cells[0].note == ""
        p_values = [cell.difference.p for row in table.rows for cell in row.cells if cell]
        ranked = [stats.compare(*pair, measure).p_wilcoxon for pair in ((best, second), (best, last), (second, last))]
        assert p_values == pytest.approx([3 * max(ranked)] * 3)  # Holm: three equal p-values
        assert "corrected after Holm for the 3 pairs" in table.lead
        assert table.title == f"{heading(measure)}: methods against each other"
        assert (table.key, table.corner) == ("key", "Row minus column")
        assert table.lead.startswith("Best method first. Paired differences with 95 % intervals; p: Wilcoxon")
    few = pairwise(SectionStats(section({"a": [0.1, 0.2], "b": [0.2, 0.4]})), ENERGY, "key")
    assert few.lead == (
        "Best method first. Paired differences. No p and no intervals: fewer than 10 patients, films or repetitions "
        "stand behind each number."
    )


def test_every_method_stands_against_its_best_control_with_the_name_of_it():
    values = {
        "m": spread(0.5),
        "m (random weights)": spread(0.4, 1),
        "n": spread(0.6, 2),
        "control: uniform": spread(0.3, 3),
    }
    stats = SectionStats(section(values, own=("m (random weights)",)))
    table = against_controls(stats, [ENERGY, DROP], "key")
    found = {row.label: [(*difference_of(cell), cell.note) for cell in row.cells] for row in table.rows}
    shared = "control: uniform"
    assert found == {
        "m": [("m", "m (random weights)", "against itself, random weights"), ("m", shared, "against uniform")],
        "n": [("n", shared, "against uniform"), ("n", shared, "against uniform")],
    }
    assert [cell.difference.favours for cell in table.rows[0].cells] == ["first", "second"]
    ps = [stats.compare(label, of, ENERGY).p_bootstrap for label, of in (("m", "m (random weights)"), ("n", shared))]
    assert [row.cells[0].difference.p for row in table.rows] == pytest.approx([2 * max(ps)] * 2)
    assert [column.better for column in table.columns] == ["higher", "lower"]
    assert "which favours the control" in table.lead
    assert (table.key, table.corner) == ("key", "Method minus its best control")
    assert " favours the control. p: two-sided paired bootstrap of the mean over films, corrected after " in table.lead
    nothing = SectionStats(section({"m": spread(0.5), "control: uniform": spread(math.nan)}))
    assert [row.cells for row in against_controls(nothing, [ENERGY], "key").rows] == [(None,)]


def test_notes_of_a_table_are_of_what_it_shows():
    def notes(*measures):
        stats = SectionStats(section({"m": spread(0.5), "control: uniform": spread(0.1)}, measures))
        return " ".join(localisation(stats, measures, "key", "title").notes)

    iou = Measure("iou", "iou", "iou", "higher", True, False, {"threshold": 0.5, "by": "value"})
    tuned = Measure("miou", "miou", "miou", "higher", True, False)
    assert notes(ENERGY) == "Energy: share of the positive part of the raw map that lies inside what is marked."
    assert "Energy:" not in notes(iou)
    assert "IoU at a percentile" in notes(iou)
    assert "mIoU: per finding, the threshold that is best on other films" in notes(tuned)
    cropped = section({"m": [0.0, 0.25]}, measures=(OUTSIDE, ENERGY))
    table = localisation(SectionStats(cropped), [ENERGY], "key", "title")
    assert table.notes[0] == (
        "On average 12.5 % of what is marked lies outside of what the model sees (centre crop); it counts neither for "
        "nor against a map."
    )


def test_a_loss_that_is_nearly_zero_is_said_under_the_table():
    def notes(loss):
        losses = {("m", "roar", "loss_original"): np.array([loss, 0.5])}
        stats = SectionStats(section({"m": [0.0]}, measures=(ENERGY, LOSS), whole=losses))
        return measured_table(stats, [ENERGY, LOSS], "key", "title").notes

    assert notes(0.0012) == (
        f"The loss on clean films is as small as 0.0012. Below {SMALL_LOSS} the percentages of ROAR+ magnify noise: "
        "compare the losses themselves, or validate on more films.",
    )
    assert notes(SMALL_LOSS) == notes(0.5) == ()


def cells_of(means, better="higher"):
    one = Measure("energy", "energy", "energy", better, True, False)
    stats = SectionStats(section({f"m{i}": [mean] for i, mean in enumerate(means)}, measures=(one,)))
    return tuple(mean_cell(stats.estimate(f"m{i}", one)) for i in range(len(means)))


def test_the_best_method_of_each_column_is_marked_and_no_control():
    higher, lower = cells_of([0.1, 0.3, 0.9]), cells_of([0.2, 0.4, 0.05], "lower")
    rows = tuple(
        TableRow(name, kind, cells)
        for name, kind, cells in zip(
            "abc", ("method", "method", "control"), zip(higher, lower, strict=True), strict=True
        )
    )
    table = Table("key", "title", "corner", (Column("x", "higher"), Column("y", "lower")), rows)
    assert best_cells(table) == {(1, 0), (0, 1)}
    alone = dataclasses.replace(table, rows=rows[:1])
    assert best_cells(alone) == set()  # the best of nothing else
    undirected = dataclasses.replace(table, columns=(Column("x"), Column("y", "lower")))
    assert best_cells(undirected) == {(0, 1)}


def test_where_methods_are_columns_the_best_of_each_row_is_marked():
    published = next(one for one in TABLES if one.across)
    columns = (Column("a"), Column("b"), Column("uniform", group="controls"))
    rows = tuple(
        TableRow(name, "method", cells)
        for name, cells in (("x", cells_of([0.1, 0.3, 0.9])), ("y", cells_of([0.2, 0.4, 0.05], "lower")))
    )
    table = Table("key", "title", "corner", columns, rows, published=published)
    assert best_cells(table) == {(0, 1), (1, 0)}
    assert common_counts(table) == [Counts(1, 0, 1, False)] * 3


def test_an_interval_is_written_with_the_sign_of_its_ends():
    style = Style("x", 100, 1)
    assert style.interval(-0.1, 0.25, signed=True) == "[−10.0, +25.0]"
    assert style.interval(0.1, 0.25) == "[10.0, 25.0]"


def test_measures_are_assigned_to_the_parts_of_a_report():
    unseen = dataclasses.replace(NAMED, column="outside_view", better="neither")
    every = (ENERGY, OUTSIDE, NAMED, unseen, DROP, POINT, EARLIER, STAGE, AGREEMENT)
    some = section({"m": spread(0.5)}, measures=every)
    assert localisation_measures(some) == [ENERGY]
    assert contrast_measures(some) == [NAMED]
    assert contrast_measures(section({"m": spread(math.nan)}, measures=every)) == []
    assert plain_measures(some) == [ENERGY, NAMED, DROP]
    (curve,) = curves(some)
    assert (curve.name, curve.metric, curve.percents, curve.measures) == (
        "deletion",
        "deletion",
        (5, 20),
        (EARLIER, POINT),
    )


def test_the_tuned_overlap_is_better_where_it_is_higher_and_other_columns_as_their_metric_says():
    choices = {choice.label: choice for choice in synthetic_run.config(metrics=["miou", "confidence-image"]).metrics}
    assert _measure(choices["miou"], "miou", False).better == "higher"
    found = {
        column: _measure(choices["confidence-image"], column, False).better for column in ("drop", "increase", "?")
    }
    assert found == {"drop": "lower", "increase": "higher", "?": "neither"}


def test_a_sample_without_a_patient_is_its_own_unit():
    assert cluster_of({"cluster": None, "sha256": "ab"}) == cluster_of({"sha256": "ab"}) == "film ab"
    assert cluster_of({"cluster": "patient 7", "sha256": "ab"}) == "patient 7"
    assert count_units(["patient van der Berg", "patient van der Meer"]) == "2 patients"
    assert count_units(["film a", "film a"]) == "1 film"
    assert count_units(["patient a", "film b", "study c", "study d"]) == "1 patient, 2 studies and 1 film"
    assert count_units(["patient a", "patient b", "film b"]) == "2 patients and 1 film"
    assert count_units([]) == "no films"
    assert (curve_of("deletion_at_100"), curve_of("deletion_at_1000")) == (("deletion", 100), None)
    assert curve_of("deletion_at_top_at_25") == ("deletion_at_top", 25)
    assert stage_of("cascade/spearman") is None
    assert stage_of("cascade/block 3/prior/spearman") == ("cascade", "block 3", "prior/spearman")


def test_repetitions_are_means_over_the_same_subsets_for_every_method():
    values = np.arange(FILMS) / 10
    values[3] = math.nan
    some = section({"m": values, "control: uniform": np.full(FILMS, 0.5)}, measures=(ENERGY, LOSS))
    table = repetition_table(SectionStats(some), [ENERGY, LOSS], Repetitions(5, 4, seed=3), "key")
    rng = np.random.default_rng(3)
    means = [np.nanmean(values[rng.choice(FILMS, 4, replace=False)]) for _ in range(5)]
    error = np.std(means, ddof=1) / 5**0.5
    assert [(row.label, row.kind, row.cells) for row in table.rows] == [
        ("m", "method", (f"{100 * np.mean(means):.1f} ± {100 * error:.1f}",)),
        ("uniform", "control", ("50.0 ± 0.0",)),
    ]
    assert [column.label for column in table.columns] == [heading(ENERGY)]  # the other has one value per repetition
    assert (table.key, table.title, table.corner) == ("key", "Repetitions on random subsets", "Method")
    assert [row.hint for row in table.rows] == [entry.description for entry in some.entries.values()]
    assert f"5 random subsets of 4 of the {FILMS} samples" in table.lead
    assert repetition_table(SectionStats(some), [ENERGY], Repetitions(5, FILMS), "key") is None
    assert repetition_table(SectionStats(some), [ENERGY], Repetitions(5, FILMS - 1), "key") is not None
    assert repetition_table(SectionStats(some), [LOSS], Repetitions(5, 4), "key") is None


@pytest.mark.parametrize(
    ("count", "size", "said"),
    [(1, 4, "repetitions"), (10_001, 4, "repetitions"), (5, 0, "subset"), (5, 10_000_001, "subset")],
)
def test_repetitions_outside_their_bounds_are_refused_by_name(count, size, said):
    with pytest.raises(InputError, match=said):
        Repetitions(count, size)
    assert (Repetitions(2, 1).count, Repetitions(10_000, 10_000_000).size) == (2, 10_000_000)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(24, 0, 4, False), "n = 24 from 4"),
        (Counts(12, 0, 12, False), "n = 12"),
        (Counts(10, 2, 10, False), "n = 10, 2 undefined"),
        (Counts(3, 0, 3, True), "3 repetitions"),
        (Counts(2, 1, 2, True), "2 of 3 repetitions defined"),
        (Counts(1, 0, 1, True), "1 repetition"),
    ],
)
def test_the_size_of_a_sample_in_words(counts, said):
    assert str(counts) == said


def test_the_counts_of_a_column_are_those_of_most_of_its_means():
    values = {"a": spread(0.5), "b": spread(0.6), "c": np.where(np.arange(FILMS) < 2, math.nan, 0.5)}
    whole = {(label, "roar", "loss_original"): np.arange(3) / 3 for label in values}
    stats = SectionStats(section(values, measures=(ENERGY, LOSS), whole=whole))
    table = measured_table(stats, [ENERGY, LOSS], "key", "title")
    assert common_counts(table) == [Counts(FILMS, 0, FILMS, False), Counts(3, 0, 3, True)]
    assert Counts.of(stats.estimate("c", ENERGY)) == Counts(FILMS - 2, 2, FILMS - 2, False)
    assert common_counts(Table("key", "title", "Method", (Column("none"),), ())) == [None]


def test_a_method_is_ahead_of_others_and_of_controls_by_its_mean_and_of_every_pair_by_its_ranks():
    """Seven films far ahead and five a little behind: the mean differs beyond chance and the ranks do not."""
    lead = np.repeat([0.5, -0.1], [7, 5]) + np.arange(FILMS) / 1000
    values = {"m": 0.3 + lead, "other": np.full(FILMS, 0.3), "control: uniform": np.full(FILMS, 0.29)}
    stats = SectionStats(section(values))
    compared = stats.compare("m", "other", ENERGY)
    assert compared.p_bootstrap < 0.02
    assert compared.p_wilcoxon > 0.05
    said = sentence(values)
    assert " It is ahead of every other method (p < 0.05 after Holm). 2 of 2 methods beat the best of their " in said
    table = against_controls(stats, [ENERGY], "key")
    assert (table.key, table.title) == ("key", "Each method against the best of its controls")
    row, other = table.rows
    assert row.kind == other.kind == "method"
    assert row.cells[0].style == mean_cell(stats.estimate("m", ENERGY)).style == style_of(ENERGY)
    assert row.cells[0].difference.p == pytest.approx(stats.compare("m", "control: uniform", ENERGY).p_bootstrap * 2)
    (pair,) = pairwise(stats, ENERGY, "key").rows
    assert pair.cells[0].difference.p == compared.p_wilcoxon


def test_a_prior_is_compared_with_its_absence_and_with_itself_alone():
    values = {
        "m": spread(0.8),
        "m (no prior)": spread(0.6, 1),
        "plain": spread(0.5, 2),
        "control: prior alone": spread(0.3, 3),
    }
    stats = SectionStats(section(values, own=("m (no prior)",)))
    table = prior_question(stats, [ENERGY, DROP], "key")
    title = "Does the prior help the model or replace it?"
    assert (table.key, table.title, table.corner) == ("key", title, "Comparison")
    assert [(row.label, row.kind) for row in table.rows] == [
        ("m minus itself without the prior", "method"),
        ("m minus the prior alone", "method"),
        ("m without the prior minus the prior alone", "method"),
    ]
    differences = [[cell.difference for cell in row.cells] for row in table.rows]
    assert [one.comparison.difference for one, _ in differences] == pytest.approx([0.2, 0.5, 0.3], abs=0.02)
    assert [(one.favours, other.favours) for one, other in differences] == [("first", "second")] * 3
    tests = (("m", "m (no prior)"), ("m", "control: prior alone"), ("m (no prior)", "control: prior alone"))
    of_means = compare_all(stats, [(*pair, ENERGY) for pair in tests], "mean")
    assert [one for one, _ in differences] == [of_means[*pair, ENERGY] for pair in tests]
    assert of_means != compare_all(stats, [(*pair, ENERGY) for pair in tests], "ranks")
    assert [column.label for column in table.columns] == [heading(ENERGY), heading(DROP)]
    assert table.lead.endswith("p and intervals as above, p corrected for the lines of a column.")
    second = section(
        {**values, "n (no prior)": spread(0.4, 4), "n": spread(0.7, 5)}, own=("m (no prior)", "n (no prior)")
    )
    labels = [row.label for row in prior_question(SectionStats(second), [ENERGY], "key").rows]
    assert labels == [row.label.replace("m ", name, 1) for name in ("m ", "n ") for row in table.rows]
    for missing in ("m (no prior)", "control: prior alone"):
        others = {label: some for label, some in values.items() if label != missing}
        assert prior_question(SectionStats(section(others, own=("m (no prior)",))), [ENERGY], "key") is None


def test_a_run_has_recorded_its_films_where_every_sample_names_one():
    some = section({"m": spread(0.5)})
    assert some.recorded
    older = {name: value for name, value in some.samples[1].items() if name != "cluster"}
    assert not dataclasses.replace(some, samples=(some.samples[0], older)).recorded


def test_rows_are_each_method_with_its_own_controls_and_then_the_shared_ones():
    """The exchanged side has no row where no phrase names a side; the controls after it have theirs."""
    values = {
        "m": spread(0.5),
        "m (exchanged side)": spread(math.nan),
        "m (random weights)": spread(0.2, 1),
        "n": spread(0.4, 2),
        "control: uniform": spread(0.3, 3),
    }
    some = section(values, own=("m (exchanged side)", "m (random weights)"))
    for label, entry in list(some.entries.items()):
        some.entries[label] = dataclasses.replace(entry, description=f"description of {label}")
    stats = SectionStats(some)
    expected = [
        ("m", "method", "m", "", None),
        ("random weights", "control", "m (random weights)", "", "m"),
        ("n", "method", "n", "", None),
        ("uniform", "control", "control: uniform", "Controls shared by all methods", None),
    ]
    table = localisation(stats, [ENERGY, DROP], "key", "title", "lead")
    rows = [(row.label, row.kind, row.cells[0].estimate.method, row.group, row.of or None) for row in table.rows]
    assert rows == expected
    assert [row.hint for row in table.rows] == [f"description of {label}" for _, _, label, _, _ in expected]
    assert [[cell.estimate.measure for cell in row.cells] for row in table.rows] == [[ENERGY, DROP]] * 4
    assert (table.key, table.title, table.corner, table.lead) == ("key", "title", "Method, and its controls", "lead")
    assert [(column.label, column.better) for column in table.columns] == [
        (heading(ENERGY), "higher"),
        (heading(DROP), "lower"),
    ]
    assert table.notes[0] == "Exchanged side: no phrase of these samples names a side, so there is no such control."
    named = section({**values, "m (exchanged side)": spread(0.1, 4)}, own=("m (exchanged side)", "m (random weights)"))
    table = localisation(SectionStats(named), [ENERGY], "key", "title")
    assert table.lead == ""
    assert [row.label for row in table.rows] == ["m", "exchanged side", "random weights", "n", "uniform"]
    assert table.notes[0] == (
        f"Exchanged side: the method for the phrase with left and right exchanged, on the {FILMS} samples whose phrase "
        "names a side, measured where the finding truly is. Far below the method: its map goes where the word says. As "
        "high as the method: its map goes to the finding, or to whatever stands out, whatever side is named."
    )


def test_the_name_of_a_control_is_short_under_its_method_and_among_the_shared_ones():
    entry = section({"m": spread(0.5), "m (random weights)": spread(0.2)}, own=("m (random weights)",)).entries
    assert short_label(entry["m (random weights)"]) == "random weights"
    shared = section({"control: mean (of films)": spread(0.5)}).entries["control: mean (of films)"]
    assert short_label(shared) == "mean (of films)"


def test_a_measured_table_has_the_value_of_each_method_and_control_that_was_measured():
    some = section({"m": spread(0.5), "n": spread(0.4, 1), "control: uniform": spread(0.3, 2)}, measures=(ENERGY, DROP))
    for label, entry in list(some.entries.items()):
        some.entries[label] = dataclasses.replace(entry, description=f"about {label}")
    del some._arrays["n", "energy", "energy"]
    del some._arrays["n", "drop", "drop"]
    del some._arrays["control: uniform", "drop", "drop"]
    stats = SectionStats(some)
    table = measured_table(stats, [ENERGY, DROP], "key", "title", "lead")
    assert [row.label for row in table.rows] == ["m", "uniform"]
    assert [(cell.estimate.method, cell.estimate.measure) for cell in table.rows[0].cells] == [
        ("m", ENERGY),
        ("m", DROP),
    ]
    assert table.rows[1].cells[0].estimate.method == "control: uniform"
    assert table.rows[1].cells[1] is None
    assert (table.key, table.title, table.corner, table.lead) == ("key", "title", "Method", "lead")
    assert [row.hint for row in table.rows] == ["about m", "about control: uniform"]
    assert measured_table(stats, [ENERGY], "key", "title").lead == ""


def test_a_breakdown_is_titled_by_its_measure_and_fact():
    stats = SectionStats(section({"m": spread(0.5)}))
    half = np.arange(FILMS) < 5
    table = breakdown(stats, ENERGY, "view", {"PA": half, "AP": ~half}, "key")
    assert (table.key, table.title) == ("key", f"{heading(ENERGY)} by view")
    assert [(column.label, column.better, column.group) for column in table.columns] == [
        ("PA (n = 5)", "higher", "view"),
        ("AP (n = 7)", "higher", "view"),
    ]
    assert [cell.estimate.summary.defined for cell in table.rows[0].cells] == [5, 7]


def test_without_a_value_a_sample_is_undefined_and_a_repetition_does_not_exist():
    some = section({"m": spread(0.5)}, measures=(ENERGY,))
    missing = some.values("m", DROP)
    assert missing.shape == (FILMS,)
    assert np.isnan(missing).all()
    assert some.values("m", LOSS).shape == (0,)
    assert some.seed_means("m", DROP).shape == (0,)
    assert (some.missing("m", DROP), some.missing("m", ENERGY)) == (FILMS, 0)


def test_a_label_names_the_parameters_of_its_metric():
    within = Measure("pointing", "pointing_within", "pointing", "higher", True, False, {"within": 15})
    assert heading(within) == "Pointing within 15 px, %"
    assert heading(dataclasses.replace(within, metric="close")) == "Pointing within 15 px (close), %"
    unknown = Measure("new", "top1_max", "new", "higher", True, False)
    assert heading(unknown) == "@1 maximum"
    assert heading(dataclasses.replace(unknown, metric="strict")) == "@1 maximum (strict)"
    assert heading(Measure("new", "share_of_iou", "new", "higher", True, False)) == "Share of IoU"
