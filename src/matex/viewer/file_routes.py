"""Handlers of finished explanations: figures, agreement of maps, and files."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from matex.render.figure import Format
from matex.serialise import plain
from matex.viewer import downloads, work
from matex.viewer.desk import Desk
from matex.viewer.requests import Refused


@dataclass(frozen=True)
class FileRoutes:
    """Handlers of finished explanations: figures, agreement of maps, and files."""

    desk: Desk

    def routes(self) -> list[Route]:
        return [
            Route("/api/figure", self.figure, methods=["POST"]),
            Route("/api/agreement", self.agreement, methods=["POST"]),
            Route("/api/explanations/{explanation}/{kind}", self.download, methods=["GET"]),
        ]

    async def figure(self, request: Request) -> Response:
        fields = await self.desk.json(request)
        found = self.desk.explanations(fields)
        kind: Format = fields.one_of("format", tuple(downloads.FIGURES), "png")
        return _attachment(await self.desk.answer("drawing the figure", lambda: downloads.figure(found, kind)))

    async def agreement(self, request: Request) -> Response:
        found = self.desk.explanations(await self.desk.json(request))
        values = await self.desk.answer("comparing maps", lambda: work.agreement(found))
        return JSONResponse(plain(values))

    async def download(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in (*downloads.KINDS, downloads.DICOM):
            raise Refused(404, "Not found.")
        explained = self.desk.memory.explanations[request.path_params["explanation"]]
        dicom = self.desk.memory.films[explained.film].dicom if kind == downloads.DICOM else None
        found = explained.explanation
        return _attachment(await self.desk.answer("writing the file", lambda: downloads.download(found, kind, dicom)))


def _attachment(made: downloads.Download) -> Response:
    disposition = f'attachment; filename="{made.name}"'
    return Response(made.content, media_type=made.media, headers={"Content-Disposition": disposition})
