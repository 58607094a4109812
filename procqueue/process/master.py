"""The master: the one parent process. A loop of three steps: decide, act, wait (law S1, S2).

It forks and reaps, and decides nothing itself: core/plan.py does. It never imports the application, never
opens a driver, never blocks, and has one thread. It wakes on signals, deaths (pidfds), lifelines and the
control socket, else sleeps to the next deadline. How a child is made and ended: nursery.py.
"""

from __future__ import annotations

import os
import random
import secrets
import selectors
import signal
import time
from typing import Any

from procqueue.core import book as events
from procqueue.core.book import Book, Child, Life, Reason, apply
from procqueue.core.exits import Exit
from procqueue.core.fate import Cause
from procqueue.core.plan import Decision, Fork, Kill, Phase, Pool, Prove, Stop, Wanted, decide
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process import kernel
from procqueue.process.consumer.burst import Burst
from procqueue.process.control import Client, Control
from procqueue.process.liaison import SCHEDULER, Adoption, Liaison
from procqueue.process.log import Log
from procqueue.process.lookout import Lookout
from procqueue.process.news import LastExit, News
from procqueue.process.nursery import Kept, Nursery, cause_of, reason_of
from procqueue.process.reclaim import Death
from procqueue.process.statedir import StateDir, leave_state_dir, renew_host, survivors

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
        self._poke = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._control = Control(state.socket, settings.master.socket_mode, self._selector, self._answer)
        self._liaison = Liaison(self.nursery, self._log)
        self._adoption = Adoption(self._selector, self._liaison, self._log)
        self._stop_clients: list[Client] = []
        self._asked_at = float("-inf")
        self.was_ready = False

    def run(self) -> int:
        """Keep everything running until asked to stop; return the exit code."""
        kernel.become_subreaper()
        self._catch_signals()
        graces = [queue.effective_grace(self.settings.master.grace) for queue in self.queues.values()]
        self._adoption.adopt(survivors(self.state), max(graces, default=25.0))
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
        grace = self.settings.master.grace
        pools = [
            Pool(
                name,
                queue.processes,
                surge=queue.surge,
                start_timeout=queue.start_timeout,
                start_seconds=queue.start_seconds,
                grace=queue.effective_grace(grace),
            )
            for name, queue in self.queues.items()
        ]
        return Wanted((*pools, Pool(SCHEDULER, 1, surge=0, start_timeout=0.0, last=True)), self.phase)

    def _carry_out(self, action: Fork | Stop | Kill | Prove) -> None:
        match action:
            case Fork(pool, index, generation):
                self._fork(pool, index, generation)
            case Stop(id, reason, stop_by):
                self.nursery.stop(self.nursery.kept[id])
                self._note(events.StopSent(id, reason, stop_by))
            case Kill(id, reason):
                self._kill(self.nursery.kept[id], reason)
            case Prove(pool, generation):
                self._note(events.Proved(pool, generation))

    def _note(self, event: events.Event) -> None:
        self.book = apply(self.book, event)

    def _fork(self, pool: str, index: int, generation: int) -> None:
        self._number += 1
        id = f"{self.state.host}.{self._session}.{self._number}"
        now = time.monotonic()
        try:
            if pool == SCHEDULER:
                kept = self._fork_scheduler(id)
            else:
                kept = self._fork_consumer(id, pool, index, generation)
        except OSError as error:
            self.news.problem(pool, f"cannot fork: {error.strerror}; retried with back-off")
            self._note(events.ForkFailed(pool, now, self._delay_max(pool), random.random()))
            return
        self._note(events.Forked(Child(id, pool, index, generation, now)))
        self._selector.register(kept.pidfd, selectors.EVENT_READ, lambda: self._bury(kept))
        self._selector.register(kept.lifeline, selectors.EVENT_READ, lambda: self._hear(kept))
        self._log.debug("forked", name=kept.name, pid=kept.pid)
        if pool == SCHEDULER:
            self._liaison.brief()
            self._lookout.soon(now)
        else:
            self._liaison.born(kept)

    def _fork_consumer(self, id: str, pool: str, index: int, generation: int) -> Kept:
        from procqueue.process.consumer.main import Consumer, Identity

        queue = self.queues[pool]
        identity = Identity(id, self.state.host, pool, index, generation)
        return self.nursery.fork(
            id, pool, index, queue.serves,
            lambda lifeline: Consumer(
                self.settings, queue, identity, self.state.boards, lifeline, self._poke, self._burst
            ).run(),
            parent_death=signal.SIGTERM, keep=(self._poke,),
        )  # fmt: skip

    def _fork_scheduler(self, id: str) -> Kept:
        from procqueue.process.scheduler import Scheduler

        return self.nursery.fork(
            id, SCHEDULER, 0, (),
            lambda lifeline: Scheduler(
                self.settings, id, self.state.host, self.state.boards, lifeline, self._poke
            ).run(),
            parent_death=None, keep=(self._poke,),
        )  # fmt: skip

    def _kill(self, kept: Kept, reason: Reason) -> None:
        if reason is Reason.TIMEOUT:
            if not self.nursery.kill_if_overdue(kept):
                self._note(events.Cleared(kept.id))
                return
            kept.detail = {"limit": "handle_timeout + kill_after"}
        else:
            if reason is Reason.MEMORY_HARD:
                kept.detail["limit"] = self.queues[kept.pool].max_memory_hard
            self.nursery.kill(kept)
        self._note(events.KillSent(kept.id, reason))
        if kept.pool != SCHEDULER and self.phase is not Phase.RUN:
            self.news.killed.append(kept.name)
        self._log.warning("killed", name=kept.name, pid=kept.pid, reason=reason)

    # wait and hear

    def _wait(self, wake_at: float | None) -> None:
        """Sleep until something happens or is due, then take note of all of it."""
        now = time.monotonic()
        # At most an hour: epoll takes no more than 24 days at once.
        moments = [wake_at, self._lookout.at, self._adoption.until, self._control.next_deadline(), now + 3600]
        due = min(at for at in moments if at is not None)
        for key, _ in self._selector.select(max(0.0, due - now)):
            still = self._selector.get_map().get(key.fd)
            if still is not None and still.data is key.data:  # one of the others may have ended it meanwhile
                key.data()
        self._control.drop_late()
        now = time.monotonic()
        if now >= self._lookout.at:
            for event in self._lookout.look(self.book, now):
                self._note(event)
        if now >= self._adoption.until:
            self._adoption.kill_late()

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
        hear = self._hear_scheduler if kept.pool == SCHEDULER else self._hear_child
        for message in kept.lifeline.hear():
            try:
                hear(kept, message)
            except (KeyError, ValueError, TypeError):  # user code may write there too
                self._log.warning("not_understood", name=kept.name, said=str(message)[:200])
        if kept.lifeline.ended:
            self._forget(kept.lifeline.fileno())  # it says no more; the pidfd will tell when it is dead

    def _hear_child(self, kept: Kept, message: dict[str, Any]) -> None:
        match message["say"]:
            case "loaded":
                self._note(events.Loaded(kept.id))
            case "ready":
                self._note(events.Ready(kept.id, time.monotonic()))
                self._lookout.soon(time.monotonic())
                self._note_ready(kept)
            case "worked":
                self._note(events.Worked(kept.id))
            case "spent":
                self._note(events.Spent(kept.id, Reason(message["reason"])))
            case "leaving":
                self._note(events.Leaving(kept.id, Reason(message["reason"])))
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

    def _hear_scheduler(self, kept: Kept, message: dict[str, Any]) -> None:
        match message["say"]:
            case "counts":
                self.news.counts, self.news.counts_at = message["counts"], message["at"]
                self.news.solved("driver")
            case "problem":
                self.news.problem(message["about"], message["text"])
            case "solved":
                self.news.solved(message["about"])
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
        for id in self.book.children:
            self._note(events.Disowned(id))

    def _note_ready(self, kept: Kept) -> None:
        self._log.debug("ready", name=kept.name, pid=kept.pid)
        if kept.pool != SCHEDULER:
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
        reason = reason_of(exited, child.leaving, child.killed)
        draw = random.random()
        self._note(events.Died(kept.id, time.monotonic(), reason, self._delay_max(kept.pool), draw))
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
        if kept.pool != SCHEDULER:
            detail = {**kept.detail, **exited.facts()}
            cause = cause_of(reason, child.killed)
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
        return self.queues[pool].restart_delay_max if pool in self.queues else 5.0
