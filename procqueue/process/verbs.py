"""The verbs of the control socket: each changes what is wanted, or tells what is; none does anything itself.

Nothing is refused because something else is under way. Who asked to hear when it is done gets the answer
once the plan has come to rest there. Next to read: intent.py (what is wanted), the verbs of cli/.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from procqueue.core.changes import Need
from procqueue.core.errors import ConfigError
from procqueue.core.events import Life, Reason
from procqueue.core.exits import Exit
from procqueue.core.names import NoSuchName, Targets, resolve
from procqueue.core.programs import rest_of
from procqueue.core.units import seconds
from procqueue.core.wanted import Phase, Pool
from procqueue.process import kernel
from procqueue.process.control import Client, Control
from procqueue.process.news import moment
from procqueue.process.nursery import Kept
from procqueue.process.pauses import Pauses
from procqueue.process.reloads import Reloads
from procqueue.process.stacks import Stacks
from procqueue.process.status import Described, health, paused_here, status
from procqueue.process.status_named import narrowed

Document = dict[str, Any]
#: As many processes of one kind as the configuration allows too.
_MOST = 10_000


class Master(Described, Protocol):
    """What the verbs need of their master, beside what `status` tells of it."""

    control: Control
    reloads: Reloads
    stacks: Stacks
    pauses: Pauses

    def ask_to_stop(self, *, hard: bool) -> None:
        """Stop soft; the second time, or if `hard`, at once."""

    def kill_by_hand(self, kept: Kept) -> None:
        """End a child at once, because somebody asked for that."""


@dataclass(slots=True)
class _Waiting:
    """A client that hears the answer once `done` says so."""

    client: Client
    done: Callable[[], bool]
    answer: Callable[[], Document]


@dataclass(slots=True)
class Verbs:
    """Answers the clients of one master."""

    master: Master
    _waiting: list[_Waiting] = field(default_factory=list)

    def answer(self, request: Document, client: Client) -> Document | None:
        """Return the answer to a request; None if it is given later."""
        verbs: dict[str, Callable[[Document, Client], Document | None]] = {
            "status": self._status, "health": self._health, "stop": self._stop, "start": self._start,
            "restart": self._restart, "reload": self._reload, "scale": self._scale, "signal": self._signal,
            "stacks": self._stacks,
            "pause": self._pause, "resume": self._resume,
        }  # fmt: skip
        verb = verbs.get(str(request.get("verb")))
        if verb is None:
            text = f"this master does not know the verb {request.get('verb')!r}"
            return error(Exit.USAGE, text, "is the command newer than it?")
        try:
            return verb(request, client)
        except NoSuchName as unknown:
            return _no_such_name(unknown, self.master)
        except OSError as failed:
            text = f"the wish cannot be kept in state_dir: {failed.strerror}"
            return error(Exit.FAILED, text, "it holds until this master ends")
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as wrong:
            # Whoever wrote it may be of another version. It must not end the master.
            text = f"this master does not understand the request: {type(wrong).__name__}: {wrong}"
            return error(Exit.USAGE, text, "is the command of another version than it?")

    def settle(self) -> None:
        """Answer those whose wish has come true."""
        for one in [one for one in self._waiting if one.done()]:
            self._waiting.remove(one)
            self.master.control.reply(one.client, one.answer())

    def end(self) -> None:
        """Answer everybody: the master leaves."""
        for one in self._waiting:
            self.master.control.reply(one.client, one.answer())

    def _when(self, client: Client, done: Callable[[], bool], answer: Callable[[], Document]) -> None:
        self._waiting.append(_Waiting(client, done, answer))

    # what is

    def _status(self, request: Document, _client: Client) -> Document:
        document = status(self.master)
        if names := request.get("names"):
            return narrowed(document, list(map(str, names)), self.master.intent.settings.groups)
        return document

    def _health(self, _request: Document, _client: Client) -> Document:
        return health(self.master)

    def _stacks(self, request: Document, client: Client) -> None:
        targets = self._targets(request)
        meant = (*targets.queues, *targets.copies)
        children = [k for k in self.master.nursery.kept.values() if k.pool in meant and k.pid]
        self.master.stacks.ask(
            children, lambda found: self.master.control.reply(client, {"v": 1, "stacks": found})
        )

    # what is wanted

    def _stop(self, request: Document, client: Client) -> None:
        master = self.master
        now = bool(request.get("now"))
        if not request.get("names"):
            names = [*master.intent.queues, *master.intent.programs]
            self._when(
                client,
                lambda: False,
                lambda: {"v": 1, "stopped": sorted(names), "killed": master.news.killed},
            )
            if now or master.intent.phase is Phase.RUN:  # asking softly twice is no haste
                master.ask_to_stop(hard=now)
            return
        targets = self._targets(request)
        found = (*targets.queues, *targets.copies)
        already = [name for name in found if not master.book.of(name)]
        master.intent.wishes.set("stopped", found)
        killed: list[str] = []
        if now:
            for kept in list(master.nursery.kept.values()):
                if kept.pool in found:
                    killed.append(kept.name)
                    master.kill_by_hand(kept)
        self._when(
            client,
            lambda: not any(master.book.of(name) for name in found),
            lambda: {"v": 1, "stopped": list(found), "already": already, "killed": killed},
        )

    def _start(self, request: Document, client: Client) -> None:
        intent, book = self.master.intent, self.master.book
        targets = self._targets(request)
        found = (*targets.queues, *targets.copies)
        already = [name for name in found if book.of(name) and name not in intent.wishes.stopped]
        intent.wishes.drop("stopped", found)
        intent.wishes.set("started", tuple(c for c in targets.copies if not self._program_of(c).autostart))
        pools = {pool.name: pool for pool in intent.wanted().pools}
        resting = tuple(copy for copy in targets.copies if rest_of(pools[copy], book) is not None)
        intent.refresh(Targets(copies=resting), Reason.RESTART)
        started = [name for name in found if name not in already]
        self._when(
            client,
            lambda: self._run(targets),
            lambda: self._account(targets, started=started, already=already),
        )

    def _restart(self, request: Document, client: Client) -> None:
        targets = self._targets(request)
        self.master.intent.refresh(targets, Reason.RESTART)
        done = self._are_fresh if request.get("wait") else self._run
        names = [*targets.queues, *targets.copies]
        self._when(client, lambda: done(targets), lambda: self._account(targets, restarted=names))

    def _reload(self, request: Document, client: Client) -> Document | None:
        intent = self.master.intent
        try:
            new = self.master.reloads.read()
        except ConfigError as bad:
            return _bad_configuration(bad)
        if request.get("plan"):
            from procqueue.core.changes import changes

            found = changes(intent.settings, new)
            return {"v": 1, "changes": [_change(one) for one in found], "by_hand": self._by_hand()}
        dropped = self._by_hand() if request.get("as_in_file") else []
        if dropped:
            intent.wishes.clear()
            self.master.pauses.tell()
        self.master.reloads.begin()
        found = self.master.reloads.apply(new)
        document: Document = {"v": 1, "changes": [_change(one) for one in found], "dropped": dropped}
        if any(one.need is Need.START for one in found):
            text = "; ".join(one.words() for one in found if one.need is Need.START)
            return {
                **document,
                **error(Exit.FAILED, text, "procqueue stop, then procqueue start; nothing was changed"),
            }
        code = self.master.reloads.look()
        self._when(client, lambda: code.done, lambda: {**document, "code": sorted(code.changed)})
        return None

    def _scale(self, request: Document, _client: Client) -> Document:
        intent = self.master.intent
        scaled: dict[str, int | str] = {}
        for name, wish in request["names"].items():
            if name not in intent.queues and name not in intent.programs:
                raise NoSuchName(name)
            now = intent.count(name) if name in intent.queues else len(intent.copies(intent.programs[name]))
            number = now + int(wish) if str(wish)[:1] in "+-" else wish
            if number == "auto":
                intent.wishes.drop("scaled", (name,))
                scaled[name] = "auto"
                continue
            if not 0 <= int(number) <= _MOST:
                text = f"{name}: there may be 0 to {_MOST} processes, not {number}"
                return error(Exit.USAGE, text, "")
            intent.wishes.set("scaled", (name,), int(number))
            scaled[name] = int(number)
        return {"v": 1, "scaled": scaled}

    def _pause(self, request: Document, _client: Client) -> Document:
        queues = self._queues(request)
        self.master.pauses.pause(queues, seconds(request.get("seconds") or 0))
        paused = self.master.intent.wishes.paused
        return {"v": 1, "paused": {name: paused_here(paused[name]) for name in queues}}

    def _resume(self, request: Document, _client: Client) -> Document:
        queues = self._queues(request)
        resumed = [name for name in queues if name in self.master.intent.wishes.paused]
        self.master.pauses.resume(resumed)
        already = [name for name in queues if name not in resumed]
        return {"v": 1, "resumed": resumed, "already": already}

    def _signal(self, request: Document, _client: Client) -> Document:
        targets = self._targets(request)
        number = signal.Signals(int(request["signal"]))
        signalled = []
        for kept in self.master.nursery.kept.values():
            if kept.pool in (*targets.queues, *targets.copies) and kept.pid:
                kernel.send(kept.pid, number)
                signalled.append({"name": kept.name, "pid": kept.pid})
        return {"v": 1, "signal": number.name, "signalled": signalled}

    # helpers

    def _targets(self, request: Document) -> Targets:
        return resolve(request["names"], self.master.intent.known())

    def _queues(self, request: Document) -> tuple[str, ...]:
        targets = self._targets(request)
        if targets.copies:
            raise NoSuchName(targets.copies[0].rpartition(":")[0], "queue")
        return targets.queues

    def _program_of(self, copy: str) -> Any:
        return self.master.intent.programs[copy.rpartition(":")[0]]

    def _run(self, targets: Targets) -> bool:
        """True if each copy has a process of the generation that is wanted, or has come to its end."""
        pools = {pool.name: pool for pool in self.master.intent.wanted().pools}
        book = self.master.book
        return all(
            pools[copy].count == 0
            or rest_of(pools[copy], book) is not None
            or book.pulse(copy).rounds(pools[copy].generation) > 0
            or any(c.generation == pools[copy].generation for c in book.of(copy))
            for copy in targets.copies
            if copy in pools
        )

    def _are_fresh(self, targets: Targets) -> bool:
        """True if all are ready in the generation that is wanted, or this has failed."""
        pools = {pool.name: pool for pool in self.master.intent.wanted().pools}
        book = self.master.book
        for name in (*targets.queues, *targets.copies):
            pool = pools.get(name)
            if pool is None or self._has_failed(pool):
                continue
            children = [child for child in book.of(name) if child.generation == pool.generation]
            ready = sum(child.life is Life.READY for child in children)
            old = len(book.of(name)) - len(children)
            if ready < pool.count or old:
                return False
        return True

    def _account(self, targets: Targets, **facts: list[str]) -> Document:
        """Say what was done, and what of it did not come to be."""
        pools = {pool.name: pool for pool in self.master.intent.wanted().pools}
        failed = []
        for name in (*targets.queues, *targets.copies):
            pool = pools.get(name)
            if pool is not None and self._has_failed(pool):
                problem = self.master.news.problems.get(name)
                failed.append({"name": name, "why": problem[0] if problem else "it ended"})
        return {"v": 1, **facts, "failed": failed}

    def _has_failed(self, pool: Pool) -> bool:
        """True if what is wanted anew did not start."""
        book = self.master.book
        rounds = [book.pulse(name).rounds(pool.generation) for name in (pool.name, pool.template) if name]
        return rest_of(pool, book) is not None or any(rounds)

    def _by_hand(self) -> list[Document]:
        wishes = self.master.intent.wishes
        names = {*wishes.stopped, *wishes.started, *wishes.scaled, *wishes.paused}
        found = {name: wishes.of(name) for name in sorted(names)}
        return [
            {"name": name, "what": wish[0], "since": moment(wish[1])} for name, wish in found.items() if wish
        ]


def error(code: Exit, message: str, hint: str) -> Document:
    """Return the document of an error."""
    return {"v": 1, "error": {"code": int(code), "message": message, "hint": hint}}


def _no_such_name(unknown: NoSuchName, master: Master) -> Document:
    from procqueue.core.settings.wrong import nearest

    known = master.intent.known().all()
    hint = nearest(unknown.name, known) or f"the names are: {', '.join(known[:20])}"
    return error(Exit.USAGE, str(unknown), hint)


def _bad_configuration(bad: ConfigError) -> Document:
    count = len(bad.problems)
    text = "the configuration cannot be used" + (f": {count} problems" if count > 1 else "")
    problems = [problem._asdict() for problem in bad.problems]
    hint = "nothing was changed: the master goes on with what it has"
    return {
        **error(Exit.CONFIG, text + "".join(f"\n  {p}" for p in bad.problems), hint),
        "problems": problems,
    }


def _change(one: Any) -> Document:
    return {
        "table": one.table,
        "what": one.what,
        "keys": list(one.keys),
        "then": str(one.need),
        "text": one.words(),
    }
