"""Header elements as plain numbers and words, for every encoding in use.

Optional elements are often empty, written with decimal commas or brackets, or with the other of two value
representations. What cannot be read comes back as None and never raises, so that one bad element costs the film
nothing that another element says as well.
"""

import re

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement

_BINARY = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8", "UV": "u8", "SV": "i8", "OW": "u2"}
_UNTYPED = {None, "", "UN", "OB"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d+)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(E[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # "2,048": 2.048 or 2048, which nobody can tell


class UnsupportedDicom(ValueError):
    """DICOM file that would be read wrongly or not at all; the message states what to do."""


def numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """Values of an element in order; None for each that is empty or no number.

    NaN and infinity are numbers here, since they are written as such: callers decide what they mean.
    """
    element = _element(dataset, keyword)
    if element is None or element.value is None:
        return []
    if isinstance(element, RawDataElement) and (kind := _binary(element, keyword)):
        order = "<" if element.is_little_endian else ">"
        whole = len(element.value) // int(kind[1]) * int(kind[1])
        return [float(value) for value in np.frombuffer(element.value[:whole], f"{order}{kind}")]
    return [number for text in _texts(element) for number in _parse(text)]


def number(dataset: Dataset, keyword: str) -> float | None:
    """First value of an element that is a number; None where there is none."""
    return next((value for value in numbers(dataset, keyword) if value is not None), None)


def whole_number(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Integer that is required to read the pixels.

    Raises:
        UnsupportedDicom: the element is missing or unreadable and there is no default.
    """
    value = number(dataset, keyword)
    if value is None and default is not None:
        return default
    if value is None or value != value // 1:
        raise UnsupportedDicom(
            f"Expected a whole number in {keyword}, got none: the header is damaged. Export the film again."
        )
    return int(value)


def words(dataset: Dataset, keyword: str) -> list[str]:
    """Values of a text element, stripped of blanks and null bytes; empty values remain as ""."""
    element = _element(dataset, keyword)
    return [] if element is None or element.value is None else _texts(element)


def code(dataset: Dataset, keyword: str) -> str:
    """Coded value reduced to capitals and digits: "Linear_exact" is "LINEAREXACT"; empty where there is none."""
    return re.sub(r"[^A-Z0-9]", "", next(iter(words(dataset, keyword)), "").upper())


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; none where it is missing, empty or unreadable."""
    try:
        return list(dataset.get(keyword) or ())
    except Exception:  # pydicom raises nearly anything on a damaged sequence
        return []


def present(dataset: Dataset, keyword: str) -> bool:
    """Whether an element is present and not empty."""
    element = _element(dataset, keyword)
    return element is not None and any(_texts(element))


def signed(value: float, representation: int, bits: int = 16) -> int:
    """Value in the pixels' range with their sign, for either representation (US or SS) in the file.

    Args:
        value: as written.
        representation: the pixels' PixelRepresentation, 0 unsigned, 1 two's complement.
        bits: of the element; 16 for US and SS.
    """
    pattern = int(value) % (1 << bits)
    return pattern - (1 << bits) if representation == 1 and pattern >> (bits - 1) else pattern


def _element(dataset: Dataset, keyword: str) -> DataElement | RawDataElement | None:
    tag = tag_for_keyword(keyword)
    return dataset.get_item(tag) if tag is not None and tag in dataset else None


def _binary(element: RawDataElement, keyword: str) -> str | None:
    """NumPy's type name of the numbers in a raw element; None for text."""
    written = element.VR
    if written in _UNTYPED:
        written = dictionary_VR(keyword).split(" or ")[0]
    return _BINARY.get(str(written))


def _texts(element: DataElement | RawDataElement) -> list[str]:
    value = element.value
    if isinstance(value, bytes):
        value = value.decode("latin-1").split("\\")
    elif isinstance(value, str):
        value = value.split("\\")
    elif value is None or not hasattr(value, "__iter__"):
        value = [value]
    return ["" if part is None else str(part).strip(" \0\t\r\n") for part in value]


def _parse(text: str) -> list[float | None]:
    """Parse the numbers of one value: one, or several in brackets, separated by semicolons, or by commas and blanks."""
    bare = text.strip("[](){}<>\"' ")
    between = r"\s*[;,]\s*" if bare != text else r"\s*;\s*|\s*,\s+"
    return [_number(part) for part in re.split(between, bare)]


def _number(text: str) -> float | None:
    if _NUMBER.fullmatch(text) or text.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
        return float(text)
    if _DECIMAL_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text):
        return float(text.replace(",", "."))
    return None
