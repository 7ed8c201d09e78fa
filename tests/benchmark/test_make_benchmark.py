"""The tables over models of docs/benchmark.md, from rows of a report."""

import base64
import runpy
from pathlib import Path

import pytest

MADE = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "make_benchmark.py"))


def row(name, heading, column, value, kind="method", table="m1-means", low="", high=""):
    group = {"pointing": "Pointing game, %", "energy": "Energy inside, %"}[column]
    return {
        "table": table, "kind": kind, "row": name, "of": "", "group": group, "heading": heading, "column": column,
        "value": value, "low": low, "high": high, "n": "10", "undefined": "0",
    }  # fmt: skip


ROWS = [
    row("matex", "one", "pointing", "81.04", low="70", high="90"),
    row("matex", "two", "pointing", "7.96"),
    row("matex", "one", "energy", "3"),
    row("matex", "minus matex, over models", "pointing", ""),
    row("chefer", "one", "pointing", "50"),
    row("chefer", "two", "pointing", "60"),
    row("chefer", "minus matex, over models", "pointing", "-2.25", low="-30", high="25.5"),
    row("prior alone", "one", "pointing", "2", kind="control"),
    row("one and two", "Pointing game, %", "pointing", "0.237", table="m1-tau", low="0.09", high="0.41"),
]


def test_models_stand_next_to_each_other_under_each_measure_and_what_is_absent_is_a_dash():
    lines = MADE["models"](ROWS, "m1-means").splitlines()
    assert lines[0] == "| map | points: one | points: two | energy: one | energy: two |"
    assert lines[2:] == [
        "| matex | 81.0 | 8.0 | 3.0 | – |",
        "| chefer | 50.0 | 60.0 | – | – |",
        "| control: prior alone | 2.0 | – | – | – |",
    ]


def test_differences_over_models_and_agreement_of_rankings_have_their_intervals():
    assert MADE["effects"](ROWS, "m1-means").splitlines()[2:] == ["| chefer | -2.2 (-30.0–25.5) |"]
    assert MADE["agreement"](ROWS, "m1-tau").splitlines()[2:] == ["| one and two | 0.24 (0.09–0.41) |"]


def test_a_picture_is_the_figure_of_the_report_with_its_words():
    def figure(key, svg, words):
        data = base64.b64encode(svg).decode()
        return f'<figure id="{key}"><h3>Title</h3><img alt="{words}" src="data:image/svg+xml;base64,{data}"></figure>'

    report = figure("other", b"<svg>other</svg>", "other") + figure("ranks", b"<svg/>", "matex 1.00 &lt; mmel 2.00")
    assert MADE["picture"](report, "ranks") == (b"<svg/>", "matex 1.00 < mmel 2.00")
    with pytest.raises(SystemExit, match="Expected figure absent"):
        MADE["picture"](report, "absent")
