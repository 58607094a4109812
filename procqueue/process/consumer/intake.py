"""What takes in: turns with the driver, and the few messages that are held and not begun.

A consumer takes several messages at once only while that is fair to the others: as many as its recent
handling time says it will finish within a few milliseconds. What it holds longer behind a slow one, the
scheduler takes back (board.take_held); a message taken back is passed over here.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from procqueue.core.errors import DriverUnavailable, Gone, Unknown
from procqueue.core.message import Reservation
from procqueue.core.verdict import UNTOUCHED, Settlement
from procqueue.drivers.contract import Driver
from procqueue.process.board import SLOTS, Board
from procqueue.process.consumer.settle import Ledger
from procqueue.process.log import Log

#: A consumer holds no more than it handles in so many seconds.
FAIR_SECONDS = 0.005
#: The scheduler is told at most so often that something is held.
_POKE_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation and its place on the board."""

    reservation: Reservation
    queue: int  # its number on the board
    slot: int
    now_ms: int  # the driver's clock …
    at: float  # … at this monotonic moment


class Pace:
    """How long messages took lately (exponentially weighted), and how many are fair to hold."""

    def __init__(self) -> None:
        self._seconds = FAIR_SECONDS

    def note(self, seconds: float) -> None:
        """Count one handled message. A slow one is believed at once, quick ones by and by."""
        weight = 0.5 if seconds > self._seconds else 0.1
        self._seconds += weight * (seconds - self._seconds)

    def fair(self) -> int:
        """Return how many messages may be held."""
        return max(1, min(SLOTS, int(FAIR_SECONDS / max(self._seconds, 1e-9))))


class Intake:
    """The messages on their way into one consumer."""

    def __init__(
        self,
        driver: Driver,
        consumer: str,
        queues: Sequence[str],
        board: Board,
        ledger: Ledger,
        expect: Callable[[Held], None],
        rest: Callable[[], None],
        poke: int,
        log: Log,
    ) -> None:
        self._driver = driver
        self._consumer = consumer
        self._queues = tuple(queues)
        self._board = board
        self._ledger = ledger
        self._expect = expect  # writes the verdicts of what may end a run, before the claim says RUNNING
        self._rest = rest  # calls off what `expect` has set up, before the driver is called
        self._poke_fd = poke
        self._poked = 0.0
        self._log = log
        self._held: deque[Held] = deque()
        self._unsure = False  # an answer was lost, or something taken back: we may own more than we hold
        self.pace = Pace()

    def next(self, room: int) -> Held | None:
        """Return the next message to run, settling what is finished on the way; None if there is none.

        `room`: how many may be taken in. Raises DriverUnavailable, Gone, Unknown.
        """
        while True:
            while self._held:
                held = self._held.popleft()
                self._expect(held)
                if self._board.claim(held.queue, held.slot, held.reservation.ticket):
                    self._poke()
                    return held
                self._unsure = True
            self._rest()
            if room < 1 or not self._refill(room):
                return None

    def settle(self) -> None:
        """Hand in all verdicts now."""
        self._rest()
        for queue in self._ledger.queues():
            self._turn(queue, 0)

    def give_back(self) -> None:
        """Return what is held and not begun to the head, uncharged."""
        while self._held:
            held = self._held.pop()
            if self._board.drop(held.queue, held.slot, held.reservation.ticket):
                one = held.reservation
                self._ledger.add(one.queue, Settlement(one.id, one.ticket, UNTOUCHED))

    def _refill(self, room: int) -> bool:
        """Take from the first queue that has something; True if anything was taken."""
        take = min(self.pace.fair(), room)
        for queue in self._queues:
            for other in self._ledger.queues():
                if other != queue:
                    self._turn(other, 0)
            if self._turn(queue, take):
                return True
        return False

    def _turn(self, queue: str, take: int) -> bool:
        settlements = self._ledger.of(queue)
        try:
            turn = self._driver.turn(queue, self._consumer, settlements, take)
        except (Gone, Unknown):
            raise
        except DriverUnavailable:
            self._unsure = True
            raise
        self._ledger.settled(queue)
        late = set(turn.refused) - self._board.settled_by_others(queue) if turn.refused else set()
        number = self._queues.index(queue)
        at = time.monotonic()
        for slot, reservation in enumerate(turn.taken):
            self._board.hold(number, slot, reservation.ticket)
            self._held.append(Held(reservation, number, slot, turn.now_ms, at))
        if late and not self._unsure:
            self._log.warning("late_settlements", queue=queue, tickets=len(late))
        mine = sum(held.queue == number for held in self._held)
        if late or turn.owned != mine:
            self._compare(queue, number)
        self._unsure = False
        return bool(turn.taken)

    def _compare(self, queue: str, number: int) -> None:
        """Let the driver and us agree on what we own (law D13)."""
        held = [one.reservation.ticket for one in self._held if one.queue == number]
        compared = self._driver.compare(queue, self._consumer, held)
        lost = set(compared.lost)
        self._held = deque(
            one for one in self._held if one.queue != number or one.reservation.ticket not in lost
        )
        if compared.returned or lost:
            say = self._log.debug if self._unsure else self._log.warning
            say("compared", queue=queue, returned=compared.returned, lost=len(lost))

    def _poke(self) -> None:
        """Tell the scheduler that something waits behind a running message, or to be settled after it."""
        if not (self._held or self._ledger.queues()) or (now := time.monotonic()) - self._poked < _POKE_EVERY:
            return
        self._poked = now
        os.eventfd_write(self._poke_fd, 1)
