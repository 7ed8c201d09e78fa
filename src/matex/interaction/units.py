"""Parts of a film as units: masks of the caller's, or superpixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from matex.attribution.shared.superpixels import superpixels
from matex.checks import check
from matex.errors import InputError
from matex.geometry import Placement

MOST = 256
"""Units of one film."""


@dataclass(frozen=True, eq=False)
class Units:
    """Disjoint parts of what a model sees.

    Args:
        labels: the unit of each model pixel, from 0, and `count` where it belongs to none, [height, width].
        count: number of units.
    """

    labels: Tensor
    count: int

    @property
    def players(self) -> int:
        """Units, and everything outside them as a further one where there is anything."""
        return int(self.labels.max()) + 1

    def spread(self, values: Tensor) -> Tensor:
        """Values of all players [word, player] as maps [word, height, width] whose sums over a unit are its value."""
        pixels = self.labels.flatten().bincount(minlength=self.players)
        return (values / pixels.to(values))[:, self.labels.to(values.device)]

    def pooled(self, values: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
        """Sum of maps over each unit, cells at its border by the share that lies inside, [word, unit].

        Args:
            values: maps of words, [word, rows, columns] or in model pixels.
            placement: of these maps.

        Raises:
            InputError: a grid that is neither that of the patches nor the pixels.
        """
        numbers = np.arange(self.count)[:, None, None]
        inside = (self.labels.cpu().numpy() == numbers).astype(np.float64)
        if values.shape[1:] == placement.grid:
            inside = placement.pixels_to_grid(inside)
        elif values.shape[1:] != placement.model:
            raise InputError("Expected maps of the model's patches or pixels for units, got other cells.")
        return np.einsum("wrc,urc->wu", values, inside).astype(np.float32)


def read_units(given: ArrayLike | int, pixels: Tensor, placement: Placement) -> Units:
    """Units of one film.

    Args:
        given: bool [unit, height, width] in pixels of the film as it lies, or about how many superpixels.
        pixels: that the model is given, [1, channel, height, width].
        placement: of the film.

    Raises:
        InputError: masks of another size, that overlap, or of which the model sees nothing; too many.
        ImportError: superpixels without scikit-image.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        check(2 <= given <= MOST, "units", f"from 2 to {MOST} superpixels", given)
        labels = superpixels(pixels[0], given)
        return Units(labels, int(labels.max()) + 1)
    masks = np.asarray(given)
    if masks.ndim != 3 or masks.shape[1:] != placement.original or masks.dtype != np.bool_ or not len(masks):
        expected = f"bool [unit, {placement.original[0]}, {placement.original[1]}]"
        raise InputError(f"Expected units as masks {expected}, got {masks.dtype} {list(masks.shape)}. One mask a unit.")
    check(len(masks) <= MOST, "units", f"at most {MOST}", len(masks))
    if (masks.sum(axis=0) > 1).any():
        raise InputError("Expected units that do not overlap, got masks that do. Take the common part out of one.")
    labels = torch.from_numpy(_at_model_pixels(masks, placement)).to(pixels.device)
    empty = [number for number in range(len(masks)) if not bool((labels == number).any())]
    if empty:
        raise InputError(f"Expected units that the model sees, got unit {empty[0]} out of its view. Leave it out.")
    return Units(labels, len(masks))


def _at_model_pixels(masks: NDArray[np.bool_], placement: Placement) -> NDArray[np.int64]:
    """Number of the mask at the centre of each model pixel, the count of masks where there is none or no film."""
    height, width = placement.model
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    points = np.floor(placement.points_to_original(np.stack([x, y], axis=-1))).astype(int)
    column, row = points[..., 0], points[..., 1]
    film_height, film_width = placement.original
    inside = (row >= 0) & (row < film_height) & (column >= 0) & (column < film_width)
    numbers = np.where(masks.any(axis=0), masks.argmax(axis=0), len(masks))
    found = numbers[row.clip(0, film_height - 1), column.clip(0, film_width - 1)]
    return np.where(inside, found, len(masks)).astype(np.int64)
