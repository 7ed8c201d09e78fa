"""Pixels of images that Pillow opens: checked on the header, decoded in bands, upright."""

import logging
import math
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from matex.checks import is_list
from matex.errors import InputError
from matex.images import limits
from matex.images.grey_values import black_and_white, block_means, note_constant, scaled, to_grey
from matex.images.limits import check_size, too_large

_NARROW = frozenset({"1", "L", "P", "I;16", "I;16L", "I;16B", "I;16N"})  # one or two bytes per pixel in memory
_BAND = 1 << 22  # pixels that are converted at once
# The lines of libtiff's default error handler: a function of the library, or the name Pillow opens the file under.
_LIBTIFF = re.compile(
    rb"(?:_?TIFF\w*|MissingRequired|\w*(?:Decode|Setup|PreDecode|Lib|Codec|Strip|Tile)\w*|tempfile\.tif): "
)
# Pillow logs what it finds wrong in a header and then raises; without a handler Python prints such lines itself.
logging.getLogger("PIL").addHandler(logging.NullHandler())
# Held while warning filters are changed, here and around matex.dicom: they belong to the whole process.
FILTERS = threading.RLock()


@contextmanager
def warnings_as_notes(notes: list[str]) -> Generator[None]:
    """Turn Pillow's warnings into notes, except for large images, where our own limit applies."""
    with FILTERS, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
    notes.extend(dict.fromkeys("Pillow: " + " ".join(str(warning.message).split()) for warning in caught))


@contextmanager
def _decoder_reports(reported: list[str], listen: bool) -> Generator[None]:
    """Collect libtiff's reports of damage while an image is decoded, instead of its lines on standard error.

    The C library writes to file descriptor 2, raises nothing and leaves what it could not decode as it was. The
    descriptor belongs to the whole process: one thread at a time is in here (under warnings_as_notes), and lines of
    other origin are passed on.
    """
    try:
        before = os.dup(2) if listen else None
    except OSError:  # a process without standard error, where libtiff's lines go nowhere
        before = None
    if before is None:
        yield
        return
    with tempfile.TemporaryFile() as stream:
        os.dup2(stream.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            stream.seek(0)
            for line in stream.read().splitlines(keepends=True):
                if _LIBTIFF.match(line):
                    reported.append(line.decode("ascii", "replace"))
                else:
                    os.write(2, line)


def decode_image(
    image: Image.Image, where: str, notes: list[str], side: int | None = None, levels: int = 0
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Decode a Pillow image to uint8 pixels, and its full size where they are fewer.

    Sizes and frames are checked on the header, before decoding.

    Args:
        levels: how often a JPEG 2000 image can be halved as it is decoded.
    """
    if image.width * image.height > limits.MAX_PIXELS:
        raise too_large(where)
    check_size(image.height, image.width, where)
    kind = image.format or "image"
    full = (image.height, image.width)
    factor = reduction(full, side)
    if factor > 1 and kind in {"JPEG", "MPO"}:
        image.draft(None, (image.width // factor, image.height // factor))
        factor = 1
    elif factor > 1 and isinstance(image, Jpeg2KImageFile):
        image.reduce = min(int(math.log2(factor)), levels)
        factor = 1
    elif image.width * image.height <= limits.MAX_WHOLE:
        factor = 1
    decoded = image.width * image.height * (1 if image.mode in _NARROW else 4)
    if decoded > limits.MAX_DECODED and image.format is not None:
        raise InputError(
            f"Expected an image of at most {limits.MAX_DECODED // 4_000_000} megapixels in colour or 32 bits, got a "
            f"larger one: {where}. Scale it down, or save it as grey of 8 or 16 bits."
        )
    reported: list[str] = []
    try:
        with warnings_as_notes(notes), _decoder_reports(reported, listen=kind == "TIFF"):
            # An MPO is a photograph and its preview.
            frames = 1 if kind == "MPO" else getattr(image, "n_frames", 1)
            if frames != 1:
                raise InputError(
                    f"Expected one image, got {frames} frames: {where}. Save one frame as a file of its own."
                )
            bits = {argument for tile in getattr(image, "tile", ()) for argument in _strings(tile[3])}
            orientation = image.getexif().get(0x0112, 1)  # before load, since TIFF drops it there; PNG loads
            inverted = kind == "TIFF" and _is_white_zero(image)
            image.load()
            upright = ImageOps.exif_transpose(image)
    except (InputError, MemoryError):
        raise
    except Exception:  # as in _read_file: decoders raise whatever the damage makes them meet
        raise InputError(
            f"Expected a whole {kind}, got a damaged or truncated one: {where}. Copy or export it again."
        ) from None
    if reported:
        raise InputError(
            f"Expected a whole {kind}, got a damaged one: {where}. Its decoder reports errors. Copy or export it again."
        )
    if orientation in range(2, 9):
        notes.append(f"EXIF orientation {orientation} applied")
    if any(";16" in raw for raw in bits) and upright.mode in {"RGB", "RGBA", "CMYK"}:
        notes.append("16-bit colour reduced to its upper 8 bits")
    pixels = _pixels(upright, factor, where, notes)
    if inverted:
        pixels = np.subtract(255, pixels, dtype=np.uint8)
        notes.append("TIFF with white as zero: inverted")
    notes[:] = dict.fromkeys(notes)
    if kind == "TIFF":  # Pillow gives its size upright, others' as stored
        full = (upright.height, upright.width)
    elif orientation in range(5, 9):
        full = (full[1], full[0])
    return note_constant(pixels, notes), (full if pixels.shape[:2] != full else None)


def reduction(size: tuple[int, int], side: int | None) -> int:
    """Integer factor by which an image (height, width) is reduced so that its shorter side keeps `side` pixels."""
    return max(1, min(size) // side) if side else 1


def jpeg_2000_levels(data: bytes) -> int:
    """Decomposition levels of a JPEG 2000 codestream (ISO/IEC 15444-1 A.6.1, marker COD); 0 for other data."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    at = data.find(b"\xff\x52\0", start, start + 4096) if start >= 0 else -1
    return data[at + 9] if 0 <= at < len(data) - 9 else 0


def _pixels(image: Image.Image, factor: int, where: str, notes: list[str]) -> np.ndarray:
    """Pixels uint8 [height, width] or [height, width, 3], reduced by a factor, some rows at a time to bound memory."""
    rows = max(1, _BAND // image.width // factor) * factor
    bands = [(0, top, image.width, min(top + rows, image.height)) for top in range(0, image.height, rows)]
    wide = image.mode.startswith("I") or image.mode == "F"
    scale = black_and_white((np.asarray(image.crop(band)) for band in bands), where, notes) if wide else None
    parts: list[np.ndarray] = []
    for band in bands:
        values = _channels(image.crop(band), notes)
        part = to_grey(np.array(values, order="C") if scale is None else scaled(values, *scale))
        parts.append(part if factor == 1 else block_means(part, factor))
    if any(part.ndim == 3 for part in parts):
        parts = [part if part.ndim == 3 else np.repeat(part[:, :, None], 3, axis=2) for part in parts]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _channels(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Values as stored, [height, width] or [height, width, 3]; palettes, transparency and CMYK resolved."""
    if image.mode.startswith("I") or image.mode in {"F", "L"}:
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, image)
            notes.append("transparency shown on black")
    elif image.mode not in {"RGB", "P"}:
        notes.append(f"{image.mode} converted to RGB")
    return np.asarray(image.convert("RGB"))


def _is_white_zero(image: Image.Image) -> bool:
    """TIFF 6.0 PhotometricInterpretation 0; Pillow inverts up to 8 bits itself, and leaves more as stored."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(262) == 0 and image.mode not in {"1", "L", "P"}


def _strings(argument: object) -> tuple[str, ...]:
    parts = argument if is_list(argument) else (argument,)
    return tuple(part for part in parts if isinstance(part, str))
