"""Limits on the size of an image."""

from matex.errors import InputError

MIN_SIDE = 16  # pixels; fewer cannot hold a finding
MAX_PIXELS = 178_000_000  # just under Pillow's own hard limit, some ten times a large radiograph
MAX_BYTES = 1 << 30
MAX_DECODED = 480_000_000  # bytes of an image as Pillow holds it, so that reading stays within 1 GB
MAX_WHOLE = 40_000_000  # pixels, twice a large radiograph; larger files are reduced where a model reads them
READ_SIDE = 1024  # pixels that the shorter side of a film keeps where a model reads it: pictures are no larger


def too_large(where: str) -> InputError:
    return InputError(
        f"Expected an image of at most {MAX_PIXELS // 1_000_000} megapixels, got a larger one: {where}. Scale it down."
    )


def check_size(height: int, width: int, where: str) -> None:
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"Expected an image of at least {MIN_SIDE} x {MIN_SIDE} pixels, got {height} x {width} "
            f"(height x width): {where}. Give the film itself."
        )
