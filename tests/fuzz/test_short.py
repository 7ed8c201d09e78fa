"""A short run of every class; `make fuzz` is the long one."""

import os
from pathlib import Path

import pytest

from matex.errors import InputError
from tests.fuzz import runner
from tests.fuzz.__main__ import CLASSES

COUNTS = {
    "films": 150,
    "dicom": 120,
    "models": 60,
    "saved": 15,
    "commands": 40,
    "phrases": 80,
    "python": 80,
    "tables": 100,
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.NAME)
def test_every_hostile_input_is_handled(kind, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tally = runner.run(kind.cases(1, COUNTS[kind.NAME]))
    assert not tally.faults, str(tally)
    assert tally.tried == COUNTS[kind.NAME]
    assert tally.outcomes["refused"] < tally.tried  # otherwise nothing but the refusal was tried


def test_a_case_can_be_built_again_by_its_number():
    for kind in CLASSES:
        assert [case.name for case in kind.cases(3, 4)] == [case.name for case in kind.cases(3, 4)]


def outside(folder):
    (folder.parent / "x").write_text("x")


def program(folder):
    os.system("true")


def printed(folder):
    os.write(2, b"a decoder speaks")


def long_refusal(folder):
    error = InputError("")
    error.args = ("x" * 2000,)  # the class itself bounds what it is given
    raise error


def raw(folder):
    raise KeyError("x")


def wrong(folder):
    raise runner.Wrong("another size")


def code(folder):
    (folder / runner.CANARY).mkdir()
    return "read"


@pytest.mark.parametrize(
    ("act", "said"),
    [(outside, "wrote outside"), (program, "started a program"),
     (printed, "printed"), (long_refusal, "2000 characters"),
     (raw, "KeyError"), (wrong, "wrong in silence"), (code, "executed")],
)  # fmt: skip
def test_the_runner_sees_each_broken_promise(act, said):
    def run(folder: Path) -> str:
        return act(folder) or "read"

    tally = runner.run([runner.Case("x", run)])
    assert (tally.tried, tally.handled) == (1, 0)
    assert said in tally.faults[0][1]
