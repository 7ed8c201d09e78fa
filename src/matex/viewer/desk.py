"""State shared by the viewer's handlers, fields of a request, and the lanes in which work is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict, TypeVar, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from matex.adapters.model import Model
from matex.audio.sound import Sound
from matex.catalog import methods
from matex.domains import names
from matex.errors import InputError
from matex.explained_score import ScoreArguments
from matex.geometry import Resize
from matex.images import Film
from matex.objectives import ClassScoreKind
from matex.prompts import PROMPT_SETS
from matex.queries import Domain
from matex.results import Explanation
from matex.viewer import work
from matex.viewer.jobs import Jobs, Lane
from matex.viewer.limits import Limits
from matex.viewer.memory import Memory
from matex.viewer.models import Models
from matex.viewer.page import Page
from matex.viewer.requests import Fields, Refused, read_json

T = TypeVar("T")
SLOW_WORDS = {"banzhaf", "shapley"}
"""Methods of word maps that run the model many times."""
RESIZES: tuple[Resize, ...] = get_args(Resize)
DOMAINS = names()  # never a file of the server that a page names


class MethodRow(TypedDict):
    """A method with an image map as the page lists it."""

    name: str
    summary: str
    slow: bool
    parameters: dict[str, object]


@dataclass(frozen=True)
class Desk:
    """The state of one server, and what its handlers do with it.

    Args:
        models: on offer.
        memory: films and results.
        jobs: computations in progress.
        limits: of requests and memory.
        page: as it was read at the start.
    """

    models: Models
    memory: Memory
    jobs: Jobs
    limits: Limits
    page: Page

    async def json(self, request: Request) -> Fields:
        return await read_json(request, self.limits.json, self.limits.body_seconds)

    def question(self, fields: Fields) -> tuple[str, str, work.Question]:
        """Identifier of the film, name of the model, and the query."""
        film = fields.text("film", 100)
        name = fields.one_of("model", self.models.names, self.models.names[0])
        text = fields.text("text", self.limits.phrase)
        resize: Resize = fields.one_of("resize", RESIZES, "model")
        kept = self.memory.films[film]
        return film, name, work.Question(kept.film, text, resize, _stated(kept.domain), kept.mask, self._score(fields))

    def explanations(self, fields: Fields) -> list[Explanation]:
        """The explanations that a request names, at least one."""
        keys = fields.texts("explanations", 6, 100)
        if not keys:
            raise InputError("Expected at least one explanation, got none.")
        return [self.memory.explanations[key].explanation for key in keys]

    @cached_property
    def methods(self) -> list[MethodRow]:
        return [
            {
                "name": entry.name,
                "summary": entry.summary,
                "slow": "progress" in entry.parameters,
                "parameters": {name: value for name, value in entry.parameters.items() if name != "progress"},
            }
            for entry in methods()
            if "image" in entry.towers
        ]

    def lane(self, method: str) -> Lane:
        """Lane of a method: those that run the model many times have a thread of their own."""
        slow = {one["name"] for one in self.methods if one["slow"]} | SLOW_WORDS
        return "slow" if method in slow else "fast"

    def model(self, name: str, film: Film) -> Model:
        """A model with the pair of encoders that reads this film, or this sound."""
        model = self.models[name]
        return model.between("audio", "text") if isinstance(film, Sound) else model

    def started(self, label: str, compute: Callable[[], object], lane: Lane) -> Response:
        key, _ = self.jobs.start(label, compute, lane)
        return JSONResponse({"job": key}, 202)

    async def answer(self, label: str, compute: Callable[[], T]) -> T:
        """The result of a short computation in the fast lane."""
        key, job = self.jobs.start(label, compute)
        try:
            if not await job.wait(self.limits.answer_seconds):
                job.cancel()
                raise Refused(503, "The server is busy. Try again in a moment.")
            return job.future.result()
        finally:
            self.jobs.forget(key)

    def _score(self, fields: Fields) -> ScoreArguments:
        """The explained score: of a contrast, or of classes, a prompt set or phrases of the reader's."""
        against = fields.text("against", self.limits.phrase, "").strip()
        if against:
            return {"against": against}
        named = fields.one_of("labels", ("", "own", *PROMPT_SETS), "")
        if not named:
            return {}
        own = named == "own"
        labels = fields.texts("classes", self.limits.phrases, self.limits.phrase) if own else named
        return {"labels": labels, "of": fields.one_of("of", get_args(ClassScoreKind), "logit")}


def _stated(domain: Domain) -> Domain:
    """The domain as a caller states it: that of sounds follows from what they are."""
    return "chest" if domain == "sound" else domain
