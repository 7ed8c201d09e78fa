"""Films as the deletion metrics change them: at most 640 pixels on the shorter side, in three channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LARGEST = 640  # shorter side, pixels; larger films are shrunk to it first


def shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels [height, width] or [height, width, 3] with a shorter side of at most 640, by Pillow's default filter."""
    height, width = pixels.shape[:2]
    scale = min(height, width) / _LARGEST
    if scale <= 1:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((int(width / scale), int(height / scale))))


def coloured(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels as the metric changes them: shrunk, and in three channels."""
    return np.asarray(Image.fromarray(shrunk(pixels)).convert("RGB"))
