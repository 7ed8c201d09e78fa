"""The addresses of the viewer: each checks its request, hands the work to a lane, and answers with plain values."""

from __future__ import annotations

from starlette.routing import Route

from matex.viewer.desk import Desk
from matex.viewer.explain_routes import ExplainRoutes
from matex.viewer.file_routes import FileRoutes
from matex.viewer.film_routes import FilmRoutes
from matex.viewer.job_routes import JobRoutes
from matex.viewer.page_routes import PageRoutes


def routes(desk: Desk) -> list[Route]:
    """Addresses behind the token."""
    return [
        *PageRoutes(desk).routes(),
        *FilmRoutes(desk).routes(),
        *ExplainRoutes(desk).routes(),
        *JobRoutes(desk).routes(),
        *FileRoutes(desk).routes(),
    ]
