"""The files of an explanation, written whole or not at all; one folder holds one run."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from matex.checks import read_json
from matex.errors import InputError, shown
from matex.render.colormap import ColourScale
from matex.results import DISCLAIMER, Explanation, SaliencyMap

if sys.platform != "win32":
    import fcntl

FORMAT = "matex-explanation/1"
NAMES = ("explanation.json", "image_map.npy", "overlay.png", "panel.png", "report.html")
PNG_LEVEL = 2  # of zlib; level 4 takes a third longer for a tenth less, level 6 three times as long for a fifth less
RUN_FORMAT = "matex-run/1"
OLD, NEW = "old", "new"  # in a temporary folder: what moves out of the folder, what moves in
DAY = 24 * 3600  # seconds
RUN = "matex-run.json"  # in a folder with several explanations: which folders beside it belong to the run


def save(explanation: Explanation, folder: Path) -> Path:
    """Write the five files of an explanation into a folder, which is made when it is missing.

    All of them are written in a temporary folder first: when something fails, the folder holds what it held
    before. What an earlier run left in the folder goes, so that it never holds results of two films.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    with writing(folder, alone=True) as temporary:
        _write(explanation, temporary)
    return folder


def save_run(explanations: Mapping[str, Explanation], folder: Path, page: str, progress: bool = False) -> Path:
    """Write several explanations of one command, a folder for each name, with one page about all: all or nothing.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    with writing(folder, alone=True) as temporary:
        for name, explanation in tqdm(explanations.items(), desc="writing", disable=not progress):
            (temporary / name).mkdir()
            _write(explanation, temporary / name)
        (temporary / "report.html").write_text(page, encoding="utf-8")
        index = {
            name: {"film": one.film.sha256, "text": one.text, "method": one.method, "score": one.score}
            for name, one in explanations.items()
        }
        text = strict_json({"format": RUN_FORMAT, "disclaimer": DISCLAIMER, "folders": index})
        (temporary / RUN).write_text(text + "\n", encoding="utf-8")
    return folder


def _write(explanation: Explanation, folder: Path) -> None:
    from matex.render.framed import framed_overlay
    from matex.render.panel import panel
    from matex.render.report import page

    (folder / "explanation.json").write_text(strict_json(record(explanation)) + "\n", encoding="utf-8")
    _write_map(explanation.image, folder / "image_map.npy")
    framed_overlay(explanation).save(folder / "overlay.png", "PNG", compress_level=PNG_LEVEL)
    panel(explanation).save(folder / "panel.png", "PNG", compress_level=PNG_LEVEL)
    (folder / "report.html").write_text(page([explanation], "Explanation"), encoding="utf-8")


def _write_map(image: SaliencyMap, path: Path) -> None:
    """The map in original pixels as .npy, some rows at a time: of a huge film it is several times the film.

    The file is Python's own, since numpy's writing to a file hides that a disk is full.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": image.placement.original}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for _, rows in image.bands():
            stream.write(rows.astype("<f4", order="C", copy=False).data)


@contextmanager
def writing(folder: Path, alone: bool = False) -> Generator[Path]:
    """A temporary folder inside the folder; on success its files move into the folder, on failure it goes.

    The exchange with an earlier result is a matter of renaming: old files move out before new ones move in, so that
    the folder never holds parts of two results. A process that is killed on the way leaves both in the temporary
    folder, and the next run in the folder completes the exchange.

    Args:
        folder: made when it is missing.
        alone: remove what an earlier run left, before the new files move in. Other files are left alone.

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
            _exchange(folder, temporary, list(dict.fromkeys(_earlier(folder))) if alone else [], files)
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
    """What an earlier run wrote: the files of an explanation, and those in the folders that its index names."""
    index = _json(folder / RUN)
    if index.get("format") == RUN_FORMAT and isinstance(index.get("folders"), dict):
        for below in sorted(folder.iterdir()):
            if below.name in index["folders"] and below.is_dir() and not below.is_symlink():
                yield from (Path(below.name) / file for file in _earlier(below))
        yield from (Path(name) for name in (RUN, "report.html") if os.path.lexists(folder / name))
    if _json(folder / "explanation.json").get("format") == FORMAT:
        yield from (Path(name) for name in NAMES if os.path.lexists(folder / name))


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


def _json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one for whatever else lies there."""
    try:
        return read_json(path, "a record") if path.is_file() else {}
    except InputError:
        return {}


def record(explanation: Explanation) -> dict[str, Any]:
    """explanation.json: plain values, the numbers without the maps."""
    image = explanation.image
    return {
        "format": FORMAT,
        "disclaimer": DISCLAIMER,
        "text": explanation.text,
        "method": explanation.method,
        "parameters": dict(explanation.parameters),
        "score": explanation.score,
        "words": [{"word": word, "score": score} for word, score in explanation.words],
        "tokens": [dataclasses.asdict(token) for token in explanation.tokens],
        "regions": [dataclasses.asdict(mention) for mention in explanation.regions],
        "notes": list(explanation.notes),
        "image": {
            "file": "image_map.npy",
            "normalisation": "minimum to maximum over what the model saw, to [0, 1]; not seen is NaN",
            "grid": list(image.grid.shape),
            **_span(ColourScale(*image.range)),
            "not_seen": image.placement.unseen_share(image.grid),
            "degenerate": image.degenerate,
        },
        "components": {
            name: {**_span(ColourScale.of(grid)), "weight": explanation.weights.get(name)}
            for name, grid in explanation.components.items()
        },
        "prior": None if explanation.prior is None else _span(ColourScale.of(explanation.prior)),
        "provenance": dict(explanation.provenance),
    }


def strict_json(values: Any) -> str:
    """JSON as RFC 8259 has it, keys in order: what is not a finite number becomes null."""
    text = json.dumps(_plain(values), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)  # no file can hold a lone surrogate


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    return str(value)


def _span(scale: ColourScale) -> dict[str, float | None]:
    return {
        name: value if np.isfinite(value) else None for name, value in (("minimum", scale.low), ("maximum", scale.high))
    }


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
