"""Reproduction of a saved explanation, and its comparison with the record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from matex.adapters import DTypeName
from matex.adapters.model import Model
from matex.adapters.tokenizer import describe_tokenizer
from matex.checks import is_object, number
from matex.errors import InputError, NotCached, shortened, shown
from matex.files import TARGET_MAP
from matex.results import Explanation
from matex.saved import Saved, read_map

TOLERANCE = 1e-3  # of a map in [0, 1] and of the score: processors differ by less, inputs and weights by more


@dataclass(frozen=True)
class Verdict:
    """Result of reproducing an explanation.

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

    name = saved.read("provenance.model.name", str)
    dtype = cast(DTypeName, saved.read("provenance.model.dtype", str))  # matex.load refuses what there is not
    try:
        return matex.load(
            model or name,
            preset=saved.optional("provenance.model.preset", str),
            tokenizer=tokenizer or find_tokenizer(saved),
            device=device,
            dtype=dtype,
            heads=saved.optional("provenance.model.heads", tuple[int, ...]),
            activation=saved.optional("provenance.model.activation", str),
            resolution=saved.optional("provenance.model.resolution", int),
            cached_only=model is None and tokenizer is None,
        )
    except NotCached:
        raise InputError(
            f"Expected the recorded model {shown(name)} in the hub's cache, found none; the "
            "hub is not contacted because a record names it. Name it with --model to download it."
        ) from None


def find_tokenizer(saved: Saved) -> str | None:
    """Tokenizer that was given in addition to the model: a hub id, or the recorded folder by its name and checksum.

    Searched for next to the explanation and in the current folder; None when none was given.

    Raises:
        InputError: no such folder.
    """
    if saved.optional("provenance.model.tokenizer", dict[str, object]) is None:
        return None
    source, wanted = (saved[f"provenance.model.tokenizer.{name}"] for name in ("source", "sha256"))
    if wanted is None:
        return str(source)
    for place in (saved.folder, saved.folder.parent, Path()):
        folder = place / str(source)
        if folder.is_dir() and describe_tokenizer(str(folder))["sha256"] == wanted:
            return str(folder)
    raise InputError(
        f"Found no tokenizer with the recorded checksum {shown(str(wanted)[:12])} in a folder {shown(source)} next to "
        f"{shown(saved.folder)} "
        "or in the current folder. Name it with --tokenizer."
    )


def compare(saved: Saved, again: Explanation, tolerance: float = TOLERANCE) -> Verdict:
    """Differences between a saved explanation and one computed now.

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
        ("weights checksum", "provenance.model.weights_sha256", again.computation.weights_sha256),
        ("text", "text", again.text),
        ("token ids", "provenance.token_ids", list(again.token_ids)),
        ("lung mask checksum", "provenance.lung_mask", again.provenance["lung_mask"]),
    ):
        if saved[path] != now:
            differences.append(f"{label}: recorded {shown(saved[path])}, now {shown(now)}")
    map_difference = _compare_maps("map", saved.values, again.image.values, tolerance, differences)
    if again.target is not None:
        target_map = read_map(saved.folder / TARGET_MAP)
        target_difference = _compare_maps("target map", target_map, again.target.values, tolerance, differences)
        map_difference = float(np.maximum(map_difference, target_difference))  # NaN where either is
    recorded_score = saved["score"]
    score_difference = abs((recorded_score if isinstance(recorded_score, float) else np.nan) - again.score)
    if not score_difference <= tolerance:
        differences.append(f"score: recorded {shown(saved['score'])}, now {again.score}, tolerance {tolerance:.2g}")
    installed = again.provenance["versions"]
    for package, version in saved.read("provenance.versions", dict[str, object]).items():
        now = installed.get(package) if is_object(installed) else None
        if now != version:
            remarks.append(f"{shortened(package)} was {shown(version)}, is {shown(now)}")
    recorded = saved.read("provenance", dict[str, object])
    if (was := recorded.get("plugin")) != (now := again.provenance["plugin"]):
        remarks.append(f"the method's plug-in was {shown(was)}, is {shown(now)}")
    if (was := recorded.get("pack")) != (now := again.provenance.get("pack")):
        remarks.append(f"the pack of the domain was {shown(was)}, is {shown(now)}")
    if saved["provenance.matex"] != again.provenance["matex"]:
        remarks.append(f"matex was {shown(saved['provenance.matex'])}, is {again.provenance['matex']}")
    return Verdict(tuple(differences), tuple(remarks), map_difference, score_difference)


def _compare_maps(
    name: str, recorded: NDArray[np.floating], now: NDArray[np.floating], tolerance: float, differences: list[str]
) -> float:
    """Largest difference of two maps, reported where it is beyond the tolerance; NaN if they are not comparable."""
    if now.shape != recorded.shape:
        differences.append(f"{name} size: recorded {recorded.shape}, now {now.shape}")
        return np.nan
    if not np.array_equal(np.isnan(now), np.isnan(recorded)):
        differences.append(f"{name}: the model sees another part of the image")
        return np.nan
    difference = float(np.abs(now - recorded)[~np.isnan(now)].max(initial=0.0))
    if not difference <= tolerance:
        differences.append(f"{name}: differs by up to {difference:.2g}, tolerance {tolerance:.2g}")
    return difference
