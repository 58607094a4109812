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
import signal
import time
from collections.abc import Callable
from typing import Any

from procqueue.core import events
from procqueue.core.book import Book, apply
from procqueue.core.events import Child, Life, Reason
from procqueue.core.exits import Exit
from procqueue.core.fate import Cause
from procqueue.core.plan import Decision, Fork, Kill, Phase, Prove, Stop, Wanted, decide
from procqueue.core.repairs import Repair
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process import kernel, wishes
from procqueue.process.births import Births
from procqueue.process.consumer.burst import Burst
from procqueue.process.control import Client, Control
from procqueue.process.liaison import Adoption, Liaison
from procqueue.process.log import Log
from procqueue.process.lookout import Lookout
from procqueue.process.news import LastExit, News
from procqueue.process.nursery import Kept, Nursery, cause_of, reason_of
from procqueue.process.reclaim import Death
from procqueue.process.statedir import StateDir, leave_state_dir, renew_host, survivors
from procqueue.process.templates import Templates, is_template
from procqueue.process.wishes import SCHEDULER

#: Two signals closer than this are one: systemd and terminals send theirs from two sides.
_SECOND_SIGNAL = 0.2


class Master:
    """One running master. `run` is its whole life."""

    def __init__(
        self,
        settings: Settings,
        queues: dict[str, QueueSettings],
        state: StateDir,
        log: Log,
        burst: Burst | None = None,
    ) -> None:
        self.settings = settings
        self.queues = queues
        self.state = state
        self.started = time.monotonic()
        self.started_wall = time.time()
        self.phase = Phase.RUN
        self.generation = 1
        self.book = Book()
        self.news = News(log)
        self.nursery = Nursery(state.boards, kernel.raise_descriptor_limit())
        self._lookout = Lookout(self.nursery, queues, settings.master.host_timeout)
        self._log = log
        self._burst = burst
        self._ended_badly = False  # a run of the burst
        self._session = secrets.token_hex(3)
        self._number = 0
        self._selector = selectors.DefaultSelector()
        self._births = Births(settings, queues, state, self.nursery, burst)
        self.templates = Templates(self)
        self._control = Control(state.socket, settings.master.socket_mode, self._selector, self._answer)
        self._liaison = Liaison(self.nursery, self._log)
        self._adoption = Adoption(state.boards, self._selector, self._liaison, self._log)
        self._stop_clients: list[Client] = []
        self._asked_at = float("-inf")
        self.was_ready = False

    def run(self) -> int:
        """Keep everything running until asked to stop; return the exit code."""
        kernel.become_subreaper()
        self._catch_signals()
        self._adoption.adopt(survivors(self.state), self.settings)
        self._log.info("started", pid=os.getpid(), config=self.settings.file, queues=",".join(self.queues))
        while not (decision := self._act()).finished:
            self._wait(decision.wake_at)
        answer = {"v": 1, "stopped": sorted(self.queues), "killed": self.news.killed}
        for client in self._stop_clients:
            self._control.reply(client, answer)
        self._control.close()
        for late in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(late, signal.SIG_IGN)  # it stops already; the exit code shall say so
        self._log.info("stopped", killed=",".join(self.news.killed) or "none")
        leave_state_dir(self.state)
        return Exit.FAILED if self._ended_badly else Exit.OK

    # decide and act

    def _act(self) -> Decision:
        """Carry out what the plan wants until it wants nothing more."""
        for _ in range(100):
            decision = decide(self.wanted(), self.book, time.monotonic())
            if not decision.actions:
                return decision
            for action in decision.actions:
                self._carry_out(action)
        raise RuntimeError("the plan does not come to rest")  # a bug: better seen than looping for ever

    def wanted(self) -> Wanted:
        """Return what the configuration and the control verbs want."""
        # A burst needs a consumer once: a template would only be one process more.
        preloads = self._burst is None
        return wishes.wanted(self.settings, self.queues, self.phase, self.generation, preloads=preloads)

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
                self.note(events.Proved(pool, generation))

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""
        self.book = apply(self.book, event)

    def _fork(self, fork: Fork) -> None:
        self._number += 1
        id = f"{self.state.host}.{self._session}.{self._number}"
        child = Child(id, fork.pool, fork.index, fork.generation, time.monotonic(), awaits=fork.template)
        try:
            kept = self._births.make(id, fork)
        except OSError as error:
            self.fork_failed(fork.pool, str(error.strerror))
            return
        if fork.template:
            self.note(events.Ordered(child))
            self.templates.order(kept)
        else:
            self.note(events.Forked(child))
            self.watch(kept)

    def watch(self, kept: Kept) -> None:
        """Attend to a child that is there now, and let the scheduler know of it."""
        self._selector.register(kept.pidfd, selectors.EVENT_READ, lambda: self._bury(kept))
        self._selector.register(kept.lifeline, selectors.EVENT_READ, lambda: self._hear(kept))
        self._log.debug("forked", name=kept.name, pid=kept.pid)
        if kept.pool == SCHEDULER:
            self._liaison.brief()
            self._lookout.soon(time.monotonic())
        elif kept.is_consumer:
            self._liaison.born(kept)

    def fork_failed(self, pool: str, why: str) -> None:
        """Note that no child could be made."""
        self.news.problem(pool, f"cannot fork: {why}; retried with back-off")
        delay_max = self._delay_max(pool)
        self.note(events.ForkFailed(pool, time.monotonic(), delay_max, random.random()))

    def _kill(self, kept: Kept, reason: Reason) -> None:
        if reason is Reason.TIMEOUT:
            if not self.nursery.kill_if_overdue(kept):
                self.note(events.Cleared(kept.id))
                return
            kept.detail = {"limit": "handle_timeout + kill_after"}
        else:
            if reason is Reason.MEMORY_HARD:
                kept.detail["limit"] = self.queues[kept.pool].max_memory_hard
                self.nursery.kill(kept)
            else:
                self.nursery.end(kept)
        self.note(events.KillSent(kept.id, reason))
        if kept.is_consumer and self.phase is not Phase.RUN:
            self.news.killed.append(kept.name)
        self._log.warning("killed", name=kept.name, pid=kept.pid, reason=reason)

    # wait and hear

    def _wait(self, wake_at: float | None) -> None:
        """Sleep until something happens or is due, then take note of all of it."""
        now = time.monotonic()
        # At most an hour: epoll takes no more than 24 days at once.
        moments = [wake_at, self._lookout.at, self._adoption.at, self._control.next_deadline(), now + 3600]
        due = min(at for at in moments if at is not None)
        for key, _ in self._selector.select(max(0.0, due - now)):
            still = self._selector.get_map().get(key.fd)
            if still is not None and still.data is key.data:  # one of the others may have ended it meanwhile
                key.data()
        self._control.drop_late()
        now = time.monotonic()
        if now >= self._lookout.at:
            for event in self._lookout.look(self.book, now):
                self.note(event)
        if now >= self._adoption.at:
            self._adoption.look(now)

    def _catch_signals(self) -> None:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(signum, lambda _signum, _frame: None)
        for ignored in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(ignored, signal.SIG_IGN)
        self._selector.register(read, selectors.EVENT_READ, lambda: self._signalled(os.read(read, 4096)))

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self.ask_to_stop(hard=False)
            elif number == signal.SIGQUIT:
                self.ask_to_stop(hard=True)
            elif number == signal.SIGHUP:
                self._log.warning("reload_not_available", hint="stop and start to apply changes")
            elif number == signal.SIGCHLD:
                self.nursery.sweep()

    def ask_to_stop(self, *, hard: bool) -> None:
        """Stop soft; the second time, or if `hard`, at once."""
        now = time.monotonic()
        if self.phase is Phase.RUN:
            self.phase = Phase.KILL if hard else Phase.STOP
        elif hard or now - self._asked_at >= _SECOND_SIGNAL:
            self.phase = Phase.KILL
        else:
            return
        self._asked_at = now
        self._log.info("stopping", how="now" if self.phase is Phase.KILL else "soft")

    def _hear(self, kept: Kept) -> None:
        hear: Callable[[Kept, dict[str, Any]], None] = self._hear_child
        if kept.pool == SCHEDULER:
            hear = self._hear_scheduler
        elif is_template(kept):
            hear = self.templates.hear
        for message in kept.lifeline.hear(most_fds=1 if is_template(kept) else 0):
            try:
                hear(kept, message)
            except (KeyError, ValueError, TypeError):  # user code may write there too
                self._log.warning("not_understood", name=kept.name, said=str(message)[:200])
        if kept.lifeline.ended:
            self._forget(kept.lifeline.fileno())  # it says no more; the pidfd will tell when it is dead

    def _hear_child(self, kept: Kept, message: dict[str, Any]) -> None:
        match message["say"]:
            case "loaded":
                self.note(events.Loaded(kept.id))
            case "ready":
                self.note(events.Ready(kept.id, time.monotonic()))
                self._lookout.soon(time.monotonic())
                self._note_ready(kept)
            case "worked":
                self.note(events.Worked(kept.id))
            case "spent":
                self.note(events.Spent(kept.id, Reason(message["reason"])))
            case "leaving":
                self.note(events.Leaving(kept.id, Reason(message["reason"])))
            case "bad_run":
                self._ended_badly = True
            case "finished":
                self.ask_to_stop(hard=False)
            case "import_error":
                kept.error = message["error"]
                self.news.problem(kept.pool, f"cannot import the application: {message['error']}")
            case "problem":
                self.news.problem(kept.pool, message["text"])
            case "solved":
                self.news.solved(kept.pool)
            case "repaired":
                self.news.repaired(Repair(message["kind"]), int(message["number"]))

    def _hear_scheduler(self, kept: Kept, message: dict[str, Any]) -> None:
        match message["say"]:
            case "counts":
                self.news.counts, self.news.counts_at = message["counts"], message["at"]
                self.news.solved("driver")
            case "problem":
                self.news.problem(message["about"], message["text"])
            case "solved":
                self.news.solved(message["about"])
            case "note":
                self.news.note([message["about"]], message["text"])
            case "who_lives":
                self._liaison.answer_who_lives(message["known"])
            case "reclaimed":
                self._liaison.reclaimed(message["consumer"])
            case "host_lost":
                self._take_new_identity(message["host"])
            case _:
                self._hear_child(kept, message)

    def _take_new_identity(self, lost: str) -> None:
        """Go on as another host: others have declared this one dead, and its consumers are Gone (law D6)."""
        if lost != self.state.host:
            return  # said by a scheduler that is being replaced for that
        self.news.host_lost = (lost, time.time())
        try:
            renew_host(self.state)
        except OSError as error:  # the next master will be told what this one was
            self.news.problem("state_dir", f"cannot write a new identity: {error.strerror}")
        self._log.warning("new_identity", lost=lost, host=self.state.host, why="others declared it dead")
        for kept in self.nursery.kept.values():
            if not is_template(kept):  # those work for nobody: each order says for whom
                self.note(events.Disowned(kept.id))

    def _note_ready(self, kept: Kept) -> None:
        self._log.debug("ready", name=kept.name, pid=kept.pid)
        if kept.is_consumer:
            self.news.solved(kept.pool)
        if not self.was_ready and all(self.ready_of(name) >= q.processes for name, q in self.queues.items()):
            self.was_ready = True
            seconds = time.monotonic() - self.started
            self._log.info("ready", consumers=sum(q.processes for q in self.queues.values()), seconds=seconds)

    def ready_of(self, pool: str) -> int:
        """Return how many children of a pool can work."""
        return sum(child.life is Life.READY for child in self.book.of(pool))

    # deaths

    def _bury(self, kept: Kept) -> None:
        """A pidfd says that a child is dead: hear its last words, reap it, have it reclaimed."""
        self._hear(kept)
        self._forget(kept.pidfd)
        self._forget(kept.lifeline.fileno())
        child = self.book.children[kept.id]
        exited = self.nursery.bury(kept)
        late = kept.overdue is not None and not child.killed
        reason = Reason.TIMEOUT if late else reason_of(exited, child.leaving, child.killed)
        if is_template(kept):
            self.templates.bury(kept, child, reason, exited)
        draw = random.random()
        self.note(events.Died(kept.id, time.monotonic(), reason, self._delay_max(kept.pool), draw))
        last = LastExit(reason, exited.code, exited.signal, time.time(), kept.error)
        self.news.last_exits[kept.name] = last
        if self.phase is Phase.RUN:
            self.news.restarts[kept.name] = self.news.restarts.get(kept.name, 0) + 1
        if reason in events.UNCAUSED:
            self._log.warning(
                "died",
                name=kept.name,
                pid=kept.pid,
                reason=reason,
                **exited.facts(),
                error=kept.error or None,
            )
        else:
            self._log.info("left", name=kept.name, pid=kept.pid, reason=reason)
        if kept.is_consumer:
            detail = {**kept.detail, **exited.facts()}
            cause = cause_of(reason, child.killed or late)
            self._liaison.died(Death(kept.id, kept.queues, cause, kept.overdue, detail))
            if self._burst is not None and cause is not Cause.STOPPED:
                self._ended_badly = True
                if self._burst.once or child.ready is None:
                    self.ask_to_stop(hard=False)

    # people

    def _answer(self, request: dict[str, Any], client: Client) -> dict[str, Any] | None:
        from procqueue.process.status import status

        match request.get("verb"):
            case "status":
                return status(self)
            case "stop":
                self._stop_clients.append(client)
                if request.get("now") or self.phase is Phase.RUN:  # asking softly twice is no haste
                    self.ask_to_stop(hard=bool(request.get("now")))
                return None
            case other:
                message = f"this master does not know the verb {other!r}"
                hint = "is the command newer than it?"
                return {"v": 1, "error": {"code": 2, "message": message, "hint": hint}}

    def _forget(self, fd: int) -> None:
        if self._selector.get_map().get(fd) is not None:
            self._selector.unregister(fd)

    def _delay_max(self, pool: str) -> float:
        forks_for = wishes.queues_by_template(self.settings, self.queues).get(pool, [pool])
        limits = [self.queues[name].restart_delay_max for name in forks_for if name in self.queues]
        return min(limits, default=5.0)
