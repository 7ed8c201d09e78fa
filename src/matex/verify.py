"""Run a saved explanation again and say whether the same came out."""

from __future__ import annotations

import hashlib
import os
import stat
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matex.adapters.model import Model
from matex.adapters.tokenizer import describe_tokenizer
from matex.attribution import METHODS, make
from matex.checks import number, read_array, read_json
from matex.coerce import as_type, in_words
from matex.errors import CheckpointError, InputError, shortened, shown
from matex.images import MAX_BYTES
from matex.results import Explanation

TOLERANCE = 1e-3  # of a map in [0, 1] and of the score: processors differ by less, inputs and weights by more
# What a record must hold, so that nothing else in this file or in `matex verify` has to doubt it.
KINDS: Mapping[str, tuple[type[Any], ...]] = {
    "text": (str,),
    "method": (str,),
    "parameters": (dict,),
    "score": (float, type(None)),
    "provenance.matex": (str,),
    "provenance.image.name": (str,),
    "provenance.image.sha256": (str,),
    "provenance.image.view": (str, type(None)),
    "provenance.image.mirrored": (bool,),
    "provenance.model.name": (str,),
    "provenance.model.preset": (str, type(None)),
    "provenance.model.tokenizer": (dict, type(None)),
    "provenance.model.heads": (list, type(None)),
    "provenance.model.activation": (str, type(None)),
    "provenance.model.dtype": (str,),
    "provenance.model.weights_sha256": (str, type(None)),
    "provenance.token_ids": (list,),
    "provenance.resize": (str,),
    "provenance.domain": (str,),
    "provenance.lung_mask": (str, bool, type(None)),
    "provenance.plugin": (dict, type(None)),
    "provenance.versions": (dict,),
}
MAY_LACK = frozenset(
    {
        "provenance.model.preset",
        "provenance.model.tokenizer",
        "provenance.model.heads",
        "provenance.model.activation",
        "provenance.plugin",
    }
)
SUFFIXES = frozenset(["png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp", "gif", "pgm", "ppm", "jp2", "dcm", "dicom"])


@dataclass(frozen=True)
class Verdict:
    """What came out of running an explanation again.

    Args:
        differences: what differs beyond the tolerance, one line each; empty when the same came out.
        remarks: what differs in the surroundings without changing the outcome, such as versions.
        map_difference: largest absolute difference of the maps in [0, 1].
        score_difference: absolute difference of the scores.
    """

    differences: tuple[str, ...]
    remarks: tuple[str, ...]
    map_difference: float
    score_difference: float

    @property
    def same(self) -> bool:
        return not self.differences


@dataclass(frozen=True)
class Saved:
    """An explanation as its folder holds it."""

    folder: Path
    record: Mapping[str, Any]
    values: NDArray[np.float32]

    def __getitem__(self, path: str) -> Any:
        """An entry of explanation.json by its dotted path."""
        found: Any = self.record
        for name in path.split("."):
            if not isinstance(found, Mapping) or name not in found:
                raise InputError(f"Expected {shown(path)} in {shown(self.folder / 'explanation.json')}, found none.")
            found = found[name]
        return found


def load_saved(folder: Path) -> Saved:
    """Read explanation.json and image_map.npy of a folder.

    Raises:
        InputError: files that are missing or are not what they should be.
    """
    for name in ("explanation.json", "image_map.npy"):
        if not os.path.lexists(folder / name):
            where = shown(folder)
            raise InputError(f"Expected a folder that matex explain wrote, but {name} is missing in {where}. Check it.")
    record = read_json(folder / "explanation.json", "explanation.json as matex wrote it")
    values = read_array(folder / "image_map.npy", "image_map.npy as matex wrote it")
    if record.get("format") != "matex-explanation/1":
        raise InputError(
            f"Expected {shown(folder / 'explanation.json')} in the format matex-explanation/1, got another."
        )
    if values.ndim != 2 or values.dtype.kind != "f":
        raise InputError(
            f"Expected a map of floats [height, width] in {shown(folder / 'image_map.npy')}. Explain again."
        )
    saved = Saved(folder, record, values)
    for path, kinds in KINDS.items():
        if path in MAY_LACK and path.rpartition(".")[2] not in saved[path.rpartition(".")[0]]:
            continue
        if not isinstance(saved[path], kinds):
            wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise InputError(
                f"Expected {path} in {shown(folder / 'explanation.json')} to be {wanted}, got "
                f"{type(saved[path]).__name__}. Explain again."
            )
    return saved


def recorded_parameters(saved: Saved) -> dict[str, Any]:
    """The method's parameters as it takes them: JSON has neither tuples nor types.

    Raises:
        InputError: a method of a plug-in that is not there, or a value of another type or outside its range.
        UnknownName: no such method or parameter.
    """
    name, plugin = saved["method"], saved.record["provenance"].get("plugin")
    if name not in METHODS and plugin is not None:
        raise InputError(
            f"The method {shown(name)} came from the plug-in {shown(plugin.get('name'))}. Name it with --plugin."
        )
    hints = typing.get_type_hints(METHODS[name])
    values: dict[str, Any] = {}
    for key, value in saved["parameters"].items():
        try:
            values[key] = as_type(value, hints[key]) if key in hints else value
        except ValueError:
            raise InputError(
                f"Expected the recorded {shortened(str(key))} of {name} to be {in_words(hints[key])}, got "
                f"{shown(value)}. Explain again."
            ) from None
    try:
        make(name, values)
    except ValueError as error:
        raise InputError(str(error)) from None
    return values


def load_recorded(saved: Saved, model: str | None, tokenizer: str | None, device: str) -> Model:
    """The model of a record, as it was loaded; the hub is contacted only for what the caller names.

    Args:
        saved: the explanation.
        model: named by the caller instead of the record.
        tokenizer: likewise.
        device: see `matex.load`.

    Raises:
        InputError: a model of the hub that is not in the hub's cache, or a precision that there is not.
        CheckpointError, UnsupportedModel: as `matex.load`.
    """
    import matex

    recorded = saved["provenance.model"]
    try:
        return matex.load(
            model or saved["provenance.model.name"],
            preset=recorded.get("preset"),
            tokenizer=tokenizer or find_tokenizer(saved),
            device=device,
            dtype=saved["provenance.model.dtype"],
            heads=recorded.get("heads"),
            activation=recorded.get("activation"),
            cached_only=model is None and tokenizer is None,
        )
    except CheckpointError as error:
        if "the hub was not asked" not in str(error):
            raise
        raise InputError(
            f"Expected the recorded model {shown(saved['provenance.model.name'])} in the hub's cache, found none; the "
            "hub is not contacted because a record names it. Name it with --model to download it."
        ) from None


def find_tokenizer(saved: Saved) -> str | None:
    """The tokenizer that was given besides the model: a hub id, or the recorded folder by its name and checksum.

    Looked for beside the explanation and in the current folder; None when none was given.

    Raises:
        InputError: no such folder.
    """
    recorded = saved.record["provenance"]["model"].get("tokenizer")
    if recorded is None:
        return None
    source, wanted = (saved[f"provenance.model.tokenizer.{name}"] for name in ("source", "sha256"))
    if wanted is None:
        return str(source)
    for place in (saved.folder, saved.folder.parent, Path()):
        folder = place / str(source)
        if folder.is_dir() and describe_tokenizer(str(folder))["sha256"] == wanted:
            return str(folder)
    raise InputError(
        f"Found no tokenizer with the recorded checksum {shown(str(wanted)[:12])} in a folder {shown(source)} beside "
        f"{shown(saved.folder)} "
        "or in the current folder. Name it with --tokenizer."
    )


def find_image(saved: Saved) -> Path:
    """The recorded image by its checksum: beside the folder, in the current one, or a bundled film.

    The record holds no path, since paths carry names of people and machines.

    Raises:
        InputError: no file with that checksum.
    """
    wanted, name = saved["provenance.image.sha256"], saved["provenance.image.name"]
    candidates = sorted(set(_images(saved.folder)), key=lambda path: (path.stem != name, str(path)))
    for path in candidates:
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            continue
        if found == wanted:
            return path
    raise InputError(
        f"Found no image with the recorded checksum {shown(wanted[:12])} ({shown(name)}) beside "
        f"{shown(saved.folder)} or in the current folder. Name it with --image."
    )


def compare(saved: Saved, again: Explanation, tolerance: float = TOLERANCE) -> Verdict:
    """What differs between a saved explanation and one made now.

    Raises:
        InputError: a tolerance that is not a finite number of 0 or more.
    """
    tolerance = number(tolerance, "tolerance", 0)
    differences: list[str] = []
    remarks: list[str] = []
    if tolerance >= 1:
        remarks.append(
            f"a tolerance of {tolerance:g} is as wide as the map's range, 0 to 1: any map of this size passes"
        )
    for label, path, now in (
        ("image checksum", "provenance.image.sha256", again.film.sha256),
        ("weights checksum", "provenance.model.weights_sha256", again.provenance["model"]["weights_sha256"]),
        ("text", "text", again.text),
        ("token ids", "provenance.token_ids", list(again.provenance["token_ids"])),
        ("lung mask checksum", "provenance.lung_mask", again.provenance["lung_mask"]),
    ):
        if saved[path] != now:
            differences.append(f"{label}: recorded {shown(saved[path])}, now {shown(now)}")
    values = again.image.values
    map_difference = np.nan
    if values.shape != saved.values.shape:
        differences.append(f"map size: recorded {saved.values.shape}, now {values.shape}")
    elif not np.array_equal(np.isnan(values), np.isnan(saved.values)):
        differences.append("the model sees another part of the image")
    else:
        known = ~np.isnan(values)
        map_difference = float(np.abs(values - saved.values)[known].max(initial=0.0))
        if not map_difference <= tolerance:
            differences.append(f"map: differs by up to {map_difference:.2g}, tolerance {tolerance:.2g}")
    score_difference = abs(float(saved["score"] if saved["score"] is not None else np.nan) - again.score)
    if not score_difference <= tolerance:
        differences.append(f"score: recorded {shown(saved['score'])}, now {again.score}, tolerance {tolerance:.2g}")
    for package, version in saved["provenance.versions"].items():
        now = again.provenance["versions"].get(package)
        if now != version:
            remarks.append(f"{shortened(package)} was {shown(version)}, is {shown(now)}")
    if (was := saved.record["provenance"].get("plugin")) != (now := again.provenance["plugin"]):
        remarks.append(f"the method's plug-in was {shown(was)}, is {shown(now)}")
    if saved["provenance.matex"] != again.provenance["matex"]:
        remarks.append(f"matex was {shown(saved['provenance.matex'])}, is {again.provenance['matex']}")
    return Verdict(tuple(differences), tuple(remarks), map_difference, score_difference)


def _images(folder: Path) -> Iterator[Path]:
    from matex.samples import samples

    for place in (folder, folder.parent, Path()):
        try:
            found = list(place.iterdir())
        except OSError:
            continue
        yield from (path.resolve() for path in found if _may_be_image(path))
    yield from (sample.path for sample in samples())


def _may_be_image(path: Path) -> bool:
    """By its name and size; pipes, devices and what cannot be asked are none."""
    try:
        status = path.stat()
    except OSError:
        return False
    suffix = path.suffix.lower().removeprefix(".")
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES and (not suffix or suffix in SUFFIXES)
