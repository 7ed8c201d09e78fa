"""Text that leaves the program: standard output as the command line writes it, and cells of CSV files."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Generator
from typing import Any, TextIO, cast

from matex.errors import InputError, printable


class OutputError(Exception):
    """Standard output is full or closed, or its reader went away (`broken`)."""

    def __init__(self, message: str, broken: bool = False) -> None:
        super().__init__(message)
        self.broken = broken


class PrintableOutput:
    """A text stream in which control characters, as they begin escape sequences, and lone surrogates are escaped.

    Phrases, file names and fields of records come from outside and must not reach a terminal as they are. The escapes
    are those of JSON, so that `--json` stays JSON.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        safe = printable(text, keep="\n\t")
        if encoding := getattr(self._stream, "encoding", None):
            safe = safe.encode(encoding, "backslashreplace").decode(encoding)
        with _reported():
            return self._stream.write(safe)

    def flush(self) -> None:
        with _reported():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def guarded_output() -> Generator[None]:
    """Route `print` through `PrintableOutput`; a standard error that is closed is silent.

    Raises:
        InputError: standard output is closed: the next file that is opened would take its place.
        OutputError: it cannot be written to.
    """
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise InputError("Expected a standard output that is open, got a closed one. Add > FILE, or > /dev/null.")
    output = PrintableOutput(sys.stdout)
    try:
        with contextlib.redirect_stdout(cast(TextIO, output)):
            yield
            output.flush()
    except OutputError:
        _drop_output()
        raise


def spreadsheet_safe(cell: Any) -> Any:
    """A cell of a CSV file that no spreadsheet takes for a formula: text that would be one gets an apostrophe.

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


@contextlib.contextmanager
def _reported() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise OutputError("the reader of standard output went away", broken=True) from None
    except OSError as error:
        raise OutputError(
            f"Expected a standard output that can be written to, got {error.strerror}. Make room or name another file."
        ) from None


def _drop_output() -> None:
    """Send what is still buffered nowhere: Python writes it at its end, and would complain again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
