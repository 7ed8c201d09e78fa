"""Stored values from the PixelData element, refused where it contradicts the header.

pydicom reads frames and bytes beyond the header's size as further frames or drops them; either shows a sheared film
as a whole one when Rows, Columns or Bits Allocated are wrong. So sizes are compared here, before and after decoding.
"""

import re
import warnings
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from matex.dicom.elements import UnsupportedDicom, code, number, whole_number, words
from matex.dicom.frame import FrameOptions, decode_apart, decode_frame

EXPORT = "Export the film again as one grey CR or DX image."
# Codestreams that close with the marker FFD9 (ISO/IEC 10918-1 B.1.1.3, 14495-1 C.1, 15444-1 A.4.4); their decoders
# fill what is missing with grey and report nothing. Inside a codestream no start marker can follow an FFD9.
_MARKED_SYNTAXES = frozenset([*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes])
_START = re.compile(rb"\xff\xd8\xff|\xff\x4f\xff\x51")
_SECOND_FRAME = re.compile(rb"\xff\xd9\0?(?:\xff\xd8\xff|\xff\x4f\xff\x51)")
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}  # SOF0 to SOF15, SOF55 (JPEG-LS)
# pydicom's plugins by syntax, in the order in which they are tried. On damaged frames GDCM ends the process (an
# uncaught C++ exception, or a segmentation fault), and one with pylibjpeg-libjpeg was killed: GDCM decodes only what
# nothing else here can, in a process of its own, and pylibjpeg-libjpeg, which users may add, only JPEG Extended of 12
# bits.
_PLUGINS: dict[str, tuple[str, ...]] = {
    RLELossless: ("pydicom",),
    JPEGBaseline8Bit: ("pillow",),
    JPEGExtended12Bit: ("pillow", "pylibjpeg"),
    JPEGLossless: ("gdcm",),
    JPEGLosslessSV1: ("gdcm",),
    **dict.fromkeys(JPEGLSTransferSyntaxes, ("pyjpegls",)),
    **dict.fromkeys(JPEG2000TransferSyntaxes, ("pylibjpeg", "pillow")),
}
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True)
class PixelLayout:
    """Image Pixel module (PS3.3 C.7.6.3) of one grey frame."""

    rows: int
    columns: int
    allocated: int  # bits per cell: 8, 16 or 32
    stored: int  # bits per value
    high: int  # the value's most significant bit in its cell
    representation: int  # 0 unsigned, 1 two's complement
    inverted: bool  # MONOCHROME1

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"<{'i' if self.representation else 'u'}{self.allocated // 8}")

    def values(self, cells: np.ndarray) -> np.ndarray:
        """Stored values in cells: unused bits dropped, signs extended (PS3.5 8.1.1)."""
        if self.stored == self.allocated:
            return cells
        return (cells << (self.allocated - 1 - self.high)) >> (self.allocated - self.stored)

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest value of the stored bits."""
        half = 1 << (self.stored - 1)
        return (-half, half - 1) if self.representation else (0, 2 * half - 1)


def pixel_layout(dataset: Dataset, max_bytes: int) -> PixelLayout:
    """Read and check the Image Pixel module, by the header alone.

    Raises:
        UnsupportedDicom: not one grey frame, an impossible layout, or more than `max_bytes` bytes of pixels.
    """
    if "PixelData" not in dataset:
        sop_class = UID(
            "".join([*words(dataset, "SOPClassUID"), *words(dataset.file_meta, "MediaStorageSOPClassUID")][:1])
        )
        kind = f" ({sop_class.name})" if sop_class and sop_class.name != sop_class else ""
        raise UnsupportedDicom(f"Expected a DICOM image, got an object without integer pixel data{kind}. {EXPORT}")
    frames = number(dataset, "NumberOfFrames") or 1
    if frames != 1:
        raise UnsupportedDicom(f"Expected one DICOM frame, got {frames:g}. Export the frame to explain by itself.")
    photometric, shape = code(dataset, "PhotometricInterpretation"), code(dataset, "PresentationLUTShape")
    if not photometric and shape in {"IDENTITY", "INVERSE"}:  # on DX the two say the same, PS3.3 C.8.11.3.1.2
        photometric = "MONOCHROME1" if shape == "INVERSE" else "MONOCHROME2"
    if not photometric:
        raise UnsupportedDicom(
            f"Expected MONOCHROME1 or MONOCHROME2, got no PhotometricInterpretation: the header is damaged. {EXPORT}"
        )
    if whole_number(dataset, "SamplesPerPixel", 1) != 1 or photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnsupportedDicom(
            "Expected a grey DICOM image (MONOCHROME1 or MONOCHROME2), got a colour one. "
            "Export the radiograph itself, not a screen capture or an ultrasound."
        )
    rows, columns, allocated, stored, representation = (
        whole_number(dataset, keyword)
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
    )
    high = whole_number(dataset, "HighBit", stored - 1)
    possible = allocated in {8, 16, 32} and 1 <= stored <= high + 1 <= allocated and representation in {0, 1}
    if not possible or min(rows, columns) < 1:
        raise UnsupportedDicom(
            f"Expected pixels of 8, 16 or 32 bits that hold the stored ones, got {rows} x {columns} pixels with "
            f"BitsAllocated {allocated}, BitsStored {stored}, HighBit {high}, PixelRepresentation {representation}. "
            f"{EXPORT}"
        )
    if rows * columns * allocated // 8 > max_bytes:
        raise UnsupportedDicom(
            f"Expected at most {max_bytes * 8 // allocated // 1_000_000} megapixels of {allocated} bits, got "
            f"{rows} x {columns} pixels. Scale it down."
        )
    return PixelLayout(rows, columns, allocated, stored, high, representation, photometric == "MONOCHROME1")


def colour_pixels(dataset: Dataset, max_pixels: int) -> np.ndarray:
    """Pixels uint8 [rows, columns, 3] of an uncompressed RGB picture with interleaved colours, 8 bits each.

    Raises:
        UnsupportedDicom: another layout, or data of another size than the header says.
    """
    rows, columns, samples, allocated = (
        whole_number(dataset, keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    )
    data = dataset.get_item("PixelData").value if "PixelData" in dataset else b""
    plain = (samples, allocated, whole_number(dataset, "PlanarConfiguration", 0)) == (3, 8, 0)
    size = rows * columns * 3
    if not plain or rows * columns > max_pixels or len(data) not in (size, size + size % 2):
        raise UnsupportedDicom(f"Expected an uncompressed RGB picture of 8 bits, got another. {EXPORT}")
    return np.frombuffer(data[:size], np.uint8).reshape(rows, columns, 3)


def pixel_cells(dataset: Dataset, layout: PixelLayout, notes: list[str]) -> np.ndarray:
    """Cells [rows, columns] of the only frame, decompressed; `PixelLayout.values` gives the stored values in them.

    Raises:
        UnsupportedDicom: data that are damaged, of another size than the header says, or that nothing here decodes.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        implicit, little = dataset.original_encoding
        syntax = UID("1.2.840.10008.1.2" + ("" if implicit else ".1" if little else ".2"))
        notes.append("no transfer syntax in the file: uncompressed assumed")
    element = dataset.get_item("PixelData")
    data = element.value if isinstance(element.value, bytes) else b""
    decoder = _decoder(syntax)
    if not syntax.is_compressed:
        return _native(data, layout, big_endian=syntax == ExplicitVRBigEndian, words=element.VR == "OW")
    cells = _decompressed(data, syntax, decoder, layout)
    low, high = layout.span
    if syntax != RLELossless and (cells.min() < low or cells.max() > high):  # codecs carry values, no spare bits
        raise UnsupportedDicom(
            f"Expected values of {layout.stored} bits, got {cells.min()} to {cells.max()} in the compressed "
            f"data. Correct BitsStored and PixelRepresentation. {EXPORT}"
        )
    return cells


def _native(data: bytes, layout: PixelLayout, big_endian: bool, words: bool) -> np.ndarray:
    size = layout.rows * layout.columns * layout.allocated // 8
    if len(data) not in (size, size + size % 2):
        found = "truncated pixel data" if len(data) < size else "more of them"
        raise UnsupportedDicom(
            f"Expected {size} bytes of pixels for {layout.rows} x {layout.columns} pixels of {layout.allocated} bits, "
            f"got {found} ({len(data)} bytes): Rows, Columns, BitsAllocated, NumberOfFrames or the file is damaged. "
            f"{EXPORT}"
        )
    if big_endian and words and layout.allocated == 8:  # 8-bit pixels in 16-bit words: each pair is exchanged
        data = np.frombuffer(data, "u2").byteswap().tobytes()
    order = ">" if big_endian else "<"
    values = np.frombuffer(data[:size] if len(data) > size else data, layout.dtype.newbyteorder(order))
    return values.astype(layout.dtype, copy=False).reshape(layout.rows, layout.columns)


def _decompressed(data: bytes, syntax: UID, decoder: Decoder, layout: PixelLayout) -> np.ndarray:
    frame = _single_frame(data, syntax)
    damaged = UnsupportedDicom(f"Expected {syntax.name} pixel data, got damaged or truncated ones. {EXPORT}")
    if syntax in _MARKED_SYNTAXES:
        if not frame.rstrip(b"\0").endswith(b"\xff\xd9") and b"\xff\xd9" not in frame[-64:]:
            raise damaged
        _check_codestream(frame, layout, damaged)
    options: FrameOptions = {
        "rows": layout.rows, "columns": layout.columns, "samples_per_pixel": 1, "number_of_frames": 1,
        "photometric_interpretation": "MONOCHROME1" if layout.inverted else "MONOCHROME2",
        "bits_allocated": layout.allocated, "bits_stored": layout.stored,
        "pixel_representation": layout.representation, "pixel_keyword": "PixelData",
    }  # fmt: skip
    values = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for plugin in _plugins(syntax, decoder):
            # Decoders raise nearly anything, and what they raise can quote elements.
            with suppress(Exception):
                if plugin == "gdcm":
                    values = decode_apart(frame, syntax, options)
                else:
                    values = decode_frame(frame, syntax, plugin, options)
                break
    lengths = [re.search(r"(\d+) vs\.? (\d+) bytes expected", str(warning.message)) for warning in caught]
    excess = any(int(found[1]) - int(found[2]) > 1 for found in lengths if found)  # RLE segments, PS3.5 annex G
    if values is None and syntax == JPEGExtended12Bit and "pylibjpeg" not in decoder.available_plugins:
        raise UnsupportedDicom(
            "Expected JPEG Extended with 8 bits, got more, which the decoders of matex[dicom] do not read. Store the "
            "film uncompressed or as lossless JPEG 2000, or install pylibjpeg-libjpeg (GPL v3)."
        )
    if values is None or excess or values.shape != (layout.rows, layout.columns):
        raise damaged
    return values


def _single_frame(data: bytes, syntax: UID) -> bytes:
    """Codestream of the only frame (PS3.5 A.4), its fragments joined.

    Raises:
        UnsupportedDicom: damaged encapsulation, or more frames than one.
    """
    table, *fragments = _fragments(data)
    whole = b"".join(fragments)
    several = (
        len(table) > 4  # one offset of four bytes for each frame
        or (syntax == RLELossless and len(fragments) > 1)  # PS3.5 A.4.2: one fragment for each frame
        or any(_START.match(fragment) for fragment in fragments[1:])
        or (syntax in _MARKED_SYNTAXES and _SECOND_FRAME.search(whole) is not None)
    )
    if several:
        raise UnsupportedDicom(
            f"Expected one frame of compressed pixels, got more than the header's NumberOfFrames. {EXPORT}"
        )
    return whole


def _fragments(data: bytes) -> list[bytes]:
    """Basic offset table and the fragments after it."""
    found: list[bytes] = []
    at = 0
    while at + 8 <= len(data) and data[at : at + 4] == _ITEM:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    rest = data[at : at + 4]
    if len(found) < 2 or at > len(data) or rest not in (b"", _END):
        raise UnsupportedDicom(f"Expected compressed pixel data in items, got damaged or truncated ones. {EXPORT}")
    return found


def _check_codestream(frame: bytes, layout: PixelLayout, damaged: UnsupportedDicom) -> None:
    """Refuse a codestream whose header contradicts the file's: decoders would return as many values, sheared."""
    header = _jpeg_2000_header(frame) if b"\xff\x4f\xff\x51" in frame[:1024] else _jpeg_header(frame)
    if header is None:
        raise damaged
    rows, columns, bits, components = header
    if (rows, columns, components) != (layout.rows, layout.columns, 1) or bits > layout.allocated:
        colours = "grey" if components == 1 else f"{components} colours"
        raise UnsupportedDicom(
            f"Expected {layout.rows} x {layout.columns} grey pixels of at most {layout.allocated} bits as the header "
            f"has it, got compressed data of {rows} x {columns}, {colours}, {bits} bits: the header or the data are "
            f"damaged. {EXPORT}"
        )


def _jpeg_header(frame: bytes) -> tuple[int, int, int, int] | None:
    """(rows, columns, bits, components) of a JPEG or JPEG-LS codestream (ISO/IEC 10918-1 B.2.2); None if damaged."""
    at = 2
    while at + 9 < len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _FRAME_HEADERS:
            rows, columns = (int.from_bytes(frame[i : i + 2], "big") for i in (at + 5, at + 7))
            return rows, columns, frame[at + 4], frame[at + 9]
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _jpeg_2000_header(frame: bytes) -> tuple[int, int, int, int] | None:
    """(rows, columns, bits, components) of a JPEG 2000 codestream, bare or in JP2 boxes (ISO/IEC 15444-1 A.5.1)."""
    at = frame.index(b"\xff\x4f\xff\x51") + 8
    if len(frame) < at + 35:
        return None
    right, bottom, left, top = (int.from_bytes(frame[at + i : at + i + 4], "big") for i in (0, 4, 8, 12))
    components = int.from_bytes(frame[at + 32 : at + 34], "big")
    return bottom - top, right - left, (frame[at + 34] & 0x7F) + 1, components


def _plugins(syntax: UID, decoder: Decoder) -> list[str]:
    """Installed packages that can decode this syntax, in order of preference."""
    return [plugin for plugin in _PLUGINS.get(syntax, ("pylibjpeg",)) if plugin in decoder.available_plugins]


def _decoder(syntax: UID) -> Decoder:
    name = syntax.name if syntax.name != syntax else "an unknown transfer syntax"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnsupportedDicom(
            f"Expected a known compression, got {name}. Store it uncompressed or as lossless JPEG 2000."
        ) from None
    if not decoder.is_available or (syntax.is_compressed and not _plugins(syntax, decoder)):
        raise UnsupportedDicom(
            f"Expected a decoder for {name}, got none installed: pip install matex[dicom] "
            f"(one of: {'; '.join(decoder.missing_dependencies)})"
        )
    return decoder
