"""The film that the objects refer to: its identity, its geometry, and the patient and study they belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom import Dataset
from pydicom.sequence import Sequence

from matex.dicom.elements import UnsupportedDicom, code, numbers, present, whole_number, words
from matex.dicom.grey import Look, is_inverted, look
from matex.dicom.pixel_data import pixel_cells, pixel_layout

# What identifies the film and its study; without these nothing can refer to it.
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Modules Patient, Clinical Trial Subject and Study, General Study and Patient Study (PS3.3 C.7.1.1, C.7.1.3, C.7.2.1,
# C.7.2.2, C.7.2.3), which all objects of a study share.
_REQUIRED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_OPTIONAL = (
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID", "PatientBirthTime",
    "OtherPatientIDs", "OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup", "PatientComments",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    "StudyDescription", "IssuerOfAccessionNumberSequence", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy",
    "ProcedureCodeSequence", "ReferencedStudySequence", "ConsultingPhysicianName",
    "PatientAge", "PatientSize", "PatientWeight", "Occupation", "MedicalAlerts", "Allergies", "SmokingStatus",
    "AdditionalPatientHistory", "PregnancyStatus", "PatientSexNeutered", "AdmittingDiagnosesDescription",
    "AdmissionID", "TimezoneOffsetFromUTC",
)  # fmt: skip


def read_header(data: bytes) -> Dataset:
    """The header of a DICOM file, without its pixels."""
    return pydicom.dcmread(BytesIO(data), force=True, stop_before_pixels=True)


def read_look(data: bytes) -> Look:
    """Return how `matex.dicom.read` shows a film.

    Args:
        data: the whole file, which was read before.
    """
    dataset = pydicom.dcmread(BytesIO(data), force=True)
    layout = pixel_layout(dataset, len(data) * 16)
    return look(dataset, pixel_cells(dataset, layout, []), layout)


@dataclass(frozen=True, eq=False)
class Source:
    """A film, and what the objects take from it.

    Args:
        header: of the film, without pixels.
        shared: the patient and study elements of the header, decoded.
        size: (height, width), pixels.
        spacing: (between rows, between columns), millimetres; None where the file does not state it.
        orientation: Patient Orientation, such as ("L", "F"); None where neither file nor caller states it.
        inverted: whether low stored values are bright (MONOCHROME1, or Presentation LUT Shape INVERSE).
    """

    header: Dataset
    shared: Dataset
    size: tuple[int, int]
    spacing: tuple[float, float] | None
    orientation: tuple[str, str] | None
    inverted: bool

    @classmethod
    def of(cls, header: Dataset, orientation: tuple[str, str] | None) -> Source:
        """The source in a header that `matex.dicom.read` accepted.

        Args:
            header: of the film.
            orientation: (row, column) as the film was explained, "L", "R", "H" or "F"; None to take the file's.

        Raises:
            UnsupportedDicom: UIDs are missing, so that nothing can refer to the film.
        """
        missing = [keyword for keyword in _IDENTITY if not present(header, keyword)]
        if missing:
            raise UnsupportedDicom(
                f"Expected a film that objects can refer to, got one without {', '.join(missing)}. Add the elements, "
                "or save the film as PNG and use new_study (--new-study)."
            )
        size = (whole_number(header, "Rows"), whole_number(header, "Columns"))
        return cls(
            header, _shared(header), size, _spacing(header), _orientation(header, orientation), is_inverted(header)
        )

    def template(self) -> Dataset:
        """The film as highdicom reads it: identity and geometry, with empty patient and study elements.

        highdicom checks what it copies, and quotes values in errors and logs; `adopt` copies the patient instead.
        """
        template = Dataset()
        for keyword in _REQUIRED:
            setattr(template, keyword, "")
        for keyword in _IDENTITY:
            setattr(template, keyword, words(self.header, keyword)[0])
        template.Modality = code(self.header, "Modality") or "OT"
        template.Rows, template.Columns = self.size
        template.SamplesPerPixel, template.PhotometricInterpretation = 1, "MONOCHROME2"
        template.BitsAllocated, template.BitsStored, template.HighBit, template.PixelRepresentation = 8, 8, 7, 0
        if self.spacing is not None:
            template.PixelSpacing = list(self.spacing)
        return template

    def adopt(self, target: Dataset) -> Dataset:
        """Give an object the film's patient and study, value by value as they are, in UTF-8."""
        for keyword in _REQUIRED:
            if keyword in self.shared:
                target[keyword] = self.shared[keyword]
            else:
                setattr(target, keyword, "")
        for keyword in _OPTIONAL:
            if keyword in self.shared:
                target[keyword] = self.shared[keyword]
            elif keyword in target:
                del target[keyword]
        self._describe_body_part(target)
        target.SpecificCharacterSet = "ISO_IR 192"
        return target

    def orient(self, target: Dataset) -> None:
        """Give an image of the film's orientation its Patient Orientation, empty where it is not known."""
        target.PatientOrientation = list(self.orientation or ())

    def _describe_body_part(self, target: Dataset) -> None:
        """Body part, and its side unless the part is unpaired (PS3.3 C.7.3.1)."""
        if target.Modality in {"SEG", "SR"}:
            return
        part, side = (next(iter(words(self.header, keyword)), "") for keyword in ("BodyPartExamined", "Laterality"))
        if re.fullmatch(r"[A-Z0-9_ ]{1,16}", part):
            target.BodyPartExamined = part
        if side in {"L", "R"}:
            target.Laterality = side
        elif "BodyPartExamined" not in target:
            target.Laterality = ""  # mandatory where nothing says that the part is unpaired

    def reference(self) -> Dataset:
        """An item that refers to the film (PS3.3 table 10-11)."""
        item = Dataset()
        item.ReferencedSOPClassUID = words(self.header, "SOPClassUID")[0]
        item.ReferencedSOPInstanceUID = words(self.header, "SOPInstanceUID")[0]
        return item

    def referenced_series(self) -> Sequence:
        """Referenced Series Sequence with the film alone (PS3.3 C.12.1)."""
        item = Dataset()
        item.SeriesInstanceUID = words(self.header, "SeriesInstanceUID")[0]
        item.ReferencedInstanceSequence = [self.reference()]
        return Sequence([item])


def _shared(header: Dataset) -> Dataset:
    """Patient and study elements with all text decoded, that of items of sequences included."""
    shared = Dataset()
    for keyword in ("SpecificCharacterSet", *_REQUIRED, *_OPTIONAL):
        if keyword in header:
            shared[keyword] = header[keyword]
    shared.decode()
    return shared


def _orientation(header: Dataset, known: tuple[str, str] | None) -> tuple[str, str] | None:
    """Patient Orientation as the file spells it, unless it contradicts what is known."""
    stated = [word.upper() for word in words(header, "PatientOrientation")]
    if len(stated) != 2 or not all(stated):
        return known
    contradicted = known is not None and (stated[0][0], stated[1][0]) != known
    return known if contradicted else (stated[0], stated[1])


def _spacing(header: Dataset) -> tuple[float, float] | None:
    """Distance of the pixels, calibrated to the patient where the file states it, else at the detector."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = [value for value in numbers(header, keyword) if value is not None and 0 < value < 1e6]
        if len(values) == 2:
            return (values[0], values[1])
    return None
