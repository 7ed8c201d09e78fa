"""From a DICOM file to display-ready pixels, in the order of the standard's pipeline (PS3.4 annex N.2).

Nothing that identifies a patient leaves this module: messages and notes hold only numbers and coded values
that were recognised, and what pydicom raises, warns or logs (it can quote elements) is replaced.
"""

import logging
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from matex.views import UNRECOGNISED, is_frontal, view_name

_EXPORT = "Export the film again as one grey CR or DX image."
# View Code Sequence, PS3.16 CID 4010: SNOMED CT and the older SNOMED RT codes.
_VIEW_CODES = {
    "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399348003": "AP", "R-10206": "AP",
    "399173006": "LL", "R-10236": "LL",
    "399198007": "RL", "R-10232": "RL",
    "399067008": "LATERAL", "R-102CD": "LATERAL",
}  # fmt: skip
# Compressed data that close with the marker FFD9 (ISO/IEC 10918-1 B.1.1.3, 14495-1 C.1, 15444-1 A.4.4); their decoders
# fill what is missing with grey and say nothing.
_CLOSED_SYNTAXES = frozenset([*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes])
_FILM_MODALITIES = frozenset({"CR", "DX", "DR", "RG"})
_FALLBACK_PERCENTILES = (0.5, 99.5)


class UnsupportedDicom(ValueError):
    """A DICOM file that would be read wrongly or not at all; the message says what to do."""


@dataclass(frozen=True, eq=False)
class DicomImage:
    """One film out of a DICOM file."""

    pixels: np.ndarray  # uint8 [height, width], dense = bright
    view: str | None
    mirrored: bool  # the image's left edge is the patient's left
    oriented: bool  # the file says how the patient lies in the image
    notes: tuple[str, ...]


def decode(data: bytes, *, max_pixels: int) -> DicomImage:
    """Decode, rescale, window, invert where asked, and read how the patient lies in the image.

    Warning filters and pydicom's logger, which belong to the whole process, change for the time of the call:
    matex.images.read, the way in, lets one thread at a time in here.

    Args:
        data: the whole file.
        max_pixels: refuse larger images, judged by the header.

    Raises:
        UnsupportedDicom: not one grey film, compressed in a way that cannot be read, damaged, or not upright.
    """
    with _quiet():
        try:
            return _decode(data, max_pixels)
        except (UnsupportedDicom, MemoryError):
            raise
        except Exception:  # pydicom's exceptions can quote elements, so not even the chain of causes may keep them
            pass
    raise UnsupportedDicom(f"Expected a readable DICOM image, got a damaged or truncated one. {_EXPORT}")


@contextmanager
def _quiet() -> Generator[None]:
    logger = logging.getLogger("pydicom")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


def _decode(data: bytes, max_pixels: int) -> DicomImage:
    if DeflatedExplicitVRLittleEndian.encode() in data[:1024]:
        raise UnsupportedDicom(
            "Expected DICOM of a known size, got the deflated transfer syntax, which can unpack to any size. "
            "Store it uncompressed or as lossless JPEG 2000."
        )
    dataset = dcmread(BytesIO(data), force=True)
    _check_kind(dataset, max_pixels)
    notes: list[str] = []
    stored = _stored_values(dataset, notes)
    padding = _padding(stored, dataset, notes)
    values = _modality(stored, dataset)
    display = np.clip(_voi(values, padding, dataset, notes), 0, 1)
    shape = str(dataset.get("PresentationLUTShape", "") or "").strip()
    if dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE":
        # One inversion: on CR and DX, INVERSE is how MONOCHROME1 is said again (PS3.3 C.8.11.3.1.2).
        display = 1 - display
        notes.append("MONOCHROME1 or INVERSE: inverted, so that dense is bright")
    pixels = np.rint(display * 255).astype(np.uint8)
    pixels[padding] = 0
    if pixels.min() == pixels.max():
        notes.append("constant image: nothing to see in it")
    view, mirrored, oriented = _orientation(dataset, notes)
    _note_the_rest(dataset, notes)
    return DicomImage(pixels, view, mirrored, oriented, tuple(notes))


def _check_kind(dataset: Dataset, max_pixels: int) -> None:
    """Refuse what is not one grey image, by the header alone."""
    if "PixelData" not in dataset:
        sop_class = UID(str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", "")))
        kind = f" ({sop_class.name})" if sop_class and sop_class.name != sop_class else ""
        raise UnsupportedDicom(f"Expected a DICOM image, got an object without integer pixel data{kind}. {_EXPORT}")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    samples = int(dataset.get("SamplesPerPixel", 1))
    photometric = str(dataset.PhotometricInterpretation)
    if frames != 1:
        raise UnsupportedDicom(f"Expected one DICOM frame, got {frames}. Export the frame to explain by itself.")
    if samples != 1 or photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnsupportedDicom(
            "Expected a grey DICOM image (MONOCHROME1 or MONOCHROME2), got a colour one. "
            "Export the radiograph itself, not a screen capture or an ultrasound."
        )
    if rows * columns > max_pixels:
        raise UnsupportedDicom(
            f"Expected at most {max_pixels // 1_000_000} megapixels, got {rows} x {columns} pixels. Scale it down."
        )


def _stored_values(dataset: Dataset, notes: list[str]) -> np.ndarray:
    """Stored values [height, width]: decompressed, BitsStored bits kept, sign extended (PS3.5 8.1.1)."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        little, implicit = dataset.original_encoding[1], dataset.original_encoding[0]
        syntax = UID("1.2.840.10008.1.2" + ("" if implicit else ".1" if little else ".2"))
        dataset.file_meta.TransferSyntaxUID = syntax
        notes.append("no transfer syntax in the file: uncompressed assumed")
    _check_decoder(syntax)
    plain = not syntax.is_compressed or syntax == RLELossless  # every allocated bit is in the file
    try:
        if plain:  # pydicom's own correction of unused bits does not look at HighBit
            values = pixel_array(dataset, raw=True, correct_unused_bits=False)
        else:
            values = pixel_array(dataset, raw=True)
    except (ValueError, RuntimeError, OSError):
        values = None
    cut = syntax in _CLOSED_SYNTAXES and b"\xff\xd9" not in dataset.PixelData
    if values is None or cut:  # raised out here for the reason given in decode
        raise UnsupportedDicom(f"Expected {syntax.name} pixel data, got damaged or truncated ones. {_EXPORT}")
    allocated, stored = 8 * values.dtype.itemsize, int(dataset.BitsStored)
    if stored < allocated and plain:
        top = int(dataset.get("HighBit", stored - 1))
        kept = (values << (allocated - 1 - top)) >> (allocated - stored)
        if not np.array_equal(kept, values):
            notes.append(f"bits outside the {stored} stored ones dropped")
        values = kept
    return values


def _check_decoder(syntax: UID) -> None:
    name = syntax.name if syntax.name != syntax else "an unknown transfer syntax"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnsupportedDicom(
            f"Expected a known compression, got {name}. Store it uncompressed or as lossless JPEG 2000."
        ) from None
    if not decoder.is_available:
        raise UnsupportedDicom(
            f"Expected a decoder for {name}, got none installed: pip install matex[dicom] "
            f"(one of: {'; '.join(decoder.missing_dependencies)})"
        )


def _padding(stored: np.ndarray, dataset: Dataset, notes: list[str]) -> np.ndarray:
    """Where nothing was exposed: Pixel Padding Value and Range (PS3.3 C.7.5.1.1.2), bool [height, width]."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    mask = (stored >= low) & (stored <= high)
    if mask.all() or not mask.any():
        return np.zeros(stored.shape, bool)
    notes.append(f"padding ({mask.mean():.1%} of the pixels) shown as background")
    return mask


def _modality(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Modality LUT or rescale (PS3.3 C.11.1), float64."""
    if dataset.get("ModalityLUTSequence"):
        table, first = _table(dataset.ModalityLUTSequence[0], dataset)
        return _look_up(stored, table, first).astype(np.float64)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return stored * float(1 if slope is None else slope) + float(0 if intercept is None else intercept)


def _voi(values: np.ndarray, padding: np.ndarray, dataset: Dataset, notes: list[str]) -> np.ndarray:
    """The display range [0, 1]: VOI LUT, else window, else percentiles (PS3.3 C.11.2)."""
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        notes.append("FOR PROCESSING: raw detector values, not meant for display")
    if dataset.get("VOILUTSequence"):
        table, first = _table(dataset.VOILUTSequence[0], dataset)
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        # Some vendors declare 16 bits over a 12-bit table, or fewer than the table has.
        used = max(int(table.max()).bit_length(), min(8, bits), 1)
        count = len(dataset.VOILUTSequence)
        notes.append("VOI LUT applied" + (f" (first of {count})" if count > 1 else ""))
        if used != bits:
            notes.append(f"VOI LUT declares {bits} bits and uses {used}")
        return _look_up(values, table, first) / (2**used - 1)
    centers, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    exposed = values[~padding]
    if centers and widths:
        function = str(dataset.get("VOILUTFunction", "") or "LINEAR").strip()
        display = _window(values, centers[0], widths[0], function)
        if display is not None and (np.ptp(display[~padding]) > 0 or np.ptp(exposed) == 0):
            several = f" (first of {len(centers)})" if len(centers) > 1 else ""
            notes.append(f"window {centers[0]:g}/{widths[0]:g} {function}{several}")
            return display
        notes.append("the window in the file is unusable")
    low, high = np.percentile(exposed, _FALLBACK_PERCENTILES)
    if low == high:
        low, high = float(exposed.min()), float(exposed.max())
    notes.append(f"no window: {low:g} to {high:g} shown (percentiles {_FALLBACK_PERCENTILES[0]:g} and "
                 f"{_FALLBACK_PERCENTILES[1]:g})")  # fmt: skip
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray | None:
    """VOI LUT Function (PS3.3 C.11.2.1.2, C.11.2.1.3), output in [0, 1]; None for a forbidden width."""
    if function == "SIGMOID" and width > 0:
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function == "LINEAR" and width > 1:
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    if function == "LINEAR" and width == 1:
        return (values > center - 0.5).astype(np.float64)
    return None


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    several = [value] if isinstance(value, int | float | str) else list(value)
    return [float(number) for number in several if np.isfinite(float(number))]


def _table(item: Dataset, dataset: Dataset) -> tuple[np.ndarray, int]:
    """LUT Data and the first value mapped (PS3.3 C.11.1.1); thousands of entries may be 8 bits wide."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries & 0xFFFF or 1 << 16  # 0 means 65536; a signed VR reads large counts as negative
    data = item.LUTData
    if isinstance(data, bytes):
        packed = bits == 8 and len(data) in (entries, entries + 1)  # bytes are padded to an even number
        order = "<" if dataset.original_encoding[1] else ">"
        table = np.frombuffer(data[:entries], "u1") if packed else np.frombuffer(data, f"{order}u2")
    else:
        table = np.atleast_1d(np.asarray(data)) & 0xFFFF
    if len(table) != entries:
        raise UnsupportedDicom(f"Expected a lookup table of {entries} entries, got {len(table)}. {_EXPORT}")
    return table.astype(np.int64), first


def _look_up(values: np.ndarray, table: np.ndarray, first: int) -> np.ndarray:
    index = np.rint(values).astype(np.int64) - first
    return table[np.clip(index, 0, len(table) - 1)]


def _orientation(dataset: Dataset, notes: list[str]) -> tuple[str | None, bool, bool]:
    """The view, whether the film lies mirrored, and whether the file says so (Patient Orientation, PS3.3 C.7.6.1.1.1).

    The first value says where the image's right edge lies in the patient, the second its bottom; of a pair
    such as "LF" the first letter weighs most. A frontal film for display is L\\F.
    """
    view = _view(dataset, notes)
    orientation = dataset.get("PatientOrientation")
    parts = [orientation] if isinstance(orientation, str) else [str(part).strip() for part in orientation or ()]
    if not any(parts):
        flipped = str(dataset.get("FieldOfViewHorizontalFlip", "") or "").strip() == "YES"
        turned = _numbers(dataset, "FieldOfViewRotation")
        if flipped or any(turned):
            notes.append("the field of view was flipped or turned and PatientOrientation is missing")
        if is_frontal(view):
            notes.append("no PatientOrientation: standard display assumed (patient's right on the image's left)")
        return view, False, False
    if len(parts) != 2 or not all(re.fullmatch(r"[LRAPHF]{1,3}", part) for part in parts):
        raise UnsupportedDicom(
            r"Expected PatientOrientation L\F (or R\F, mirrored), got an unreadable one. Correct the element."
        )
    row, column = parts[0][0], parts[1][0]
    if column != "F" or row in "HF":
        raise UnsupportedDicom(
            rf"Expected an upright film with PatientOrientation L\F or R\F, got {parts[0]}\{parts[1]}. "
            "Turn the pixels upright, correct the element, and give it again."
        )
    if row in "AP":
        if is_frontal(view) or view == UNRECOGNISED:
            notes.append(rf"PatientOrientation {parts[0]}\{parts[1]}: a lateral view")
            view = "LATERAL"
        return view, False, True
    if row == "R":
        notes.append(r"PatientOrientation R\F: mirrored, the patient's left is on the image's left")
    return view, row == "R", True


def _view(dataset: Dataset, notes: list[str]) -> str | None:
    """ViewPosition by its known words, else the view code; what neither of them knows is not taken as frontal."""
    view = view_name(str(dataset.get("ViewPosition", "") or ""))
    if view not in {None, UNRECOGNISED}:
        return view
    codes = [str(item.get("CodeValue", "") or "") for item in dataset.get("ViewCodeSequence", None) or ()]
    coded = next((_VIEW_CODES[code] for code in codes if code in _VIEW_CODES), None)
    if coded is not None:
        return coded
    if view is None and not any(codes):
        notes.append("no ViewPosition: frontal assumed")
        return None
    notes.append("ViewPosition or view code not recognised: not taken as frontal")
    return UNRECOGNISED


def _note_the_rest(dataset: Dataset, notes: list[str]) -> None:
    """What a reader of the result should know and the pixels do not tell."""
    modality = str(dataset.get("Modality", "") or "").strip()
    if modality not in _FILM_MODALITIES:
        shown = modality if re.fullmatch(r"[A-Z]{2}", modality) else "unknown"
        notes.append(f"modality {shown}: CR, DX, DR or RG expected")
    part = str(dataset.get("BodyPartExamined", "") or "").strip().upper()
    if part and not any(word in part for word in ("CHEST", "THORAX", "LUNG")):
        notes.append("BodyPartExamined is not the chest")
    side = str(dataset.get("ImageLaterality", "") or dataset.get("Laterality", "") or "").strip()
    if side in {"L", "R"}:
        notes.append(f"Laterality {side}: the image shows one side of a paired part")
    aspect = _numbers(dataset, "PixelAspectRatio")
    spacing = _numbers(dataset, "PixelSpacing") or _numbers(dataset, "ImagerPixelSpacing") or aspect
    if len(spacing) == 2 and spacing[1] > 0 and abs(spacing[0] / spacing[1] - 1) > 0.01:
        notes.append(f"pixels are not square (height / width {spacing[0] / spacing[1]:.3g}); shown as stored")
    if str(dataset.get("BurnedInAnnotation", "") or "").strip() == "YES":
        notes.append("burned-in annotation: the pixels may show who the patient is")
