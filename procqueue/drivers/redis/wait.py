"""Waiting for messages: on a connection of its own, beside any other descriptors.

BZPOPMIN carries no data, only the marker that a push sets: what a dying client swallows is set again by the
scheduler within a second. An unanswered command is kept for the next wait, and withdrawn when the consumer
takes messages: a consumer at work would else get the marker that an idle one waits for.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Sequence

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.drivers.redis.connection import Link

#: The server answers at the latest then, so that a dead one is noticed.
BLOCK_SECONDS = 5


class Waiter:
    """The connection that only waits, and the command on its way, if any."""

    def __init__(self, link: Link, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._asked: tuple[str, ...] = ()  # the keys of the command that has no answer yet
        self._answer_by = 0.0  # monotonic

    def wait(self, keys: Sequence[str], seconds: float, also: Sequence[int]) -> bool:
        """Sleep until a marker came (True), something of `also` is readable or the time is over (False)."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self._ask(tuple(keys))
                is_answered, is_disturbed = self._sleep(deadline, also)
                if is_answered and self._take_answer() is not None:
                    return True
                if is_disturbed or time.monotonic() >= deadline:
                    return False
        except BaseException:
            self._forget()
            raise

    def waits_for(self, keys: Sequence[str]) -> bool:
        """False if the command on its way, if any, is about other keys."""
        return not self._asked or self._asked == tuple(keys)

    def withdraw(self) -> str | None:
        """Take the command back. Returns the key whose marker had come for us meanwhile, to be set again."""
        if not self._asked:
            return None
        answer = None
        if self._link.is_open and self._link.is_readable():
            with contextlib.suppress(DriverError):
                answer = self._take_answer()
        self._forget()
        return None if answer is None else str(answer[0], "utf-8")

    def close(self) -> None:
        """Close the connection, and with it what it waits for. Never raises."""
        self._asked = ()
        self._link.close()

    def _ask(self, keys: tuple[str, ...]) -> None:
        if self._asked == keys and self._link.is_open:
            return
        self._forget()
        if not keys:
            return
        self._link.send(b"BZPOPMIN", *keys, BLOCK_SECONDS)
        self._asked, self._answer_by = keys, time.monotonic() + BLOCK_SECONDS + self._timeout

    def _sleep(self, deadline: float, also: Sequence[int]) -> tuple[bool, bool]:
        poll = select.poll()
        ours = self._link.fileno() if self._asked else -1
        if self._asked:
            poll.register(ours, select.POLLIN)
        for descriptor in also:
            poll.register(descriptor, select.POLLIN)
        now = time.monotonic()
        until = min(deadline, self._answer_by) if self._asked else deadline
        ready = {fd for fd, _ in poll.poll(max(0.0, until - now) * 1000)}
        if self._asked and not ready and time.monotonic() >= self._answer_by:
            raise DriverUnavailable(f"Redis at {self._link.where}: no answer to a wait")
        return ours in ready, bool(ready - {ours})

    def _take_answer(self) -> list[bytes] | None:
        """Return [key, marker, score], or None if the server's time was over."""
        self._asked = ()
        answer: list[bytes] | None = self._link.read()
        return answer

    def _forget(self) -> None:
        if self._asked:
            self.close()
