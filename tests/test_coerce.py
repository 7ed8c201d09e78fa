"""Values of every origin as annotated types."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired, Optional, TypedDict

import numpy as np
import pytest

from matex.benchmark import parse_config
from matex.benchmark.plain_config import plain
from matex.coerce import as_type, in_words
from matex.errors import shown


class Inner(TypedDict):
    share: float


class Record(TypedDict):
    name: str
    sizes: tuple[int, ...]
    inner: tuple[Inner, ...]
    by_name: dict[str, float]
    view: NotRequired[str | None]


WHOLE = {"name": "a", "sizes": [1, 2], "inner": [{"share": 1}], "by_name": {"x": 2}}


def test_a_json_object_becomes_a_typed_dict():
    found = as_type({**WHOLE, "view": None, "later": [1]}, Record)
    assert found == {
        "name": "a",
        "sizes": (1, 2),
        "inner": ({"share": 1.0},),
        "by_name": {"x": 2.0},
        "view": None,
        "later": [1],  # of a later version: left as it is
    }
    assert type(found["inner"][0]["share"]) is float
    assert "view" not in as_type(WHOLE, Record)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 1},
        {"sizes": [1.5]},
        {"inner": [{}]},
        {"inner": [1]},
        {"by_name": [1]},
        {"by_name": {"x": "1"}},
        {"view": 1},
    ],
)
def test_a_json_object_of_other_entries_is_no_typed_dict(change):
    with pytest.raises(ValueError):
        as_type({**WHOLE, **change}, Record)


@pytest.mark.parametrize("name", ["name", "sizes", "inner", "by_name"])
def test_a_json_object_must_have_the_entries_of_a_typed_dict(name):
    with pytest.raises(ValueError):
        as_type({key: value for key, value in WHOLE.items() if key != name}, Record)


@pytest.mark.parametrize(
    ("value", "hint", "typed"),
    [
        (3, int, 3),
        (np.int64(3), int, 3),
        (10**400, int, 10**400),
        (3, float, 3.0),
        (np.float32(0.5), float, 0.5),
        (np.uint8(2), float, 2.0),
        (True, bool, True),
        ("", str, ""),
        (None, int | None, None),
        (None, Optional[int], None),  # noqa: UP045  a plug-in may be written so
        (2, int | float, 2),
        (2, float | tuple[float, ...], 2.0),
        ([1, np.float64(0.5)], float | tuple[float, ...], (1.0, 0.5)),
        ([], tuple[str, ...], ()),
        ([0, 1], tuple[float, float], (0.0, 1.0)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([[1, 2], [3, None]], tuple[tuple[int | None, ...], ...], ((1, 2), (3, None))),
        (["a", [1, [2.5]]], tuple[str | tuple[int | tuple[float, ...], ...], ...], ("a", (1, (2.5,)))),
        ([20, 40], Sequence[int], (20, 40)),
        (range(20, 60, 20), Sequence[int], (20, 40)),
        ("a", Literal["a", 1], "a"),
        (1, Literal["a", 1], 1),
        (None, Literal["a"] | None, None),
        (["a", "b"], tuple[Literal["a", "b"], ...], ("a", "b")),
        ("here", Path, Path("here")),
        (Path("here"), Path | None, Path("here")),
        ({"a": [1]}, Mapping[str, list[int]], {"a": [1]}),
        (b"x", Any, b"x"),
    ],
)
def test_a_value_becomes_what_is_asked_for(value, hint, typed):
    found = as_type(value, hint)
    assert found == typed
    assert type(found) is type(typed)
    if isinstance(typed, tuple):
        assert [type(one) for one in found] == [type(one) for one in typed]
        assert json.loads(json.dumps(found)) == json.loads(json.dumps(typed))


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (True, int, "a whole number"),
        (False, float, "a finite number"),
        (np.True_, int, "a whole number"),
        (2.0, int, "a whole number"),
        (np.float64(2), int, "a whole number"),
        ("2", int, "a whole number"),
        (None, int, "a whole number"),
        (float("nan"), float, "a finite number"),
        (np.float32("inf"), float, "a finite number"),
        (10**400, float, "a finite number"),
        (1j, float, "a finite number"),
        (np.ones(1), float, "a finite number"),
        (1, bool, "True or False"),
        (np.int64(0), bool | None, "True or False or None"),
        (b"a", str, "text"),
        (0, str | None, "text or None"),
        (0.5, tuple[float, ...], "a tuple of numbers"),
        ("ab", tuple[str, ...], "a tuple of texts"),
        ([1, True], tuple[int, ...], "a tuple of numbers"),
        ([1, float("nan")], float | tuple[float, ...], "a finite number or a tuple of numbers"),
        ([1.0], tuple[float, float], "a tuple of 2 numbers"),
        ([1, "a", 2], tuple[int, str], "a tuple of a whole number and text"),
        (["a", 1], tuple[int, str], "a tuple of a whole number and text"),
        ([[1, "x"]], tuple[tuple[int | None, ...], ...], "a tuple of tuples of numbers or None"),
        ([3], tuple[bool | Path, ...] | None, "a tuple of truth values or paths or None"),
        ("ab", Sequence[str], "a tuple of texts"),
        (True, Literal["a", 1], "one of a, 1"),
        (1, Literal[True], "one of True"),
        (1.0, Literal[1], "one of 1"),
        ("c", Literal["a", "b"] | None, "one of a, b or None"),
        (["c"], tuple[Literal["a", "b"], ...], "a tuple of a, b"),
        (3, Path, "a path"),
        (3, tuple[np.ndarray, ...], "a tuple of ndarray"),
    ],
)
def test_a_value_that_is_none_is_refused_and_the_type_is_said_in_words(value, hint, expected):
    with pytest.raises(ValueError):
        as_type(value, hint)
    assert in_words(hint) == expected


def test_other_words_may_have_no_none():
    words = {int: ("a whole number", "whole numbers"), tuple: ("a list", "lists")}
    assert in_words(int | tuple[int, ...] | None, words) == "a whole number or a list of whole numbers"


def test_what_was_got_is_shown_in_one_short_line():
    assert shown("a\nb") == r"'a\nb'"
    assert shown(np.eye(2)) == "array([[1., 0.], [0., 1.]])"
    assert len(shown("x" * 200)) == 80
    assert re.fullmatch(r"'x+\.\.\.x+'", shown("x" * 200))


def test_a_path_of_a_configuration_stays_the_text_it_was():
    films = {"name": "nih", "parameters": {"root": "a//b/"}}
    config = parse_config({"datasets": [films], "models": ["tiny"], "methods": ["rollout"], "metrics": ["iou"]})
    assert json.loads(json.dumps(plain(config)))["datasets"][0]["parameters"] == {"root": "a//b/"}


def test_importing_it_imports_neither_torch_nor_numpy():
    code = "import matex.coerce, sys; sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
