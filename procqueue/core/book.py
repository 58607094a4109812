"""The book of children: who is alive, how they stand, how their predecessors ended. No I/O, no clock.

Events go in (`apply`), a new book comes out; plan.py reads it and decides. All moments are seconds of one
monotonic clock. Tests write histories of events; a story from a production log becomes a test by pasting it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

#: A consumer that was ready for so long, or had finished a message, did not die of its start.
READY_ENOUGH = 1.0
#: A sibling that has been ready for so long ends the back-off of its pool.
CALM_AFTER = 10.0
#: So many uncaused deaths within so many seconds are a problem worth an exit code.
LOOP_DEATHS, LOOP_WINDOW = 5, 60.0


class Life(StrEnum):
    """How a living child stands. The dead are not in the book."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Reason(StrEnum):
    """Why a child left, or is to leave (last_exit.reason)."""

    MAX_MESSAGES = "max_messages"
    MAX_AGE = "max_age"
    MAX_MEMORY = "max_memory"
    MEMORY_HARD = "memory_hard"
    TIMEOUT = "timeout"
    RELOAD = "reload"
    RESTART = "restart"
    SCALE = "scale"
    STOP = "stop"
    CRASH = "crash"
    IMPORT_ERROR = "import_error"
    START_TIMEOUT = "start_timeout"
    DISOWNED = "disowned"


#: Deaths that are the fault of the child or its start; all others were asked for.
UNCAUSED = frozenset({Reason.CRASH, Reason.IMPORT_ERROR, Reason.START_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Child:
    """One living child. `id` is unique for ever, `pool:index` is what people call it."""

    id: str
    pool: str
    index: int
    generation: int
    started: float
    life: Life = Life.STARTING
    loaded: bool = False  # its code is imported: what it waits for now is not its fault
    ready: float | None = None
    worked: bool = False  # has finished a message
    spent: Reason | None = None  # asks for its successor
    overdue: bool = False  # a message of it has passed its last deadline
    over_memory: bool = False  # above max_memory_hard
    stop_by: float | None = None
    leaving: Reason | None = None  # why it was told to go, or says that it goes
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the deaths of a pool say about its next start."""

    fails: int = 0
    failed_at: float = float("-inf")
    not_before: float = float("-inf")
    deaths: tuple[float, ...] = ()  # uncaused ones of the last LOOP_WINDOW seconds

    def loops(self, now: float) -> bool:
        """True if the pool's children die too often to be called healthy."""
        return sum(now - at < LOOP_WINDOW for at in self.deaths) >= LOOP_DEATHS


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that is, as far as the plan is concerned."""

    children: Mapping[str, Child] = field(default_factory=dict)
    pulses: Mapping[str, Pulse] = field(default_factory=dict)
    proved: Mapping[str, int] = field(default_factory=dict)  # pool → the newest generation that stood

    def of(self, pool: str) -> list[Child]:
        """Return the living children of a pool, eldest first."""
        return sorted((c for c in self.children.values() if c.pool == pool), key=lambda c: (c.started, c.id))

    def pulse(self, pool: str) -> Pulse:
        """Return the pulse of a pool; of one that never had a death, a fresh one."""
        return self.pulses.get(pool, Pulse())


# Events: what happened. The process layer makes them, `apply` keeps the book.


@dataclass(frozen=True, slots=True)
class Forked:
    """A child was made."""

    child: Child


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """No child could be made: EAGAIN, ENOMEM, EMFILE."""

    pool: str
    at: float
    delay_max: float
    draw: float = 0.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The child has imported its application."""

    id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The child says that it can work. One that was told to stop meanwhile stays stopping."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Worked:
    """The child has finished its first message."""

    id: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The child asks for its successor."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Leaving:
    """The child says that it goes, and why."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Overdue:
    """A message of the child has passed its last deadline."""

    id: str


@dataclass(frozen=True, slots=True)
class OverMemory:
    """The child is above max_memory_hard."""

    id: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """What seemed overdue had ended when one looked again."""

    id: str


@dataclass(frozen=True, slots=True)
class StopSent:
    """The child was told to finish and leave."""

    id: str
    reason: Reason
    stop_by: float


@dataclass(frozen=True, slots=True)
class KillSent:
    """SIGKILL is on its way."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Proved:
    """A generation of a pool has stood the test."""

    pool: str
    generation: int


@dataclass(frozen=True, slots=True)
class Died:
    """The child is dead and reaped. `draw` in [0, 1) spreads the restarts of many."""

    id: str
    at: float
    reason: Reason
    delay_max: float
    draw: float = 0.0


Event = (
    Forked | ForkFailed | Loaded | Ready | Worked | Spent | Leaving | Overdue | OverMemory | Cleared
    | StopSent | KillSent | Proved | Died
)  # fmt: skip


def apply(book: Book, event: Event) -> Book:
    """Return the book after `event`. News of a child that is not in the book changes nothing."""
    match event:
        case Forked(child):
            return replace(book, children={**book.children, child.id: child})
        case ForkFailed(pool, at, delay_max, draw):
            return _with_pulse(book, pool, _failed(book.pulse(pool), at, delay_max, draw))
        case Proved(pool, generation):
            return replace(book, proved={**book.proved, pool: generation})
        case Died():
            return _buried(book, event)
        case _:
            known = book.children.get(event.id)
            if known is None:
                return book
            changed = _with_child(book, _changed(known, event))
            if isinstance(event, Worked):
                return _with_pulse(changed, known.pool, replace(book.pulse(known.pool), fails=0))
            return changed


def _changed(
    child: Child,
    event: Loaded | Ready | Worked | Spent | Leaving | Overdue | OverMemory | Cleared | StopSent | KillSent,
) -> Child:
    match event:
        case Loaded():
            return replace(child, loaded=True)
        case Ready(_, at):
            life = Life.READY if child.life is Life.STARTING else child.life
            return replace(child, life=life, loaded=True, ready=at)
        case Worked():
            return replace(child, worked=True)
        case Spent(_, reason):
            return replace(child, spent=child.spent or reason)
        case Leaving(_, reason):
            return replace(child, life=Life.STOPPING, leaving=child.leaving or reason)
        case Overdue():
            return replace(child, overdue=True)
        case OverMemory():
            return replace(child, over_memory=True)
        case Cleared():
            return replace(child, overdue=False)
        case StopSent(_, reason, stop_by):
            return replace(child, life=Life.STOPPING, leaving=child.leaving or reason, stop_by=stop_by)
        case KillSent(_, reason):
            return replace(child, life=Life.STOPPING, leaving=reason, killed=True)
        case _:
            assert_never(event)


def _buried(book: Book, event: Died) -> Book:
    child = book.children.get(event.id)
    if child is None:
        return book
    rest = {id: other for id, other in book.children.items() if id != event.id}
    without = replace(book, children=rest)
    if event.reason not in UNCAUSED:
        return without
    pulse = book.pulse(child.pool)
    deaths = (*(at for at in pulse.deaths if event.at - at < LOOP_WINDOW), event.at)
    pulse = replace(pulse, deaths=deaths)
    stood = child.worked or (child.ready is not None and event.at - child.ready >= READY_ENOUGH)
    if stood and event.reason is Reason.CRASH:
        return _with_pulse(without, child.pool, pulse)
    if _is_calm(rest.values(), child.pool, pulse, event.at):
        pulse = replace(pulse, fails=0)
    return _with_pulse(without, child.pool, _failed(pulse, event.at, event.delay_max, event.draw))


def _is_calm(others: Iterable[Child], pool: str, pulse: Pulse, now: float) -> bool:
    return any(
        c.pool == pool and c.ready is not None and c.ready > pulse.failed_at and now - c.ready >= CALM_AFTER
        for c in others
    )


def _failed(pulse: Pulse, at: float, delay_max: float, draw: float) -> Pulse:
    delay = min(2.0 ** min(pulse.fails, 30), delay_max) * (1 + 0.2 * draw)
    return replace(pulse, fails=pulse.fails + 1, failed_at=at, not_before=at + delay)


def _with_child(book: Book, child: Child) -> Book:
    return replace(book, children={**book.children, child.id: child})


def _with_pulse(book: Book, pool: str, pulse: Pulse) -> Book:
    return replace(book, pulses={**book.pulses, pool: pulse})
