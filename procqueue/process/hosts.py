"""Hosts: this one beats in every queue it serves, watches the others, and takes over from the dead.

Within a host the master knows who lives; between hosts there is only the store (law D6). core/watch.py
judges, by our own wake-ups and no clock; the store buries whoever still stands where we saw it stand; then
what its consumers owned goes back, one message after the other. Who was buried and wakes up gets Gone.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from procqueue.core.errors import DriverError, DriverUnavailable, Gone
from procqueue.core.repairs import Repair
from procqueue.core.watch import Watch, beat_interval
from procqueue.drivers.contract import Beat, Beats, Driver
from procqueue.process.log import Log
from procqueue.process.reclaim import reclaim_lost


@dataclass(slots=True)
class _Burial:
    """A dead host of one queue whose consumers are not all reclaimed yet."""

    queue: str
    host: str
    name: str
    consumers: list[str]
    messages: int = 0  # given back so far


class Hosts:
    """The scheduler's side of law D6.

    `alive` is called whenever something was done, for who watches us; `apart` keeps what is wrong with one
    queue from silencing this host in the others.
    """

    def __init__(
        self,
        host: str,
        application: str,
        queues: Sequence[str],
        once: Container[str],
        timeout: float,
        alive: Callable[[], None],
        apart: Callable[[str], AbstractContextManager[None]],
        repaired: Callable[[Repair, int], None],
        log: Log,
    ) -> None:
        self._host = host
        self._name = f"{application}@{socket.gethostname()}"
        self._once = once
        self._interval = beat_interval(timeout)
        self._watches = {queue: Watch(self._interval, timeout) for queue in queues}
        self._burials: deque[_Burial] = deque()
        self._beat_at = 0.0
        self._mine: dict[str, int] = {}  # how far our own beat had come
        self._first: dict[str, str] = {}  # the lowest identity among the hosts of a queue
        self._alive = alive
        self._apart = apart
        self._repaired = repaired
        self._log = log
        self.disowned = False  # others have declared this host dead

    def turn(self, driver: Driver) -> None:
        """Do what is due; nothing, and for next to nothing, if nothing is. Raises DriverError."""
        self._alive()
        if self.disowned:
            return
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + self._interval
            self._beat_all(driver)
        while self._burials and time.monotonic() < self._beat_at:
            with self._apart(f"hosts of {self._burials[0].queue}"):
                self._take_over(driver, self._burials[0])

    def seconds_left(self) -> float:
        """Return how long nothing is due."""
        if self.disowned:
            return float("inf")
        return 0.0 if self._burials else max(0.0, self._beat_at - time.monotonic())

    def failed(self) -> None:
        """Note that the driver is, or was, away: who was silent meanwhile may have had no other choice."""
        self._beat_at = 0.0  # nobody should take us for dead because we were slow to come back
        for watch in self._watches.values():
            watch.failed()

    def leave(self, driver: Driver) -> None:
        """Tell the others not to watch this host any more. If that fails they bury it: nothing is lost."""
        try:
            for queue in () if self.disowned else self._watches:
                before = self._mine.get(queue, 0)
                beats = driver.beat(queue, self._host, self._name)
                if self._own(beats) == before + 1:  # else the next master's scheduler beats already
                    driver.leave_host(queue, self._host)
        except DriverError as error:
            self._log.warning("left_unnoticed", text=str(error))

    def _beat_all(self, driver: Driver) -> None:
        for queue in self._watches:
            with self._apart(f"hosts of {queue}"):
                self._beat(driver, queue)
            self._alive()
            if self.disowned:
                return

    def _beat(self, driver: Driver, queue: str) -> None:
        try:
            beats = driver.beat(queue, self._host, self._name)
        except Gone as error:
            self._log.warning("disowned", queue=queue, text=str(error))
            self.disowned = True
            return
        except DriverError:
            self._watches[queue].failed()
            raise
        self._note_own(queue, self._own(beats))
        self._first[queue] = min((one.host for one in beats.hosts), default=self._host)
        others = {one.host: one for one in beats.hosts if one.host != self._host}
        values = {host: one.value for host, one in others.items()}
        # The moment after the answer: had it taken long, we would have slept.
        for host in self._watches[queue].saw(time.monotonic(), values, beats.server):
            if not any(one.queue == queue and one.host == host for one in self._burials):
                self._bury(driver, queue, others[host])

    def is_first(self, queue: str) -> bool:
        """Return whether this host is the one that speaks for all hosts of a queue."""
        return not self.disowned and self._first.get(queue, self._host) == self._host

    def _own(self, beats: Beats) -> int:
        return next((one.value for one in beats.hosts if one.host == self._host), 0)

    def _note_own(self, queue: str, value: int) -> None:
        """See whether the store remembers how often we have beaten."""
        known = self._mine.get(queue, 0)
        self._mine[queue] = value
        if value <= known:
            self._log.warning("went_back", queue=queue, beat=value, known=known)
            self._repaired(Repair.WENT_BACK, 1)

    def _bury(self, driver: Driver, queue: str, dead: Beat) -> None:
        consumers = driver.bury(queue, dead.host, dead.value)
        if consumers is not None:
            self._log.warning(
                "host_lost", queue=queue, host=dead.host, name=dead.name, consumers=len(consumers)
            )
            self._burials.append(_Burial(queue, dead.host, dead.name, consumers))

    def _take_over(self, driver: Driver, burial: _Burial) -> None:
        """Give back what one consumer of a dead host owned; after the last, forget the host."""
        self._burials.popleft()  # if the store refuses, the host is found again after another host_timeout
        try:
            self._take_one(driver, burial)
        except DriverUnavailable:
            self._burials.appendleft(burial)
            raise
        self._alive()

    def _take_one(self, driver: Driver, burial: _Burial) -> None:
        if not burial.consumers:
            driver.leave_host(burial.queue, burial.host)
            self._log.info("taken_over", queue=burial.queue, host=burial.host, messages=burial.messages)
            return
        burial.messages += reclaim_lost(
            driver, burial.queue, burial.consumers[0], burial.name or burial.host,
            before=burial.messages, begins_once=burial.queue in self._once, log=self._log,
        )  # fmt: skip
        burial.consumers.pop(0)
        self._burials.appendleft(burial)
