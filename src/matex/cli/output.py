"""Standard output of the commands: control characters escaped, a closed or full stream reported in one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from typing import TextIO, cast

from matex.errors import InputError, printable


class OutputError(Exception):
    """Standard output is full or closed, or its reader has gone (`broken`)."""

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

    def __getattr__(self, name: str) -> object:
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


@contextlib.contextmanager
def _reported() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise OutputError("the reader of standard output has gone", broken=True) from None
    except OSError as error:
        raise OutputError(
            f"Expected a standard output that can be written to, got {error.strerror}. Make room or name another file."
        ) from None


def _drop_output() -> None:
    """Discard the buffered output: Python would write it at exit and report the error a second time."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
