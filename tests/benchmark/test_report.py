"""The report of a run: what it refuses, that its numbers are right, and that no text can break it."""

import csv
import hashlib
import io
import json
import math
import re
import runpy
import shutil
import subprocess
from html import escape as escape_html
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from matex.benchmark import parse_config, run
from matex.benchmark.report import write_report
from matex.benchmark.report.cases import CaseFilms
from matex.benchmark.report.contents import SectionReport, curve_axes, curve_title
from matex.benchmark.report.figures import overview
from matex.benchmark.report.html_table import table_view
from matex.benchmark.report.latex_csv import as_csv, as_latex, escape, latex_table
from matex.benchmark.report.load import read_run
from matex.benchmark.report.measures import Curve, contrast_measures, localisation_measures
from matex.benchmark.report.paper_tables import paper_table
from matex.benchmark.report.papers import TABLES
from matex.benchmark.report.repetitions import Repetitions
from matex.benchmark.report.section import Measure, count_units, curve_of, stage_of
from matex.benchmark.report.stats import SectionStats, subgroups
from matex.benchmark.report.style import Style, heading, style_of
from matex.benchmark.report.table import Column, Counts, MeanCell, Table, TableRow, mean_cell
from matex.benchmark.report.tables import SHARED, against_controls, localisation, pairwise, prior_question
from matex.benchmark.report.verdicts import verdicts
from matex.benchmark.runs.parquet import read_table, table_bytes
from matex.errors import InputError
from matex.metrics.statistics import summarise
from matex.render.page import environment
from tests.benchmark import synthetic_run, toy

pytest.importorskip("matplotlib")
FEW = ["matex", "grad-eclip", {"name": "rise", "label": "rise & <b>50%_"}]
METRICS = ["pointing", "energy", "miou", "named-over-other", "confidence-image", "roar-plus", "randomisation"]


def small(**changes):
    return synthetic_run.config(**{"methods": FEW, "metrics": METRICS, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthetic_run.write(tmp_path_factory.mktemp("run") / "r", small(), synthetic_run.made_up_samples(12))


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


def html_table(table):
    """A table alone, as the template writes it."""
    return str(environment().get_template("benchmark_parts.html").module.table(table_view(table)))


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


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles_however_many_tables_there_are(tmp_path):
    row = TableRow("matex", "method", (None,))
    tables = [Table(f"t{number}", "title", "corner", (Column("x"),), (row,) * 30) for number in range(150)]
    (tmp_path / "report.tex").write_text(as_latex([("section", tables)], "title"), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


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
    cells = [cell for cell in synthetic_run.run_specs(small()) if cell.label == label]
    assert [cell.seed for cell in cells] == [0, 1]
    expected = [
        np.mean([synthetic_run.value(cell, "energy", number, cell.seed) for cell in cells]) for number in range(24)
    ]
    np.testing.assert_allclose(section.values(label, energy), expected)
    found = SectionStats(section).estimate(label, energy)
    assert found is not None
    assert found.summary.undefined == 2  # samples 5 and 22
    assert found.repetitions == 2
    means = [
        np.nanmean([synthetic_run.value(cell, "energy", number, cell.seed) for number in range(24)]) for cell in cells
    ]
    assert found.spread == pytest.approx(np.std(means, ddof=1))


def test_films_are_what_is_resampled(section):
    """Two phrases of a film are no two pieces of evidence, so the interval is that of clusters."""
    pointing = measure(section, "pointing", "pointing")
    found = SectionStats(section).estimate("matex", pointing)
    assert found is not None
    values = section.values("matex", pointing)
    clustered = summarise(values, section.clusters, resamples=2000)
    assert len(set(section.clusters)) == 12
    assert (found.summary.low, found.summary.high) == (clustered.low, clustered.high)
    assert clustered != summarise(values, resamples=2000)


LINES = [  # (kind, what it stands under, label) of a table of localisation_measures, line by line
    ("method", "", "matex"),
    ("control", "matex", "no prior"),
    ("control", "matex", "exchanged side"),
    ("control", "matex", "random weights"),
    ("method", "", "grad-eclip"),
    ("control", "grad-eclip", "exchanged side"),
    ("control", "grad-eclip", "random weights"),
    ("method", "", "rise & <b>50%_"),
    ("control", "rise & <b>50%_", "exchanged side"),
    ("control", "rise & <b>50%_", "random weights"),
    ("control", "", "uniform"),
    ("control", "", "random"),
    ("control", "", "prior alone"),
    ("control", "", "mirrored prior"),
]


def made_of_places(folder):
    """Tables of the whole report, folded ones too, that tell how well a method's map finds a place."""
    run_read = read_run(folder)
    builder = SectionReport(run_read, run_read.sections[0])
    builder.part(CaseFilms(run_read, {}, {}))
    return [
        one
        for one in builder.tables
        if any(isinstance(cell, MeanCell) and cell.estimate.measure.localises for row in one.rows for cell in row.cells)
    ]


def test_no_table_of_places_comes_without_its_controls(folder):
    tables = made_of_places(folder)
    assert len(tables) > 10
    for made in tables:
        assert [(row.kind, row.of, row.label) for row in made.rows] == LINES, made.key
        for row in made.rows:
            assert all(isinstance(cell, MeanCell) for cell in row.cells), (made.key, row.label)


def test_shared_controls_stand_once_under_a_line_of_their_own(folder):
    for made in made_of_places(folder):
        assert [row.group for row in made.rows] == [""] * 10 + [SHARED] * 4
        names = re.findall(r'<tr class="\w+"><th[^>]*>([^<]*)</th>', html_table(made))
        assert names == [*(escape_html(label) for _, _, label in LINES[:10]), SHARED, *(one[2] for one in LINES[10:])]
        names = re.findall(r"^(\\midrule)$|textit\{(.*?)\} &|textbf\{(.*?)\}", latex_table(made), re.M)
        own = ["no prior", *["exchanged side", "random weights"] * 3]
        assert ["".join(name) for name in names] == [
            r"\midrule",
            *own,
            r"\midrule",
            SHARED,
            *(one[2] for one in LINES[10:]),
        ]
        rows = csv.DictReader(io.StringIO(as_csv([("section", [made])])))
        assert list(dict.fromkeys((row["kind"], row["of"], row["row"]) for row in rows)) == LINES


@pytest.mark.parametrize(
    "label",
    [
        *(f"control: {name}" for name in ("uniform", "random", "prior alone", "mirrored prior")),
        *("matex (random weights)", "matex (no prior)", "matex (exchanged side)"),
    ],
)
def test_a_report_of_places_without_a_control_is_refused(tmp_path, label):
    folder = synthetic_run.write(tmp_path / "r", small(), synthetic_run.made_up_samples(3), [(label, "")], maps=False)
    with pytest.raises(InputError, match="Expected the control") as error:
        write_report(folder, tmp_path / "report")
    assert label in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "report").exists()


def test_the_page_of_the_evidence_has_the_controls_or_is_not_written(written):
    rows = list(csv.DictReader(io.StringIO((written / "report.csv").read_text(encoding="utf-8"))))
    made = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "make_benchmark.py"))
    shared = [f"control: {name}" for name in ("uniform", "random", "prior alone", "mirrored prior")]
    controls = ["– exchanged side", "– random weights"]
    own = ["**matex**", "– no prior", *controls, "**grad-eclip**", *controls]
    expected = {
        ("localisation", "s1-places-table"): [*own, "**rise & <b>50%_**", *controls, *shared],
        ("breakdown", "s1-energy-energy-by-finding"): ["matex", "grad-eclip", *shared],
    }
    without = [row for row in rows if row["of"] or row["kind"] != "control"]
    for (kind, table), names in expected.items():
        lines = made[kind](rows, table).splitlines()
        assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == names
        assert len({line.count(" | ") for line in lines}) == 1
        with pytest.raises(SystemExit, match=f"Expected the controls of table {table}"):
            made[kind](without, table)


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
    assert not localisation_measures(section)
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
    tables = {one.key: paper_table(SectionStats(section), one, one.key) for one in TABLES}
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
    made = paper_table(SectionStats(read_run(folder).sections[0]), table, "key")
    assert made is not None
    place = [row for row in made.rows if row.group == "Image, % Localization ↑"]
    assert [row.label for row in place] == [
        "this run, simulated",
        "no prior",
        "exchanged side",
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
    assert isinstance(place[1].cells[7], MeanCell)


def test_the_prior_is_asked_whether_it_helps_or_replaces(section):
    made = prior_question(SectionStats(section), localisation_measures(section)[:1], "key")
    assert made is not None
    assert [row.label for row in made.rows] == [
        "matex minus itself without the prior",
        "matex minus the prior alone",
        "matex without the prior minus the prior alone",
    ]
    means = [
        SectionStats(section).mean(label, localisation_measures(section)[0])
        for label in ("matex", "matex (no prior)", "control: prior alone")
    ]
    assert made.rows[0].cells[0].difference.comparison.difference == pytest.approx(means[0] - means[1])
    assert made.rows[2].cells[0].difference.comparison.difference == pytest.approx(means[1] - means[2])


def test_samples_are_cut_by_what_is_known_about_them(section):
    found = subgroups(section)
    assert set(found) == {"finding", "size"}  # not the film, which is a name, nor the tier, which all share
    assert set(found["finding"]) == {"nodule", "effusion", "opacity"}
    assert len(found["size"]) == 3
    for levels in found.values():
        assert (sum(chosen.astype(int) for chosen in levels.values()) == 1).all()


def test_the_two_findings_have_tables_of_their_own(section):
    assert {one.column for one in contrast_measures(section)} == {
        "points_named",
        "points_other",
        "named_above_other",
        "energy_share",
    }
    assert not {one.name for one in localisation_measures(section)} & {"named-over-other"}


def test_tuned_thresholds_never_come_from_the_film_itself(section):
    """Changing a film's own values changes no threshold that it is judged at."""
    miou = measure(section, "miou", "miou")
    ladder = {point[1]: one for one in section.measures if (point := curve_of(one.column)) and one.metric == "miou"}
    values = section.values("matex", miou)
    first = [hashlib.sha256(cluster.encode()).digest()[0] % 2 == 1 for cluster in section.clusters]
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

    assert curve_title(curve("deletion-insertion"), "*_top1") == "Deletion and insertion: class found first"
    assert curve_title(curve("predicted"), "*_top1") == "Deletion and insertion: class found first (predicted)"
    assert curve_title(curve("deletion-insertion"), "new") == "new (deletion-insertion)"
    assert curve_axes(curve("predicted"), "*_top1") == ("percent of the pixels", "share of films")


def test_no_measure_is_drawn_twice(folder, monkeypatch):
    drawn = []
    monkeypatch.setattr("matex.benchmark.report.contents.distributions", lambda _, measures, __: drawn.extend(measures))
    run_read = read_run(folder)
    SectionReport(run_read, run_read.sections[0])._distributions()
    assert [(one.metric, one.column) for one in drawn] == [
        ("energy", "energy"),
        ("named-over-other", "energy_share"),
        ("confidence-image", "drop"),
    ]


def test_no_sentence_ends_twice(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    assert "Not measured in this run: CC Text Drop, CC Text Incr.<" in page
    assert ".." not in re.sub(r"<[^>]*>", "", page.partition("<main")[2])


def test_measures_of_the_whole_say_repetitions_and_others_n(section):
    stats = SectionStats(section)
    roar, energy = measure(section, "roar-plus", "roar_image"), measure(section, "energy", "energy")

    def page(*measures):
        rows = (TableRow("matex", "method", tuple(mean_cell(stats.estimate("matex", one)) for one in measures)),)
        return html_table(Table("key", "title", "corner", tuple(Column("x") for _ in measures), rows))

    whole, both = page(roar), page(roar, energy)
    assert "3 repetitions in every cell" in whole
    assert 'title="3 repetitions; standard deviation between them' in whole
    assert "n = " not in whole
    assert (str(Counts(2, 0, 2, True)), str(Counts(1, 1, 1, True))) == ("2 repetitions", "1 of 2 repetitions defined")
    assert (str(Counts(1, 0, 1, True)), str(Counts(0, 1, 0, True))) == ("1 repetition", "0 of 1 repetition defined")
    assert "<small>3 repetitions</small>" in both
    assert "<small>n = 22 from 12, 2 undefined</small>" in both
    assert "n or the number of repetitions stands under the headings" in both


def test_where_all_methods_are_equal_none_is_the_best(section):
    stats = SectionStats(section)
    cell = mean_cell(stats.estimate("matex", measure(section, "energy", "energy")))
    rows = tuple(TableRow(label, "method", (cell,)) for label in ("one", "other"))
    assert 'class="best"' not in html_table(Table("key", "title", "corner", (Column("x"),), rows))


def test_labels_that_latex_would_take_for_something_else():
    assert escape("λ of 肺, é") == "[U+03BB] of [U+80BA], é"
    rows = tuple(TableRow(label, "method", (None,)) for label in ("[1] matex", "*", "plain"))
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
    from matex.benchmark.runs.inputs import Inputs
    from matex.benchmark.runs.runner import _new_plan
    from matex.benchmark.runs.store import Store
    from matex.benchmark.runs.worker import compute

    chosen = parse_config(toy.config(metrics=["pointing"], methods=["matex"]))
    opened = Inputs(chosen)
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


def few_films(films, images=24):
    """Rows of many images that were rendered from a few films."""
    rows = synthetic_run.made_up_samples(images, findings=1)
    return [{**row, "cluster": f"film {number % films}"} for number, row in enumerate(rows)]


def test_many_images_of_four_films_are_reported_as_four_films(tmp_path):
    """No interval, no p-value and no winner, whatever the number of rendered images."""
    config = small(methods=["matex", "grad-eclip"], metrics=["pointing", "energy"])
    folder = synthetic_run.write(tmp_path / "r", config, few_films(4), maps=False)
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "24 samples, 24 images of 4 films" in page
    assert "With 4 films there are no intervals and no tests" in page
    assert "4 films are too few to tell methods from each other" in page
    assert "n = 24 from 4" in page
    assert "No intervals: fewer than 10 patients, films or repetitions stand behind each number" in page
    assert "p = " not in page
    assert "p &lt; 0.001" not in page
    rows = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text(encoding="utf-8"))))
    ours = [row for row in rows if row["source"] == "this run"]
    assert {row["low"] + row["high"] + row["p_holm"] for row in ours} == {""}
    assert {row["clusters"] for row in ours} <= {"4", "2", "3"}  # of subsets fewer
    assert "4" in {row["clusters"] for row in ours}


def test_ten_films_have_intervals(tmp_path):
    config = small(methods=["matex"], metrics=["pointing"])
    folder = synthetic_run.write(tmp_path / "r", config, few_films(10), maps=False)
    found = SectionStats(read_run(folder).sections[0]).estimate(
        "matex", localisation_measures(read_run(folder).sections[0])[0]
    )
    assert found.summary.clusters == 10
    assert np.isfinite([found.summary.low, found.summary.high]).all()


def test_patients_studies_and_films_are_counted_by_what_they_are():
    assert count_units(["patient a", "patient a", "patient b"]) == "2 patients"
    assert count_units(["film a"]) == "1 film"
    assert count_units(["patient a", "film b", "study c", "study d"]) == "1 patient, 2 studies and 1 film"


def test_a_run_that_recorded_no_source_films_says_so(tmp_path):
    config = small(methods=["matex"], metrics=["pointing"])
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(12), maps=False)
    table = read_table((folder / "samples.parquet").read_bytes()).drop_columns(["cluster"])
    (folder / "samples.parquet").write_bytes(table_bytes(table))
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(record | {"format": "matex-benchmark/2"}), encoding="utf-8")
    section = read_run(folder).sections[0]
    assert not section.recorded
    assert len(set(section.clusters)) == section.images == 12
    write_report(folder)
    assert "recorded without patients and source films" in (folder / "report.html").read_text(encoding="utf-8")


def headline(tmp_path, worth, monkeypatch):
    monkeypatch.setattr(synthetic_run, "WORTH", worth)
    config = small(methods=["matex", "grad-eclip", "rollout"], metrics=["energy"])
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(40), maps=False)
    section = read_run(folder).sections[0]
    (sentence,) = verdicts(SectionStats(section), measure(section, "energy", "energy"))
    return sentence


def test_the_headline_names_methods_without_significant_difference_from_the_best(tmp_path, monkeypatch):
    controls = {"control: uniform": 0.1, "control: random": 0.15, "control: prior alone": 0.2}
    worth = {"matex": 0.8, "grad-eclip": 0.8, "rollout": 0.4, **controls}
    sentence = headline(tmp_path, worth, monkeypatch)
    best, tie = ("matex", "grad-eclip") if "matex has the best mean" in sentence else ("grad-eclip", "matex")
    assert f"{best} has the best mean" in sentence
    assert f"No significant difference from it (p of 0.05 or more after Holm): {tie}." in sentence


def test_the_headline_says_when_one_method_is_ahead_of_all(tmp_path, monkeypatch):
    worth = {"matex": 0.9, "grad-eclip": 0.5, "rollout": 0.4, "control: prior alone": 0.2}
    sentence = headline(tmp_path, worth, monkeypatch)
    assert "matex has the best mean" in sentence
    assert "It is ahead of every other method" in sentence


@pytest.mark.parametrize("films", [4, 40])
def test_the_headline_names_methods_that_share_the_best_mean(tmp_path, monkeypatch, films):
    worth = {"matex": 0.5, "grad-eclip": 0.25, "rollout": 0.5}
    monkeypatch.setattr(synthetic_run, "value", lambda cell, *rest: worth.get(cell.label, 0.125))
    config = small(methods=["grad-eclip", "matex", "rollout"], metrics=["pointing"])
    folder = synthetic_run.write(tmp_path / "r", config, few_films(films), maps=False)
    section = read_run(folder).sections[0]
    (sentence,) = verdicts(SectionStats(section), measure(section, "pointing", "pointing"))
    assert "matex and rollout share the best mean, 50.0" in sentence
    assert "the best control of matex is" in sentence
    assert ("4 films are too few" in sentence) == (films == 4)
    assert ("They are ahead of every other method" in sentence) == (films == 40)


@pytest.mark.parametrize("films", [4, 12])
def test_a_report_of_few_films_explains_no_intervals_and_no_p(tmp_path, films):
    config = small(methods=["matex", "grad-eclip"], metrics=["pointing"])
    folder = synthetic_run.write(tmp_path / "r", config, few_films(films), maps=False)
    section = read_run(folder).sections[0]
    numbers, columns = SectionStats(section), localisation_measures(section)
    leads = [
        against_controls(numbers, columns, "key").lead,
        prior_question(numbers, columns, "key").lead,
        pairwise(numbers, columns[0], "key").lead,
    ]
    drawing = overview(numbers, columns, "key", "title")
    assert ["No p and no intervals: fewer than 10" in lead for lead in leads] == [films == 4] * 3
    assert [" corrected " in lead for lead in leads] == [films == 12] * 3
    assert ("with bootstrap intervals" in drawing.caption) == (films == 12)


def test_measures_without_a_value_on_a_data_set_have_no_panel_and_no_comparison(tmp_path, monkeypatch):
    value = synthetic_run.value
    config = small(methods=["matex", "grad-eclip"], metrics=["pointing", "energy", "named-over-other"])

    undefined = ("named_above_other", "energy_share")
    monkeypatch.setattr(
        synthetic_run,
        "value",
        lambda cell, column, *rest: math.nan if column in undefined else value(cell, column, *rest),
    )
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(12), maps=False)
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Energy inside, %: methods against each other" in page
    assert "energy in both, %: methods against each other" not in page


def test_an_exchanged_side_that_exists_for_no_sample_has_no_row(tmp_path, monkeypatch):
    value = synthetic_run.value
    undefined = lambda cell, *rest: math.nan if "exchanged" in cell.label else value(cell, *rest)  # noqa: E731
    config = small(methods=["matex", "grad-eclip"], metrics=["pointing"])
    folders = [synthetic_run.write(tmp_path / "with", config, synthetic_run.made_up_samples(12), maps=False)]
    monkeypatch.setattr(synthetic_run, "value", undefined)
    folders += [synthetic_run.write(tmp_path / "without", config, synthetic_run.made_up_samples(12), maps=False)]
    tables = []
    for folder in folders:
        section = read_run(folder).sections[0]
        tables.append(localisation(SectionStats(section), localisation_measures(section), "key", "title"))
    labels = [[row.label for row in table.rows] for table in tables]
    assert labels[0].count("exchanged side") == 2
    assert "exchanged side" not in labels[1]
    assert "the 24 samples whose phrase names a side" in tables[0].notes[0]
    assert "no phrase of these samples names a side" in tables[1].notes[0]


def test_the_exchanged_side_is_no_control_to_beat(tmp_path, monkeypatch):
    worth = {"matex": 0.6, "matex (exchanged side)": 0.95, "control: prior alone": 0.2, "matex (no prior)": 0.1}
    monkeypatch.setattr(synthetic_run, "WORTH", worth)
    config = small(methods=["matex"], metrics=["energy"])
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(20), maps=False)
    section = read_run(folder).sections[0]
    assert SectionStats(section).best_control("matex", measure(section, "energy", "energy")) != "matex (exchanged side)"


def test_columns_of_the_predicted_class_are_left_out_of_runs_that_measured_the_true_one(tmp_path):
    config = synthetic_run.config(methods=["matex", "grad-eclip"])
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(3), maps=False)
    section = read_run(folder).sections[0]
    table = next(one for one in TABLES if one.key == "mmel-2")
    made = paper_table(SectionStats(section), table, "key")
    assert any("predicted class’s phrase" in note for note in made.notes)
    assert "deletion of the prediction" in {one.metric for one in section.measures}
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(record | {"format": "matex-benchmark/3"}), encoding="utf-8")
    assert "deletion of the prediction" not in {one.metric for one in read_run(folder).sections[0].measures}


def test_means_are_repeated_on_random_subsets_with_their_standard_error(tmp_path):
    config = small(methods=["matex"], metrics=["energy"])
    folder = synthetic_run.write(tmp_path / "r", config, synthetic_run.made_up_samples(30), maps=False)
    section = read_run(folder).sections[0]
    write_report(folder, repetitions=Repetitions(8, 10))
    page = (folder / "report.html").read_text(encoding="utf-8")
    total = len(section.samples)
    assert f"8 random subsets of 10 of the {total} samples" in page
    values = section.values("matex", measure(section, "energy", "energy"))
    rng = np.random.default_rng(0)
    means = [np.nanmean(values[rng.choice(total, 10, replace=False)]) for _ in range(8)]
    style = style_of(measure(section, "energy", "energy"))
    assert f"{style.number(np.mean(means))} ± {style.number(np.std(means, ddof=1) / 8**0.5)}" in page
    write_report(folder, repetitions=Repetitions(8, total))
    assert "random subsets" not in (folder / "report.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="repetitions"):
        Repetitions(1, 10)
