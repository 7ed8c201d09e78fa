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
from typing import TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from matex.attribution import METHODS, make
from matex.audio.kinds import KINDS as SPECTROGRAMS
from matex.audio.recording import read_sound
from matex.checks import is_mapping, is_object, parse_arrays, read_array, read_bytes, read_json
from matex.coerce import as_type, in_words
from matex.confidence import Confidence
from matex.errors import InputError, shortened, shown
from matex.explanation_record import ConfidenceRecord, ExplanationRecord, PlacementRecord, ScoredRecord, YardstickRecord
from matex.files import FORMAT, GRIDS, TERM
from matex.geometry import Placement
from matex.images import MAX_BYTES, READ_SIDE, Film, read
from matex.objectives import read_objective
from matex.phrases import Mention
from matex.protocols import TEXT
from matex.queries import Query
from matex.registry import Parameters
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


T = TypeVar("T")


@dataclass(frozen=True)
class Saved:
    """An explanation as its folder holds it."""

    folder: Path
    record: Mapping[str, object]
    values: NDArray[np.floating]

    def __getitem__(self, path: str) -> object:
        """An entry of explanation.json by its dotted path."""
        found: object = self.record
        for name in path.split("."):
            if not is_mapping(found) or name not in found:
                raise InputError(f"Expected {shown(path)} in {shown(self.folder / 'explanation.json')}, found none.")
            found = found[name]
        return found

    def read(self, path: str, kind: type[T]) -> T:
        """An entry of a type, see `as_type`.

        Raises:
            InputError: there is none, or one of another type.
        """
        value = self[path]
        try:
            return as_type(value, kind)
        except ValueError:
            raise InputError(
                f"Expected {path} in {shown(self.folder / 'explanation.json')} to be {in_words(kind)}, got "
                f"{shown(value)}. Explain again."
            ) from None

    def optional(self, path: str, kind: type[T]) -> T | None:
        """An entry of a type; None where it is null or missing."""
        parent, _, name = path.rpartition(".")
        entries = self[parent]
        if not is_object(entries) or entries.get(name) is None:
            return None
        return self.read(path, kind)


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
    if record.get("format") != FORMAT:
        raise InputError(
            f"Expected {shown(folder / 'explanation.json')} in the format matex-explanation/1, got another."
        )
    saved = Saved(folder, record, read_map(folder / "image_map.npy"))
    for path, kinds in KINDS.items():
        parent, _, name = path.rpartition(".")
        if path in MAY_LACK and name not in saved.read(parent, dict[str, object]):
            continue
        if not isinstance(saved[path], kinds):
            wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise InputError(
                f"Expected {path} in {shown(folder / 'explanation.json')} to be {wanted}, got "
                f"{type(saved[path]).__name__}. Explain again."
            )
    return saved


def read_map(path: Path) -> NDArray[np.floating]:
    """A map [height, width] of a folder.

    Raises:
        InputError: a file that is missing or holds another array.
    """
    values = read_array(path, f"{path.name} as matex wrote it")
    if values.ndim != 2 or not _is_real(values):
        raise InputError(f"Expected a map of floats [height, width] in {shown(path)}. Explain again.")
    return values


def _is_real(values: NDArray[np.generic]) -> TypeGuard[NDArray[np.floating]]:
    return values.dtype.kind == "f"


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
    maps = {name: values.astype(np.float32, copy=False) for name, values in arrays.items() if name != "lung_mask"}
    if "image" not in maps:
        raise InputError(f"Expected {GRIDS} in {shown(folder)}, which earlier versions did not write. Explain again.")
    film = read_recorded(saved, image)
    if film.sha256 != saved["provenance.image.sha256"]:
        raise InputError(f"Expected the recorded film, got another: {shown(str(image))}. Name it with image=.")
    target = read_target(saved)
    try:
        record = as_type(saved.record, ExplanationRecord)
    except ValueError:
        raise InputError(
            f"Expected {shown(folder / 'explanation.json')} as matex wrote it, got entries of other types or none. "
            "Explain again."
        ) from None
    provenance = record["provenance"]
    other = provenance["target"]["placement"] if "target" in maps and "target" in provenance else None
    weights = {name: record["components"][name]["weight"] for name in record["components"]}
    terms = {name.removeprefix(TERM): grid for name, grid in maps.items() if name.startswith(TERM)}
    return Explanation(
        query=Query(
            film,
            record["text"],
            resize=provenance["resize"],
            domain=recorded_domain(saved),
            lung_mask=arrays.get("lung_mask"),
            target=target,
            objective=read_objective(provenance.get("objective")),
        ),
        token_ids=provenance["token_ids"],
        method=record["method"],
        parameters=recorded_parameters(saved),
        score=_number(record["score"]),
        image=SaliencyMap(maps["image"], _placement(provenance["placement"])),
        tokens=tuple(Token(one["text"], one["start"], one["end"], _number(one["score"])) for one in record["tokens"]),
        words=tuple((one["word"], _number(one["score"])) for one in record["words"]),
        components=terms,
        weights={name: weight for name in terms if (weight := weights.get(name)) is not None},
        prior=maps.get("prior"),
        regions=tuple(Mention(**mention) for mention in record["regions"]),
        notes=record["notes"],
        computation=Computation(
            provenance["matex"],
            provenance["model"]["name"],
            provenance["model"]["weights_sha256"],
            provenance["seconds"],
        ),
        provenance=saved.read("provenance", dict[str, object]),
        target=None if other is None else SaliencyMap(maps["target"], _placement(other)),
        probability=record.get("probability"),
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
    pack = saved.optional("provenance.pack", dict[str, object])
    wanted = None if pack is None else pack.get("sha256")
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
    mirrored = saved.read("provenance.image.mirrored", bool)
    return film.known_as(saved.optional("provenance.image.view", str), mirrored)


def read_target(saved: Saved) -> Film | None:
    """The image or sound that a recorded film was compared with, found by its checksum; None for a phrase.

    Raises:
        InputError: no such file.
    """
    if saved.optional("provenance.target", dict[str, object]) is None:
        return None
    return _read(saved, "provenance.target", find_image(saved, "provenance.target"))


def _read(saved: Saved, entry: str, path: str | Path) -> Film:
    if saved.optional(f"{entry}.sensor", dict[str, object]) is not None:
        mean, std = (saved.read(f"{entry}.sensor.{key}", float) for key in ("mean", "std"))
        return read_sensor(path, saved.read(f"{entry}.sensor.modality", str), mean=mean, std=std)
    if saved.optional(f"{entry}.sound", dict[str, object]) is None:
        return read(path, side=READ_SIDE, derived=True)
    name, start = saved[f"{entry}.sound.spectrogram"], saved.read(f"{entry}.sound.start", float)
    if not isinstance(name, str) or name not in SPECTROGRAMS:
        raise InputError(f"Expected a spectrogram among {', '.join(SPECTROGRAMS)}, got {shown(name)}. Explain again.")
    return SPECTROGRAMS[name].sound(read_sound(path, start=start))


def load_grids(saved: Saved) -> dict[str, NDArray[np.generic]]:
    """Raw map, terms, prior and lung mask of a folder; empty for one that an earlier version wrote.

    Raises:
        InputError: a damaged file.
    """
    path = saved.folder / GRIDS
    return parse_arrays(read_bytes(path, "grids as matex wrote them"), shown(str(path))) if path.is_file() else {}


def _placement(record: PlacementRecord) -> Placement:
    return Placement(
        record["original"],
        record["resized"],
        record["offset"],
        record["model"],
        record["patch"],
        turns=record["turns"],
        mirrored=record["mirrored"],
        cells=record.get("cells"),
        overlap=record.get("overlap", (0, 0)),
    )


def _yardstick(record: YardstickRecord | None) -> Yardstick | None:
    if record is None:
        return None
    rows = tuple(_scored(one) for one in record["phrases"])
    highest = None if record["highest"] is None else _scored(record["highest"])
    return Yardstick(rows, record["rank"], record["among"], highest)


def _confidence(record: ConfidenceRecord | None) -> Confidence | None:
    if record is None:
        return None
    return Confidence(
        record["probability"],
        record["answer"],
        record["confidence"],
        record["threshold"],
        record["risk"],
        record["among"],
        record["films"],
    )


def _scored(record: ScoredRecord) -> Scored:
    return Scored(record["kind"], record["text"], _number(record["score"]), record["probability"])


def _number(value: float | None) -> float:
    """A number of a record, where null is undefined."""
    return math.nan if value is None else float(value)


def recorded_parameters(saved: Saved) -> Parameters:
    """The method's parameters as it takes them: JSON has neither tuples nor types.

    Raises:
        InputError: a method of a plug-in that is not there, or a value of another type or outside its range.
        UnknownName: no such method or parameter.
    """
    name, plugin = saved.read("method", str), saved.optional("provenance.plugin", dict[str, object])
    if name not in METHODS and plugin is not None:
        raise InputError(
            f"The method {shown(name)} came from the plug-in {shown(plugin.get('name'))}. Name it with --plugin."
        )
    hints = typing.get_type_hints(METHODS[name])
    values: dict[str, object] = {}
    for key, value in saved.read("parameters", dict[str, object]).items():
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
    wanted, name = saved.read(f"{entry}.sha256", str), saved.read(f"{entry}.name", str)
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
