"""Atomic writing of folders: the new files replace those of an earlier run, or nothing changes.

`NAMES` are the files of one explanation; a folder with several has an index, `RUN`, of the folders that belong to it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from matex.checks import is_object, read_json
from matex.errors import InputError, shown

if sys.platform != "win32":
    import fcntl

FORMAT = "matex-explanation/1"
GRIDS = "grids.npz"  # raw map, terms, prior, lung mask: what explanation.json does not hold
TERM = "term: "  # before the names of terms in it
NAMES = ("explanation.json", "image_map.npy", "overlay.png", "panel.png", "report.html", GRIDS)
TARGET_MAP, TARGET_OVERLAY = "target_map.npy", "target_overlay.png"
"""Written as well where an image or a sound was compared with."""
RUN_FORMAT = "matex-run/1"
OLD, NEW = "old", "new"  # in a temporary folder: what moves out of the folder, what moves in
DAY = 24 * 3600  # seconds
RUN = "matex-run.json"  # in a folder with several explanations: which of the folders next to it belong to the run


@contextmanager
def writing(folder: Path, alone: bool = False, replaced: Sequence[Path] = ()) -> Generator[Path]:
    """A temporary folder inside the folder; on success its files move into the folder, on failure it goes.

    The exchange with an earlier result is a matter of renaming: old files move out before new ones move in, so that
    the folder never holds parts of two results. A process that is killed before the end leaves both in the temporary
    folder, and the next run in the folder completes the exchange.

    Args:
        folder: made when it is missing.
        alone: remove what an earlier run left, before the new files move in. Other files are left alone.
        replaced: further files to remove with it, relative to the folder.

    Raises:
        InputError: a folder that cannot be made or written to, or something in the way of a new file.
    """
    made = _make(folder)
    temporary = folder / f".matex-{secrets.token_hex(4)}"
    try:
        _clean_up(folder)
        temporary.mkdir()
        with _locked(temporary):
            (temporary / NEW).mkdir()
            yield temporary / NEW
            files = _files(temporary / NEW)
            for file in files:
                _check_free(folder, file)
            earlier = [*(_earlier(folder) if alone else ()), *replaced]
            _exchange(folder, temporary, list(dict.fromkeys(earlier)), files)
        shutil.rmtree(temporary)
    except OSError as error:
        _tidy(temporary, made)
        reason = error.strerror or error
        raise InputError(f"Could not write to {shown(folder)}: {reason}. Name another folder.") from error
    except BaseException:
        _tidy(temporary, made)
        raise


@contextmanager
def replacing(target: Path) -> Generator[Path]:
    """One temporary path, renamed to the target on success."""
    with writing(target.parent) as temporary:
        yield temporary / target.name


def _check_free(folder: Path, file: Path) -> None:
    """Raises InputError when a folder lies where the file should be, or a file or link where its folder should be."""
    if (folder / file).is_dir():
        raise InputError(f"Expected to write the file {shown(folder / file)}, got a folder of that name. Move it away.")
    above = folder / file.parent
    if file.parent != Path() and (above.is_symlink() or (above.exists() and not above.is_dir())):
        raise InputError(f"Expected to make the folder {shown(above)}, got a file or link of that name. Move it away.")


def _earlier(folder: Path) -> Iterator[Path]:
    """Files of an earlier run: those of an explanation, and those in the folders that its index names."""
    index = _json(folder / RUN)
    folders = index.get("folders")
    if index.get("format") == RUN_FORMAT and is_object(folders):
        for below in sorted(folder.iterdir()):
            if below.name in folders and below.is_dir() and not below.is_symlink():
                yield from (Path(below.name) / file for file in _earlier(below))
        yield from (Path(name) for name in (RUN, "report.html") if os.path.lexists(folder / name))
    if _json(folder / "explanation.json").get("format") == FORMAT:
        yield from (Path(name) for name in (*NAMES, TARGET_MAP, TARGET_OVERLAY) if os.path.lexists(folder / name))


def _exchange(folder: Path, temporary: Path, old: Sequence[Path], new: Sequence[Path]) -> None:
    """Move old files out of the folder and new ones in; what was there comes back when a move fails.

    The folder OLD in the temporary one says that the exchange has begun.
    """
    (temporary / OLD).mkdir()
    moved: list[tuple[Path, Path]] = []
    try:
        for files, source, target in ((old, folder, temporary / OLD), (new, temporary / NEW, folder)):
            for file in files:
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(source / file, target / file)
                moved.append((source / file, target / file))
    except OSError:
        for source, target in reversed(moved):
            os.replace(target, source)
        raise
    _remove_empty(folder, old)


def _clean_up(folder: Path) -> None:
    """Complete or remove what processes that were killed have left in a folder; those of running ones stay."""
    for left in sorted(folder.glob(".matex-*")):
        if not re.fullmatch(r"\.matex-[0-9a-f]{8}", left.name) or left.is_symlink() or not left.is_dir():
            continue
        with _locked(left) as free:
            if not free:
                continue
            if (left / OLD).is_dir():  # killed in the exchange: the new result was whole
                for file in _files(left / NEW):
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(left / NEW / file, folder / file)
                _remove_empty(folder, _files(left / OLD))
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Generator[bool]:
    """Hold a temporary folder; the system lets go of it when the process ends, also by kill -9.

    Yields whether it was free. Where there are no locks, one that was not touched for a day counts as free.
    """
    if sys.platform == "win32":
        yield time.time() - folder.stat().st_mtime > DAY
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:
            free = time.time() - folder.stat().st_mtime > DAY
        yield free
    finally:
        os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    """Files below a folder, relative to it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _remove_empty(folder: Path, files: Sequence[Path]) -> None:
    """Remove the folders of files that were moved out, where nothing is left in them."""
    for below in {file.parent for file in files if file.parent != Path()}:
        with suppress(OSError):
            (folder / below).rmdir()


def _json(path: Path) -> dict[str, object]:
    """A JSON object, or an empty one for whatever else lies there."""
    try:
        return read_json(path, "a record") if path.is_file() else {}
    except InputError:
        return {}


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to, before any long work.

    Raises:
        InputError: a file is in the way, or permission is missing.
    """
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:  # a name that is too long, a loop of links
        raise InputError(
            f"Expected a folder to write to, got {error.strerror}: {shown(folder)}. Name another folder."
        ) from None
    if not existing.is_dir():
        raise InputError(
            f"Expected a folder to write to, got {shown(folder)}: {shown(existing)} is a file. Name another folder."
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"Expected a folder to write to, got {shown(folder)}: no permission in {shown(existing)}. Name another one."
        )


def _make(folder: Path) -> list[Path]:
    """Make the folder and say which ones were new, innermost first.

    Raises:
        InputError: it cannot be made or written to.
    """
    check_folder(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Could not make the folder {shown(folder)}: {error.strerror}. Name another folder.") from None
    return missing


def _tidy(temporary: Path, made: list[Path]) -> None:
    """Remove the temporary folder, and the folders that were made for it."""
    shutil.rmtree(temporary, ignore_errors=True)
    for path in made:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
