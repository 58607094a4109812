"""The results as Markdown tables, and as docs/benchmarks.md with its charts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contest import chart
from contest.field import ROOT, Contestant, version
from contest.machine import shape
from contest.measures import Scale
from contest.results import Results

BEGIN, END = "<!-- figures: scripts/bench peers writes from here -->", "<!-- to here -->"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _tenth(value: float) -> str:
    return f"{value:.1f}"


def _fine(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a measure, how it is written, and whether its ratio to procqueue's stands beside it."""

    title: str
    measure: str
    figure: str
    write: Callable[[float], str] = _whole
    ratio: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`guarantee`: whether each line says that a killed consumer's message comes back."""

    title: str
    about: str
    columns: tuple[Column, ...]
    guarantee: bool = False


TABLES = [
    Table(
        "Messages handled a second",
        "No-op tasks with 100 bytes of arguments, from a backlog, between 10 % and 90 % of it.\n"
        "“10 ms” sleep that long, ten at once in one consumer: 1,000 would be perfect. "
        "CPU is that of all processes of the contestant, in µs a message.",
        (
            Column("1 consumer", "drain", "rate", ratio=True),
            Column("CPU", "drain", "cpu", ratio=True),
            Column("Redis' CPU", "drain", "redis_cpu"),
            Column("2 consumers", "two", "rate", ratio=True),
            Column("10 ms, 10 at once", "nap", "rate", ratio=True),
            Column("1 consumer, AOF", "disk", "rate", ratio=True),
        ),
        guarantee=True,
    ),
    Table(
        "Pushing",
        "From one process, one by one; and by the library's own call for many, where there is one. Bytes are "
        "those that a waiting message takes in Redis.",
        (
            Column("one by one/s", "drain", "push_one", ratio=True),
            Column("CPU µs", "drain", "push_cpu", ratio=True),
            Column("one by one/s, AOF", "disk", "push_one", ratio=True),
            Column("many/s", "drain", "push_many", ratio=True),
            Column("bytes", "drain", "bytes", ratio=True),
        ),
    ),
    Table(
        "From push to handler, in ms",
        "To one consumer that is idle, 40 a second; then at half the rate that it takes (or that one process "
        "can push to it, whatever is less).",
        (
            Column("idle, median", "latency", "idle_p50", _fine, ratio=True),
            Column("idle, p99", "latency", "idle_p99", _fine, ratio=True),
            Column("half load is", "latency", "busy_rate", lambda value: f"{value:,.0f}/s"),
            Column("median", "latency", "busy_p50", _fine, ratio=True),
            Column("p99", "latency", "busy_p99", _fine, ratio=True),
        ),
    ),
    Table(
        "Processes",
        "Memory is PSS of all processes of the contestant, supervisor included where it has one. Back is the "
        "only message after kill -9 of the process that ran it, once it runs again; a contestant that does "
        "not start that process again itself is started again at once.",
        (
            Column("start to first message, s", "memory", "start", _fine, ratio=True),
            Column("1 consumer, MiB", "memory", "pss1", _tenth, ratio=True),
            Column("4 consumers, MiB", "memory", "pss4", _tenth, ratio=True),
            Column("back after kill -9, s", "kill", "back", _fine),
        ),
    ),
]

CHARTS = {
    "drain": ("Messages handled a second, one consumer", "drain", "rate", _whole),
    "cpu": ("CPU a message in µs, one consumer (less is better)", "drain", "cpu", _whole),
    "nap": ("Handlers that sleep 10 ms, ten at once in one consumer, messages/s", "nap", "rate", _whole),
    "latency": (
        "From push to an idle consumer's handler, median, ms (less is better)",
        "latency",
        "idle_p50",
        _fine,
    ),
    "memory": ("Memory of four consumers, MiB (less is better)", "memory", "pss4", _whole),
    "recovery": ("Until a killed consumer's message runs again, s (less is better)", "kill", "back", _fine),
}


def write(
    results: Results, field: list[Contestant], folder: Path, command: str, seconds: float, scale: Scale
) -> None:
    """Print the tables; write `benchmarks.md` and charts into `folder`, its other text as it is in docs."""
    lines = _facts(results, command, seconds) + _lead(results, field) + _contestants(field)
    for table in TABLES:
        lines += _table(table, results, field, scale)
    lines += _notes(results)
    print("\n".join(lines))
    charts = _charts(results, field, folder / "benchmarks", scale)
    page = (ROOT / "docs/benchmarks.md").read_text()
    head, _, rest = page.partition(BEGIN)
    folder.mkdir(parents=True, exist_ok=True)
    body = "\n".join([BEGIN, "", *charts, *lines])
    (folder / "benchmarks.md").write_text(f"{head}{body}\n{END}{rest.partition(END)[2]}")
    print(f"\nwritten: {folder / 'benchmarks.md'}")


def _facts(results: Results, command: str, seconds: float) -> list[str]:
    about = [
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d}, in {seconds:,.0f} s",
        *shape(results.yardsticks),
    ]
    return [*(f"- {line}" for line in about), ""]


def _lead(results: Results, field: list[Contestant]) -> list[str]:
    """Say how many times as fast as the fastest of those that lose nothing procqueue is."""
    ratios = [(results.ratio("drain", one.name, "rate"), one.name) for one in field if one.keeps == "yes"]
    known = [(ratio, name) for ratio, name in ratios if ratio]
    if not known:
        return []
    ratio, name = max(known)
    return [
        f"One consumer of procqueue handles **{1 / ratio:.1f} times** what one of {name} does, "
        "the fastest of those whose killed consumer's messages come back.",
        "",
    ]


def _contestants(field: list[Contestant]) -> list[str]:
    lines = ["### Contestants and their settings", ""]
    lines += ["| | version | settings | does a killed consumer's message come back? |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {version(one)} | {one.settings} | {one.survives} |" for one in field]
    return [*lines, ""]


def _table(table: Table, results: Results, field: list[Contestant], scale: Scale) -> list[str]:
    shown = [one.name for one in field]
    columns = [
        one for one in table.columns if any(results.values(one.measure, name, one.figure) for name in shown)
    ]
    if not columns:
        return []
    lines = [f"### {table.title}", "", table.about, "In brackets: as a multiple of procqueue's.", ""]
    kept = ["back after kill -9?"] * table.guarantee
    lines.append("| | " + " | ".join([one.title for one in columns] + kept) + " |")
    lines.append("|---|" + "---:|" * len(columns) + "---|" * table.guarantee)
    for it in field:
        if not any(it.takes_part(one.measure) for one in columns):
            continue
        cells = [_cell(column, it.name, results, scale) for column in columns] + [it.keeps] * table.guarantee
        lines.append(f"| {it.name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(column: Column, name: str, results: Results, scale: Scale) -> str:
    if name in results.out:
        return "does not run ¹"
    value = results.median(column.measure, name, column.figure)
    if value is None:
        return "– ¹" if (column.measure, name) in results.why else "–"
    if math.isinf(value):
        return f"> {scale.kill_seconds:.0f}"
    ratio = results.ratio(column.measure, name, column.figure) if column.ratio else None
    return column.write(value) + (f" ({_short(ratio)})" if ratio is not None else "")


def _short(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"


def _notes(results: Results) -> list[str]:
    notes = [f"- {name}: {why}" for name, why in results.out.items()]
    notes += [f"- {name}, {measure}: {why}" for (measure, name), why in results.why.items()]
    return ["¹ What did not run, or not in every round:", "", *notes, ""] if notes else []


def _charts(results: Results, field: list[Contestant], folder: Path, scale: Scale) -> list[str]:
    """Draw those that there are figures for; return the lines that show them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, (title, measure, figure, write) in CHARTS.items():
        bars = []
        for one in field:
            if (value := results.median(measure, one.name, figure)) is not None:
                endless = math.isinf(value)
                told = f"> {scale.kill_seconds:.0f}" if endless else write(value)
                bars.append(chart.Bar(one.name, scale.kill_seconds if endless else value, told))
        if bars:
            (folder / f"{name}.svg").write_text(chart.draw(title, bars))
            lines += [f"![{title}](benchmarks/{name}.svg)", ""]
    return lines
