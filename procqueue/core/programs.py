"""The part of the supervision plan that programs need: stop first, then start, one copy after the other.

Each copy of a program is a pool of its own, so it has its own back-off, its own generation and its own end.
A raised generation is the wish for a fresh one: after a change of the configuration, by `restart`, or because
what had come to its end is started by hand. Pure, like plan.py, which asks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from procqueue.core.book import Book
from procqueue.core.events import ASKED, Child, Life, Reason
from procqueue.core.settings.program import Restart
from procqueue.core.wanted import Fork, Pool, Stop, Wanted

#: So many may be younger than this (s): thirty interpreters that start at once make each ten times slower.
#: What could not be forked counts too: the next one would fail as well.
CROWD, YOUNG = 10, 0.1


class Rest(StrEnum):
    """Why a program is not started again although it is wanted."""

    EXITED = "exited"  # as its `restart` allows
    FATAL = "fatal"  # it cannot be started, or was tried in vain


def rest_of(pool: Pool, book: Book) -> Rest | None:
    """Return why this copy is not started again; None if it lives, or will."""
    ended = book.ended.get(pool.name)
    if pool.rules is None or ended is None or ended.generation != pool.generation or book.of(pool.name):
        return None
    if ended.reason in ASKED:
        return None  # that says nothing about the program
    if pool.rules.start_retries is not None:
        rounds = book.pulse(pool.name).rounds(pool.generation)
        if ended.reason is Reason.CANNOT_START or rounds > pool.rules.start_retries:
            return Rest.FATAL
    if pool.rules.restart is Restart.NEVER:
        return Rest.EXITED
    if pool.rules.restart is Restart.ON_FAILURE and ended.reason is Reason.EXIT:
        return Rest.EXITED
    return None


def has_failed(pool: Pool, book: Book) -> bool:
    """True if it rests, and not because it has done its work."""
    rest = rest_of(pool, book)
    return rest is Rest.FATAL or (rest is Rest.EXITED and book.ended[pool.name].reason is not Reason.EXIT)


class Programs:
    """All programs at one moment (monotonic seconds)."""

    def __init__(self, wanted: Wanted, book: Book, now: float) -> None:
        self._book = book
        self._now = now
        self._copies = [pool for pool in wanted.pools if pool.rules is not None]
        self._by_name: dict[str, list[Pool]] = {}
        for pool in wanted.pools:
            self._by_name.setdefault(pool.rules.program if pool.rules else pool.name, []).append(pool)
        young = (book.of(pool.name) for pool in self._copies)
        tried = [child.started for children in young for child in children]
        tried += [book.pulse(pool.name).forks.failed_at for pool in self._copies]
        self._young = [at for at in tried if now < at + YOUNG]

    def running(self) -> Iterator[Fork | Stop]:
        """Yield what is to be done so that all run that are wanted."""
        room = CROWD - len(self._young)
        for pool in self._copies:
            alive = [c for c in self._book.of(pool.name) if c.life is not Life.STOPPING]
            if alive and (why := self._why_leave(pool, alive[0])):
                yield Stop(alive[0].id, why, self._now + pool.grace)
            elif self._may_start(pool) and room > 0 and not self.waits_for(pool):
                room -= 1
                yield Fork(pool.name, pool.index, pool.generation)

    def ending(self) -> Iterator[Stop]:
        """Yield who is to leave next, when all are to: who needs another goes before it."""
        needed = {name for p in self._copies if p.rules and self._book.of(p.name) for name in p.rules.after}
        for pool in self._copies:
            if pool.rules and pool.rules.program not in needed:
                for child in self._book.of(pool.name):
                    if child.stop_by is None and not child.killed:
                        yield Stop(child.id, Reason.STOP, self._now + pool.grace)

    def served(self) -> bool:
        """True if all that is wanted is ready, or has done its work."""
        return all(self._serves(pool) for pools in self._by_name.values() for pool in pools)

    def waits_for(self, pool: Pool) -> list[str]:
        """Return which of those that it comes after are not ready. What has done its work, was."""
        after = pool.rules.after if pool.rules else ()
        return [name for name in after if not all(self._serves(p) for p in self._by_name.get(name, ()))]

    def moments(self) -> Iterator[float]:
        """Yield when time alone lets somebody start."""
        waiting = [pool for pool in self._copies if self._is_absent(pool)]
        yield from (self._book.pulse(pool.name).start_at(pool.generation) for pool in waiting)
        if waiting and len(self._young) >= CROWD:
            yield min(self._young) + YOUNG

    def _is_absent(self, pool: Pool) -> bool:
        absent = pool.count and not self._book.of(pool.name)
        return bool(absent) and rest_of(pool, self._book) is None

    def _may_start(self, pool: Pool) -> bool:
        return self._is_absent(pool) and self._now >= self._book.pulse(pool.name).start_at(pool.generation)

    def _why_leave(self, pool: Pool, child: Child) -> Reason | None:
        if child.stop_by is not None or child.killed:
            return None
        if pool.count == 0:
            return Reason.STOP
        if child.spent is not None:
            return child.spent
        if child.generation != pool.generation and not self._another_moves(pool):
            return pool.fresh
        return None

    def _another_moves(self, pool: Pool) -> bool:
        """True if another copy is being replaced, or goes first. If that fails, the rest stays as it is."""
        assert pool.rules is not None
        for other in self._by_name[pool.rules.program]:
            if other.name == pool.name or self._is_fresh(other):
                continue
            old = [c for c in self._book.of(other.name) if c.generation != other.generation]
            if other.index < pool.index or not any(c.life is not Life.STOPPING for c in old):
                return True
        return False

    def _is_fresh(self, pool: Pool) -> bool:
        """True if nothing is to be done for it any more."""
        fresh = [c for c in self._book.of(pool.name) if c.generation == pool.generation]
        is_ready = any(c.life is Life.READY for c in fresh)
        return pool.count == 0 or is_ready or rest_of(pool, self._book) is Rest.EXITED

    def _serves(self, pool: Pool) -> bool:
        if pool.name.startswith("@"):
            return True  # one of ours: nobody comes after it
        if rest_of(pool, self._book) is Rest.EXITED:
            return not has_failed(pool, self._book)
        return sum(child.life is Life.READY for child in self._book.of(pool.name)) >= pool.count
