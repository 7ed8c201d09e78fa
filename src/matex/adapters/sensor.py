"""Depth maps, thermal images and IMU recordings to what an encoder reads, with the Placement of a map on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from matex.errors import InputError
from matex.geometry import Placement, Resize, Size
from matex.images import Film
from matex.sensors.reading import SensorFilm, SensorModality


@dataclass(frozen=True)
class SensorPreprocessing:
    """Values that were prepared before, as they are.

    Args:
        modality: which sensor.
        size: (height, width) of the encoder's input; (1, steps) of a recording.
    """

    modality: SensorModality
    size: Size

    @property
    def levels(self) -> None:
        """A reading has no black and white."""
        return None

    def __call__(self, film: Film, patch: Size, resize: Resize = "model") -> tuple[Tensor, Placement]:
        """The values float32 [1, channel, height, width], and where they lie in the picture of the reading.

        Raises:
            InputError: another input, another size than the encoder's, or another resizing than the model's own.
        """
        if not isinstance(film, SensorFilm) or film.modality != self.modality:
            raise InputError(
                f"Expected a reading of matex.read_sensor(..., {self.modality!r}) for the {self.modality} encoder, got "
                "another input."
            )
        if resize != "model":
            raise InputError(f"Expected resize 'model' for {self.modality}, which is never resized, got {resize!r}.")
        found = film.values.shape[1:]
        if found != self.size:
            what = "{0[0]} x {0[1]} values" if self.modality != "imu" else "{0[1]} steps"
            raise InputError(
                f"Expected {self.modality} of {what.format(self.size)}, got {what.format(found)}: {film.name}. Prepare "
                "it at the model's size; ImageBind publishes no resizing for it."
            )
        if not film.is_as_drawn:
            raise InputError(f"Expected the picture of {self.modality} values as it was drawn, got one painted on.")
        return torch.from_numpy(film.values)[None], Placement(film.size, self.size, (0, 0), self.size, patch)

    def describe(self) -> dict[str, object]:
        """The parameters as plain data, for the provenance."""
        return {"sensor": self.modality, "size": list(self.size)}
