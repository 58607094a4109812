"""The master's side of the templates: orders go out one by one, what they say goes into the book (law S3).

A template's failure is told of every queue that it forks for. Their consumers run on: they need it only to
be replaced. The other side: template.py.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Any, Protocol

from procqueue.core import events
from procqueue.core.book import Book
from procqueue.core.events import Child, Reason
from procqueue.core.units import format_seconds
from procqueue.core.wanted import Phase
from procqueue.process.intent import Intent
from procqueue.process.news import News
from procqueue.process.nursery import Exited, Kept, Nursery
from procqueue.process.output import Output
from procqueue.process.pools import TEMPLATE
from procqueue.process.reloads import Reloads
from procqueue.process.stacks import Stacks
from procqueue.process.statedir import StateDir


class Master(Protocol):
    """What the templates need of their master."""

    intent: Intent
    reloads: Reloads
    output: Output
    book: Book
    news: News
    nursery: Nursery
    stacks: Stacks
    state: StateDir

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""

    def watch(self, kept: Kept) -> None:
        """Attend to a child that is there now."""

    def fork_failed(self, pool: str, why: str) -> None:
        """Note that no child could be made."""


class Templates:
    """What the master knows of its templates beside the book."""

    def __init__(self, master: Master) -> None:
        self._master = master
        # By template: whom it is to fork. Only the first is told to it: it forks one after the other anyway,
        # and a socket holds only so much.
        self._orders: dict[str, deque[Kept]] = {}

    def order(self, kept: Kept) -> None:
        """Have a child forked by the template that it awaits."""
        orders = self._orders.setdefault(kept.awaits, deque())
        orders.append(kept)
        if len(orders) == 1:
            self._send(orders)

    def hear(self, template: Kept, message: dict[str, Any]) -> None:
        """Take note of what a template says."""
        try:
            self._hear(template, message)
        finally:
            for fd in message["fds"]:
                os.close(fd)

    def bury(self, template: Kept, child: Child, reason: Reason, exited: Exited) -> None:
        """Note the death of a template: that its orders are void, and why it never came to serve."""
        self._orders.pop(template.id, None)
        for kept in [kept for kept in self._master.nursery.kept.values() if kept.awaits == template.id]:
            self._void(kept)
        if (
            reason not in events.UNCAUSED
            or child.ready is not None
            or self._master.intent.phase is not Phase.RUN
        ):
            return
        if child.loaded:
            self._unfit(
                template, f"a process that had imported it died before it could fork: {exited.words()}"
            )
        elif reason is not Reason.IMPORT_ERROR:
            self._fails(template, self._why(template, reason, exited))

    def queues_of(self, template: Kept) -> list[str]:
        """Return the queues whose consumers it forks."""
        return self._master.intent.templates().get(template.pool, [])

    def _hear(self, template: Kept, message: dict[str, Any]) -> None:
        master = self._master
        match message["say"]:
            case "loaded":
                master.note(events.Loaded(template.id))
            case "ready":
                if message["left"]:
                    self._unfit(template, f"its import leaves behind: {_list(message['left'])}")
                master.note(events.Ready(template.id, time.monotonic()))
                generation = master.book.children[template.id].generation
                for queue in self.queues_of(template):
                    if master.intent.generation_of(queue)[0] == generation:
                        master.news.solved(queue)
            case "code":
                master.reloads.hear(template, message)
            case "import_error":
                template.error = message["error"]
                self._fails(template, message["error"])
            case "leaving":
                master.note(events.Leaving(template.id, Reason(message["reason"])))
            case "born" if kept := self._answered(template, message):
                self._born(kept, message)
            case "unborn" if kept := self._answered(template, message):
                master.fork_failed(kept.pool, message["error"])
                self._void(kept)
            case "unfit" if kept := self._answered(template, message):
                self._unfit(template, f"there are threads in its process: {_list(message['left'])}")
                self._void(kept)

    def _answered(self, template: Kept, message: dict[str, Any]) -> Kept | None:
        """Return whom the answer is about, and send the next order."""
        orders = self._orders.get(template.id)
        if not orders or orders[0].id != message["consumer"]:
            return None
        kept = orders.popleft()
        if orders:
            self._send(orders)
        return kept

    def _send(self, orders: deque[Kept]) -> None:
        """Tell the first order. If it does not arrive, the template is killed for its silence."""
        kept = orders[0]
        child = self._master.book.children[kept.id]
        template = self._master.nursery.kept[kept.awaits]
        template.lifeline.say(
            "fork", consumer=kept.id, host=self._master.state.host_at(kept.driver), pool=kept.pool,
            index=kept.index, generation=child.generation, handed=kept.handed, fds=kept.theirs,
        )  # fmt: skip
        kept.hand_on()

    def _born(self, kept: Kept, message: dict[str, Any]) -> None:
        master = self._master
        if not message["fds"]:  # the kernel drops what there is no room for
            master.fork_failed(kept.pool, "too many open files")
            self._void(kept)  # it sees the end of its lifeline before it has begun
            return
        master.nursery.born(kept, message["pid"], message["fds"].pop())
        master.note(events.Born(kept.id, time.monotonic()))
        master.watch(kept)
        # Only now: master and scheduler know of it. And it knows what is paused before it takes anything.
        kept.lifeline.say("go", paused=sorted(master.intent.wishes.paused))
        child = master.book.children[kept.id]
        if child.killed:
            master.nursery.kill(kept)
        elif child.leaving is not None:
            master.nursery.stop(kept)

    def _void(self, kept: Kept) -> None:
        self._master.nursery.unborn(kept)
        self._master.output.forget(kept.id)
        self._master.stacks.forget(kept)
        self._master.note(events.Unborn(kept.id))

    def _unfit(self, template: Kept, why: str) -> None:
        """Note that only those use it who insist."""
        master = self._master
        generation = master.book.children[template.id].generation
        master.note(events.Unfit(template.pool, generation))
        queues = self.queues_of(template)
        insist = [name for name in queues if master.intent.queues[name].preload == "always"]
        others = [name for name in queues if name not in insist]
        if insist:
            master.news.note(insist, f"preload = true, so all consumers share what they should not: {why}")
        if others:
            text = f"each consumer imports the application for itself (preload does not pay): {why}"
            master.news.note(others, text)

    def _fails(self, template: Kept, why: str) -> None:
        for queue in self.queues_of(template):
            self._master.news.problem(queue, f"cannot import the application: {why}")

    def _why(self, template: Kept, reason: Reason, exited: Exited) -> str:
        if reason is Reason.START_TIMEOUT:
            pool = next(p for p in self._master.intent.wanted().pools if p.name == template.pool)
            return f"it was not imported within start_timeout = {format_seconds(pool.start_timeout)}"
        return f"it died: {exited.words()}"


def is_template(kept: Kept) -> bool:
    """True if it forks others."""
    return kept.pool.startswith(TEMPLATE)


def _list(found: list[str]) -> str:
    shown = [str(one) for one in found]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
