"""Outline of the body on a frontal film: what is neither the air around the patient nor a marker in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.simulation.chest import find_lungs, largest_part

COLUMNS = 128  # of the working grid
AIR = 0.12  # of the span from the darkest percent of the film to its median: darker is air
LEAST, MOST = 0.3, 0.97  # shares of the film that a body covers
LUNGS_INSIDE = 0.97  # share of the lungs that a body must hold


@dataclass(frozen=True, eq=False)
class Body:
    """Body of one film.

    Args:
        mask: bool [height, width] of the film.
        markers: bright parts outside of it, such as side letters, bool [height, width].
        measured: False where the outline is doubtful or the film shows nothing outside of it.
    """

    mask: NDArray[np.bool_]
    markers: NDArray[np.bool_]
    measured: bool


def find_body(film: NDArray[np.uint8]) -> Body:
    """Estimate the outline of the body of a frontal film.

    Pixels brighter than air form connected parts; the largest one with its holes filled is the body, since lungs are
    dark but enclosed. Markers and labels in the air are parts of their own. A bright frame around the film encloses the
    air, which then counts as body: above a share of `MOST` the outline is not `measured`.

    Args:
        film: uint8 [height, width], grey, dense = bright.
    """
    height, width = film.shape
    rows = max(24, round(COLUMNS * height / width))
    grid = np.asarray(Image.fromarray(film).resize((COLUMNS, rows), Image.Resampling.BOX), dtype=np.float32)
    low, middle = np.percentile(grid, (1, 50))
    bright = grid > low + AIR * (middle - low)
    body = largest_part(bright)
    lungs = find_lungs(film)
    share = body.mean()
    inside = np.asarray(Image.fromarray(lungs.right | lungs.left).resize((COLUMNS, rows), Image.Resampling.NEAREST))
    holds_lungs = not lungs.measured or body[inside].mean() >= LUNGS_INSIDE
    measured = bool(LEAST <= share <= MOST and holds_lungs)
    return Body(enlarged(body, height, width), enlarged(bright & ~body, height, width), measured)


def enlarged(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """A mask of a working grid at the size of the film."""
    full = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(full) >= 128
