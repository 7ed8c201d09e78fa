"""The weight of one region on the image: the parabola of MATEX eq. 3-4 and softer alternatives, in numpy."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from matex.priors.atlas import Box

Values = NDArray[np.float64]
Kind = Literal["parabola", "gaussian", "box", "atlas", "paper-gaussian", "paper-box"]
PAPER = "paper-"  # before a kind: on the boxes of the paper
KINDS: tuple[str, ...] = get_args(Kind)


def parabola(x: Values, y: Values, box: Box) -> Values:
    """MATEX eq. 3-4 to the letter: two clamped ramps multiplied, per axis.

    The product is (z - low)(high - z)/(high - low)^2 inside: 1/4 in the middle of the box, 0 on and outside
    its edge, so at most 1/16 in the plane. The paper calls it Gaussian (3.1); it is not.

    Returns:
        [rows, columns].
    """

    def ramps(z: Values, low: float, high: float) -> Values:
        rising = np.clip((z - low) / (high - low), 0, 1)
        falling = np.clip((high - z) / (high - low), 0, 1)
        return rising * falling

    return np.outer(ramps(y, box[1], box[3]), ramps(x, box[0], box[2]))


def gaussian(x: Values, y: Values, box: Box) -> Values:
    """The Gaussian that section 3.1 of MATEX speaks of: centre of the box, sd a quarter of its size."""

    def bell(z: Values, low: float, high: float) -> Values:
        return np.exp(-0.5 * ((z - (low + high) / 2) / ((high - low) / 4)) ** 2)

    return np.outer(bell(y, box[1], box[3]), bell(x, box[0], box[2]))


def indicator(x: Values, y: Values, box: Box) -> Values:
    """1 inside the box, its edge included, 0 outside."""
    return np.outer(
        ((y >= box[1]) & (y <= box[3])).astype(np.float64), ((x >= box[0]) & (x <= box[2])).astype(np.float64)
    )


def plateau(x: Values, y: Values, box: Box, soft: tuple[float, float]) -> Values:
    """1 inside the box, falling off outside as a Gaussian with the given sd per axis (x, y)."""

    def shoulder(z: Values, low: float, high: float, sd: float) -> Values:
        return np.exp(-0.5 * (np.maximum(np.maximum(low - z, z - high), 0) / sd) ** 2)

    return np.outer(shoulder(y, box[1], box[3], soft[1]), shoulder(x, box[0], box[2], soft[0]))


def shape(kind: str, x: Values, y: Values, box: Box, soft: tuple[float, float]) -> Values:
    """The weight of a box by kind, [rows, columns]; `soft` is read by "atlas" alone."""
    kind = kind.removeprefix(PAPER)
    if kind == "parabola":
        return parabola(x, y, box)
    if kind == "gaussian":
        return gaussian(x, y, box)
    if kind == "box":
        return indicator(x, y, box)
    return plateau(x, y, box, soft)
