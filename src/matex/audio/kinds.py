"""Spectrograms by name, with which a saved explanation of a sound is rendered. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matex.audio.clap import ClapSpectrogram
from matex.audio.imagebind import ImageBindSpectrogram
from matex.audio.recording import Recording, is_sound_file, read_sound
from matex.audio.sound import Sound, SpectrogramKind

KINDS: Mapping[str, SpectrogramKind] = {
    kind.name: kind for kind in (ImageBindSpectrogram(), ClapSpectrogram(50), ClapSpectrogram(0))
}


def is_sound(source: Any) -> bool:
    """Whether something is a sound: a recording, its spectrogram, or a file with the signature of a sound file."""
    return isinstance(source, Recording | Sound) or (isinstance(source, str | Path) and is_sound_file(source))


def draw(source: Any, kind: SpectrogramKind) -> Sound:
    """The spectrogram of a sound, as `is_sound` knows it.

    Raises:
        InputError: a file that cannot be read as sound.
        MissingExtra: soundfile is not installed.
    """
    if isinstance(source, Sound):
        source = source.recording
    return kind.sound(source if isinstance(source, Recording) else read_sound(source))
