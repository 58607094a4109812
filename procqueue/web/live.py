"""Pages that stay as things are: Server-Sent Events with the parts of a page that have changed.

The server renders a part as it renders the page, and sends it if it differs from what was sent last. Those
who look at the same page share the rendering. A stream ends after a while, so that its reader says again who
he is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse

from procqueue.web.problems import Problem

#: Seconds between two looks, and for which one stream lasts; how many there may be.
EVERY, LASTS = 1.0, 300.0
MOST_STREAMS = 200

Fragments = dict[str, str]
Render = Callable[[], Awaitable[Fragments]]


@dataclass(slots=True)
class _View:
    """One page with its query, as people of one role see it."""

    render: Render
    readers: int = 0
    at: float = float("-inf")
    fragments: Fragments = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Fragments:
        async with self.turn:
            if time.monotonic() - self.at >= EVERY * 0.9:
                self.fragments = await self.render()
                self.at = time.monotonic()
        return self.fragments


@dataclass(slots=True)
class Live:
    """All streams of this process."""

    _views: dict[tuple[str, int], _View] = field(default_factory=dict)
    _streams: int = 0

    def stream(self, key: tuple[str, int], render: Render) -> StreamingResponse:
        """Return the answer to one reader. Raises Problem if there are too many."""
        if self._streams >= MOST_STREAMS:
            raise Problem(503, f"{MOST_STREAMS} pages are live already", {"Retry-After": "30"})
        return StreamingResponse(self._events(key, render), media_type="text/event-stream")

    async def _events(self, key: tuple[str, int], render: Render) -> AsyncIterator[bytes]:
        view = self._views.setdefault(key, _View(render))
        view.readers += 1
        self._streams += 1
        sent: Fragments = {}
        try:
            yield b"retry: 3000\n\n"
            end = time.monotonic() + LASTS
            while time.monotonic() < end:
                try:
                    fragments = await view.look()
                except Problem:
                    return  # what the page showed is gone; loading it again says so
                changed = {name: text for name, text in fragments.items() if sent.get(name) != text}
                # Something goes out each time: only so is it noticed that nobody reads.
                yield b"data: " + json.dumps(changed).encode() + b"\n\n" if changed else b":\n\n"
                sent = fragments
                await asyncio.sleep(EVERY)
        finally:
            self._streams -= 1
            view.readers -= 1
            if not view.readers:
                self._views.pop(key, None)
