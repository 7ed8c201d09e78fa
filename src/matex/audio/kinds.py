"""Spectrograms by name, with which a saved explanation of a sound is rendered. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matex.audio.clap import ClapSpectrogram
from matex.audio.imagebind import ImageBindSpectrogram
from matex.audio.recording import Recording, is_sound_file, read_sound
from matex.audio.sound import Sound, SpectrogramKind
from matex.checks import as_path

KINDS: Mapping[str, SpectrogramKind] = {
    kind.name: kind for kind in (ImageBindSpectrogram(), ClapSpectrogram(50), ClapSpectrogram(0))
}


def is_sound(source: object) -> bool:
    """Whether something is a sound: a recording, its spectrogram, or a file with the signature of a sound file."""
    return isinstance(source, Recording | Sound) or (isinstance(source, str | Path) and is_sound_file(source))


def draw(source: object, kind: SpectrogramKind) -> Sound:
    """The spectrogram of a sound, as `is_sound` knows it.

    Raises:
        InputError: a file that cannot be read as sound.
        MissingExtra: soundfile is not installed.
    """
    if isinstance(source, Sound):
        source = source.recording
    if isinstance(source, Recording):
        return kind.sound(source)
    return kind.sound(read_sound(source if isinstance(source, str) else as_path(source, "a sound file")))
