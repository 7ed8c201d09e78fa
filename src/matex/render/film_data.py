"""Films and maps as plain values for the film component of the pages (`browser/film.js`)."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from matex.audio.sound import Sound, Tick
from matex.geometry import Box, Placement, Size
from matex.images import Film
from matex.priors.atlas import REGIONS
from matex.priors.chest import Chest
from matex.render.colormap import PALETTES
from matex.render.overlay import sides_of
from matex.render.panel import Layer
from matex.results import Explanation

CUTS = (0.35, 0.635)
"""Where one zone ends and the next begins, fractions of the lung's height: the middle of the atlas' overlaps."""
NAMED = ("costophrenic angle", "hilum")
"""Places of a lung that are named before its zones."""
BEHIND = ("heart", "mediastinum")
"""Midline places, named in this order where no lung lies, and next to the zone where the heart overlaps the lung."""


class SidesData(TypedDict):
    """Letters of the patient's sides at the edges of the film, and their legend."""

    left: str
    right: str
    assumed: bool
    legend: str


class Place(TypedDict):
    """A box of the average anatomy, (x0, y0, x1, y1) as fractions of the standard frame."""

    name: str
    kind: Literal["lung", "midline"]
    box: list[float]


class Axes(TypedDict):
    """Marks on the axes of a spectrogram."""

    seconds: tuple[Tick, ...]
    hertz: tuple[Tick, ...]


class FilmData(TypedDict):
    """A film as the component takes it."""

    name: str
    sha256: str
    height: int
    width: int
    view: str | None
    turns: int
    mirrored: bool
    sides: SidesData | None
    places: list[Place]
    spacing: list[float] | None
    axes: Axes | None


class GridData(TypedDict):
    """Values [rows, columns] as base64 of little-endian float32."""

    rows: int
    columns: int
    values: str


class PlacementData(TypedDict):
    """Where a map lies on its film, (height, width) in pixels; see `_placement_data`."""

    original: Size
    resized: Size
    offset: Size
    model: Size
    patch: Size
    turns: int
    mirrored: bool
    margin: tuple[float, float]
    cell: NotRequired[list[float]]


class MapData(TypedDict):
    """A map as the component takes it."""

    name: str
    meaning: str
    weight: float | None
    grid: GridData
    range: list[float | None]
    placement: PlacementData


class MapsData(TypedDict):
    """A film with its maps for the script of a page."""

    film: FilmData
    maps: list[MapData]
    boxes: list[list[float]]
    palettes: dict[str, str]


def film_data(film: Film, domain: str = "chest") -> FilmData:
    """A film as the component takes it: size, sides, anatomy and scale; the picture itself travels apart from it."""
    height, width = film.size
    sides = sides_of(film, domain)
    return {
        "name": film.name,
        "sha256": film.sha256,
        "height": height,
        "width": width,
        "view": film.view,
        "turns": film.turns,
        "mirrored": film.mirrored,
        "sides": None if sides is None else SidesData(**sides._asdict(), legend=sides.legend),
        "places": _places() if sides is not None and domain == "chest" else [],
        "spacing": None if film.spacing is None else list(film.spacing),
        "axes": {"seconds": film.seconds, "hertz": film.hertz} if isinstance(film, Sound) else None,
    }


def viewer_data(explanation: Explanation, maps: Sequence[Layer], boxes: Sequence[Box] = ()) -> MapsData:
    """A film with its maps for the script of a page.

    Args:
        explanation: gives the film and where the maps lie on it.
        maps: in the order of the page's choices.
        boxes: marked by readers, in original pixels.
    """
    query = explanation.query
    return maps_data(explanation.film, query.domain, maps, explanation.image.placement, boxes)


def maps_data(
    film: Film, domain: str, maps: Sequence[Layer], placement: Placement, boxes: Sequence[Box] = ()
) -> MapsData:
    """A film with maps of one placement, see `viewer_data`."""
    return {
        "film": film_data(film, domain),
        "maps": [map_data(layer, placement) for layer in maps],
        "boxes": [list(box) for box in boxes],
        "palettes": {name: PALETTES[name] for name in ("inferno", "diverging")},
    }


def map_data(layer: Layer, placement: Placement) -> MapData:
    """A map as the component takes it: raw values, their range on the film, and where they lie."""
    return {
        "name": layer.name,
        "meaning": layer.meaning,
        "weight": layer.weight,
        "grid": grid_data(layer.grid),
        "range": _finite(layer.scale.low, layer.scale.high),
        "placement": _placement_data(placement, layer.grid.shape),
    }


def _placement_data(placement: Placement, shape: tuple[int, ...]) -> PlacementData:
    """A placement as the component takes it.

    `cell` where the map's values are those of other areas than patches, `margin` where the model sees a border beyond
    the cells, (height, width) in model pixels: the outermost values hold there.
    """
    margin = (0.0, 0.0)
    if placement.overlap != (0, 0) and shape == placement.grid:  # the cells around the centres of the patches
        (top, left), (down, across) = placement.offset, placement.overlap
        margin = (down / 2, across / 2)
        placement = dataclasses.replace(
            placement,
            offset=(top + down // 2, left + across // 2),
            model=(shape[0] * placement.patch[0], shape[1] * placement.patch[1]),
            overlap=(0, 0),
        )
    data: PlacementData = {
        "original": placement.original,
        "resized": placement.resized,
        "offset": placement.offset,
        "model": placement.model,
        "patch": placement.patch,
        "turns": placement.turns,
        "mirrored": placement.mirrored,
        "margin": margin,
    }
    if shape not in (
        (placement.model[0] // placement.patch[0], placement.model[1] // placement.patch[1]),
        placement.model,
    ):
        data["cell"] = list(placement.cell(shape))
    return data


def grid_data(grid: NDArray[np.floating]) -> GridData:
    """Values [rows, columns] as base64 of little-endian float32, exact."""
    values = base64.b64encode(np.ascontiguousarray(grid, dtype="<f4").tobytes())
    return {"rows": grid.shape[0], "columns": grid.shape[1], "values": values.decode("ascii")}


def palettes() -> dict[str, str]:
    """Anchors of the colour maps by name, as `colormap.table` takes them."""
    return dict(PALETTES)


def _places() -> list[Place]:
    """Boxes of the average anatomy in the standard frame (patient's right on the left), first match first."""
    chest = Chest.average(flipped=False)
    found: list[Place] = []
    for name in NAMED:
        for side, lung in chest.lungs.items():
            found.append({"name": f"{side} {name}", "kind": "lung", "box": list(lung.place(REGIONS[name]))})
    for side, lung in chest.lungs.items():
        x0, y0, x1, y1 = lung.box
        edges = [y0, *(y0 + (y1 - y0) * cut for cut in CUTS), y1]
        for zone, top, bottom in zip(("upper", "mid", "lower"), edges, edges[1:], strict=False):
            found.append({"name": f"{side} {zone} zone", "kind": "lung", "box": [x0, top, x1, bottom]})
    for name in BEHIND:
        found.append({"name": name, "kind": "midline", "box": list(REGIONS[name].box)})
    return found


def _finite(*values: float) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
