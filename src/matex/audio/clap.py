"""The spectrogram that CLAP reads: ten seconds at 48 kHz, 64 mel bins, a frame every 10 ms.

Source:
    ClapFeatureExtractor of transformers with truncation "rand_trunc" and padding "repeatpad". Of a longer recording the
    original reads a random part, here the part from the recording's start on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from matex.audio.recording import Floats, Recording
from matex.audio.sound import Sound, picture

RATE = 48_000  # Hz
WINDOW, STEP = 1024, 480  # samples
BINS, FRAMES = 64, 1001
SECONDS = 10
_LEAST = 1e-10  # of the energy, before the logarithm


@dataclass(frozen=True)
class ClapSpectrogram:
    """Mel energies in decibels; a shorter recording is repeated as often as it fits, then padded with silence.

    Args:
        lowest: frequency of the lowest mel filter's edge, Hz.
        highest: of the highest one's.
    """

    lowest: int = 50
    highest: int = 14_000

    @property
    def name(self) -> str:
        return f"clap-{self.lowest}-{self.highest}"

    @property
    def silence(self) -> float:
        return 10 * float(np.log10(_LEAST))

    def values(self, recording: Recording) -> Floats:
        """See `SpectrogramKind.values`, float32 [64, 1001]."""
        from transformers.audio_utils import spectrogram, window_function

        length = SECONDS * RATE
        samples = recording.part(SECONDS, RATE)
        samples = np.tile(samples, length // len(samples))
        samples = np.pad(samples, (0, length - len(samples)))
        found: object = spectrogram(
            samples,
            window_function(WINDOW, "hann"),
            frame_length=WINDOW,
            hop_length=STEP,
            power=2.0,
            mel_filters=_filters(self.lowest, self.highest),
            log_mel="dB",
            min_value=_LEAST,
        )
        return np.asarray(found, np.float32)

    def sound(self, recording: Recording) -> Sound:
        """See `SpectrogramKind.sound`."""
        notes = [*recording.notes_at(RATE)]
        left = recording.seconds - recording.start
        if recording.seconds > SECONDS:
            notes.append(
                f"The model hears {min(left, SECONDS):.3g} of {recording.seconds:.3g} s, from {recording.start:.3g} s "
                "on."
            )
        if left < SECONDS / 2:
            notes.append(f"The recording is repeated {int(SECONDS / left)} times, as the model was trained.")
        return picture(recording, self.name, self.values(recording), STEP / RATE, self._bin_of, notes)

    def _bin_of(self, hertz: int) -> float:
        from transformers.audio_utils import hertz_to_mel

        low, high, here = (float(hertz_to_mel(f, "slaney")) for f in (self.lowest, self.highest, hertz))
        return (here - low) / (high - low) * (BINS + 1) - 1


@cache
def _filters(lowest: int, highest: int) -> Floats:
    from transformers.audio_utils import mel_filter_bank

    return mel_filter_bank(
        num_frequency_bins=WINDOW // 2 + 1,
        num_mel_filters=BINS,
        min_frequency=lowest,
        max_frequency=highest,
        sampling_rate=RATE,
        norm="slaney",
        mel_scale="slaney",
    )
