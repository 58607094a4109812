"""The status document (README, "Formats of --json"): what the master knows, in the words of the interface."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from procqueue.core.book import Book
from procqueue.core.events import Child, Life, Reason
from procqueue.core.plan import Phase, Wanted
from procqueue.core.repairs import Repair
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.units import format_seconds
from procqueue.process import kernel
from procqueue.process.board import Doing
from procqueue.process.news import LastExit, News
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.statedir import StateDir
from procqueue.process.templates import Templates, is_template
from procqueue.process.view import View
from procqueue.process.wishes import SCHEDULER

#: The counters of a queue that people see.
_COUNTS = ("inbox", "waiting", "delayed", "reserved", "timeout", "failed")


class Master(Protocol):
    """What the document is made from."""

    settings: Settings
    queues: dict[str, QueueSettings]  # those that it serves
    state: StateDir
    started: float  # monotonic
    started_wall: float
    phase: Phase
    book: Book
    news: News
    nursery: Nursery
    templates: Templates
    generation: int
    was_ready: bool

    def ready_of(self, pool: str) -> int:
        """Return how many children of a pool can work."""

    def wanted(self) -> Wanted:
        """Return what the configuration and the control verbs want."""


def status(master: Master) -> dict[str, Any]:
    """Return the whole document."""
    now = time.monotonic()
    queues = {name: _queue(master, name, now) for name in master.settings.queues}
    return {
        "v": 1,
        "master": _master(master, now),
        "scheduler": _scheduler(master, now),
        "templates": [
            _template(master, kept, now) for kept in master.nursery.kept.values() if is_template(kept)
        ],
        "problems": _problems(master, now),
        "notes": [
            {"about": about, "text": text, "since": _moment(since)}
            for about, (text, since) in master.news.notes.items()
        ],
        "repairs": _repairs(master.news),
        "counts_at": _moment(master.news.counts_at) if master.news.counts_at else None,
        "queues": queues,
        "processes": {},
    }


def _repairs(news: News) -> dict[str, Any]:
    """Tell how often the store had lost, or had again, what it should not, and when that was seen last."""
    counts = {kind.value: news.repairs.get(kind, 0) for kind in Repair}
    return {**counts, "last": _moment(news.repaired_at) if news.repaired_at else None}


def _problems(master: Master, now: float) -> list[dict[str, Any]]:
    """Return what somebody should look at: what was told, and pools that die again and again."""
    told = [
        {"about": about, "text": text, "since": _moment(since)}
        for about, (text, since) in master.news.problems.items()
    ]
    for pool in master.wanted().pools:
        if master.book.pulse(pool.name).loops(now) and pool.name != SCHEDULER:
            first = time.time() - (now - master.book.pulse(pool.name).deaths[0])
            about = pool.name
            text = "its consumers die again and again; last_exit says how"
            if pool.is_template:
                about = pool.name[1:]
                text = "this template dies again and again: while it is away, no consumer can be replaced"
            told.append({"about": about, "text": text, "since": _moment(first)})
    return told


def _template(master: Master, kept: Kept, now: float) -> dict[str, Any]:
    child = master.book.children[kept.id]
    return {
        "name": kept.name,
        "pid": kept.pid,
        "state": child.life.value,
        "generation": child.generation,
        "uptime": round(now - child.started, 3),
        "rss": kernel.resident_bytes_of(kept.pid),
        "queues": master.templates.queues_of(kept),
    }


def _master(master: Master, now: float) -> dict[str, Any]:
    from procqueue import __version__

    if master.phase is not Phase.RUN:
        state = "stopping"
    else:
        ready = all(master.ready_of(name) >= q.processes for name, q in master.queues.items())
        state = "running" if ready or master.was_ready else "starting"
    return {
        "pid": os.getpid(),
        "state": state,
        "generation": master.generation,
        "uptime": round(now - master.started, 3),
        "config": master.settings.file,
        "version": __version__,
        "host": master.state.host,
        "host_lost": _host_lost(master),
        "file_newer": _file_newer(master),
    }


def _host_lost(master: Master) -> dict[str, Any] | None:
    """Tell that other hosts had declared this one dead, until it took the present identity."""
    lost = master.news.host_lost
    return {"host": lost[0], "at": _moment(lost[1])} if lost else None


def _file_newer(master: Master) -> bool:
    for file in master.settings.files:
        try:
            if os.stat(file).st_mtime > master.started_wall:
                return True
        except OSError:
            return True
    return False


def _scheduler(master: Master, now: float) -> dict[str, Any]:
    for kept in master.nursery.kept.values():
        if kept.pool == SCHEDULER:
            child = master.book.children[kept.id]
            return {"pid": kept.pid, "state": child.life.value, "uptime": round(now - child.started, 3)}
    return {"pid": None, "state": "backing-off", "uptime": 0}


def _queue(master: Master, name: str, now: float) -> dict[str, Any]:
    settings = master.settings.queues[name]
    wanted = settings.processes if name in master.queues and master.phase is Phase.RUN else 0
    kept = [k for k in master.nursery.kept.values() if k.pool == name]
    consumers = [_consumer(master, k, now) for k in sorted(kept, key=lambda k: (k.index, k.pid))]
    ready = master.ready_of(name)
    found = master.news.counts.get(name, {})
    consumers += _absent(master, name, {k.index for k in kept}, wanted, now)
    return {
        "state": _queue_state(master, name, wanted, ready),
        "wanted": wanted,
        "ready": ready,
        "by_hand": None,
        "counts": {count: found.get(count) for count in _COUNTS},
        "consumers": consumers,
    }


def _queue_state(master: Master, name: str, wanted: int, ready: int) -> str:
    if not master.settings.queues[name].enabled:
        return "disabled"
    if name not in master.queues:
        return "stopped"
    if master.phase is not Phase.RUN:
        return "stopping" if master.book.of(name) else "stopped"
    troubled = name in master.news.problems or master.book.pulse(name).loops(time.monotonic())
    if ready >= wanted:
        return "degraded" if troubled else "ok"
    return "degraded" if troubled or master.was_ready else "starting"


def _consumer(master: Master, kept: Kept, now: float) -> dict[str, Any]:
    child = master.book.children[kept.id]
    board = master.nursery.board(kept)
    last = master.news.last_exits.get(kept.name)
    return {
        "name": kept.name,
        "pid": kept.pid or None,
        "state": _state(child, kept.pid, board),
        "generation": child.generation,
        "uptime": round(now - child.started, 3),
        "handled": board.handled if board is not None else 0,
        "rss": kernel.resident_bytes_of(kept.pid),
        "restarts": master.news.restarts.get(kept.name, 0),
        "last_exit": _last_exit(last),
        "why": kept.error or None,
        "next_try": None,
        "running": _running(board, now),
    }


def _absent(master: Master, name: str, present: set[int], wanted: int, now: float) -> list[dict[str, Any]]:
    """Tell of the places that nobody fills at the moment."""
    absent = sorted(set(range(wanted)) - present)
    if not absent:
        return []
    next_try, state = _next_start(master, name, now)
    rows: list[dict[str, Any]] = []
    for index in absent:
        last = master.news.last_exits.get(f"{name}:{index}")
        problem = master.news.problems.get(name)
        rows.append(
            {
                "name": f"{name}:{index}", "pid": None, "state": state, "generation": master.generation,
                "uptime": 0, "handled": 0, "rss": None,
                "restarts": master.news.restarts.get(f"{name}:{index}", 0),
                "last_exit": _last_exit(last), "why": problem[0] if problem else _why(master, name, last),
                "next_try": round(next_try, 3), "running": [],
            }
        )  # fmt: skip
    return rows


def _next_start(master: Master, name: str, now: float) -> tuple[float, str]:
    """Return in how many seconds the pool, or first its template, is tried again, and the word for it."""
    pools = {pool.name: pool for pool in master.wanted().pools}
    template = pools[name].template
    starting = any(child.life is Life.STARTING for child in master.book.of(template))
    moments = [master.book.pulse(pool).start_at(master.generation) for pool in (name, template) if pool]
    next_try = max(0.0, max(moments) - now)
    return next_try, "starting" if starting and not next_try else "backing-off"


def _why(master: Master, name: str, last: LastExit | None) -> str:
    """Say why a place is empty, from what is known of who had it last."""
    if last is None or last.error:
        return last.error if last else ""
    if last.reason == Reason.START_TIMEOUT:
        limit = format_seconds(master.settings.queues[name].start_timeout)
        return f"its application was not imported within start_timeout = {limit}"
    if last.reason == Reason.CRASH:
        return f"it died: {f'signal {last.signal}' if last.signal else f'exit code {last.code}'}"
    return ""


def _state(child: Child, pid: int, board: View | None) -> str:
    if kernel.is_stopped(pid):
        return "stopped-by-signal"
    if child.life is Life.READY and board is not None and board.doing is Doing.BUSY:
        return "busy"
    return child.life.value


def _running(board: View | None, now: float) -> list[dict[str, Any]]:
    if board is None:
        return []
    return [
        {"id": one.id, "task": one.task, "seconds": round(max(0.0, now - one.began_ms / 1000), 3)}
        for one in board.running()
    ]


def _last_exit(last: LastExit | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {"reason": last.reason, "code": last.code, "signal": last.signal, "at": _moment(last.at)}


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
