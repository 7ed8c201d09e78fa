"""Conversion of values of any type to 8-bit pixels: scaled, reduced, and grey where the channels are equal."""

from collections.abc import Iterable

import numpy as np

from matex.errors import InputError


def block_means(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Mean of each block of factor x factor pixels uint8 [height, width, ...]; blocks at the far edges are smaller.

    Pillow's own reduction rounds halves up, which brightens a film by up to half a level.
    """
    height, width = pixels.shape[:2]
    means: list[np.ndarray] = []
    for top in range(0, height, factor):
        rows = pixels[top : top + factor].sum(axis=0, dtype=np.float64)
        starts = np.arange(0, width, factor, dtype=np.intp)
        sums = np.add.reduceat(rows, starts, axis=0)
        widths = np.minimum(factor, width - starts) * min(factor, height - top)
        means.append(np.rint(sums / widths.reshape(-1, *[1] * (pixels.ndim - 2))).astype(np.uint8))
    return np.stack(means)


def to_uint8(values: np.ndarray, where: str, notes: list[str]) -> np.ndarray:
    """Convert to 8 bits by a linear scale that clips nothing; uint8 stays the same. The result is a copy."""
    if values.dtype == np.uint8:
        return np.array(values, order="C")
    if values.dtype == np.bool_:
        return np.where(values, np.uint8(255), np.uint8(0))
    return scaled(values, *black_and_white([values], where, notes))


def black_and_white(parts: Iterable[np.ndarray], where: str, notes: list[str]) -> tuple[float, float]:
    """Values that become black and white, from all parts of an image.

    Raises:
        InputError: values that are not finite.
    """
    low, high, dtype = np.inf, -np.inf, np.dtype(np.uint8)
    for values in parts:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"Expected finite values, got NaN or infinity: {where}. Replace them first.")
        low, high, dtype = min(low, float(values.min())), max(high, float(values.max())), values.dtype
    if not np.isfinite(high - low):
        raise InputError(f"Expected values within a float's range, got {low:g} to {high:g}: {where}. Scale them.")
    if dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    kind = f"{dtype.itemsize * 8}-bit {'float' if dtype.kind == 'f' else 'integer'}"
    notes.append(f"{kind} values scaled linearly, {low:g} to black and {high:g} to white")
    return low, high


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale values to 8 bits, `low` to black and `high` to white."""
    if high == low:
        return np.zeros(values.shape, np.uint8)
    scaled = (values.astype(np.result_type(values.dtype, np.float32)) - low) * (1 / (high - low))
    return np.rint(scaled * 255).clip(0, 255).astype(np.uint8)


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Reduce three equal channels to one, since most public collections store grey films as RGB."""
    if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
        return np.ascontiguousarray(pixels[:, :, 0])
    return pixels


def note_constant(pixels: np.ndarray, notes: list[str]) -> np.ndarray:
    if (pixels == pixels.reshape(-1, *pixels.shape[2:])[0]).all():
        notes.append("constant image: nothing to see in it")
    return pixels
