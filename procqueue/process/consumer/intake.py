"""What takes in: turns with the driver, and the few messages that are held and not begun.

A consumer takes as many messages as it can begin at once, and more only while that is fair to the others: as
many as its recent handling time says it will finish within a few milliseconds. What it holds longer behind
slow ones, the scheduler takes back (board.take_held); a message taken back is passed over here.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import msgspec

from procqueue.core.errors import DriverUnavailable, Gone, Unknown
from procqueue.core.message import Reservation
from procqueue.core.repairs import Repair
from procqueue.core.verdict import UNTOUCHED, Settlement
from procqueue.drivers.contract import Driver
from procqueue.process.board import AHEAD, Board
from procqueue.process.consumer.settle import Ledger
from procqueue.process.consumer.shares import Shares
from procqueue.process.consumer.standing import Standing
from procqueue.process.consumer.wake import Interrupts
from procqueue.process.log import Log

#: A consumer holds no more than it handles in so many seconds.
FAIR_SECONDS = 0.005
#: The scheduler is told at most so often that something is held.
_POKE_EVERY = 0.5


class Held(msgspec.Struct, frozen=True):
    """A reservation and its place on the board."""

    reservation: Reservation
    queue: int  # its number on the board
    slot: int
    now_ms: int  # the driver's clock …
    at: float  # … at this monotonic moment


@dataclass(slots=True)
class _Doubt:
    """Why the driver may know otherwise than we do of a queue, although nothing is wrong."""

    unanswered: bool = False  # an answer was lost: we may own what we never saw
    asked: set[int] = field(default_factory=set)  # handed in then: it may be settled
    passed: set[int] = field(default_factory=set)  # passed over, because the scheduler takes it back


class Pace:
    """How long messages took lately (exponentially weighted), and how many are fair to hold.

    `at_once`: how many run beside each other.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._seconds = FAIR_SECONDS * at_once

    def note(self, seconds: float) -> None:
        """Count one handled message. A slow one is believed at once, quick ones by and by."""
        weight = 0.5 if seconds > self._seconds else 0.1
        self._seconds += weight * (seconds - self._seconds)

    def fair(self) -> int:
        """Return how many messages may be taken in for one free place."""
        return max(1, min(AHEAD + 1, int(FAIR_SECONDS * self._at_once / max(self._seconds, 1e-9))))


class Intake:
    """The messages on their way into one consumer."""

    def __init__(
        self,
        driver: Driver,
        standing: Standing,
        queues: Sequence[str],
        shares: Shares,
        board: Board,
        ledger: Ledger,
        expect: Callable[[Held], None],
        running: Callable[[], int],
        rest: Callable[[], None],
        interrupts: Interrupts,
        poke: int,
        log: Log,
    ) -> None:
        self._driver = driver
        self._standing = standing
        self._queues = tuple(queues)
        self._shares = shares
        self._board = board
        self._ledger = ledger
        self._expect = expect  # writes the verdicts of what may end a run, before the claim says RUNNING
        self._running = running  # how many have begun elsewhere and are not over
        self._rest = rest  # calls off what `expect` has set up, before the driver is called
        self._interrupts = interrupts  # knows what is paused here
        self._poke_fd = poke
        self._poked = 0.0
        self._log = log
        self._held: deque[Held] = deque()
        self._begun: dict[str, set[int]] = {queue: set() for queue in queues}  # tickets, by queue
        # The slots of each queue that nothing is in, the next one last.
        self._free = [list(range(board.slots - 1, -1, -1)) for _ in self._queues]
        self._doubts: defaultdict[str, _Doubt] = defaultdict(_Doubt)  # by queue, until its next turn
        self._last: dict[str, int] = {}  # the largest ticket that we had in a queue
        self._there_is_more = False  # the last turn gave all that was asked for
        self.pace = Pace(board.slots - AHEAD)

    def next(self, room: int, places: int) -> Held | None:
        """Return the next message to run, settling what is finished on the way; None if there is none.

        `room`: how many may be taken in. `places`: how many could begin now, at least one. Raises
        DriverUnavailable, Gone, Unknown.
        """
        while True:
            if held := self.begin():
                return held
            if self._held:
                return None  # it has to be alone
            self._rest()
            if room < 1 or not self._refill(room, places):
                return None

    def begin(self) -> Held | None:
        """Return the next of those that are held, without the driver; None if there is none, or not now."""
        while self._held:
            if self._interrupts.paused:
                self.give_back(self._interrupts.paused)
                if not self._held:
                    break
            if self._held[0].reservation.counters.suspects and self._running():  # it runs alone (law D7)
                self._poke()
                break
            held = self._held.popleft()
            self._expect(held)
            one = held.reservation
            if self._board.claim(held.queue, held.slot, one.ticket):
                self._begun[one.queue].add(one.ticket)
                self._poke()
                return held
            self._pass_over(held)
        return None

    def ended(self, held: Held, settlement: Settlement) -> None:
        """Note how a run has ended. If the store has taken it from us meanwhile, nobody asks."""
        one = held.reservation
        begun = self._begun[one.queue]
        if one.ticket in begun:
            begun.discard(one.ticket)
            self._ledger.add(one.queue, settlement, held.slot)
        else:
            self._free[held.queue].append(held.slot)

    def stock(self, room: int) -> None:
        """While all places are taken: take in what is fair to hold, if there seems to be more.

        So that a place that becomes free does not wait for the driver. Raises as `next` does.
        """
        if self._there_is_more and not self._held and min(self.pace.fair() - 1, room) > 0:
            self._refill(room, 0)
            self._poke()

    def mind_pauses(self) -> None:
        """Give back what is held of the queues that are paused here."""
        if self._held and self._interrupts.paused:
            self.give_back(self._interrupts.paused)

    def settle(self) -> None:
        """Hand in all verdicts now."""
        self._rest()
        while queues := self._ledger.queues():
            for queue in queues:
                self._turn(queue, 0)

    def give_back(self, queues: Collection[str] | None = None) -> None:
        """Return what is held and not begun to the head, uncharged: all, or the messages of `queues`."""
        kept: deque[Held] = deque()
        while self._held:
            held = self._held.pop()
            one = held.reservation
            if queues is not None and (one.queue not in queues or one.is_notice):
                kept.appendleft(held)
            else:
                self._drop(held)
        self._held = kept

    def write_off(self) -> None:
        """Hand in what a queue still takes, and give up the rest: the store has forgotten whose it was.

        Raises DriverUnavailable; to be repeated then.
        """
        self.give_back()
        for queue in self._ledger.queues():
            try:
                self._turn(queue, 0)
            except Unknown:
                settlements = self._ledger.of(queue)
                begun = sum(one.verdict != UNTOUCHED for one in settlements)
                self._settled(queue, len(settlements))
                self._repaired(Repair.REFUSED, begun, queue)
                self._repaired(Repair.DROPPED, len(settlements) - begun, queue)
        for queue, tickets in self._begun.items():  # they go on, and it will not count
            self._repaired(Repair.REFUSED, len(tickets), queue)
            tickets.clear()

    def _drop(self, held: Held) -> None:
        one = held.reservation
        if self._board.drop(held.queue, held.slot, one.ticket):
            self._ledger.add(one.queue, Settlement(one.id, one.ticket, UNTOUCHED), held.slot)
        else:
            self._pass_over(held)

    def _pass_over(self, held: Held) -> None:
        self._doubts[held.reservation.queue].passed.add(held.reservation.ticket)
        self._free[held.queue].append(held.slot)

    def _refill(self, room: int, places: int) -> bool:
        """Take from the first queue whose turn it is and that has something; True if anything was taken."""
        self._standing.secure_tickets()
        take = min(places + self.pace.fair() - 1, room)
        order = self._shares.order()
        for place, queue in enumerate(order):
            for other in self._ledger.queues():
                if other != queue:
                    self._turn(other, 0)
            number = self._turn(queue, min(take, len(self._free[self._queues.index(queue)])))
            self._there_is_more = number == take
            if number:
                self._shares.took(queue, number, order[:place])
                return True
        return False

    def _turn(self, queue: str, take: int) -> int:
        settlements = self._ledger.of(queue)
        try:
            turn = self._driver.turn(
                queue, self._standing.name, settlements, take, notices_only=queue in self._interrupts.paused
            )
        except (Gone, Unknown):
            raise
        except DriverUnavailable:
            self._doubts[queue].unanswered = True
            self._doubts[queue].asked.update(one.ticket for one in settlements)
            self._standing.doubt()
            raise
        self._settled(queue, len(settlements))
        late = set(turn.refused) - self._board.settled_by_others(queue) if turn.refused else set()
        number = self._queues.index(queue)
        at = time.monotonic()
        free = self._free[number]
        for reservation in turn.taken:
            slot = free.pop()
            self._board.hold(number, slot, reservation.ticket)
            self._held.append(Held(reservation, number, slot, turn.now_ms, at))
        self._repaired(Repair.REFUSED, len(late - self._doubts[queue].asked), queue)
        alone = len(self._queues) == 1
        mine = len(self._held) if alone else sum(held.queue == number for held in self._held)
        mine += len(self._begun[queue])
        mine += len(self._ledger.tickets(queue))  # more than one call takes
        if late or turn.owned != mine:
            self._compare(queue, number)
        if turn.taken:
            self._last[queue] = turn.taken[-1].ticket
        self._doubts.pop(queue, None)
        return len(turn.taken)

    def _compare(self, queue: str, number: int) -> None:
        """Let the driver and us agree on what we own (law D13)."""
        begun = self._begun[queue]
        held = [one.reservation.ticket for one in self._held if one.queue == number]
        held += [*begun, *self._ledger.tickets(queue)]
        doubt = self._doubts[queue]
        owned = {one.ticket for one in self._driver.owned(queue, self._standing.name)}
        compared = self._driver.compare(queue, self._standing.name, held)
        lost = set(compared.lost)
        begun -= lost
        kept: deque[Held] = deque()
        for one in self._held:
            if one.queue != number or one.reservation.ticket not in lost:
                kept.append(one)
                continue
            self._free[number].append(one.slot)
            if self._board.is_taken(number, one.slot, one.reservation.ticket):
                lost.discard(one.reservation.ticket)  # by our scheduler, in good order
        self._held = kept
        last = self._last.get(queue, 0)  # what is newer than that came with an answer that was lost
        back = [one for one in owned.difference(held, doubt.passed) if one <= last or not doubt.unanswered]
        self._repaired(Repair.RETURNED, len(back), queue)
        self._repaired(Repair.DROPPED, len(lost), queue)

    def _settled(self, queue: str, number: int) -> None:
        self._free[self._queues.index(queue)] += self._ledger.settled(queue, number)

    def _repaired(self, kind: Repair, number: int, queue: str) -> None:
        if number:
            self._standing.repaired(kind, number, queue=queue)

    def _poke(self) -> None:
        """Tell the scheduler that something waits behind a running message, or to be settled after it."""
        if (now := time.monotonic()) - self._poked < _POKE_EVERY or not (self._held or self._ledger.queues()):
            return
        self._poked = now
        os.eventfd_write(self._poke_fd, 1)
