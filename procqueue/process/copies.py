"""The master's side of programs: each copy is started, seen to be ready, asked for its health, and ended.

The plan decides (core/programs.py); programs/ knows how one is started and ended. Here the two meet: what is
heard of a copy becomes an event. Nothing waits: reports, notices and probes are on the master's selector.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from procqueue.core import events
from procqueue.core.book import Book
from procqueue.core.events import Reason
from procqueue.core.settings.environment import Environment
from procqueue.core.settings.program import Check, How, ProgramCopy, ProgramSettings
from procqueue.core.wanted import Fork
from procqueue.process.intent import Intent
from procqueue.process.lifeline import NoLifeline
from procqueue.process.log import Log
from procqueue.process.news import News
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.output import Output, targets_of_copy
from procqueue.process.programs import probes, sweep
from procqueue.process.programs.exec import Report, start
from procqueue.process.programs.notify import NotifySocket
from procqueue.process.programs.order import Order
from procqueue.process.programs.readiness import Streak
from procqueue.process.stacks import folder_of
from procqueue.process.statedir import StateDir

#: A program that is not ready yet is asked again so often.
_ASK_AGAIN = 0.1


class Master(Protocol):
    """What the copies need of their master."""

    intent: Intent
    state: StateDir
    book: Book
    news: News
    nursery: Nursery
    log: Log
    selector: selectors.BaseSelector
    output: Output

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""

    def forget(self, fd: int) -> None:
        """Attend to a descriptor no more."""


@dataclass(slots=True)
class Running:
    """What is known of one living copy. `at`: when time alone has something to say (monotonic)."""

    kept: Kept
    program: ProgramSettings
    copy: ProgramCopy
    report: Report | None
    notify: NotifySocket | None = None
    probing: probes.Probing | None = None
    health: Streak | None = None
    ready_at: float = float("inf")
    too_old_at: float = float("inf")
    cannot_start: bool = False
    status: str = ""  # what it says of itself

    @property
    def at(self) -> float:
        """When to look at it again."""
        return min(self.ready_at, self.too_old_at, self.probing.at if self.probing else float("inf"))


class Copies:
    """All copies of programs of one master."""

    def __init__(self, master: Master, descriptors: tuple[int, int]) -> None:
        self._master = master
        self._descriptors = descriptors  # the limits that programs get
        self.running: dict[str, Running] = {}

    def make(self, id: str, fork: Fork) -> Kept:
        """Start a copy. Raises OSError where no child can be made."""
        settings = self._master.intent.edition(fork.generation)
        program = settings.programs[fork.pool.rpartition(":")[0]]
        copy = program.copy(fork.index)
        notify = NotifySocket() if copy.ready.how is How.NOTIFY else None
        output = self._master.output
        try:
            with output.opened(id, copy.name, targets_of_copy(copy, program)) as prints:
                started = start(self._order(id, copy, settings.path, settings.root, notify, prints))
        except OSError:
            if notify is not None:
                notify.close()
            raise
        kept = Kept(id, fork.pool, fork.index, started.pid, started.pidfd, NoLifeline(), is_program=True)
        self._master.nursery.adopt(kept)
        output.will(
            kept, stop_signal=signal_number(program.stop_signal), grace=program.grace,
            stop_group=program.stop_group,
        )  # fmt: skip
        one = Running(kept, program, copy, started.report, notify)
        self.running[id] = one
        self._attend(started.report, lambda: self._hear_report(one))
        if notify is not None:
            self._attend(notify, lambda: self._hear_notices(one))
        return kept

    def next_moment(self) -> float:
        """Return when time alone has something to say (monotonic; inf if never)."""
        return min((one.at for one in self.running.values()), default=float("inf"))

    def tick(self, now: float) -> None:
        """Note what time alone has brought."""
        for one in list(self.running.values()):
            if now >= one.ready_at:
                self._is_ready(one)
            if now >= one.too_old_at:
                one.too_old_at = float("inf")
                self._master.note(events.Spent(one.kept.id, Reason.MAX_AGE))
            if one.probing is not None:
                one.probing.tick(now)

    def put_off(self, seconds: float) -> None:
        """Let answers come so much later: nobody could hear them."""
        for one in self.running.values():
            if one.probing is not None:
                one.probing.at += seconds

    def stop(self, kept: Kept) -> None:
        """Ask a copy to leave, as its settings say."""
        program = self.running[kept.id].program
        sweep.ask_to_leave(kept.pid, signal_number(program.stop_signal), group=program.stop_group)

    def end(self, kept: Kept) -> None:
        """SIGKILL all that belongs to a copy; it is not reaped yet."""
        known = {other.pid for other in self._master.nursery.kept.values()}
        escaped = sweep.end(kept.pid, self._owner(kept.id), known - {kept.pid})
        if escaped:
            self._master.log.info("swept", name=kept.name, processes=escaped)

    def bury(self, kept: Kept) -> bool:
        """Give back what belonged to a dead copy; return whether it could not even be started."""
        one = self.running.pop(kept.id)
        self._master.output.unwill(kept)
        if one.report is not None:
            self._hear_report(one)
        for thing in (one.report, one.notify):
            if thing is not None:
                self._master.forget(thing.fileno())
                thing.close()
        if one.probing is not None:
            one.probing.close()
        return one.cannot_start

    def owns(self, pid: int) -> bool:
        """True if a process belongs to a copy that lives, wherever it has gone."""
        leaders = {one.kept.pid for one in self.running.values()}
        try:
            if os.getpgid(pid) in leaders or os.getsid(pid) in leaders:
                return True
        except ProcessLookupError:
            return False
        owner = sweep.owner_of(pid)
        return owner is not None and any(self._owner(id) == owner for id in self.running)

    # what is heard

    def _hear_report(self, one: Running) -> None:
        report = one.report
        if report is None or not report.hear():
            return
        self._master.forget(report.fileno())
        report.close()
        one.report = None
        if report.failure is None:
            self._begin(one)
            return
        origin = one.program.origins.get(report.failure.key)
        one.kept.error = report.failure.sentence(f"processes.{one.program.name}", str(origin or ""))
        one.cannot_start = not report.failure.may_pass
        self._master.news.problem(one.kept.pool, one.kept.error)

    def _begin(self, one: Running) -> None:
        """It runs: from now on it can become ready, and old."""
        now = time.monotonic()
        check = one.copy.ready
        if check.how is How.TIME:
            one.ready_at = now + one.program.start_seconds
        elif check.how in (How.TCP, How.HTTP):
            self._probe(one, check, lambda answer: self._answered(one, answer), _ASK_AGAIN, 5.0)
        if one.program.max_age:
            one.too_old_at = now + one.program.max_age

    def _hear_notices(self, one: Running) -> None:
        assert one.notify is not None
        for notice in one.notify.hear(one.kept.pid):
            if notice.status is not None:
                one.status = notice.status
            if notice.ready:
                self._is_ready(one)

    def _answered(self, one: Running, answer: str) -> None:
        if not answer:
            self._is_ready(one)

    def _is_ready(self, one: Running) -> None:
        one.ready_at = float("inf")
        self._master.note(events.Ready(one.kept.id, time.monotonic()))
        self._master.news.solved(one.kept.pool)
        if one.probing is not None:
            one.probing.close()
            one.probing = None
        if (wish := one.copy.health) is not None:
            one.health = Streak(wish.failures)
            self._probe(one, wish.check, lambda answer: self._felt(one, answer), wish.every, wish.timeout)

    def _felt(self, one: Running, answer: str) -> None:
        assert one.health is not None
        one.health = one.health.after(answer)
        if one.health.unhealthy:
            one.kept.error = f"unhealthy: {answer}, {one.health.in_a_row} times in a row"
            self._master.log.warning("unhealthy", name=one.kept.name, why=answer)
            self._master.note(events.Spent(one.kept.id, Reason.UNHEALTHY))

    def _probe(
        self, one: Running, check: Check, told: Callable[[str], None], every: float, timeout: float
    ) -> None:
        if check.how is How.HTTP:
            question = probes.http(check.where)
        else:
            host, port = check.address
            question = probes.tcp(port, host)
        now = time.monotonic()
        one.probing = probes.Probing(
            question, self._master.selector, told, every=every, timeout=timeout, now=now
        )  # fmt: skip
        one.probing.tick(now)

    # how it is started

    def _order(
        self,
        id: str,
        copy: ProgramCopy,
        path: str,
        root: str,
        notify: NotifySocket | None,
        prints: tuple[int, int],
    ) -> Order:
        return Order(
            copy.name, copy.index, self._owner(id), copy.command, copy.target, path,
            _environment(copy, root), stdout=prints[0], stderr=prints[1],
            notify_socket=notify.address if notify else "", descriptors=self._descriptors,
            stacks=folder_of(self._master.state.path) if copy.target else "",
        )  # fmt: skip

    def _owner(self, id: str) -> str:
        return f"{self._master.state.path}!{id}"

    def _attend(self, thing: Report | NotifySocket, hear: Callable[[], None]) -> None:
        self._master.selector.register(thing, selectors.EVENT_READ, hear)


def signal_number(name: str) -> int:
    """Return the number of a signal: "TERM", "RTMIN+3"."""
    base, plus, more = name.partition("+")
    return int(signal.Signals[f"SIG{base}"]) + (int(more) if plus else 0)


def _environment(copy: ProgramCopy, root: str) -> Environment:
    return replace(copy.environment, cwd=copy.environment.cwd or root)
