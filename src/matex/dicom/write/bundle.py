"""All objects of one explanation, by the names of their files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from matex.dicom.grey import Look
from matex.dicom.write.equipment import Identity, identity
from matex.dicom.write.parametric_map import parametric_map
from matex.dicom.write.presentation_state import presentation_state
from matex.dicom.write.report import report
from matex.dicom.write.saliency import SaliencyContent
from matex.dicom.write.secondary_capture import secondary_capture
from matex.dicom.write.segmentation import binary_segmentation, fractional_segmentation
from matex.dicom.write.source import Source


def objects(
    source: Source,
    saliency: SaliencyContent,
    picture: NDArray[np.uint8],
    film_size: tuple[int, int],
    look: Look,
) -> dict[str, Dataset]:
    """Build the objects; each is in a series of its own, all in the film's study.

    Args:
        source: the film.
        saliency: the map and what belongs to it.
        picture: [height, width, 3], the overlay with its caption.
        film_size: (height, width) of the film in the picture's top left corner.
        look: how the film's stored values become grey ones.

    Returns:
        Data sets by the names of their files, without their suffix.
    """
    builders: dict[str, Callable[[Identity], Dataset]] = {
        "secondary_capture": lambda names: secondary_capture(source, saliency, picture, film_size, names),
        "segmentation_fractional": lambda names: fractional_segmentation(source, saliency, names),
        "segmentation_binary": lambda names: binary_segmentation(source, saliency, names),
        "presentation_state": lambda names: presentation_state(source, saliency, look, names),
        "report": lambda names: report(source, saliency, names),
        "parametric_map": lambda names: parametric_map(source, saliency, names),
    }
    return {name: build(identity(saliency, number)) for number, (name, build) in enumerate(builders.items(), start=1)}
