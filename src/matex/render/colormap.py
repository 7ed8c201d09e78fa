"""Raw values to colours and opacity, the same for a map and its colour bar."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

# Every eighth colour of matplotlib's inferno (CC0); straight lines between them stay within 2 of 255.
INFERNO = (
    "000004 040312 0b0724 150b37 210c4a 2f0a5b 3d0965 4a0c6b 57106e 64156e 71196e 7d1e6d 8a226a 972766 "
    "a32c61 b0315b bc3754 c63d4d d04545 da4e3c e35933 eb6429 f1711f f67e14 f98c0a fb9b06 fcaa0f fbba1f "
    "f9c932 f5d949 f2e865 f3f586 fcffa4"
)
# Alternatives for readers who prefer them: cividis looks alike to colour-blind readers (both CC0, as above).
CIVIDIS = (
    "00224e 00285b 002e6a 043371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 52596d 5a5f6e 61656f 686a71 "
    "6f7073 757676 7c7b78 848179 8b8778 938d78 9b9376 a39a75 aba072 b3a670 bbad6c c3b469 ccba64 d4c15f "
    "ddc958 e6d051 efd748 f8df3c fee838"
)
VIRIDIS = (
    "440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d 2f6a8e 2c728e 297a8e "
    "26818e 23898e 21908c 1f988b 1f9f88 21a685 28ae80 31b57b 3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f "
    "abdc32 c0df24 d5e21a eae51a fde725"
)
# Blue to amber over near black: the sides differ for colour-blind readers too, and grow lighter with size.
DIVERGING = "b5dcff 6fb4f2 2f86d8 1d5c9e 163a60 15161a 5c3413 9c5415 e0801f ffb354 ffe2ac"

PALETTES = {"inferno": INFERNO, "cividis": CIVIDIS, "viridis": VIRIDIS, "diverging": DIVERGING}

POSITIVE = "#f0932b"
NEGATIVE = "#4a9be8"


@cache
def table(anchors: str) -> NDArray[np.uint8]:
    """Interpolate evenly spaced colours to a look-up table, uint8 [255, 3]; 255 entries so that a centre exists."""
    points = np.array([list(bytes.fromhex(anchor)) for anchor in anchors.split()], dtype=np.float64)
    where = np.linspace(0, len(points) - 1, 255)
    return (
        np.stack([np.interp(where, np.arange(len(points)), points[:, channel]) for channel in range(3)], axis=1)
        .round()
        .astype(np.uint8)
    )


@dataclass(frozen=True)
class ColourScale:
    """The colour and opacity of every raw value of a map.

    A map without negative values runs along a sequential map from its minimum, transparent, to its maximum. One with
    negative values runs along a diverging map centred on 0, equally far to both sides: 0 is transparent, so that a
    value near 0 leaves the film as it is and the hue is the sign.

    Args:
        low: smallest raw value of the map; NaN when none is known.
        high: largest raw value of the map.
    """

    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> ColourScale:
        """The scale of a map of any shape; NaN and infinite values are left out."""
        low, high = (float(reduce(values, axis=None, initial=np.nan)) for reduce in (np.fmin.reduce, np.fmax.reduce))
        if np.isinf(low) or np.isinf(high):
            return cls.of(values[np.isfinite(values)])
        return cls(low, high)

    @property
    def signed(self) -> bool:
        """True when the map has negative values: the diverging map, centred on 0."""
        return self.low < 0

    @property
    def ends(self) -> tuple[float, float]:
        """Raw values at the two ends of the colour bar."""
        reach = max(abs(self.low), abs(self.high))
        return (-reach, reach) if self.signed else (self.low, self.high)

    @property
    def constant(self) -> bool:
        """True when all values are equal or none is finite."""
        return not self.high - self.low > 1e-8 * max(1e-30, abs(self.low), abs(self.high))

    def format(self, value: float) -> str:
        """A value to the precision of this scale: three significant digits of its span."""
        if not np.isfinite(value):
            return "undefined"
        if self.constant:
            return f"{value:.3g}"
        if value == 0 and self.signed:
            return "0"
        start, end = self.ends
        decimals = 2 - int(np.floor(np.log10(end - start)))
        return f"{value:.{max(decimals, 0)}f}" if decimals <= 5 else f"{value:.2e}"

    @property
    def legend(self) -> str:
        """Legend of the colours in words; with the range of the map where the bar extends beyond it."""
        if self.signed:
            low, high = self.format(self.low), self.format(self.high)
            return f"raw values {low} to {high}, centred on 0, which is transparent: amber above 0, blue below"
        return "raw values, coloured from minimum to maximum"

    def fractions(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions of raw values along the colour bar in [0, 1], clipped; the transparent one on a constant scale."""
        if self.constant:
            return np.where(np.isnan(values), np.nan, 0.5 if self.signed else 0.0)
        start, end = self.ends
        return np.clip((values.astype(np.float64) - start) / (end - start), 0.0, 1.0)

    def strength(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Distance of values from the transparent end or centre of the scale, in [0, 1]."""
        fractions = self.fractions(values)
        return np.abs(2 * fractions - 1) if self.signed else fractions

    @property
    def colours(self) -> NDArray[np.uint8]:
        """Colours along the bar, uint8 [255, 3], low to high."""
        return table(DIVERGING if self.signed else INFERNO)

    @property
    def opacity(self) -> NDArray[np.float64]:
        """Opacity of each colour [255]: none at the transparent end or centre, so that the film stays readable."""
        along = np.linspace(0.0, 1.0, 255)
        size = np.abs(2 * along - 1) if self.signed else along
        return 0.66 * size
