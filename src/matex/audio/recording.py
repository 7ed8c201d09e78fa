"""Recordings: sound from files and arrays, mono, at the rate that it was recorded with. No torch."""

from __future__ import annotations

import hashlib
import importlib
import io
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matex.checks import count, number, read_bytes
from matex.errors import InputError, MissingExtra, shown
from matex.images import begins_as_sound

Floats = NDArray[np.floating]

MAX_BYTES = 512 << 20
MAX_SECONDS = 600
MAX_CHANNELS = 8
MAX_SAMPLES = 64_000_000  # of all channels together, 256 MB: ten minutes in stereo at 48 kHz
SHORTEST = 0.025  # seconds, one window of a spectrogram
RATES = (1_000, 192_000)  # Hz
MAX_FILTER = 4_000_000  # numbers in the filters of a change of rate; 44.1 kHz takes 76 000, odd rates far more

_FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG")


@dataclass(frozen=True, eq=False)
class Recording:
    """One sound, mono.

    Args:
        samples: float32 [sample], full scale is 1.
        rate: samples per second.
        name: file stem, or "array".
        sha256: of the file's bytes, or of the array.
        notes: remarks on the file and its reading.
        start: where models that hear a part begin, seconds.
    """

    samples: Floats
    rate: int
    name: str
    sha256: str
    notes: tuple[str, ...] = ()
    start: float = 0.0

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def starting_at(self, start: float) -> Recording:
        """The same recording, of which models hear the part from `start` on.

        Raises:
            InputError: a start outside the recording.
        """
        start = number(start, "start (seconds)", 0)
        if start + SHORTEST > self.seconds:
            raise InputError(f"Expected a start below {self.seconds:g} s, the length of the sound, got {start:g} s.")
        return replace(self, start=start)

    def part(self, seconds: float, rate: int) -> Floats:
        """The samples from `start` on at another rate, at most so many seconds, float64 [sample].

        Raises:
            InputError: see `resample`.
        """
        # The complete recording is resampled, as in the original, so that the filter sees what lies around the part.
        first = round(self.start * rate)
        return resample(self.samples, self.rate, rate)[first : first + round(seconds * rate)]

    def notes_at(self, rate: int) -> tuple[str, ...]:
        """The notes, with those on resampling to a model's rate."""
        if rate == self.rate:
            return self.notes
        notes = [*self.notes, f"The recording was resampled from {self.rate} to {rate} Hz."]
        return (*notes, f"It holds nothing above {self.rate // 2} Hz.") if self.rate < rate else tuple(notes)


def is_sound_file(path: str | Path) -> bool:
    """Whether a file begins as WAV, FLAC or OGG files do; False for one that cannot be opened."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as stream:
            return begins_as_sound(stream.read(12))
    except (OSError, ValueError):
        return False


def read_sound(path: str | Path, *, start: float = 0.0, channel: Literal["first", "mean"] = "first") -> Recording:
    """Read a WAV, FLAC or OGG file (extra `audio`).

    Args:
        path: of the file.
        start: where models that hear a part of a sound begin, seconds.
        channel: of a file with several: the first alone, as ImageBind reads it, or their mean.

    Raises:
        InputError: no such file, another format, a damaged one, or as `from_samples`.
        MissingExtra: soundfile is not installed.
    """
    _require_soundfile()  # a missing package is named before a missing file
    data = read_bytes(path, "a sound file (WAV, FLAC, OGG)", MAX_BYTES)
    return parse_sound(data, Path(path).stem, shown(str(path)), channel).starting_at(start)


def parse_sound(data: bytes, name: str, where: str, channel: Literal["first", "mean"] = "first") -> Recording:
    """A recording from the content of a WAV, FLAC or OGG file (extra `audio`).

    Args:
        data: of the file.
        name: of the recording.
        where: the file, for messages.
        channel: see `read_sound`.

    Raises:
        InputError: another format, a damaged file, or as `from_samples`.
        MissingExtra: soundfile is not installed.
    """
    _require_soundfile()
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            kind, rate, frames, channels = file.format, file.samplerate, file.frames, file.channels
            if kind not in _FORMATS:
                raise InputError(f"Expected a WAV, FLAC or OGG file, got {kind}: {where}. Convert it to WAV.")
            _check_extent(frames, channels, rate, where)
            samples = np.asarray(file.read(dtype="float32", always_2d=True), np.float32)
    except (soundfile.LibsndfileError, RuntimeError, OverflowError, MemoryError) as error:
        # libsndfile's str names the stream in memory, its error_string does not.
        message = str(getattr(error, "error_string", error))
        reason = message.splitlines()[0][:120] if message else type(error).__name__
        raise InputError(
            f"Expected a WAV, FLAC or OGG file, got one that cannot be read as sound ({reason}): {where}. Copy it "
            "again, or convert it to WAV."
        ) from None
    if len(samples) < frames:
        raise InputError(f"Expected {frames} samples as the header says, got {len(samples)}: {where}. Copy it again.")
    digest = hashlib.sha256(data).hexdigest()
    return _recording(samples, rate, channel, name, digest, where)


def _require_soundfile() -> None:
    """Refuse where the package that reads sounds is missing.

    Raises:
        MissingExtra: soundfile is not installed.
    """
    try:
        importlib.import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: the C library beneath it is missing
        raise MissingExtra("Reading sound needs soundfile: pip install matex[audio]") from error


def from_samples(samples: ArrayLike, rate: int, channel: Literal["first", "mean"] = "first") -> Recording:
    """Samples in memory.

    Args:
        samples: [sample] or [sample, channel]; floats with full scale 1, or integers with the full scale of their type.
        rate: samples per second.
        channel: as in `read`.

    Raises:
        InputError: no numbers, NaN, an odd rate, more than 8 channels, less than 25 ms or more than ten minutes.
    """
    values = np.asarray(samples)
    if values.ndim not in (1, 2) or values.dtype.kind not in "iuf":
        raise InputError(
            f"Expected samples as numbers of shape (sample,) or (sample, channel), got {values.dtype} of shape "
            f"{values.shape}."
        )
    rate = count(rate, "the rate of samples per second", *RATES)
    values = values[:, None] if values.ndim == 1 else values
    _check_extent(len(values), values.shape[1], rate, "an array")
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape} {rate} ".encode() + values.tobytes()).hexdigest()
    if values.dtype.kind == "u":
        half = float(1 << (8 * values.dtype.itemsize - 1))
        values = (values.astype(np.float64) - half) / half
    elif values.dtype.kind == "i":
        values = values.astype(np.float64) / (1 << (8 * values.dtype.itemsize - 1))
    return _recording(values.astype(np.float32), rate, channel, "array", digest, "an array")


def _check_extent(frames: int, channels: int, rate: int, where: str) -> None:
    """Refuse a number of samples, of channels or a rate before anything of that size is allocated."""
    low, high = RATES
    if not low <= rate <= high:
        raise InputError(f"Expected a rate from {low} to {high} Hz, got {rate}: {where}. Convert it to 48000 Hz.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise InputError(f"Expected 1 to {MAX_CHANNELS} channels, got {channels}: {where}. Export one of them.")
    if frames > MAX_SECONDS * rate:
        raise InputError(
            f"Expected at most {MAX_SECONDS} s of sound, got {frames / rate:.0f} s: {where}. Cut out a part of it."
        )
    if frames * channels > MAX_SAMPLES:
        raise InputError(
            f"Expected at most {MAX_SAMPLES} samples, got {frames} of {channels} channels: {where}. Convert it to "
            "48000 Hz and one channel."
        )
    if frames < SHORTEST * rate:
        raise InputError(f"Expected at least 25 ms of sound, got {frames / rate * 1000:.3g} ms: {where}.")


def _recording(samples: Floats, rate: int, channel: str, name: str, sha256: str, where: str) -> Recording:
    if channel not in ("first", "mean"):
        raise InputError(f"Expected channel to be 'first' or 'mean', got {shown(channel)}.")
    if not np.isfinite(samples).all():
        raise InputError(f"Expected finite samples, got NaN or infinity: {where}. Export it again.")
    notes: list[str] = []
    if samples.shape[1] > 1:
        read = "the first is read, as ImageBind does" if channel == "first" else "their mean is read"
        notes.append(f"The recording has {samples.shape[1]} channels; {read}.")
    mono = samples[:, 0] if channel == "first" else samples.mean(axis=1)
    if np.ptp(mono) == 0:
        notes.append("The recording is silent.")
    return Recording(mono.astype(np.float32), rate, name, sha256, tuple(notes))


def resample(samples: Floats, rate: int, to: int) -> Floats:
    """Samples at another rate, band-limited by a sinc filter under a Hann window, float64 [sample].

    The filter is torchaudio's default, with which ImageBind was trained: six zero crossings on each side, cut off at
    .99 of the lower Nyquist frequency. SciPy's and soxr's filters are steeper, so that their spectrograms differ above
    the cut-off, and either would be one more dependency.

    Raises:
        InputError: rates with so small a common divisor that the filters would not fit in memory.
    """
    divisor = math.gcd(rate, to)
    down, up = rate // divisor, to // divisor
    if down == up:
        return samples.astype(np.float64)
    cut = 0.99 * min(down, up)
    width = math.ceil(6 * down / cut)
    if up * (2 * width + down) > MAX_FILTER:
        raise InputError(f"Expected a usual rate such as 44100 Hz, got {rate} Hz. Convert it to {to} Hz.")
    # One filter for each of the `up` places of an output sample between two input samples.
    place = (np.arange(-width, width + down) / down - np.arange(up)[:, None] / up) * cut
    place = place.clip(-6, 6)
    filters = np.sinc(place) * np.cos(place * math.pi / 12) ** 2 * (cut / down)
    padded = np.pad(samples.astype(np.float64), (width, width + down))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, filters.shape[1])[::down]
    return (pieces @ filters.T).reshape(-1)[: math.ceil(len(samples) * up / down)]
