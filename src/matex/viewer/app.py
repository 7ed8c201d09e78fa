"""The viewer as an ASGI application, and the server that runs it."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from matex.viewer.desk import Desk
from matex.viewer.failures import explained_error
from matex.viewer.jobs import Busy, Jobs
from matex.viewer.limits import Limits
from matex.viewer.memory import Forgotten, Memory
from matex.viewer.models import Models
from matex.viewer.page import Page
from matex.viewer.requests import Refused
from matex.viewer.routes import routes
from matex.viewer.security import LOOPBACK, Guard
from matex.viewer.slow_headers import closing_slow_headers

log = logging.getLogger("matex.viewer")


def create_app(models: Models, token: str, hosts: Sequence[str] = LOOPBACK, limits: Limits | None = None) -> Guard:
    """The application.

    Args:
        models: that the page offers.
        token: first part of every address.
        hosts: names that the Host header may have; empty for any.
        limits: of requests and memory.
    """
    limits = limits or Limits()
    desk = Desk(models, Memory(limits), Jobs(limits.waiting), limits, Page.read())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        desk.jobs.close()

    known = (Refused, Forgotten, Busy, ValueError, ImportError, MemoryError)
    handlers = {HTTPException: _refused, **dict.fromkeys((Exception, *known), _failed)}
    app = Starlette(routes=routes(desk), exception_handlers=handlers, lifespan=lifespan)
    return Guard(app, token, hosts)


def serve(app: Guard, listener: socket.socket, limits: Limits | None = None) -> None:
    """Answer requests on a listening socket until interrupted; nothing about requests is logged."""
    server_for(app, limits).run([listener])


def server_for(app: Guard, limits: Limits | None = None) -> uvicorn.Server:
    """The server of an application, not running yet."""
    limits = limits or Limits()
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="critical",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            h11_max_incomplete_event_size=32 << 10,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=2,
            http=closing_slow_headers(limits.header_seconds),
            ws="none",
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: the address is in use, or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


async def _failed(request: Request, error: Exception) -> Response:
    """Any error as one line of JSON. Where it is our fault, the log names the place in the code and no values."""
    status, message = explained_error(error)
    if status == 500:
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error("%s in %s, line %d", type(error).__name__, place.name, place.lineno or 0)
    return JSONResponse({"error": message}, status)


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    return JSONResponse({"error": "Not found." if status == 404 else "Not allowed."}, status)
