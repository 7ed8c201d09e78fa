"""Errors as one line and an exit code."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

from matex.cli.output import OutputError
from matex.errors import SHOWN, MissingExtra, shortened, shown
from matex.plugins import file_of

INTERNAL, REQUEST, INTERRUPTED = 1, 2, 130

# Errors of the system that no program can prevent: no room, no permission, no open files left, impossible paths.
_SYSTEM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EIO}
    | {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
)


def describe(error: Exception, arguments: Sequence[str]) -> tuple[str, int]:
    """The message and the exit code of an error that ended a command.

    Args:
        error: as it was raised.
        arguments: of the command line, which Typer repeats in full in its own messages.
    """
    if isinstance(error, OutputError):
        return ("", 0) if error.broken else (str(error), REQUEST)
    if usage := getattr(error, "format_message", None):
        command = getattr(getattr(error, "ctx", None), "command_path", "matex")
        return _usage(usage(), command, arguments), REQUEST
    # Errors of the package's own kinds are about the request; a bare ValueError from elsewhere is not.
    own = isinstance(error, ValueError) and type(error).__module__.startswith("matex.")
    if own or isinstance(error, MissingExtra):
        return str(error), REQUEST
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        where = f": {shown(str(error.filename))}" if error.filename else ""
        return f"Expected a usable path, got {error.strerror}{where}. Check its name, permissions and room.", REQUEST
    if _out_of_memory(error):
        advice = "Ask for a smaller batch_size, fewer samples or a smaller image."
        return f"Expected enough memory, got none. {advice}", REQUEST
    what = f"{type(error).__name__}: {str(error)[:300].rstrip('.')}"
    if file := file_of(error):
        return f"the plug-in {file} failed, {what}. Fix it; MATEX_DEBUG=1 shows where.", REQUEST
    return f"internal error, {what}. Please report it with what MATEX_DEBUG=1 shows.", INTERNAL


def _usage(message: str, command: str, arguments: Sequence[str]) -> str:
    """A message of Typer about the arguments, with long values shortened and advice added."""
    message = message.replace("Value error, ", "").rstrip(".")
    for argument in arguments:
        for value in (argument, repr(argument)[1:-1], argument.partition("=")[2]):
            message = message.replace(value, shortened(value)) if len(value) > SHOWN else message
    # Typer reads "-film.png" as short options, and names the first that it does not know.
    dashed = re.search(r"No such option: -[^-]", message)
    advice = "Write a file name that starts with a dash as ./-name, or try" if dashed else "Try"
    end = "" if message.endswith("?") else "."
    return f"{message}{end} {advice} {command} --help."


def _out_of_memory(error: Exception) -> bool:
    """True for a MemoryError, and for what torch raises in its place on processors and accelerators."""
    text = str(error)
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text.lower()
