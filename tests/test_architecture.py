"""docs/architecture.md names every folder and file at the top of the package, docs/files.md every file."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
spec = importlib.util.spec_from_file_location("make_files", DOCS / "make_files.py")
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)

TEXT = (DOCS / "architecture.md").read_text(encoding="utf-8")
FOLDERS = TEXT.split("## Folders")[1].split("Imports point one way")[0]
# Former names, and the package's own front door.
ELSEWHERE = {"__init__.py", "__main__.py", "auditing.py", "py.typed", "__pycache__"}


def test_the_page_of_files_is_that_of_the_modules():
    assert files.PAGE.read_text(encoding="utf-8") == files.page(), "run: make files-page"


def test_a_module_without_a_first_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    (tmp_path / "new.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="what new"):
        files.page()


def test_the_table_of_folders_names_all_that_stands_at_the_top():
    first_column = "".join(line.split(" | ")[0] for line in FOLDERS.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`([\w.]+)/?`", first_column))
    there = {path.name for path in files.PACKAGE.iterdir()} - ELSEWHERE
    assert named == there


def test_the_architecture_names_no_file_that_is_not_there():
    there = {path.name for path in files.PACKAGE.rglob("*")} | {
        path.name for path in DOCS.parent.rglob("tests/**/*.py")
    }
    for name in re.findall(r"`(?:[\w-]+/)*(\w+\.py)`", TEXT):
        assert name in there or (DOCS / name).exists(), name
