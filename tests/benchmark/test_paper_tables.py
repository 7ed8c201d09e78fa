"""A run in the layout of a paper, on a small table of its own."""

import dataclasses

import numpy as np
import pytest

from matex.benchmark.report.paper_tables import paper_table
from matex.benchmark.report.papers import DEFECTS, PublishedColumn, PublishedRow, PublishedTable
from matex.benchmark.report.section import Measure
from matex.benchmark.report.stats import SectionStats
from matex.benchmark.report.table import MeanCell, QuotedCell
from tests.benchmark.test_report_stats import DROP, ENERGY, section, spread

TOP = Measure("top", "deletion_auc", "deletion-insertion", "lower", False, False, {"target": "predicted"})
COLUMNS = (
    PublishedColumn("Image, MSCXR", "Energy", "higher", "energy", "energy"),
    PublishedColumn("Image, CC", "Drop", "lower", "confidence-image", "drop"),
    PublishedColumn("Text", "Del.", "lower", "deletion-insertion", "deletion_auc", ("target", "predicted")),
    PublishedColumn("Text", "ROAR.", "higher", "roar-plus", "roar_text"),
)
ROWS = (PublishedRow("Paper", ("m", "n"), "1.0±0.1 2.0 3.0 4.0"), PublishedRow("Other", (), "5.0 6.0 7.0 8.0"))
TABLE = PublishedTable(
    "key", "A method", "arXiv:1", "7", "a model", "some data", "standard error", False, COLUMNS, ROWS, ("units",)
)
DROPS = dataclasses.replace(DROP, name="confidence-image", metric="drop")


def stats(measures=(ENERGY, DROPS, TOP), **more):
    values = {"m": spread(0.5), "extra": spread(0.4, 1), "m (random weights)": spread(0.3, 2)}
    values |= {"control: uniform": spread(0.2, 3), "control: prior alone": spread(0.1, 4), **more}
    some = section(values, measures=measures, own=("m (random weights)",))
    for label, entry in list(some.entries.items()):
        some.entries[label] = dataclasses.replace(entry, description=f"about {label}")
    return SectionStats(some)


def contents(row):
    """What each cell holds: the method and measure of a mean, the number of a paper, or nothing."""
    found = []
    for cell in row.cells:
        if isinstance(cell, QuotedCell):
            assert cell.table.source == TABLE.source
            found.append((cell.printed, cell.column.label, cell.row))
        else:
            found.append((cell.estimate.method, cell.estimate.measure.name) if isinstance(cell, MeanCell) else None)
    return found


def test_methods_as_rows_have_the_papers_line_under_them():
    table = paper_table(stats(), TABLE, "anchor")

    def measured(label):
        return [(label, "energy"), (label, "confidence-image"), (label, "deletion-insertion"), None]

    def quoted(*numbers, row):
        return [(number, column.label, row) for number, column in zip(numbers, COLUMNS, strict=True)]

    assert [(row.label, row.kind, contents(row)) for row in table.rows] == [
        ("m", "method", measured("m")),
        ("Paper, as published", "quoted", quoted("1.0±0.1", "2.0", "3.0", "4.0", row="Paper")),
        ("Other, as published", "quoted", quoted("5.0", "6.0", "7.0", "8.0", row="Other")),
        ("extra", "method", measured("extra")),
        ("control: uniform", "control", measured("control: uniform")),
        ("control: prior alone", "control", measured("control: prior alone")),
    ]
    assert [row.hint for row in table.rows if row.kind != "quoted"] == [
        "about m",
        "about extra",
        "about control: uniform",
        "about control: prior alone",
    ]
    assert [row.of for row in table.rows if row.kind == "quoted"] == ["Paper", "Other"]
    assert [(column.label, column.better, column.group) for column in table.columns] == [
        (column.label, column.better, column.group) for column in COLUMNS
    ]
    assert (table.key, table.title, table.corner) == ("anchor", "As A method, table 7", "Method")
    assert table.published is TABLE
    assert table.lead == (
        "Quoted lines are as published in arXiv:1, table 7: a model on some data. ± is the standard error. This run is "
        "model on data: another model and other data, so the quoted and the measured numbers are not comparable; only "
        "the layout is shared."
    )
    assert table.notes == (
        "Not measured in this run: Text ROAR.",
        "Columns of the prediction are of the map of the predicted class’s phrase, others of the true class’s.",
        DEFECTS["units"],
    )
    exact = paper_table(stats(), dataclasses.replace(TABLE, error=""), "anchor")
    assert "table 7: a model on some data. This run is model on data" in exact.lead


def test_what_was_not_measured_is_listed_and_nothing_is_no_table():
    table = paper_table(stats(measures=(ENERGY,)), TABLE, "anchor")
    assert table.notes[0] == "Not measured in this run: Image, CC Drop, Text Del., Text ROAR."
    other_target = dataclasses.replace(TOP, parameters={"target": "truth"})
    assert paper_table(stats(measures=(other_target,)), TABLE, "anchor") is None
    shared = stats(measures=(ENERGY,))
    del shared.section._arrays["control: uniform", "energy", "energy"]
    labels = [row.label for row in paper_table(shared, TABLE, "anchor").rows]
    assert labels[-2:] == ["extra", "control: prior alone"]
    everything = dataclasses.replace(TABLE, columns=COLUMNS[:2], defects=(), rows=(PublishedRow("x", (), "1 2"),))
    assert paper_table(stats(), everything, "anchor").notes == ()


def test_methods_as_columns_have_their_controls_and_the_papers_lines_below():
    some = stats(n=spread(0.6, 5), **{"control: random": spread(0.2, 6)})
    table = paper_table(some, dataclasses.replace(TABLE, across=True), "anchor")
    assert [(column.label, column.group) for column in table.columns] == [
        ("Paper (m)", ""),
        ("Paper (n)", ""),
        ("Other", ""),
        ("extra", ""),
        ("uniform", "controls"),
        ("random", "controls"),
    ]
    assert table.corner == "Quantity"

    def mean(measure, *labels):
        return [(label, measure) if label else None for label in labels]

    def control(label):
        return mean("energy", *([label] * 2), None, label, None, None)

    energy, drop = "Image, Energy ↑", "Image, Drop ↓"
    rows = [(row.label, row.kind, row.group, contents(row)) for row in table.rows]
    controls = ("control: uniform", "control: random")
    assert rows[:7] == [
        ("this run, data", "method", energy, mean("energy", "m", "n", None, "extra", *controls)),
        ("random weights", "control", energy, mean("energy", "m (random weights)", *[None] * 5)),
        ("uniform", "control", energy, control("control: uniform")),
        ("random", "control", energy, control("control: random")),
        ("prior alone", "control", energy, control("control: prior alone")),
        (
            "as published, MS-CXR",
            "quoted",
            energy,
            [*[("1.0±0.1", "Energy", "Paper")] * 2, ("5.0", "Energy", "Other"), None, None, None],
        ),
        ("this run, data", "method", drop, mean("confidence-image", "m", "n", None, "extra", *controls)),
    ]
    assert [row[0] for row in rows[7:]] == [
        "as published, Conceptual Captions",
        "this run, data",
        "as published, Conceptual Captions",
        "as published, Conceptual Captions",
    ]
    assert [row[2] for row in rows[7:]] == [drop, "Text, Del. ↓", "Text, Del. ↓", "Text, ROAR. ↑"]
    assert {row.of for row in table.rows if row.kind == "control"} == {"methods above"}


@pytest.mark.parametrize("across", [False, True])
def test_every_row_has_a_cell_for_each_column(across):
    table = paper_table(stats(), dataclasses.replace(TABLE, across=across), "anchor")
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}
    assert np.all([isinstance(row.cells, tuple) for row in table.rows])


def test_a_papers_line_has_as_many_numbers_as_its_table_has_columns():
    short = dataclasses.replace(TABLE, rows=(PublishedRow("Paper", (), "1.0 2.0 3.0"),))
    with pytest.raises(ValueError, match="longer than"):
        paper_table(stats(), short, "anchor")
