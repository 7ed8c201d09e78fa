"""File types by their first bytes, and the refusal of files that are no image."""

import zlib
from pathlib import Path

from matex.errors import InputError

_CONVERT = "Convert it to PNG, JPEG, TIFF or DICOM."
_SOUND = "Sounds go to matex explain and matex compare, with a model that hears them (imagebind:, CLAP)."
SOUND_SUFFIXES = frozenset([".wav", ".flac", ".ogg"])
_SOUND_STARTS = (b"fLaC", b"OggS", b"RIFF", b"RF64")
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
)
_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8")


def check_png(data: bytes, where: str) -> None:
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


def not_an_image(data: bytes, source: str | Path, where: str) -> InputError:
    """Name the type of a file that is no image, without quoting its content."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    got, advice = "unknown content", _CONVERT
    for magic, kind, what in _OTHER_CONTENT:
        if data.startswith(magic):
            got, advice = kind, what
    if begins_as_sound(data):
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
    if suffix in SOUND_SUFFIXES and got in {"text", "unknown content"}:
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


def begins_as_sound(data: bytes) -> bool:
    """Whether the content of a file begins as WAV, FLAC or OGG files do."""
    return data.startswith(_SOUND_STARTS) and (data[:4] not in (b"RIFF", b"RF64") or data[8:12] == b"WAVE")
