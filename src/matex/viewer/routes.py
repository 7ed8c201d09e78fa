"""The addresses of the viewer: each checks its request, hands the work to a lane, and answers with plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar, get_args
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from matex.adapters.model import Model
from matex.audio.sound import Sound
from matex.audits import audit
from matex.catalog import methods
from matex.dicom.view_position import VIEWS
from matex.domains import find_pack, names
from matex.errors import InputError
from matex.images import Film, begins_as_sound, is_dicom
from matex.interaction.methods import INTERACTION_METHODS
from matex.mask_files import parse_mask
from matex.objectives import ClassScoreKind
from matex.prompts import PROMPT_SETS
from matex.queries import Domain
from matex.render.film_data import palettes
from matex.request_checks import check_method
from matex.results import DISCLAIMER, Explanation
from matex.serialise import plain, version_of
from matex.viewer import downloads, uploads, work
from matex.viewer.jobs import Busy, Job, Jobs, Lane
from matex.viewer.limits import Limits
from matex.viewer.memory import Forgotten, Memory, StoredFilm
from matex.viewer.models import Models
from matex.viewer.page import Page
from matex.viewer.requests import Fields, Refused, read_body, read_json
from matex.viewer.results import Explained, audit_data, explanation_data, reading_data, support_data, words_data

T = TypeVar("T")
POLL_SECONDS = 0.25
"""How long an answer about a job waits for a change."""
SLOW_WORDS = {"banzhaf", "shapley"}
"""Methods of word maps that run the model many times."""
RESIZES, DOMAINS = ("model", "squash", "pad", "crop"), names()  # never a file of the server that a page names


@dataclass(frozen=True)
class Viewer:
    """The handlers of one server, and what they share."""

    models: Models
    memory: Memory
    jobs: Jobs
    limits: Limits
    page: Page

    def routes(self) -> list[Route]:
        """Addresses behind the token."""
        get, post = ["GET"], ["POST"]
        return [
            Route("/", self.index, methods=get),
            Route("/static/{name}", self.static, methods=get),
            Route("/api/start", self.start, methods=get),
            Route("/api/films", self.upload, methods=post),
            Route("/api/films/bundled", self.bundled_film, methods=post),
            Route("/api/films/{film}", self.film, methods=get),
            Route("/api/films/{film}/settings", self.settings, methods=post),
            Route("/api/films/{film}/mask", self.mask, methods=post),
            Route("/api/films/{film}/picture", self.picture, methods=get),
            Route("/api/films/{film}/sound", self.sound, methods=get),
            Route("/api/read", self.read, methods=post),
            Route("/api/explain", self.explain, methods=post),
            Route("/api/audit", self.audit, methods=post),
            Route("/api/words", self.words, methods=post),
            Route("/api/support", self.support, methods=post),
            Route("/api/yardstick", self.yardstick, methods=post),
            Route("/api/scores", self.scores, methods=post),
            Route("/api/cover", self.cover, methods=post),
            Route("/api/figure", self.figure, methods=post),
            Route("/api/agreement", self.agreement, methods=post),
            Route("/api/jobs/{job}", self.job, methods=get),
            Route("/api/jobs/{job}", self.cancel, methods=["DELETE"]),
            Route("/api/explanations/{explanation}/{kind}", self.download, methods=get),
        ]

    # ------------------------------------------------------------------------------------------------------- the page

    async def index(self, request: Request) -> Response:
        return Response(self.page.html, media_type="text/html")

    async def static(self, request: Request) -> Response:
        found = self.page.files.get(request.path_params["name"])  # a dictionary of what was read at the start
        if found is None:
            raise Refused(404, "Not found.")
        return Response(found.content, media_type=found.media)

    async def start(self, request: Request) -> Response:
        model = self.models.names[0]
        return JSONResponse(
            {
                "version": version_of("matex"),
                "disclaimer": DISCLAIMER,
                "models": list(self.models.names),
                "methods": self._methods,
                "interaction_methods": [{"name": name, "slow": name in SLOW_WORDS} for name in INTERACTION_METHODS],
                "reads": list(self.models[model].encoders),
                "refusals": await self._answer("methods of the model", lambda: self.models.refusals(model)),
                "films": [
                    {"name": name, "phrase": sample.demo_phrase, "view": sample.view, "normal": sample.normal}
                    for name, sample in uploads.bundled().items()
                ],
                "palettes": palettes(),
                "domains": [{"name": domain, "views": list(_views(domain))} for domain in DOMAINS],
                "resizes": list(RESIZES),
                "prompt_sets": list(PROMPT_SETS),
                "class_scores": list(get_args(ClassScoreKind)),
                "limits": {"upload": self.limits.upload, "phrase": self.limits.phrase, "report": self.limits.report},
                "files": [*downloads.KINDS, downloads.DICOM],
            }
        )

    @cached_property
    def _methods(self) -> list[dict[str, Any]]:
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

    # ---------------------------------------------------------------------------------------------------------- films

    async def upload(self, request: Request) -> Response:
        name = unquote(request.headers.get("x-file-name", ""))[:400]
        data = await read_body(request, self.limits.upload, self.limits.body_seconds)
        if begins_as_sound(data):
            model = self.models[request.headers.get("x-model", self.models.names[0])]
            sound = await self._answer("reading the sound", lambda: uploads.read_sound_upload(data, name, model))
            return self._described(StoredFilm(sound, sound, domain="sound"))
        film = await self._answer("reading the film", lambda: uploads.read_upload(data, name, self.limits))
        return self._described(StoredFilm(film, film, data if is_dicom(data) else None))

    async def bundled_film(self, request: Request) -> Response:
        name = (await self._json(request)).text("name", 100)
        film = await self._answer("reading the film", lambda: uploads.read_bundled(name))
        return self._described(StoredFilm(film, film))

    async def settings(self, request: Request) -> Response:
        kept = self.memory.films[request.path_params["film"]]
        fields = await self._json(request)
        domain = fields.one_of("domain", DOMAINS, "chest")
        view = fields.one_of("view", ("", *_views(domain)), "") or None
        mirrored = {"": None, "no": False, "yes": True}[fields.one_of("mirrored", ("", "no", "yes"), "")]
        film = kept.read if view is None and mirrored is None else kept.read.known_as(view, mirrored)
        mask = kept.mask if fields.one_of("mask", ("keep", "remove"), "keep") == "keep" else None
        return self._described(replace(kept, film=film, mask=mask, domain=domain))

    async def mask(self, request: Request) -> Response:
        kept = self.memory.films[request.path_params["film"]]
        data = await read_body(request, self.limits.upload, self.limits.body_seconds)
        mask = await self._answer("reading the mask", lambda: parse_mask(data, kept.film, "the file"))
        return self._described(replace(kept, mask=mask))

    def _described(self, kept: StoredFilm) -> Response:
        """Keep a film, and describe it."""
        return JSONResponse(uploads.described(self.memory.keep_film(kept), kept))

    async def film(self, request: Request) -> Response:
        key = request.path_params["film"]
        return JSONResponse(uploads.described(key, self.memory.films[key]))

    async def picture(self, request: Request) -> Response:
        film = self.memory.films[request.path_params["film"]].film
        content = await self._answer("drawing the film", lambda: uploads.picture(film))
        return Response(content, media_type="image/png")

    async def sound(self, request: Request) -> Response:
        film = self.memory.films[request.path_params["film"]].film
        if not isinstance(film, Sound):
            raise Refused(404, "Not found.")
        content = await self._answer("reading the sound", lambda: uploads.playback(film))
        return Response(content, media_type="audio/wav")

    # ------------------------------------------------------------------------------------------------- what is computed

    async def read(self, request: Request) -> Response:
        fields = await self._json(request)
        text = fields.text("text", self.limits.report)
        domain = fields.one_of("domain", (*DOMAINS, "sound"), "chest")
        return JSONResponse(await self._answer("reading the phrase", lambda: reading_data(text, domain)))

    async def explain(self, request: Request) -> Response:
        fields = await self._json(request)
        film, name, question = self._question(fields)
        method, parameters = fields.text("method", 100, "matex"), fields.mapping("parameters")
        check_method(method)

        def compute() -> dict[str, Any]:
            found, attention = work.explain(self._model(name, question.film), question, method, parameters)
            explained = Explained(film, name, found, attention, question.score)
            return explanation_data(self.memory.explanations.add(explained), explained)

        return self._started(f"{method}: {question.text}", compute, self._lane(method))

    async def audit(self, request: Request) -> Response:
        explained = self.memory.explanations[(await self._json(request)).text("explanation", 100)]
        found = explained.explanation
        if isinstance(found.film, Sound):
            raise InputError(
                "Expected an explanation of a film for the audit, got one of a sound. Its checks are of films."
            )
        if found.query.objective is not None:
            raise InputError(
                f"Expected an explanation of a phrase's own score for the audit, got one of the {found.score_kind}. "
                "Take the other score out to audit the phrase."
            )

        def compute() -> dict[str, Any]:
            query = found.query
            return audit_data(
                audit(
                    self.models[explained.model],
                    query.film,
                    query.text,
                    found.method,
                    resize=query.resize,
                    domain=query.domain,
                    lung_mask=query.lung_mask,
                    **found.parameters,
                )
            )

        return self._started(f"audit of {found.method}: {found.text}", compute, "slow")

    async def words(self, request: Request) -> Response:
        fields = await self._json(request)
        _, name, question = self._question(fields)
        method = fields.text("method", 100, "second-order")

        def compute() -> dict[str, Any]:
            found = work.word_maps(self._model(name, question.film), question, method)
            return words_data(self.memory.interactions.add(found), found)

        return self._started(f"words by {method}: {question.text}", compute, self._lane(method))

    async def support(self, request: Request) -> Response:
        fields = await self._json(request)
        found = self.memory.interactions[fields.text("words", 100)]
        (box,) = fields.boxes("boxes", 1)
        return JSONResponse(await self._answer("summing maps", lambda: support_data(found, box)))

    async def yardstick(self, request: Request) -> Response:
        _, name, question = self._question(await self._json(request))
        found = await self._answer("scoring", lambda: work.yardstick(self._model(name, question.film), question))
        return JSONResponse([one._asdict() for one in found])

    async def scores(self, request: Request) -> Response:
        fields = await self._json(request)
        _, name, question = self._question(fields)
        phrases = fields.texts("phrases", self.limits.phrases, self.limits.phrase)
        found = await self._answer("scoring", lambda: work.scores(self._model(name, question.film), question, phrases))
        return JSONResponse(found)

    async def cover(self, request: Request) -> Response:
        fields = await self._json(request)
        _, name, question = self._question(fields)
        boxes = fields.boxes("boxes", 16)
        if isinstance(question.film, Sound):
            raise InputError("Expected a film to cover a part of, got a sound.")
        before, after = await self._answer(
            "scoring", lambda: work.covered(self._model(name, question.film), question, boxes)
        )
        return JSONResponse({"before": before, "after": after})

    async def agreement(self, request: Request) -> Response:
        found = self._explanations(await self._json(request))
        values = await self._answer("comparing maps", lambda: work.agreement(found))
        return JSONResponse(plain(values))

    # ----------------------------------------------------------------------------------------------------------- jobs

    async def job(self, request: Request) -> Response:
        job = self._job(request)
        await job.wait(POLL_SECONDS)
        answer: dict[str, Any] = {"state": job.state, "label": job.label, "done": job.done, "total": job.total}
        if job.state == "done":
            answer["result"] = job.future.result()
        elif job.state == "failed":
            error = job.future.exception()
            assert isinstance(error, Exception)
            answer["error"] = explained_error(error)[1]
        return JSONResponse(answer)

    async def cancel(self, request: Request) -> Response:
        self._job(request).cancel()
        return JSONResponse({"state": self._job(request).state})

    async def figure(self, request: Request) -> Response:
        fields = await self._json(request)
        found = self._explanations(fields)
        kind: Any = fields.one_of("format", tuple(downloads.FIGURES), "png")
        return _attachment(await self._answer("drawing the figure", lambda: downloads.figure(found, kind)))

    async def download(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in (*downloads.KINDS, downloads.DICOM):
            raise Refused(404, "Not found.")
        explained = self.memory.explanations[request.path_params["explanation"]]
        dicom = self.memory.films[explained.film].dicom if kind == downloads.DICOM else None
        found = explained.explanation
        return _attachment(await self._answer("writing the file", lambda: downloads.download(found, kind, dicom)))

    # ---------------------------------------------------------------------------------------------------------- shared

    async def _json(self, request: Request) -> Fields:
        return await read_json(request, self.limits.json, self.limits.body_seconds)

    def _question(self, fields: Fields) -> tuple[str, str, work.Question]:
        """Identifier of the film, name of the model, and what is asked of it."""
        film = fields.text("film", 100)
        name = fields.one_of("model", self.models.names, self.models.names[0])
        text = fields.text("text", self.limits.phrase)
        resize: Any = fields.one_of("resize", RESIZES, "model")
        kept = self.memory.films[film]
        return film, name, work.Question(kept.film, text, resize, _stated(kept.domain), kept.mask, self._score(fields))

    def _score(self, fields: Fields) -> dict[str, Any]:
        """Arguments of `ExplainedScore`: of a contrast, or of classes, a prompt set or phrases of the reader's."""
        against = fields.text("against", self.limits.phrase, "").strip()
        if against:
            return {"against": against}
        labels: Any = fields.one_of("labels", ("", "own", *PROMPT_SETS), "")
        if not labels:
            return {}
        if labels == "own":
            labels = fields.texts("classes", self.limits.phrases, self.limits.phrase)
        return {"labels": labels, "of": fields.one_of("of", get_args(ClassScoreKind), "logit")}

    def _explanations(self, fields: Fields) -> list[Explanation]:
        """The explanations that a request names, at least one."""
        keys = fields.texts("explanations", 6, 100)
        if not keys:
            raise InputError("Expected at least one explanation, got none.")
        return [self.memory.explanations[key].explanation for key in keys]

    def _lane(self, method: str) -> Lane:
        """Where a method is computed: those that run the model many times have a thread of their own."""
        slow = {one["name"] for one in self._methods if one["slow"]} | SLOW_WORDS
        return "slow" if method in slow else "fast"

    def _model(self, name: str, film: Film) -> Model:
        """A model with the pair of encoders that reads this film, or this sound."""
        model = self.models[name]
        return model.between("audio", "text") if isinstance(film, Sound) else model

    def _job(self, request: Request) -> Job:
        try:
            return self.jobs[request.path_params["job"]]
        except KeyError:
            raise Refused(404, "This computation is no longer known. Start it again.") from None

    def _started(self, label: str, compute: Callable[[], Any], lane: Lane) -> Response:
        key, _ = self.jobs.start(label, compute, lane)
        return JSONResponse({"job": key}, 202)

    async def _answer(self, label: str, compute: Callable[[], T]) -> T:
        """The result of a short computation in the fast lane."""
        key, job = self.jobs.start(label, compute)
        try:
            if not await job.wait(self.limits.answer_seconds):
                job.cancel()
                raise Refused(503, "The server is busy. Try again in a moment.")
            return job.future.result()
        finally:
            self.jobs.forget(key)


def explained_error(error: Exception) -> tuple[int, str]:
    """Status and message of an error; what is our fault says nothing of the request."""
    if isinstance(error, Refused):
        return error.status, error.message
    if isinstance(error, Forgotten):
        return 404, "This film or map is no longer in memory. Load the film again."
    if isinstance(error, Busy):
        return 503, "Too many computations are waiting. Cancel one or wait."
    if isinstance(error, InputError | ValueError):
        return 422, str(error)
    if isinstance(error, ImportError):
        return 501, str(error)
    if isinstance(error, MemoryError):
        return 507, "Not enough memory for this computation."
    return 500, "The computation failed."


def _views(domain: str) -> tuple[str, ...]:
    """Views that can be stated for a film of a domain."""
    pack = find_pack(domain)
    return VIEWS if pack is None else tuple(pack.views)


def _stated(domain: Domain) -> Domain:
    """The domain as a caller states it: that of sounds follows from what they are."""
    return "chest" if domain == "sound" else domain


def _attachment(made: downloads.Download) -> Response:
    disposition = f'attachment; filename="{made.name}"'
    return Response(made.content, media_type=made.media, headers={"Content-Disposition": disposition})
