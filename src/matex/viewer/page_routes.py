"""The page, its modules, and what it offers for choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from matex.interaction.methods import INTERACTION_METHODS
from matex.objectives import ClassScoreKind
from matex.prompts import PROMPT_SETS
from matex.render.film_data import palettes
from matex.results import DISCLAIMER
from matex.serialise import version_of
from matex.viewer import downloads, uploads
from matex.viewer.desk import DOMAINS, RESIZES, SLOW_WORDS, Desk
from matex.viewer.requests import Refused
from matex.viewer.uploads import stated_views


@dataclass(frozen=True)
class PageRoutes:
    """The page, its modules, and what it offers for choice."""

    desk: Desk

    def routes(self) -> list[Route]:
        return [
            Route("/", self.index, methods=["GET"]),
            Route("/static/{name}", self.static, methods=["GET"]),
            Route("/api/start", self.start, methods=["GET"]),
        ]

    async def index(self, request: Request) -> Response:
        return Response(self.desk.page.html, media_type="text/html")

    async def static(self, request: Request) -> Response:
        found = self.desk.page.files.get(request.path_params["name"])  # a dictionary of what was read at the start
        if found is None:
            raise Refused(404, "Not found.")
        return Response(found.content, media_type=found.media)

    async def start(self, request: Request) -> Response:
        model = self.desk.models.names[0]
        return JSONResponse(
            {
                "version": version_of("matex"),
                "disclaimer": DISCLAIMER,
                "models": list(self.desk.models.names),
                "methods": self.desk.methods,
                "interaction_methods": [{"name": name, "slow": name in SLOW_WORDS} for name in INTERACTION_METHODS],
                "reads": list(self.desk.models[model].encoders),
                "refusals": await self.desk.answer("methods of the model", lambda: self.desk.models.refusals(model)),
                "films": [
                    {"name": name, "phrase": sample.demo_phrase, "view": sample.view, "normal": sample.normal}
                    for name, sample in uploads.bundled().items()
                ],
                "palettes": palettes(),
                "domains": [{"name": domain, "views": list(stated_views(domain))} for domain in DOMAINS],
                "resizes": list(RESIZES),
                "prompt_sets": list(PROMPT_SETS),
                "class_scores": list(get_args(ClassScoreKind)),
                "limits": {
                    "upload": self.desk.limits.upload,
                    "phrase": self.desk.limits.phrase,
                    "report": self.desk.limits.report,
                },
                "files": [*downloads.KINDS, downloads.DICOM],
            }
        )
