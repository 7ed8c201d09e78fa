"""A file, the content of one, an array or a Pillow image as a Film."""

import hashlib
import stat
from io import BytesIO
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.errors import InputError, shown
from matex.images import limits
from matex.images.contents import SOUND_SUFFIXES, check_png, is_dicom, not_an_image
from matex.images.film import Film
from matex.images.grey_values import block_means, note_constant, to_grey, to_uint8
from matex.images.limits import check_size, too_large
from matex.images.pillow import FILTERS, decode_image, jpeg_2000_levels, reduction, warnings_as_notes

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")


def read(source: object, *, side: int | None = None, derived: bool = False, keep_uids: bool = False) -> Film:
    """Read one still image.

    Args:
        source: a path (PNG, JPEG, JPEG 2000, TIFF, BMP, WebP, one-frame GIF, PGM/PPM, DICOM), a Pillow image,
            a NumPy array [height, width] or [height, width, 3], or a Film, which is returned as it is.
        side: read a file reduced, so that its shorter side keeps at least so many pixels: JPEG and JPEG 2000 by a
            power of two, as they are decoded; others beyond MAX_WHOLE pixels by a whole number, as means over blocks.
            None: every pixel.
        derived: also read DICOM segmentations and pictures of saliency maps, which are no films and otherwise refused.
        keep_uids: keep the Study, Series and SOP Instance UIDs of a DICOM file, which allow whoever has access to the
            archive to find the patient.

    Returns:
        The film. Three equal channels become one. Integers of more than 8 bits are scaled linearly from their
        minimum and maximum, floats in [0, 1] by 255, other floats as integers are. Nothing is clipped: such a
        file is taken to be ready for display. DICOM goes through its own window (matex.dicom).

    Raises:
        InputError: the source is no such image, is damaged, has several frames, is smaller than MIN_SIDE or
            larger than MAX_PIXELS, or holds NaN.

    Examples:
        >>> film = matex.read(path)
        >>> film.size, film.pixels.dtype
        ((512, 512), dtype('uint8'))
        >>> film.known_as(view="PA", mirrored=False).view
        'PA'
    """
    if isinstance(source, Film):
        return source
    if _is_array(source):
        return _read_array(source)
    if isinstance(source, Image.Image):
        notes: list[str] = []
        pixels, _ = decode_image(source, "the image given", notes)
        whole = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
        return Film(pixels, "image", whole, notes=tuple(notes))
    if isinstance(source, str | Path):
        return _read_file(source, side, derived, keep_uids)
    raise InputError(
        f"Expected a path, a Pillow image or a NumPy array, got {type(source).__name__}. "
        "Give tensor.numpy() for a tensor, a path for a file."
    )


def _read_file(source: str | Path, side: int | None, derived: bool, keep_uids: bool) -> Film:
    where = repr(str(source))
    where = where if len(where) <= 200 else where[:90] + "..." + where[-90:]
    return _read_data(_file_bytes(Path(source), str(source), where), source, where, side, derived, keep_uids)


def read_bytes(data: bytes, name: str, *, side: int | None = None) -> Film:
    """Read one still image from the content of a file, as `read` does from its path.

    Args:
        data: content of the file.
        name: of the file, for the film and for messages; nothing is opened under it.
        side: see `read`.

    Raises:
        InputError: see `read`; no bytes, or more than MAX_BYTES.
    """
    where = shown(name)
    if not data:
        raise InputError(f"Expected an image file, got an empty one: {where}. Copy or export it again.")
    if len(data) > limits.MAX_BYTES:
        raise InputError(f"Expected an image file of at most {limits.MAX_BYTES >> 20} MiB, got a larger one: {where}.")
    return _read_data(data, name, where, side)


def _read_data(
    data: bytes, source: str | Path, where: str, side: int | None, derived: bool = False, keep_uids: bool = False
) -> Film:
    whole = hashlib.sha256(data).hexdigest()
    if is_dicom(data):
        stream = BytesIO(data)
        del data  # the stream is closed once the data set holds a copy, so that there are never three
        return _read_dicom(stream, whole, side, derived, keep_uids)
    notes: list[str] = []
    try:
        with warnings_as_notes(notes):
            image = Image.open(BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise too_large(where) from None
    except Exception:  # Pillow's readers raise nearly every built-in exception on a damaged header
        raise not_an_image(data, source, where) from None
    if image.format == "PNG":
        check_png(data, where)
    pixels, full = decode_image(image, where, notes, side, jpeg_2000_levels(data))
    name = Path(source).stem.encode("utf-8", "replace").decode()
    return Film(pixels, name, whole, notes=tuple(notes), full=full)


def _file_bytes(path: Path, given: str, where: str) -> bytes:
    """Read a regular file of reasonable size; pipes and devices are never opened."""
    try:
        status = path.stat()
    except ValueError:
        raise InputError(f"Expected a path, got one with a null byte: {where}. Check the path.") from None
    except FileNotFoundError:
        advice = "Download it first" if "://" in given else "Check the path"
        raise InputError(f"Expected an image file, got a path where there is none: {where}. {advice}.") from None
    except OSError as error:
        raise InputError(f"Expected an image file, got {error.strerror}: {where}. Check the path.") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"Expected an image file, got a folder: {where}. Give one file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"Expected a regular file, got a pipe or a device: {where}. Save it as a file first.")
    if status.st_size == 0:
        kind = "a sound file" if path.suffix.lower() in SOUND_SUFFIXES else "an image file"
        raise InputError(f"Expected {kind}, got an empty one: {where}. Copy or export it again.")
    if status.st_size > limits.MAX_BYTES:
        raise InputError(
            f"Expected an image file of at most {limits.MAX_BYTES >> 20} MiB, got {status.st_size >> 20} MiB: "
            f"{where}. Export a single film."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Expected a readable file, got {error.strerror}: {where}. Check its permissions.") from None


def _read_dicom(stream: BytesIO, whole: str, side: int | None, derived: bool, keep_uids: bool) -> Film:
    try:
        from matex.dicom.read import UnsupportedDicom, decode
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "pydicom":
            raise
        raise InputError("Reading DICOM needs pydicom: pip install matex[dicom]") from None
    try:
        with FILTERS:
            image = decode(stream, max_pixels=limits.MAX_PIXELS, derived=derived)
    except UnsupportedDicom as error:
        raise InputError(str(error)) from None
    full = (image.pixels.shape[0], image.pixels.shape[1])
    check_size(*full, "this DICOM file")
    factor = reduction(full, side) if full[0] * full[1] > limits.MAX_WHOLE else 1
    pixels = image.pixels if factor == 1 else block_means(image.pixels, factor)
    return Film(
        pixels,
        f"dicom{whole[:8]}",
        whole,
        image.view,
        image.mirrored,
        image.notes,
        oriented=image.oriented,
        turns=image.turns,
        facing=image.facing,
        full=full if factor > 1 else None,
        spacing=image.spacing,
        uids=image.uids if keep_uids else (),
    )


def _is_array(value: object) -> TypeGuard[NDArray[np.generic]]:
    return isinstance(value, np.ndarray)


def _read_array(values: np.ndarray) -> Film:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        advice = "Give one grey or RGB image"
        if values.ndim == 3 and values.shape[0] in (1, 3):
            advice = "Channels come last: array.transpose(1, 2, 0)"
        elif values.ndim == 3 and values.shape[2] == 4:
            advice = "Drop the alpha channel: array[:, :, :3]"
        raise InputError(
            f"Expected an array [height, width] or [height, width, 3], got shape {values.shape}. {advice}."
        )
    if values.dtype.kind not in "buif":
        raise InputError(
            f"Expected an array of integers or floats, got {values.dtype}. Convert it, for example to uint8."
        )
    height, width = values.shape[:2]
    check_size(height, width, "the array given")
    if height * width > limits.MAX_PIXELS:
        raise too_large("the array given")
    whole = hashlib.sha256(f"{values.dtype.str} {values.shape}".encode() + values.tobytes()).hexdigest()
    notes: list[str] = []
    pixels = to_grey(to_uint8(values, "the array given", notes))
    return Film(note_constant(pixels, notes), "array", whole, notes=tuple(notes))
