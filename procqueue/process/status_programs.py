"""The programs in the status document: every copy, how it stands, and why it does not run if it does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from procqueue.core.book import Book
from procqueue.core.events import Life, Reason
from procqueue.core.programs import Programs, rest_of
from procqueue.core.settings.program import ProgramSettings
from procqueue.core.units import format_bytes, format_seconds
from procqueue.core.wanted import Phase, Pool
from procqueue.process import kernel
from procqueue.process.copies import Copies
from procqueue.process.intent import Intent
from procqueue.process.news import LastExit, News, moment
from procqueue.process.nursery import Nursery

#: The state of a program is that of the copy of which one has to know first.
_WORST_FIRST = (
    "fatal",
    "backing-off",
    "stopped-by-signal",
    "starting",
    "stopping",
    "running",
    "exited",
    "stopped",
)


class Described(Protocol):
    """What this part of the document is made from."""

    intent: Intent
    book: Book
    news: News
    nursery: Nursery
    copies: Copies


def processes(master: Described, now: float) -> dict[str, Any]:
    """Return the programs of the configuration, and what is left of those that it has no more."""
    wanted = master.intent.wanted()
    programs = Programs(wanted, master.book, now)
    pools = {pool.name: pool for pool in wanted.pools}
    return {
        name: _program(master, program, pools, programs, now)
        for name, program in master.intent.settings.programs.items()
    }


def has_failed(document: dict[str, Any]) -> bool:
    """True if a program is not as it was asked to be."""
    return document["state"] in ("fatal", "backing-off", "stopped-by-signal")


def _program(
    master: Described, program: ProgramSettings, pools: dict[str, Pool], programs: Programs, now: float
) -> dict[str, Any]:
    enabled = program.name in master.intent.programs
    copies = master.intent.copies(program) if enabled else []
    # Copies beyond the present number are still there until they have left.
    left = {k.pool for k in master.nursery.kept.values() if k.is_program} - set(copies)
    extra = sorted(copy for copy in left if copy.rpartition(":")[0] == program.name)
    members = [_member(master, program, copy, pools.get(copy), programs, now) for copy in (*copies, *extra)]
    asked = [pools[copy] for copy in copies if copy in pools]
    return {
        "state": worst(one["state"] for one in members) if enabled else "disabled",
        "wanted": sum(pool.count for pool in asked) if master.intent.phase is Phase.RUN else 0,
        "ready": sum(one["state"] == "running" for one in members),
        "by_hand": _by_hand(master, program.name, copies),
        "members": members,
    }


def worst(states: Iterable[str]) -> str:
    """Return the state of which one has to know first."""
    present = set(states)
    return next((state for state in _WORST_FIRST if state in present), "stopped")


def _by_hand(master: Described, program: str, copies: list[str]) -> dict[str, Any] | None:
    for name in (program, *copies):
        if wish := master.intent.wishes.of(name):
            what = wish[0] if name == program or len(copies) == 1 else f"{name} {wish[0]}"
            return {"what": what, "since": moment(wish[1])}
    return None


def _member(
    master: Described,
    program: ProgramSettings,
    copy: str,
    pool: Pool | None,
    programs: Programs,
    now: float,
) -> dict[str, Any]:
    kept = next((kept for kept in master.nursery.kept.values() if kept.pool == copy), None)
    last = master.news.last_exits.get(copy)
    waits = programs.waits_for(pool) if pool is not None and kept is None and pool.count else []
    next_try = _next_try(master, pool, now) if kept is None else None
    running = master.copies.running.get(kept.id) if kept is not None else None
    return {
        "name": copy,
        "pid": kept.pid if kept is not None else None,
        "state": _state(master, copy, pool, bool(kept and kernel.is_stopped(kept.pid))),
        "uptime": round(now - master.book.children[kept.id].started, 3) if kept is not None else 0,
        "rss": kernel.resident_bytes_of(kept.pid) if kept is not None else None,
        "restarts": master.news.restarts.get(copy, 0),
        "last_exit": last.document() if last is not None else None,
        "why": _why(program, last, waits) if kept is None else kept.error or None,
        "next_try": next_try,
        "says": running.status if running is not None and running.status else None,
    }


def _state(master: Described, copy: str, pool: Pool | None, stopped: bool) -> str:
    children = master.book.of(copy)
    if children:
        if stopped:
            return "stopped-by-signal"
        words = {Life.STARTING: "starting", Life.READY: "running", Life.STOPPING: "stopping"}
        return words[children[-1].life]
    if pool is None or not pool.count or master.intent.phase is not Phase.RUN:
        return "stopped"
    if rest := rest_of(pool, master.book):
        return rest.value
    return "backing-off" if master.book.pulse(copy).rounds(pool.generation) else "starting"


def _next_try(master: Described, pool: Pool | None, now: float) -> float | None:
    if pool is None or not pool.count or rest_of(pool, master.book):
        return None
    return round(max(0.0, master.book.pulse(pool.name).start_at(pool.generation) - now), 3)


def _why(program: ProgramSettings, last: LastExit | None, waits: list[str]) -> str | None:
    if waits:
        return f"waits until {', '.join(waits)} {'is' if len(waits) == 1 else 'are'} ready"
    if last is None:
        return None
    if last.error:
        return last.error
    how = f"signal {last.signal}" if last.signal else f"exit code {last.code}"
    match last.reason:
        case Reason.CRASH | Reason.EXIT:
            return f"it ended: {how}"
        case Reason.START_TIMEOUT:
            return f"it was not ready within start_timeout = {format_seconds(program.start_timeout)}"
        case Reason.MEMORY_HARD:
            return f"it was above max_memory_hard = {format_bytes(program.max_memory_hard)}"
        case _:
            return None
