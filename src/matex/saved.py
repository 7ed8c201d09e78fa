"""Explanations read back from their folder, with the film found by its checksum."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matex.attribution import METHODS, make
from matex.audio.kinds import KINDS as SPECTROGRAMS
from matex.audio.recording import read_sound
from matex.checks import is_mapping, is_object, parse_arrays, read_array, read_bytes, read_json
from matex.coerce import as_type, in_words
from matex.confidence import Confidence
from matex.errors import InputError, shortened, shown
from matex.files import FORMAT, GRIDS, TERM
from matex.geometry import Placement
from matex.images import MAX_BYTES, READ_SIDE, Film, read
from matex.objectives import read_objective
from matex.phrases import Mention
from matex.protocols import TEXT
from matex.queries import Query
from matex.results import Computation, Explanation, SaliencyMap, Scored, Token, Yardstick
from matex.sensors.reading import read_sensor

# What a record must hold, so that nothing else in this file or in `matex verify` has to doubt it.
KINDS: Mapping[str, tuple[type[object], ...]] = {
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
    "provenance.model.resolution": (int, type(None)),
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
        "provenance.model.resolution",
        "provenance.plugin",
    }
)
SUFFIXES = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "tif",
        "tiff",
        "bmp",
        "webp",
        "gif",
        "pgm",
        "ppm",
        "jp2",
        "dcm",
        "dicom",
        "wav",
        "flac",
        "ogg",
        "npy",
        "csv",
    ]
)


@dataclass(frozen=True)
class Saved:
    """An explanation as its folder holds it."""

    folder: Path
    record: Mapping[str, Any]
    values: NDArray[np.generic]

    def __getitem__(self, path: str) -> Any:
        """An entry of explanation.json by its dotted path."""
        found: Any = self.record
        for name in path.split("."):
            if not is_mapping(found) or name not in found:
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
    if record.get("format") != FORMAT:
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


def load(folder: Path, image: Path | None = None) -> Explanation:
    """The explanation that a folder holds.

    Args:
        folder: as `Explanation.save` wrote it.
        image: the film; None to look for it by its checksum, see `find_image`.

    Raises:
        InputError: files that are missing or are not what they should be, or another film than the recorded one.
    """
    saved = load_saved(folder)
    arrays = load_grids(saved)
    if "image" not in arrays:
        raise InputError(f"Expected {GRIDS} in {shown(folder)}, which earlier versions did not write. Explain again.")
    film = read_recorded(saved, image)
    if film.sha256 != saved["provenance.image.sha256"]:
        raise InputError(f"Expected the recorded film, got another: {shown(str(image))}. Name it with image=.")
    target = read_target(saved)
    settings: dict[str, Any] = {"resize": saved["provenance.resize"], "domain": recorded_domain(saved)}
    record, provenance = saved.record, saved["provenance"]
    other = provenance["target"]["placement"] if "target" in arrays else None
    terms = {name.removeprefix(TERM): grid for name, grid in arrays.items() if name.startswith(TERM)}
    return Explanation(
        query=Query(
            film,
            saved["text"],
            **settings,
            lung_mask=arrays.get("lung_mask"),
            target=target,
            objective=read_objective(provenance.get("objective")),
        ),
        token_ids=tuple(saved["provenance.token_ids"]),
        method=saved["method"],
        parameters=recorded_parameters(saved),
        score=_number(saved["score"]),
        image=SaliencyMap(arrays["image"], _placement(provenance["placement"])),
        tokens=tuple(Token(one["text"], one["start"], one["end"], _number(one["score"])) for one in record["tokens"]),
        words=tuple((one["word"], _number(one["score"])) for one in record["words"]),
        components=terms,
        weights={name: record["components"][name]["weight"] for name in terms},
        prior=arrays.get("prior"),
        regions=tuple(Mention(**mention) for mention in record["regions"]),
        notes=tuple(record["notes"]),
        computation=Computation(
            provenance["matex"],
            provenance["model"]["name"],
            provenance["model"]["weights_sha256"],
            _number(provenance["seconds"]),
        ),
        provenance=provenance,
        target=None if other is None else SaliencyMap(arrays["target"], _placement(other)),
        probability=None if record.get("probability") is None else _number(record["probability"]),
        yardstick=_yardstick(record.get("yardstick")),
        confidence=_confidence(record.get("confidence")),
    )


def recorded_domain(saved: Saved) -> str:
    """The domain of a record; the file of a user's pack is found by its name and checksum.

    Searched for next to the explanation and in the current folder.

    Raises:
        InputError: no such file.
    """
    name = str(saved["provenance.domain"])
    if not name.endswith(".toml"):
        return name
    pack = saved["provenance"].get("pack")
    wanted = pack.get("sha256") if is_object(pack) else None
    for place in (saved.folder, saved.folder.parent, Path()):
        file = place / Path(name).name
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == wanted:
            return str(file)
    raise InputError(
        f"Found no file {shown(Path(name).name)} with the checksum of the recorded pack next to {shown(saved.folder)} "
        "or in the current folder. Copy it there."
    )


def read_recorded(saved: Saved, image: str | Path | None = None) -> Film:
    """The film, sound or reading of a record, in the view and orientation that it states.

    Args:
        saved: the explanation.
        image: its file; None to look for it by its checksum, see `find_image`.

    Raises:
        InputError: no such file, or one that cannot be read.
    """
    film = _read(saved, "provenance.image", image or find_image(saved))
    return film.known_as(saved["provenance.image.view"], saved["provenance.image.mirrored"])


def read_target(saved: Saved) -> Film | None:
    """The image or sound that a recorded film was compared with, found by its checksum; None for a phrase.

    Raises:
        InputError: no such file.
    """
    if saved["provenance"].get("target") is None:
        return None
    return _read(saved, "provenance.target", find_image(saved, "provenance.target"))


def _read(saved: Saved, entry: str, path: str | Path) -> Film:
    if saved[entry].get("sensor") is not None:
        modality, mean, std = (saved[f"{entry}.sensor.{key}"] for key in ("modality", "mean", "std"))
        return read_sensor(path, modality, mean=mean, std=std)
    if saved[entry].get("sound") is None:
        return read(path, side=READ_SIDE, derived=True)
    name, start = (saved[f"{entry}.sound.{key}"] for key in ("spectrogram", "start"))
    if name not in list(SPECTROGRAMS):
        raise InputError(f"Expected a spectrogram among {', '.join(SPECTROGRAMS)}, got {shown(name)}. Explain again.")
    return SPECTROGRAMS[name].sound(read_sound(path, start=start))


def load_grids(saved: Saved) -> dict[str, NDArray[Any]]:
    """Raw map, terms, prior and lung mask of a folder; empty for one that an earlier version wrote.

    Raises:
        InputError: a damaged file.
    """
    path = saved.folder / GRIDS
    return parse_arrays(read_bytes(path, "grids as matex wrote them"), shown(str(path))) if path.is_file() else {}


def _placement(record: Mapping[str, Any]) -> Placement:
    """A placement from its record, which has lists for tuples."""
    sizes = {name: (record[name][0], record[name][1]) for name in ("original", "resized", "offset", "model", "patch")}
    cells = (record["cells"][0], record["cells"][1]) if "cells" in record else None
    overlap = (record["overlap"][0], record["overlap"][1]) if "overlap" in record else (0, 0)
    return Placement(**sizes, turns=record["turns"], mirrored=record["mirrored"], cells=cells, overlap=overlap)


def _yardstick(record: Mapping[str, Any] | None) -> Yardstick | None:
    if record is None:
        return None
    rows = tuple(_scored(one) for one in record["phrases"])
    highest = None if record["highest"] is None else _scored(record["highest"])
    return Yardstick(rows, record["rank"], record["among"], highest)


def _confidence(record: Mapping[str, Any] | None) -> Confidence | None:
    return None if record is None else Confidence(**{name: record[name] for name in Confidence._fields})


def _scored(record: Mapping[str, Any]) -> Scored:
    return Scored(record["kind"], record["text"], _number(record["score"]), record["probability"])


def _number(value: float | None) -> float:
    """A number of a record, where null is undefined."""
    return math.nan if value is None else float(value)


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
        field = key.removeprefix(TEXT)
        try:
            values[key] = as_type(value, hints[field]) if field in hints else value
        except ValueError:
            raise InputError(
                f"Expected the recorded {shortened(str(key))} of {name} to be {in_words(hints[field])}, got "
                f"{shown(value)}. Explain again."
            ) from None
    try:
        make(name, values)
    except ValueError as error:
        raise InputError(str(error)) from None
    return values


def find_image(saved: Saved, entry: str = "provenance.image") -> Path:
    """Find the recorded image by its checksum: next to the folder, in the current one, or a bundled film.

    The record holds no path, since paths carry names of people and machines.

    Raises:
        InputError: no file with that checksum.
    """
    wanted, name = saved[f"{entry}.sha256"], saved[f"{entry}.name"]
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
        f"Found no image with the recorded checksum {shown(wanted[:12])} ({shown(name)}) next to "
        f"{shown(saved.folder)} or in the current folder. Name it with --image."
    )


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
    """By its name and size; pipes, devices and what cannot be inspected are none."""
    try:
        status = path.stat()
    except OSError:
        return False
    suffix = path.suffix.lower().removeprefix(".")
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES and (not suffix or suffix in SUFFIXES)
