"""Segmentation of the two lungs of a frontal film by a small U-Net in NumPy.

Trained by `matex.simulation.training.lungs`, which writes the weights that ship next to this file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from PIL import Image

SIZE = 48
"""Height and width of the film as the network sees it, pixels; its aspect ratio is not kept."""
CHANNELS = (8, 16, 24, 32)
"""Channels per level; the resolution halves from one level to the next."""
WEIGHTS = Path(__file__).parent / "lungs.safetensors"

Array = NDArray[np.float32]


def lung_probabilities(film: NDArray[np.uint8]) -> Array:
    """Probability of lung at each pixel of a reduced copy of the film.

    Args:
        film: uint8 [height, width], grey, dense = bright.

    Returns:
        [2, SIZE, SIZE] in [0, 1]: the lung on the image's left, the lung on the image's right.
    """
    small = np.asarray(Image.fromarray(film).resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float32)
    small = (small - small.mean()) / max(float(small.std()), 1.0)
    layers = iter(_weights())
    skips: list[Array] = []
    values = small[None]
    for level in range(len(CHANNELS)):
        if level:
            values = _halve(values)
        values = _convolve(_convolve(values, *next(layers)), *next(layers))
        skips.append(values)
    for skip in reversed(skips[:-1]):
        values = np.concatenate([values.repeat(2, axis=1).repeat(2, axis=2), skip])
        values = _convolve(_convolve(values, *next(layers)), *next(layers))
    kernel, bias = next(layers)
    logits = np.tensordot(kernel[0, 0], values, axes=1) + bias[:, None, None]
    return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)


@cache
def _weights() -> tuple[tuple[Array, Array], ...]:
    """Kernel [row, column, out, in] and bias [out] of each convolution, in order of use."""
    stored: dict[str, Array] = safetensors.numpy.load_file(WEIGHTS)
    return tuple(
        (stored[f"kernel{index}"].astype(np.float32), stored[f"bias{index}"].astype(np.float32))
        for index in range(len(stored) // 2)
    )


def _convolve(values: Array, kernel: Array, bias: Array) -> Array:
    """3 x 3 convolution with zero padding, then ReLU: [in, height, width] -> [out, height, width]."""
    _, height, width = values.shape
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    shifted = [padded[:, row : row + height, column : column + width] for row in range(3) for column in range(3)]
    columns = np.stack(shifted).reshape(-1, height * width)
    weights = kernel.transpose(2, 0, 1, 3).reshape(len(bias), -1)
    return np.maximum(weights @ columns + bias[:, None], 0).reshape(len(bias), height, width)


def _halve(values: Array) -> Array:
    """Maximum of each 2 x 2 square."""
    channels, height, width = values.shape
    return values.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))
