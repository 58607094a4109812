"""The status document (README, "Formats of --json"): what the master knows, in the words of the interface."""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

from procqueue.core.book import Book
from procqueue.core.events import Child, Life, Reason
from procqueue.core.programs import Rest, has_failed, rest_of
from procqueue.core.repairs import Repair
from procqueue.core.units import format_seconds
from procqueue.core.wanted import Phase
from procqueue.process import kernel
from procqueue.process.board import Doing
from procqueue.process.copies import Copies
from procqueue.process.intent import Intent
from procqueue.process.news import LastExit, News, moment
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.pools import LOGGER, SCHEDULER, WATCHER, WEB, driver_of, is_scheduler
from procqueue.process.statedir import StateDir
from procqueue.process.status_programs import processes
from procqueue.process.templates import Templates, is_template
from procqueue.process.view import View
from procqueue.process.wishes import Wish

#: The counters of a queue that people see.
_COUNTS = ("inbox", "waiting", "delayed", "reserved", "timeout", "failed")


class Described(Protocol):
    """What the document is made from."""

    intent: Intent
    state: StateDir
    started: float  # monotonic
    started_wall: float
    book: Book
    news: News
    nursery: Nursery
    templates: Templates
    copies: Copies
    was_ready: bool

    def ready_of(self, pool: str) -> int:
        """Return how many children of a pool can work."""


def status(master: Described) -> dict[str, Any]:
    """Return the whole document."""
    now = time.monotonic()
    queues = {name: _queue(master, name, now) for name in master.intent.settings.queues}
    return {
        "v": 1,
        "master": _master(master, now),
        "scheduler": _only(master, SCHEDULER, now),
        "schedulers": {  # of drivers with a name
            driver_of(pool.name): _only(master, pool.name, now)
            for pool in master.intent.wanted().pools
            if is_scheduler(pool.name) and pool.name != SCHEDULER
        },
        "logger": _only(master, LOGGER, now),
        "watcher": _only(master, WATCHER, now),
        "web": _only(master, WEB, now),
        "templates": [
            _template(master, kept, now) for kept in master.nursery.kept.values() if is_template(kept)
        ],
        "problems": _problems(master, now),
        "notes": [
            {"about": about, "text": text, "since": moment(since)}
            for about, (text, since) in master.news.notes.items()
        ],
        "repairs": _repairs(master.news),
        "counts_at": moment(master.news.counts_at) if master.news.counts_at else None,
        "queues": queues,
        "crons": {
            cron.name: {"queue": cron.queue, "task": cron.task, "next": moment(at) if at else None}
            for cron in master.intent.settings.crons.values()
            for at in [master.news.crons.get(cron.name)]
        },
        "processes": processes(master, now),
    }


def _repairs(news: News) -> dict[str, Any]:
    """Tell how often the store had lost, or had again, what it should not, and when that was seen last."""
    counts = {kind.value: news.repairs.get(kind, 0) for kind in Repair}
    return {**counts, "last": moment(news.repaired_at) if news.repaired_at else None}


def health(master: Described) -> dict[str, Any]:
    """Return whether all that is wanted is ready, and if not, why. That it answers shows that it lives."""
    now = time.monotonic()
    reasons = [f"{one['about']}: {one['text']}" for one in _problems(master, now)]
    if master.intent.phase is not Phase.RUN:
        reasons.append("stopping")
    for pool in master.intent.wanted().pools:
        ready = master.ready_of(pool.name)
        done = rest_of(pool, master.book) is Rest.EXITED and not has_failed(pool, master.book)
        if not pool.name.startswith("@") and ready < pool.count and not done:
            reasons.append(f"{pool.name}: {ready} of {pool.count} ready")
    return {"v": 1, "live": True, "ready": not reasons, "reasons": reasons}


def _problems(master: Described, now: float) -> list[dict[str, Any]]:
    """Return what somebody should look at: what was told, and pools that die again and again."""
    told = [
        {"about": about, "text": text, "since": moment(since)}
        for about, (text, since) in master.news.problems.items()
    ]
    for pool in master.intent.wanted().pools:
        if master.book.pulse(pool.name).loops(now) and not is_scheduler(pool.name):
            first = time.time() - (now - master.book.pulse(pool.name).deaths[0])
            about = pool.name
            text = "its consumers die again and again; last_exit says how"
            if pool.name == WATCHER:
                about = pool.name[1:]
                text = "the watcher dies again and again: while it is away, changed files go unnoticed"
            if pool.name == WEB:
                about, text = "[web]", "the dashboard dies again and again; its last lines say why"
            if pool.is_template:
                about = pool.name[1:]
                text = "this template dies again and again: while it is away, no consumer can be replaced"
                if any(c.life is Life.READY for c in master.book.of(pool.name)):
                    text = "the template of the new code dies again and again: the old code goes on"
            told.append({"about": about, "text": text, "since": moment(first)})
    return told


def _template(master: Described, kept: Kept, now: float) -> dict[str, Any]:
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


def _master(master: Described, now: float) -> dict[str, Any]:
    from procqueue import __version__

    if master.intent.phase is not Phase.RUN:
        state = "stopping"
    else:
        state = "running" if master.was_ready else "starting"
    return {
        "pid": os.getpid(),
        "state": state,
        "generation": master.intent.generation,
        "uptime": round(now - master.started, 3),
        "config": master.intent.settings.file,
        "version": __version__,
        "host": master.state.host,
        "host_lost": _host_lost(master),
        "file_newer": _file_newer(master),
    }


def _host_lost(master: Described) -> dict[str, Any] | None:
    """Tell that other hosts had declared this one dead, until it took the present identity."""
    lost = master.news.host_lost
    return {"host": lost[0], "at": moment(lost[1])} if lost else None


def _file_newer(master: Described) -> bool:
    for file in master.intent.settings.files:
        try:
            if os.stat(file).st_mtime > master.intent.read_at:
                return True
        except OSError:
            return True
    return False


def _only(master: Described, pool: str, now: float) -> dict[str, Any]:
    """Tell of the one child of a pool."""
    for kept in master.nursery.kept.values():
        if kept.pool == pool:
            child = master.book.children[kept.id]
            return {"pid": kept.pid, "state": child.life.value, "uptime": round(now - child.started, 3)}
    wanted = any(one.name == pool for one in master.intent.wanted().pools)
    state = "backing-off" if wanted else "not needed"
    return {"pid": None, "state": state, "uptime": 0}


def _queue(master: Described, name: str, now: float) -> dict[str, Any]:
    runs = name in master.intent.queues and master.intent.phase is Phase.RUN
    wanted = master.intent.count(name) if runs else 0
    kept = [k for k in master.nursery.kept.values() if k.pool == name]
    consumers = [_consumer(master, k, now) for k in sorted(kept, key=lambda k: (k.index, k.pid))]
    ready = master.ready_of(name)
    gate = master.news.gates.get(name)
    found = master.news.counts.get(name, {})
    consumers += _absent(master, name, {k.index for k in kept}, wanted, now)
    return {
        "state": _queue_state(master, name, wanted, ready),
        "driver": master.intent.settings.queues[name].driver,
        "wanted": wanted,
        "ready": ready,
        "by_hand": _by_hand(master, name),
        "paused": _paused(master, name),
        "gate": gate[0] if gate else "open",
        "gate_since": moment(gate[1]) if gate else None,
        "scale": _scale(master, name),
        "counts": {count: found.get(count) for count in _COUNTS},
        "oldest": master.news.oldest.get(name) if found.get("waiting") else None,
        "consumers": consumers,
    }


def _by_hand(master: Described, name: str) -> dict[str, str] | None:
    wish = master.intent.wishes.of(name)
    return {"what": wish[0], "since": moment(wish[1])} if wish else None


def _scale(master: Described, name: str) -> dict[str, Any] | None:
    """Tell within which bounds the number of consumers follows the load, and why it is what it is."""
    scale = master.intent.settings.queues[name].scale
    if scale is None:
        return None
    scaling = master.intent.scalings.get(name)
    why = scaling.why if scaling and name not in master.intent.wishes.scaled else ""
    return {"min": scale.min, "max": scale.max, "target_wait": scale.target_wait, "why": why}


def _paused(master: Described, name: str) -> dict[str, Any] | None:
    """Tell since when, until when and where no message is handed out."""
    if pause := master.news.paused.get(name):
        since, until = pause
        return {"where": "everywhere", "since": moment(since), "until": moment(until) if until else None}
    if wish := master.intent.wishes.paused.get(name):
        return {"where": "here", **paused_here(wish)}
    return None


def paused_here(wish: Wish) -> dict[str, Any]:
    """Tell since and until when a queue is paused on this host."""
    return {"since": moment(wish.since), "until": moment(wish.until) if wish.until else None}


def _queue_state(master: Described, name: str, wanted: int, ready: int) -> str:
    if not master.intent.settings.queues[name].enabled:
        return "disabled"
    if name not in master.intent.queues:
        return "stopped"
    if master.intent.phase is not Phase.RUN or name in master.intent.wishes.stopped:
        return "stopping" if master.book.of(name) else "stopped"
    if _paused(master, name):
        return "paused"
    troubled = name in master.news.problems or master.book.pulse(name).loops(time.monotonic())
    if ready >= wanted and not troubled:
        gate, _ = master.news.gates.get(name, ("", 0.0))
        return "draining" if gate == "draining" else "ok"
    if ready >= wanted:
        return "degraded"
    return "degraded" if troubled or master.was_ready else "starting"


def _consumer(master: Described, kept: Kept, now: float) -> dict[str, Any]:
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
        "last_exit": last.document() if last else None,
        "why": kept.error or None,
        "next_try": None,
        "running": _running(board, now),
    }


def _absent(master: Described, name: str, present: set[int], wanted: int, now: float) -> list[dict[str, Any]]:
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
                "name": f"{name}:{index}", "pid": None, "state": state, "generation": 0,
                "uptime": 0, "handled": 0, "rss": None,
                "restarts": master.news.restarts.get(f"{name}:{index}", 0),
                "last_exit": last.document() if last else None,
                "why": problem[0] if problem else _why(master, name, last),
                "next_try": round(next_try, 3), "running": [],
            }
        )  # fmt: skip
    return rows


def _next_start(master: Described, name: str, now: float) -> tuple[float, str]:
    """Return in how many seconds the pool, or first its template, is tried again, and the word for it."""
    pools = {pool.name: pool for pool in master.intent.wanted().pools}
    template = pools[name].template
    starting = any(child.life is Life.STARTING for child in master.book.of(template))
    generation = pools[name].generation
    moments = [master.book.pulse(pool).start_at(generation) for pool in (name, template) if pool]
    next_try = max(0.0, max(moments) - now)
    return next_try, "starting" if starting and not next_try else "backing-off"


def _why(master: Described, name: str, last: LastExit | None) -> str:
    """Say why a place is empty, from what is known of who had it last."""
    if last is None or last.error:
        return last.error if last else ""
    if last.reason == Reason.START_TIMEOUT:
        limit = format_seconds(master.intent.settings.queues[name].start_timeout)
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
