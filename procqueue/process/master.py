"""The master: the one parent process. A loop of three steps: decide, act, wait (law S1, S2).

It forks and reaps, and decides nothing itself: core/plan.py does. It never imports the application, never
opens a driver, never blocks, and has one thread. It wakes on signals, deaths (pidfds), lifelines and the
control socket, else sleeps to the next deadline. How a child is made: births.py; how it ends: nursery.py.
"""

from __future__ import annotations

import os
import random
import secrets
import selectors
import time
from collections.abc import Collection

from procqueue.core import events
from procqueue.core.book import Book, apply
from procqueue.core.events import Child, Life, Reason
from procqueue.core.exits import Exit
from procqueue.core.fate import Cause
from procqueue.core.plan import decide
from procqueue.core.programs import Programs, has_failed
from procqueue.core.settings.model import Settings
from procqueue.core.wanted import Decision, Fork, Kill, Phase, Prove, Stop
from procqueue.core.watching import UNWATCHED, Circumstances
from procqueue.process import kernel
from procqueue.process.absences import Absences
from procqueue.process.autoscaling import Autoscaling
from procqueue.process.births import Births
from procqueue.process.consumer.burst import Burst
from procqueue.process.control import Control
from procqueue.process.copies import Copies
from procqueue.process.dashboard import Dashboard
from procqueue.process.foothold import Foothold
from procqueue.process.former import Former
from procqueue.process.hearing import Hearing
from procqueue.process.hooks import Hooks
from procqueue.process.intent import Intent
from procqueue.process.liaison import Adoption, Liaison
from procqueue.process.log import Log
from procqueue.process.lookout import Lookout
from procqueue.process.news import LastExit, News
from procqueue.process.nursery import Kept, Nursery, cause_of, reason_of
from procqueue.process.output import Output
from procqueue.process.pauses import Pauses
from procqueue.process.pools import LOGGER, is_scheduler
from procqueue.process.reclaim import Death
from procqueue.process.reloads import Reloads
from procqueue.process.signals import Signals
from procqueue.process.stacks import Stacks
from procqueue.process.statedir import StateDir, leave_state_dir, survivors
from procqueue.process.surroundings import Surroundings
from procqueue.process.templates import Templates, is_template
from procqueue.process.verbs import Verbs
from procqueue.process.wishes import Wishes

#: Two signals closer than this are one: systemd and terminals send theirs from two sides.
_SECOND_SIGNAL = 0.2


class Master:
    """One running master. `run` is its whole life."""

    def __init__(
        self,
        settings: Settings,
        state: StateDir,
        log: Log,
        only: Collection[str] = (),
        burst: Burst | None = None,
        *,
        captures: bool = True,
        circumstances: Circumstances = UNWATCHED,
        dashboard: Dashboard | None = None,
    ) -> None:
        self.state = state
        self.started = time.monotonic()
        self.started_wall = time.time()
        self.book = Book()
        self.news = News(log)
        descriptors = kernel.raise_descriptor_limit()
        self.nursery = Nursery(state.boards, descriptors)
        self.log = log
        self._burst = burst
        self.ended_badly = False  # a run of the burst, or an essential program
        self._session = secrets.token_hex(3)
        self._number = 0
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self.surroundings = Surroundings(self, os.environ)
        self.stacks = Stacks(self, state.path)
        self.hooks = Hooks(self, state.path)
        self._signals = Signals(self, scales=burst is None)
        # A burst needs a consumer once: a template would only be one process more.
        self.intent = Intent(
            settings, self._wishes(), only,
            preloads=burst is None, captures=captures, circumstances=circumstances,
            dashboard=dashboard,
        )  # fmt: skip
        self.output = Output(self, captures=captures)
        self.output.take_lines_of_master()
        self.lookout = Lookout(self.nursery, self.intent)
        self.reloads = Reloads(self)
        self.copies = self.nursery.programs = Copies(self, descriptors)
        self._births = Births(
            self.intent, state, self.nursery, self.reloads.code, self.copies, self.output, burst
        )
        self.templates = Templates(self)
        self.pauses = Pauses(self.intent.wishes, self.nursery)
        self.autoscaling = Autoscaling(self)
        self._verbs = Verbs(self)
        self._hearing = Hearing(self)
        self.control = Control(state.socket, state.access, self.selector, self._verbs.answer)
        self._foothold = Foothold(self)
        self.liaison = Liaison(self.nursery, self.log)
        self.intent.held_at = self.liaison.held_at
        self.news.heard = lambda about, text: self.hooks.happened("on_problem", about, text)
        self.adoption = Adoption(state.boards, self.selector, self.liaison, self.log)
        self.former = Former(state.path, self.selector, log)
        self._absences = Absences(self)
        self._asked_at = float("-inf")
        self.was_ready = False

    def run(self) -> int:
        """Keep everything running until asked to stop; return the exit code."""
        kernel.become_subreaper()
        self._signals.catch()
        self.adoption.adopt(survivors(self.state), self.intent.settings)
        self._wait_for_former_programs()
        self.log.info(
            "started", pid=os.getpid(), config=self.intent.settings.file,
            queues=",".join(self.intent.queues) or None, programs=",".join(self.intent.programs) or None,
        )  # fmt: skip
        watches, why = self.intent.watching
        self.log.info("reload", on="yes" if watches else "no", why=why)
        while not (decision := self._act()).finished or self.former.left or self._hooks_run():
            self._wait(decision.wake_at)
        self.hooks.end()
        self._verbs.end()
        self.control.close()
        self._signals.end()
        self.log.info("stopped", killed=",".join(self.news.killed) or "none")
        self.surroundings.end()
        self.stacks.end()
        leave_state_dir(self.state)
        return Exit.FAILED if self.ended_badly else Exit.OK

    # decide and act

    def _act(self) -> Decision:
        """Carry out what the plan wants until it wants nothing more."""
        # One moment for all passes: while acting takes time, what time alone brings waits for the next turn.
        now = self._absences.now()
        for _ in range(100):
            decision = decide(wanted := self.intent.wanted(), self.book, now)
            if not decision.actions:
                self.news.settle(wanted.pools, self.book, now)
                self._see_that_all_is_ready()
                self._verbs.settle()
                return decision
            for action in decision.actions:
                self._carry_out(action)
        raise RuntimeError("the plan does not come to rest")  # a bug: better seen than looping for ever

    def _see_that_all_is_ready(self) -> None:
        """Say it, the first time."""
        if (
            self.was_ready
            or self.intent.held
            or not Programs(self.intent.wanted(), self.book, time.monotonic()).served()
        ):
            return
        self.was_ready = True
        consumers = sum(self.ready_of(name) for name in self.intent.queues)
        programs = sum(kept.is_program for kept in self.nursery.kept.values())
        seconds = time.monotonic() - self.started
        self.reloads.settle()
        self.log.info("ready", consumers=consumers or None, programs=programs or None, seconds=seconds)

    def _carry_out(self, action: Fork | Stop | Kill | Prove) -> None:
        match action:
            case Fork():
                self._fork(action)
            case Stop(id, reason, stop_by):
                self.nursery.stop(self.nursery.kept[id])
                self.note(events.StopSent(id, reason, stop_by))
            case Kill(id, reason):
                self._kill(self.nursery.kept[id], reason)
            case Prove(pool, generation):
                self.reloads.proved(pool, generation)

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""
        self.book = apply(self.book, event)

    def _fork(self, fork: Fork) -> None:
        self._number += 1
        id = f"{self.state.host}.{self._session}.{self._number}"
        try:
            kept = self._births.make(id, fork)
        except OSError as error:
            self.fork_failed(fork.pool, str(error.strerror))
            return
        child = Child(
            id, fork.pool, fork.index, fork.generation, time.monotonic(), kept.is_program, fork.template
        )  # fmt: skip
        if fork.template:
            self.note(events.Ordered(child))
            self.templates.order(kept)
        else:
            self.note(events.Forked(child))
            self.watch(kept)

    def watch(self, kept: Kept) -> None:
        """Attend to a child that is there now, and let the scheduler know of it."""
        self.selector.register(kept.pidfd, selectors.EVENT_READ, lambda: self._bury(kept))
        if not kept.is_program:
            self.selector.register(kept.lifeline, selectors.EVENT_READ, lambda: self._hearing.hear(kept))
        self.log.debug("forked", name=kept.name, pid=kept.pid)
        if kept.pool == LOGGER:
            self.output.brief()
        elif is_scheduler(kept.pool):
            self.liaison.brief(kept)
            self.lookout.soon(time.monotonic())
        elif kept.is_consumer:
            self.liaison.born(kept)

    def fork_failed(self, pool: str, why: str) -> None:
        """Note that no child could be made."""
        self.news.problem(pool, f"cannot fork: {why}; retried with back-off")
        delay_max = self.intent.delay_max(pool)
        self.note(events.ForkFailed(pool, time.monotonic(), delay_max, random.random()))

    def _kill(self, kept: Kept, reason: Reason) -> None:
        if reason is Reason.TIMEOUT:
            if not self.nursery.kill_if_overdue(kept):
                self.note(events.Cleared(kept.id))
                return
            kept.detail = {"limit": "handle_timeout + kill_after"}
        else:
            if reason is Reason.MEMORY_HARD:
                kept.detail["limit"] = self.intent.max_memory_hard(kept.pool)
                self.nursery.kill(kept)
            else:
                self.nursery.end(kept)
        self.note(events.KillSent(kept.id, reason))
        if (kept.is_consumer or kept.is_program) and self.intent.phase is not Phase.RUN:
            self.news.killed.append(kept.name)
        self.log.warning("killed", name=kept.name, pid=kept.pid, reason=reason)

    # wait and hear

    def _wait(self, wake_at: float | None) -> None:
        """Sleep until something happens or is due, then take note of all of it."""
        now = time.monotonic()
        self.surroundings.tick(now)
        self.stacks.tick(now)
        self.hooks.tick(now)
        # At most an hour: epoll takes no more than 24 days at once.
        moments = [wake_at, self.lookout.at, self.adoption.at, self.control.next_deadline()]
        moments += [self.former.at, self.copies.next_moment(), self.output.next_moment(), now + 3600]
        moments += [self.surroundings.next_moment(), self.stacks.next_moment(), self.hooks.next_moment()]
        moments += [self.pauses.next_moment(), self._foothold.next_moment()]
        due = min(at for at in moments if at is not None)
        happened = self.selector.select(max(0.0, due - now))
        self._absences.now(due)
        for key, _ in happened:
            still = self.selector.get_map().get(key.fd)
            if still is not None and still.data is key.data:  # one of the others may have ended it meanwhile
                key.data()
        self.control.drop_late()
        now = self._absences.now()
        self.copies.tick(now)
        self.output.tick()
        self.pauses.tick()
        self._foothold.tick(now)
        if now >= self.former.at:
            self.former.kill_late()
        if now >= self.lookout.at:
            for event in self.lookout.look(self.book, now):
                self.note(event)
        if now >= self.adoption.at:
            self.adoption.look(now)

    def ask_to_stop(self, *, hard: bool) -> None:
        """Stop soft; the second time, or if `hard`, at once."""
        now = time.monotonic()
        if self.intent.phase is Phase.RUN:
            self.intent.phase = Phase.KILL if hard else Phase.STOP
        elif hard or now - self._asked_at >= _SECOND_SIGNAL:
            self.intent.phase = Phase.KILL
        else:
            return
        self._asked_at = now
        self._signals.stop_scaling()
        if self.intent.phase is Phase.KILL:
            self.former.kill_late()
        self.log.info("stopping", how="now" if self.intent.phase is Phase.KILL else "soft")

    def _hooks_run(self) -> bool:
        """True while a stop waits for a hook, which says perhaps why all ends; a hard stop does not."""
        return self.hooks.busy and self.intent.phase is not Phase.KILL

    def ready_of(self, pool: str) -> int:
        """Return how many children of a pool can work."""
        return sum(child.life is Life.READY for child in self.book.of(pool))

    # deaths

    def _bury(self, kept: Kept) -> None:
        """A pidfd says that a child is dead: hear its last words, reap it, have it reclaimed."""
        self._hearing.hear(kept)
        self.forget(kept.pidfd)
        self.forget(kept.lifeline.fileno())
        child = self.book.children[kept.id]
        exited = self.nursery.bury(kept)
        self.stacks.forget(kept)
        reason = reason_of(exited, child, kept.overdue, self.intent.ok_codes(kept.pool))
        if kept.is_program and self.copies.bury(kept):
            reason = Reason.CANNOT_START
        if is_template(kept):
            self.templates.bury(kept, child, reason, exited)
        draw = random.random()
        self.note(events.Died(kept.id, time.monotonic(), reason, self.intent.delay_max(kept.pool), draw))
        alive = (other.generation for other in self.book.children.values())
        self.intent.prune({*alive, *self.book.proved.values()})
        last = LastExit(reason, exited.code, exited.signal, time.time(), kept.error)
        self.news.last_exits[kept.name] = last
        if self.intent.phase is Phase.RUN:
            self.news.restarts[kept.name] = self.news.restarts.get(kept.name, 0) + 1
        if reason in events.UNCAUSED:
            self.log.warning(
                "died", name=kept.name, pid=kept.pid, reason=reason, **exited.facts(),
                error=kept.error or None,
            )  # fmt: skip
        else:
            self.log.info("left", name=kept.name, pid=kept.pid, reason=reason)
        if self.book.pulse(kept.pool).loops(time.monotonic()):
            self.hooks.happened("on_crash_loop", kept.pool.removeprefix("@"), f"{kept.name}: {reason}")
        if kept.is_program:
            self._mind_essential(kept)
        if kept.is_consumer:
            detail = {**kept.detail, **exited.facts()}
            cause = cause_of(reason, child.killed or kept.overdue is not None)
            self.liaison.died(kept.driver, Death(kept.id, kept.queues, cause, kept.overdue, detail))
            if self._burst is not None and cause is not Cause.STOPPED:
                self.ended_badly = True
                if self._burst.once or child.ready is None:
                    self.ask_to_stop(hard=False)

    def _mind_essential(self, kept: Kept) -> None:
        """End, and fail, if a program without which the rest is of no use has come to a bad end."""
        program = self.intent.programs.get(kept.pool.rpartition(":")[0])
        pool = next((pool for pool in self.intent.wanted().pools if pool.name == kept.pool), None)
        if program is None or pool is None or not has_failed(pool, self.book):
            return
        why = kept.error or "it ended, and is not started again"
        self.news.problem(kept.pool, why)
        self.hooks.happened("on_fatal", kept.pool, why)
        if program.essential and self.intent.phase is Phase.RUN:
            self.log.error(
                "essential", name=kept.name, text="it has failed, and it is essential: stopping all"
            )
            self.ended_badly = True
            self.ask_to_stop(hard=False)

    def _wait_for_former_programs(self) -> None:
        """Start programs only when those of a killed master are gone."""
        if not self.intent.programs:
            return

        def over() -> None:
            self.intent.held = False

        patience = max(program.grace for program in self.intent.programs.values())
        self.intent.held = self.former.wait(patience, over)

    # wishes

    def kill_by_hand(self, kept: Kept) -> None:
        """End a child at once, because somebody asked for that."""
        self.nursery.end(kept)
        self.note(events.KillSent(kept.id, Reason.STOP))

    def _wishes(self) -> Wishes:
        path = f"{self.state.path}/wishes.json"
        try:
            return Wishes.load(path)
        except ValueError as error:
            self.news.problem("wishes", str(error))
            return Wishes(path)

    def forget(self, fd: int) -> None:
        """Attend to a descriptor no more."""
        if fd >= 0 and self.selector.get_map().get(fd) is not None:
            self.selector.unregister(fd)
