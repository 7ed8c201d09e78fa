"""Access to the server, and the headers that restrict what browsers do with its answers.

Every address begins with a random token, so that no other page and no other user of the machine can guess it. A request
must name this server in Host (another name that resolves here is refused: DNS rebinding) and, where the browser sends
an Origin, come from its own page. There are no CORS headers.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def new_token() -> str:
    """192 random bits for the address."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware: checks the address, Host and Origin of a request, and adds the headers of every response.

    Args:
        app: that answers what passes; it sees paths without the token.
        token: first part of every path.
        hosts: names that Host may have, ports not counted; empty allows any, for servers that others may reach.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Sequence[str] = LOOPBACK) -> None:
        self.app, self.token, self.hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        inner = self._admit(scope)
        if inner is None:
            # The same answer to a wrong token, host and origin: nothing to learn from it.
            await PlainTextResponse("Not found. Open the address that matex serve printed.", 404)(
                scope, receive, send_protected
            )
        else:
            await self.app({**scope, "path": inner, "raw_path": inner.encode()}, receive, send_protected)

    def _admit(self, scope: Scope) -> str | None:
        """The path behind the token; None for a request that is refused."""
        token, slash, rest = scope["path"].removeprefix("/").partition("/")
        headers = Headers(scope=scope)
        if not hmac.compare_digest(token.encode(), self.token.encode()) or not slash:
            return None
        host = headers.get("host", "")
        if self.hosts and _name(host) not in self.hosts:
            return None
        if (origin := headers.get("origin")) is not None and origin != f"{scope['scheme']}://{host}":
            return None
        return f"/{rest}"


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
