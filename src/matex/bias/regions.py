"""Parts of a frontal chest film that do not overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.dicom.view_position import is_frontal
from matex.images import Film
from matex.simulation import find_lungs
from matex.simulation.body import enlarged, find_body

Mask = NDArray[np.bool_]
REGIONS = ("right lung", "left lung", "rest of the body", "air", "markers")
"""Patient's sides; markers are bright parts of the film in the air around the body, such as side letters."""
MARKED = 0.001
"""Share of the film from which markers count as present."""


def regions_of(film: Film) -> dict[str, Mask]:
    """Masks of the regions that are known on a film, bool [height, width] of the film's pixels.

    Lungs are missing where the segmenter is not sure of both; all others where the outline of the body is not known.
    All are missing on a view that is not frontal, on which a segmenter of frontal films finds lungs too.
    """
    if not is_frontal(film.view):
        return {}
    grey = np.asarray(Image.fromarray(film.pixels).convert("L"))
    height, width = film.size
    masks: dict[str, Mask] = {}
    lungs, body = find_lungs(grey), find_body(grey)
    if lungs.measured:
        sides = ("left lung", "right lung") if film.mirrored else ("right lung", "left lung")
        found = zip(sides, (lungs.right, lungs.left), strict=True)
        masks = {name: enlarged(mask, height, width) for name, mask in found}
    if body.measured and masks:
        inside = enlarged(body.mask, height, width)
        markers = enlarged(body.markers, height, width) & ~inside
        masks = {name: mask & inside for name, mask in masks.items()}
        lung = masks["right lung"] | masks["left lung"]
        masks |= {"rest of the body": inside & ~lung, "air": ~inside & ~markers, "markers": markers}
    return masks
