"""Parametric Map: the raw map in floating point, as quantity Saliency.

Written with pydicom: highdicom 0.28.2 raises for a film without patient geometry, whose DimensionIndexValues it leaves
empty.
"""

from __future__ import annotations

import datetime

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, ParametricMapStorage
from pydicom.valuerep import format_number_as_ds

from matex.dicom.write.codes import NO_UNITS, QUANTITY, SALIENCY, SOURCE_IMAGE, coded
from matex.dicom.write.equipment import Identity, mark_as_research, new_uid
from matex.dicom.write.saliency import UNSEEN, SaliencyContent
from matex.dicom.write.source import Source

UNKNOWN_SPACING = (1.0, 1.0)  # the functional group Pixel Measures is mandatory here
STANDARD = ("L", "F")  # Patient Orientation of a frontal film in standard display
# Directions of the body in the patient's coordinate system (PS3.3 C.7.6.2.1.1).
_AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


def parametric_map(source: Source, saliency: SaliencyContent, identity: Identity) -> Dataset:
    """The map before any scaling, float32 at the film's size (PS3.3 A.75)."""
    image = _instance(source, saliency, identity)
    _describe_pixels(image, source)
    _describe_content(image, saliency)
    low, high, padding = _range(saliency)
    image.SharedFunctionalGroupsSequence = [_shared_groups(source, low, high)]
    image.PerFrameFunctionalGroupsSequence = [_frame_groups(source, saliency)]
    image.FloatPixelPaddingValue = image.FloatPixelPaddingRangeLimit = padding
    pixels = np.where(np.isfinite(saliency.raw), saliency.raw, np.float32(padding))
    image.FloatPixelData = pixels.astype("<f4").tobytes()
    mark_as_research(image)
    return source.adopt(image)


def _instance(source: Source, saliency: SaliencyContent, identity: Identity) -> Dataset:
    """Study, series, equipment and instance."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = ParametricMapStorage
    image.file_meta.MediaStorageSOPInstanceUID = UID(identity["sop_instance_uid"])
    now = datetime.datetime.now()
    image.SOPClassUID, image.SOPInstanceUID = ParametricMapStorage, identity["sop_instance_uid"]
    image.StudyInstanceUID = source.header.StudyInstanceUID
    image.SeriesInstanceUID, image.SeriesNumber = identity["series_instance_uid"], identity["series_number"]
    image.SeriesDescription, image.Modality = identity["series_description"], "OT"
    image.InstanceNumber = identity["instance_number"]
    image.InstanceCreationDate = image.ContentDate = image.SeriesDate = now.strftime("%Y%m%d")
    image.InstanceCreationTime = image.ContentTime = image.SeriesTime = now.strftime("%H%M%S")
    image.Manufacturer = identity["manufacturer"]
    image.ManufacturerModelName = identity["manufacturer_model_name"]
    image.SoftwareVersions = identity["software_versions"]
    image.DeviceSerialNumber = identity["device_serial_number"]
    image.ReferencedSeriesSequence = source.referenced_series()
    # A projection has no place in the patient's coordinate system: the plane lies in a frame of reference of its own.
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = new_uid(), ""
    return image


def _describe_pixels(image: Dataset, source: Source) -> None:
    """Image Pixel Description and General Image (PS3.3 C.7.6.24, C.8.32.2)."""
    image.ImageType = ["DERIVED", "PRIMARY", "OTHER", "NONE"]
    image.Rows, image.Columns = source.size
    image.NumberOfFrames, image.SamplesPerPixel = 1, 1
    image.PhotometricInterpretation, image.BitsAllocated = "MONOCHROME2", 32
    image.PixelPresentation, image.PresentationLUTShape = "MONOCHROME", "IDENTITY"
    image.BurnedInAnnotation, image.RecognizableVisualFeatures = "NO", "NO"
    image.LossyImageCompression = "00"
    source.orient(image)


def _describe_content(image: Dataset, saliency: SaliencyContent) -> None:
    """Label, creator, and the dimension that distinguishes frames (PS3.3 C.7.6.17)."""
    image.ContentLabel = "SALIENCY"
    image.ContentDescription = f"{saliency.method}, raw values"[:64]
    image.ContentCreatorName = None
    organization = Dataset()
    organization.DimensionOrganizationUID = new_uid()
    image.DimensionOrganizationSequence = [organization]
    dimension = Dataset()
    dimension.DimensionOrganizationUID = organization.DimensionOrganizationUID
    dimension.DimensionIndexPointer = 0x00209057  # In-Stack Position Number
    dimension.FunctionalGroupPointer = 0x00209111  # Frame Content Sequence
    dimension.DimensionDescriptionLabel = "Position"
    image.DimensionIndexSequence = [dimension]
    image.AcquisitionContextSequence = []


def _range(saliency: SaliencyContent) -> tuple[float, float, float]:
    """Minimum, maximum, and the value of pixels that the model did not see: below the minimum by the range.

    A viewer that knows no padding shows such pixels as black, as it would not with NaN or the smallest float.
    """
    finite = saliency.raw[np.isfinite(saliency.raw)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return low, high, float(np.float32(low - ((high - low) or 1.0)))


def _shared_groups(source: Source, low: float, high: float) -> Dataset:
    groups = Dataset()
    measures = Dataset()
    measures.PixelSpacing = [format_number_as_ds(spacing) for spacing in source.spacing or UNKNOWN_SPACING]
    groups.PixelMeasuresSequence = [measures]
    orientation = Dataset()
    orientation.ImageOrientationPatient = _cosines(source.orientation)
    groups.PlaneOrientationSequence = [orientation]
    identity = Dataset()
    identity.RescaleIntercept, identity.RescaleSlope, identity.RescaleType = "0", "1", "US"
    groups.PixelValueTransformationSequence = [identity]
    window = Dataset()
    window.WindowCenter = format_number_as_ds((low + high) / 2)
    window.WindowWidth = format_number_as_ds((high - low) or 1.0)
    window.VOILUTFunction = "LINEAR_EXACT"
    groups.FrameVOILUTSequence = [window]
    groups.RealWorldValueMappingSequence = [_quantity(low, high)]
    kind = Dataset()
    kind.FrameType = ["DERIVED", "PRIMARY", "OTHER", "NONE"]
    groups.ParametricMapFrameTypeSequence = [kind]
    return groups


def _quantity(low: float, high: float) -> Dataset:
    """Real World Value Mapping: stored values are the quantity Saliency, without units (PS3.3 C.7.6.16.2.11)."""
    mapping = Dataset()
    mapping.LUTExplanation, mapping.LUTLabel = "saliency, raw", "SALIENCY"
    mapping.MeasurementUnitsCodeSequence = [coded(NO_UNITS)]
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1.0
    mapping.DoubleFloatRealWorldValueFirstValueMapped = low
    mapping.DoubleFloatRealWorldValueLastValueMapped = high
    quantity = Dataset()
    quantity.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = [coded(QUANTITY)]
    quantity.ConceptCodeSequence = [coded(SALIENCY)]
    mapping.QuantityDefinitionSequence = [quantity]
    return mapping


def _cosines(orientation: tuple[str, str] | None) -> list[int]:
    """Direction cosines of rows and columns from Patient Orientation, of a pair of letters the first."""
    row, column = (part[0] for part in orientation or STANDARD)
    return [*_AXES[row], *_AXES[column]]


def _frame_groups(source: Source, saliency: SaliencyContent) -> Dataset:
    groups = Dataset()
    content = Dataset()
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", 1, [1]
    groups.FrameContentSequence = [content]
    position = Dataset()
    position.ImagePositionPatient = [0, 0, 0]
    groups.PlanePositionSequence = [position]
    derivation = Dataset()
    derivation.DerivationDescription = f"{saliency.description}; padding: {UNSEEN}"[:900]
    if source.spacing is None:
        derivation.DerivationDescription += "; the film states no pixel spacing, 1 mm stands for a pixel"
    derivation.DerivationCodeSequence = [coded(SALIENCY)]
    reference = source.reference()
    reference.PurposeOfReferenceCodeSequence = [coded(SOURCE_IMAGE)]
    reference.SpatialLocationsPreserved = "YES"
    derivation.SourceImageSequence = Sequence([reference])
    groups.DerivationImageSequence = [derivation]
    return groups
