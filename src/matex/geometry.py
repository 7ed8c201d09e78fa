"""Coordinate transforms between original pixels, model pixels and patches.

Original pixels lie as the film does; model pixels and patches lie in the standard frame, upright and with the
patient's right on the left, since that is how models met films in training.
One invertible record of the resizing serves points, boxes and maps in both directions.
Coordinates are continuous: pixel i covers [i, i + 1), its centre is i + 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from matex.interpolation import bilinear, interval_ends, overlaps
from matex.resizing import Size as Size  # named here by most callers
from matex.resizing import resized_and_offset

if TYPE_CHECKING:
    from torch import Tensor

Kind = TypeVar("Kind", bound=np.generic)
Box = tuple[float, float, float, float]  # (x0, y0, x1, y1), half-open
Resize = Literal["model", "squash", "pad", "crop"]

_PIXELS_AT_ONCE = 1 << 20  # pixels that are interpolated at once, in float64


@dataclass(frozen=True)
class Placement:
    """Mapping of one image from original pixels through rotation, resize, crop and padding to the patch grid, and back.

    The original is turned upright and, where it is mirrored, flipped into the standard frame, in which the patient's
    right is on the left. The upright image is resized to `resized`; the model then sees the window of size `model`
    whose top-left corner lies at `offset` of the resized image (a negative offset is padding, a positive one a crop).

    Args:
        original: (height, width) of the image as read, pixels.
        resized: (height, width) of the upright image after resizing, pixels.
        offset: (top, left) of the model's window in the resized image, pixels.
        model: (height, width) of the model's input, pixels.
        patch: (height, width) of one patch, model pixels.
        turns: quarter turns counter-clockwise that bring the original upright.
        mirrored: whether the upright image is then flipped left to right.
        cells: (rows, columns) of a grid that covers all of `model` evenly, where it is not that of whole patches.
        overlap: (height, width) that neighbouring patches share, model pixels. Patches are then that much larger than
            `patch`, which is the distance from one to the next.

    Examples:
        >>> placement = Placement.fit((600, 400), (224, 224), (16, 16), "pad")
        >>> placement.resized, placement.offset, placement.grid
        ((224, 149), (0, -37), (14, 14))
        >>> placement.map_to_original(np.zeros(placement.grid, np.float32)).shape
        (600, 400)
    """

    original: Size
    resized: Size
    offset: Size
    model: Size
    patch: Size
    turns: int = 0
    mirrored: bool = False
    cells: Size | None = None
    overlap: Size = (0, 0)

    @classmethod
    def fit(
        cls,
        original: Size,
        model: Size,
        patch: Size,
        resize: Literal["squash", "pad", "crop"],
        resize_to: Size | int | None = None,
        *,
        half_even: bool = False,
        turns: int = 0,
        mirrored: bool = False,
    ) -> Placement:
        """Squash to the model's size, pad the longer side to fit, or fill the model's size and crop the centre.

        Args:
            original: (height, width), pixels.
            model: (height, width) of the model's input, pixels.
            patch: (height, width) of one patch, model pixels.
            resize: how the image meets the model's size.
            resize_to: size before the centre is cropped, where it is not the smallest that fills the model's:
                (height, width), or the length of the shorter side. Where it is smaller than the model's, the crop
                reaches beyond the image. With "pad" it is the side of the square that the image is padded to before
                the centre is cropped.
            half_even: round an offset of half a pixel to the even number, as torchvision crops, not down.
            turns: see the class.
            mirrored: see the class.

        Raises:
            ValueError: an unknown `resize`, or an image so narrow that it would resize to nothing.
        """
        upright = (original[1], original[0]) if turns % 2 else original
        resized, offset = resized_and_offset(upright, model, resize, resize_to, half_even)
        return cls(original, resized, offset, model, patch, turns, mirrored)

    @property
    def grid(self) -> Size:
        """(rows, columns) of complete patches; the model never reads the remainder at the right and bottom."""
        return self.cells or (
            (self.model[0] - self.overlap[0]) // self.patch[0],
            (self.model[1] - self.overlap[1]) // self.patch[1],
        )

    @property
    def standard(self) -> Size:
        """(height, width) of the upright original, pixels."""
        return (self.original[1], self.original[0]) if self.turns % 2 else self.original

    def to_standard(self, values: NDArray[Kind]) -> NDArray[Kind]:
        """Rotate an image or mask [height, width, ...] of the original into the standard frame; returns a view."""
        upright = np.rot90(values, self.turns)
        return upright[:, ::-1] if self.mirrored else upright

    def cell_centre(self, shape: tuple[int, ...], row: int, column: int) -> tuple[float, float]:
        """(x, y) of the centre of one value of a map, original pixels."""
        height, width = self.cell(shape)
        y, x = (row + 0.5) * height + self._cells_from(shape, 0), (column + 0.5) * width + self._cells_from(shape, 1)
        found = self.points_to_original(np.array([x, y]))
        return (float(found[0]), float(found[1]))

    def unseen(self) -> dict[str, float]:
        """Share of the original outside the model's view at each edge, as the film lies; others left out.

        Keys are "top", "bottom", "left" and "right", values above 0; where bands cross, both count the corner.
        """
        height, width = self.original
        x0, y0, x1, y1 = self.box_to_original((0.0, 0.0, self._extent[1], self._extent[0]))
        shares = {"top": y0 / height, "bottom": 1 - y1 / height, "left": x0 / width, "right": 1 - x1 / width}
        return {edge: share for edge, share in shares.items() if share > 1e-9}

    @property
    def _extent(self) -> tuple[float, float]:
        """(height, width) of the model's input that lies in patches, model pixels."""
        return (self._read[0] + self.overlap[0], self._read[1] + self.overlap[1])

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.array([self.resized[1] / self.standard[1], self.resized[0] / self.standard[0]])

    @property
    def _shift(self) -> NDArray[np.float64]:
        return np.array([self.offset[1], self.offset[0]], dtype=np.float64)

    def points_to_model(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Original (x, y) [..., 2] to model pixels; may fall outside the model's view."""
        standard = np.asarray(points, dtype=np.float64)
        for turn in range(self.turns):  # a quarter turn counter-clockwise takes (x, y) to (y, width - x)
            width = self.original[(turn + 1) % 2]
            standard = np.stack([standard[..., 1], width - standard[..., 0]], axis=-1)
        if self.mirrored:
            standard = np.stack([self.standard[1] - standard[..., 0], standard[..., 1]], axis=-1)
        return standard * self._scale - self._shift

    def points_to_original(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Model (x, y) [..., 2] back to original pixels."""
        found = (np.asarray(points, dtype=np.float64) + self._shift) / self._scale
        if self.mirrored:
            found = np.stack([self.standard[1] - found[..., 0], found[..., 1]], axis=-1)
        for turn in reversed(range(self.turns)):
            width = self.original[(turn + 1) % 2]
            found = np.stack([width - found[..., 1], found[..., 0]], axis=-1)
        return found

    def box_to_model(self, box: Box) -> Box:
        """Original box to model pixels, not clipped."""
        return _spanned(self.points_to_model(np.array(box).reshape(2, 2)))

    def box_to_original(self, box: Box) -> Box:
        """Model box back to original pixels."""
        return _spanned(self.points_to_original(np.array(box).reshape(2, 2)))

    def fractions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(x [width], y [height]): centres of the model's pixels as fractions of the image in the standard frame.

        Values below 0 or above 1 lie in the padding.
        """
        return self._centres(self.model)

    def patch_fractions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(x [columns], y [rows]): centres of the patches as fractions of the standard frame."""
        return self._centres(self.grid)

    def map_to_original(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Bilinear map of a patch grid [rows, columns] or a pixel map [height, width] onto the original pixels.

        Cell values sit at cell centres and stay constant from the outermost centres to the edge, as
        `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` does.

        Returns:
            float32 [original height, original width]; NaN where the model saw nothing.

        Raises:
            ValueError: values of neither the grid's nor the model's size.
        """
        found = np.empty(self.original, np.float32)
        for top, band in self.map_bands(values):
            found[top : top + len(band)] = band
        return found

    def map_to_model(self, grids: Tensor) -> Tensor:
        """Bilinear map of patch grids [..., rows, columns] onto the model's pixels, [..., height, width].

        Cell values sit at cell centres, as in `map_to_original`. Maps of the model's own size stay what they are.
        """
        from torch.nn.functional import interpolate, pad  # here, so that geometry answers without torch

        flat = grids.reshape(-1, 1, *grids.shape[-2:])
        if self.overlap == (0, 0) or tuple(grids.shape[-2:]) == self.model:
            found = interpolate(flat, size=self.model, mode="bilinear", align_corners=False)
        else:  # the centres lie one patch apart, and the border keeps the value of the outermost ones
            cells = [count * length for count, length in zip(self.grid, self.patch, strict=True)]
            inner = interpolate(flat, size=cells, mode="bilinear", align_corners=False)
            (top, left), (down, across) = (length // 2 for length in self.overlap), cells
            found = pad(inner, (left, self.model[1] - across - left, top, self.model[0] - down - top), mode="replicate")
        return found.reshape(*grids.shape[:-2], *self.model)

    def map_bands(self, values: NDArray[np.floating]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """`map_to_original`, some rows at a time, for films whose map is too large to hold.

        Yields:
            (top, rows): number of the first row, and float32 [band, original width]; from top to bottom.

        Raises:
            ValueError: values of neither the grid's nor the model's size.
        """
        down, across = (bilinear(at, cells) for at, cells in zip(self._sampled(values), values.shape, strict=True))
        if self.mirrored:
            across = across[::-1]
        # The rows of the original are rows or columns of the standard frame, in either direction.
        first, cells, second = (
            (down, values, across),
            (across, values.T, down[::-1]),
            (down[::-1], values, across[::-1]),
            (across[::-1], values.T, down),
        )[self.turns]
        step = max(1, _PIXELS_AT_ONCE // len(second))
        for top in range(0, len(first), step):
            yield top, (first[top : top + step] @ cells @ second.T).astype(np.float32)

    def unseen_share(self, values: NDArray[np.floating]) -> float:
        """Share of the pixels of `map_to_original(values)` that the model did not see, at the cost of the grid.

        Raises:
            ValueError: values of neither the grid's nor the model's size.
        """
        seen = [
            int(((at >= 0) & (at < cells)).sum()) for at, cells in zip(self._sampled(values), values.shape, strict=True)
        ]
        pixels = self.original[0] * self.original[1]
        return (pixels - seen[0] * seen[1]) / pixels

    def map_range(self, values: NDArray[np.floating]) -> tuple[float, float]:
        """Minimum and maximum of `map_to_original(values)` over the pixels that the model saw, at the cost of the grid.

        Between two cell centres the map is linear along each axis, so its extremes over the pixels of the original lie
        at the first or the last pixel of such an interval; no other pixel is interpolated.

        Returns:
            (minimum, maximum); NaN and NaN where the map is nowhere finite.

        Raises:
            ValueError: values of neither the grid's nor the model's size.
        """
        vertical, horizontal = (
            bilinear(interval_ends(at, cells), cells)
            for at, cells in zip(self._sampled(values), values.shape, strict=True)
        )
        corners = (vertical @ values @ horizontal.T).astype(np.float32)
        finite = corners[np.isfinite(corners)]
        return (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)

    def map_to_grid(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Mean of an original-pixel map [height, width] over each patch; NaN for patches wholly in the padding.

        Raises:
            ValueError: values of another size than the original image.
        """
        if values.shape != self.original:
            raise ValueError(f"Expected a map of shape {self.original} (height, width), got {values.shape}.")
        standard = self.to_standard(values)
        bands: list[NDArray[np.float64]] = []
        for axis in (0, 1):
            ratio = self.standard[axis] / self.resized[axis]
            cell = self.cell(self.grid)[axis]
            starts = np.arange(self.grid[axis] + 1) * cell + self.offset[axis]
            stops = starts[1:] + self.overlap[axis]
            bands.append(overlaps(starts[:-1] * ratio, stops * ratio, self.standard[axis]))
        area = bands[0].sum(1)[:, None] * bands[1].sum(1)[None, :]
        total = bands[0] @ standard.astype(np.float64) @ bands[1].T
        return np.divide(total, area, out=np.full(self.grid, np.nan), where=area > 0)

    def shares(self, box: Box, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Share of each cell of a map that lies in a box of the original, [rows, columns], in [0, 1].

        Args:
            box: original pixels; what the model does not see of it belongs to no cell.
            shape: (rows, columns) of the map.

        Raises:
            ValueError: a shape of neither the grid nor the model.
        """
        x0, y0, x1, y1 = self.box_to_model(box)
        parts: list[NDArray[np.float64]] = []
        for axis, (start, stop) in enumerate(((y0, y1), (x0, x1))):
            edges = self._cells_from(shape, axis) + self.cell(shape)[axis] * np.arange(shape[axis] + 1.0)
            if shape != self.model:  # the border of overlapping patches belongs to the outermost cells
                edges[0], edges[-1] = 0.0, self._extent[axis]
            inside = np.minimum(stop, edges[1:]) - np.maximum(start, edges[:-1])
            parts.append(inside.clip(min=0) / np.diff(edges))
        return parts[0][:, None] * parts[1]

    def pixels_to_grid(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean of a model-pixel map [..., height, width] over each patch, [..., rows, columns]."""
        if self.cells is not None:
            down, across = (
                overlaps(np.arange(count) * side / count, np.arange(1, count + 1) * side / count, side)
                for count, side in zip(self.cells, self.model, strict=True)
            )
            area = down.sum(1)[:, None] * across.sum(1)
            return np.asarray(down @ values @ across.T / area, dtype=np.float64)
        (rows, columns), (height, width) = self.grid, self.patch
        if self.overlap != (0, 0):
            sides = (height + self.overlap[0], width + self.overlap[1])
            windows = np.lib.stride_tricks.sliding_window_view(values, sides, axis=(-2, -1))
            return windows[..., ::height, ::width, :, :].mean(axis=(-2, -1))
        seen = values[..., : rows * height, : columns * width]
        return seen.reshape(*seen.shape[:-2], rows, height, columns, width).mean(axis=(-3, -1))

    def _sampled(self, values: NDArray[np.floating]) -> list[NDArray[np.float64]]:
        """Centres of the pixels in the standard frame along (y, x), in cells of a patch grid or a pixel map."""
        cell = self.cell(values.shape)
        positions: list[NDArray[np.float64]] = []
        for axis in (0, 1):
            ratio = self.resized[axis] / self.standard[axis]
            centres = (np.arange(self.standard[axis], dtype=np.float64) + 0.5) * ratio - self.offset[axis]
            positions.append(self._in_cells(centres, cell[axis], values.shape, axis))
        return positions

    def _in_cells(
        self, centres: NDArray[np.float64], cell: float, shape: tuple[int, ...], axis: int
    ) -> NDArray[np.float64]:
        """Model pixels in units of cells, counted from the first cell's edge.

        The border of overlapping patches, beyond the cells around their centres, belongs to the outermost cells.
        """
        shift = self._cells_from(shape, axis)
        if not shift:
            return np.asarray(centres / cell, dtype=np.float64)
        inside = (centres >= 0) & (centres < self._extent[axis])
        position = np.clip((centres - shift) / cell, 0, np.nextafter(shape[axis], 0))
        return np.where(inside, position, np.where(centres < 0, -1.0, shape[axis]))

    def _cells_from(self, shape: tuple[int, ...], axis: int) -> float:
        """Position of a map's first cell, model pixels: cells of overlapping patches lie around their centres."""
        return 0.0 if shape == self.model else self.overlap[axis] / 2

    @property
    def _read(self) -> tuple[float, float]:
        """(height, width) of the model's input that the cells of the grid cover, model pixels."""
        if self.cells is not None:
            return (float(self.model[0]), float(self.model[1]))
        return (float(self.grid[0] * self.patch[0]), float(self.grid[1] * self.patch[1]))

    def cell(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """(height, width) of one value of a map, model pixels; grids of lower stages cover what the last one covers.

        Args:
            shape: (rows, columns) of the map: the grid's, a grid's that halves to it, or the model's.

        Raises:
            ValueError: another shape.
        """
        if shape == self.model:
            return (1.0, 1.0)
        if shape == self.grid or _halves_to(shape, self.grid):
            return (self._read[0] / shape[0], self._read[1] / shape[1])
        raise ValueError(f"Expected a map of shape {self.grid} (patches) or {self.model} (model pixels), got {shape}.")

    def _centres(self, shape: Size) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        cell = self.cell(shape)
        y, x = (
            ((np.arange(shape[axis]) + 0.5) * cell[axis] + self._cells_from(shape, axis) + self.offset[axis])
            / self.resized[axis]
            for axis in (0, 1)
        )
        return x, y


def _halves_to(shape: tuple[int, ...], grid: Size) -> bool:
    """Whether a grid becomes another one when its rows and columns are halved some times, rounded up."""
    while len(shape) == 2 and shape[0] > grid[0]:
        shape = (-(-shape[0] // 2), -(-shape[1] // 2))
    return shape == grid


def _spanned(corners: NDArray[np.float64]) -> Box:
    """Box spanned by two opposite corners [2, 2], in any order."""
    (x0, y0), (x1, y1) = corners.tolist()
    return (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
