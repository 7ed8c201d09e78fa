"""Grey values of a display from stored values (PS3.4 annex N.2): modality, VOI, inversion, padding.

Every step maps values one by one, so the steps run on the different values of a film, some thousands, and the
pixels are looked up at the end.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import DataElement

from matex.dicom.elements import UnsupportedDicom, code, items, number, numbers, present, signed
from matex.dicom.pixel_data import EXPORT, PixelLayout

_FALLBACK_PERCENTILES = (0.5, 99.5)
_LONGEST_TABLE = 1 << 16  # entries (PS3.3 C.11.1.1.1)
_BAND = 1 << 22  # pixels that are looked up at once, to bound memory

Values = NDArray[np.float64]
Window = tuple[float, float, str]  # centre, width, VOI LUT Function


@dataclass(frozen=True, eq=False)
class Levels:
    """Distinct values of a film in increasing order, with the number of pixels of each."""

    cells: np.ndarray
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, cells: np.ndarray) -> Self:
        if cells.dtype.itemsize > 2:
            values, counts = np.unique(cells, return_counts=True)
            return cls(values, counts.astype(np.int64))
        counts = np.zeros(1 << (8 * cells.dtype.itemsize), np.int64)
        flat = cells.reshape(-1).view(f"u{cells.dtype.itemsize}")
        for start in range(0, flat.size, _BAND):
            counts += np.bincount(flat[start : start + _BAND], minlength=counts.size)
        patterns = np.flatnonzero(counts)
        values = patterns.astype(flat.dtype).view(cells.dtype)
        order = np.argsort(values, kind="stable")
        return cls(values[order], counts[patterns[order]])

    def look_up(self, cells: np.ndarray, shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply a value per level to the pixels, [rows, columns]."""
        picture = np.empty(cells.size, np.uint8)
        flat = cells.reshape(-1)
        table = None
        if cells.dtype.itemsize <= 2:
            flat = flat.view(f"u{cells.dtype.itemsize}")
            table = np.zeros(1 << (8 * cells.dtype.itemsize), np.uint8)
            table[self.cells.view(flat.dtype)] = shown
        for start in range(0, flat.size, _BAND):
            band = flat[start : start + _BAND]
            picture[start : start + _BAND] = shown[np.searchsorted(self.cells, band)] if table is None else table[band]
        return picture.reshape(cells.shape)


@dataclass(frozen=True, eq=False)
class Curve:
    """A lookup table; values below and above those mapped take its ends.

    Args:
        first: value of the first entry.
        entries: [entry], in [0, 1].
    """

    first: int
    entries: Values


@dataclass(frozen=True)
class Look:
    """Transformation of a film's stored values to the grey values of `display`, before any inversion.

    Args:
        rescale: (slope, intercept); None where `voi` applies to stored values.
        voi: the window, or the VOI LUT.
    """

    rescale: tuple[float, float] | None
    voi: Window | Curve


def look(dataset: Dataset, cells: np.ndarray, layout: PixelLayout) -> Look:
    """Return the steps that `display` takes, with a window in place of percentiles.

    A modality LUT and what follows it become one table of stored values.

    Raises:
        UnsupportedDicom: a modality LUT or rescale that cannot be applied.
    """
    levels = Levels.of(cells)
    stored = layout.values(levels.cells)
    padding = _padding(stored, levels.counts, dataset, layout, [])
    rescaled = _modality(stored, dataset, layout, [])
    shown, voi = _voi(rescaled, levels.counts, padding, dataset, [])
    if not items(dataset, "ModalityLUTSequence"):
        return Look(rescaled.step, voi)
    order = np.argsort(stored, kind="stable")  # dropped bits can leave them in another order
    first, last = int(stored[order[0]]), int(stored[order[-1]])
    mapped = np.arange(first, min(last, first + _LONGEST_TABLE - 2) + 1)
    curve = np.interp(mapped, stored[order], np.clip(shown, 0, 1)[order])
    return Look(None, Curve(first, np.append(curve, 1.0)))  # 1 lies beyond the film's values: a table spans its range


def display(dataset: Dataset, cells: np.ndarray, layout: PixelLayout, notes: list[str]) -> NDArray[np.uint8]:
    """Compute the film for display, dense bright, [rows, columns].

    Raises:
        UnsupportedDicom: a modality LUT or rescale that cannot be applied.
    """
    levels = Levels.of(cells)
    stored = layout.values(levels.cells)
    if not np.array_equal(stored, levels.cells):
        notes.append(f"bits outside the {layout.stored} stored ones dropped")
    padding = _padding(stored, levels.counts, dataset, layout, notes)
    rescaled = _modality(stored, dataset, layout, notes)
    shown = np.clip(_voi(rescaled, levels.counts, padding, dataset, notes)[0], 0, 1)
    if is_inverted(dataset):
        shown = 1 - shown
        notes.append("MONOCHROME1 or INVERSE: inverted, so that dense is bright")
    grey = np.rint(shown * 255).astype(np.uint8)
    grey[padding] = 0
    if grey.min() == grey.max():
        notes.append("constant image: nothing to see in it")
    return levels.look_up(cells, grey)


def is_inverted(dataset: Dataset) -> bool:
    """Whether low values are bright; on CR and DX, INVERSE repeats what MONOCHROME1 states (PS3.3 C.8.11.3.1.2)."""
    return code(dataset, "PhotometricInterpretation") == "MONOCHROME1" or (
        code(dataset, "PresentationLUTShape") == "INVERSE"
    )


def _padding(
    stored: np.ndarray, counts: NDArray[np.int64], dataset: Dataset, layout: PixelLayout, notes: list[str]
) -> NDArray[np.bool_]:
    """Mask of the levels of unexposed pixels (Pixel Padding Value, PS3.3 C.7.5.1.1.2)."""
    ends = [number(dataset, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None or not np.isfinite([end for end in ends if end is not None]).all():
        if present(dataset, "PixelPaddingValue"):
            notes.append("PixelPaddingValue unreadable: no padding assumed")
        return np.zeros(stored.shape, bool)
    low, high = sorted(_in_range(end, layout) for end in (ends[0], ends[0] if ends[1] is None else ends[1]))
    mask = (stored >= low) & (stored <= high)
    if mask.all():
        notes.append("the padding values take in every pixel: no padding assumed")
    if mask.all() or not mask.any():
        return np.zeros(stored.shape, bool)
    notes.append(f"padding ({counts[mask].sum() / counts.sum():.1%} of the pixels) shown as background")
    return mask


def _in_range(value: float, layout: PixelLayout) -> int:
    """Header value in the representation of the pixels: with their sign, and in their bits where 16 do not fit."""
    whole = signed(value, layout.representation) if -(1 << 15) <= value < 1 << 16 else int(value)
    low, high = layout.span
    return whole if low <= whole <= high else signed(whole, layout.representation, layout.stored)


@dataclass(frozen=True, eq=False)
class _Rescaled:
    """Levels after the modality step.

    Args:
        values: of the levels.
        possible: smallest and largest value that the stored bits can give.
        known: whether tables and windows of the file are in these units.
        step: see `Look.rescale`.
    """

    values: Values
    possible: tuple[float, float]
    known: bool = True
    step: tuple[float, float] | None = None


def _modality(stored: np.ndarray, dataset: Dataset, layout: PixelLayout, notes: list[str]) -> _Rescaled:
    """Modality LUT or rescale (PS3.3 C.11.1).

    Raises:
        UnsupportedDicom: a table or a rescale that is there and cannot be right.
    """
    if tables := items(dataset, "ModalityLUTSequence"):
        table = _table(tables[0], dataset, layout.span, negative=layout.representation == 1)
        if isinstance(table, str):
            raise UnsupportedDicom(f"Expected a modality lookup table, got {table}. {EXPORT}")
        return _Rescaled(table.look_up(stored).astype(np.float64), (0.0, float(table.entries.max())))
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    unreadable = [
        keyword
        for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept))
        if value is None and present(dataset, keyword)
    ]
    span = np.array(layout.span, np.float64)
    if unreadable:
        notes.append(f"{' and '.join(unreadable)} unreadable: stored values shown, the file's window not used")
        return _Rescaled(stored.astype(np.float64), (span[0], span[1]), known=False)
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    with np.errstate(over="ignore", invalid="ignore"):
        values, ends = stored * slope + intercept, np.sort(span * slope + intercept)
        # One step of the pixels must remain one of the result: not so for a slope of 0 or an intercept of 1e308.
        apart = slope != 0 and np.isfinite(ends).all() and np.spacing(np.abs(ends).max()) < abs(slope) / 2
    if not apart:
        raise UnsupportedDicom(
            f"Expected a rescale that keeps the pixels apart, got RescaleSlope {slope:g} and RescaleIntercept "
            f"{intercept:g}. Correct them, or remove them to show the stored values."
        )
    return _Rescaled(values, (float(ends[0]), float(ends[1])), step=(slope, intercept))


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One mapping of values to [0, 1] that the file offers; None where it cannot be read."""

    shown: Values | None
    remarks: tuple[str, ...]
    otherwise: str  # the note when it is not used
    voi: Window | Curve | None  # see Look


def _voi(
    rescaled: _Rescaled, counts: NDArray[np.int64], padding: NDArray[np.bool_], dataset: Dataset, notes: list[str]
) -> tuple[Values, Window | Curve]:
    """Map to the display range [0, 1] by the first usable VOI LUT, else window, else percentiles (PS3.3 C.11.2)."""
    if code(dataset, "PresentationIntentType") == "FORPROCESSING":
        notes.append("FOR PROCESSING: raw detector values, not meant for display")
    values = rescaled.values
    exposed = values[~padding]

    def usable(shown: Values) -> bool:
        """Whether the exposed pixels have more than one displayed value."""
        return bool(np.ptp(shown[~padding]) > 0 or np.ptp(exposed) == 0)

    if rescaled.known:
        for candidate in (*_tables(rescaled, dataset), *_windows(values, dataset)):
            if candidate.shown is not None and candidate.voi is not None and usable(candidate.shown):
                notes.extend(candidate.remarks)
                return candidate.shown, candidate.voi
            notes.append(candidate.otherwise)
    low, high = _fallback(values, counts, padding)
    notes.append(
        f"no window: {low:g} to {high:g} shown (percentiles {_FALLBACK_PERCENTILES[0]:g} and "
        f"{_FALLBACK_PERCENTILES[1]:g})"
    )
    window = ((low + high + 1) / 2, high - low + 1, "LINEAR")  # shows the same (PS3.3 C.11.2.1.2.1)
    return np.clip((values - low) / (high - low or 1.0), 0, 1), window


def _fallback(values: Values, counts: NDArray[np.int64], padding: NDArray[np.bool_]) -> tuple[float, float]:
    """Fallback percentiles of the exposed pixels, or their extremes where these are equal."""
    exposed = values[~padding]
    low, high = _percentiles(exposed, counts[~padding])
    return (low, high) if low != high else (float(exposed.min()), float(exposed.max()))


def _tables(rescaled: _Rescaled, dataset: Dataset) -> Iterator[_Candidate]:
    """VOI LUTs, in their order."""
    tables = items(dataset, "VOILUTSequence")
    for index, item in enumerate(tables):
        table = _table(item, dataset, rescaled.possible, negative=rescaled.possible[0] < 0)
        if isinstance(table, str):
            yield _Candidate(None, (), f"VOI LUT unusable: {table}", None)
            continue
        # Some vendors declare 16 bits over a 12-bit table, or fewer than the table has.
        used = max(int(table.entries.max()).bit_length(), min(8, table.bits), 1)
        remarks = ["VOI LUT applied" + _place(index, len(tables))]
        if used != table.bits:
            remarks.append(f"VOI LUT declares {table.bits} bits and uses {used}")
        curve = Curve(table.first, table.entries / (2**used - 1))
        shown = table.look_up(rescaled.values) / (2**used - 1)
        yield _Candidate(shown, tuple(remarks), "VOI LUT unusable: it shows all pixels alike", curve)


def _windows(values: Values, dataset: Dataset) -> Iterator[_Candidate]:
    """Windows, in their order; pairs in which a number is missing or not finite cannot be used."""
    if not (present(dataset, "WindowCenter") and present(dataset, "WindowWidth")):
        return
    pairs = list(zip_longest(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")))
    function = code(dataset, "VOILUTFunction") or "LINEAR"
    function = "LINEAR_EXACT" if function == "LINEAREXACT" else function
    for index, (center, width) in enumerate(pairs):
        which = "the window" if len(pairs) == 1 else f"window {index + 1} of {len(pairs)}"
        otherwise = f"{which} in the file is unusable"
        shown = None
        if center is not None and width is not None and np.isfinite([center, width]).all():
            shown = _window(values, center, width, function)
        remark = f"window {center or 0:g}/{width or 0:g} {function}{_place(index, len(pairs))}"
        yield _Candidate(shown, (remark,), otherwise, (center or 0, width or 0, function))


def _place(index: int, count: int) -> str:
    if count == 1:
        return ""
    return f" (first of {count})" if index == 0 else f" ({index + 1} of {count})"


def _window(values: Values, center: float, width: float, function: str) -> Values | None:
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


def _percentiles(values: Values, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Fallback percentiles of values with multiplicities, as `numpy.percentile` computes them of all pixels."""
    order = np.argsort(values)
    ends = np.cumsum(counts[order])
    found: list[float] = []
    for percentile in _FALLBACK_PERCENTILES:
        place = (ends[-1] - 1) * (percentile / 100)
        below, above = (
            values[order[np.searchsorted(ends, min(math.floor(place) + step, ends[-1] - 1), side="right")]]
            for step in (0, 1)
        )
        share = place - math.floor(place)
        found.append(float(below + (above - below) * share if share < 0.5 else above - (above - below) * (1 - share)))
    return found[0], found[1]


@dataclass(frozen=True, eq=False)
class _Table:
    """Lookup table (PS3.3 C.11.1.1): values below and above those mapped take its ends."""

    entries: NDArray[np.int64]
    first: int
    bits: int

    def look_up(self, values: np.ndarray) -> NDArray[np.int64]:
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int64)]


def _table(item: Dataset, dataset: Dataset, possible: tuple[float, float], negative: bool) -> _Table | str:
    """Parse the table in an item of a LUT sequence, or state its defect.

    Args:
        item: of the sequence.
        dataset: of the file, for its byte order.
        possible: smallest and largest value that the table can meet.
        negative: whether values are signed, and with them the first value mapped, in whichever representation (US or
            SS) the descriptor is written. The other sign is taken where the table would meet none of the values.
    """
    descriptor = numbers(item, "LUTDescriptor")
    data = item.get_item("LUTData") if "LUTData" in item else None
    if len(descriptor) != 3 or any(value is None for value in descriptor) or data is None or data.value is None:
        return "one without a readable descriptor or without data"
    count, first, bits = (int(value or 0) for value in descriptor)
    count = count & 0xFFFF or 1 << 16  # 0 means 65536; a signed representation reads large counts as negative
    entries = _entries(data, count, bits, little_endian=bool(dataset.original_encoding[1]))
    if len(entries) != count:
        return f"{len(entries)} entries instead of {count}"
    here, other = signed(first, int(negative)), signed(first, int(not negative))

    def meets(start: int) -> bool:
        return start <= possible[1] and start + count > possible[0]

    return _Table(entries.astype(np.int64), here if meets(here) or not meets(other) else other, bits)


def _entries(data: DataElement, count: int, bits: int, little_endian: bool) -> np.ndarray:
    """LUT Data as numbers; thousands of entries may be 8 bits wide (PS3.3 C.11.1.1.1)."""
    if isinstance(data.value, bytes):
        packed = bits == 8 and len(data.value) in (count, count + 1)  # bytes are padded to an even number
        if packed:
            return np.frombuffer(data.value[:count], "u1")
        whole = len(data.value) // 2 * 2
        return np.frombuffer(data.value[:whole], "<u2" if little_endian else ">u2")
    return np.atleast_1d(np.asarray(data.value)) & 0xFFFF
