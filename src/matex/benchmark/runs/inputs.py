"""The data sets, models and films that a run reads, opened when they are first needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from matex.adapters import Model, load
from matex.adapters.encoder import Modality
from matex.adapters.randomise import randomised
from matex.benchmark.choices import ModelChoice
from matex.benchmark.config import Config
from matex.datasets import Dataset, Sample, open_dataset
from matex.datasets.subset import subset_numbers
from matex.encoder_choice import read_as
from matex.errors import InputError, shortened, shown
from matex.images import Film
from matex.read_ahead import read_ahead


class Inputs:
    """Data sets and models of a configuration, opened when they are first needed; one model is cached at a time.

    Args:
        config: what to open.
        cached_only: do not contact the model hub.
    """

    def __init__(self, config: Config, cached_only: bool = False) -> None:
        self.config = config
        self._cached_only = cached_only
        self._datasets: dict[str, Dataset] = {}
        self._model: tuple[str, Model] | None = None
        self._random: dict[int, Model] = {}
        self._chosen: dict[str, list[int]] = {}

    def dataset(self, label: str) -> Dataset:
        if label not in self._datasets:
            choice = next(choice for choice in self.config.datasets if choice.label == label)
            try:
                self._datasets[label] = open_dataset(choice.name, **choice.parameters)
            except ValueError as error:
                raise InputError(f"Data set {label!r}: {error}") from None
        return self._datasets[label]

    def count(self, label: str) -> int:
        limit = next(choice.limit for choice in self.config.datasets if choice.label == label)
        return min(len(self.dataset(label)), limit or len(self.dataset(label)))

    def sample(self, label: str, number: int) -> Sample:
        """The sample of this number among those used: evenly spread over the data set, or random by its seed."""
        dataset = self.dataset(label)
        seed = next(choice.seed for choice in self.config.datasets if choice.label == label)
        if seed is None:
            return dataset[number * len(dataset) // self.count(label)]
        if label not in self._chosen:
            self._chosen[label] = subset_numbers(len(dataset), self.count(label), seed)
        return dataset[self._chosen[label][number]]

    def choice(self, label: str) -> ModelChoice:
        return next(choice for choice in self.config.models if choice.label == label)

    def model(self, label: str) -> Model:
        if self._model is None or self._model[0] != label:
            self._random.clear()
            self._model = None
            self._model = (label, open_model(self.choice(label), self._cached_only))
        return self._model[1]

    def reader(self, model: str, dataset: str, random_seed: int | None = None) -> Model:
        """A model as the pair of encoders that reads a data set: of images or of sounds, and of text.

        Args:
            model: label.
            dataset: label.
            random_seed: of random weights in place of its own.

        Raises:
            InputError: a model without such an encoder.
        """
        loaded = self.model(model) if random_seed is None else self.random_model(model, random_seed)
        return reader_of(loaded, self.dataset(dataset))

    def random_model(self, label: str, seed: int) -> Model:
        """The same architecture with random weights."""
        model = self.model(label)
        if seed not in self._random:
            self._random[seed] = randomised(model, seed)
        return self._random[seed]


class FilmCache:
    """Films of some samples that are explained together; those of one image are one object, and run once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[tuple[str, str | None, bool], Film] = {}

    def of_each(self, samples: Iterable[tuple[int, Sample]]) -> Iterator[tuple[int, Sample, Film | InputError]]:
        """Numbered samples with their films, decoded in threads ahead of the caller.

        Yields:
            (number, sample, film); instead of the film the error, where the image or the phrase cannot be read.
        """
        with contextlib.closing(read_ahead(samples, lambda numbered: self._read(numbered[1]))) as films:
            for (number, sample), film in films:
                yield number, sample, film if isinstance(film, InputError) else self._cached(sample, film)

    def of(self, sample: Sample) -> Film:
        """The film of one sample.

        Raises:
            InputError: the image cannot be read, or the model cannot read the phrase.
        """
        film = self._cached(sample, self._read(sample))
        if isinstance(film, InputError):
            raise film
        return film

    def _read(self, sample: Sample) -> Film:
        return film_of(self._model, sample)

    def _cached(self, sample: Sample, film: Film) -> Film | InputError:
        """The first film with this content; the error where the model cannot encode the sample's phrase."""
        try:
            self._model.encode(sample.text)
        except InputError as error:
            return error
        return self._known.setdefault((film.sha256, film.view, film.mirrored), film)


def film_of(model: Model, sample: Sample) -> Film:
    """The image of a sample, or its sound as the model's encoder hears it.

    Raises:
        InputError: it cannot be read.
    """
    return read_as(model, sample.image, model.sides[0]).known_as(sample.view, None)


def reader_of(model: Model, dataset: Dataset) -> Model:
    """A model as the pair of encoders that reads a data set.

    Raises:
        InputError: a model without an encoder of images, or of sounds.
    """
    wanted: Modality = "audio" if dataset.domain == "sound" else "image"
    if wanted not in model.encoders:
        raise InputError(
            f"Expected models with an encoder of {wanted}, got {model.name!r} with {', '.join(model.encoders)}. Leave "
            "the model or the data set out."
        )
    return model if wanted == model.sides[0] else model.between(wanted, "text")


def without_folder(message: str, path: Path) -> str:
    """Replace a path in a message, however quoted, by its last part: the files of a run name no folders."""
    for quoted, name in ((shown(path), shown(path.name)), (shortened(str(path)), path.name), (str(path), path.name)):
        message = message.replace(quoted, name)
    return message


def open_model(choice: ModelChoice, cached_only: bool = False) -> Model:
    """Load the model that a configuration names.

    Args:
        choice: name and options.
        cached_only: do not contact the model hub.
    """
    return load(
        choice.name,
        preset=choice.preset,
        tokenizer=choice.tokenizer,
        device=_device(choice.device),
        dtype=choice.dtype,
        heads=choice.heads,
        activation=choice.activation,
        resolution=choice.resolution,
        cached_only=cached_only,
    )


def _device(device: str) -> str:
    """The GPU that torchrun assigned to this process, where the configuration leaves the choice."""
    local = os.environ.get("LOCAL_RANK", "")
    if device == "auto" and local.isdecimal() and int(local) < torch.cuda.device_count():
        return f"cuda:{local}"
    return device
