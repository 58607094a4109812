"""Taking back what is held and not begun, when the message before it turns out to be slow.

A consumer that has several messages in hand pokes the scheduler; from then on its board is looked at every
50 ms. Where nothing new has begun since the last look, what runs is slow: what is held behind it goes back to
the head, uncharged, for a consumer that has time; what was done before it is settled, so that not even the
loss of the whole host would run it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from procqueue.core.errors import Gone, Unknown
from procqueue.core.verdict import ACK, UNTOUCHED, Settlement, Verdict
from procqueue.drivers.contract import Driver
from procqueue.process.reclaim import Living, board_path
from procqueue.process.registration import name_of
from procqueue.process.view import NoBoard, View

#: After a poke we go on looking for so long; who still holds something pokes again.
_ALERT_SECONDS = 1.5


class TakeBack:
    """The eyes of the scheduler on the boards of the living."""

    def __init__(self, boards: str) -> None:
        self._folder = boards
        self._alert_until = float("inf")  # who came before may have left something half done
        self._open: dict[str, View] = {}
        self._ran: dict[str, set[int]] = {}  # what ran at the last look
        self._returned: dict[str, set[int]] = {}  # what was returned behind it

    def poked(self) -> None:
        """Note that a consumer has several messages in hand."""
        self._alert_until = max(self._alert_until, time.monotonic() + _ALERT_SECONDS)

    def look(self, driver: Driver, living: Mapping[str, Living]) -> bool:
        """Take back what is due; True if it is worth to look again soon."""
        if time.monotonic() > self._alert_until:
            self._ran.clear()
            self._returned.clear()
            return False
        calm_at, self._alert_until = self._alert_until, float("inf")  # until a look went well
        for one in living.values():
            self._look_at(driver, one)
        self._alert_until = min(calm_at, time.monotonic() + _ALERT_SECONDS)
        return True

    def take(self, driver: Driver, one: Living, queue: str) -> None:
        """Take back everything that a consumer holds of a queue and has not begun."""
        board = self._board(one.consumer)
        if board is not None and (taken := board.take_held(queue)):
            self._settle(
                driver, queue, name_of(one.consumer, board.registration), dict.fromkeys(taken, UNTOUCHED)
            )

    def forget(self, consumer: str) -> None:
        """Give back the board of a dead consumer."""
        self._ran.pop(consumer, None)
        self._returned.pop(consumer, None)
        board = self._open.pop(consumer, None)
        if board is not None:
            board.close()

    def _look_at(self, driver: Driver, one: Living) -> None:
        board = self._board(one.consumer)
        if board is None:
            return
        running = board.running_tickets()
        slow = running and running <= self._ran.get(one.consumer, set())
        self._ran[one.consumer] = running
        if not slow:
            return
        returned = self._returned.setdefault(one.consumer, set())
        for queue in board.queues:
            done = dict.fromkeys(board.done(queue), ACK)
            taken = dict.fromkeys(set(board.take_held(queue)) - returned, UNTOUCHED)
            if done or taken:
                self._settle(driver, queue, name_of(one.consumer, board.registration), done | taken)
                board.mark_settled(queue, done)
                returned |= taken.keys()

    def _settle(self, driver: Driver, queue: str, consumer: str, verdicts: dict[int, Verdict]) -> None:
        owned = [one for one in driver.owned(queue, consumer) if one.ticket in verdicts]
        settlements = [Settlement(one.id, one.ticket, verdicts[one.ticket]) for one in owned]
        try:
            driver.turn(queue, consumer, settlements, 0)
        except (Gone, Unknown):
            pass  # it died meanwhile: the reclaim returns them

    def _board(self, consumer: str) -> View | None:
        board = self._open.get(consumer)
        if board is None:
            try:
                board = self._open[consumer] = View.open(board_path(self._folder, consumer))
            except (NoBoard, OSError):
                return None
        return board
