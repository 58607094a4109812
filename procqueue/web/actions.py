"""What may be done here: each by the function that the verb of the same name calls (stored/queue.py).

An action returns how many were changed. What it is about comes from the path and from the form that was
posted; how many at most is what the button said: more than somebody saw is never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from procqueue.drivers.contract import Driver
from procqueue.stored.queue import Queue
from procqueue.web.asking import Ask
from procqueue.web.problems import Problem

T = TypeVar("T")
_MOST = 1_000_000


async def pause(ask: Ask) -> int:
    """Hand out no more messages of a queue, on all hosts."""
    await _change(ask, lambda queue: queue.pause())
    return 1


async def resume(ask: Ask) -> int:
    """Hand them out again."""
    return int(await _change(ask, lambda queue: queue.resume()))


async def retry(ask: Ask) -> int:
    """Run a failed or parked message again."""
    state = ask.form.get("state", "failed")
    return (await _change(ask, lambda queue: queue.retry(ask.path["id"], state=state))).count


async def forget(ask: Ask) -> int:
    """Remove a message that does not run."""
    return (await _change(ask, lambda queue: queue.forget(ask.path["id"]))).count


async def cancel(ask: Ask) -> int:
    """Let a message be handled no more, whether it waits or runs."""
    done = await _change(ask, lambda queue: queue.cancel(ask.path["id"]))
    return len(done.removed) + len(done.cancelling)


async def retry_group(ask: Ask) -> int:
    """Run a group of failures again, as many as were shown."""
    task, kind, most = _group(ask)
    return (await _change(ask, lambda queue: queue.retry(task=task, kind=kind, limit=most))).count


async def forget_group(ask: Ask) -> int:
    """Remove a group of failures, as many as were shown."""
    task, kind, most = _group(ask)
    changed = await _change(ask, lambda queue: queue.forget(state="failed", task=task, kind=kind, limit=most))
    return changed.count


def _group(ask: Ask) -> tuple[str, str, int]:
    task, kind, expect = (ask.form.get(name, "") for name in ("task", "kind", "expect"))
    if not (task and kind):
        raise Problem(400, "say which group: task and kind")
    if not (expect.isascii() and expect.isdecimal() and 1 <= int(expect[:8]) <= _MOST):
        raise Problem(400, "say how many you saw: expect")
    return task, kind, int(expect)


async def _change(ask: Ask, act: Callable[[Queue], T]) -> T:
    name = ask.queue

    def work(driver: Driver) -> T:
        return act(Queue(name, driver))

    try:
        return await ask.office.stores.change(name, work)
    except (ValueError, TypeError) as wrong:
        raise Problem(400, str(wrong)) from None
