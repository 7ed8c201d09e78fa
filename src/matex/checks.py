"""Checks of what comes from outside: values in messages, numbers, counts, and files that others wrote.

Everything here raises `InputError` with one line: what was expected, what was got, what to do.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import stat
import tomllib
import zipfile
import zlib
from collections.abc import Generator, Iterable, Mapping
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeGuard

from matex.errors import InputError, shortened, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_COUNT = 100_000
"""Of masks, samples, steps, films, workers: above any that ends within a day."""
MAX_REAL = 1e9
"""Size of a parameter that is no count: far above any of use, far below where float32 and its square overflow."""
MAX_BATCH = 4096
"""Of inputs that run through a model at once."""
SEEDS = 1 << 32
"""Above every seed: not every generator takes more."""
LARGEST = {"batch_size": MAX_BATCH, "epochs": 1000, "first_row": SEEDS, "seed": SEEDS - 1, "seeds": 1000}
"""What parameters of these names may be, where `MAX_COUNT` does not fit."""
MAX_TEXT = 64 << 20
"""Bytes of a text, JSON or TOML file that is read whole."""
MAX_PHRASE = 20_000
"""Characters of a phrase; models read some 80 to 300 tokens, and a tokenizer takes minutes for megabytes."""
MAX_REPORT = 1 << 20
"""Bytes of a report, which has some thousands."""
MAX_ARRAY = 2 << 30
"""Bytes of an array file."""
MAX_DEPTH = 64
"""Levels of nesting in JSON or TOML; ours have at most ten."""


def check(ok: bool, name: str, expected: str, value: object) -> None:
    """Refuse a parameter outside its range.

    Raises:
        InputError: `ok` is False.
    """
    if not ok:
        raise InputError(f"Expected {name} {expected}, got {shown(value)}.")


def check_once(what: str, values: Iterable[object]) -> None:
    """Refuse a value that stands twice in a list, where it would be dropped or count double.

    Args:
        what: each of them, for the message: "method".
        values: all of them.

    Raises:
        InputError: one of them equals an earlier one.
    """
    earlier: list[object] = []
    for value in values:
        if value in earlier:
            raise InputError(f"Expected every {what} once, got {shown(value)} twice. Leave one out.")
        earlier.append(value)


def check_seed(seed: int) -> None:
    """Refuse a seed that not every random generator takes.

    Raises:
        InputError: a seed below 0 or above 32 bits.
    """
    check(0 <= seed < SEEDS, "seed", f"from 0 to {SEEDS - 1}", seed)


def text(value: object, name: str) -> str:
    """Text that can be written to any file.

    Raises:
        InputError: not text, or halves of characters (lone surrogates) in it.
    """
    if not isinstance(value, str):
        raise InputError(f"Expected {name} to be text, got {shown(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"Expected {name} in Unicode, got {shown(value)}. Write it again in UTF-8.") from None
    return value


def as_path(value: object, what: str) -> Path:
    """A path.

    Raises:
        InputError: neither text nor a path, or one that no system takes.
    """
    if not _is_path(value) or not str(value):
        raise InputError(f"Expected {what}, got {shown(value)}. Give its path.")
    if "\0" in str(value):
        raise InputError(f"Expected {what}, got a path with a null byte: {shown(str(value))}. Check the path.")
    return Path(os.fsdecode(value))


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Whether a value of unknown type is a mapping; isinstance alone leaves the types of its entries unknown."""
    return isinstance(value, Mapping)


def is_iterable(value: object) -> TypeGuard[Iterable[object]]:
    """Whether a value of unknown type can be iterated over."""
    return isinstance(value, Iterable)


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Whether a value of unknown type is a list or a tuple."""
    return isinstance(value, list | tuple)


def _is_path(value: object) -> TypeGuard[str | os.PathLike[str] | os.PathLike[bytes]]:
    return isinstance(value, str | os.PathLike)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value read from JSON or TOML is an object (a table); its keys are text."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Whether a value read from JSON or TOML is an array."""
    return isinstance(value, list)


def number(value: object, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number from low to high, both included.

    Raises:
        InputError: not a number, not finite or outside the range.
    """
    if isinstance(value, Real) and value is not True and value is not False:
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if math.isfinite(found) and low <= found <= high:
            return found
    raise InputError(f"Expected {name} to be a finite number{_range(low, high)}, got {shown(value)}.")


def count(value: object, name: str, low: int = 1, high: int = MAX_COUNT) -> int:
    """A whole number from low to high, both included.

    Raises:
        InputError: not a whole number, or outside the range.
    """
    if isinstance(value, Integral) and value is not True and value is not False and low <= int(value) <= high:
        return int(value)
    raise InputError(f"Expected {name} to be a whole number{_range(low, high)}, got {shown(value)}.")


@contextlib.contextmanager
def open_regular(path: str | Path, what: str, limit: int, where: str = "") -> Generator[BinaryIO]:
    """A regular file as a stream of bytes; pipes and devices are not opened, since they may never end.

    Args:
        path: of the file.
        what: the file in words, for the refusal: "a TOML file".
        limit: bytes at most.
        where: what the refusal calls it; empty for its path.

    Raises:
        InputError: no such file, a folder, pipe or device, a too large file, or one that cannot be read.
    """
    where = where or shown(str(as_path(path, what)))
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        advice = "Download it first" if "://" in str(path) else "Check the path"
        raise InputError(f"Expected {what}, got a path where there is none: {where}. {advice}.") from None
    except OSError as error:
        if os.path.isdir(path):  # Windows refuses to open one
            raise InputError(f"Expected {what}, got a folder: {where}. Give one file in it.") from None
        special = error.errno in (errno.ENXIO, errno.ENODEV)  # a socket, or a device that is not there
        reason = "a socket or a device" if special else error.strerror
        raise InputError(f"Expected {what}, got {reason}: {where}. Check the path and its permissions.") from None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"Expected {what}, got a folder: {where}. Give one file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"Expected {what}, got a pipe or a device: {where}. Save it as a regular file first.")
        if status.st_size > limit:
            size = f"{status.st_size / (1 << 20):.4g}"
            raise InputError(f"Expected {what} of at most {limit >> 20} MiB, got {size} MiB: {where}. Check the path.")
        with open(descriptor, "rb", closefd=False) as stream:
            yield stream
    except OSError as error:
        raise InputError(f"Expected {what} that can be read, got {error.strerror}: {where}. Check the disk.") from None
    finally:
        os.close(descriptor)


def read_bytes(path: str | Path, what: str, limit: int = MAX_TEXT) -> bytes:
    """The bytes of a regular file.

    Args:
        path: of the file.
        what: the file in words, for the refusal: "a TOML file".
        limit: bytes at most.

    Raises:
        InputError: as `open_regular`, or an empty file.
    """
    with open_regular(path, what, limit) as stream:
        if os.fstat(stream.fileno()).st_size == 0:
            raise InputError(f"Expected {what}, got an empty file: {shown(str(path))}. Copy or export it again.")
        return stream.read(limit)


def read_text(path: Path, what: str, limit: int = MAX_TEXT) -> str:
    """A UTF-8 file, without its byte order mark.

    Raises:
        InputError: as `read_bytes`, or bytes that are not UTF-8.
    """
    try:
        return read_bytes(path, what, limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"Expected {what} in UTF-8, got other bytes: {shown(str(path))}. Save it as UTF-8.") from None


def read_json(path: Path, what: str, limit: int = MAX_TEXT) -> dict[str, object]:
    """A JSON file with an object at its top.

    Raises:
        InputError: as `read_text`, or anything but a JSON object of at most `MAX_DEPTH` levels.
    """
    return parse_json(read_text(path, what, limit), f"{what}, {shown(str(path))}")


def parse_json(content: str, what: str, unique_names: bool = False) -> dict[str, object]:
    """A JSON object from text.

    Args:
        content: JSON.
        what: it is, for the message.
        unique_names: refuse a name that one object holds twice, of which json keeps the last without a word.

    Raises:
        InputError: anything but a JSON object of at most `MAX_DEPTH` levels.
    """
    try:
        found: object = json.loads(content, object_pairs_hook=partial(_unique, what) if unique_names else None)
    except InputError:
        raise
    except RecursionError:
        reason = "too many levels of nesting"
    except ValueError as error:  # also a whole number of too many digits
        raise InputError(f"Expected JSON in {what}, got other text: {shortened(str(error))}. Copy it again.") from None
    else:
        if is_object(found) and shallow(found):
            return found
        reason = "too many levels of nesting" if isinstance(found, dict) else f"a {type(found).__name__}"
    raise InputError(f"Expected JSON in {what} to be one object, got {reason}. Copy it again.")


def _unique(what: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these pairs, see `parse_json`."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"Expected every name once in {what}, got {shown(name)} twice. Leave one out.")
        found[name] = value
    return found


def read_toml(path: Path, what: str = "a TOML file", limit: int = 4 << 20) -> dict[str, object]:
    """A TOML file.

    Raises:
        InputError: as `read_text`, or anything but TOML of at most `MAX_DEPTH` levels.
    """
    where = shown(str(path))
    try:
        found = tomllib.loads(read_text(path, what, limit))
    except RecursionError:
        found = None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: expected TOML, got other text: {shortened(str(error))}.") from None
    if found is None or not shallow(found):
        raise InputError(f"{where}: expected TOML of at most {MAX_DEPTH} levels, got deeper nesting.")
    return found


def read_array(path: Path, what: str = "a NumPy array file", limit: int = MAX_ARRAY) -> NDArray[np.generic]:
    """A .npy file of numbers or truth values; objects, which are pickled, are refused.

    Raises:
        InputError: as `read_bytes`, or anything but one whole array.
    """
    return parse_array(read_bytes(path, what, limit), f"{what}, {shown(str(path))}")


def parse_array(data: bytes, what: str) -> NDArray[np.generic]:
    """An array from the bytes of a .npy file; its header must fit the number of bytes before anything is allocated.

    Raises:
        InputError: anything but one whole array of numbers or truth values.
    """
    import numpy as np  # here, so that lists and help answer without it

    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError("another version")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
        if kind.hasobject or kind.kind not in "biuf":
            raise ValueError(f"values of type {kind}")
        if math.prod(shape) * kind.itemsize != len(data) - stream.tell() or min(shape, default=0) < 0:
            raise ValueError("another number of bytes than its header says")
        return np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # the header is read by Python's own parser, which raises several kinds
        reason = shortened(str(error)) or type(error).__name__
        raise InputError(
            f"Expected a .npy array of numbers in {what}, got other content: {reason}. Save it again."
        ) from None


def parse_arrays(data: bytes, what: str) -> dict[str, NDArray[np.generic]]:
    """Arrays by name from the bytes of a .npz file; each is checked as `parse_array` does.

    Raises:
        InputError: anything but an archive of .npy arrays of numbers or truth values.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_ARRAY:
                raise InputError(f"Expected at most {MAX_ARRAY >> 20} MiB in {what}, got more. Check the file.")
            contents = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, NotImplementedError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Expected a .npz archive in {what}, got other content: {shortened(str(error))}.") from None
    return {name.removesuffix(".npy"): parse_array(content, what) for name, content in contents.items()}


def _range(low: float, high: float) -> str:
    if high == math.inf:
        return "" if low == -math.inf else f" of {low:g} or more"
    return f" of {high:g} or less" if low == -math.inf else f" from {low:.12g} to {high:.12g}"


def shallow(value: object) -> bool:
    """Whether no list or table lies more than `MAX_DEPTH` levels deep; without recursion."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if is_mapping(outer) else outer if is_list(outer) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
