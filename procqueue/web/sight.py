"""What the master says of the whole, asked once a second however many look; and the last that it said.

Sixty pages cost the master no more than one. When it does not answer, the last figures stay, with their age.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from procqueue.process.ask import NoMaster, ask

#: Seconds for which an answer is fresh, and that the master gets for one.
FRESH, PATIENCE = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The last status document ({} if there was none). `age`: seconds since; `wrong`: why it is not newer."""

    status: dict[str, Any]
    age: float = 0.0
    wrong: str = ""


@dataclass(slots=True)
class Sight:
    """The eyes of one process."""

    state_dir: str
    _status: dict[str, Any] = field(default_factory=dict)
    _answered_at: float = 0.0
    _asked_at: float = float("-inf")
    _wrong: str = ""
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Seen:
        """Return how things stand, at most a second old if the master answers."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= FRESH:
                await self._ask()
        age = time.monotonic() - self._answered_at if self._status else 0.0
        return Seen(self._status, age, self._wrong)

    async def health(self) -> dict[str, Any]:
        """Return the health document. Raises NoMaster, TimeoutError."""
        return await asyncio.to_thread(ask, self.state_dir, "health", patience=PATIENCE)

    async def _ask(self) -> None:
        try:
            answer = await asyncio.to_thread(ask, self.state_dir, "status", patience=PATIENCE)
            if "error" in answer:
                raise NoMaster(str(answer["error"].get("message")))
            self._status, self._wrong = answer, ""
            self._answered_at = time.monotonic()
        except NoMaster as error:
            self._wrong = str(error)
        except TimeoutError:
            self._wrong = f"the master has not answered for {PATIENCE:g} s"
        finally:
            self._asked_at = time.monotonic()
