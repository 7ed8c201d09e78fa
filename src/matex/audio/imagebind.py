"""The spectrogram that ImageBind reads: two seconds of a recording, 128 mel bins, a frame every 10 ms. No torch.

Source:
    data.py of facebookresearch/ImageBind (load_and_transform_audio_data, waveform2melspec).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from matex.audio.kaldi import BINS, FLOOR, RATE, STEP, bin_of, log_mel
from matex.audio.recording import Floats, Recording
from matex.audio.sound import Sound, picture

FRAMES = 204
SECONDS = 2
CLIPS = 3
MEAN, STD = -4.268, 9.138


@dataclass(frozen=True)
class ImageBindSpectrogram:
    """Log-mel energies of the two seconds from the recording's start on, normalised as in the training.

    The original averages the embeddings of three such parts, see `clips`. It also subtracts the mean of each part from
    the recording in place, so that parts that overlap (recordings below 8 s) begin with a click there; here they do
    not, and up to three frames differ.
    """

    name: str = "imagebind"
    silence: float = (float(np.log(FLOOR)) - MEAN) / STD

    def values(self, recording: Recording) -> Floats:
        """See `SpectrogramKind.values`, float32 [128, 204]."""
        return ((np.nan_to_num(self._levels(recording)) - MEAN) / STD).astype(np.float32)

    def sound(self, recording: Recording) -> Sound:
        """See `SpectrogramKind.sound`."""
        notes = [*recording.notes_at(RATE)]
        if recording.seconds > SECONDS:
            notes.append(
                f"The model hears {SECONDS} of {recording.seconds:.3g} s, from {recording.start:.3g} s on. Its "
                "original code averages the embeddings of three such parts (matex.explain_clips)."
            )
        return picture(
            recording, self.name, self._levels(recording), STEP / RATE, lambda hertz: float(bin_of(hertz)), notes
        )

    def _levels(self, recording: Recording) -> Floats:
        """Logarithm of the energy, [bin, frame]; NaN for the padding, which the original fills with 0."""
        energies = log_mel(recording.part(SECONDS, RATE))
        levels = np.full((BINS, FRAMES), np.nan)
        frames = min(len(energies), FRAMES)
        levels[:, :frames] = energies.T[:, :frames]
        return levels


def clips(recording: Recording) -> tuple[Recording, ...]:
    """The three parts of two seconds whose embeddings ImageBind averages: the recording with their starts.

    They start at 0, 1/3 and 2/3 of the latest start that there could be, so that the end of a long recording is not
    read. A recording of two seconds or less gives three equal parts. The average is not normalised again, so that its
    product with another embedding is the mean of the three scores.
    """
    latest = Fraction(max(recording.seconds - SECONDS, 0.0))
    starts = [int(latest * number / CLIPS * RATE) / RATE for number in range(CLIPS)]
    return tuple(replace(recording, start=start) for start in starts)
