"""How one image shows a patient: view, frame of the organ, and whether it is the mirror image of the pack's display."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matex.domains.pack import Pack, View
from matex.geometry import Placement
from matex.images import Film
from matex.priors.atlas import Box

_SIDE = 128  # the longer side on which an organ is looked for, pixels
_BRIGHT = 0.1  # of the range of grey values above the darkest: what counts as foreground
_LEAST, _MOST = 0.1, 0.97  # share of the film that a foreground can cover; more means that there is no background
_BAND = 0.04  # of the film's width: an edge that the organ touches
_WALL = 2.0  # how much more of one edge than of the other the organ must touch


@dataclass(frozen=True)
class Display:
    """One image, in the standard frame in which the model sees it.

    Args:
        view: of the pack; None where it is unknown.
        frame: box of the organ in fractions of the image; None where it was not found.
        mirrored: the image is the mirror image of the pack's display; None where that is not known.
        assumed: nothing stated the display or the view.
    """

    view: View | None
    frame: Box | None
    mirrored: bool | None
    assumed: bool


UNKNOWN_DISPLAY = Display(None, None, None, assumed=True)
"""Of an image whose phrase names no region, so that nobody looked."""


def display_of(pack: Pack, film: Film, placement: Placement) -> Display:
    """The display of a film by the rules of a pack.

    Args:
        pack: with its views, frame and orientation.
        film: as read; it knows what the file or the caller stated.
        placement: carries the pixels to the standard frame.
    """
    view = pack.view(film.view)
    mirrored = _stated(film)
    shown = None
    if pack.frame == "foreground" or pack.orientation == "found":
        shown = foreground(placement.to_standard(_grey(film.pixels)))
    if pack.orientation == "assumed" and mirrored is None:
        mirrored = False
    if pack.orientation == "found":
        mirrored = None if shown is None or view is None else _found(shown, film, view)
    frame = (0.0, 0.0, 1.0, 1.0)
    if pack.frame == "foreground":
        frame = None if shown is None else bounds(shown)
    return Display(view, frame, mirrored, film.view is None or _stated(film) is None)


def _stated(film: Film) -> bool | None:
    """Whether the upright image, flipped where the film is declared mirrored, is still a mirror image; None: unknown.

    A view from the side has the patient's front on the image's left in standard display.
    """
    if film.facing is not None:
        return (film.facing == "right") != film.mirrored
    return False if film.oriented or film.mirrored else None


def _grey(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Every n-th pixel of an image as grey values, so that few are read."""
    step = max(1, -(-max(pixels.shape[:2]) // _SIDE))
    some = pixels[::step, ::step].astype(np.float64)
    return some.mean(axis=2) if some.ndim == 3 else some


def foreground(grey: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """The largest bright area of an image with its holes, bool [height, width]; None where nothing stands out.

    A burnt-in marker is a smaller area of its own. An image without a dark background has no foreground.
    """
    low, high = np.quantile(grey, (0.01, 0.99))
    if high - low < 16:  # of 255 grey values
        return None
    largest = _largest(grey > low + _BRIGHT * (high - low))
    share = float(largest.mean())
    return largest if _LEAST <= share <= _MOST else None


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected area (four neighbours) of a mask, which has one."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:  # the highest number of each area spreads over it, row by row and column by column
        spread = labels
        for axis in (0, 1):
            for step in (1, -1):
                spread = _swept(spread, mask, axis, step)
        if np.array_equal(spread, labels):
            break
        labels = spread
    numbers, counts = np.unique(labels[mask], return_counts=True)
    return labels == numbers[counts.argmax()]


def _swept(labels: NDArray[np.intp], mask: NDArray[np.bool_], axis: int, step: int) -> NDArray[np.intp]:
    """Labels after one sweep over the image: each line takes over the higher labels of the line before."""
    lines = np.moveaxis(labels.copy(), axis, 0)[::step]
    inside = np.moveaxis(mask, axis, 0)[::step]
    for number in range(1, len(lines)):
        lines[number] = np.where(inside[number], np.maximum(lines[number], lines[number - 1]), 0)
    return np.moveaxis(lines[::step], 0, axis)


def bounds(mask: NDArray[np.bool_]) -> Box:
    """The smallest box around a mask, fractions of the image."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def _found(shown: NDArray[np.bool_], film: Film, view: View) -> bool | None:
    """Whether an organ that touches the edge at the chest wall lies the other way round; None: no edge is clear.

    In standard display the right breast points to the image's left, its chest wall at the right edge; the left breast
    is its mirror image (DICOM PS3.3 C.8.11.7: P on a row's end for the right one, A for the left).
    """
    band = max(1, round(_BAND * shown.shape[1]))
    left, right = float(shown[:, :band].mean()), float(shown[:, -band:].mean())
    if max(left, right) < _WALL * min(left, right) or max(left, right) < 0.2:
        return None
    wall_right = right > left
    if film.facing is not None and ((film.facing == "left") != film.mirrored) != wall_right:
        return None  # the file says the opposite
    return wall_right == (view.sides == "left")
