"""Lung masks and parts of a film from files: images and NumPy arrays, their numbers as they are stored."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from matex.checks import parse_array, read_bytes
from matex.errors import InputError, shortened, shown
from matex.images import MAX_BYTES, MAX_PIXELS, Film
from matex.queries import check_mask


def read_mask(path: Path, film: Film) -> NDArray[np.generic]:
    """A lung mask [height, width] of the film's size: 0, 1 and 2, or booleans of both lungs.

    Raises:
        InputError: the file cannot be read, or holds no mask of this film.
    """
    # Pipes and devices are never opened.
    return parse_mask(read_bytes(path, "a lung mask", MAX_BYTES), film, shown(str(path)))


def parse_mask(data: bytes, film: Film, where: str) -> NDArray[np.generic]:
    """A lung mask from the content of a file, see `read_mask`.

    Args:
        data: of an image or .npy file.
        film: that it is about.
        where: the file, for the message.

    Raises:
        InputError: see `read_mask`.
    """
    return check_mask(_values(data, "a lung mask", where), film)


def read_part(path: Path, film: Film) -> NDArray[np.bool_]:
    """The pixels other than 0 of a file, [height, width] of the film, as a part of it.

    Raises:
        InputError: the file cannot be read, has another size, holds no finite numbers, or nothing but 0.
    """
    where = shown(str(path))
    values = _values(read_bytes(path, "a unit", MAX_BYTES), "a unit", where)
    if values.shape != film.size:
        raise InputError(
            f"Expected a unit of shape {film.size} (height, width of the image), got {values.shape}: {where}. "
            "Draw it on the original image."
        )
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise InputError(f"Expected finite numbers in a unit, got others: {where}. Save 0 outside and 1 inside.")
    if not values.any():
        raise InputError(f"Expected a unit with pixels other than 0, got none: {where}. Leave it out.")
    return values != 0


def _values(data: bytes, what: str, where: str) -> NDArray[np.generic]:
    """The numbers of an image or .npy file as they are stored.

    Raises:
        InputError: content that cannot be read as either.
    """
    try:
        return parse_array(data, what) if data.startswith(b"\x93NUMPY") else _stored_values(data)
    except InputError:
        raise
    except Exception as error:  # readers raise nearly every built-in exception on a damaged file
        raise InputError(
            f"Expected {what} as an image or .npy, could not read {where}: {shortened(str(error))}. Check the file."
        ) from None


def _stored_values(data: bytes) -> NDArray[np.generic]:
    """The numbers of an image file as they are stored."""
    try:
        image = Image.open(BytesIO(data))
    except UnidentifiedImageError:
        raise ValueError("unknown content") from None
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"more than {MAX_PIXELS // 1_000_000} megapixels")
    upright = ImageOps.exif_transpose(image)
    return np.asarray(upright if upright.mode in ("1", "L", "P", "F") else _one_channel(upright))


def _one_channel(image: Image.Image) -> Image.Image:
    """Grey without transparency where the three colours are the same; integers of more bits as they are."""
    if image.mode.startswith("I"):
        return image
    red, green, blue = image.convert("RGB").split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else image
