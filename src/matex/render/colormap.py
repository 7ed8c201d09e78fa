"""Raw values to colours and opacity: a colour bar and the map beside it are made from one object."""

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
# Blue to amber over near black: the sides differ for colour-blind readers too, and grow lighter with size.
DIVERGING = "b5dcff 6fb4f2 2f86d8 1d5c9e 163a60 15161a 5c3413 9c5415 e0801f ffb354 ffe2ac"

POSITIVE = "#f0932b"
NEGATIVE = "#4a9be8"


@cache
def table(anchors: str) -> NDArray[np.uint8]:
    """Evenly spaced anchors to a look-up table, uint8 [255, 3]; 255 entries so that a centre exists."""
    points = np.array([list(bytes.fromhex(anchor)) for anchor in anchors.split()], dtype=np.float64)
    where = np.linspace(0, len(points) - 1, 255)
    return (
        np.stack([np.interp(where, np.arange(len(points)), points[:, channel]) for channel in range(3)], axis=1)
        .round()
        .astype(np.uint8)
    )


@dataclass(frozen=True)
class ColourScale:
    """The colour and opacity of every raw value between `low` and `high`.

    Args:
        low: raw value of the first colour.
        high: raw value of the last colour.
        signed: True for the diverging map, whose centre (value 0 when low = -high) is transparent.
    """

    low: float
    high: float
    signed: bool = False

    @classmethod
    def spanning(cls, values: NDArray[np.floating]) -> ColourScale:
        """From the smallest to the largest value, NaN left out."""
        known = values[np.isfinite(values)]
        return cls(float(known.min()), float(known.max())) if known.size else cls(np.nan, np.nan)

    @classmethod
    def centred(cls, values: NDArray[np.floating]) -> ColourScale:
        """Symmetric about 0, wide enough for every value, NaN left out."""
        known = values[np.isfinite(values)]
        reach = float(np.abs(known).max()) if known.size else np.nan
        return cls(-reach, reach, signed=True)

    @property
    def constant(self) -> bool:
        """True when all values are the same or none is known: nothing to show."""
        return not self.high - self.low > 1e-8 * max(1e-30, abs(self.low), abs(self.high))

    def tell(self, value: float) -> str:
        """A value in numbers, as finely as this scale needs: three digits of its span."""
        if not np.isfinite(value):
            return "undefined"
        if self.constant:
            return f"{value:.3g}"
        decimals = 2 - int(np.floor(np.log10(self.high - self.low)))
        return f"{value:.{max(decimals, 0)}f}" if decimals <= 5 else f"{value:.2e}"

    def fractions(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Raw values to [0, 1] along the bar, clipped; 0 (or the centre) everywhere on a constant scale."""
        if self.constant:
            return np.where(np.isnan(values), np.nan, 0.5 if self.signed else 0.0)
        return np.clip((values.astype(np.float64) - self.low) / (self.high - self.low), 0.0, 1.0)

    @property
    def colours(self) -> NDArray[np.uint8]:
        """The colour bar, uint8 [255, 3], low to high."""
        return table(DIVERGING if self.signed else INFERNO)

    @property
    def opacity(self) -> NDArray[np.float64]:
        """Opacity of each colour [255]: none at 0, so that the film stays readable under the map."""
        along = np.linspace(0.0, 1.0, 255)
        size = np.abs(2 * along - 1) if self.signed else along
        return 0.66 * size
