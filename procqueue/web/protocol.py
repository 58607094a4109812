"""HTTP/1.1 as uvicorn speaks it, with deadlines: who sends no head, or does not read, is hung up on.

uvicorn waits for ever for the rest of a head, and for a reader of what was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 256
MOST_HEAD = 64 * 1024
#: Who has not got on between two looks, that many seconds apart, is late.
LOOK_SECONDS = 5.0


class Impatient(H11Protocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _answered: object = False  # the last request, if it was answered; None: there was none yet
    _unread = 0

    def connection_made(self, transport: Any) -> None:
        """Begin, or hang up if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        unread = self.transport.get_write_buffer_size()
        answered = self.cycle if self.cycle is None or self.cycle.response_complete else False
        sends_nothing = answered is not False and answered is self._answered and not unread
        if sends_nothing or unread >= self._unread > 0:
            self.transport.abort()
            return
        self._answered, self._unread = answered, unread
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)


class Server(uvicorn.Server):
    """A server among others in one loop: signals are the process' own business."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def server_of(app: ASGIApp) -> Server:
    """Return what will serve `app` at the sockets that it is given."""
    return Server(
        uvicorn.Config(
            app,
            http=Impatient,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=MOST_HEAD,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
    )
