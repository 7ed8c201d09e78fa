"""Every Python snippet in the README and the docs runs, page by page, in an empty folder; every command parses."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from matex.attribution import METHODS
from matex.cli.app import app
from matex.datasets import DATASETS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(page: Path) -> list[tuple[int, str]]:
    """Line number and code of each ```python block."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, m.start()) + 2, m.group(1))
        for m in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.filterwarnings("ignore:.*laterality.*")
def test_snippets_run(page, tmp_path, monkeypatch):
    found = snippets(page)
    if not found:
        pytest.skip("no Python on this page")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(METHODS, "_entries", {**METHODS})  # a page may register a method of its own
    monkeypatch.setattr(DATASETS, "_entries", {**DATASETS})
    namespace: dict[str, object] = {"__name__": "__docs__"}
    for line, code in found:
        source = "\n" * (line - 1) + code  # so that a failure names the line of the page
        exec(compile(source, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_have_the_arguments_and_options_they_show(page):
    group = typer.main.get_command(app)
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.splitlines():
            for command in shlex.split(line, comments=True) and re.split(r"[;|]", line.partition(" #")[0]):
                words = shlex.split(command)
                if words[:1] == ["matex"] and "--plugin" not in words and not words[1].startswith("-"):
                    name, *arguments = words[1:]
                    group.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
