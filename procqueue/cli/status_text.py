"""The status document in words: one line for the master, a block for each queue, the problems last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from procqueue.cli.output import marked, plain, table, width
from procqueue.core.units import format_bytes, format_seconds

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

_MOODS = {
    "ok": "good", "running": "good", "starting": "odd", "stopping": "odd", "reloading": "odd",
    "paused": "odd", "draining": "odd", "degraded": "bad", "fatal": "bad", "backing-off": "bad",
    "stopped-by-signal": "bad",
}  # fmt: skip
_COUNTS = ("waiting", "delayed", "reserved", "failed", "timeout")
_HEAD = ("NAME", "PID", "STATE", "UP", "HANDLED", "RSS", "RESTARTS")
_INDENT = "  "
#: Of a name so much is shown however narrow the terminal is.
_SHORTEST_NAME = 12
_NO_RATES: Mapping[str, float] = {}
_REPAIRS = {
    "went_back": "times a queue was older or empty", "registered_anew": "consumers registered anew",
    "refused": "settlements refused", "dropped": "messages in hand dropped",
    "returned": "reservations returned", "reclaimed": "dead consumers reclaimed",
}  # fmt: skip


def lines(document: dict[str, Any], rates: Mapping[str, float] = _NO_RATES) -> Iterator[str]:
    """Return the lines of `procqueue status`. `rates`: what queues handle per second, where that is known."""
    yield from _master(document["master"], document.get("repairs", {}))
    schedulers = {"scheduler": document["scheduler"]}
    schedulers |= {f"scheduler:{name}": one for name, one in document.get("schedulers", {}).items()}
    for name, scheduler in schedulers.items():
        if scheduler["state"] not in ("ready", "not needed"):
            yield f"{plain(name)} {_state(scheduler['state'])}"
    for name, queue in document["queues"].items():
        yield ""
        yield from _queue(name, queue, rates.get(name))
    yield from _programs(document["processes"])
    if notes := document.get("notes"):  # a master of an older version has none
        yield ""
        for note in notes:
            yield from _wrapped(f"{note['about']}: {note['text']}", "")
    if document["problems"]:
        yield ""
        yield marked("problems", "bad")
        for problem in document["problems"]:
            yield from _wrapped(
                f"{problem['about']}: {problem['text']} (since {_moment(problem['since'])})", _INDENT
            )


def _master(master: dict[str, Any], repairs: dict[str, Any]) -> Iterator[str]:
    yield (
        f"procqueue {plain(master['version'])}  {_state(master['state'])}  pid {master['pid']}"
        f"  up {_span(master['uptime'])}"
    )
    changed = "  (changed since: procqueue reload applies it)" if master["file_newer"] else ""
    yield from _wrapped(f"config {master['config']}{changed}", "")
    if lost := master.get("host_lost"):
        at = _moment(lost["at"])
        text = f"other hosts declared this one dead and took over what ran; since {at} it works anew"
        yield from _wrapped(text, "")
    if text := _repairs(dict(repairs)):
        yield from _wrapped(text, "")


def _repairs(repairs: dict[str, Any]) -> str:
    """Return what a store lost or had again, in a line; "" if that never happened."""
    last = repairs.pop("last", None)
    counted = ", ".join(f"{number} {_REPAIRS.get(kind, kind)}" for kind, number in repairs.items() if number)
    return f"the store forgot, or went back: {counted}; last seen {last}" if counted else ""


def _queue(name: str, queue: dict[str, Any], rate: float | None) -> Iterator[str]:
    ready = f"{queue['ready']}/{queue['wanted']} ready"
    if rate is not None:
        ready += f"  {rate:.{1 if 0 < rate < 9.95 else 0}f}/s"
    name = _shortened(name, max(_SHORTEST_NAME, width() - len(queue["state"]) - len(ready) - 4))
    yield f"{name}  {_state(queue['state'])}  {ready}"
    if paused := queue.get("paused"):
        until = f" until {_moment(paused['until'])}" if paused["until"] else ""
        yield from _wrapped(f"paused {paused['where']} since {_moment(paused['since'])}{until}", _INDENT)
    if queue.get("gate", "open") != "open":
        yield from _wrapped(f"gate {queue['gate']} since {_moment(queue['gate_since'])}", _INDENT)
    if (scale := queue.get("scale")) and scale["why"]:
        yield from _wrapped(scale["why"], _INDENT)
    counts = queue["counts"]
    shown = [*_COUNTS, *(("inbox",) if counts.get("inbox") else ())]
    yield from _in_a_row([f"{word} {_count(counts.get(word))}" for word in shown])
    if not queue["consumers"]:
        return
    head, *rows = _fitting(
        list(_HEAD), [_row(one) for one in queue["consumers"]], right=("PID", "UP", "HANDLED", "RSS")
    )
    yield _INDENT + head
    for line, one in zip(rows, queue["consumers"], strict=True):
        runs = [f"{plain(run['task'])} {_span(run['seconds'])}" for run in one["running"]]
        yield from _child(_INDENT + line, one, runs)


def _programs(programs: dict[str, Any]) -> Iterator[str]:
    members = [one for program in programs.values() for one in program["members"]]
    if not members:
        return
    wanted = sum(program["wanted"] for program in programs.values())
    yield ""
    yield f"programs  {sum(program['ready'] for program in programs.values())}/{wanted} running"
    rows = [
        (
            one["name"], one["pid"] or "-", one["state"], _span(one["uptime"]) if one["pid"] else "-",
            format_bytes(one["rss"]) if one["rss"] else "-", one["restarts"],
        )
        for one in members
    ]  # fmt: skip
    head, *made = _fitting([word for word in _HEAD if word != "HANDLED"], rows, right=("PID", "UP", "RSS"))
    yield _INDENT + head
    for line, one in zip(made, members, strict=True):
        yield from _child(_INDENT + line, one, [plain(one["says"])] if one["says"] else [])


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    return (
        one["name"], one["pid"] or "-", one["state"], _span(one["uptime"]) if one["pid"] else "-",
        one["handled"],        format_bytes(one["rss"]) if one["rss"] else "-", one["restarts"],
    )  # fmt: skip


def _child(line: str, one: dict[str, Any], notes: list[str]) -> Iterator[str]:
    """Yield the line, and what the child does (`notes`) or why it does not; beside it if that fits."""
    if one["why"]:
        notes.append(one["why"])
    elif not notes and one["last_exit"]:
        notes.append(_last_exit(one["last_exit"]))
    if one["next_try"]:
        notes.append(f"next try in {_span(one['next_try'])}")
    before, state, after = line.rpartition(
        one["state"]
    )  # the name, which stands before, may hold the word too
    marked_line = before + _state(state) + after
    if len(notes) == 1 and len(line) + 2 + len(plain(notes[0])) <= width():
        yield f"{marked_line}  {plain(notes[0])}"
        return
    yield marked_line
    for note in notes:
        yield from _wrapped(note, _INDENT * 3)


def _last_exit(last: dict[str, Any]) -> str:
    how = f", signal {last['signal']}" if last["signal"] else ""
    if last["code"]:
        how = f", code {last['code']}"
    return f"last exit: {last['reason']}{how}"


def _in_a_row(parts: list[str]) -> Iterator[str]:
    """Put parts beside each other, as many as fit; none is cut in two."""
    line = _INDENT + parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) > width():
            yield line
            line = _INDENT + part
        else:
            line = f"{line}  {part}"
    yield line


def _fitting(head: Sequence[str], rows: Sequence[tuple[object, ...]], right: Sequence[str]) -> list[str]:
    """Return a table whose names, in the first column, are as short as the others need them to be."""
    made = table(head, rows, right)
    too_wide = max(len(_INDENT + line) for line in made) - width()
    if too_wide <= 0:
        return made
    widest = max(len(str(row[0])) for row in rows)
    room = max(_SHORTEST_NAME, widest - too_wide)
    made = table(head, [(_shortened(str(row[0]), room), *row[1:]) for row in rows], right)
    room = width() - len(_INDENT)
    return [made[0] if len(made[0]) <= room else f"{made[0][: room - 1]}…", *made[1:]]


def _shortened(name: str, room: int) -> str:
    """Cut a name in its middle: names often begin alike, and end with the number of the copy."""
    name = plain(name)
    if len(name) <= room:
        return name
    end = (room - 1) // 2
    return f"{name[: room - 1 - end]}…{name[len(name) - end :]}"


def _wrapped(text: str, indent: str) -> list[str]:
    from textwrap import wrap

    return wrap(
        plain(text), width(), initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def _moment(told: str) -> str:
    """Return a moment without its milliseconds, which nobody needs to read."""
    return told.partition(".")[0] + "Z" if "." in told else told


def _state(word: str) -> str:
    return marked(plain(word), _MOODS.get(word, ""))


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)


def _span(seconds: float) -> str:
    return format_seconds(seconds if seconds < 10 else round(seconds))
