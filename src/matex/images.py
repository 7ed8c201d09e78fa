"""Reading of images: a file, an array or a Pillow image becomes a Film, ready for display, or is refused.

Everything behind it works on 8-bit pixels in the display sense; the notes say what was done to get there.
"""

import hashlib
import logging
import math
import os
import re
import stat
import tempfile
import threading
import warnings
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Literal, Self, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from matex.checks import is_list
from matex.errors import InputError, shown

MIN_SIDE = 16  # pixels; fewer cannot hold a finding
MAX_PIXELS = 178_000_000  # just under Pillow's own hard limit, some ten times a large radiograph
MAX_BYTES = 1 << 30
MAX_DECODED = 480_000_000  # bytes of an image as Pillow holds it, so that reading stays within 1 GB
MAX_WHOLE = 40_000_000  # pixels, twice a large radiograph; larger files are reduced where a model reads them
READ_SIDE = 1024  # pixels that the shorter side of a film keeps where a model reads it: pictures are no larger

_NARROW = frozenset({"1", "L", "P", "I;16", "I;16L", "I;16B", "I;16N"})  # one or two bytes per pixel in memory
_BAND = 1 << 22  # pixels that are converted at once

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")
_CONVERT = "Convert it to PNG, JPEG, TIFF or DICOM."
_SOUND = "Sounds go to matex explain and matex compare, with a model that hears them (imagebind:, CLAP)."
_SOUND_SUFFIXES = frozenset([".wav", ".flac", ".ogg"])
# What a file that is no image starts with, and what to do about it.
_OTHER_CONTENT = (
    (b"%PDF", "a PDF", "Export the picture in it as PNG."),
    (b"PK\x03\x04", "a zip archive (a PyTorch checkpoint, a .npz or an office file)", _CONVERT),
    (b"\x80\x02", "a Python pickle, which is never opened", _CONVERT),
    (b"\x80\x03", "a Python pickle, which is never opened", _CONVERT),
    (b"\x80\x04", "a Python pickle, which is never opened", _CONVERT),
    (b"\x80\x05", "a Python pickle, which is never opened", _CONVERT),
    (b"\x93NUMPY", "a NumPy array", "Load it with numpy.load and give the array."),
    (b"\x1f\x8b", "a gzip archive (NIfTI?)", "Unpack it, and convert a volume to single films."),
    (b"\x89HDF", "an HDF5 file", "Read it and give the array."),
    (b"fLaC", "a sound", _SOUND),
    (b"OggS", "a sound", _SOUND),
)
_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8")
# The lines of libtiff's default error handler: a function of the library, or the name Pillow opens the file under.
_LIBTIFF = re.compile(
    rb"(?:_?TIFF\w*|MissingRequired|\w*(?:Decode|Setup|PreDecode|Lib|Codec|Strip|Tile)\w*|tempfile\.tif): "
)
# Pillow logs what it finds wrong in a header and then raises; without a handler Python prints such lines itself.
logging.getLogger("PIL").addHandler(logging.NullHandler())
# Held while warning filters are changed, here and around matex.dicom: they belong to the whole process.
FILTERS = threading.RLock()


@dataclass(frozen=True, eq=False)
class Film:
    """One image as read, ready for display."""

    pixels: np.ndarray  # uint8 [height, width] grey or [height, width, 3] colour; on a radiograph dense is bright
    name: str  # file stem, "array" or "image"; "dicom" and a hash for DICOM, never patient data
    sha256: str  # of the file's bytes, or of the array
    view: str | None = None  # "PA", "AP", "LL", "LATERAL", ... (matex.dicom.view_position); None when nothing is known
    mirrored: bool = False  # True when the left edge of the upright image is the patient's left
    notes: tuple[str, ...] = ()  # what was assumed or done on the way
    oriented: bool = False  # True when the file or the caller states the patient's sides; else they are assumed
    turns: int = 0  # quarter turns counter-clockwise that bring the image upright
    facing: Literal["left", "right"] | None = None
    """Edge of the upright image at which the patient's front lies, of a view from the side; None where not stated."""
    full: tuple[int, int] | None = None  # (height, width) of an image that was read reduced; None: pixels holds it all
    spacing: tuple[float, float, bool] | None = None
    """Millimetres between pixel centres of `size` (down, across), and whether they are calibrated to the patient;
    otherwise they are those of the detector, on which the patient is magnified. None where the file states none."""
    uids: tuple[tuple[str, str], ...] = ()  # (keyword, UID) of a DICOM file, where `read` was to keep them

    def known_as(self, view: str | None, mirrored: bool | None) -> Self:
        """Replace the film's view and orientation by known ones; None keeps those of the file."""
        if not isinstance(view, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected view as text, such as 'PA', got {shown(view)}.")
        if not isinstance(mirrored, bool | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected mirrored to be True, False or None, got {shown(mirrored)}.")
        view = self.view if view is None else view
        if mirrored is None:
            return replace(self, view=view)
        if mirrored == self.mirrored:
            return replace(self, view=view, oriented=True)
        effect = "flipped for the model, the map lies on the film as it is" if mirrored else "not flipped for the model"
        note = f"declared {'' if mirrored else 'not '}mirrored: {effect}"
        return replace(self, view=view, mirrored=mirrored, oriented=True, notes=(*self.notes, note))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image in its file, pixels; `pixels` has fewer where it was read reduced."""
        return self.full or (self.pixels.shape[0], self.pixels.shape[1])

    @property
    def edges(self) -> tuple[str, str] | None:
        """Patient's sides at the image's (left, right) edge, "R" and "L"; None for a film that lies on its side."""
        if self.turns % 2:
            return None
        return ("L", "R") if self.mirrored != (self.turns == 2) else ("R", "L")


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
        pixels, _ = _decode(source, "the image given", notes)
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
    if len(data) > MAX_BYTES:
        raise InputError(f"Expected an image file of at most {MAX_BYTES >> 20} MiB, got a larger one: {where}.")
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
        with _warnings_as_notes(notes):
            image = Image.open(BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(where) from None
    except Exception:  # Pillow's readers raise nearly every built-in exception on a damaged header
        raise _not_an_image(data, source, where) from None
    if image.format == "PNG":
        _check_png(data, where)
    pixels, full = _decode(image, where, notes, side, _jpeg_2000_levels(data))
    name = Path(source).stem.encode("utf-8", "replace").decode()
    return Film(pixels, name, whole, notes=tuple(notes), full=full)


@contextmanager
def _warnings_as_notes(notes: list[str]) -> Generator[None]:
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
    descriptor belongs to the whole process: one thread at a time is in here (under _warnings_as_notes), and lines of
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


def _check_png(data: bytes, where: str) -> None:
    """Refuse a PNG with a chunk whose checksum is wrong (PNG, third edition, 5.3); Pillow reads some of them."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        critical = data[at + 4 : at + 5].isupper()
        if critical and zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise InputError(
                f"Expected a whole PNG, got a damaged one with a wrong checksum: {where}. Copy or export it again."
            )
        at = end + 4


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
        kind = "a sound file" if path.suffix.lower() in _SOUND_SUFFIXES else "an image file"
        raise InputError(f"Expected {kind}, got an empty one: {where}. Copy or export it again.")
    if status.st_size > MAX_BYTES:
        raise InputError(
            f"Expected an image file of at most {MAX_BYTES >> 20} MiB, got {status.st_size >> 20} MiB: "
            f"{where}. Export a single film."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Expected a readable file, got {error.strerror}: {where}. Check its permissions.") from None


def _too_large(where: str) -> InputError:
    return InputError(
        f"Expected an image of at most {MAX_PIXELS // 1_000_000} megapixels, got a larger one: {where}. Scale it down."
    )


def _not_an_image(data: bytes, source: str | Path, where: str) -> InputError:
    """Name the type of a file that is no image, without quoting its content."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    got, advice = "unknown content", _CONVERT
    for magic, kind, what in _OTHER_CONTENT:
        if data.startswith(magic):
            got, advice = kind, what
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        got, advice = "a sound", _SOUND
    elif data[4:8] == b"ftyp":
        got = "HEIC, AVIF or a video"
    elif b"<svg" in start.lower():
        got, advice = "an SVG drawing", "Export it as PNG."
    elif data.startswith(_IMAGE_STARTS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        got, advice = "a damaged image or a rare kind of one", "Export it again as plain 8- or 16-bit grey."
    elif got == "unknown content" and _is_text(data[:4096]):
        got = "text"
    suffix = Path(source).suffix.lower()
    if suffix in _SOUND_SUFFIXES and got in {"text", "unknown content"}:
        return InputError(f"Expected sound in a {suffix} file, got {got}: {where}. Copy or export it again.")
    if suffix in {".dcm", ".dicom"}:
        return InputError(f"Expected DICOM in a .dcm file, got {got}: {where}. Export the film again.")
    return InputError(f"Expected an image, got {got}: {where}. {advice}")


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 3:  # a character cut at the end is no evidence against text
            return False
        text = data[: error.start].decode("utf-8")
    return all(character.isprintable() or character.isspace() for character in text)


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM, with its preamble (PS3.10 section 7.1) or starting like a data set."""
    if data[128:132] == b"DICM":
        return True
    if data[1:2] != b"\0" or data[0] not in (0x02, 0x08) or len(data) < 128:
        return False
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    implicit = 0 < int.from_bytes(data[4:8], "little") <= 64
    return explicit or implicit


def _read_dicom(stream: BytesIO, whole: str, side: int | None, derived: bool, keep_uids: bool) -> Film:
    try:
        from matex.dicom.read import UnsupportedDicom, decode
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "pydicom":
            raise
        raise InputError("Reading DICOM needs pydicom: pip install matex[dicom]") from None
    try:
        with FILTERS:
            image = decode(stream, max_pixels=MAX_PIXELS, derived=derived)
    except UnsupportedDicom as error:
        raise InputError(str(error)) from None
    full = (image.pixels.shape[0], image.pixels.shape[1])
    _check_size(*full, "this DICOM file")
    factor = _factor(full, side) if full[0] * full[1] > MAX_WHOLE else 1
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


def _decode(
    image: Image.Image, where: str, notes: list[str], side: int | None = None, levels: int = 0
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Decode a Pillow image to uint8 pixels, and its full size where they are fewer.

    Sizes and frames are checked on the header, before decoding.

    Args:
        levels: how often a JPEG 2000 image can be halved as it is decoded.
    """
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(where)
    _check_size(image.height, image.width, where)
    kind = image.format or "image"
    full = (image.height, image.width)
    factor = _factor(full, side)
    if factor > 1 and kind in {"JPEG", "MPO"}:
        image.draft(None, (image.width // factor, image.height // factor))
        factor = 1
    elif factor > 1 and isinstance(image, Jpeg2KImageFile):
        image.reduce = min(int(math.log2(factor)), levels)
        factor = 1
    elif image.width * image.height <= MAX_WHOLE:
        factor = 1
    if image.width * image.height * (1 if image.mode in _NARROW else 4) > MAX_DECODED and image.format is not None:
        raise InputError(
            f"Expected an image of at most {MAX_DECODED // 4_000_000} megapixels in colour or 32 bits, got a larger "
            f"one: {where}. Scale it down, or save it as grey of 8 or 16 bits."
        )
    reported: list[str] = []
    try:
        with _warnings_as_notes(notes), _decoder_reports(reported, listen=kind == "TIFF"):
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
    return _noting_constant(pixels, notes), (full if pixels.shape[:2] != full else None)


def _factor(size: tuple[int, int], side: int | None) -> int:
    """Integer factor by which an image (height, width) is reduced so that its shorter side keeps `side` pixels."""
    return max(1, min(size) // side) if side else 1


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


def _jpeg_2000_levels(data: bytes) -> int:
    """Decomposition levels of a JPEG 2000 codestream (ISO/IEC 15444-1 A.6.1, marker COD); 0 for other data."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    at = data.find(b"\xff\x52\0", start, start + 4096) if start >= 0 else -1
    return data[at + 9] if 0 <= at < len(data) - 9 else 0


def _pixels(image: Image.Image, factor: int, where: str, notes: list[str]) -> np.ndarray:
    """Pixels uint8 [height, width] or [height, width, 3], reduced by a factor, some rows at a time to bound memory."""
    rows = max(1, _BAND // image.width // factor) * factor
    bands = [(0, top, image.width, min(top + rows, image.height)) for top in range(0, image.height, rows)]
    wide = image.mode.startswith("I") or image.mode == "F"
    scale = _scale((np.asarray(image.crop(band)) for band in bands), where, notes) if wide else None
    parts: list[np.ndarray] = []
    for band in bands:
        values = _channels(image.crop(band), notes)
        part = _to_grey(np.array(values, order="C") if scale is None else _scaled(values, *scale))
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
    _check_size(height, width, "the array given")
    if height * width > MAX_PIXELS:
        raise _too_large("the array given")
    whole = hashlib.sha256(f"{values.dtype.str} {values.shape}".encode() + values.tobytes()).hexdigest()
    notes: list[str] = []
    pixels = _to_grey(_to_uint8(values, "the array given", notes))
    return Film(_noting_constant(pixels, notes), "array", whole, notes=tuple(notes))


def _check_size(height: int, width: int, where: str) -> None:
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"Expected an image of at least {MIN_SIDE} x {MIN_SIDE} pixels, got {height} x {width} "
            f"(height x width): {where}. Give the film itself."
        )


def _to_uint8(values: np.ndarray, where: str, notes: list[str]) -> np.ndarray:
    """Convert to 8 bits by a linear scale that clips nothing; uint8 stays the same. The result is a copy."""
    if values.dtype == np.uint8:
        return np.array(values, order="C")
    if values.dtype == np.bool_:
        return np.where(values, np.uint8(255), np.uint8(0))
    return _scaled(values, *_scale([values], where, notes))


def _scale(parts: Iterable[np.ndarray], where: str, notes: list[str]) -> tuple[float, float]:
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


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale values to 8 bits, `low` to black and `high` to white."""
    if high == low:
        return np.zeros(values.shape, np.uint8)
    scaled = (values.astype(np.result_type(values.dtype, np.float32)) - low) * (1 / (high - low))
    return np.rint(scaled * 255).clip(0, 255).astype(np.uint8)


def _to_grey(pixels: np.ndarray) -> np.ndarray:
    """Reduce three equal channels to one, since most public collections store grey films as RGB."""
    if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
        return np.ascontiguousarray(pixels[:, :, 0])
    return pixels


def _noting_constant(pixels: np.ndarray, notes: list[str]) -> np.ndarray:
    if (pixels == pixels.reshape(-1, *pixels.shape[2:])[0]).all():
        notes.append("constant image: nothing to see in it")
    return pixels
