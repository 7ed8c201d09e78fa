"""Shares of each word's interactions that lie in each region, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from matex.adapters.model import Model
from matex.bias.regions import MARKED, REGIONS, regions_of
from matex.datasets.sample import Sample
from matex.geometry import Placement
from matex.interaction import Interactions, interactions
from matex.registry import Parameters
from matex.trust.validation import film_of

SIDE = 32  # rows and columns of the maps that are averaged over films
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observation:
    """One word of one pair.

    Args:
        word: in lower case.
        cluster: unit of independent observation: the patient where known, else the film.
        attributes: of the sample, with its view and whether markers lie in the air.
        shares: of the word's absolute interactions in each region; NaN where the region is not known, [region].
        even: of the film that the model saw in each region, which an even map has there; NaN likewise, [region].
        map: absolute interactions, scaled to a sum of 1, on the film, float32 [SIDE, SIDE].
    """

    word: str
    cluster: str
    attributes: Mapping[str, object]
    shares: Values
    even: Values
    map: NDArray[np.float32]


def observe(
    model: Model, samples: Sequence[Sample], method: str, progress: bool, settings: Parameters
) -> Iterator[Observation]:
    """Every word of every pair."""
    for sample in tqdm(samples, disable=not progress, unit="pair"):
        film = film_of(sample)
        found = interactions(model, film, sample.text, method, **settings)
        masks = regions_of(film)
        marked = bool(masks["markers"].mean() > MARKED) if "markers" in masks else None
        attributes = {"view": film.view, "markers": _words(marked), **sample.attributes}
        yield from _words_of(found, masks, sample.unit(film), attributes)


def _words(marked: bool | None) -> str | None:
    return None if marked is None else "present" if marked else "absent"


def _words_of(
    found: Interactions, masks: Mapping[str, NDArray[np.bool_]], cluster: str, attributes: Mapping[str, object]
) -> Iterator[Observation]:
    covers = [None if (mask := masks.get(name)) is None else _cover(found.placement, mask) for name in REGIONS]
    seen = _cover(found.placement, np.ones(found.placement.original, dtype=bool))
    even = np.array([float("nan") if cover is None else cover.sum() / seen.sum() for cover in covers])
    for word, grid in zip(found.words, np.abs(found.values.astype(np.float64)), strict=True):
        total = (grid * seen).sum()
        shares = [
            float("nan") if cover is None or total == 0 else float((grid * cover).sum() / total) for cover in covers
        ]
        drawn = replace(found.placement, original=(SIDE, SIDE)).map_to_original(grid.astype(np.float32))
        scaled = np.nan_to_num(drawn) / max(float(np.nansum(drawn)), 1e-30)
        yield Observation(word.lower(), cluster, attributes, np.array(shares), even, scaled.astype(np.float32))


def _cover(placement: Placement, mask: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Share of each cell that a region covers, 0 in the padding."""
    return np.nan_to_num(placement.map_to_grid(mask))
