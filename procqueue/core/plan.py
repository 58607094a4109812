"""The supervision plan: one pure function from what is wanted and what is to what must be done (law S1).

First start, crash, limit, scale, reload, rolling restart and stop are one road: wanted and actual differ,
so act. Nothing here reads a clock or touches a process; the answer also says when to ask again. Each pass
may be repeated at any time: once an action's event is in the book, the action is not asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from procqueue.core.book import Book, Child, Life, Reason

#: After a soft stop of the whole, the child that leaves last gets so long to settle what the others left.
LAST_GRACE = 10.0


@dataclass(frozen=True, slots=True)
class Pool:
    """What is wanted of one kind of child: the consumers of a queue, or the scheduler.

    `last`: it is needed until all others are gone. Times are seconds.
    """

    name: str
    count: int
    surge: int = 1
    generation: int = 1
    start_timeout: float = 30.0
    start_seconds: float = 1.0
    grace: float = 25.0
    last: bool = False


class Phase(StrEnum):
    """What is wanted of the whole."""

    RUN = "run"
    STOP = "stop"  # soft
    KILL = "kill"  # hard


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that is wanted."""

    pools: tuple[Pool, ...]
    phase: Phase = Phase.RUN


@dataclass(frozen=True, slots=True)
class Fork:
    """Make a child."""

    pool: str
    index: int
    generation: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell a child to finish what it runs and to leave, by `stop_by` (monotonic seconds)."""

    id: str
    reason: Reason
    stop_by: float


@dataclass(frozen=True, slots=True)
class Kill:
    """End a child and its process group now."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Prove:
    """Note that this generation stands: from now on it may replace the others."""

    pool: str
    generation: int


Action = Fork | Stop | Kill | Prove


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to ask again at the latest (None: only when something happens)."""

    actions: tuple[Action, ...]
    wake_at: float | None
    finished: bool = False


def decide(wanted: Wanted, book: Book, now: float) -> Decision:
    """Return what must be done so that what is becomes what is wanted."""
    known = {pool.name for pool in wanted.pools}
    others_left = any(c.pool not in known or not _is_last(wanted, c) for c in book.children.values())
    actions: list[Action] = []
    for pool in wanted.pools:
        actions += _kills(pool, book, now)
        if wanted.phase is Phase.RUN:
            actions += _running(pool, book, now)
        elif pool.last:
            actions += () if others_left else _stops(pool, book, now + LAST_GRACE)
        elif wanted.phase is Phase.STOP:
            actions += _stops(pool, book, now + pool.grace)
        else:
            actions += [Kill(c.id, Reason.STOP) for c in book.of(pool.name) if not c.killed]
    for child in book.children.values():
        if child.pool not in known and child.life is not Life.STOPPING:
            actions.append(Stop(child.id, Reason.SCALE, now + 25.0))
    finished = wanted.phase is not Phase.RUN and not book.children
    return Decision(tuple(_once(actions)), _wake_at(wanted, book, now), finished)


def _is_last(wanted: Wanted, child: Child) -> bool:
    return any(pool.last and pool.name == child.pool for pool in wanted.pools)


def _once(actions: list[Action]) -> Iterator[Action]:
    """Drop a stop of a child that is killed in the same pass, and a second kill of it."""
    killed: set[str] = set()
    for action in sorted(actions, key=lambda a: not isinstance(a, Kill)):
        if isinstance(action, Kill | Stop) and action.id in killed:
            continue
        if isinstance(action, Kill):
            killed.add(action.id)
        yield action


def _kills(pool: Pool, book: Book, now: float) -> Iterator[Kill]:
    for child in book.of(pool.name):
        if child.killed:
            continue
        if child.over_memory:
            yield Kill(child.id, Reason.MEMORY_HARD)
        elif child.overdue:
            yield Kill(child.id, Reason.TIMEOUT)
        elif child.stop_by is not None and now >= child.stop_by:
            yield Kill(child.id, child.leaving or Reason.STOP)
        elif _start_deadline(pool, child) <= now:
            yield Kill(child.id, Reason.START_TIMEOUT)


def _start_deadline(pool: Pool, child: Child) -> float:
    if child.life is not Life.STARTING or child.loaded or not pool.start_timeout:
        return float("inf")
    return child.started + pool.start_timeout


def _stops(pool: Pool, book: Book, stop_by: float) -> list[Stop]:
    return [
        Stop(c.id, Reason.STOP, stop_by) for c in book.of(pool.name) if c.stop_by is None and not c.killed
    ]


@dataclass(frozen=True, slots=True)
class _Roster:
    """The children of a pool that were not told to go, sorted by what is to become of them."""

    staff: list[Child]  # all but the canaries
    old: list[Child]  # of the staff: to be replaced
    canaries: list[Child]  # of a generation that is not proved yet: nothing is replaced before it is
    trusted: int  # the generation that replaces the dead

    @property
    def young(self) -> list[Child]:
        return [c for c in self.staff if c not in self.old]


def _roster(pool: Pool, book: Book, proved: int | None) -> _Roster:
    trusted = pool.generation if proved is None else proved
    unproved = trusted != pool.generation
    alive = [c for c in book.of(pool.name) if c.life is not Life.STOPPING]
    canaries = [c for c in alive if unproved and c.generation == pool.generation]
    staff = [c for c in alive if c not in canaries]
    old = [c for c in staff if c.spent is not None or (not unproved and c.generation != trusted)]
    return _Roster(staff, old, canaries, trusted)


def _running(pool: Pool, book: Book, now: float) -> Iterator[Action]:
    proved = book.proved.get(pool.name)
    if proved != pool.generation and _has_stood(pool, book, now):
        yield Prove(pool.name, pool.generation)
        proved = pool.generation
    roster = _roster(pool, book, proved)
    yield from _surplus(pool, roster, now)
    if now >= book.pulse(pool.name).not_before:
        yield from _missing(pool, roster)


def _has_stood(pool: Pool, book: Book, now: float) -> bool:
    return any(
        c.generation == pool.generation
        and c.ready is not None
        and (now - c.ready >= pool.start_seconds or c.spent is not None)
        for c in book.of(pool.name)
    )


def _surplus(pool: Pool, roster: _Roster, now: float) -> Iterator[Stop]:
    """Tell those to leave whose place is taken: first who is to be replaced, then who is too many."""
    ready = [c for c in roster.staff if c.life is Life.READY]
    starting = [c for c in roster.staff if c.life is Life.STARTING]
    spare = len(ready) - pool.count
    if pool.surge == 0 and roster.old and not starting and spare == 0:
        spare = 1  # no room for a successor beside it: it makes place first
    replaced = sorted((c for c in roster.old if c in ready), key=lambda c: (c.spent is None, c.started))
    scaled = sorted((c for c in roster.young if c in ready), key=lambda c: -c.index)
    leaving = (replaced + scaled[: max(0, len(roster.young) - pool.count)])[: max(0, spare)]
    for child in leaving:
        yield Stop(child.id, _why(pool, child), now + pool.grace)
    room = pool.count + (pool.surge if roster.old else 0)
    too_many = len(roster.staff) - len(leaving) - room
    never = starting[::-1][: max(0, too_many)] + (roster.canaries if pool.count == 0 else [])
    for child in never:
        yield Stop(child.id, Reason.SCALE, now + pool.grace)


def _why(pool: Pool, child: Child) -> Reason:
    if child.spent is not None:
        return child.spent
    return Reason.SCALE if child.generation == pool.generation else Reason.RELOAD


def _missing(pool: Pool, roster: _Roster) -> Iterator[Fork]:
    """Fill up to the count from the trusted generation, then bring successors within the surge."""
    absent = pool.count - len(roster.staff)
    for index in _free({c.index for c in roster.staff}, absent):
        yield Fork(pool.name, index, roster.trusted)
    if absent > 0 or pool.count == 0:
        return
    extra = len(roster.staff) - pool.count
    room = pool.surge - extra - len(roster.canaries)
    if roster.trusted != pool.generation and not roster.canaries:
        yield Fork(pool.name, 0, pool.generation)
        room -= 1
    successors = min(room, len(roster.old) - extra)
    for index in _free({c.index for c in roster.young}, successors):
        yield Fork(pool.name, index, roster.trusted)


def _free(taken: set[int], number: int) -> list[int]:
    found: list[int] = []
    index = 0
    while len(found) < number:
        if index not in taken:
            found.append(index)
        index += 1
    return found


def _wake_at(wanted: Wanted, book: Book, now: float) -> float | None:
    moments: list[float] = []
    for pool in wanted.pools:
        children = book.of(pool.name)
        for child in children:
            if child.killed:
                continue
            if child.stop_by is not None:
                moments.append(child.stop_by)
            elif child.ready is not None and book.proved.get(pool.name) != pool.generation:
                moments.append(child.ready + pool.start_seconds)
            moments.append(_start_deadline(pool, child))
        moments.append(book.pulse(pool.name).not_before)
    later = [at for at in moments if now < at < float("inf")]
    return min(later) if later else None
