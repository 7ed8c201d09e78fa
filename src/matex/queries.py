"""A query, film and phrase with how a model is to take them, and its preparation for a model."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.model import Encoded, Model
from matex.audio.sound import Sound
from matex.dicom.view_position import check_view
from matex.domains import check_domain, find_pack, read_places
from matex.errors import InputError, shown
from matex.geometry import Placement, Resize
from matex.images import READ_SIDE, Film, read
from matex.objectives import ClassScore, Contrast
from matex.phrases import Mention
from matex.priors.display import UNKNOWN_DISPLAY, display_of
from matex.priors.image_context import ImageContext
from matex.sensors.reading import SensorFilm

Domain = str
"""A name of `matex.domains.names()`, the path of a pack (.toml), "sound" for spectrograms, or "sensor" for readings."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Query:
    """A film and a phrase, and how the model is to take them.

    Args:
        film: as read; it knows its view and whether it is mirrored.
        text: the phrase.
        resize: "model" is the checkpoint's own preprocessing; "squash", "pad" or "crop" override it.
        domain: kind of image, whose regions the prior knows: "chest", a data pack, "natural" (no regions), "sound"
            for spectrograms, or "sensor" for depth, thermal and IMU readings.
        lung_mask: [height, width] of the film, 1 the patient's right lung, 2 the left; None where they are not known.
        target: the image or sound that the film is compared with, `text` being its name; None for a phrase.
        objective: the explained score where it depends on further phrases; None for the score of `text`.
    """

    film: Film
    text: str
    resize: Resize = "model"
    domain: Domain = "chest"
    lung_mask: NDArray[np.generic] | None = None
    target: Film | None = None
    objective: Contrast | ClassScore | None = None

    @classmethod
    def of(
        cls,
        image: object,
        text: str,
        resize: Resize = "model",
        domain: Domain = "chest",
        view: str | None = None,
        mirrored: bool | None = None,
        lung_mask: NDArray[np.generic] | None = None,
        target: Film | None = None,
    ) -> Query:
        """Read the image and check all that goes with it; a sound was read by `Question.of`.

        Raises:
            InputError: an image that cannot be read, a mask of another size, an unknown resize or domain, or a lung
                mask, view or orientation of a reading of a sensor.
            UnknownName: an unknown view.
        """
        check_choices(resize, domain, view)
        if lung_mask is not None and find_pack(domain) is not None:
            raise InputError(f"Expected no lung mask in the domain {shown(domain)}, got one. Leave it out.")
        film = read(image, side=READ_SIDE).known_as(view, mirrored)
        if isinstance(film, Sound):
            domain = "sound"
        elif isinstance(film, SensorFilm):
            domain = "sensor"
            for name, given in (("lung mask", lung_mask), ("view", view), ("mirrored", mirrored)):
                if given is not None:
                    raise InputError(f"Expected no {name} with {film.modality}, which shows no film. Leave it out.")
        return cls(film, text, resize, domain, None if lung_mask is None else check_mask(lung_mask, film), target)

    @property
    def view(self) -> str | None:
        """The projection, as the file or the caller says; None when neither does."""
        return self.film.view

    @property
    def mirrored(self) -> bool:
        """Whether the image's left edge is the patient's left."""
        return self.film.mirrored

    def context(
        self,
        placement: Placement,
        mentions: tuple[Mention, ...],
        exchanged: bool = False,
        spans: Sequence[tuple[int, int]] = (),
    ) -> ImageContext:
        """Regions and prior that a phrase names in this film.

        Args:
            placement: of the model's pixels in the film.
            mentions: what the parser understood, of this phrase or of another.
            exchanged: draw every place on the patient's other side, for controls.
            spans: characters of each token of the phrase.
        """
        pack = find_pack(self.domain)
        display = None
        if pack is not None:
            display = display_of(pack, self.film, placement) if mentions else UNKNOWN_DISPLAY
        return ImageContext(
            mentions, placement, self.view, self.lung_mask, self.domain, exchanged, tuple(spans), display
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """The film of a query as a model takes it; queries about the same film share it.

    Args:
        query: gives the film and how the model takes it.
        pixels: [1, channel, height, width], normalised.
        placement: of the model's pixels in the film.
    """

    query: Query
    pixels: Tensor
    placement: Placement


@dataclass(frozen=True, eq=False)
class Subject:
    """A query as a model read it.

    Args:
        query: film and phrase.
        phrase: token ids and the characters that each came from.
        context: what the phrase says about places in the film.
    """

    query: Query
    phrase: Encoded
    context: ImageContext


def prepare(model: Model, query: Query) -> Prepared:
    """Preprocess the film of a query for a model.

    Raises:
        InputError: a film that the model cannot take.
    """
    return Prepared(query, *model.prepare(query.film, query.resize))


def prepare_target(model: Model, target: Film) -> Prepared:
    """Preprocess the image or sound that a query's film is compared with.

    Raises:
        InputError: one that the model cannot take.
    """
    modality = model.sides[1]
    preprocessing = model.preprocessing_of(modality)
    if preprocessing is None:
        raise InputError(f"Expected a model with preprocessing, got {model.name!r} without. Give prepared inputs.")
    pixels, placement = preprocessing(target, model.patch_of(modality))
    placement = replace(placement, cells=model.cells_of(modality))
    return Prepared(Query.of(target, ""), pixels.to(model.device, model.dtype), placement)


def subjects_of(
    prepared: Sequence[Prepared], pairs: Sequence[tuple[int, str]], phrases: Mapping[str, Encoded]
) -> list[Subject]:
    """Films and phrases paired up; each phrase is parsed once, films being of one domain.

    Args:
        prepared: the different films.
        pairs: (number of the film, phrase).
        phrases: the phrases as the model reads them.
    """
    mentions: dict[str, tuple[Mention, ...]] = {}
    subjects: list[Subject] = []
    for number, text in pairs:
        film = prepared[number]
        if text not in mentions:
            mentions[text] = read_places(text, film.query.domain) if film.query.target is None else ()
        context = film.query.context(film.placement, mentions[text], spans=phrases[text].spans)
        subjects.append(Subject(replace(film.query, text=text), phrases[text], context))
    return subjects


def distinct(values: Sequence[T], key: Callable[[T], Hashable]) -> tuple[list[T], list[int]]:
    """The different values in order of first appearance, and for each value its number among them."""
    number: dict[Hashable, int] = {}
    different: list[T] = []
    for value in values:
        if key(value) not in number:
            number[key(value)] = len(different)
            different.append(value)
    return different, [number[key(value)] for value in values]


def check_choices(resize: str, domain: str, view: str | None = None) -> None:
    """Refuse an unknown resize, domain or view.

    Raises:
        InputError: an unknown resize or domain, or a file that is no pack.
        UnknownName: an unknown view.
    """
    check_domain(domain)
    pack = find_pack(domain)
    check_view(view, () if pack is None else pack.views)
    choices = ("model", "squash", "pad", "crop")
    if not isinstance(resize, str) or resize not in choices:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"Expected resize to be one of {', '.join(choices)}, got {shown(resize)}.")


def check_mask(mask: NDArray[np.generic], film: Film) -> NDArray[np.generic]:
    """A lung mask [height, width] that fits the film it is about: 0, 1 and 2, or booleans of both lungs.

    Raises:
        InputError: another shape or other values.
    """
    size = film.size
    try:
        found = np.asarray(mask)
    except (ValueError, TypeError):  # lists of different lengths, sparse tensors
        raise InputError(f"Expected a lung mask of shape {size}, got {shown(mask)}. Draw it on the film.") from None
    if found.shape != size:
        raise InputError(
            f"Expected a lung mask of shape {size} (height, width of the image), got {found.shape}. "
            "Draw it on the original image."
        )
    if found.dtype != np.bool_ and 255 in found and np.isin(found, (0, 255)).all():
        found = found == 255
    numeric = found.dtype.kind in "biuf"
    if not numeric or not np.isin(found, (0, 1, 2)).all():
        got = f"values {np.unique(found)[:5].tolist()}" if numeric else f"the type {found.dtype}"
        raise InputError(
            f"Expected a lung mask of shape {size} of 0, 1 (patient's right) and 2 (left), or of 0 and 255, got {got}. "
            "Draw it on the film."
        )
    return found
