"""What children say on their lifelines, and what the master makes of it: events, and news for people."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from procqueue.core import events
from procqueue.core.book import Book
from procqueue.core.events import Reason
from procqueue.core.names import Targets
from procqueue.core.repairs import Repair
from procqueue.process.autoscaling import Autoscaling
from procqueue.process.everywhere import RestartMarks
from procqueue.process.intent import Intent
from procqueue.process.liaison import Liaison
from procqueue.process.log import Log
from procqueue.process.lookout import Lookout
from procqueue.process.news import News, Sample
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.output import Output
from procqueue.process.pools import LOGGER, WATCHER, WEB, is_scheduler
from procqueue.process.reloads import Reloads
from procqueue.process.statedir import StateDir, renew_host
from procqueue.process.templates import Templates, is_template

#: What news of the dashboard are about; no queue can have that name.
_WEB_NEWS = "[web]"


class Master(Protocol):
    """What hearing needs of the master."""

    intent: Intent
    book: Book
    state: StateDir
    news: News
    nursery: Nursery
    templates: Templates
    reloads: Reloads
    lookout: Lookout
    liaison: Liaison
    autoscaling: Autoscaling
    output: Output
    log: Log
    started: float  # monotonic
    ended_badly: bool

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""

    def forget(self, fd: int) -> None:
        """Attend to a descriptor no more."""

    def ask_to_stop(self, *, hard: bool) -> None:
        """Stop soft; the second time, or if `hard`, at once."""


class Hearing:
    """The ears of one master."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._restart_marks = RestartMarks()

    def hear(self, kept: Kept) -> None:
        """Take note of everything that a child has said."""
        hear: Callable[[Kept, dict[str, Any]], None] = self._child
        if is_scheduler(kept.pool):
            hear = self._scheduler
        elif kept.pool == LOGGER:
            hear = self._logger
        elif is_template(kept):
            hear = self._master.templates.hear
        for message in kept.lifeline.hear(most_fds=1 if is_template(kept) else 0):
            try:
                hear(kept, message)
            except (KeyError, ValueError, TypeError):  # user code may write there too
                self._master.log.warning("not_understood", name=kept.name, said=str(message)[:200])
        if kept.lifeline.ended:
            self._master.forget(
                kept.lifeline.fileno()
            )  # it says no more; the pidfd will tell when it is dead
            self._end_of_news(kept)

    def _child(self, kept: Kept, message: dict[str, Any]) -> None:
        match message["say"]:
            case "loaded":
                self._master.note(events.Loaded(kept.id))
            case "ready":
                self._master.note(events.Ready(kept.id, time.monotonic()))
                self._master.lookout.soon(time.monotonic())
                self._note_ready(kept)
            case "worked":
                self._master.note(events.Worked(kept.id))
            case "spent":
                self._master.note(events.Spent(kept.id, Reason(message["reason"])))
            case "leaving":
                self._master.note(events.Leaving(kept.id, Reason(message["reason"])))
            case "code" | "looked" | "changed":
                self._master.reloads.hear(kept, message)
            case "bad_run":
                self._master.ended_badly = True
            case "finished":
                self._master.ask_to_stop(hard=False)
            case _:
                self._news(kept, message)

    def _news(self, kept: Kept, message: dict[str, Any]) -> None:
        news = self._master.news
        match message["say"]:
            case "import_error":
                kept.error = message["error"]
                news.problem(kept.pool, f"cannot import the application: {message['error']}")
            case "problem":
                news.problem(_WEB_NEWS if kept.pool == WEB else kept.pool, message["text"])
            case "solved":
                news.solved(_WEB_NEWS if kept.pool == WEB else kept.pool)
            case "note" if kept.pool == WATCHER:
                news.note(["reload"], message["text"])
            case "repaired":
                news.repaired(Repair(message["kind"]), int(message["number"]))

    def _logger(self, kept: Kept, message: dict[str, Any]) -> None:
        if message["say"] == "ready":
            self._child(kept, message)
        else:
            self._master.output.hear(message)

    def _scheduler(self, kept: Kept, message: dict[str, Any]) -> None:
        match message["say"]:
            case "counts":
                self._master.news.sampled(kept.pool, Sample.of(message, partial(self._is_at, kept.driver)))
                self._restart_marked(kept.driver, message["restarts"])
                self._master.autoscaling.look(kept.driver)
                self._master.news.solved(_about(kept, "driver"))
            case "problem":
                self._master.news.problem(_about(kept, message["about"]), message["text"])
            case "solved":
                self._master.news.solved(_about(kept, message["about"]))
            case "note":
                self._master.news.note([_about(kept, message["about"])], message["text"])
            case "who_lives":
                self._master.liaison.answer_who_lives(kept, message["known"])
            case "reclaimed":
                self._master.liaison.reclaimed(message["consumer"])
            case "reload_left":
                self._master.liaison.reload_left(message["queue"], message["generation"])
            case "host_lost":
                self._take_new_identity(kept.driver, message["host"])
            case _:
                self._child(kept, message)

    def _is_at(self, driver: str, queue: str) -> bool:
        """Return whether a queue is stored at a driver; one that was moved is no more at its former one."""
        known = self._master.intent.settings.queues.get(queue)
        return known is not None and known.driver == driver

    def _restart_marked(self, driver: str, marks: dict[str, Any]) -> None:
        """Restart the queues for which somebody asked all hosts."""
        marks = {queue: mark for queue, mark in marks.items() if self._is_at(driver, queue)}
        fresh = self._restart_marks.fresh(marks, time.monotonic() - self._master.started)
        queues = tuple(queue for queue in fresh if queue in self._master.intent.queues)
        if queues:
            self._master.log.info("restart", queues=",".join(queues), why="asked of all hosts")
            self._master.intent.refresh(Targets(queues, ()), Reason.RESTART)

    def _take_new_identity(self, driver: str, lost: str) -> None:
        """Go on as another host where others declared this one dead, and its consumers are Gone (law D6)."""
        if lost != self._master.state.host_at(driver):
            return  # said by a scheduler that is being replaced for that
        self._master.news.host_lost = (lost, time.time())
        try:
            renew_host(self._master.state, driver)
        except OSError as error:  # the next master will be told what this one was
            self._master.news.problem("state_dir", f"cannot write a new identity: {error.strerror}")
        self._master.log.warning(
            "new_identity", lost=lost, host=self._master.state.host_at(driver), driver=driver or None,
            why="others declared it dead",
        )  # fmt: skip
        for kept in self._master.nursery.kept.values():
            # Of all others nobody knows of hosts; a template is told with each order.
            if kept.driver == driver and (kept.is_consumer or is_scheduler(kept.pool)):
                self._master.note(events.Disowned(kept.id))

    def _end_of_news(self, kept: Kept) -> None:
        """Forget what a dashboard told, and a scheduler whose driver nobody wants any more."""
        if kept.pool == WEB:
            self._master.news.solved(_WEB_NEWS)  # its successor says anew what is wrong
        wanted = {pool.name for pool in self._master.intent.wanted().pools}
        if is_scheduler(kept.pool) and kept.pool not in wanted:
            self._master.news.sampled(kept.pool, None)
            self._master.news.solved(_about(kept, "driver"))
            self._master.news.solved(_about(kept, "store"))

    def _note_ready(self, kept: Kept) -> None:
        self._master.log.debug("ready", name=kept.name, pid=kept.pid)
        if kept.pool == WATCHER:
            self._master.reloads.watched()
        # One of the old code says nothing of what is wrong with the new.
        wanted, _ = self._master.intent.generation_of(kept.pool)
        if kept.is_consumer and self._master.book.children[kept.id].generation == wanted:
            self._master.news.solved(kept.pool)


def _about(scheduler: Kept, about: str) -> str:
    """Return what a scheduler's news are about, in words that tell its driver from others."""
    return f"{about} {scheduler.driver}" if scheduler.driver and about in ("driver", "store") else about
