"""Segmentation: the map as fractions of its range, and the highlighted region as a mask."""

from __future__ import annotations

import numpy as np
from highdicom import PixelMeasuresSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from matex.dicom.write.codes import SALIENCY, SPATIAL, algorithm_sequence
from matex.dicom.write.equipment import Identity, mark_as_research, new_uid
from matex.dicom.write.saliency import UNSEEN, SaliencyContent
from matex.dicom.write.source import Source

COLOUR = (240, 147, 43)  # of the segment, RGB


def fractional_segmentation(source: Source, saliency: SaliencyContent, identity: Identity) -> Dataset:
    """The map as a FRACTIONAL segmentation of type PROBABILITY, 8 bits (PS3.3 C.8.20.2).

    255 is the map's maximum and 0 its minimum, or a pixel that the model did not see: the type has no unknown.
    """
    about = "map from minimum (0) to maximum (255)"
    return _segmentation(source, saliency, saliency.known, "FRACTIONAL", about, identity)


def binary_segmentation(source: Source, saliency: SaliencyContent, identity: Identity) -> Dataset:
    """The highlighted region as a BINARY segmentation; its label states the threshold."""
    about = f"region {saliency.region}"
    return _segmentation(source, saliency, saliency.highlighted, "BINARY", about, identity)


def _segmentation(
    source: Source, saliency: SaliencyContent, pixels: np.ndarray, kind: str, about: str, identity: Identity
) -> Dataset:
    segment = SegmentDescription(
        segment_number=1,
        segment_label=f"{saliency.method}: {about}"[:64],
        segmented_property_category=SPATIAL,
        segmented_property_type=SALIENCY,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm_sequence(saliency),
        tracking_uid=new_uid(),
        tracking_id=f"matex {saliency.method}"[:64],
        display_color=CIELabColor.from_rgb(*COLOUR),
    )
    measures = None if source.spacing is None else PixelMeasuresSequence(source.spacing, slice_thickness=None)
    image = Segmentation(
        source_images=[source.template()],
        pixel_array=pixels[None],
        segmentation_type=kind,
        segment_descriptions=[segment],
        content_label="SALIENCY",
        content_description=f"{saliency.method}: {about}"[:64],
        pixel_measures=measures,
        omit_empty_frames=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **identity,
    )
    image.SegmentSequence[0].SegmentDescription = f"{saliency.description}; 0 also where {UNSEEN}"[:1024]
    source.orient(image)
    mark_as_research(image)
    return source.adopt(image)
