"""Films as files: damaged bytes and edited headers of every format that is read."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import matex
from tests.fuzz.hostile import damaged
from tests.fuzz.runner import Case, Wrong, generator

NAME = "films"
MUTATED = "PNG, JPEG, TIFF, BMP, WebP, GIF, PGM, JPEG 2000: bits, truncation, zeros, insertions, header fields, sizes"
HEIGHT, WIDTH = 38, 53
FORMATS = {
    "png": ("PNG", "L", {}),
    "png16": ("PNG", "I;16", {}),
    "png-rgb": ("PNG", "RGB", {}),
    "png-p": ("PNG", "P", {}),
    "jpeg": ("JPEG", "L", {"quality": 90}),
    "jpeg-rgb": ("JPEG", "RGB", {"progressive": True}),
    "tiff": ("TIFF", "L", {}),
    "tiff-lzw": ("TIFF", "L", {"compression": "tiff_lzw"}),
    "tiff-deflate": ("TIFF", "I;16", {"compression": "tiff_adobe_deflate"}),
    "tiff-g4": ("TIFF", "1", {"compression": "group4"}),
    "tiff-jpeg": ("TIFF", "L", {"compression": "jpeg"}),
    "bmp": ("BMP", "L", {}),
    "webp": ("WEBP", "RGB", {"lossless": True}),
    "gif": ("GIF", "P", {}),
    "pgm": ("PPM", "L", {}),
    "jp2": ("JPEG2000", "L", {"irreversible": False}),
}


@functools.cache
def original(kind: str) -> bytes:
    """A small asymmetric film in this format."""
    form, mode, options = FORMATS[kind]
    ramp = np.add.outer(3 * np.arange(HEIGHT), 2 * np.arange(WIDTH)) % 251
    image = Image.fromarray(ramp.astype(np.uint16) * 257 if mode == "I;16" else ramp.astype(np.uint8))
    stream = io.BytesIO()
    (image if mode == "I;16" else image.convert(mode)).save(stream, form, **options)
    return stream.getvalue()


@functools.cache
def shown(kind: str) -> np.ndarray:
    """What the undamaged file holds by Pillow alone, grey, 8 bits; None of it comes from the reader under test."""
    image = Image.open(io.BytesIO(original(kind)))
    if image.mode.startswith("I"):
        values = np.asarray(image, float)
        return np.rint((values - values.min()) / np.ptp(values) * 255).astype(np.uint8)
    return np.asarray(image.convert("L"))


def edited(kind: str, data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """A PNG whose header says something else, with its checksum right; other formats are damaged as bytes are."""
    if not kind.startswith("png") or rng.random() < 0.6:
        return damaged(data, rng)
    head = bytearray(data[16:29])
    field = rng.choice(("width", "height", "depth", "colour", "interlace", "method"))
    if field in ("width", "height"):
        struct.pack_into(">I", head, 0 if field == "width" else 4, rng.choice((0, 1, 16, 52, 54, 5000, 2**31 - 1)))
    else:
        head[{"depth": 8, "colour": 9, "method": 10, "interlace": 12}[field]] = rng.choice(
            (0, 1, 2, 3, 4, 6, 8, 16, 99)
        )
    return data[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + data[33:], f"IHDR {field}"


def header_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) by the file's own header, read without Pillow; None for formats that are not parsed here."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = struct.unpack(">II", data[16:24])
    elif data[:2] == b"BM" and data[14:18] == b"\x28\0\0\0":
        width, height = struct.unpack("<ii", data[18:26])
    else:
        return None
    return abs(height), abs(width)


def check(kind: str, data: bytes, damage: str, side: int | None, path: Path) -> str:
    film = matex.read(path, side=side)
    if film.pixels.dtype != np.uint8 or film.pixels.ndim not in (2, 3) or not film.pixels.size:
        raise Wrong(f"pixels {film.pixels.dtype} {film.pixels.shape}")
    size = header_size(data)
    if size is not None and film.size != size and not any("orientation" in note for note in film.notes):
        raise Wrong(f"size {film.size}, header {size}")
    expected = shown(kind)
    grey = film.pixels if film.pixels.ndim == 2 else np.rint(film.pixels @ [0.299, 0.587, 0.114])
    equal = grey.shape == expected.shape and np.abs(grey.astype(int) - expected).max() <= 1
    if equal:
        return "read equal"
    if film.notes:
        return "read with a note"
    if damage == "truncated":
        raise Wrong(f"truncated to {len(data)} of {len(original(kind))} bytes, read as another film without a note")
    if kind.startswith("png") and "IHDR" not in damage:
        raise Wrong(f"a PNG, which has checksums, read as another film without a note ({damage})")
    return "read as the bytes say"  # formats without checksums: a changed pixel is a pixel


def cases(seed: int, count: int) -> Iterator[Case]:
    for index in range(count):
        rng = generator(NAME, seed, index)
        kind = rng.choice(list(FORMATS))
        data, damage = edited(kind, original(kind), rng)
        suffix = rng.choice((f".{kind.partition('-')[0]}", ".png", "", ".dcm"))
        side = rng.choice((None, 16, 1024))

        def run(folder: Path, kind=kind, data=data, damage=damage, suffix=suffix, side=side) -> str:
            path = folder / f"film{suffix}"
            path.write_bytes(data)
            return check(kind, data, damage, side, path)

        yield Case(f"{NAME} --seed {seed} {index}: {kind} {damage}", run)
