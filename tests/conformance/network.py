"""A bad network between a producer and a store: answers get lost, requests come late, or never.

What was sent on one connection is delivered in its order; what is left of a broken connection may still be
delivered at any later time, as TCP does it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence

from procqueue.core.errors import DriverUnavailable, Full, Gap, UnknownSession
from procqueue.drivers.contract import Driver, Entry, Lane, Pushed

#: What can become of a request; "lost": it is still somewhere.
FATES = ("answered", "answer lost", "lost", "refused", "away")

Request = tuple[str, Sequence[Entry], Lane]


class Network:
    """The store as a producer sees it. `fate` says what becomes of the next request, `cut` whether the
    connection breaks while one is sent ahead of an answer."""

    def __init__(
        self, driver: Driver, fate: Callable[[], str], cut: Callable[[], bool] = lambda: False
    ) -> None:
        self._driver = driver
        self._fate = fate
        self._cut = cut
        self._sent: deque[Request] = deque()  # on the present connection, not delivered
        self._connection = 0
        self.left: list[deque[Request]] = []  # of broken connections

    def push(
        self, queue: str, entries: Sequence[Entry], lane: Lane | None = None, *, inside: bool = False
    ) -> list[Pushed]:
        assert lane and not inside
        self._break()  # as a connection with unread answers is
        return self._send(queue, entries, lane)()

    def push_ahead(
        self, queue: str, entries: Sequence[Entry], lane: Lane, *, inside: bool = False
    ) -> Callable[[], list[Pushed]]:
        assert not inside
        if self._cut():
            self._break()
            raise _unavailable(sent=False)
        return self._send(queue, entries, lane)

    def _send(self, queue: str, entries: Sequence[Entry], lane: Lane) -> Callable[[], list[Pushed]]:
        self._sent.append((queue, entries, lane))
        connection = self._connection

        def answer() -> list[Pushed]:
            if connection != self._connection:
                raise _unavailable(sent=True)
            match self._fate():
                case "answered":
                    return self._driver.push(*self._sent.popleft())
                case "answer lost":
                    self._deliver(self._sent)
                    self._break()
                    raise _unavailable(sent=True)
                case "lost":
                    self._break()
                    raise _unavailable(sent=True)
                case "refused":
                    self._sent.popleft()
                    raise Full("the store is full")
                case _:
                    self._sent.popleft()
                    raise _unavailable(sent=False)

        return answer

    def deliver_late(self, connection: int) -> None:
        """Deliver the next request that is left of one broken connection."""
        if self.left:
            requests = self.left[connection % len(self.left)]
            self._deliver(requests)
            if not requests:
                self.left.remove(requests)

    def close(self) -> None:
        self._break()

    def _deliver(self, requests: deque[Request]) -> None:
        with contextlib.suppress(Gap, UnknownSession):
            self._driver.push(*requests.popleft())

    def _break(self) -> None:
        self._connection += 1
        if self._sent:
            self.left.append(self._sent)
            self._sent = deque()


def _unavailable(*, sent: bool) -> DriverUnavailable:
    error = DriverUnavailable("the network is bad")
    error.sent = sent
    return error
