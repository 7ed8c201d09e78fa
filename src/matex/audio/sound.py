"""A sound as an image: the spectrogram that a model reads, low frequencies at the bottom. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from matex.audio.recording import Floats, Recording
from matex.images import Film

_HERTZ = (50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000)
_LEAST_HEIGHT = 0.4  # of a picture's width; flatter spectrograms are drawn with each bin over several rows


class Tick(NamedTuple):
    """A mark on an axis of the picture.

    Args:
        position: fraction of the picture's width from the left, or of its height from the top.
        label: number without its unit.
    """

    position: float
    label: str


@dataclass(frozen=True, eq=False)
class Sound(Film):
    """A recording as a model reads it.

    `pixels` is a picture of the spectrogram, uint8 [height, width]: time runs to the right, frequency upwards, silence
    is black, and so is the padding behind a recording that is shorter than the model's input.

    Args:
        recording: the sound.
        kind: name of the spectrogram, in `matex.audio.kinds.KINDS`.
        seconds: marks on the time axis, s from the start of the recording.
        hertz: marks on the frequency axis, Hz.
        repeat: rows of the picture for each bin.
    """

    recording: Recording = field(kw_only=True)
    kind: str = field(kw_only=True)
    seconds: tuple[Tick, ...] = field(kw_only=True)
    hertz: tuple[Tick, ...] = field(kw_only=True)
    repeat: int = field(kw_only=True)


class SpectrogramKind(Protocol):
    """Conversion of a recording to a model's input, as in the model's original code.

    Args:
        name: in `KINDS`.
        silence: value of the input where nothing sounds.
    """

    @property
    def name(self) -> str: ...

    @property
    def silence(self) -> float: ...

    def values(self, recording: Recording) -> Floats:
        """The model's input, float32 [bin, frame], lowest bin first."""
        ...

    def sound(self, recording: Recording) -> Sound:
        """The recording with a picture of its spectrogram."""
        ...


def picture(
    recording: Recording, kind: str, levels: Floats, step: float, bin_of: Callable[[int], float], notes: Sequence[str]
) -> Sound:
    """Draw a spectrogram.

    Args:
        recording: the sound.
        kind: name of the spectrogram.
        levels: logarithm of the energy, [bin, frame], lowest bin first; NaN for padding.
        step: seconds from frame to frame.
        bin_of: bin of a frequency in Hz, with a fraction.
        notes: remarks on the recording and its spectrogram.
    """
    bins, frames = levels.shape
    repeat = max(1, round(_LEAST_HEIGHT * frames / bins))
    return Sound(
        pixels=np.repeat(_grey(levels)[::-1], repeat, axis=0),
        name=recording.name,
        sha256=recording.sha256,
        notes=tuple(notes),
        recording=recording,
        kind=kind,
        seconds=_times(recording.start, frames * step),
        hertz=tuple(
            Tick(1 - (place + 0.5) / bins, f"{hertz}") for hertz in _HERTZ if 0 <= (place := bin_of(hertz)) < bins - 0.5
        ),
        repeat=repeat,
    )


def _grey(levels: Floats) -> NDArray[np.uint8]:
    """Lowest value that is no padding to black, highest to white."""
    low, high = np.nanmin(levels), np.nanmax(levels)
    scaled = (levels - low) / (high - low) if high > low else np.zeros_like(levels)
    return (np.nan_to_num(scaled) * 255).round().astype(np.uint8)


def _times(start: float, seconds: float) -> tuple[Tick, ...]:
    """Marks at round numbers, about eight of them."""
    step = next(step for step in (0.1, 0.25, 0.5, 1, 2, 5) if seconds / step <= 8 or step == 5)
    first = int(np.ceil(start / step - 1e-9))
    marks = [number * step for number in range(first, int((start + seconds) / step + 1e-9) + 1)]
    return tuple(Tick((mark - start) / seconds, f"{mark:g}") for mark in marks)
