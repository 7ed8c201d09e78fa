"""A film: one image as read, ready for display."""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from matex.errors import InputError, shown


@dataclass(frozen=True, eq=False)
class Film:
    """One image as read, ready for display."""

    pixels: np.ndarray  # uint8 [height, width] grey or [height, width, 3] colour; on a radiograph dense is bright
    name: str  # file stem, "array" or "image"; "dicom" and a hash for DICOM, never patient data
    sha256: str  # of the file's bytes, or of the array
    view: str | None = None  # "PA", "AP", "LL", "LATERAL", ... (matex.dicom.view_position); None when nothing is known
    mirrored: bool = False  # True when the left edge of the upright image is the patient's left
    notes: tuple[str, ...] = ()  # assumptions and changes of the reader
    oriented: bool = False  # True when the file or the caller states the patient's sides; else they are assumed
    turns: int = 0  # quarter turns counter-clockwise that bring the image upright
    facing: Literal["left", "right"] | None = None
    """Edge of the upright image at which the patient's front lies, of a view from the side; None where not stated."""
    full: tuple[int, int] | None = None  # (height, width) of an image that was read reduced; None: pixels holds it all
    spacing: tuple[float, float, bool] | None = None
    """Millimetres between pixel centres of `size` (down, across), and whether they are calibrated to the patient;
    otherwise they are those of the detector, on which the patient is magnified. None where the file states none."""
    uids: tuple[tuple[str, str], ...] = ()  # (keyword, UID) of a DICOM file, where `read` was to keep them

    def known_as(self, view: str | None, mirrored: bool | None) -> Self:
        """Replace the film's view and orientation by known ones; None keeps those of the file."""
        if not isinstance(view, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected view as text, such as 'PA', got {shown(view)}.")
        if not isinstance(mirrored, bool | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected mirrored to be True, False or None, got {shown(mirrored)}.")
        view = self.view if view is None else view
        if mirrored is None:
            return replace(self, view=view)
        if mirrored == self.mirrored:
            return replace(self, view=view, oriented=True)
        effect = "flipped for the model, the map lies on the film as it is" if mirrored else "not flipped for the model"
        note = f"declared {'' if mirrored else 'not '}mirrored: {effect}"
        return replace(self, view=view, mirrored=mirrored, oriented=True, notes=(*self.notes, note))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image in its file, pixels; `pixels` has fewer where it was read reduced."""
        return self.full or (self.pixels.shape[0], self.pixels.shape[1])

    @property
    def edges(self) -> tuple[str, str] | None:
        """Patient's sides at the image's (left, right) edge, "R" and "L"; None for a film that lies on its side."""
        if self.turns % 2:
            return None
        return ("L", "R") if self.mirrored != (self.turns == 2) else ("R", "L")
