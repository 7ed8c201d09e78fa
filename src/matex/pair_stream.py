"""A stream of pairs: films decoded in advance, batches, their explanations, and the failures."""

from __future__ import annotations

import logging
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from matex.adapters.encoder import Modality
from matex.adapters.model import Encoded, Model, check_model
from matex.attribution import make, require
from matex.checks import MAX_BATCH, count, is_list
from matex.encoder_choice import modality_of, read_as
from matex.errors import InputError, shown
from matex.explained_score import ExplainedScore
from matex.geometry import Resize
from matex.queries import Domain, Prepared, Query, check_choices, prepare
from matex.read_ahead import read_ahead
from matex.registry import Parameters
from matex.request_checks import check_method, named_class
from matex.results import Explanation
from matex.score_traces import ScoreTraces
from matex.traced import identity

_LOG = logging.getLogger(__name__)
_PAIRS_AT_ONCE = 128  # pairs of one batch, however few images they share; bounds the memory of many texts of an image
OnError = Literal["stop", "skip"]


class Pair(NamedTuple):
    """An image or sound and a phrase, with what is known of it alone; a plain tuple (image, text) does as well.

    Args:
        image: path, Pillow image, array or Film; for a model with an audio encoder also a sound, as in `explain`.
        text: the phrase; with `labels` the class that is explained, None for the predicted one.
        view: projection; None for the call's.
        mirrored: whether the image's left edge is the patient's left; None for the call's.
        lung_mask: [height, width] of the image; None for the call's.
    """

    image: object
    text: str | None
    view: str | None = None
    mirrored: bool | None = None
    lung_mask: NDArray[np.generic] | None = None


PairLike: TypeAlias = Pair | tuple[object, str | None]


@dataclass(frozen=True)
class Skipped:
    """A pair that could not be explained, in the place of its explanation.

    Args:
        index: number of the pair, from 0.
        pair: as it was given.
        error: why.
    """

    index: int
    pair: object
    error: InputError


class _Job(NamedTuple):
    """One pair of the stream.

    Args:
        number: number of the pair, from 0.
        given: the pair as it was given.
        image: number of its image in the batch.
        modality: of the batch.
        opens: whether this pair is the first of another batch than the pairs before it.
        known: whether an earlier pair of the batch has the same image, which is then not read again.
    """

    number: int
    given: object
    image: int
    modality: Modality
    opens: bool
    known: bool


@dataclass(frozen=True)
class PairStream:
    """The settings of a stream, checked; see `explain_each`.

    Args:
        shared: view, mirroring and lung mask of every image whose own pair does not give them.
    """

    model: Model
    method: str
    parameters: Parameters
    on_error: OnError
    score: ExplainedScore
    resize: Resize
    domain: Domain
    shared: Pair
    batch_size: int
    workers: int

    def __post_init__(self) -> None:
        check_model(self.model)
        check_method(self.method)
        check_choices(self.resize, self.domain, self.shared.view)
        if not isinstance(self.on_error, str) or self.on_error not in ("stop", "skip"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected on_error to be stop or skip, got {shown(self.on_error)}.")
        count(self.batch_size, "batch_size", high=MAX_BATCH)
        count(self.workers, "workers", high=1024)
        require(self.method, make(self.method, self.parameters), self.model.image, self.model.text)

    def results(
        self, pairs: Iterable[tuple[int, object]], total: int | None, progress: bool
    ) -> Generator[Explanation | Skipped]:
        """Results of numbered pairs, in their order."""
        batch: list[tuple[_Job, Prepared | InputError | None]] = []
        jobs = read_ahead(self._jobs(pairs), self._read, self.workers, self.batch_size)
        with closing(jobs), tqdm(total=total, disable=not progress, unit="pair") as bar:
            for job, outcome in jobs:
                if job.opens and batch:
                    yield from self._counted(batch, bar)
                    batch = []
                batch.append((job, outcome))
            yield from self._counted(batch, bar)

    def _counted(
        self, batch: Sequence[tuple[_Job, Prepared | InputError | None]], bar: tqdm[NoReturn]
    ) -> Generator[Explanation | Skipped]:
        for result in self._batch(batch):
            bar.update()
            yield result

    def _jobs(self, pairs: Iterable[tuple[int, object]]) -> Iterator[_Job]:
        """The pairs, cut into batches by how many different images they have."""
        numbers: dict[Hashable, int] = {}
        held: list[object] = []  # an image that is an object is known by its address, which must stay taken
        before: Modality | None = None
        for index, given in pairs:
            key, modality = image_key(given), self.modality(given)
            full = len(held) == _PAIRS_AT_ONCE or (key not in numbers and len(numbers) == self.batch_size)
            opens = full or modality != before
            if opens:
                numbers, held, before = {}, [], modality
            held.append(given)
            known = key in numbers
            yield _Job(index, given, numbers.setdefault(key, len(numbers)), modality, opens, known)

    def modality(self, given: object) -> Modality:
        """Of a pair's image; what is no sound, no reading or no pair counts as an image, whose reading refuses it."""
        if set(self.model.encoders) <= {"image", "text"} or self.model.sides[1] != "text":
            return "image"
        try:
            return modality_of(_pair(given).image)
        except InputError:
            return "image"

    def _model_of(self, modality: Modality) -> Model:
        """The model as a pair of encoders of this modality and text.

        Raises:
            InputError: it has no such encoder.
        """
        if modality == self.model.sides[0]:
            return self.model
        if modality not in self.model.encoders:
            raise InputError(
                f"Expected an input that the model reads, got one of {modality}: {self.model.name} has encoders of "
                f"{', '.join(self.model.encoders)}."
            )
        return self.model.between(modality, "text")

    def _read(self, job: _Job) -> Prepared | None:
        """The film of a pair, decoded and preprocessed; None where an earlier pair of the batch has it."""
        pair = _pair(job.given)
        if job.known:
            return None
        view = self.shared.view if pair.view is None else pair.view
        mirrored = self.shared.mirrored if pair.mirrored is None else pair.mirrored
        mask = self.shared.lung_mask if pair.lung_mask is None else pair.lung_mask
        model = self._model_of(job.modality)
        # A pair's view may be that of a table's row, which is not refused: see `check_view`.
        film = read_as(model, pair.image, job.modality).known_as(view, mirrored)
        return prepare(model, Query.of(film, "", self.resize, self.domain, lung_mask=mask))

    def _batch(self, batch: Sequence[tuple[_Job, Prepared | InputError | None]]) -> Iterator[Explanation | Skipped]:
        """Results of one batch; in "stop" mode those before the first pair at fault, which then raises."""
        films = {job.image: outcome for job, outcome in batch if outcome is not None}
        phrases: dict[str, Encoded] = {}
        usable: dict[int, tuple[int, Query]] = {}
        errors: dict[int, InputError] = {}
        for job, _ in batch:
            film = films[job.image]
            if isinstance(film, InputError):
                errors[job.number] = film
                continue
            try:
                query = self._query(film.query, _pair(job.given).text, self._model_of(job.modality))
                if query.text not in phrases:
                    phrases[query.text] = self.model.encode(query.text)
                usable[job.number] = (job.image, query)
            except InputError as error:
                errors[job.number] = error
        if self.on_error == "stop" and errors:
            usable = {index: pair for index, pair in usable.items() if index < min(errors)}
        prepared = {image: film for image, film in films.items() if isinstance(film, Prepared)}
        model = self._model_of(batch[0][0].modality) if usable else self.model
        explanations = self._explained(model, usable, prepared, phrases, errors)
        for job, _ in batch:
            if job.number in explanations:
                yield explanations.pop(job.number)
            elif self.on_error == "stop":
                error = errors[job.number]
                raise InputError(f"Pair {job.number} (counted from 0): {error}") from error
            else:
                _LOG.warning("pair %d (counted from 0) skipped: %s", job.number, errors[job.number])
                yield Skipped(job.number, job.given, errors[job.number])

    def _query(self, of_film: Query, text: str | None, model: Model) -> Query:
        """The query of a film and a pair's text, with the score that is explained.

        Raises:
            InputError: what is no text, or a score that there is not for it.
        """
        text = named_class(text, self.score.classes)
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            self.model.encode(text)  # says what to write
        return self.score.explained(replace(of_film, text=text), model)

    def _explained(
        self,
        model: Model,
        usable: Mapping[int, tuple[int, Query]],
        prepared: Mapping[int, Prepared],
        phrases: Mapping[str, Encoded],
        errors: dict[int, InputError],
    ) -> dict[int, Explanation]:
        """Explanations by the pairs' numbers; where a method refuses the batch, of each pair that it takes alone."""
        if not usable:
            return {}
        try:
            methods = [(self.method, self.parameters)]
            traces = ScoreTraces(model, prepared, list(usable.values()), phrases, methods)
            return dict(zip(usable, traces.explain(self.method, self.parameters), strict=True))
        except InputError as error:
            if len(usable) == 1:
                errors[next(iter(usable))] = error
                return {}
        explanations: dict[int, Explanation] = {}
        for index, pair in usable.items():
            explanations |= self._explained(model, {index: pair}, prepared, phrases, errors)
        if not explanations and len({str(errors[index]) for index in usable}) == 1:
            raise errors[next(iter(usable))]  # the request is at fault, not each of the pairs
        return explanations


def _pair(given: object) -> Pair:
    """One element of `pairs`.

    Raises:
        InputError: it is no pair.
    """
    kind = type(given).__name__
    if not is_list(given) or not 2 <= len(given) <= len(Pair._fields):
        raise InputError(f"Expected a pair (image, text) or a matex.Pair, got {kind}. Pair them: zip(images, texts).")
    return Pair(*cast(Sequence[Any], given))  # as the caller gave them: checked where they are read


def image_key(given: object) -> Hashable:
    """Equal for pairs whose image is read once."""
    try:
        pair = _pair(given)
    except InputError:
        return id(given)
    return (identity(pair.image), str(pair.view), str(pair.mirrored), id(pair.lung_mask))
