"""Display-ready pixels from a DICOM file, in the order of the standard's pipeline (PS3.4 annex N.2).

Nothing that identifies a patient leaves this module: messages and notes hold only numbers and coded values
that were recognised, and what pydicom raises, warns or logs (it can quote elements) is replaced.
"""

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, NamedTuple

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from matex.dicom.elements import UnsupportedDicom, code, items, number, numbers, words
from matex.dicom.grey import display
from matex.dicom.header_notes import OTHER_MODALITY, OTHER_PART
from matex.dicom.pixel_data import EXPORT, colour_pixels, pixel_cells, pixel_layout
from matex.dicom.quiet import quiet
from matex.dicom.view_position import UNRECOGNISED, is_frontal, view_name

# View Code Sequence, PS3.16 CID 4010: SNOMED CT and the older SNOMED RT codes.
_VIEW_CODES = {
    "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399348003": "AP", "R-10206": "AP",
    "399173006": "LL", "R-10236": "LL",
    "399198007": "RL", "R-10232": "RL",
    "399067008": "LATERAL", "R-102CD": "LATERAL",
}  # fmt: skip
# PS3.16 CID 4014, view for mammography.
_BREAST_CODES = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
}  # fmt: skip
_SLICES = frozenset({"CT", "MR", "PT"})
_FILM_MODALITIES = frozenset({"CR", "DX", "DR", "RG"})
_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_DIRECTIONS = {"LEFT": "L", "RIGHT": "R", "ANTERIOR": "A", "POSTERIOR": "P", "HEAD": "H", "FOOT": "F", "FEET": "F"}


_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
MAP_TYPE = "SALIENCY"
"""Third value of Image Type of a picture of a saliency map, as matex.dicom.write writes it."""


@dataclass(frozen=True, eq=False)
class DicomImage:
    """One film read from a DICOM file."""

    pixels: np.ndarray  # uint8 [height, width], dense = bright; [height, width, 3] of a picture of a map
    view: str | None
    turns: int  # quarter turns counter-clockwise that bring the image upright
    mirrored: bool  # the upright image's left edge is the patient's left
    oriented: bool  # the file says how the patient lies in the image
    facing: Literal["left", "right"] | None  # edge of the upright image at which the patient's front lies
    notes: tuple[str, ...]
    spacing: tuple[float, float, bool] | None = None
    """Millimetres between pixel centres (down, across), and whether they are calibrated to the patient (PS3.3 C.8.11.3,
    10.7.1.3); otherwise they are those of the detector, on which the patient is magnified. None where not stated."""
    uids: tuple[tuple[str, str], ...] = ()  # (keyword, UID) of study, series and instance


def decode(stream: BytesIO, *, max_pixels: int, derived: bool = False) -> DicomImage:
    """Decode, rescale, window, invert where the header requires it, and read the patient's orientation in the image.

    Warning filters and pydicom's logger, which belong to the whole process, change for the time of the call:
    matex.images.read, the only caller, admits one thread at a time.

    Args:
        stream: the whole file; closed here.
        max_pixels: refuse larger images, judged by the header.
        derived: accept segmentations and pictures of saliency maps.

    Raises:
        UnsupportedDicom: not one grey film, derived from one by an explanation, compressed in a way that nothing reads,
            damaged, or of unreadable orientation.
    """
    with quiet():
        try:
            return _decode(stream, max_pixels, derived)
        except (UnsupportedDicom, MemoryError):
            raise
        except Exception:  # pydicom's exceptions can quote elements, so not even the chain of causes may keep them
            pass
    raise UnsupportedDicom(f"Expected a readable DICOM image, got a damaged or truncated one. {EXPORT}")


def _decode(stream: BytesIO, max_pixels: int, derived: bool) -> DicomImage:
    if DeflatedExplicitVRLittleEndian.encode() in stream.getbuffer()[:1024].tobytes():
        raise UnsupportedDicom(
            "Expected DICOM of a known size, got the deflated transfer syntax, which can unpack to any size. "
            "Store it uncompressed or as lossless JPEG 2000."
        )
    with stream:  # the data set holds a copy of the pixels
        dataset = pydicom.dcmread(stream, force=True)
    notes: list[str] = []
    kind = _derived_kind(dataset)
    if kind is not None and not derived:
        raise UnsupportedDicom(
            f"Expected a film, got {kind}: a map of it would explain no film. Name the film itself, or read it all the "
            "same with derived=True (--derived)."
        )
    if kind is not None and code(dataset, "PhotometricInterpretation") == "RGB":
        pixels = colour_pixels(dataset, max_pixels)
    else:
        layout = pixel_layout(dataset, 2 * max_pixels)
        pixels = display(dataset, pixel_cells(dataset, layout, notes), layout, notes)
    if kind is not None:
        notes.append(f"the image is {kind}, not a film")
    view, lie = _orientation(dataset, notes)
    _note_the_rest(dataset, notes)
    return DicomImage(pixels, view, *lie, tuple(notes), _spacing(dataset), _uids(dataset))


def _derived_kind(dataset: Dataset) -> str | None:
    """Kind of an object that was derived from a film to explain or mark it; None for films."""
    if MAP_TYPE in [word.upper() for word in words(dataset, "ImageType")]:
        return "a picture of a saliency map"
    return "a segmentation" if code(dataset, "Modality") == "SEG" else None


def _uids(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    """The UIDs by their keywords, as far as they are UIDs."""
    found = [(keyword, word) for keyword in _UIDS for word in words(dataset, keyword)[:1]]
    return tuple((keyword, word) for keyword, word in found if re.fullmatch(r"[0-9.]{1,64}", word))


class _Lie(NamedTuple):
    """Orientation of the patient in the image, see DicomImage."""

    turns: int = 0
    mirrored: bool = False
    oriented: bool = False
    facing: Literal["left", "right"] | None = None


def _orientation(dataset: Dataset, notes: list[str]) -> tuple[str | None, _Lie]:
    """View and orientation of the film (see DicomImage), and whether the file states them (PS3.3 C.7.6.1.1.1).

    The first value of Patient Orientation says where the image's right edge lies in the patient, the second its
    bottom; of a pair such as "LF" the first letter weighs most. A frontal film for display is L\\F, a slice L\\P.
    """
    view = _view(dataset, notes)
    orientation = [word.upper() for word in words(dataset, "PatientOrientation")]
    if not any(orientation):
        orientation = _from_cosines(dataset)
    if not any(orientation):
        # Field of View Rotation and Horizontal Flip are relative to the detector (PS3.3 C.8.11.4), not to the patient.
        flipped = code(dataset, "FieldOfViewHorizontalFlip") == "YES"
        if flipped or number(dataset, "FieldOfViewRotation"):
            notes.append("the field of view was flipped or turned and PatientOrientation is missing")
        if is_frontal(view):
            notes.append("no PatientOrientation: standard display assumed (patient's right on the image's left)")
        return view, _Lie()
    parts = [_DIRECTIONS.get(word, word) for word in orientation]
    if len(parts) != 2 or not all(re.fullmatch(r"[LRAPHF]{1,3}", part) and _is_direction(part) for part in parts):
        raise UnsupportedDicom(
            r"Expected PatientOrientation L\F (or R\F, mirrored), got an unreadable one. Correct the element."
        )
    row, column = parts[0][0], parts[1][0]
    if code(dataset, "Modality") == "MG" and row in "AP" and column in "LR":  # a craniocaudal view, seen from above
        return view, _Lie(oriented=True, facing="right" if row == "A" else "left")
    if code(dataset, "Modality") in _SLICES and {row, column} & set("LR") and {row, column} & set("AP"):
        return _slice(view, row, column, notes)
    if (row in "HF") == (column in "HF"):
        raise UnsupportedDicom(
            rf"Expected a film with the patient's feet at one of its edges, got PatientOrientation {row}\{column}. "
            "Correct the element."
        )
    turns = {"F": 0, "H": 2}.get(column, 1 if row == "H" else 3)
    for _ in range(turns):  # counter-clockwise, the new rows run where the old columns ran
        row, column = column, _OPPOSITE[row]
    shown = rf"{parts[0]}\{parts[1]}"
    if turns:
        notes.append(f"PatientOrientation {shown}: turned upright for the model, the map lies on the film as it is")
    if row in "AP":
        if is_frontal(view) or view == UNRECOGNISED:
            notes.append(f"PatientOrientation {shown}: a lateral view")
            view = "LATERAL"
        return view, _Lie(turns, False, True, "right" if row == "A" else "left")
    if row == "R":
        notes.append(f"PatientOrientation {shown}: mirrored, flipped for the model, the map lies on the film as it is")
    return view, _Lie(turns, row == "R", True)


def _slice(view: str | None, row: str, column: str, notes: list[str]) -> tuple[str | None, _Lie]:
    """View and orientation of an axial slice; for display the patient's front is at its top (L\\P)."""
    shown = rf"{row}\{column}"
    turns = {"P": 0, "A": 2}.get(column, 1 if row == "A" else 3)
    for _ in range(turns):
        row, column = column, _OPPOSITE[row]
    if turns:
        notes.append(f"orientation {shown}: turned upright for the model, the map lies on the film as it is")
    if row == "R":
        notes.append(f"orientation {shown}: mirrored, flipped for the model, the map lies on the film as it is")
    if is_frontal(view) or view == UNRECOGNISED:
        view = "AXIAL"
    return view, _Lie(turns, row == "R", True)


def _from_cosines(dataset: Dataset) -> list[str]:
    """Directions of rows and columns by Image Orientation (Patient): x to the left, y back, z to the head (C.7.6.2)."""
    cosines = [value for value in numbers(dataset, "ImageOrientationPatient") if value is not None]
    if len(cosines) != 6 or not all(abs(value) <= 1.01 for value in cosines):
        return []
    found: list[str] = []
    for vector in (cosines[:3], cosines[3:]):
        axis = max(range(3), key=lambda k: abs(vector[k]))
        if abs(vector[axis]) < 0.71:  # more than 45 degrees off every axis
            return []
        found.append(("LPH" if vector[axis] > 0 else "RAF")[axis])
    return found


def _is_direction(letters: str) -> bool:
    """Whether the letters name at most one direction of each axis of the body (PS3.3 C.7.6.1.1.1)."""
    return not any(letter in letters and _OPPOSITE[letter] in letters for letter in "LAH")


def _view(dataset: Dataset, notes: list[str]) -> str | None:
    """ViewPosition by its known words, else the view code; an unknown view does not count as frontal."""
    view = view_name(" ".join(words(dataset, "ViewPosition")))
    if view not in {None, UNRECOGNISED}:
        return view
    codes = [word for item in items(dataset, "ViewCodeSequence") for word in words(item, "CodeValue")]
    if code(dataset, "Modality") == "MG" and (breast := _breast_view(dataset, codes)) is not None:
        return breast
    coded = next((_VIEW_CODES[code] for code in codes if code in _VIEW_CODES), None)
    if coded is not None:
        return coded
    if view is None and not any(codes):
        notes.append("no ViewPosition: frontal assumed")
        return None
    notes.append("ViewPosition or view code not recognised: not taken as frontal")
    return UNRECOGNISED


def _breast_view(dataset: Dataset, codes: list[str]) -> str | None:
    """ "RCC", "LMLO": side and projection of a mammogram; None where the file lacks one of them (PS3.3 C.8.11.7)."""
    stated = [word.upper() for word in words(dataset, "ViewPosition")]
    projections = [_BREAST_CODES[one] for one in codes if one in _BREAST_CODES]
    projections += [one for one in stated if one in _BREAST_CODES.values()]
    side = code(dataset, "ImageLaterality") or code(dataset, "Laterality")
    return f"{side}{projections[0]}" if projections and side in ("R", "L") else None


def _note_the_rest(dataset: Dataset, notes: list[str]) -> None:
    """Note facts of the header that affect how the result is read."""
    modality = code(dataset, "Modality")
    if modality not in _FILM_MODALITIES:
        shown = modality if re.fullmatch(r"[A-Z]{2}", modality) else "unknown"
        notes.append(f"modality {shown}{OTHER_MODALITY}")
    part = code(dataset, "BodyPartExamined")
    if part and not any(word in part for word in ("CHEST", "THORAX", "LUNG")):
        notes.append(OTHER_PART)
    side = code(dataset, "ImageLaterality") or code(dataset, "Laterality")
    if side in {"L", "R"}:
        notes.append(f"Laterality {side}: the image shows one side of a paired part")
    spacing = next(
        (
            pair
            for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio")
            if (pair := _pair(dataset, keyword))
        ),
        None,
    )
    if spacing is not None and abs(spacing[0] / spacing[1] - 1) > 0.01:
        notes.append(f"pixels are not square (height / width {spacing[0] / spacing[1]:.3g}); shown as stored")
    if code(dataset, "BurnedInAnnotation") == "YES":
        notes.append("burned-in annotation: the pixels may show who the patient is")


def _spacing(dataset: Dataset) -> tuple[float, float, bool] | None:
    """See DicomImage; a Pixel Spacing that repeats that of the detector is not calibrated (PS3.3 10.7.1.3)."""
    calibrated, detector = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    if calibrated is not None:
        return (*calibrated, calibrated != detector)
    return None if detector is None else (*detector, False)


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Pair of finite numbers above zero."""
    values = [value for value in numbers(dataset, keyword) if value is not None and 0 < value < float("inf")]
    return (values[0], values[1]) if len(values) == 2 else None
