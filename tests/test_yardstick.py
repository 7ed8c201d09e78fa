"""The yardstick: scores of other phrases beside a phrase's own, in Python, the record, the command and the report."""

import json

import pytest

import matex
from matex.cli.app import run
from matex.samples import samples
from matex.yardstick import FINDINGS

FILM = samples()[0]
PHRASE = "opacity in the left lower lung"


def test_every_score_is_the_score_of_its_phrase(tiny):
    found = matex.explain(tiny, FILM.path, PHRASE, "rollout", yardstick=True).yardstick
    alone = {text: matex.explain(tiny, FILM.path, text, "rollout").score for text in (*FINDINGS, PHRASE)}
    assert [row.kind for row in found.rows] == ["this phrase", "other side", "denied", "unrelated", "no words"]
    assert [row.text for row in found.rows][1:3] == ["opacity in the right lower lung", f"no {PHRASE}"]
    for row in found.rows[:3]:
        assert row.score == pytest.approx(matex.explain(tiny, FILM.path, row.text, "rollout").score, abs=1e-5)
    assert found.rank == sorted(alone.values(), reverse=True).index(alone[PHRASE]) + 1
    assert found.among == len(FINDINGS) + 1
    assert found.highest.score == pytest.approx(max(alone[text] for text in FINDINGS), abs=1e-5)
    assert f"rank {found.rank} of 15" in found.placed


def test_photographs_have_no_mirror_image_and_no_rank(tiny):
    found = matex.explain(tiny, FILM.path, "no cat", "rollout", domain="natural", yardstick=True).yardstick
    assert [row.kind for row in found.rows] == ["this phrase", "affirmed", "unrelated", "no words"]
    assert found.rows[1].text == "cat"
    assert (found.rank, found.placed) == (None, "")


def test_the_command_prints_records_and_reads_it_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["explain", str(FILM.path), PHRASE, "-m", "rollout", "-o", "out"]) == 0
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())["yardstick"]
    assert "other side: opacity in the right lower lung" in printed
    assert "among phrases of chest findings" in printed
    loaded = matex.Explanation.load("out").yardstick
    assert [row._asdict() for row in loaded.rows] == record["phrases"]
    assert loaded.rank == record["rank"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Scores of other phrases" in page
    assert loaded.placed in page
