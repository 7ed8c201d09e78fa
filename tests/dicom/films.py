"""CR and DX films that pass a validator, with a patient whose every value can be searched for."""

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

SIZE = (120, 90)  # rows, columns
SECRETS = (
    "ZZTOP", "ZZID77", "19421101", "ZZACC9", "ZZSTUDY", "ZZREF", "ZZHOSP", "ZZDESC", "ZZOPER", "19990131", "ZZPROTO",
)  # fmt: skip


def gradient(size=SIZE, bits=12):
    """Values that rise to the right and, less, downwards, so that no flip or rotation maps the film on itself."""
    rows, columns = np.indices(size)
    return ((columns / size[1] * 0.7 + rows / size[0] * 0.3) * (2**bits - 1)).astype(np.uint16)


def cr(values=None, **elements):
    """A CR film."""
    dataset = _film(gradient() if values is None else values, ComputedRadiographyImageStorage, "CR")
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.PixelSpacing = ["0.2", "0.3"]
    return _changed(dataset, elements)


def dx(values=None, **elements):
    """A DX film for presentation."""
    dataset = _film(gradient() if values is None else values, DigitalXRayImageStorageForPresentation, "DX")
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.PresentationIntentType, dataset.ImageLaterality = "FOR PRESENTATION", "U"
    dataset.ImagerPixelSpacing = ["0.25", "0.25"]
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PresentationLUTShape, dataset.LossyImageCompression = "IDENTITY", "00"
    dataset.BurnedInAnnotation, dataset.DetectorType, dataset.DetectorID = "NO", "DIRECT", "1"
    dataset.AcquisitionContextSequence = []
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "51185008", "SCT", "Chest"
    dataset.AnatomicRegionSequence = [region]
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399348003", "SCT", "antero-posterior"
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.PatientOrientation = ["L", "F"]
    dataset.ViewPosition, dataset.PositionerType = "AP", ""
    return _changed(dataset, elements)


def lut(entries, bits, first=0):
    """An item of a VOI LUT Sequence."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = np.asarray(entries, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


def written(dataset, path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def _film(values, sop_class, modality):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID = "ZZTOP^Bearded^Jürgen", "ZZID77"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19421101", "M", "056Y"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "19990131", "101500", "ZZSTUDY"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "ZZACC9", "ZZREF^Doctor"
    dataset.StudyDescription, dataset.InstitutionName = "ZZDESC chest", "ZZHOSP"
    dataset.OperatorsName, dataset.ProtocolName = "ZZOPER^Nurse", "ZZPROTO"
    dataset.Modality, dataset.Manufacturer = modality, "Maker"
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PatientOrientation = ["L", "F"]
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.PixelData = values.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _changed(dataset, elements):
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset
