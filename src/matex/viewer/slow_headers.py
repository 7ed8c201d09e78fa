"""A connection whose request headers do not arrive in time is closed: uvicorn waits for them without a limit."""

from __future__ import annotations

import asyncio
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def closing_slow_headers(seconds: float) -> type[H11Protocol]:
    """The server's protocol with a limit on the time that the headers of a request take.

    Time runs from the connection, or from the first byte of a further request, to the end of the headers.

    Between requests, uvicorn's own limit for idle connections holds.
    """

    class HeaderTimeout(H11Protocol):
        """Watches for headers that arrive in pieces."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(cast(asyncio.Transport, transport))
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Start the time while headers are awaited; more bytes of them do not prolong it."""
            if self.conn.their_state is not h11.IDLE:
                self._unwatch()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self.transport.close)

        def _unwatch(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return HeaderTimeout
