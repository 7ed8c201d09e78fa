"""Regions of a map: what it highlights, where that lies, and how much of it another map highlights too.

Maps are compared in model pixels, over the part that shows the film; positions run from the patient's right (0) to the
left (1), since maps lie in the standard frame.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.geometry import Placement
from matex.metrics.similarity import highest, spearman
from matex.priors.atlas import LUNGS, Box
from matex.results import SaliencyMap

HIGHLIGHTED = 0.1  # share of what the model sees that counts as highlighted
CORNER = 0.15  # of the film's sides: where side markers and labels sit


def model_pixels(image: SaliencyMap) -> Tensor:
    """The map interpolated to the model's pixels, float64 [height, width]."""
    return image.placement.map_to_model(torch.from_numpy(np.asarray(image.grid, dtype=np.float64)))


def film_pixels(placement: Placement) -> NDArray[np.bool_]:
    """Mask of the model pixels that show the film rather than padding, [height, width]."""
    return box_pixels((0.0, 0.0, 1.0, 1.0), placement)


def box_pixels(box: Box, placement: Placement) -> NDArray[np.bool_]:
    """Mask of the model pixels whose centres lie in a box in fractions of the film, edges included, [height, width]."""
    (x0, y0, x1, y1), (x, y) = box, placement.fractions()
    return np.logical_and.outer((y >= y0) & (y <= y1), (x >= x0) & (x <= x1))


def highlighted(image: SaliencyMap) -> Tensor:
    """Membership of each model pixel in the highest tenth of the map, in [0, 1], float64 [height, width]."""
    seen = torch.from_numpy(film_pixels(image.placement))
    region = torch.zeros(seen.shape, dtype=torch.float64)
    region[seen] = highest(model_pixels(image)[seen][None], HIGHLIGHTED)[0]
    return region


def stays(before: SaliencyMap, after: SaliencyMap) -> float:
    """Share of one map's highlighted region that the other highlights too; NaN where one of them is constant."""
    if before.degenerate or after.degenerate:
        return math.nan
    first, second = highlighted(before), highlighted(after)
    return float((first * second).sum() / first.sum())


def likeness(first: SaliencyMap, second: SaliencyMap) -> float:
    """Rank correlation of two maps; NaN where one of them is constant."""
    return float(spearman(model_pixels(first)[None], model_pixels(second)[None])[0])


def position(image: SaliencyMap) -> float:
    """Centre of the highlighted region from the patient's right (0) to the left (1); NaN for a constant map."""
    if image.degenerate:
        return math.nan
    columns = highlighted(image).sum(dim=0).numpy()
    return float((columns * image.placement.fractions()[0]).sum() / columns.sum())


def share_inside(image: SaliencyMap, region: NDArray[np.bool_]) -> tuple[float, float]:
    """(share of the map's positive values inside the region, share of the film inside it).

    Args:
        image: the map.
        region: model pixels [height, width].

    Returns:
        The first is NaN where the map is nowhere above zero.
    """
    seen = film_pixels(image.placement)
    mass = np.where(seen, model_pixels(image).clamp(min=0).numpy(), 0.0)
    share = float(mass[region].sum() / mass.sum()) if mass.sum() > 0 else math.nan
    return share, float((region & seen).sum() / seen.sum())


def corners(placement: Placement) -> NDArray[np.bool_]:
    """The four corners of the film in model pixels [height, width], where side markers and labels sit."""
    x, y = placement.fractions()
    rows, columns = ((z < CORNER) | (z > 1 - CORNER) for z in (y, x))
    return np.logical_and.outer(rows, columns)


def lungs(placement: Placement, mask: NDArray[np.generic] | None = None) -> NDArray[np.bool_]:
    """The lungs in model pixels [height, width]: those of the mask, or else the atlas' average boxes.

    Args:
        placement: of the film.
        mask: original pixels [height, width], above 0 where lung is.
    """
    if mask is None:
        return np.logical_or.reduce([box_pixels(box, placement) for box in LUNGS.values()])
    x, y = placement.fractions()
    standard = placement.to_standard(mask)
    height, width = standard.shape
    rows = np.clip((y * height).astype(int), 0, height - 1)
    columns = np.clip((x * width).astype(int), 0, width - 1)
    return standard.astype(bool)[np.ix_(rows, columns)]


def displaced(region: Tensor, count: int) -> list[Tensor]:
    """The region [height, width] moved at random `count` times, wrapping around the borders.

    A displaced region covers at most half of the original one. Averaged over all displacements a region overlaps
    itself by its own share of the image: up to a quarter of the image, at least half of the displacements qualify.
    """
    generator = torch.Generator().manual_seed(0)
    found: list[Tensor] = []
    while len(found) < count:
        shift = [int(torch.randint(side, (), generator=generator)) for side in region.shape]
        moved = region.roll(shift, dims=(0, 1))
        if 2 * int((moved & region).sum()) <= int(region.sum()):
            found.append(moved)
    return found


def prior_share(with_prior: Tensor, without_prior: Tensor) -> float:
    """Share of a map that goes when its prior is off, each map above its own minimum; NaN for a constant map.

    Both maps are in the method's own units. A constant offset carries no location, so it is subtracted first.
    """
    total, rest = with_prior - with_prior.min(), without_prior - without_prior.min()
    mass = float(total.sum())
    return min(1.0, float((total - rest).abs().sum()) / mass) if mass > 0 else math.nan
