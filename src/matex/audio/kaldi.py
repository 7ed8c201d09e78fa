"""Log-mel energies as Kaldi computes them, which ImageBind reads. No torch."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matex.audio.recording import Floats
from matex.errors import InputError

RATE = 16_000  # Hz
WINDOW, STEP = 400, 160  # samples: 25 ms and 10 ms
FFT = 512
BINS = 128
LOWEST, HIGHEST = 20.0, RATE / 2  # Hz, of the mel bins
PREEMPHASIS = 0.97
FLOOR = float(np.finfo(np.float32).eps)  # of the energy, before the logarithm


def log_mel(samples: Floats) -> Floats:
    """Log energies in mel bins as Kaldi has them, natural logarithm, float64 [frame, bin].

    Frames of 25 ms lie 10 ms apart and wholly inside the samples. Each is centred, filtered with 1 - .97 z^-1 (the
    sample before the first is the first), weighted with a symmetric Hann window and filled up to 512 samples.

    Raises:
        InputError: less than 25 ms.

    Source:
        Kaldi, compute-fbank-feats with --htk-compat --use-energy=false --window-type=hanning --num-mel-bins=128
        --dither=0, the call in ImageBind's data.py (waveform2melspec).
    """
    if len(samples) < WINDOW:
        raise InputError(f"Expected at least 25 ms of sound, got {len(samples) / RATE * 1000:.3g} ms.")
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), WINDOW)[::STEP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate((frames[:, :1], frames[:, :-1]), axis=1)
    window = np.hanning(WINDOW)
    power = np.abs(np.fft.rfft((frames - PREEMPHASIS * before) * window, FFT)) ** 2
    return np.log(np.maximum(power[:, :-1] @ _mel_filters().T, FLOOR))


@cache
def _mel_filters() -> Floats:
    """Triangles of equal width on the mel scale, [bin, FFT bin]; the Nyquist frequency is in none.

    In float32, as the original has them: where a narrow triangle just reaches an FFT bin, its weight is rounding error.
    """
    frequency = np.arange(FFT // 2, dtype=np.float32) * np.float32(RATE / FFT)
    place = np.float32(1127) * np.log(np.float32(1) + frequency / np.float32(700))
    low, width = np.float32(to_mel(LOWEST)), np.float32(_bin_width())
    band = np.arange(BINS, dtype=np.float32)[:, None]
    left, centre, right = (low + (band + np.float32(offset)) * width for offset in range(3))
    return np.maximum(0, np.minimum((place - left) / (centre - left), (right - place) / (right - centre)))


def to_mel(hertz: ArrayLike) -> NDArray[np.float64]:
    """Kaldi's mel scale."""
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def to_hertz(mel: ArrayLike) -> NDArray[np.float64]:
    """Kaldi's mel scale, back."""
    return 700.0 * np.expm1(np.asarray(mel) / 1127.0)


def bin_centre(band: ArrayLike) -> NDArray[np.float64]:
    """Frequency of the middle of a mel bin, Hz; bins are counted from 0 and may lie between two."""
    return to_hertz(to_mel(LOWEST) + (np.asarray(band) + 1) * _bin_width())


def bin_of(hertz: ArrayLike) -> NDArray[np.float64]:
    """The mel bin whose middle has this frequency, counted from 0 and with a fraction."""
    return (to_mel(hertz) - to_mel(LOWEST)) / _bin_width() - 1


def _bin_width() -> float:
    """Distance of two mel bins, mel."""
    return float(to_mel(HIGHEST) - to_mel(LOWEST)) / (BINS + 1)
