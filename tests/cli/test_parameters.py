"""-p KEY=VALUE, and progress bars."""

import io
import sys

import pytest

from matex.attribution import METHODS
from matex.cli.parameters import parse_parameters
from matex.errors import InputError, UnknownName
from tests.cli.command_line import FILM, PHRASE


def test_values_are_read_as_the_type_of_the_field(monkeypatch):
    from dataclasses import dataclass
    from typing import ClassVar, Literal

    @dataclass(frozen=True)
    class Odd:
        """For this test."""

        number: float = 0.5
        count: int | None = None
        flag: bool = True
        scales: tuple[float, ...] = (1.0,)
        pair: tuple[int, str] = (1, "a")
        kind: Literal["a", 3] = "a"
        name: str = ""
        towers: ClassVar[tuple[str, ...]] = ("image",)

    monkeypatch.setitem(METHODS._entries, "odd", Odd)
    good = {
        "number=1e-3": 0.001,
        "count=7": 7,
        "count=none": None,
        "flag=no": False,
        "flag=True": True,
        "scales=1,.75, 0.5": (1.0, 0.75, 0.5),
        "scales=2": (2.0,),
        "pair=4,b": (4, "b"),
        "kind=3": 3,
        "name=a=b": "a=b",
    }
    for text, value in good.items():
        assert list(parse_parameters("odd", [text]).values()) == [value], text
    for text in ("number=x", "count=1.5", "flag=maybe", "scales=a", "pair=4", "kind=b", "=3", "number"):
        with pytest.raises(InputError):
            parse_parameters("odd", [text])
    with pytest.raises(UnknownName):
        parse_parameters("odd", ["towers=image"])


def test_progress_bars_stay_out_of_pipes(command, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert command("compare", FILM, PHRASE, "-m", "rollout")[2] == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    command("compare", FILM, PHRASE, "-m", "rollout")
    assert "writing" in terminal.getvalue()
