"""Sounds to what an encoder reads, with the Placement that maps results back onto the picture of the spectrogram."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from matex.adapters.inputs import Pixels
from matex.audio.sound import Sound, SpectrogramKind
from matex.errors import InputError
from matex.geometry import Placement, Resize, Size
from matex.images import Film


@dataclass(frozen=True)
class SoundPreprocessing:
    """The spectrogram of a sound, as a model's original code makes it.

    Args:
        kind: makes the spectrogram.
        size: (bins, frames) of the spectrogram.
        overlap: (bins, frames) that neighbouring patches share.
    """

    kind: SpectrogramKind
    size: Size
    overlap: Size = (0, 0)

    @property
    def levels(self) -> None:
        """A sound has no black and white."""
        return None

    def __call__(self, film: Film, patch: Size, resize: Resize = "model") -> tuple[Tensor, Placement]:
        """The spectrogram float32 [1, 1, bin, frame], lowest bin first, and where it lies in the picture of the sound.

        Raises:
            InputError: an image, or another resizing than the model's own.
        """
        if not isinstance(film, Sound) or film.kind != self.kind.name:
            raise InputError("Expected a sound for a model's audio encoder, got an image. Give a path or a recording.")
        if resize != "model":
            raise InputError(f"Expected resize 'model' for a sound, whose length cannot be resized, got {resize!r}.")
        values = torch.from_numpy(self.kind.values(film.recording))[None, None]
        # The picture has the highest bin on top, the model the lowest first: upside down is half a turn and a mirror.
        placement = Placement(
            film.size, self.size, (0, 0), self.size, patch, turns=2, mirrored=True, overlap=self.overlap
        )
        return values, placement

    def describe(self) -> dict[str, object]:
        """The parameters as plain data, for the provenance."""
        return {"spectrogram": self.kind.name, "size": list(self.size), "overlap": list(self.overlap)}


class Spectrograms(Pixels):
    """An encoder of spectrograms [item, 1, bin, frame]; what is removed becomes silent."""

    silence: float

    def blank(self, inputs: Tensor) -> Tensor:
        """Silence, which is not 0 after normalisation."""
        return torch.full_like(inputs, self.silence)

    def fade(self, inputs: Tensor, mask: Tensor) -> Tensor:
        return inputs * mask + self.silence * (1 - mask)
