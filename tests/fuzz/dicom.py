"""DICOM films: elements with values that are wrong, odd or of the other sign, and damaged bytes.

Where a film is accepted and its elements are plain, its grey values are computed a second time here from the values
that were written (PS3.3 C.7.6.3, C.11.1, C.11.2; PS3.4 N.2), pixel by pixel, and compared.
"""

from __future__ import annotations

import functools
import math
import random
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import matex
from tests.fuzz.hostile import damaged, number, text
from tests.fuzz.runner import Case, Wrong, generator

NAME = "dicom"
MUTATED = (
    "Rows, Columns, Bits*, PixelRepresentation, photometric sense, windows, rescale, LUTs, padding, orientation, "
    "transfer syntax, frames, lengths, bytes; native, RLE, JPEG, JPEG-LS, JPEG 2000"
)
HEIGHT, WIDTH = 19, 23
SECRET = "ZZTOP^SECRET"
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
SYNTAXES = (EXPLICIT, IMPLICIT, BIG, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90", "1.2.3")
TAGS = {
    "SamplesPerPixel": (0x00280002, "US"), "PhotometricInterpretation": (0x00280004, "CS"),
    "NumberOfFrames": (0x00280008, "IS"), "Rows": (0x00280010, "US"), "Columns": (0x00280011, "US"),
    "BitsAllocated": (0x00280100, "US"), "BitsStored": (0x00280101, "US"), "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"), "PixelPaddingValue": (0x00280120, "US"),
    "PixelPaddingRangeLimit": (0x00280121, "US"), "WindowCenter": (0x00281050, "DS"), "WindowWidth": (0x00281051, "DS"),
    "RescaleIntercept": (0x00281052, "DS"), "RescaleSlope": (0x00281053, "DS"), "VOILUTFunction": (0x00281056, "CS"),
    "PatientOrientation": (0x00200020, "CS"), "ViewPosition": (0x00185101, "CS"), "Modality": (0x00080060, "CS"),
    "PresentationLUTShape": (0x20500020, "CS"), "PixelSpacing": (0x00280030, "DS"), "Laterality": (0x00200060, "CS"),
    "FieldOfViewRotation": (0x00187032, "DS"), "BurnedInAnnotation": (0x00280301, "CS"),
    "PixelAspectRatio": (0x00280034, "IS"), "PresentationIntentType": (0x00080068, "CS"),
}  # fmt: skip


def element(tag: int, vr: str, value: bytes, explicit: bool = True, big: bool = False) -> bytes:
    """One element as PS3.5 7.1 writes it; no library checks what is in it."""
    order = ">" if big else "<"
    value += (b"\0" if vr in ("UI", "OB", "OW", "UN", "SQ") else b" ") * (len(value) % 2)
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack(f"{order}I", len(value)) + value
    if vr in ("OB", "OW", "SQ", "UN"):
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}I", len(value)) + value
    return head + vr.encode() + struct.pack(f"{order}H", len(value)) + value


def encoded(vr: str, value: Any, big: bool = False) -> bytes:
    order = ">" if big else "<"
    if isinstance(value, bytes):
        return value
    if vr in ("US", "SS") and isinstance(value, int):
        return struct.pack(f"{order}H", value % (1 << 16))
    return str(value).encode("utf-8", "replace")[:600]


def written(elements: dict[str, tuple[str, Any]], pixels: bytes, syntax: str, extra: bytes = b"") -> bytes:
    """A DICOM file of these elements, name: (representation, value)."""
    explicit, big = syntax != IMPLICIT, syntax == BIG
    tagged = [(0x00100010, "PN", SECRET)]
    tagged += [(TAGS[name][0], vr, value) for name, (vr, value) in elements.items()]
    body = b"".join(
        element(tag, vr, encoded(vr, value, big), explicit, big)
        for tag, vr, value in sorted(tagged, key=lambda e: e[0])
    )
    meta = element(0x00020010, "UI", syntax.encode())
    head = bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta
    return head + body + extra + pixels


def sequence(tag: int, first: int, entries: int, bits: int, vr: str = "US") -> bytes:
    """A LUT sequence of one item, explicit little endian."""
    values = np.linspace(0, (1 << min(bits, 16)) - 1, max(entries, 1)).astype("<u2").tobytes()
    item = element(0x00283002, vr, struct.pack("<HHH", entries % 65536, first % 65536, bits % 65536))
    item += element(0x00283006, "OW", values)
    return element(tag, "SQ", b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item)


def expected(cells: np.ndarray, plain: dict[str, Any]) -> np.ndarray:
    """Grey values [rows, columns] in [0, 255] of a film with plain elements, one pixel after the other."""
    bits, is_signed = plain["BitsStored"], plain["PixelRepresentation"] == 1

    def two_complement(value: int, width: int) -> int:
        value %= 1 << width
        return value - (1 << width) if is_signed and value >= 1 << (width - 1) else value

    padding = [two_complement(value, bits) for value in plain["padding"]]
    stored = [[two_complement(int(cell), bits) for cell in row] for row in cells]
    padded = [[bool(padding) and min(padding) <= v <= max(padding) for v in row] for row in stored]
    if all(all(row) for row in padded):
        padded = [[False] * len(row) for row in padded]
    picture = np.zeros((len(stored), len(stored[0])))
    for y, row in enumerate(stored):
        for x, value in enumerate(row):
            c, w = plain["window"]
            shown = value * plain["slope"] + plain["intercept"]
            if plain["function"] == "SIGMOID":
                grey = 1 / (1 + math.exp(max(-700.0, min(700.0, -4 * (shown - c) / w))))
            elif plain["function"] == "LINEAR_EXACT":
                grey = (shown - c) / w + 0.5
            else:
                grey = (shown - (c - 0.5)) / (w - 1) + 0.5
            grey = min(max(grey, 0.0), 1.0)
            picture[y, x] = 0 if padded[y][x] else 255 * (1 - grey if plain["inverted"] else grey)
    return picture


@functools.cache
def compressed(name: str) -> tuple[bytes, str]:
    """A film compressed by pydicom or Pillow, whole, and its transfer syntax."""
    from pydicom import dcmread

    ramp = (np.add.outer(5 * np.arange(HEIGHT), 7 * np.arange(WIDTH)) % 256).astype(np.uint8)
    elements = {**base(8, 8, 0)[0], "WindowCenter": ("DS", "128"), "WindowWidth": ("DS", "256")}
    native = written(elements, element(0x7FE00010, "OB", ramp.tobytes()), EXPLICIT)
    dataset = dcmread(BytesIO(native))
    if name in ("rle", "jpeg-ls"):  # by these two encoders, since GDCM ends the process on some sizes
        syntax, plugin = {"rle": ("1.2.840.10008.1.2.5", "pydicom"), "jpeg-ls": ("1.2.840.10008.1.2.4.80", "pyjpegls")}[
            name
        ]
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=False)
        return stream.getvalue(), syntax
    from PIL import Image

    stream = BytesIO()
    form, syntax = ("JPEG2000", "1.2.840.10008.1.2.4.90") if name == "j2k" else ("JPEG", "1.2.840.10008.1.2.4.50")
    Image.fromarray(ramp).save(stream, form, **({"no_jp2": True} if name == "j2k" else {"quality": 95}))
    return encapsulated(elements, stream.getvalue(), syntax), syntax


def encapsulated(elements: dict[str, tuple[str, Any]], frame: bytes, syntax: str) -> bytes:
    from pydicom.encaps import encapsulate

    frames = encapsulate([frame])
    data = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + frames + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return written(elements, data, syntax)


def base(allocated: int, stored: int, representation: int) -> tuple[dict[str, tuple[str, Any]], dict[str, Any]]:
    """Elements of a good film, and the same as plain values for `expected`."""
    half = 1 << (stored - 1)
    centre, width = (0 if representation else half, 2 * half)
    elements: dict[str, tuple[str, Any]] = {
        "Modality": ("CS", "DX"), "ViewPosition": ("CS", "PA"), "PatientOrientation": ("CS", "L\\F"),
        "SamplesPerPixel": ("US", 1), "PhotometricInterpretation": ("CS", "MONOCHROME2"), "Rows": ("US", HEIGHT),
        "Columns": ("US", WIDTH), "BitsAllocated": ("US", allocated), "BitsStored": ("US", stored),
        "HighBit": ("US", stored - 1), "PixelRepresentation": ("US", representation),
        "WindowCenter": ("DS", centre), "WindowWidth": ("DS", width),
    }  # fmt: skip
    plain = {
        "BitsStored": stored, "PixelRepresentation": representation, "padding": (), "window": (centre, width),
        "slope": 1.0, "intercept": 0.0, "function": "LINEAR", "inverted": False,
    }  # fmt: skip
    return elements, plain


def plain_film(rng: random.Random) -> tuple[bytes, str, np.ndarray]:
    """A film whose elements are right but unusual, what was chosen, and its grey values."""
    allocated = rng.choice((8, 16, 16, 32))
    stored = rng.randint(max(4, allocated - 6), allocated) if allocated < 32 else rng.randint(10, 20)
    representation, syntax = rng.randrange(2), rng.choice((EXPLICIT, IMPLICIT, BIG))
    elements, plain = base(allocated, stored, representation)
    top = 1 << stored
    cells = np.array([[rng.randrange(top) for _ in range(WIDTH)] for _ in range(HEIGHT)], np.uint64)
    if representation:  # cells hold the sign extended
        cells = np.where(cells >= top // 2, cells + ((1 << allocated) - top), cells)
    if rng.random() < 0.6:  # a value of the film, with or without a range, in either representation, sign in 16 bits
        values = [int(cells[rng.randrange(HEIGHT), rng.randrange(WIDTH)]) % top for _ in range(rng.choice((1, 2)))]
        plain["padding"] = values if stored <= 16 else ()
        if stored <= 16:
            for name, value in zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), values, strict=False):
                whole = value - top if representation and value >= top // 2 else value
                elements[name] = (rng.choice(("US", "SS")), whole)
    if rng.random() < 0.5:
        slope, intercept = rng.choice((1.0, 0.25, 2.0, -1.0)), rng.choice((0.0, -1024.0, 100.5))
        elements["RescaleSlope"], elements["RescaleIntercept"] = ("DS", slope), ("DS", intercept)
        plain |= {"slope": slope, "intercept": intercept}
        low, high = sorted(
            v * slope + intercept for v in ((-top // 2, top // 2 - 1) if representation else (0, top - 1))
        )
        plain["window"] = ((low + high) / 2, max(high - low, 4))
    if rng.random() < 0.5:
        c, w = plain["window"]
        plain["window"] = (c + w * rng.choice((-0.25, 0, 0.2)), max(w * rng.choice((0.3, 1, 1.7)), 2))
    c, w = (float(f"{v:.8g}") for v in plain["window"])
    plain["window"] = (c, w)
    elements["WindowCenter"], elements["WindowWidth"] = ("DS", repr(c)), ("DS", repr(w))
    if rng.random() < 0.4:
        plain["function"] = rng.choice(("LINEAR", "LINEAR_EXACT", "SIGMOID"))
        elements["VOILUTFunction"] = ("CS", plain["function"])
    if rng.random() < 0.4:
        plain["inverted"] = True
        elements["PhotometricInterpretation"] = ("CS", "MONOCHROME1")
        if rng.random() < 0.5:
            elements["PresentationLUTShape"] = ("CS", "INVERSE")
    kind = f"{'>' if syntax == BIG else '<'}u{allocated // 8}"
    vr = "OW" if allocated > 8 or syntax == IMPLICIT else "OB"
    data = cells.astype(kind).tobytes()
    if syntax == BIG and allocated == 32:  # OW is swapped in words of 16 bits; 32-bit cells leave that open
        syntax, kind = EXPLICIT, "<u4"
        data = cells.astype(kind).tobytes()
    chosen = {name: value for name, (_, value) in elements.items() if name not in ("Modality", "ViewPosition")}
    pixels = element(0x7FE00010, vr, data, syntax != IMPLICIT, syntax == BIG)
    return written(elements, pixels, syntax), f"plain {syntax[-5:]} {chosen}", expected(cells, plain)


def hostile_film(rng: random.Random) -> tuple[bytes, str]:
    """A film with one to three elements that are wrong."""
    allocated, representation = rng.choice((8, 16)), rng.randrange(2)
    elements, _ = base(allocated, allocated - 4 * (allocated > 8), representation)
    cells = np.add.outer(5 * np.arange(HEIGHT), 7 * np.arange(WIDTH)) % 200
    data = cells.astype(f"<u{allocated // 8}").tobytes()
    damage: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(list(TAGS))
        vr = TAGS[name][1]
        how = rng.choice(("value", "value", "text", "empty", "missing", "several", "bytes"))
        if how == "missing":
            elements.pop(name, None)
        elif how == "empty":
            elements[name] = (vr, b"")
        elif how == "text":
            elements[name] = (rng.choice((vr, "LO", "DS", "UN")), text(rng))
        elif how == "several":
            elements[name] = (vr, "\\".join(str(number(rng))[:16] for _ in range(rng.choice((2, 3, 50)))))
        elif how == "bytes":
            elements[name] = (rng.choice((vr, "FD", "SL", "OB", "XX")), rng.randbytes(rng.choice((1, 2, 3, 4, 8))))
        else:
            value = number(rng)
            whole = vr in ("US", "SS") and value == value and abs(value) < math.inf
            elements[name] = (rng.choice((vr, vr, "SS")), int(value) if whole else str(value)[:60])
        damage.append(f"{name} {how}")
    extra = b""
    if rng.random() < 0.25:
        tag = rng.choice((0x00283000, 0x00283010))
        entries, bits = rng.choice((0, 1, 2, 256, 4096, 65535)), rng.choice((0, 1, 8, 12, 16, 17, 99))
        extra = sequence(tag, rng.choice((0, -1, 100, -2048, 65535)), entries, bits, rng.choice(("US", "SS")))
        damage.append("LUT")
    if rng.random() < 0.2:
        data = rng.choice((data[:-1], data[: len(data) // 2], data * 2, data + b"\0\0\0", b"", data[1:]))
        damage.append("length of pixels")
    syntax = EXPLICIT
    if rng.random() < 0.1:
        syntax = rng.choice(SYNTAXES)
        damage.append(f"syntax {syntax}")
    return written(
        elements, element(0x7FE00010, "OW", data, syntax != IMPLICIT, syntax == BIG), syntax, extra
    ), ", ".join(damage)


def cases(seed: int, count: int) -> Iterator[Case]:
    for index in range(count):
        rng = generator(NAME, seed, index)
        kind, picture = rng.random(), None
        if kind < 0.35:
            data, damage, picture = plain_film(rng)
        elif kind < 0.75:
            data, damage = hostile_film(rng)
        else:
            name = rng.choice(("rle", "j2k", "jpeg", "jpeg-ls", "native"))
            whole = plain_film(rng)[0] if name == "native" else compressed(name)[0]
            data, damage = damaged(whole, rng)
            damage = f"{name} {damage}"

        def run(folder: Path, data=data, picture=picture) -> str:
            path = folder / "film.dcm"
            path.write_bytes(data)
            try:
                film = matex.read(path)
            except matex.InputError as error:
                if "ZZTOP" in str(error):
                    raise Wrong("the patient's name in a refusal") from None
                if picture is not None and np.ptp(picture) > 0:
                    raise Wrong(f"a film whose elements are right was refused: {error}") from None
                raise
            if film.pixels.dtype != np.uint8 or film.pixels.ndim != 2 or film.pixels.size < 1:
                raise Wrong(f"pixels {film.pixels.dtype} {film.pixels.shape}")
            if "ZZTOP" in " ".join(film.notes):
                raise Wrong("the patient's name in a note")
            if picture is None:
                return "read with a note" if film.notes else "read as the elements say"
            if film.pixels.shape != picture.shape:
                raise Wrong(f"shape {film.pixels.shape}")
            off = np.abs(film.pixels - picture).max()
            if off > 0.51 and not any("unusable" in note for note in film.notes):
                raise Wrong(f"grey values differ by up to {off:.3g}; notes {film.notes}")
            return "read, equal to the second reading"

        yield Case(f"{NAME} --seed {seed} {index}: {damage}"[:600], run)
