"""A master without processes: the real `decide` and `apply`, imagined children, a clock that is a number.

`Master.at(moment, *happenings)` moves the clock, tells the book what happened, does what the plan says until
it says nothing more, and returns that as words. Every pass is checked against the laws that hold in all
histories, so each story is also a test of them. Next to read: tests/core/test_plan.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from procqueue.core.book import Book, apply
from procqueue.core.events import (
    Away,
    Born,
    Child,
    Cleared,
    Died,
    Disowned,
    Event,
    Forked,
    ForkFailed,
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
    Unborn,
    Unfit,
    Worked,
)
from procqueue.core.plan import decide
from procqueue.core.wanted import Action, Decision, Fork, Kill, Phase, Pool, Prove, Stop, Wanted

#: Something that happens at a moment which the master's clock knows.
Happening = Callable[["Master"], Event]

#: More passes at one moment than this, and the plan argues with itself.
MAX_PASSES = 12

DELAY_MAX = 30.0


class Master:
    """Does what the plan says, with children that exist in its book only."""

    def __init__(self, *pools: Pool, draw: float = 0.0) -> None:
        self.wanted = Wanted(pools)
        self.book = Book()
        self.now = 0.0
        self.wake_at: float | None = None
        self.finished = False
        self.can_fork = True
        self.looks_well: set[str] = set()  # overdue ones whose message has ended when one looks again
        self.draw = draw
        self._named: dict[str, int] = {}
        self._told: set[tuple[type[Action], str]] = set()

    def at(self, moment: float, *happenings: Happening) -> list[str]:
        """Let it be `moment`, let the happenings happen, and return what the master then did."""
        assert moment >= self.now, "a story is told forwards"
        assert self.wake_at is None or moment <= self.wake_at, f"slept over {self.wake_at}"
        return self.jump(moment, *happenings)

    def jump(self, moment: float, *happenings: Happening) -> list[str]:
        """The same for a master that was not woken in time: a stopped machine, a long syscall."""
        self._no_action_before(moment)
        self.now = moment
        for happening in happenings:
            self.book = apply(self.book, happening(self))
        return self.settle()

    def wants(self, *pools: Pool, phase: Phase = Phase.RUN) -> list[str]:
        """Want something else from now on, and return what the master then did."""
        self.wanted = Wanted(pools, phase)
        return self.settle()

    def stop(self, phase: Phase = Phase.STOP) -> list[str]:
        """Want the end, and return what the master then did."""
        return self.wants(*self.wanted.pools, phase=phase)

    def settle(self) -> list[str]:
        """Ask and act until the plan has nothing more to say."""
        done: list[str] = []
        for _ in range(MAX_PASSES):
            decision = decide(self.wanted, self.book, self.now)
            self._check(decision)
            if not decision.actions:
                self._check_rest()
                self.wake_at, self.finished = decision.wake_at, decision.finished
                return done
            for action in decision.actions:
                done.append(self._act(action))
        raise AssertionError(f"no end of actions at {self.now}: {done}")

    def children(self, pool: str = "") -> list[Child]:
        """The living, eldest first; of all pools, or of one."""
        return [c for c in self.book.children.values() if pool in ("", c.pool)]

    def ready(self, pool: str = "") -> list[str]:
        """The ids of those that are ready."""
        return [c.id for c in self.children(pool) if c.life is Life.READY]

    def _act(self, action: Action) -> str:
        match action:
            case Fork(pool, index, generation) if not self.can_fork:
                self.book = apply(self.book, ForkFailed(pool, self.now, DELAY_MAX, self.draw))
                return f"no fork {pool}:{index}"
            case Fork(pool, index, generation, template) if template:
                child = Child(self._new_id(pool, index), pool, index, generation, self.now, awaits=template)
                self.book = apply(self.book, Ordered(child))
                return f"order {child.id} of {template}"
            case Fork(pool, index, generation):
                program = any(p.name == pool and p.rules for p in self.wanted.pools)
                child = Child(self._new_id(pool, index), pool, index, generation, self.now, program=program)
                self.book = apply(self.book, Forked(child))
                return f"fork {child.id} of {generation}"
            case Stop(id, reason, stop_by):
                self.book = apply(self.book, StopSent(id, reason, stop_by))
                return f"stop {id} {reason} by {stop_by:g}"
            case Kill(id, Reason.TIMEOUT) if id in self.looks_well:
                self._told.discard((Kill, id))
                self.book = apply(self.book, Cleared(id))
                return f"spare {id}"
            case Kill(id, reason):
                self.book = apply(self.book, KillSent(id, reason))
                return f"kill {id} {reason}"
            case Prove(pool, generation):
                self.book = apply(self.book, Proved(pool, generation))
                return f"prove {pool} {generation}"

    def _new_id(self, pool: str, index: int) -> str:
        name = pool if pool.endswith(f":{index}") else f"{pool}:{index}"
        self._named[name] = self._named.get(name, 0) + 1
        return name if self._named[name] == 1 else f"{name}/{self._named[name]}"

    # The laws of every history.

    def _check(self, decision: Decision) -> None:
        assert decision.wake_at is None or decision.wake_at > self.now, "a wake-up in the past"
        for action in decision.actions:
            if isinstance(action, Stop | Kill):
                assert action.id in self.book.children, f"{action} of nobody"
                assert (type(action), action.id) not in self._told, f"{action} asked twice"
                self._told.add((type(action), action.id))
            if isinstance(action, Stop):
                assert not self.book.children[action.id].killed, f"{action} of one that is killed"
                assert (Kill, action.id) not in self._told, f"{action} of one that is killed"
            if isinstance(action, Fork) and action.template:
                template = self.book.children[action.template]
                assert template.life is Life.READY and template.generation == action.generation
        if self.wanted.phase is Phase.RUN:
            for pool in self.wanted.pools:
                if not pool.is_template and pool.rules is None:
                    self._check_capacity(pool, decision)

    def _check_capacity(self, pool: Pool, decision: Decision) -> None:
        """Nobody who works is told to leave unless enough others go on working (law S9)."""
        told = {a.id for a in decision.actions if isinstance(a, Stop)}
        killed = {a.id for a in decision.actions if isinstance(a, Kill)}
        proves = {a.generation for a in decision.actions if isinstance(a, Prove) and a.pool == pool.name}
        ready = [c for c in self.children(pool.name) if c.life is Life.READY]
        staff = [c for c in ready if c.id not in killed and (c.id in told or not c.disowned)]
        proved = max({self.book.proved.get(pool.name, pool.generation), *proves})
        leaving = [c for c in staff if c.id in told and c.generation <= proved and not c.disowned]
        if leaving:
            assert len([c for c in staff if c.id not in told]) >= pool.count - (pool.surge == 0)

    def _check_rest(self) -> None:
        if self.wanted.phase is not Phase.RUN:
            return
        for pool in self.wanted.pools:
            alive = [c for c in self.children(pool.name) if c.life is not Life.STOPPING]
            if pool.rules is not None:
                assert len(self.children(pool.name)) <= 1, "two copies of one number"
                continue
            if pool.is_template:
                generations = [c.generation for c in alive]
                assert len(generations) == len(set(generations)) <= 2, "two templates for one purpose"
                continue
            assert len(alive) <= pool.count + (max(pool.surge, 1) if pool.count else 0), "too many"
            canaries = [c for c in alive if c.generation > self.book.proved.get(pool.name, c.generation)]
            assert len(canaries) <= 1, "more than one canary"
            names = [(c.index, c.generation) for c in alive if c.spent is None and c not in canaries]
            assert len(names) == len(set(names)), "two of one name"

    def _no_action_before(self, moment: float) -> None:
        """The plan names the moment at which it will have more to say: before, it has nothing to say."""
        end = moment if self.wake_at is None else min(moment, self.wake_at)
        between = self.now + (end - self.now) * 0.999
        if self.now < between < end:
            assert not decide(self.wanted, self.book, between).actions, "wake_at is too late"


def loaded(id: str) -> Happening:
    """It has imported its code."""
    return lambda _: Loaded(id)


def ready(id: str) -> Happening:
    """It says that it can work."""
    return lambda master: Ready(id, master.now)


def born(id: str) -> Happening:
    """Its template has forked it."""
    return lambda master: Born(id, master.now)


def unborn(id: str) -> Happening:
    """Its template will not fork it."""
    return lambda _: Unborn(id)


def unfit(pool: str, generation: int) -> Happening:
    """What the import of this generation left behind must not be shared."""
    return lambda _: Unfit(pool, generation)


def worked(id: str) -> Happening:
    """It has finished its first message."""
    return lambda _: Worked(id)


def spent(id: str, reason: Reason = Reason.MAX_MESSAGES) -> Happening:
    """It asks for its successor."""
    return lambda _: Spent(id, reason)


def leaving(id: str, reason: Reason) -> Happening:
    """It says that it goes."""
    return lambda _: Leaving(id, reason)


def overdue(id: str) -> Happening:
    """A message of it has passed its last deadline."""
    return lambda _: Overdue(id)


def over_memory(id: str) -> Happening:
    """It is above max_memory_hard."""
    return lambda _: OverMemory(id)


def silent(id: str) -> Happening:
    """Its loop stands still."""
    return lambda _: Silent(id)


def away(seconds: float) -> Happening:
    """The master could not look for so long."""
    return lambda _: Away(seconds)


def disowned(id: str) -> Happening:
    """Its identity is dead for ever."""
    return lambda _: Disowned(id)


def exited(id: str) -> Happening:
    """It has ended by itself, with one of its ok_exit_codes."""
    return died(id, Reason.EXIT)


def died(id: str, reason: Reason | None = None) -> Happening:
    """It is dead: for the reason it was told to go, of itself if nobody told it, or for `reason`."""

    def happen(master: Master) -> Event:
        child = master.book.children.get(id)
        why = reason or (child.leaving if child else None) or Reason.CRASH
        return Died(id, master.now, why, DELAY_MAX, master.draw)

    return happen


def pool(master: Master, name: str, **changes: object) -> Pool:
    """The wanted pool of that name with some of its wishes changed."""
    found = next(p for p in master.wanted.pools if p.name == name)
    return replace(found, **changes)  # type: ignore[arg-type]
