"""Handlers of computations on a film and a phrase: maps, audits, words and scores."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from matex.audio.sound import Sound
from matex.audits import audit
from matex.errors import InputError
from matex.request_checks import check_method
from matex.serialise import Json
from matex.viewer import work
from matex.viewer.desk import DOMAINS, Desk
from matex.viewer.results import Explained, audit_data, explanation_data, reading_data, support_data, words_data


@dataclass(frozen=True)
class ExplainRoutes:
    """Handlers of computations on a film and a phrase: maps, audits, words and scores."""

    desk: Desk

    def routes(self) -> list[Route]:
        return [
            Route("/api/read", self.read, methods=["POST"]),
            Route("/api/explain", self.explain, methods=["POST"]),
            Route("/api/audit", self.audit, methods=["POST"]),
            Route("/api/words", self.words, methods=["POST"]),
            Route("/api/support", self.support, methods=["POST"]),
            Route("/api/yardstick", self.yardstick, methods=["POST"]),
            Route("/api/scores", self.scores, methods=["POST"]),
            Route("/api/cover", self.cover, methods=["POST"]),
        ]

    async def read(self, request: Request) -> Response:
        fields = await self.desk.json(request)
        text = fields.text("text", self.desk.limits.report)
        domain = fields.one_of("domain", (*DOMAINS, "sound"), "chest")
        return JSONResponse(await self.desk.answer("reading the phrase", lambda: reading_data(text, domain)))

    async def explain(self, request: Request) -> Response:
        fields = await self.desk.json(request)
        film, name, question = self.desk.question(fields)
        method, parameters = fields.text("method", 100, "matex"), fields.mapping("parameters")
        check_method(method)

        def compute() -> dict[str, Json]:
            found, attention = work.explain(self.desk.model(name, question.film), question, method, parameters)
            explained = Explained(film, name, found, attention, question.score)
            return explanation_data(self.desk.memory.explanations.add(explained), explained)

        return self.desk.started(f"{method}: {question.text}", compute, self.desk.lane(method))

    async def audit(self, request: Request) -> Response:
        explained = self.desk.memory.explanations[(await self.desk.json(request)).text("explanation", 100)]
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

        def compute() -> dict[str, Json]:
            query = found.query
            return audit_data(
                audit(
                    self.desk.models[explained.model],
                    query.film,
                    query.text,
                    found.method,
                    resize=query.resize,
                    domain=query.domain,
                    lung_mask=query.lung_mask,
                    **found.parameters,
                )
            )

        return self.desk.started(f"audit of {found.method}: {found.text}", compute, "slow")

    async def words(self, request: Request) -> Response:
        fields = await self.desk.json(request)
        _, name, question = self.desk.question(fields)
        method = fields.text("method", 100, "second-order")

        def compute() -> dict[str, Json]:
            found = work.word_maps(self.desk.model(name, question.film), question, method)
            return words_data(self.desk.memory.interactions.add(found), found)

        return self.desk.started(f"words by {method}: {question.text}", compute, self.desk.lane(method))

    async def support(self, request: Request) -> Response:
        fields = await self.desk.json(request)
        found = self.desk.memory.interactions[fields.text("words", 100)]
        (box,) = fields.boxes("boxes", 1)
        return JSONResponse(await self.desk.answer("summing maps", lambda: support_data(found, box)))

    async def yardstick(self, request: Request) -> Response:
        _, name, question = self.desk.question(await self.desk.json(request))
        found = await self.desk.answer(
            "scoring", lambda: work.yardstick(self.desk.model(name, question.film), question)
        )
        return JSONResponse([one._asdict() for one in found])

    async def scores(self, request: Request) -> Response:
        fields = await self.desk.json(request)
        _, name, question = self.desk.question(fields)
        phrases = fields.texts("phrases", self.desk.limits.phrases, self.desk.limits.phrase)
        found = await self.desk.answer(
            "scoring", lambda: work.scores(self.desk.model(name, question.film), question, phrases)
        )
        return JSONResponse(found)

    async def cover(self, request: Request) -> Response:
        fields = await self.desk.json(request)
        _, name, question = self.desk.question(fields)
        boxes = fields.boxes("boxes", 16)
        if isinstance(question.film, Sound):
            raise InputError("Expected a film to cover a part of, got a sound.")
        before, after = await self.desk.answer(
            "scoring", lambda: work.covered(self.desk.model(name, question.film), question, boxes)
        )
        return JSONResponse({"before": before, "after": after})
