"""docs/papers.md is the page of docs/papers.toml; every row says something, and what it shows exists."""

import ast
import importlib
import importlib.util
import inspect
import re
import shlex
import sys
from functools import reduce

import pytest
import typer

import matex
from matex.adapters.openai import PRESETS
from matex.attribution import METHODS, make
from matex.cli.app import app
from matex.cli.parameters import parse_parameters
from matex.datasets import DATASETS
from matex.figures import FIGURES
from matex.interaction.methods import INTERACTION_METHODS
from matex.metrics import make_metric
from matex.prompts import PROMPT_SETS
from tests.test_docs import ROOT


def _generator():
    spec = importlib.util.spec_from_file_location("make_papers", ROOT / "docs" / "make_papers.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


papers = _generator()
ROWS = papers.items()


def check_command(show: str) -> None:
    """Raises where the command has another name, option, method, parameter, figure or file of the repository."""
    program, name, *arguments = shlex.split(show)
    for file in (name, *arguments):
        if file.startswith(("examples/", "benchmarks/")):
            assert (ROOT / file).exists(), file
    if program == "python":
        return
    given = typer.main.get_command(app).commands[name].make_context(name, list(arguments)).params
    if name == "methods":
        METHODS[arguments[0]]
    elif name == "figure":
        FIGURES[given["name"]]
    if given.get("model"):
        assert any(given["model"].startswith(kind.name) for kind in matex.models()), given["model"]
    if given.get("preset"):
        PRESETS[given["preset"]]
    if given.get("labels"):
        PROMPT_SETS[given["labels"]]
    if name == "explain" or (name == "interactions" and given["method"] not in INTERACTION_METHODS):
        parse_parameters(given["method"], given["parameter"] or [])


def check_call(show: str) -> None:
    """Raises where a name does not resolve, or its arguments are not those that it takes."""
    expression = ast.parse(show, mode="eval").body
    if isinstance(expression, ast.Subscript):
        _resolve(expression.value)[ast.literal_eval(expression.slice)]
        return
    assert isinstance(expression, ast.Call), show
    function = _resolve(expression.func)
    positional = [_value(one) for one in expression.args]
    named = {one.arg: _value(one.value) for one in expression.keywords}
    inspect.signature(function).bind(*positional, **named)
    if function.__name__ == "make_metric":
        make_metric(*positional)
    elif function.__name__ == "open_dataset":
        inspect.signature(DATASETS[positional[0]]).bind(**named)
    elif function.__name__ == "attribute":
        make(positional[3], {})


def _resolve(node):
    """The object that a full name such as matex.metrics.make_metric names."""
    path = ast.unparse(node).split(".")
    for length in range(len(path), 0, -1):
        try:
            module = importlib.import_module(".".join(path[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, path[length:], module)
    raise AssertionError(path)


def _value(node):
    """A literal, or the name of an input of the reader's."""
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def test_the_committed_page_is_the_generated_one():
    assert papers.PAGE.read_text(encoding="utf-8") == papers.page(ROWS), "run: make papers-page"


def test_no_row_is_empty_and_none_stands_twice():
    for row in ROWS:
        assert row.paper in papers.PAPERS, row
        assert row.status in papers.STATUSES, row
        assert all((row.name, row.where, row.meaning)), row
        assert row.show if row.status == "works" else row.note, row
        assert "|" not in "".join(vars(row).values()), row
    assert len({(row.paper, row.name) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.show], ids=lambda row: f"{row.paper}: {row.name}")
def test_what_a_row_shows_exists(row):
    if row.show.startswith(("matex ", "python ")):
        check_command(row.show)
    else:
        check_call(row.show)


def test_pages_that_notes_link_to_exist():
    for target in re.findall(r"\]\(([^)#]+)", " ".join(row.note for row in ROWS)):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize(
    "show",
    [
        'matex explain film.png "opacity" -m no-such-method',
        'matex explain film.png "opacity" -m m2ib -p no_such=1',
        'matex explain film.png "opacity" -m matex -p prior=triangle',
        'matex explain film.png "opacity" --no-such-option',
        'matex interactions film.png "opacity" -m no-such-method',
        'matex explain film.png "opacity" --model no-such-kind:file',
        'matex explain film.png "opacity" --model openai:file --preset no-such-preset',
        "matex explain film.png --labels no-such-set",
        "matex figure no-such-figure a.toml",
        "matex methods no-such-method",
        "matex tune examples/no-such.toml",
        "matex no-such-command",
    ],
)
def test_a_stale_command_is_found(show):
    with pytest.raises(Exception):  # noqa: B017  of the registry, the parser or an assertion
        check_command(show)


@pytest.mark.parametrize(
    "show",
    [
        'matex.metrics.make_metric("no-such-metric", {})',
        'matex.metrics.make_metric("pointing", {"no_such": 1})',
        'matex.datasets.open_dataset("no-such-set", root="x")',
        'matex.datasets.open_dataset("ms-cxr", no_such="x")',
        "matex.no_such_function()",
        'matex.benchmark.report.papers.DEFECTS["no-such-key"]',
    ],
)
def test_a_stale_call_is_found(show):
    with pytest.raises(Exception):  # noqa: B017  of the registry, the signature or an assertion
        check_call(show)
