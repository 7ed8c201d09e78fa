"""Cells of CSV files that no spreadsheet evaluates."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from matex.registry import Parameterised

Row = TypeVar("Row", bound=Parameterised)


def spreadsheet_safe(cell: object) -> object:
    """A cell of a CSV file that no spreadsheet takes for a formula: an apostrophe precedes text that would be one.

    Spreadsheets read cells that begin with = + - @, a tab or a carriage return as formulas, some also behind blanks
    and quotation marks (OWASP, "CSV Injection"). Numbers stay numbers.

    Examples:
        >>> [spreadsheet_safe(cell) for cell in ("=1+1", " -x", "-0.5", -0.5, "left effusion")]
        ["'=1+1", "' -x", '-0.5', -0.5, 'left effusion']
    """
    if not isinstance(cell, str) or not cell.lstrip(" \n\"'`\u00a0\ufeff").startswith(_FORMULA):
        return cell
    return cell if _NUMBER.fullmatch(cell) else f"'{cell}"


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Dataclasses of one kind as a CSV file with their fields as its header; undefined numbers are empty cells."""
    names = [field.name for field in dataclasses.fields(kind)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for row in rows:
            cells: list[object] = [getattr(row, name) for name in names]
            writer.writerow(spreadsheet_safe("" if cell != cell else cell) for cell in cells)
