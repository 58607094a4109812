"""What is measured, each on a fresh stand: a name, a function that returns figures, and how often it is done.

Rates are messages/s, times s or ms as they say, CPU is µs a message, memory MiB.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from contest.field import Absent, Contestant
from contest.machine import cpu, pss
from contest.stand import Stand, stand

Figures = dict[str, float]

#: How long a contestant may take to handle its first message.
START_SECONDS = 20.0
DRAIN_SECONDS = 60.0
ANSWER_SECONDS = 15.0

FIRST_GUESS = 400
ONE_BY_ONE = 1500
MOST = 120_000

#: So many messages at once, and what a consumer could then do with handlers that sleep 10 ms.
AT_ONCE = 10
IDEAL = 1000

#: A consumer that dies at its start may be given a pause: it stands this long before it is killed.
STANDING_SECONDS = 1.5


@dataclass(slots=True)
class Scale:
    """How long each measure lasts, and what is known so far of how fast each contestant is (messages/s)."""

    seconds: float
    idle_samples: int
    kill_seconds: float
    drained: dict[str, float] = field(default_factory=dict)
    pushed: dict[str, float] = field(default_factory=dict)

    def messages(self, one: Contestant, factor: float = 1.0) -> int:
        """Return how many keep it busy for `seconds`, those before and after the window included."""
        return max(50, min(MOST, int(self.drained[one.name] * self.seconds * factor / 0.8)))


def rough(one: Contestant, scale: Scale) -> Figures:
    """Find out how fast it is, more or less, and that it runs at all; nothing of it is reported."""
    scale.drained[one.name] = FIRST_GUESS / scale.seconds
    few = scale.messages(one)
    figures = drain(one, scale)
    # A window of a few milliseconds says little.
    return drain(one, scale) if scale.messages(one) > 2 * few else figures


def drain(one: Contestant, scale: Scale, appendonly: bool = False) -> Figures:
    """A backlog, then one consumer: pushes/s, bytes each at Redis; rate and CPU from 10 % to 90 % handled."""
    with stand(one, appendonly=appendonly) as it:
        count = scale.messages(one)
        single = min(count, ONE_BY_ONE) if it.pusher.has_many else count
        before = it.used_memory()
        spent = it.push("n", single)
        figures: Figures = {"push_one": single / spent["seconds"], "push_cpu": spent["cpu"] / single * 1e6}
        if it.pusher.has_many:
            # Its rate is worth nothing with only a few, so there are some hundred at least.
            many = max(count - single, 300)
            figures["push_many"] = many / it.push("n", many, many=True)["seconds"]
            count = single + many
        figures["bytes"] = (it.used_memory() - before) / count
        it.close_pusher()
        it.start()
        figures |= _window(it, count)
        if not appendonly:
            scale.drained[one.name] = figures["rate"]
            scale.pushed[one.name] = figures["push_one"]
        return figures


def disk(one: Contestant, scale: Scale) -> Figures:
    """The same with Redis writing its append-only file (everysec, Redis' own default)."""
    return drain(one, scale, appendonly=True)


def two(one: Contestant, scale: Scale) -> Figures:
    """Two consumers."""
    with stand(one) as it:
        count = scale.messages(one, 1.7)
        it.push("n", count, many=True)
        it.close_pusher()
        it.start(2)
        return _window(it, count)


def nap(one: Contestant, scale: Scale) -> Figures:
    """One consumer, ten messages at once, each of which sleeps 10 ms: the ideal is 1,000/s."""
    with stand(one, concurrency=AT_ONCE) as it:
        count = int(IDEAL * scale.seconds)
        it.push("z", count, many=True)
        it.close_pusher()
        it.start()
        return _window(it, count)


def _window(it: Stand, count: int) -> Figures:
    """Return messages/s, and µs of CPU each of consumers and Redis, between 10 % and 90 % handled."""
    first = _look(it, count // 10, START_SECONDS)
    last = _look(it, count * 9 // 10, DRAIN_SECONDS)
    seconds, handled, consumers, server = (after - before for before, after in zip(first, last, strict=True))
    return {"rate": handled / seconds, "cpu": consumers / handled * 1e6, "redis_cpu": server / handled * 1e6}


def _look(it: Stand, count: int, seconds: float) -> tuple[float, float, float, float]:
    it.wait_handled(count, seconds)
    return time.monotonic(), it.handled(), cpu(it.tree()), cpu([psutil.Process(it.server.pid)])


def latency(one: Contestant, scale: Scale) -> Figures:
    """From push to the handler's first line, in ms: consumer idle; then at half of what it can take."""
    with stand(one) as it:
        it.start()
        it.push("s", 1)
        it.wait_stamps(1, START_SECONDS)
        it.push("s", scale.idle_samples, rate=40)
        it.wait_stamps(1 + scale.idle_samples, ANSWER_SECONDS)
        idle = it.stamps()[1:]
        rate = min(scale.drained[one.name], scale.pushed[one.name]) / 2
        count = int(rate * scale.seconds)
        spent = it.push("s", count, rate=rate)
        it.wait_stamps(1 + len(idle) + count, ANSWER_SECONDS)
        busy = it.stamps()[1 + len(idle) :]
    return _waits("idle", idle) | _waits("busy", busy) | {"busy_rate": count / spent["seconds"]}


def _waits(name: str, stamps: list[tuple[int, int, int]]) -> Figures:
    waits = sorted((began - sent) / 1e6 for sent, began, _ in stamps)
    return {f"{name}_p50": statistics.median(waits), f"{name}_p99": waits[len(waits) * 99 // 100]}


def memory(one: Contestant, scale: Scale) -> Figures:  # noqa: ARG001
    """From the command to the first message handled, in s; MiB with one and with four consumers."""
    figures: Figures = {}
    for consumers in (1, 4):
        with stand(one) as it:
            it.push("n", 1)
            began = it.start(consumers)
            first = it.wait_handled(1, START_SECONDS)
            if consumers == 1:
                figures["start"] = first - began
            it.push("n", 100)
            it.wait_handled(101, START_SECONDS)
            it.close_pusher()
            time.sleep(1)  # the others of four may still be at their imports
            figures[f"pss{consumers}"] = pss(it.tree())
    return figures


def kill(one: Contestant, scale: Scale) -> Figures:
    """kill -9 of who runs the only message, in s until it runs again; inf: not within the limit."""
    with stand(one) as it:
        it.start()
        it.push("n", 1)
        it.wait_handled(1, START_SECONDS)
        time.sleep(STANDING_SECONDS)
        it.push("l", 1)
        it.wait_stamps(1, START_SECONDS)
        it.close_pusher()
        killed = time.monotonic()
        os.kill(it.stamps()[0][2], signal.SIGKILL)
        try:
            it.wait_stamps(2, scale.kill_seconds, mended=True)
        except Absent:
            return {"back": float("inf")}
        return {"back": it.stamps()[1][1] / 1e9 - killed}


@dataclass(frozen=True, slots=True)
class Measure:
    """One of them. `spare`: how many of the rounds it leaves out."""

    name: str
    take: Callable[[Contestant, Scale], Figures]
    spare: int = 1


MEASURES = [
    Measure("drain", drain, spare=0),
    Measure("two", two),
    Measure("nap", nap),
    Measure("disk", disk),
    Measure("latency", latency),
    Measure("memory", memory),
    Measure("kill", kill),
]
