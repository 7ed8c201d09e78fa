"""Several models in one report: what is compared, what holds on all of them, what is refused."""

import dataclasses

import numpy as np
import pytest

from matex.benchmark.report import write_report
from matex.benchmark.report.load import read_run
from matex.benchmark.report.model_stats import difference_over_models, settings_of
from matex.benchmark.report.models import agreement_table, means_table, models_part
from matex.benchmark.report.section import Entry, Measure, Run, Section
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


def test_rankings_of_two_models_agree_where_they_are_the_same():
    (setting,) = settings_of(run_of(section("tiny", ONE), section("plain", OTHER, 1), section("third", OTHER, 2)))
    rows = {row.label: row.cells[0].estimate.summary.mean for row in agreement_table(setting, "key").rows}
    assert rows["plain and third"] == pytest.approx(1)
    assert rows["tiny and plain"] == pytest.approx(-1 / 3)  # of three pairs two turn


def test_the_sentences_name_what_turns_and_what_is_ahead():
    better = dict(ONE, maskclip=0.95)
    part, tables = models_part(run_of(section("tiny", ONE), section("plain", better, 1), section("third", better, 2)))
    assert any("ahead of matex over all models: maskclip" in sentence for sentence in part.findings)
    part, _ = models_part(run_of(section("tiny", ONE), section("plain", OTHER, 1)))
    assert any("on some models and behind it on others: maskclip" in sentence for sentence in part.findings)
    assert {table.key for table in tables} == {"m1-means", "m1-tau", "m-ranks-table"}


def test_the_report_opens_with_all_models(tmp_path):
    config = synthetic_run.config(models=["tiny", {"name": "tiny", "label": "again"}], metrics=["pointing", "energy"])
    folder = synthetic_run.write(tmp_path / "run", config, synthetic_run.made_up_samples())
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
