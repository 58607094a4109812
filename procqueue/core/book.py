"""The book of children: who is alive, how they stand, how their predecessors ended. No I/O, no clock.

Events go in (`apply`), a new book comes out; plan.py reads it and decides. All moments are seconds of one
monotonic clock. Tests write histories of events; a story from a production log becomes a test by pasting it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, assert_never

from procqueue.core.pulse import CALM, LOOP_WINDOW, Backoff, Pulse, after_failure

#: A consumer that was ready for so long, or had finished a message, did not die of its start.
READY_ENOUGH = 1.0
#: A sibling that has been ready for so long ends the back-off of its pool.
CALM_AFTER = 10.0


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
    awaits: str = ""  # the template that is still to fork it; "" once the process is there
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
    answered: float = float("-inf")  # a template: when it last carried out an order


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that is, as far as the plan is concerned."""

    children: Mapping[str, Child] = field(default_factory=dict)
    pulses: Mapping[str, Pulse] = field(default_factory=dict)
    proved: Mapping[str, int] = field(default_factory=dict)  # pool → the newest generation that stood
    unfit: frozenset[tuple[str, int]] = frozenset()  # templates that share what must not be

    def of(self, pool: str) -> list[Child]:
        """Return the living children of a pool, eldest first."""
        return sorted((c for c in self.children.values() if c.pool == pool), key=lambda c: (c.started, c.id))

    def ordered_of(self, template: str) -> list[Child]:
        """Return the children that a template is still to fork, eldest first."""
        return sorted((c for c in self.children.values() if c.awaits == template), key=lambda c: c.started)

    def pulse(self, pool: str) -> Pulse:
        """Return the pulse of a pool; of one that never had a death, a fresh one."""
        return self.pulses.get(pool, Pulse())


# Events: what happened. The process layer makes them, `apply` keeps the book.


@dataclass(frozen=True, slots=True)
class Forked:
    """A child was made."""

    child: Child


@dataclass(frozen=True, slots=True)
class Ordered:
    """A template was asked for a child, which has its id before it has a process."""

    child: Child


@dataclass(frozen=True, slots=True)
class Born:
    """The template has forked what was ordered of it."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Unborn:
    """The order will not be carried out: there is no such child."""

    id: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """What the import of this generation left behind would be shared by all whom its template forks."""

    pool: str
    generation: int


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
    Forked | Ordered | Born | Unborn | Unfit | ForkFailed | Loaded | Ready | Worked | Spent | Leaving
    | Overdue | OverMemory | Cleared | StopSent | KillSent | Proved | Died
)  # fmt: skip


def apply(book: Book, event: Event) -> Book:
    """Return the book after `event`. News of a child that is not in the book changes nothing."""
    match event:
        case Forked(child):
            return _with_pulse(_with_child(book, child), child.pool, forks=CALM)
        case Ordered(child):
            return _with_child(book, child) if child.awaits in book.children else book
        case Born(id, at):
            return _born(book, id, at)
        case Unborn(id):
            return _without(book, lambda child: child.id == id and bool(child.awaits))
        case Unfit(pool, generation):
            return replace(book, unfit=book.unfit | {(pool, generation)})
        case ForkFailed(pool, at, delay_max, draw):
            forks = after_failure(book.pulse(pool).forks, at, at, delay_max, draw)
            return _with_pulse(book, pool, forks=forks)
        case Proved(pool, generation):
            starts = {g: backoff for g, backoff in book.pulse(pool).starts.items() if g >= generation}
            proved = replace(book, proved={**book.proved, pool: generation})
            return _with_pulse(proved, pool, starts=starts)
        case Died():
            return _buried(book, event)
        case _:
            known = book.children.get(event.id)
            if known is None:
                return book
            changed = _with_child(book, _changed(known, event))
            if isinstance(event, Worked):
                starts = {**book.pulse(known.pool).starts, known.generation: CALM}
                return _with_pulse(changed, known.pool, starts=starts)
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


def _born(book: Book, id: str, at: float) -> Book:
    child = book.children.get(id)
    if child is None or not child.awaits:
        return book
    template = book.children[child.awaits]
    changed = _with_child(book, replace(template, answered=at))
    changed = _with_child(changed, replace(child, awaits="", started=at))
    return _with_pulse(changed, child.pool, forks=CALM)


def _without(book: Book, gone: Callable[[Child], bool]) -> Book:
    return replace(book, children={id: child for id, child in book.children.items() if not gone(child)})


def _buried(book: Book, event: Died) -> Book:
    child = book.children.get(event.id)
    if child is None:
        return book
    starts = _calmed(book, child.pool, event.at)
    deaths = book.pulse(child.pool).deaths
    if event.reason in UNCAUSED:
        deaths = (*(at for at in deaths if event.at - at < LOOP_WINDOW), event.at)
    if _failed_to_start(book, child, event):
        starts = _with_failed_start(starts, child, event)
    # What was ordered of a dead template comes never; it is nobody's failure.
    rest = _without(book, lambda other: child.id in (other.id, other.awaits))
    return _with_pulse(rest, child.pool, starts=starts, deaths=deaths)


def _with_failed_start(starts: Mapping[int, Backoff], child: Child, event: Died) -> Mapping[int, Backoff]:
    failed = starts.get(child.generation, CALM)
    return {
        **starts,
        child.generation: after_failure(failed, child.started, event.at, event.delay_max, event.draw),
    }


def _failed_to_start(book: Book, child: Child, event: Died) -> bool:
    if event.reason in (Reason.CRASH, Reason.MEMORY_HARD):
        return not _has_stood(book, child, event.at)
    return event.reason in UNCAUSED


def _has_stood(book: Book, child: Child, now: float) -> bool:
    """True if what killed it was not its start. While its generation is on trial, that is not known."""
    if child.generation > book.proved.get(child.pool, child.generation):
        return False
    return child.worked or (child.ready is not None and now - child.ready >= READY_ENOUGH)


def _calmed(book: Book, pool: str, now: float) -> Mapping[int, Backoff]:
    """Forget the failed starts of generations of which a later child was ready long enough, dying or not."""
    stood = {g: float("-inf") for g in book.pulse(pool).starts}
    for child in book.of(pool):
        if child.generation in stood and child.ready is not None and now - child.ready >= CALM_AFTER:
            stood[child.generation] = max(stood[child.generation], child.ready)
    return {g: backoff for g, backoff in book.pulse(pool).starts.items() if stood[g] <= backoff.failed_at}


def _with_child(book: Book, child: Child) -> Book:
    return replace(book, children={**book.children, child.id: child})


def _with_pulse(book: Book, pool: str, **changes: Any) -> Book:
    return replace(book, pulses={**book.pulses, pool: replace(book.pulse(pool), **changes)})
