"""What a newcomer tries first: the version, python -m, completion of names, one method in full."""

import json
import os
import sys
import tomllib
from pathlib import Path

import pytest

import matex
from matex.catalog import parameters
from tests.cli.command_line import fresh, refused

ROOT = Path(__file__).parents[2]


def test_the_version_is_that_of_the_project(command):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert matex.__version__ == version
    assert command("--version") == (0, f"matex {version}\n", "")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_python_m_matex_is_the_command():
    done = fresh("-m", "matex", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"matex {matex.__version__}\n", "")


def complete(*words):
    """What a shell offers for the last word, and whether torch was imported for it."""
    code = "import sys; from matex.cli import run; code = run([]); sys.exit(code or 10 * ('torch' in sys.modules))"
    variables = {"_MATEX_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = fresh("-c", code, env={**os.environ, **variables})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["matex", "ver"], ["verify"]),
        (["matex", "explain", "a.png", "x", "-m", "gradc"], ["gradcam"]),
        (["matex", "compare", "a.png", "x", "-m", "matex,ri"], ["matex,rise"]),
        (["matex", "audit", "a.png", "x", "--model", "ti"], ["tiny"]),
        (["matex", "methods", "roll"], ["rollout"]),
    ],
)
def test_names_are_completed_without_torch(words, offered):
    assert complete(*words)[: len(offered)] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_the_current_shell_is_printed(command, shell, monkeypatch):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: shell)
    code, out, err = command("--show-completion")
    assert (code, err) == (0, "")
    assert f"complete_{shell}" in out
    assert "_MATEX_COMPLETE" in out


def test_one_method_is_described_in_full(command):
    code, out, err = command("methods", "rise")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    entry = next(entry for entry in matex.methods() if entry.name == "rise")
    for part in (entry.summary, entry.equation, entry.source, entry.passes, *entry.errors):
        assert " ".join(part.split()) in text
    assert "cells = 7 (a whole number of 2 or more)" in text
    assert "normalise = 'control' (one of control, reference)" in text
    assert "of the coarse grid, per axis." in text
    described = json.loads(command("methods", "rise", "--json")[1])["parameters"]
    assert [one["name"] for one in described] == list(entry.parameters)
    assert refused(command("methods", "rse"), "Did you mean 'rise'")


def test_every_parameter_has_a_type_and_a_meaning():
    for entry in matex.methods():
        described = parameters(entry.name)
        assert {one.name: one.default for one in described} == dict(entry.parameters)
        assert all(one.type and one.summary for one in described), entry.name


def test_a_method_of_ones_own_is_described_too(tmp_path):
    source = (ROOT / "docs" / "methods.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "mine.py").write_text(
        source.replace('one block."""', 'one block.\n\n    Args:\n        block: from 0.\n    """')
    )
    done = fresh("-m", "matex", "methods", "block-attention", "--plugin", "mine.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "block = 0  (a whole number)\n        from 0." in done.stdout


def test_main_ends_the_process_with_the_exit_code(monkeypatch):
    from matex.cli import main

    monkeypatch.setattr(sys, "argv", ["matex", "methods", "nothing"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
