"""The errors that a caller of matex may want to catch.

All but `MissingExtra` are ValueErrors. Each message is one line: what was expected, what was given, what to do. The
command line prints it and exits with 2.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sized
from pathlib import PurePath
from typing import TypeGuard

SHOWN = 80
"""Characters of a value that a message repeats."""
MESSAGE = 800
"""Characters of a whole message: whatever a message repeats, its beginning and what to do stay readable."""


class _Refusal(ValueError):
    """A message on one line, bounded and without control characters, whatever values it repeats."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message, MESSAGE))


class InputError(_Refusal):
    """The input is at fault: one line with what was expected, what was got, and what to do."""


class UnknownName(_Refusal, KeyError):
    """A name that nothing is registered under; the message lists the known ones and suggests the nearest."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...]) -> None:
        near = difflib.get_close_matches(name, known, n=1) if len(name) <= 100 else []
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"Unknown {kind} {shown(name)}. Known: {', '.join(sorted(set(known))) or 'none'}.{hint}")

        self._made_of = (kind, name, known)

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._made_of  # an exception is otherwise rebuilt from its message alone


class CheckpointError(_Refusal):
    """A file or folder that is not the checkpoint it should be."""


class NotCached(CheckpointError):
    """A hub id without a copy in the hub's cache, where the hub must not be contacted."""


class UnsupportedModel(_Refusal):
    """A model outside what the adapters were written for."""


class PluginError(_Refusal):
    """A file or package whose methods cannot be used."""


class MissingExtra(ImportError):
    """An optional package that is not installed; the message names the feature and the command that installs it."""


def shown(value: object, length: int = SHOWN) -> str:
    """A value as messages quote it: one line of printable characters, the middle left out where it is long.

    Text and paths are quoted. Large arrays are shown by their shapes. Never raises.

    Examples:
        >>> shown("a" * 200, 20)
        "'aaaaaaaaaa...aaaaa'"
        >>> shown(["film.png", 3])
        "['film.png', 3]"
    """
    return shortened(_represented(value, 4 * length), length)


def shortened(text: str, length: int = SHOWN) -> str:
    """Text without quotes for a message: one line of printable characters, the middle left out where it is long."""
    cut = len(text) > 4 * length
    line = printable(_one_line(text[: 2 * length] + text[-2 * length :] if cut else text))
    if len(line) <= length and not cut:
        return line
    tail = (length - 3) * 2 // 5
    return f"{line[: length - 3 - tail]}...{line[len(line) - tail :]}"


def printable(text: str, keep: str = "") -> str:
    r"""Text that is safe on a terminal and in any encoding of Unicode.

    Control characters (escape sequences begin with one), characters that change the direction of the text, and lone
    surrogates become \uXXXX, which is also how JSON writes them.

    Args:
        text: any.
        keep: unprintable characters that stay, such as line ends.

    Examples:
        >>> printable("\x1b[31mred")
        '\\u001b[31mred'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in text)


def _represented(value: object, length: int) -> str:
    """repr, without ever building a long one of what is long."""
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str):
        return repr(value if len(value) <= length else value[:length] + value[-length:])
    if isinstance(value, bytes | bytearray):
        return f"{type(value).__name__} of length {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**length:
        return f"a whole number of about {round(value.bit_length() * 0.30103)} digits"
    kind = type(value).__name__
    if _is_shape(shape := getattr(value, "shape", None)) and math.prod(shape) > 16:
        return f"{kind} of shape {tuple(shape)}"
    if isinstance(value, _ENTRIES) and len(value) > length:
        return f"{kind} of {len(value)} entries"
    try:
        return repr(value)
    except Exception:  # a repr of somebody else's class, or nested too deep
        return f"an object of type {kind}"


_ENTRIES: tuple[type[Sized], ...] = (list, tuple, Mapping)


def _is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple)


def _one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines())


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
