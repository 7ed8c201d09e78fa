"""Explanations as plain values: the record that explanation.json holds, and everything needed to run them again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import io
import json
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, overload

import numpy as np
from numpy.typing import NDArray

from matex.audio.sound import Sound
from matex.checks import is_list, is_mapping
from matex.confidence import Confidence
from matex.domains import find_pack
from matex.errors import MissingExtra
from matex.files import FORMAT, TARGET_MAP, TERM
from matex.images import Film
from matex.plugins import describe
from matex.results import DISCLAIMER, Explanation, SaliencyMap, Yardstick
from matex.sensors.reading import SensorFilm

if TYPE_CHECKING:
    from matex.adapters.model import Model
    from matex.geometry import Placement
    from matex.protocols import Method
    from matex.queries import Query, Subject


def to_dict(explanation: Explanation) -> dict[str, object]:
    """explanation.json: plain values, the numbers without the maps."""
    image = explanation.image
    return {
        "format": FORMAT,
        "disclaimer": DISCLAIMER,
        "text": explanation.text,
        "method": explanation.method,
        "parameters": dict(explanation.parameters),
        "score": explanation.score,
        "score_kind": explanation.score_kind,
        **({} if explanation.probability is None else {"probability": explanation.probability}),
        **({} if explanation.yardstick is None else {"yardstick": _yardstick(explanation.yardstick)}),
        **({} if explanation.confidence is None else {"confidence": _confidence(explanation.confidence)}),
        "words": [{"word": word, "score": score} for word, score in explanation.words],
        "tokens": [dataclasses.asdict(token) for token in explanation.tokens],
        "regions": [dataclasses.asdict(mention) for mention in explanation.regions],
        "notes": list(explanation.notes),
        "image": {
            "file": "image_map.npy",
            "normalisation": "minimum to maximum over what the model saw, to [0, 1]; not seen is NaN",
            "grid": list(image.grid.shape),
            **_span(*image.range),
            "not_seen": image.placement.unseen_share(image.grid),
            "degenerate": image.degenerate,
        },
        **({} if explanation.target is None else {"target": _target(explanation.target)}),
        "components": {
            name: {**_span(*_extremes(grid)), "weight": explanation.weights.get(name)}
            for name, grid in explanation.components.items()
        },
        "prior": None if explanation.prior is None else _span(*_extremes(explanation.prior)),
        "provenance": dict(explanation.provenance),
    }


def _yardstick(yardstick: Yardstick) -> dict[str, object]:
    return {
        "phrases": [scored._asdict() for scored in yardstick.rows],
        "rank": yardstick.rank,
        "among": yardstick.among,
        "highest": None if yardstick.highest is None else yardstick.highest._asdict(),
    }


def _confidence(confidence: Confidence) -> dict[str, object]:
    return {**confidence._asdict(), "abstain": confidence.abstain}


def _target(image: SaliencyMap) -> dict[str, object]:
    """The map on the other side, where an image or a sound was compared with."""
    return {
        "file": TARGET_MAP,
        "grid": list(image.grid.shape),
        **_span(*image.range),
        "not_seen": image.placement.unseen_share(image.grid),
        "degenerate": image.degenerate,
    }


def grids(explanation: Explanation) -> bytes:
    """grids.npz: raw map, terms, prior and lung mask, which explanation.json does not hold."""
    arrays: dict[str, NDArray[np.generic]] = {"image": explanation.image.grid}
    arrays |= {f"{TERM}{name}": grid for name, grid in explanation.components.items()}
    if explanation.prior is not None:
        arrays["prior"] = explanation.prior
    if explanation.target is not None:
        arrays["target"] = explanation.target.grid
    if explanation.query.lung_mask is not None:
        arrays["lung_mask"] = explanation.query.lung_mask
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def words_frame(explanation: Explanation) -> Any:
    """A pandas table with one row per word: film, text, method, score of the pair, word, word_score.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        pandas: Any = importlib.import_module("pandas")  # no dependency of matex: there are no types of it here
    except ImportError:
        raise MissingExtra("Explanation.to_frame needs pandas: pip install pandas") from None
    about: dict[str, str | float] = {
        "film": explanation.film.name,
        "text": explanation.text,
        "method": explanation.method,
        "score": explanation.score,
    }
    rows = [{**about, "word": word, "word_score": score} for word, score in explanation.words]
    return pandas.DataFrame(rows, columns=[*about, "word", "word_score"])


def strict_json(values: object) -> str:
    """JSON as RFC 8259 has it, keys in order: what is not a finite number becomes null."""
    text = json.dumps(plain(values), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)  # no file can hold a lone surrogate


Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | None"
"""A value as JSON has it."""


@overload
def plain(value: Mapping[str, object]) -> dict[str, Json]: ...
@overload
def plain(value: object) -> Json: ...
def plain(value: object) -> Json:
    """A value as JSON has it: numpy as Python, tuples as lists, what is not a finite number as None."""
    if is_mapping(value):
        return {str(name): plain(inner) for name, inner in value.items()}
    if is_list(value):
        return [plain(inner) for inner in value]
    if _is_numpy(value):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    return str(value)


def _is_numpy(value: object) -> TypeGuard[NDArray[np.generic] | np.generic]:
    return isinstance(value, np.ndarray | np.generic)


def _span(low: float, high: float) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in (("minimum", low), ("maximum", high))}


def _extremes(values: NDArray[np.floating]) -> tuple[float, float]:
    """Minimum and maximum of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)


def _placement(placement: Placement) -> dict[str, object]:
    """A placement as plain data; `cells` and `overlap` where it has them."""
    fields = dataclasses.asdict(placement)
    fields = {key: value for key, value in fields.items() if key not in ("cells", "overlap") or value not in _NONE}
    return {**fields, "grid": placement.grid}


_NONE = (None, (0, 0))


def _film(film: Film) -> dict[str, object]:
    """Source of an image or sound, without its path."""
    found: dict[str, object] = {
        "name": film.name,
        "sha256": film.sha256,
        "height": film.size[0],
        "width": film.size[1],
        "read": list(film.pixels.shape[:2]),  # (height, width) of the pixels that were read, fewer if reduced
        "view": film.view,
        "mirrored": film.mirrored,
        "oriented": film.oriented,
    }
    if film.uids:
        found["uids"] = dict(film.uids)
    if isinstance(film, Sound):
        found["sound"] = {"spectrogram": film.kind, "start": film.recording.start, "rate": film.recording.rate}
    if isinstance(film, SensorFilm):
        found["sensor"] = {"modality": film.modality, "mean": film.mean, "std": film.std}
    return found


def _pack(query: Query) -> dict[str, object]:
    """The data pack of an explanation's domain, with the digest of its file; nothing for the chest."""
    pack = find_pack(query.domain)
    return {} if pack is None else {"pack": {"name": pack.name, "sha256": pack.sha256}}


def provenance(
    model: Model, name: str, method: Method, subject: Subject, seconds: float, target: Placement | None = None
) -> dict[str, object]:
    """Everything needed to run the explanation again, as plain data.

    Args:
        model: that was explained.
        name: of the method.
        method: with its parameters.
        subject: film and phrase.
        seconds: of the method.
        target: of the image or sound that the film was compared with; None for a phrase.
    """
    query, placement = subject.query, subject.context.placement
    film, mask = query.film, query.lung_mask
    return {
        "matex": version_of("matex"),
        "method": name,
        "parameters": method_parameters(method),
        "plugin": describe(type(method)),
        "model": {
            "name": model.name,
            "weights_sha256": model.weights_sha256,
            "preprocessing": model.preprocessing.describe() if model.preprocessing else None,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(model.device),
            **model.record,
        },
        "image": _film(film),
        **(
            {"target": {**_film(query.target), "placement": _placement(target)}}
            if query.target is not None and target is not None
            else {}
        ),
        "text": query.text,
        **({} if query.objective is None else {"objective": query.objective.record()}),
        "token_ids": list(subject.phrase.ids),
        "resize": query.resize,
        "placement": _placement(placement),
        "laterality": getattr(method, "laterality", None),
        "domain": Path(query.domain).name,
        **_pack(query),
        "lung_mask": None if mask is None else hashlib.sha256(mask.astype(np.uint8).tobytes()).hexdigest(),
        "seed": getattr(method, "seed", None),
        "seconds": seconds,
        "versions": {
            "python": platform.python_version(),
            **{package: version_of(package) for package in ("torch", "transformers", "numpy", "pillow")},
        },
        "disclaimer": DISCLAIMER,
    }


def method_parameters(method: Method) -> dict[str, object]:
    """All that the map depends on: a record is the same with and without a progress bar."""
    from matex.protocols import text_settings  # torch: this file also reads records

    own = {name: value for name, value in dataclasses.asdict(method).items() if name != "progress"}
    return {**own, **text_settings(method)}


@functools.cache
def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
