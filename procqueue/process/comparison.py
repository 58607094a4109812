"""The comparison: what the store knows of this host, against what is true (laws S6, D13).

Every 10 s, and after each time that the store was away, the scheduler first lists the consumers that the
store knows for this host, *then* asks the master who lives: a consumer has its id before its fork. Whoever is
not among the living is reclaimed; so is a registration that its consumer has given up, which an older copy of
the store may hold again. And a store that went back does not give tickets again that were given before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from procqueue.core.fate import Cause
from procqueue.core.repairs import Repair
from procqueue.drivers.contract import Driver
from procqueue.process.log import Log
from procqueue.process.reclaim import Death, board_path, give_back
from procqueue.process.registration import last_tickets, split_name
from procqueue.process.view import NoBoard, View

#: Seconds between two comparisons.
COMPARE_EVERY = 10.0


class Comparison:
    """The scheduler's side. `repaired` hears what was found; `apart` keeps one queue from the others."""

    def __init__(
        self,
        queues: Sequence[str],
        host: str,
        boards: str,
        repaired: Callable[[Repair, int], None],
        apart: Callable[[str], AbstractContextManager[None]],
        log: Log,
    ) -> None:
        self._queues = queues
        self._host = host
        self._boards = boards
        self._repaired = repaired
        self._apart = apart
        self._log = log
        self._at = 0.0
        self._last: dict[str, int] = {}  # the largest ticket ever seen on a board of ours
        self._reclaimed: set[str] = set()  # since the last listing
        self._given_up: set[tuple[str, str]] = set()  # queue and name of registrations

    @property
    def is_due(self) -> bool:
        """True if it is time to list again."""
        return time.monotonic() >= self._at

    def soon(self) -> None:
        """Note that the store is, or was, away: what happened meanwhile may have been lost."""
        self._at = 0.0

    def known(self, driver: Driver) -> dict[str, Sequence[str]]:
        """Return whom the store knows of this host, by queue; let tickets go on. Raises DriverError."""
        self._at = time.monotonic() + COMPARE_EVERY
        self._reclaimed.clear()
        for queue, last in last_tickets(self._boards, self._queues).items():
            self._last[queue] = max(last, self._last.get(queue, 0))
        known: dict[str, Sequence[str]] = {}
        for queue in self._queues:
            with self._apart(queue):
                if last := self._last.get(queue, 0):
                    driver.raise_tickets(queue, last)
                known[queue] = driver.consumers(queue, self._host)
        return known

    def reclaimed(self, consumer: str) -> None:
        """Note that a consumer was reclaimed: the list that is on its way may still name it."""
        self._reclaimed.add(consumer)

    def found_dead(
        self, known: dict[str, Sequence[str]], living: Collection[str], told: Collection[str]
    ) -> list[Death]:
        """Return those who do not live, of the names in the list; keep in mind what was given up.

        `living`: ids of consumers. `told`: those of whose death we know. Nobody saw how the others died.
        """
        names: dict[str, list[str]] = {}
        for queue, found in known.items():
            for name in found:
                names.setdefault(name, []).append(queue)
        dead = []
        for name, queues in names.items():
            consumer, number = split_name(name)
            if consumer in living:
                if number < self._present(consumer):
                    self._given_up.update((queue, name) for queue in queues)
            elif not {consumer, name} & {*told, *self._reclaimed}:
                dead.append(Death(name, tuple(queues), Cause.UNWATCHED))
        if dead:
            self._log.warning("compared", dead=",".join(death.consumer for death in dead))
            self._repaired(Repair.RECLAIMED, len(dead))
        return dead

    def settle(self, driver: Driver) -> None:
        """Give back what registrations own that were given up. Raises DriverError."""
        for queue, name in sorted(self._given_up):
            with self._apart(queue):
                if number := give_back(driver, self._boards, queue, name, self._log):
                    self._repaired(Repair.RETURNED, number)
            self._given_up.discard((queue, name))

    def _present(self, consumer: str) -> int:
        try:
            board = View.open(board_path(self._boards, consumer))
        except (NoBoard, OSError):
            return 1
        number = board.registration
        board.close()
        return number
