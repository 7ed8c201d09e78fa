"""Validation images scored with every phrase of their table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from matex.adapters.model import Model, check_model
from matex.datasets.sample import Sample, checked_samples
from matex.errors import InputError
from matex.geometry import Resize
from matex.images import READ_SIDE, Film, read
from matex.metrics.embedding import film_scores
from matex.trust.measures import Values


@dataclass(frozen=True, eq=False)
class Validation:
    """Images, phrases, and which phrase holds for which image.

    Args:
        images: path or film of each image.
        views: projection of each image where it is known.
        phrases: the different phrases, in order of appearance.
        scores: of every image with every phrase, float64 [image, phrase].
        holds: whether a sample pairs the image with the phrase, bool [image, phrase].
        clusters: unit of independent observation of each image, such as its patient; the image itself where none is
            known.
    """

    images: tuple[Path | Film, ...]
    views: tuple[str | None, ...]
    phrases: tuple[str, ...]
    scores: Values
    holds: NDArray[np.bool_]
    clusters: tuple[str, ...]

    @property
    def right(self) -> NDArray[np.intp]:
        """Number of the right phrase of each image, [image].

        Raises:
            InputError: an image with several right phrases.
        """
        if (self.holds.sum(axis=1) != 1).any():
            raise InputError(
                "Expected one phrase for each image, got an image with several: a softmax has one right answer. Use "
                "kind sigmoid (--kind sigmoid)."
            )
        return self.holds.argmax(axis=1)


def score_samples(
    model: Model,
    samples: Iterable[Sample],
    phrases: Sequence[str] | None = None,
    *,
    resize: Resize = "model",
    progress: bool = False,
) -> Validation:
    """Score every image with every phrase of the samples; a phrase that no sample pairs with an image does not hold.

    Args:
        model: from `matex.load`.
        samples: pairs of an image and a phrase that holds for it.
        phrases: the phrases to compare; None for those of the samples.
        resize: preprocessing, see `matex.explain`.
        progress: show a progress bar.

    Raises:
        InputError: fewer than two images or phrases, a phrase outside `phrases`, or images that cannot be read.
    """
    check_model(model)
    of_image: dict[Path | str, list[Sample]] = {}
    for sample in checked_samples(samples):
        key = sample.image.sha256 if isinstance(sample.image, Film) else sample.image
        of_image.setdefault(key, []).append(sample)
    found = tuple(dict.fromkeys(one.text for some in of_image.values() for one in some))
    known = found if phrases is None else tuple(phrases)
    if other := sorted(set(found) - set(known)):
        raise InputError(f"Expected the phrases of the validation pairs, got others too: {other[0]!r}. Leave them out.")
    if len(known) < 2 or len(of_image) < 2:
        raise InputError(
            f"Expected two or more images and phrases, got {len(of_image)} and {len(known)}. Add pairs to the table."
        )
    first = [some[0] for some in of_image.values()]
    clusters: list[str] = []

    def films() -> Iterator[Film]:
        for one in tqdm(first, disable=not progress, unit="image"):
            film = film_of(one)
            clusters.append(one.unit(film))
            yield film

    texts = {phrase: number for number, phrase in enumerate(known)}
    holds = np.zeros((len(first), len(known)), dtype=bool)
    for number, some in enumerate(of_image.values()):
        holds[number, [texts[one.text] for one in some]] = True
    return Validation(
        images=tuple(one.image for one in first),
        views=tuple(one.view for one in first),
        phrases=known,
        scores=film_scores(model, films(), known, resize),
        holds=holds,
        clusters=tuple(clusters),
    )


def film_of(sample: Sample) -> Film:
    """The image of a sample, at the size that maps need."""
    return read(sample.image, side=READ_SIDE).known_as(sample.view, None)
