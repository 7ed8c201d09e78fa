"""The report of a run: what it refuses, that its numbers are right, and that no text can break it."""

import csv
import io
import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from matex.benchmark import parse_config, run
from matex.benchmark.published import TABLES
from matex.benchmark.report import _Builder, _curve_axes, _curve_title, write_report
from matex.benchmark.report_files import as_csv, escape, latex_table
from matex.benchmark.report_page import table as html_table
from matex.benchmark.report_run import Measure, curve_of, read_run, stage_of
from matex.benchmark.report_tables import (
    Column,
    Curve,
    Measured,
    Numbers,
    Row,
    Style,
    Table,
    attributes,
    heading,
    localisation,
    paper_table,
    places,
    prior_question,
    style_of,
    two_findings,
)
from matex.images import InputError
from matex.metrics.statistics import summarise
from tests.benchmark import synthetic_run, toy

pytest.importorskip("matplotlib")
FEW = ["matex", "grad-eclip", {"name": "rise", "label": "rise & <b>50%_"}]
METRICS = ["pointing", "energy", "miou", "named-over-other", "confidence-image", "roar-plus", "randomisation"]


def small(**changes):
    return synthetic_run.config(**{"methods": FEW, "metrics": METRICS, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthetic_run.write(tmp_path_factory.mktemp("run") / "r", small(), synthetic_run.made_up_samples(8))


@pytest.fixture(scope="module")
def section(folder):
    return read_run(folder).sections[0]


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    """The folder with the files of the report."""
    out = tmp_path_factory.mktemp("report")
    write_report(folder, out)
    return out


def measure(section, metric, column):
    return next(one for one in section.measures if (one.metric, one.column) == (metric, column))


class Elements(HTMLParser):
    """Tags in order, with their attributes; fails on one that is never closed."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    parser = Elements()
    parser.feed(page)
    assert not parser.open
    for tag, attributes_of in parser.tags:
        for name in ("src", "href"):
            if name in attributes_of:
                assert attributes_of[name].startswith(("data:", "#")), (tag, attributes_of)
        assert "style" not in attributes_of
        assert not any(name.startswith("on") for name in attributes_of)
    links = {one["href"][1:] for _, one in parser.tags if "href" in one}
    ids = [one["id"] for _, one in parser.tags if "id" in one]
    assert links <= set(ids)
    assert len(ids) == len(set(ids))
    assert "default-src 'none'" in page
    assert "Not for diagnosis" in page
    assert all(one.get("alt") for tag, one in parser.tags if tag == "img")


def test_labels_cannot_break_the_page_or_the_tables(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    assert "<b>50%_" not in page
    assert "rise &amp; &lt;b&gt;50%_" in page
    assert "&lt;outside&gt;" in page  # of problems.jsonl
    tex = (written / "report.tex").read_text(encoding="utf-8")
    assert r"rise \& \textless{}b\textgreater{}50\%\_" in tex


def test_latex_has_as_many_cells_as_columns(written):
    tex = (written / "report.tex").read_text(encoding="utf-8")
    assert tex.count("{") == tex.count("}")
    for kind in ("tabular", "longtable", "table", "document"):
        assert tex.count(f"\\begin{{{kind}}}") == tex.count(f"\\end{{{kind}}}")
    bodies = re.findall(r"\\begin\{(?:tabular|longtable)\}\{(l[r]*)\}(.*?)\\end\{(?:tabular|longtable)\}", tex, re.S)
    assert len(bodies) > 5
    for spec, body in bodies:
        for line in body.split("\\\\\n"):
            cells = len(re.findall(r"(?<!\\)&", line)) + 1
            spans = sum(int(width) - 1 for width in re.findall(r"\\multicolumn\{(\d+)\}", line))
            if "\\caption" not in line and line.strip(" \n") and "bottomrule" not in line:
                assert cells + spans == len(spec), line
    assert not re.search("[^\x00-\x7f]", tex.replace("ä", "")), "letters that LaTeX may not know"


def test_every_printed_number_is_in_the_csv(written, section):
    rows = list(csv.DictReader(io.StringIO((written / "report.csv").read_text(encoding="utf-8"))))
    energy = measure(section, "energy", "energy")
    expected = summarise(section.values("matex", energy), section.clusters, resamples=2000)
    table = next(
        row
        for row in rows
        if row["table"] == "s1-places-table" and row["method"] == "matex" and row["column"] == "energy"
    )
    assert float(table["value"]) == pytest.approx(100 * expected.mean)
    assert float(table["low"]) == pytest.approx(100 * expected.low)
    assert (int(table["n"]), int(table["undefined"])) == (expected.defined, expected.undefined)
    quoted = [
        row for row in rows if row["kind"] == "quoted" and row["method"] == "MATEX" and row["table"] == "s1-matex-1"
    ]
    assert [float(row["value"]) for row in quoted] == [0.51, 47.55, 37.9]
    assert all("arXiv:2601.11666" in row["source"] for row in quoted)


def test_values_are_means_over_seeds_and_undefined_ones_are_counted(section):
    label = "rise & <b>50%_"
    energy = measure(section, "energy", "energy")
    cells = [cell for cell in synthetic_run.cells(small()) if cell.label == label]
    assert [cell.seed for cell in cells] == [0, 1]
    expected = [
        np.mean([synthetic_run.value(cell, "energy", number, cell.seed) for cell in cells]) for number in range(16)
    ]
    np.testing.assert_allclose(section.values(label, energy), expected)
    found = Numbers(section).of(label, energy)
    assert found is not None
    assert found.summary.undefined == 1  # sample 5
    assert found.draws == 2
    means = [
        np.nanmean([synthetic_run.value(cell, "energy", number, cell.seed) for number in range(16)]) for cell in cells
    ]
    assert found.spread == pytest.approx(np.std(means, ddof=1))


def test_films_are_what_is_resampled(section):
    """Two phrases of a film are no two pieces of evidence, so the interval is that of clusters."""
    pointing = measure(section, "pointing", "pointing")
    found = Numbers(section).of("matex", pointing)
    assert found is not None
    values = section.values("matex", pointing)
    clustered = summarise(values, section.clusters, resamples=2000)
    assert len(set(section.clusters)) == 8
    assert (found.summary.low, found.summary.high) == (clustered.low, clustered.high)
    assert clustered != summarise(values, resamples=2000)


def test_controls_stand_under_every_method(section):
    made = localisation(Numbers(section), places(section), "key", "title")
    assert [row.kind for row in made.rows].count("method") == 3
    shared = {"uniform", "random", "prior alone", "mirrored prior"}
    under: dict[str, set[str]] = {}
    for row in made.rows:
        if row.kind == "control":
            assert all(isinstance(cell, Measured) for cell in row.cells)
            under.setdefault(row.of, set()).add(row.label)
    assert under == {
        "matex": shared | {"random weights", "no prior"},
        "grad-eclip": shared | {"random weights"},
        "rise & <b>50%_": shared | {"random weights"},
    }
    at = [row.label for row in made.rows].index("grad-eclip")
    assert all(row.kind == "control" and row.of == "grad-eclip" for row in made.rows[at + 1 : at + 6])


@pytest.mark.parametrize(
    "label", ["control: uniform", "control: mirrored prior", "matex (random weights)", "matex (no prior)"]
)
def test_a_table_of_places_without_a_control_is_refused(tmp_path, label):
    folder = synthetic_run.write(tmp_path / "r", small(), synthetic_run.made_up_samples(3), [(label, "")], maps=False)
    with pytest.raises(InputError, match="Expected the control") as error:
        read_run(folder)
    assert label in str(error.value)
    assert "\n" not in str(error.value)


def test_a_control_that_lacks_one_sample_is_refused(tmp_path):
    samples = synthetic_run.made_up_samples(3)
    gone = [("control: random", samples[2]["sample"])]
    folder = synthetic_run.write(tmp_path / "r", small(), samples, gone, maps=False)
    with pytest.raises(InputError, match=r"'control: random' on every sample .* none for 1 of 6"):
        read_run(folder)


def test_without_measures_of_places_no_controls_are_asked_for(tmp_path):
    config = small(metrics=["confidence-image"])
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(3), maps=False)
    section = read_run(folder).sections[0]
    assert not places(section)
    assert set(section.entries) == {"matex", "grad-eclip", "rise & <b>50%_", "control: uniform", "control: random"}


def test_a_folder_without_a_run_and_a_damaged_one_are_refused(tmp_path, folder):
    with pytest.raises(InputError, match="which holds no run"):
        read_run(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "cells.json").unlink()
    with pytest.raises(InputError, match="damaged"):
        read_run(broken)


def test_the_papers_numbers_stand_in_the_papers_layout(section):
    tables = {one.key: paper_table(Numbers(section), one, one.key) for one in TABLES}
    assert tables["mmel-3"] is None  # nothing of it was measured
    made = tables["matex-1"]
    assert made is not None
    assert [column.label for column in made.columns] == ["Conf. Drop", "Conf. Incr.", "ROAR+"]
    labels = [row.label for row in made.rows]
    assert labels.index("MATEX, as published") == labels.index("matex") + 1
    assert "GradCAM, as published" in labels
    quoted = next(row for row in made.rows if row.label == "MATEX, as published")
    assert [cell.printed for cell in quoted.cells] == ["0.51±0.03", "47.55±1.10", "37.9±0.79"]
    assert "not comparable" in made.lead
    assert any("times about 1.02" in note for note in made.notes)
    assert labels[-4:] == [f"control: {name}" for name in ("uniform", "random", "prior alone", "mirrored prior")]


def test_the_table_with_methods_across_has_its_controls_too(tmp_path):
    config = synthetic_run.config(methods=["matex", "ca-m2ib"], metrics=["iou", "confidence-image"])
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(3), maps=False)
    table = next(one for one in TABLES if one.across)
    made = paper_table(Numbers(read_run(folder).sections[0]), table, "key")
    assert made is not None
    place = [row for row in made.rows if row.group == "Image, % Localization ↑"]
    assert [row.label for row in place] == [
        "this run, simulated",
        "no prior",
        "random weights",
        "uniform",
        "random",
        "prior alone",
        "mirrored prior",
        "as published, MS-CXR",
    ]
    columns = [column.label for column in made.columns]
    assert columns[:7] == ["GradCAM", "Saliency", "K-SHAP", "RISE", "Chefer et al.", "M2IB", "CA-M2IB (ca-m2ib)"]
    assert columns[7:] == ["matex", "uniform", "random"]
    assert place[-1].cells[6].printed == "25.21±0.16"
    assert place[1].cells[6] is None  # ca-m2ib has no prior
    assert isinstance(place[1].cells[7], Measured)


def test_the_prior_is_asked_whether_it_helps_or_replaces(section):
    made = prior_question(Numbers(section), places(section)[:1], "key")
    assert made is not None
    assert [row.label for row in made.rows] == [
        "matex minus itself without the prior",
        "matex minus the prior alone",
        "matex without the prior minus the prior alone",
    ]
    means = [
        Numbers(section).mean(label, places(section)[0])
        for label in ("matex", "matex (no prior)", "control: prior alone")
    ]
    assert made.rows[0].cells[0].comparison.difference == pytest.approx(means[0] - means[1])
    assert made.rows[2].cells[0].comparison.difference == pytest.approx(means[1] - means[2])


def test_samples_are_cut_by_what_is_known_about_them(section):
    found = attributes(section)
    assert set(found) == {"finding", "size"}  # not the film, which is a name, nor the tier, which all share
    assert set(found["finding"]) == {"nodule", "effusion", "opacity"}
    assert len(found["size"]) == 3
    for levels in found.values():
        assert (sum(chosen.astype(int) for chosen in levels.values()) == 1).all()


def test_the_two_findings_have_tables_of_their_own(section):
    assert {one.column for one in two_findings(section)} == {
        "points_named",
        "points_other",
        "named_above_other",
        "energy_share",
    }
    assert not {one.name for one in places(section)} & {"named-over-other"}


def test_tuned_thresholds_never_come_from_the_film_itself(section):
    """Changing a film's own values changes no threshold that it is judged at."""
    miou = measure(section, "miou", "miou")
    ladder = {point[1]: one for one in section.measures if (point := curve_of(one.column)) and one.metric == "miou"}
    values = section.values("matex", miou)
    first = [int(cluster[:8], 16) % 2 == 1 for cluster in section.clusters]
    groups = [row["group"] for row in section.samples]
    for number in range(len(values)):
        others = [i for i in range(len(values)) if first[i] != first[number] and groups[i] == groups[number]]
        means = {t: np.nanmean([section.values("matex", one)[i] for i in others]) for t, one in ladder.items()}
        if others:
            best = max(sorted(means), key=lambda threshold: means[threshold])
            assert values[number] == section.values("matex", ladder[best])[number]
        else:
            assert math.isnan(values[number])


@pytest.mark.parametrize(
    ("column", "curve", "stage"),
    [
        ("deletion_top1_at_25", ("deletion_top1", 25), None),
        ("energy", None, None),
        ("cascade/block 3/prior/spearman", None, ("cascade", "block 3", "prior/spearman")),
        ("looked_at_once", None, None),
    ],
)
def test_names_of_columns_are_read(column, curve, stage):
    assert curve_of(column) == curve
    assert stage_of(column) == stage


def test_numbers_are_written_as_they_should():
    style = Style("x", 100, 1, "%")
    assert style.number(0.12345) == "12.3"
    assert style.number(-0.0001) == "0.0"
    assert style.number(-0.2, signed=True) == "−20.0"
    assert style.number(0.2, signed=True) == "+20.0"
    assert style.number(float("nan")) == "–"
    assert style.interval(float("nan"), float("nan")) == ""
    assert escape("50% & a_b <x>") == r"50\% \& a\_b \textless{}x\textgreater{}"


@pytest.mark.parametrize(
    ("name", "column", "told", "number"),
    [
        ("roar-plus", "roar_image", "ROAR+ of images, % of the loss", "28.1"),
        ("deletion-insertion", "deletion_auc", "Deletion AUC, cosine", "28.127"),
        ("deletion-insertion", "deletion_top1_auc", "Deletion @1 AUC", "28.127"),
        ("infidelity", "infidelity", "Infidelity, (cosine × 100) squared", "28.13"),
    ],
)
def test_a_heading_says_the_unit_of_its_column(name, column, told, number):
    one = Measure(name, column, name, "higher", False, False)
    assert heading(one) == told
    assert style_of(one).number(28.127) == number


def test_curves_say_what_they_show_and_of_which_run_of_a_metric():
    def curve(label):
        column = Measure(label, "deletion_top1_at_0", "deletion-insertion", "lower", False, False)
        return Curve("deletion_top1", label, (column,), (0,))

    assert _curve_title(curve("deletion-insertion"), "*_top1") == "Deletion and insertion: class found first"
    assert _curve_title(curve("predicted"), "*_top1") == "Deletion and insertion: class found first (predicted)"
    assert _curve_title(curve("deletion-insertion"), "new") == "new (deletion-insertion)"
    assert _curve_axes(curve("predicted"), "*_top1") == ("percent of the pixels", "share of films")


def test_no_measure_is_drawn_twice(folder, monkeypatch):
    drawn = []
    monkeypatch.setattr("matex.benchmark.report.distributions", lambda _, measures, __: drawn.extend(measures))
    run_read = read_run(folder)
    _Builder(run_read, run_read.sections[0])._distributions()
    assert [(one.metric, one.column) for one in drawn] == [
        ("energy", "energy"),
        ("named-over-other", "energy_share"),
        ("confidence-image", "drop"),
    ]


def test_no_sentence_ends_twice(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    assert "Not measured in this run: CC Text Drop, CC Text Incr.<" in page
    assert ".." not in re.sub(r"<[^>]*>", "", page.partition("<main")[2])


def test_where_all_methods_are_equal_none_is_the_best(section):
    numbers = Numbers(section)
    cell = numbers.of("matex", measure(section, "energy", "energy"))
    rows = tuple(Row(label, "method", (cell,)) for label in ("one", "other"))
    assert 'class="best"' not in html_table(Table("key", "title", "corner", (Column("x"),), rows))


def test_labels_that_latex_would_take_for_something_else():
    assert escape("λ of 肺, é") == "[U+03BB] of [U+80BA], é"
    rows = tuple(Row(label, "method", (None,)) for label in ("[1] matex", "*", "plain"))
    tex = latex_table(Table("key", "title", "corner", (Column("x"),), rows))
    assert "\n{}[1] matex & " in tex
    assert "\n{}* & " in tex
    assert "\nplain & " in tex


def test_a_table_of_many_columns_is_set_closer():
    for count, kind in ((6, 'class="numbers"'), (8, 'class="numbers wide"')):
        assert kind in html_table(Table("key", "title", "corner", (Column("x"),) * count, ()))


def test_an_empty_table_is_still_a_table():
    empty = Table("key", "title", "corner", (), ())
    assert "<table" in html_table(empty)
    assert latex_table(empty).count("\\begin{tabular}{l}") == 1
    assert as_csv([("section", [empty])]).count("\n") == 1


def test_the_same_run_has_the_same_report(folder, written, tmp_path):
    write_report(folder, tmp_path)
    for name in ("report.html", "report.tex", "report.csv"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


def test_a_true_run_is_reported_with_its_films(tmp_path, monkeypatch):
    config = toy.config(metrics=["pointing", "energy", "brightness", "together"])
    out = run(parse_config(config), tmp_path / "run")
    page = write_report(out).read_text(encoding="utf-8")
    assert "Best and worst cases" in page
    assert "could not be opened" not in page
    assert "whole film" in page  # progressive removal
    assert "Brightness" not in page
    assert "Total" in page  # a measure that the report does not know has its own name


def test_films_that_cannot_be_opened_are_said(folder, written):
    page = (written / "report.html").read_text(encoding="utf-8")
    assert "The films could not be opened, so maps are shown alone" in page


def test_a_stopped_run_is_refused_and_reported_in_part_when_asked(tmp_path):
    from matex.benchmark.chunk import compute
    from matex.benchmark.plan import Opened
    from matex.benchmark.runner import _new_plan
    from matex.benchmark.store import Store

    chosen = parse_config(toy.config(metrics=["pointing"], methods=["matex"]))
    opened = Opened(chosen)
    plan = _new_plan(opened, None)
    store = Store(tmp_path / "run")
    store.start(plan.as_plain())
    for name, data in compute(plan, opened, plan.chunks()[0], lambda *_: None).files.items():
        store.write(name, data)
    with pytest.raises(InputError, match="Finish it with --resume, or add --partial"):
        write_report(store.path)
    page = write_report(store.path, tmp_path / "report", partial=True).read_text(encoding="utf-8")
    assert "1 of 3 chunks are done" in page
    assert not (store.path / "report.html").exists()
