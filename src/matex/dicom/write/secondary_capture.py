"""Secondary Capture: the overlay as a picture, which every viewer shows, and the film itself for a new study."""

from __future__ import annotations

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pydicom.valuerep import DS

from matex.dicom.read import MAP_TYPE
from matex.dicom.write.codes import SALIENCY, SOURCE_IMAGE, coded
from matex.dicom.write.equipment import FIRST_SERIES, MAKER, Identity, mark_as_research, new_uid
from matex.dicom.write.saliency import SaliencyContent
from matex.dicom.write.source import Source


def secondary_capture(
    source: Source,
    saliency: SaliencyContent,
    picture: NDArray[np.uint8],
    film_size: tuple[int, int],
    identity: Identity,
) -> Dataset:
    """The overlay as an RGB picture with burned-in text (PS3.3 A.8.1).

    Args:
        source: the film.
        saliency: the map.
        picture: [height, width, 3]; the film lies in its top left corner, text may lie below it.
        film_size: (height, width) of the film in the picture, pixels.
        identity: see `matex.dicom.write.equipment`.
    """
    image = SCImage(
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=source.header.StudyInstanceUID,
        patient_orientation=("L", "F"),  # required here and replaced below
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **identity,
    )
    source.orient(image)
    image.ConversionType = "WSD"
    image.ImageType = ["DERIVED", "SECONDARY", MAP_TYPE]
    image.BurnedInAnnotation = "YES"
    image.LossyImageCompression = "00"
    image.DerivationDescription = f"Saliency map of {saliency.method} over the film, coloured"
    image.DerivationCodeSequence = [coded(SALIENCY)]
    reference = source.reference()
    reference.PurposeOfReferenceCodeSequence = [coded(SOURCE_IMAGE)]
    reference.SpatialLocationsPreserved = "NO"  # scaled, with text below
    image.SourceImageSequence = [reference]
    if source.spacing is not None:
        image.PixelSpacing = [
            DS(spacing * full / drawn, auto_format=True)
            for spacing, full, drawn in zip(source.spacing, source.size, film_size, strict=True)
        ]
    mark_as_research(image)
    return source.adopt(image)


def film_header(size: tuple[int, int], orientation: tuple[str, str] | None) -> Dataset:
    """The header of a film that was no DICOM, in a study of its own: fresh UIDs, an empty patient."""
    header = Dataset()
    header.SOPClassUID = SecondaryCaptureImageStorage
    header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID = new_uid(), new_uid(), new_uid()
    header.Rows, header.Columns = size
    header.Modality = "OT"
    header.PhotometricInterpretation = "MONOCHROME2"
    if orientation is not None:
        header.PatientOrientation = list(orientation)
    return header


def film_image(source: Source, pixels: NDArray[np.uint8], version: str) -> Dataset:
    """The film that `film_header` describes, as a Secondary Capture.

    Args:
        source: of that header.
        pixels: [height, width] grey or [height, width, 3] RGB.
        version: of matex.
    """
    image = SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB" if pixels.ndim == 3 else "MONOCHROME2",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=source.header.StudyInstanceUID,
        series_instance_uid=source.header.SeriesInstanceUID,
        series_number=FIRST_SERIES,
        sop_instance_uid=source.header.SOPInstanceUID,
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=version,
        series_description="film imported by matex",
        patient_orientation=("L", "F"),  # required here and replaced below
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    source.orient(image)
    image.ConversionType = "DF"
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.WindowCenter, image.WindowWidth = "128", "256"  # every value as it is
    image.DerivationDescription = "8-bit copy of an image file that was no DICOM"
    return source.adopt(image)
