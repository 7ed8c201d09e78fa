"""A source and what it is compared with, and the pair of a model's encoders that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeGuard

from matex.adapters.encoder import Modality
from matex.adapters.model import Model
from matex.adapters.sound import SoundPreprocessing
from matex.audio.kinds import draw, is_sound
from matex.audio.recording import Recording
from matex.images import READ_SIDE, Film, read
from matex.sensors.reading import SensorFilm

Target: TypeAlias = str | Path | Film | Recording
"""What a source is compared with: a phrase, or an image or sound."""


class Question(NamedTuple):
    """A source and what it is compared with, and the pair of a model's encoders that reads them.

    Args:
        model: whose sides are this pair.
        source: what gets a map: an image as `matex.read` takes it, or a `Sound`.
        text: the phrase; the name of the target where it is none.
        target: the image or sound that the source is compared with; None for a phrase.
    """

    model: Model
    source: object
    text: str
    target: Film | None = None

    @classmethod
    def of(cls, model: Model, source: object, target: Target) -> Question:
        """Choose the encoders by what the inputs are, and read sounds as these encoders do.

        A string as the target is a phrase; what else is compared with is a `pathlib.Path`, a `Film` (of
        `matex.read` or `matex.read_sensor`) or a `Recording`.

        Raises:
            InputError: a file that cannot be read.
            UnsupportedModel: a model without an encoder of such an input.
        """
        sides = modality_of(source), "text" if isinstance(target, str) else modality_of(target)
        if isinstance(target, str) and sides == model.sides and sides[0] == "image":
            return cls(model, source, target)
        model = model.between(*sides)
        source = read_as(model, source, sides[0]) if sides[0] == "audio" else source
        if isinstance(target, str):
            return cls(model, source, target)
        compared = read_as(model, target, sides[1])
        return cls(model, source, compared.name, compared)


def is_input(value: object) -> TypeGuard[Path | Film | Recording]:
    """Whether something that is no phrase can be compared with: a film, a recording, or the path of one."""
    return isinstance(value, Path | Film | Recording)


def modality_of(source: object) -> Modality:
    """Modality of a source: an image, a sound, or a reading of a sensor."""
    if isinstance(source, SensorFilm):
        return source.modality
    return "audio" if is_sound(source) else "image"


def read_as(model: Model, source: object, modality: Modality) -> Film:
    """Read an image, or a sound as the model's encoder hears it; a reading of a sensor is read already.

    Raises:
        InputError: a file that cannot be read.
    """
    if modality != "audio":
        return read(source, side=READ_SIDE)
    preprocessing = model.preprocessing_of(modality)
    assert isinstance(preprocessing, SoundPreprocessing)
    return draw(source, preprocessing.kind)
