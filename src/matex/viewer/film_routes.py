"""Handlers of films and sounds: loading, description, settings and pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from matex.audio.sound import Sound
from matex.images import begins_as_sound, is_dicom
from matex.mask_files import parse_mask
from matex.viewer import uploads
from matex.viewer.desk import DOMAINS, Desk
from matex.viewer.memory import StoredFilm
from matex.viewer.requests import Refused, read_body
from matex.viewer.uploads import stated_views


@dataclass(frozen=True)
class FilmRoutes:
    """Handlers of films and sounds: loading, description, settings and pictures."""

    desk: Desk

    def routes(self) -> list[Route]:
        return [
            Route("/api/films", self.upload, methods=["POST"]),
            Route("/api/films/bundled", self.bundled_film, methods=["POST"]),
            Route("/api/films/{film}", self.film, methods=["GET"]),
            Route("/api/films/{film}/settings", self.settings, methods=["POST"]),
            Route("/api/films/{film}/mask", self.mask, methods=["POST"]),
            Route("/api/films/{film}/picture", self.picture, methods=["GET"]),
            Route("/api/films/{film}/sound", self.sound, methods=["GET"]),
        ]

    async def upload(self, request: Request) -> Response:
        name = unquote(request.headers.get("x-file-name", ""))[:400]
        data = await read_body(request, self.desk.limits.upload, self.desk.limits.body_seconds)
        if begins_as_sound(data):
            model = self.desk.models[request.headers.get("x-model", self.desk.models.names[0])]
            sound = await self.desk.answer("reading the sound", lambda: uploads.read_sound_upload(data, name, model))
            return self._described(StoredFilm(sound, sound, domain="sound"))
        film = await self.desk.answer("reading the film", lambda: uploads.read_upload(data, name, self.desk.limits))
        return self._described(StoredFilm(film, film, data if is_dicom(data) else None))

    async def bundled_film(self, request: Request) -> Response:
        name = (await self.desk.json(request)).text("name", 100)
        film = await self.desk.answer("reading the film", lambda: uploads.read_bundled(name))
        return self._described(StoredFilm(film, film))

    async def film(self, request: Request) -> Response:
        key = request.path_params["film"]
        return JSONResponse(uploads.described(key, self.desk.memory.films[key]))

    async def settings(self, request: Request) -> Response:
        kept = self.desk.memory.films[request.path_params["film"]]
        fields = await self.desk.json(request)
        domain = fields.one_of("domain", DOMAINS, "chest")
        view = fields.one_of("view", ("", *stated_views(domain)), "") or None
        mirrored = {"": None, "no": False, "yes": True}[fields.one_of("mirrored", ("", "no", "yes"), "")]
        film = kept.read if view is None and mirrored is None else kept.read.known_as(view, mirrored)
        mask = kept.mask if fields.one_of("mask", ("keep", "remove"), "keep") == "keep" else None
        return self._described(replace(kept, film=film, mask=mask, domain=domain))

    async def mask(self, request: Request) -> Response:
        kept = self.desk.memory.films[request.path_params["film"]]
        data = await read_body(request, self.desk.limits.upload, self.desk.limits.body_seconds)
        mask = await self.desk.answer("reading the mask", lambda: parse_mask(data, kept.film, "the file"))
        return self._described(replace(kept, mask=mask))

    async def picture(self, request: Request) -> Response:
        film = self.desk.memory.films[request.path_params["film"]].film
        content = await self.desk.answer("drawing the film", lambda: uploads.picture(film))
        return Response(content, media_type="image/png")

    async def sound(self, request: Request) -> Response:
        film = self.desk.memory.films[request.path_params["film"]].film
        if not isinstance(film, Sound):
            raise Refused(404, "Not found.")
        content = await self.desk.answer("reading the sound", lambda: uploads.playback(film))
        return Response(content, media_type="audio/wav")

    def _described(self, kept: StoredFilm) -> Response:
        """Keep a film, and describe it."""
        return JSONResponse(uploads.described(self.desk.memory.keep_film(kept), kept))
