"""The dashboard's process: what it listens at, and when it leaves.

It asks the master by the control socket and the stores by connections of its own, so whatever a client does
costs this process only. It dies with the master (PDEATHSIG), and is replaced like any other child.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import replace

from procqueue.core.settings.web import Listen, WebSettings, why_open
from procqueue.process.dashboard import Place
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.web.app import application, for_scrapers
from procqueue.web.asking import Office
from procqueue.web.credentials import BadTokens, Credentials
from procqueue.web.cursors import Cursors
from procqueue.web.guard import Guard
from procqueue.web.leaving import hear_signals, is_over
from procqueue.web.listening import listen
from procqueue.web.protocol import Server, server_of
from procqueue.web.redaction import Redaction
from procqueue.web.rendering import Rendering
from procqueue.web.sight import Sight
from procqueue.web.stores import Stores

#: Seconds between two tries to listen.
_AGAIN = 0.5
#: By these names everybody calls his own machine.
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")


def serve(place: Place, lifeline: Lifeline) -> int:
    """Serve until told to leave; return the exit code."""
    hear_signals(lifeline)
    # What h11 says of bad requests is for nobody: anybody could fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return asyncio.run(_Process(place, lifeline).run())


class _Process:
    """The process while it runs."""

    def __init__(self, place: Place, lifeline: Lifeline) -> None:
        self._place = place
        self._web = place.settings.web
        self._lifeline = lifeline
        self._log = Log("web", place.settings.logging.level)
        self._over = asyncio.Event()
        self._stale = False

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._lifeline.fileno(), self._hear)
        self._hear()

        def stale() -> None:
            loop.call_soon_threadsafe(self._replace_me)

        stores = Stores(self._place.settings, stale)
        office = Office(
            self._place.settings,
            Sight(self._place.state_dir),
            stores,
            Redaction(self._web.redact),
            Cursors(self._place.token),
            self._log,
        )
        servers = [
            (where, app)
            for where, app in (
                (self._web.listen, self._dashboard(office)),
                (self._web.metrics, server_of(for_scrapers(office))),
            )
            if where is not None
        ]
        sockets = [await self._listening(where) for where, _ in servers]
        if not self._over.is_set():
            self._announce()
            await self._serve([server for _, server in servers], [one for one in sockets if one])
        self._lifeline.say("leaving", reason="crash" if self._stale else "stop")
        # No waiting for threads: one may be in a call to a store that is away.
        os._exit(1 if self._stale else 0)

    def _dashboard(self, office: Office) -> Server:
        rendering = Rendering()
        credentials = Credentials(self._place.token, self._web.token_file)
        guard = Guard(application(office, rendering), credentials, _hosts(self._web), rendering, self._log)
        try:
            credentials.people()
        except BadTokens as error:
            self._lifeline.say("problem", text=f"nobody can be let in: {error}")
        return server_of(guard)

    async def _listening(self, where: Listen) -> socket.socket | None:
        """Return the socket, as soon as it can be had; None if it is time to leave before."""
        told = False
        while not self._over.is_set():
            try:
                if why := why_open(replace(self._web, listen=where)) if where is self._web.listen else "":
                    raise PermissionError(0, why)
                found = listen(where)
            except OSError as error:
                if not told:
                    self._lifeline.say("problem", text=f"cannot listen at {where}: {error.strerror}")
                told = True
                try:
                    await asyncio.wait_for(self._over.wait(), _AGAIN)
                except TimeoutError:
                    pass
                continue
            if told:
                self._lifeline.say("solved")
            return found
        return None

    async def _serve(self, servers: Sequence[Server], sockets: Sequence[socket.socket]) -> None:
        tasks = [
            asyncio.create_task(server.serve(sockets=[one]))
            for server, one in zip(servers, sockets, strict=True)
        ]
        self._lifeline.say("ready")
        await self._over.wait()
        for server in servers:
            server.should_exit = server.force_exit = True
        await asyncio.wait(tasks, timeout=1.0)

    def _announce(self) -> None:
        """Say where it is. The link opens it; it is told by the first child of this start only."""
        where = self._web.listen
        if where is None:
            return
        link = token = None
        if not self._web.token_file and self._place.first:
            token = self._place.token if where.path else None
            link = None if where.path else f"http://{where}/#t={self._place.token}"
        self._log.info("listening", at=where, metrics=self._web.metrics, link=link, token=token)

    def _hear(self) -> None:
        if is_over(self._lifeline):
            asyncio.get_running_loop().remove_reader(self._lifeline.fileno())
            self._over.set()

    def _replace_me(self) -> None:
        self._stale = True
        self._over.set()


def _hosts(web: WebSettings) -> frozenset[str]:
    """Return the names by which it may be called."""
    where = web.listen
    own = (
        []
        if where is None or where.path
        else [f"[{where.host}]" if ":" in where.host else where.host.lower()]
    )
    return frozenset((*_OWN_NAMES, *own, *web.allowed_hosts))
