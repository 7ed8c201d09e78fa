"""Uploaded films: read from memory, never from a path, and described for the page."""

from __future__ import annotations

import io
import re
import wave

from PIL import Image

from matex.adapters.model import Model
from matex.audio.recording import parse_sound
from matex.audio.sound import Sound
from matex.dicom.view_position import VIEWS
from matex.domains import find_pack
from matex.encoder_choice import read_as
from matex.errors import InputError
from matex.images import READ_SIDE, Film, read, read_bytes
from matex.render.film_data import film_data
from matex.render.overlay import fit
from matex.samples import BundledFilm, samples
from matex.viewer.limits import Limits
from matex.viewer.memory import StoredFilm

PICTURE_SIDE = 2048
"""Longer side of the picture that the page shows, pixels."""


def read_upload(data: bytes, name: str, limits: Limits) -> Film:
    """The film in an uploaded file. Its name serves as a label alone, and nothing is opened under it.

    Raises:
        InputError: no image, a damaged one, or one of more pixels than the limit.
    """
    film = read_bytes(data, _label(name), side=READ_SIDE)
    height, width = film.size
    if height * width > limits.pixels:
        raise InputError(
            f"Expected at most {limits.pixels // 1_000_000} megapixels, got {width} x {height}. Scale it down."
        )
    return film


def read_sound_upload(data: bytes, name: str, model: Model) -> Sound:
    """The sound in an uploaded file, as a model hears it.

    Raises:
        InputError: no sound, or a damaged one.
        UnsupportedModel: a model without an encoder of sounds.
        MissingExtra: soundfile is not installed.
    """
    recording = parse_sound(data, _label(name).rpartition(".")[0] or "sound", "the file")
    sound = read_as(model.between("audio", "text"), recording, "audio")
    assert isinstance(sound, Sound)
    return sound


def playback(sound: Sound) -> bytes:
    """The part of a recording that the spectrogram begins with, as WAV of 16 bits for the browser."""
    recording = sound.recording
    samples = recording.part(recording.seconds - recording.start, recording.rate)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(recording.rate)
        file.writeframes((samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    return stream.getvalue()


def bundled() -> dict[str, BundledFilm]:
    """The films that ship with the package, by name."""
    return {sample.name: sample for sample in samples()}


def read_bundled(name: str) -> Film:
    """A film that ships with the package.

    Raises:
        InputError: no such film.
    """
    sample = bundled().get(name)
    if sample is None:
        raise InputError(f"Expected the name of a bundled film, one of {', '.join(bundled())}.")
    return read(sample.path, side=READ_SIDE).known_as(sample.view, None)


def described(key: str, kept: StoredFilm) -> dict[str, object]:
    """A film as the page takes it; its picture has an address of its own."""
    return {
        "id": key,
        "notes": list(kept.film.notes),
        "mask": kept.mask is not None,
        "domain": kept.domain,
        "set": kept.film is not kept.read or kept.mask is not None or kept.domain not in ("chest", "sound"),
        **film_data(kept.film, kept.domain),
    }


def picture(film: Film) -> bytes:
    """The film as PNG, its longer side at most `PICTURE_SIDE` pixels."""
    image = Image.fromarray(film.pixels)
    if max(image.size) > PICTURE_SIDE:
        height, width = fit(film.pixels.shape[:2], PICTURE_SIDE, PICTURE_SIDE)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _label(name: str) -> str:
    """A file name without folders and control characters, for display."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in last if character.isprintable())[:80] or "film"


def stated_views(domain: str) -> tuple[str, ...]:
    """Views that can be stated for a film of a domain."""
    pack = find_pack(domain)
    return VIEWS if pack is None else tuple(pack.views)
