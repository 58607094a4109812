"""Reloads: what differs between what runs and what the disk says now is applied, and nothing else (law S1).

Configuration is compared in the master (core/changes.py); code in a child, the inspector (code.py). Both only
change what is wanted: the plan replaces who is outdated, and keeps the old until the new has proved itself.
In development the watcher (watcher.py) says that files have changed, and nothing needs to be compared again.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from procqueue.core import events
from procqueue.core.book import Book
from procqueue.core.changes import Change
from procqueue.core.errors import ConfigError
from procqueue.core.events import Reason
from procqueue.core.names import Targets
from procqueue.core.settings.model import Settings
from procqueue.process.code import Code, Look
from procqueue.process.container import fitted
from procqueue.process.intent import Intent
from procqueue.process.liaison import Liaison
from procqueue.process.log import Log
from procqueue.process.news import News
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.output import Output
from procqueue.process.pools import WATCHER, WEB, is_scheduler
from procqueue.process.rights import lets_others_pass
from procqueue.process.statedir import StateDir, let_pass


class Master(Protocol):
    """What reloads need of their master."""

    intent: Intent
    book: Book
    liaison: Liaison
    news: News
    nursery: Nursery
    log: Log
    output: Output
    state: StateDir
    was_ready: bool

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""


class Reloads:
    """Applies changes for one master."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self.code = Code()
        self.begun = 0  # reloads so far
        self._unsure = False  # files may have changed while nobody watched

    def read(self) -> Settings:
        """Read the configuration again. Raises ConfigError."""
        from procqueue.config import load

        settings = load(self._master.intent.settings.file, dict(os.environ))
        if settings.crons:  # else nothing of the drivers is imported where there are only programs
            from procqueue.process.crontab import refuse_bad_crons

            refuse_bad_crons(settings)
        return fitted(settings, os.environ)

    def begin(self) -> None:
        """Let it be known that a reload has begun; it ends with the last look."""
        self.begun += 1

    def from_file(self) -> None:
        """Apply what differs, of configuration and code (SIGHUP). A bad file changes nothing."""
        self.begin()
        if self._configure():
            self.look()

    def _configure(self) -> bool:
        """Apply what differs of the configuration; False if it cannot be used, and changed nothing."""
        news = self._master.news
        try:
            self.apply(self.read())
        except ConfigError as error:
            news.problem("configuration", f"not applied: {error}")
            return False
        return True

    def apply(self, new: Settings) -> list[Change]:
        """Want what a new configuration says; return what differs."""
        intent = self._master.intent
        watched = (intent.settings.files, intent.settings.reload)
        before = intent.queues.keys()
        if lets_others_pass(new):
            self._master.state.passable = True
            with contextlib.suppress(OSError):  # then the new consumers say what they may not open
                let_pass(self._master.state.path)
        found = intent.apply(new)
        for name in intent.queues.keys() - before:
            if name in self._master.book.proved:  # one that was there before is not wanted as it was
                self._master.note(events.Proved(name, intent.generation_of(name)[0]))
        if watched != (intent.settings.files, intent.settings.reload):
            self._renew(WATCHER.__eq__)
        self._master.news.solved("configuration")
        for change in found:
            self._master.log.info("reload", change=change.words())
        if any(change.table.startswith(("queues.", "cron.")) for change in found):
            self._renew(is_scheduler)  # they shall know the queues as they are now
        if found:  # its pages show the queues and their settings
            self._renew(WEB.__eq__)
        if any(change.table == "logging" for change in found):
            self._master.output.renew()
        return found

    def proved(self, pool: str, generation: int) -> None:
        """Note that a generation stands; of a queue whose code or settings are new by now, listeners hear."""
        self._master.note(events.Proved(pool, generation))
        intent = self._master.intent
        if (
            pool in intent.queues
            and generation > 1
            and (generation, Reason.RELOAD) == intent.generation_of(pool)
        ):
            self._master.liaison.reloaded(intent.queues[pool].driver, pool, generation)

    def look(self) -> Look:
        """Have the code that runs compared with the disk; whoever has other code is replaced."""
        self.code.forget_all_but({*self._master.intent.templates(), *self._master.intent.queues})
        look = Look()
        self.code.looks.append(look)
        self._master.intent.looks += 1
        return look

    def hear(self, kept: Kept, message: dict[str, Any]) -> None:
        """Take note of what was imported, or of what has changed since."""
        match message["say"]:
            case "code":
                self.code.learn(kept.pool, message["files"], more=message["more"])
            case "looked":
                self._compared(message["pools"], message["files"])
            case "changed":
                self._changed(message["code"], message["number"], config=message["config"])

    def watched(self) -> None:
        """Compare once: files may have changed before the watcher stood, and while there was none."""
        self._unsure = True
        self.settle()

    def settle(self) -> None:
        """Make that comparison when all have told what they import: who has not would be replaced."""
        if self._unsure and self._master.was_ready:
            self._unsure = False
            self.look()

    def _changed(self, code: list[str], number: int, *, config: bool) -> None:
        """Apply what the watcher has seen: new consumers, and programs that have a `target`."""
        # Python takes compiled code for that of a file of the same size and second: none is left behind by
        # those who import from now on.
        sys.dont_write_bytecode = True
        if config:
            self._configure()
        if not code:
            return
        intent = self._master.intent
        callables = [copy for p in intent.programs.values() if p.target for copy in intent.copies(p)]
        intent.refresh(Targets(tuple(intent.queues), tuple(callables)), Reason.RELOAD)
        self._master.log.info("code_changed", files=",".join(code), number=number)

    def _compared(self, changed: list[str], files: list[str]) -> None:
        intent = self._master.intent
        forks_for = intent.templates()
        stale = {queue for pool in changed for queue in forks_for.get(pool, [pool])}
        # Who never told what it imports does not run yet: it may be what the change is to mend.
        silent = {queue for queue in intent.queues if not self._is_known(queue, forks_for)}
        fresh = tuple(queue for queue in intent.queues if queue in stale | silent)
        intent.refresh(Targets(queues=fresh), Reason.RELOAD)
        if fresh:
            self._master.log.info("code_changed", files=",".join(files), queues=",".join(fresh))
        for look in self.code.looks:
            look.done, look.changed = True, files
        self.code.looks.clear()

    def _is_known(self, queue: str, forks_for: dict[str, list[str]]) -> bool:
        templates = [pool for pool, queues in forks_for.items() if queue in queues]
        return any(self.code.knows(pool) for pool in (queue, *templates))

    def _renew(self, meant: Callable[[str], bool]) -> None:
        """Have other children of our own, with the settings of now, in the pools that are meant."""
        for kept in self._master.nursery.kept.values():
            if meant(kept.pool):
                self._master.note(events.Spent(kept.id, Reason.RELOAD))
