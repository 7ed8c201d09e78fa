"""Decoding of one compressed frame by one of pydicom's plugins, in this process or in a separate one."""

import json
import subprocess
import sys
from io import BytesIO
from typing import Any, TypedDict

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

_SECONDS = 120  # for one frame; a large film takes two


class FrameOptions(TypedDict):
    """Options of pydicom's `Decoder.as_array`."""

    rows: int
    columns: int
    samples_per_pixel: int
    number_of_frames: int
    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    pixel_keyword: str


def decode_frame(frame: bytes, syntax: str, plugin: str, options: FrameOptions) -> np.ndarray:
    """Stored values [rows, columns] of a frame.

    Args:
        frame: the codestream.
        syntax: transfer syntax UID.
        plugin: pydicom's name of the decoder.
        options: of `Decoder.as_array`: rows, columns, bits and so on.

    Raises:
        Exception: of nearly any kind, on a damaged frame.
    """
    decoder: Any = get_decoder(UID(syntax))  # its annotation takes each option for all of them
    values, _ = decoder.as_array(encapsulate([frame]), index=0, raw=True, decoding_plugin=plugin, **options)
    return values


def decode_apart(frame: bytes, syntax: str, options: FrameOptions) -> np.ndarray:
    """Decode with GDCM in a separate process, which a damaged frame may abort; GDCM's output is dropped.

    Raises:
        ValueError: a damaged frame.
    """
    request = json.dumps({"syntax": str(syntax), "plugin": "gdcm", "options": options}).encode() + b"\n"
    done = subprocess.run(
        [sys.executable, "-P", __file__],  # -P: no module of the current folder is imported
        input=request + frame,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"the decoder ended with {done.returncode}")
    return np.load(BytesIO(done.stdout), allow_pickle=False)


def main() -> None:
    """Read a request and a frame from standard input and write the values as .npy to standard output."""
    request = json.loads(sys.stdin.buffer.readline())
    values = decode_frame(sys.stdin.buffer.read(), **request)
    stream = BytesIO()
    np.save(stream, values, allow_pickle=False)
    sys.stdout.buffer.write(stream.getvalue())


if __name__ == "__main__":
    main()
