"""The book of children: who is alive, how they stand, how their predecessors ended. No I/O, no clock.

Events (events.py) go in (`apply`), a new book comes out; plan.py reads it and decides. Tests write histories
of events; a story from a production log becomes a test by pasting it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from procqueue.core.events import (
    UNCAUSED,
    Away,
    Born,
    Child,
    Cleared,
    Died,
    Disowned,
    Event,
    Forked,
    ForkFailed,
    Found,
    KillSent,
    Leaving,
    Life,
    Loaded,
    Ordered,
    Overdue,
    OverMemory,
    Proved,
    Ready,
    Reason,
    Silent,
    Spent,
    StopSent,
    Told,
    Unborn,
    Unfit,
    Worked,
)  # fmt: skip
from procqueue.core.pulse import CALM, LOOP_WINDOW, Backoff, Pulse, after_failure

#: A consumer that was ready for so long, or had finished a message, did not die of its start.
READY_ENOUGH = 1.0
#: A sibling that has been ready for so long ends the back-off of its pool.
CALM_AFTER = 10.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last child of a pool ended."""

    generation: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that is, as far as the plan is concerned."""

    children: Mapping[str, Child] = field(default_factory=dict)
    pulses: Mapping[str, Pulse] = field(default_factory=dict)
    proved: Mapping[str, int] = field(default_factory=dict)  # pool → the newest generation that stood
    unfit: frozenset[tuple[str, int]] = frozenset()  # templates that share what must not be
    ended: Mapping[str, Ended] = field(default_factory=dict)  # pool → its last death
    _of: dict[str, list[Child]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, pool: str) -> list[Child]:
        """Return the living children of a pool, eldest first."""
        if not self._of:  # asked often of a book that does not change
            for child in sorted(self.children.values(), key=lambda c: (c.started, c.id)):
                self._of.setdefault(child.pool, []).append(child)
        return list(self._of.get(pool, ()))

    def ordered_of(self, template: str) -> list[Child]:
        """Return the children that a template is still to fork, eldest first."""
        return sorted((c for c in self.children.values() if c.awaits == template), key=lambda c: c.started)

    def pulse(self, pool: str) -> Pulse:
        """Return the pulse of a pool; of one that never had a death, a fresh one."""
        return self.pulses.get(pool, Pulse())


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
        case Away(seconds):
            children = {id: _put_off(child, seconds) for id, child in book.children.items()}
            return replace(book, children=children)
        case _:
            known = book.children.get(event.id)
            if known is None:
                return book
            changed = _with_child(book, _changed(known, event))
            if isinstance(event, Worked):
                starts = {**book.pulse(known.pool).starts, known.generation: CALM}
                return _with_pulse(changed, known.pool, starts=starts)
            return changed


def _changed(child: Child, event: Told | Found) -> Child:
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
        case StopSent(_, reason, stop_by):
            return replace(child, life=Life.STOPPING, leaving=child.leaving or reason, stop_by=stop_by)
        case KillSent(_, reason):
            return replace(child, life=Life.STOPPING, leaving=reason, killed=True)
        case _:
            return _looked_at(child, event)


def _looked_at(child: Child, event: Found) -> Child:
    match event:
        case Overdue():
            return replace(child, overdue=True)
        case OverMemory():
            return replace(child, over_memory=True)
        case Silent():
            return replace(child, silent=True)
        case Disowned():
            return replace(child, disowned=True)
        case Cleared():
            return replace(child, overdue=False)
        case _:
            assert_never(event)


def _put_off(child: Child, seconds: float) -> Child:
    """Give it what was left of its time when somebody last looked."""
    return replace(
        child,
        started=child.started + (seconds if child.life is Life.STARTING else 0.0),
        stop_by=None if child.stop_by is None else child.stop_by + seconds,
        answered=child.answered + seconds,
    )


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
    rest = replace(rest, ended={**book.ended, child.pool: Ended(child.generation, event.reason)})
    return _with_pulse(rest, child.pool, starts=starts, deaths=deaths)


def _with_failed_start(starts: Mapping[int, Backoff], child: Child, event: Died) -> Mapping[int, Backoff]:
    failed = starts.get(child.generation, CALM)
    return {
        **starts,
        child.generation: after_failure(failed, child.started, event.at, event.delay_max, event.draw),
    }


def _failed_to_start(book: Book, child: Child, event: Died) -> bool:
    if child.program and event.reason is Reason.EXIT:
        return not _has_stood(book, child, event.at)  # whatever its code: it was to stay
    if event.reason in (Reason.CRASH, Reason.MEMORY_HARD):
        return not _has_stood(book, child, event.at)
    return event.reason in UNCAUSED


def _has_stood(book: Book, child: Child, now: float) -> bool:
    """True if what killed it was not its start. While its generation is on trial, that is not known."""
    if not child.program and child.generation > book.proved.get(child.pool, child.generation):
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
