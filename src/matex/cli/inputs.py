"""IMAGE and TEXT arguments as inputs: films, sounds, readings of sensors, or a phrase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matex.errors import InputError, shown

if TYPE_CHECKING:
    from matex import Film
    from matex.encoder_choice import Target
    from matex.sensors.reading import SensorFilm


def read_film(
    image: str | Path,
    view: str | None,
    mirrored: bool | None,
    derived: bool = False,
    keep_uids: bool = False,
    domain: str = "chest",
) -> Film:
    """A film at the size that maps need, with the view and orientation that the user states; see `matex.read`."""
    import matex
    from matex.dicom.view_position import check_view
    from matex.domains import check_domain, find_pack
    from matex.images import READ_SIDE

    check_domain(domain)
    pack = find_pack(domain)
    check_view(view, () if pack is None else pack.views)
    film = matex.read(image, side=READ_SIDE, derived=derived, keep_uids=keep_uids)
    return film.known_as(view, mirrored)


def read_prefixed(text: str) -> SensorFilm | None:
    """The reading that depth:FILE, thermal:FILE or imu:FILE names; None for other texts.

    Raises:
        InputError: see `matex.read_sensor`.
    """
    if not names_reading(text):
        return None
    from matex.sensors.reading import read_sensor

    modality, _, path = text.partition(":")
    return read_sensor(path, modality)


def names_reading(text: str) -> bool:
    """Whether a text is depth:FILE, thermal:FILE or imu:FILE; after a space it is a phrase, as "depth: shallow"."""
    modality, _, path = text.partition(":")
    return modality in ("depth", "thermal", "imu") and path[:1] not in ("", " ")


def read_phrase(text: str) -> str:
    """TEXT of a command that compares with no files.

    Raises:
        InputError: the file of an image or sound, a reading of a sensor, or see `read_target`.
    """
    from matex.request_checks import check_phrase

    return check_phrase(read_target(text))


def read_target(text: str) -> Target:
    """TEXT as an input: an image, a sound or a reading of a sensor to compare with, or a phrase.

    Raises:
        InputError: one word that ends as the names of such files do, where there is no file.
    """
    from matex.saved import SUFFIXES

    if (reading := read_prefixed(text)) is not None:
        return reading
    path = Path(text)
    if path.suffix.lower().removeprefix(".") not in SUFFIXES or "\0" in text:
        return text
    if path.is_file():
        return path
    if " " in text:
        return text
    raise InputError(f"Expected a phrase, or the file of an image or sound, got {shown(text)}, where there is none.")
