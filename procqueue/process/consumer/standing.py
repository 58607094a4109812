"""Where a consumer stands with its store: under which name it is known there, and what has gone wrong.

A store may lose its memory, or come back older than it was. Then the consumer registers anew, hands in how
far the tickets had come, and tells the master what was lost or repaired (laws D5, D13).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from procqueue.core.repairs import Repair
from procqueue.drivers.contract import Driver
from procqueue.process.board import Board
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.process.registration import last_tickets, name_of


class Standing:
    """One consumer at its store. `name` is what the store knows it by.

    `limits`: of each queue that it serves, how many messages may run at once over all hosts (0: any number).
    """

    def __init__(
        self,
        driver: Driver,
        consumer: str,
        host: str,
        limits: Mapping[str, int],
        board: Board,
        lifeline: Lifeline,
        log: Log,
    ) -> None:
        self.name = consumer
        self._driver = driver
        self._consumer = consumer
        self._host = host
        self._limits = limits
        self._queues = tuple(limits)
        self._board = board
        self._lifeline = lifeline
        self._log = log
        self._doubtful = False  # the store was away, or forgot us: its tickets may have gone back too

    def register(self) -> None:
        """Become known in all queues. Raises Gone."""
        for queue, max_running in self._limits.items():
            self._driver.register(queue, self.name, self._host, max_running)

    def leave(self) -> None:
        """Be known no more; what is still owned goes back to the head."""
        for queue in self._queues:
            self._driver.leave(queue, self.name)

    def register_anew(self) -> None:
        """Become known under a name that was never used. Raises Gone; after any error it can be repeated."""
        self.leave()  # some of the queues may still know the old one
        number = self._board.registration + 1
        self._board.set_registration(number)  # before the store hears of it: the scheduler compares
        self.name = name_of(self._consumer, number)
        self.register()
        self._doubtful = True
        self.repaired(Repair.REGISTERED_ANEW, 1, name=self.name)

    def doubt(self) -> None:
        """Note that the store was away: it may be another one, or the same in an older state."""
        self._doubtful = True

    def secure_tickets(self) -> None:
        """If in doubt, let tickets go on where they were; before anything is reserved."""
        if self._doubtful or not self._driver.is_connected():
            on_boards = last_tickets(os.path.dirname(self._board.path), self._queues)
            for queue in self._queues:
                if last := max(on_boards.get(queue, 0), self._board.last_ticket(queue)):
                    self._driver.raise_tickets(queue, last)
            self._doubtful = False

    def repaired(self, kind: Repair, number: int, **facts: object) -> None:
        """Tell the master and the log what was noticed and put right."""
        self._log.warning(kind, number=number, **facts)
        self._lifeline.say("repaired", kind=kind, number=number)
