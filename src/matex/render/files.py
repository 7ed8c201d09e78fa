"""The files of an explanation, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from matex.images import InputError
from matex.render.colormap import ColourScale
from matex.saliency import DISCLAIMER, Explanation

FORMAT = "matex-explanation/1"
NAMES = ("explanation.json", "image_map.npy", "overlay.png", "panel.png", "report.html")


def save(explanation: Explanation, folder: Path) -> Path:
    """Write the five files of an explanation into a folder, which is made when it is missing.

    All of them are written under temporary names first and then renamed: when something fails, the folder
    holds what it held before.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    from matex.render.overlay import overlay
    from matex.render.panel import panel
    from matex.render.report import page

    with writing(folder) as temporary:
        temporary("explanation.json").write_text(strict_json(record(explanation)) + "\n", encoding="utf-8")
        with temporary("image_map.npy").open("wb") as stream:
            np.save(stream, explanation.image.values.astype(np.float32), allow_pickle=False)
        overlay(explanation).save(temporary("overlay.png"), "PNG", compress_level=4)
        panel(explanation).save(temporary("panel.png"), "PNG", compress_level=4)
        temporary("report.html").write_text(page([explanation], "Explanation"), encoding="utf-8")
    return folder


@contextmanager
def writing(folder: Path) -> Generator[Any]:
    """A function from file names to temporary paths; on success all are renamed, on failure removed.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    made = _make(folder)
    mark = secrets.token_hex(4)
    begun: dict[Path, Path] = {}

    def temporary(name: str) -> Path:
        path = folder / f".{name}.{mark}"
        begun[path] = folder / name
        return path

    try:
        yield temporary
        if taken := [target for target in begun.values() if target.is_dir()]:
            raise InputError(f"Expected to write the file {taken[0]}, got a folder of that name. Move it away.")
        for source, target in begun.items():
            os.replace(source, target)
    except OSError as error:
        _tidy(begun, made)
        raise InputError(
            f"Could not write to {folder}: {error.strerror or error}. Nothing there was changed."
        ) from error
    except BaseException:
        _tidy(begun, made)
        raise


@contextmanager
def replacing(target: Path) -> Generator[Path]:
    """One temporary path beside the target, renamed to it on success."""
    with writing(target.parent) as temporary:
        yield temporary(target.name)


def record(explanation: Explanation) -> dict[str, Any]:
    """explanation.json: plain values, the numbers without the maps."""
    image = explanation.image
    film = explanation.film
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
        "film": {
            "name": film.name,
            "sha256": film.sha256,
            "height": film.pixels.shape[0],
            "width": film.pixels.shape[1],
            "view": film.view,
            "mirrored": film.mirrored,
            "notes": list(film.notes),
        },
        "image": {
            "file": "image_map.npy",
            "normalisation": "minimum to maximum over what the model saw, to [0, 1]; not seen is NaN",
            "grid": list(image.grid.shape),
            **_span(image.raw),
            "not_seen": float(np.isnan(image.raw).mean()),
            "degenerate": ColourScale.spanning(image.raw).constant,
        },
        "components": {
            name: {**_span(grid), "weight": explanation.weights.get(name)}
            for name, grid in explanation.components.items()
        },
        "prior": None if explanation.prior is None else _span(explanation.prior),
        "provenance": dict(explanation.provenance),
    }


def strict_json(values: Any) -> str:
    """JSON as RFC 8259 has it, keys in order: what is not a finite number becomes null."""
    return json.dumps(_plain(values), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)


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


def _span(values: np.ndarray[Any, np.dtype[Any]]) -> dict[str, float | None]:
    known = values[np.isfinite(values)]
    return {
        "minimum": float(known.min()) if known.size else None,
        "maximum": float(known.max()) if known.size else None,
    }


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to, before any long work.

    Raises:
        InputError: a file is in the way, or permission is missing.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"Expected a folder to write to, got {folder}: {existing} is a file. Name another folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"Expected a folder to write to, got {folder}: no permission in {existing}. Name another one.")


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
        raise InputError(f"Could not make the folder {folder}: {error.strerror}. Name another folder.") from None
    return missing


def _tidy(begun: Mapping[Path, Path], made: list[Path]) -> None:
    """Remove the temporary files, and the folders that were made for them."""
    for path in begun:
        path.unlink(missing_ok=True)
    for path in made:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
