"""Cancelling what runs on this host: the scheduler sees the marks of the store, each second.

What is held and not begun is taken back, and the store removes it. Who runs one hears SIGURG and finds the
ticket on its board; what has not ended kill_after later is ended as past a deadline (ending.py): the board
says since when. The store removes the message with its settlement, whatever that says (law D4).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from procqueue.core.settings.model import Settings
from procqueue.drivers.contract import Driver
from procqueue.process import kernel
from procqueue.process.log import Log
from procqueue.process.reclaim import Living, board_path
from procqueue.process.registration import name_of
from procqueue.process.takeback import TakeBack
from procqueue.process.view import NoBoard, View


class Cancels:
    """Carries out the marks of the store on the consumers of this host."""

    def __init__(
        self, settings: Settings, boards: str, living: Mapping[str, Living], take_back: TakeBack, log: Log
    ) -> None:
        self._settings = settings
        self._boards = boards
        self._living = living
        self._take_back = take_back
        self._log = log

    def look(self, driver: Driver, queue: str) -> None:
        """Reach for everything that is to be cancelled in a queue."""
        ids = driver.cancelling(queue)
        for one in list(self._living.values()) if ids else ():
            if queue in one.queues:
                self._cancel(driver, queue, one, ids)

    def _cancel(self, driver: Driver, queue: str, one: Living, ids: frozenset[str]) -> None:
        try:
            board = View.open(board_path(self._boards, one.consumer))
        except NoBoard:
            return
        try:
            owned = driver.owned(queue, name_of(one.consumer, board.registration))
            tickets = {each.ticket: each.id for each in owned if each.id in ids}
            if not tickets:
                return
            self._take_back.take(driver, one, queue)
            kill_at = int((time.monotonic() + self._settings.queues[queue].kill_after) * 1000)
            for ticket, id in tickets.items():
                if board.cancel(queue, ticket, kill_at):
                    self._log.info("cancel", queue=queue, id=id, consumer=f"{one.pool} {one.pid}")
                if board.is_cancelled(queue, ticket):
                    _tell(one)
        finally:
            board.close()


def _tell(one: Living) -> None:
    """Each second again: it may have come before the handler began, or while it stood in a shield."""
    if one.start_time is not None and kernel.start_time_of(one.pid) == one.start_time:
        try:
            os.kill(one.pid, signal.SIGURG)
        except ProcessLookupError:
            pass
