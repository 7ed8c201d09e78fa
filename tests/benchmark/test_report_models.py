"""Several models in one report: what is compared, what holds on all of them, what is refused."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest

from matex.benchmark.report import write_report
from matex.benchmark.report.load import read_run
from matex.benchmark.report.model_stats import (
    RanksOverSettings,
    difference_over_models,
    model_agreement,
    ranks_over,
    settings_of,
)
from matex.benchmark.report.models import _sentence, agreement_table, means_table, models_part, ranks_table
from matex.benchmark.report.rankings import Ranks, rank_agreement
from matex.benchmark.report.section import Entry, Measure, Run, Section
from matex.benchmark.report.style import heading
from tests.benchmark import synthetic_run

POINTING = Measure("pointing", "pointing", "pointing", "higher", True, False, {})
DROP = Measure("drop", "drop", "confidence-image", "lower", False, False, {})
METHODS = ("matex", "grad-eclip", "maskclip")
CONTROL = "control: uniform"
FILMS, PER_FILM = 40, 2


def section(model, means, seed=0, measures=(POINTING, DROP)):
    """A section whose methods have these means."""
    rng = np.random.default_rng(seed)
    count = FILMS * PER_FILM
    samples = tuple(
        {
            "sample": str(i),
            "cluster": f"film {i // PER_FILM}",
            "sha256": str(i // PER_FILM),
            "text": "nodule",
            "group": f"finding {i % 3}",
        }
        for i in range(count)
    )
    entries = {name: Entry(name, "method", None, name, "", {}, (-1,)) for name in means if name != CONTROL}
    entries[CONTROL] = Entry(CONTROL, "control", None, CONTROL, "constant", {}, (-1,))
    film = np.repeat(rng.normal(0, 0.2, FILMS), PER_FILM)
    arrays = {
        (name, measure.metric, measure.column): (
            mean + film[None] + rng.normal(0, 0.1, (1, count)),
            np.ones((1, count), dtype=bool),
        )
        for name, mean in means.items()
        for measure in measures
    }
    return Section("two findings", model, samples, entries, measures, np.zeros(count), arrays, {})


def run_of(*sections):
    return dataclasses.replace(_EMPTY, sections=sections)


_EMPTY = Run(None, {}, None, (), (), (), "")
ONE = dict(zip((*METHODS, CONTROL), (0.7, 0.6, 0.9, 0.1), strict=True))
OTHER = dict(zip((*METHODS, CONTROL), (0.7, 0.6, 0.4, 0.1), strict=True))


@pytest.fixture
def few_resamples(monkeypatch):
    """The intervals of rank correlations are tested elsewhere."""
    monkeypatch.setattr("matex.benchmark.report.model_stats.rank_agreement", partial(rank_agreement, resamples=5))


def test_a_run_of_one_model_has_no_such_part():
    assert models_part(run_of(section("tiny", ONE))) is None


def test_models_that_explained_other_samples_are_not_compared():
    other = section("other", ONE)
    moved = dataclasses.replace(other, samples=other.samples[::-1])
    assert settings_of(run_of(section("tiny", ONE), moved)) == []


def test_the_table_holds_every_model_the_controls_and_the_difference_over_models():
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", OTHER, 1), section("third", OTHER, 2)))
    table = means_table(setting, "key")
    assert [row.label for row in table.rows] == [*METHODS, "uniform"]
    assert [row.kind for row in table.rows] == ["method"] * 3 + ["control"]
    assert [column.label for column in table.columns[:4]] == ["tiny", "plain", "third", "minus matex, over models"]
    values = [cell.estimate.summary.mean for cell in table.rows[2].cells[:3]]
    assert values == pytest.approx([0.9, 0.4, 0.4], abs=0.1)
    assert table.rows[0].cells[3] is None  # the baseline itself


def test_a_difference_that_turns_between_models_is_no_difference_over_models():
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", OTHER, 1), section("third", OTHER, 2)))
    steady = difference_over_models(setting, "grad-eclip", "matex", POINTING)
    turning = difference_over_models(setting, "maskclip", "matex", POINTING)
    assert steady.favours == "second"
    assert steady.comparison.difference == pytest.approx(-0.1, abs=0.03)
    assert turning.favours == ""
    assert turning.comparison.high - turning.comparison.low > 0.5


def test_a_lower_drop_favours_the_first():
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", OTHER, 1), section("third", OTHER, 2)))
    assert difference_over_models(setting, "grad-eclip", "matex", DROP).favours == "first"


def test_rankings_of_two_models_agree_where_they_are_the_same(few_resamples):
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", OTHER, 1), section("third", OTHER, 2)))
    rows = {row.label: row.cells[0].estimate.summary.mean for row in agreement_table(setting, "key").rows}
    assert rows["plain and third"] == pytest.approx(1)
    assert rows["tiny and plain"] == pytest.approx(-1 / 3)  # of three pairs two turn


def test_the_sentences_name_what_turns_and_what_is_ahead(few_resamples):
    better = dict(ONE, maskclip=0.95)
    part, tables = models_part(run_of(section("tiny", ONE), section("plain", better, 1), section("third", better, 2)))
    assert any("ahead of matex over all models: maskclip" in sentence for sentence in part.findings)
    part, _ = models_part(run_of(section("tiny", ONE), section("plain", OTHER, 1)))
    assert any("on some models and behind it on others: maskclip" in sentence for sentence in part.findings)
    assert {table.key for table in tables} == {"m1-means", "m1-tau", "m-ranks-table"}


def test_the_report_opens_with_all_models(tmp_path):
    config = synthetic_run.config(
        models=["tiny", {"name": "tiny", "label": "again"}],
        methods=["matex", "mmel", "rise"],
        metrics=["pointing"],
        seeds=[0],
    )
    folder = synthetic_run.write(tmp_path / "run", config, synthetic_run.made_up_samples(3), maps=False)
    assert len(read_run(folder).sections) == 2
    html = write_report(folder).read_text(encoding="utf-8")
    assert html.index("All models") < html.index("tiny on simulated")
    assert "Critical difference diagram" in html
    csv = (folder / "report.csv").read_text(encoding="utf-8")
    assert "m1-means" in csv


def test_too_few_films_give_no_interval(monkeypatch):
    monkeypatch.setattr("matex.benchmark.report.model_stats.FEWEST_CLUSTERS", FILMS + 1)
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", OTHER, 1)))
    found = difference_over_models(setting, "grad-eclip", "matex", POINTING)
    assert np.isnan([found.comparison.low, found.comparison.high]).all()
    assert found.favours == ""


def test_as_many_films_as_an_interval_needs_give_one(monkeypatch):
    monkeypatch.setattr("matex.benchmark.report.model_stats.FEWEST_CLUSTERS", FILMS)
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", OTHER, 1)))
    assert np.isfinite(difference_over_models(setting, "grad-eclip", "matex", POINTING).comparison.low)


def exact(model, means, dataset="two findings", measures=(POINTING, DROP)):
    """A section of twelve films, two samples each, whose values are these means, or these values by measure."""
    small = section(model, dict.fromkeys(means, 0.0), measures=measures)
    arrays = {
        (name, measure.metric, measure.column): (
            np.broadcast_to(value.get(measure.column, np.nan) if isinstance(value, dict) else value, (1, 24)).copy(),
            np.ones((1, 24), dtype=bool),
        )
        for name, value in means.items()
        for measure in measures
    }
    return dataclasses.replace(small, dataset=dataset, samples=small.samples[:24], _arrays=arrays)


def test_ranks_are_over_every_model_data_set_and_measure_by_its_better_direction():
    """Of both measures matex is worst by pointing and best by drop; maskclip has no drop on the second data set."""
    values = {"matex": 0.1, "grad-eclip": 0.2, "maskclip": 0.3, CONTROL: 0.0}
    without = dict(values, maskclip={"pointing": 0.3})
    one, other = (exact(model, values) for model in ("a", "b"))
    third, fourth = (exact(model, without, "second") for model in ("a", "b"))
    settings = settings_of(run_of(one, third, other, fourth))
    assert [(setting.dataset, setting.models) for setting in settings] == [
        ("two findings", ("a", "b")),
        ("second", ("a", "b")),
    ]
    ranks = ranks_over(settings)
    assert (ranks.methods, ranks.blocks) == (METHODS, 6)  # 2 x 2 of the first, 2 of the second data set
    np.testing.assert_allclose(ranks.ranks.means, [(4 * 3 + 2 * 1) / 6, 2, (4 * 1 + 2 * 3) / 6])
    rows = [(row.label, row.cells) for row in ranks_table(ranks).rows]
    assert rows == [("maskclip", ("1.67",)), ("grad-eclip", ("2.00",)), ("matex", ("2.33",))]
    assert settings[0].changes_sign("matex", "maskclip", POINTING) is False


def test_ranks_need_two_methods_that_every_data_set_has_and_one_block_with_all_of_them(few_resamples):
    two = [exact(model, {"matex": 0.1, "mmel": 0.2, CONTROL: 0.0}) for model in ("a", "b")]
    others = [exact(model, {"matex": 0.1, "rise": 0.2, CONTROL: 0.0}, "second") for model in ("a", "b")]
    assert ranks_over(settings_of(run_of(*two))).methods == ("matex", "mmel")
    assert ranks_over(settings_of(run_of(*two, *others))) is None
    apart = {"matex": {"pointing": 0.1}, "mmel": {"drop": 0.2}, CONTROL: 0.0}
    assert ranks_over(settings_of(run_of(*(exact(model, apart) for model in ("a", "b"))))) is None
    _, tables = models_part(run_of(*two))
    lead = next(table.lead for table in tables if table.key == "m-ranks-table")
    assert "no p with fewer than three methods" in lead
    assert "nan" not in lead


def test_a_sign_changes_where_the_means_of_two_models_lie_on_both_sides():
    def setting(*differences):
        sections = [exact(str(n), {"matex": 0.5, "mmel": 0.5 + one, CONTROL: 0.0}) for n, one in enumerate(differences)]
        return settings_of(run_of(*sections))[0]

    for differences, expected in (
        ((0.1, -0.1), True),
        ((0.1, 0.2), False),
        ((0.1, 0.0), False),
        ((-0.1, 0, 0.1), True),
    ):
        assert setting(*differences).changes_sign("mmel", "matex", POINTING) is expected


def test_only_measures_with_a_direction_that_every_model_has_are_compared():
    none = Measure("mass", "mass", "confidence-image", "neither", False, False, {})
    whole = Measure("roar", "roar_image", "roar-plus", "higher", False, True, {})
    values = {"matex": 0.1, "mmel": 0.2, CONTROL: 0.0}
    (setting,) = settings_of(
        run_of(
            exact("a", values, measures=(POINTING, DROP, none, whole)), exact("b", values, measures=(POINTING, none))
        )
    )
    assert setting.measures == (POINTING,)
    assert setting.dataset == "two findings"
    assert settings_of(run_of(*(exact(model, values, measures=(none,)) for model in ("a", "b")))) == []
    assert settings_of(run_of(*(exact(model, {"matex": 0.1, CONTROL: 0.0}) for model in ("a", "b")))) == []


def test_the_agreement_of_two_models_counts_values_and_films():
    first = exact("a", {"matex": 0.1, "mmel": 0.2, "rise": 0.3, CONTROL: 0.0})
    second = exact("b", {"matex": 0.1, "mmel": 0.3, "rise": 0.2, CONTROL: 0.0})
    second._arrays["mmel", "pointing", "pointing"][0][0, :5] = np.nan
    (setting,) = settings_of(run_of(first, exact("skipped", {"matex": 1, "mmel": 1, "rise": 1, CONTROL: 0}), second))
    estimate = model_agreement(setting, 0, 2, POINTING)
    summary = estimate.summary
    assert (summary.mean, summary.low, summary.high) == pytest.approx((1 / 3,) * 3)
    assert (summary.defined, summary.undefined, summary.clusters) == (2 * 3 * 24 - 5, 5, 12)
    assert (estimate.repetitions, estimate.measure, estimate.method) == (1, POINTING, "")
    assert np.isnan(estimate.spread)


def test_a_difference_over_models_counts_pairs_and_is_named():
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", ONE, 1)))
    setting.sections[1]._arrays["grad-eclip", "pointing", "pointing"][0][0, :3] = np.nan
    found = difference_over_models(setting, "grad-eclip", "matex", POINTING)
    comparison = found.comparison
    assert (comparison.pairs, comparison.undefined, comparison.clusters) == (2 * FILMS * PER_FILM - 3, 3, FILMS)
    assert (found.first, found.second) == ("grad-eclip", "matex")
    assert np.isnan([found.p, comparison.p_bootstrap, comparison.p_wilcoxon]).all()


def test_a_difference_that_is_the_same_everywhere_is_reported():
    """Saturated measures do that: one method always hits and the other hits always less by the same."""
    (setting,) = settings_of(run_of(*(exact(model, {"matex": 0.2, "mmel": 0.3, CONTROL: 0.0}) for model in "ab")))
    found = difference_over_models(setting, "mmel", "matex", POINTING)
    assert (found.comparison.low, found.comparison.high) == pytest.approx((0.1, 0.1))
    assert found.favours == "first"


# ------------------------------------------------------------------------------------------- tables, row by row


def test_the_means_of_every_model_stand_under_their_measure():
    """Each value is known: every method has one value on all samples of a model."""
    values = {"mmel": 0.3, "matex": 0.2, CONTROL: 0.1}
    (setting,) = settings_of(run_of(exact("a", values), exact("b", dict(values, mmel=0.5)), exact("c", values)))
    assert setting.baseline == "matex"
    table = means_table(setting, "key")
    heads = [(column.label, column.better, column.group) for column in table.columns]
    assert heads == [
        (label, better, group)
        for better, group in (("higher", heading(POINTING)), ("lower", heading(DROP)))
        for label in ("a", "b", "c", "minus matex, over models")
    ]
    rows = {row.label: row for row in table.rows}
    means = [cell.estimate.summary.mean for cell in rows["mmel"].cells[:3]]
    assert means == pytest.approx([0.3, 0.5, 0.3])
    for label, of in (("mmel", "mmel"), ("uniform", CONTROL)):
        assert [cell.estimate.method for cell in rows[label].cells[:3]] == [of] * 3
        differences = [rows[label].cells[at].difference for at in (3, 7)]
        assert [(one.first, one.second, one.measure) for one in differences] == [
            (of, "matex", POINTING),
            (of, "matex", DROP),
        ]
    assert [(row.kind, row.group, row.hint) for row in table.rows] == [
        ("method", "", ""),
        ("method", "", ""),
        ("control", "Controls shared by all methods", "constant"),
    ]
    assert [cell is None for cell in rows["matex"].cells] == [False, False, False, True] * 2
    assert (table.key, table.title, table.corner) == ("key", "Methods on every model: two findings", "Method")
    assert table.lead == (
        "Last column of a measure: the method minus matex over film, finding and model as random effects, with the "
        "95 % interval of Student's t with one degree of freedom fewer than models. ▲ better and ▼ worse than matex "
        "where the interval leaves out 0."
    )
    without = {"rise": 0.1, "mmel": 0.3, CONTROL: 0.1}
    (setting,) = settings_of(run_of(exact("a", without), exact("b", without)))
    assert setting.baseline == "rise"  # the first where matex was not run


def test_the_agreement_of_every_two_models_has_a_row(few_resamples):
    values = {"matex": 0.1, "mmel": 0.2, "rise": 0.3, CONTROL: 0.0}
    turned = dict(values, matex=0.3, rise=0.1)
    (setting,) = settings_of(run_of(exact("a", values), exact("b", turned), exact("c", values)))
    table = agreement_table(setting, "key")
    assert [(row.label, row.kind) for row in table.rows] == [
        ("a and b", "method"),
        ("a and c", "method"),
        ("b and c", "method"),
    ]
    assert [[cell.estimate.summary.mean for cell in row.cells] for row in table.rows] == [[-1, -1], [1, 1], [-1, -1]]
    assert [[cell.estimate.measure for cell in row.cells] for row in table.rows] == [[POINTING, DROP]] * 3
    assert table.rows[0].cells[0].style.number(-0.5) == "−0.50"
    assert [column.label for column in table.columns] == [heading(POINTING), heading(DROP)]
    assert (table.key, table.title) == ("key", "Do models rank the methods alike? two findings")
    assert table.corner == "Kendall’s tau of"
    assert table.lead == (
        "Tau-b between the rankings of the methods' means: 1 the same order, 0 unrelated, -1 reversed; 95 % bootstrap "
        "interval over films."
    )


def test_ranks_are_listed_from_the_best_with_their_test():
    values = {"matex": 0.1, "mmel": 0.2, "rise": 0.3, CONTROL: 0.0}
    ranks = ranks_over(settings_of(run_of(exact("a", values, measures=(POINTING,)), exact("b", values))))
    table = ranks_table(ranks)
    assert [(row.label, row.kind, row.cells) for row in table.rows] == [
        ("rise", "method", ("1.00",)),
        ("mmel", "method", ("2.00",)),
        ("matex", "method", ("3.00",)),
    ]
    assert [(column.label, column.better) for column in table.columns] == [("Mean rank", "lower")]
    assert (table.key, table.title, table.corner) == ("m-ranks-table", "Mean ranks", "Method")
    assert table.lead.startswith("Mean rank over 2 combinations of model, data set and measure, 1 is best.")
    assert f"p = {ranks.ranks.p:.2g}; critical difference after Nemenyi {ranks.ranks.critical:.2f}." in table.lead


def test_methods_of_one_mean_rank_are_listed_in_the_order_of_the_run():
    """More of them than are sorted one by one."""
    methods = tuple(f"method {number}" for number in range(40))
    means = np.array([1.5, 2.5] * 20)
    ranks = RanksOverSettings(methods, Ranks(means, math.nan, 3.25, ()), 6)
    table = ranks_table(ranks)
    assert [row.label for row in table.rows] == [*methods[::2], *methods[1::2]]
    assert table.lead == (
        "Mean rank over 6 combinations of model, data set and measure, 1 is best. Friedman's test: no p with fewer "
        "than three methods or two combinations; critical difference after Nemenyi 3.25. Measures of one model are not "
        "independent, so methods that lie farther apart than that need not differ on another model."
    )


def test_a_sentence_lists_every_method_that_is_ahead_and_every_one_that_turns():
    values = {"matex": 0.2, "mmel": 0.3, "rise": 0.4, "gradcam": 0.3, "chefer": 0.1, "saliency": 0.1, CONTROL: 0.0}
    (setting,) = settings_of(run_of(exact("a", values), exact("b", dict(values, gradcam=0.1, chefer=0.3))))
    assert _sentence(setting, POINTING) == (
        f"two findings, {heading(POINTING)}: ahead of matex over all models: mmel, rise. Ahead of it on some models "
        "and behind it on others: gradcam, chefer."
    )


def test_the_part_on_all_models_has_a_block_of_ranks_and_one_for_each_data_set(few_resamples):
    values = {"matex": 0.1, "mmel": 0.2, CONTROL: 0.0}
    sections = [exact(model, values, dataset) for dataset in ("two findings", "second") for model in ("a", "b")]
    part, tables = models_part(run_of(*sections))
    assert (part.title, part.facts) == ("All models", "2 models (a, b) on the same samples.")
    assert [(block.key, block.title) for block in part.blocks] == [
        ("m-ranks", "Ranks over models and measures"),
        ("m1", "All models: two findings"),
        ("m2", "All models: second"),
    ]
    assert [table.key for table in tables] == ["m1-means", "m1-tau", "m2-means", "m2-tau", "m-ranks-table"]
    assert part.blocks[0].parts[0] is tables[-1]
    figure = part.blocks[0].parts[1]
    assert (figure.key, figure.caption) == ("m-ranks-figure", tables[-1].lead)
    assert list(part.blocks[2].parts) == tables[2:4]
    assert part.findings == (
        f"two findings, {heading(POINTING)}: ahead of matex over all models: mmel.",
        f"second, {heading(POINTING)}: ahead of matex over all models: mmel.",
    )
    apart = [exact("a", values), exact("b", dict(values, mmel=0.05))]
    part, _ = models_part(run_of(*apart))
    assert part.findings == (
        f"two findings, {heading(POINTING)}: no method is ahead of matex over all models. Ahead of it on some models "
        "and behind it on others: mmel.",
    )
