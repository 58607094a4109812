"""The overview: each queue in a line, and a line for everything that is wrong. Pure but for the one look."""

from __future__ import annotations

from typing import Any

from procqueue.web.asking import Ask
from procqueue.web.rendering import seconds, since
from procqueue.web.sight import Seen

#: Figures older than that are said to be old.
_OLD = 3.0


async def overview(ask: Ask) -> dict[str, Any]:
    """Return all queues and all problems."""
    return document(await ask.office.sight.look())


async def queues(ask: Ask) -> dict[str, Any]:
    """Return all queues by name."""
    found = await overview(ask)
    return {
        "v": 1,
        "queues": {queue.pop("name"): queue for queue in found["queues"]},
        "wrong": found["wrong"],
    }


def document(seen: Seen) -> dict[str, Any]:
    """Return what one look has found."""
    status = seen.status
    rows = [row(name, queue) for name, queue in status.get("queues", {}).items()]
    return {
        "v": 1,
        "wrong": seen.wrong,
        "age": round(seen.age, 1),
        "counts_at": status.get("counts_at"),
        "master": status.get("master"),
        "problems": problems(seen),
        "queues": rows,
        "totals": {
            **{
                state: sum(one["counts"][state] or 0 for one in rows)
                for state in ("waiting", "reserved", "failed")
            },
            "ready": sum(one["ready"] for one in rows),
            "wanted": sum(one["wanted"] for one in rows),
        },
    }


def row(name: str, queue: dict[str, Any]) -> dict[str, Any]:
    """Return one queue, without its consumers."""
    left = ("state", "wanted", "ready", "by_hand", "paused", "gate", "gate_since", "counts", "oldest")
    return {"name": name, **{key: queue[key] for key in left}}


def problems(seen: Seen) -> list[dict[str, Any]]:
    """Return what somebody should look at, the worst first. `level`: bad, or odd (wanted by somebody)."""
    status = seen.status
    found = []
    if seen.wrong:
        shows = f"; what is shown is {seconds(seen.age)} old" if status else ""
        found.append(_line("bad", "master", f"{seen.wrong}{shows}"))
    if not status:
        return found
    told = [_line("bad", one["about"], one["text"], one["since"]) for one in status["problems"]]
    away = any(one["about"].partition(" ")[0] == "driver" for one in status["problems"])
    stale = since(status["counts_at"])
    if away and stale is not None and stale > _OLD:
        told.append(_line("bad", "counts", f"as they were {seconds(stale)} ago: the driver is away"))
    if status["master"]["file_newer"]:
        told.append(
            _line("odd", "configuration", "the file is newer than what runs: procqueue reload --plan")
        )
    for name, queue in status["queues"].items():
        if queue["paused"]:
            where = "" if queue["paused"]["where"] == "everywhere" else " on this host"
            told.append(
                _line("odd", name, f"paused{where}", queue["paused"]["since"], queue["paused"]["until"])
            )
        if queue["gate"] != "open":
            told.append(
                _line("odd", name, f"its gate is {queue['gate']}: pushes are refused", queue["gate_since"])
            )
    return found + told


def _line(
    level: str, about: str, text: str, since: str | None = None, until: str | None = None
) -> dict[str, Any]:
    return {"level": level, "about": about, "text": text, "since": since, "until": until}
