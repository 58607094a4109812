"""For the tests of an application: what was pushed, run on demand, or real consumers for one test.

    def test_a_new_user_is_welcomed(procqueue_fake):
        sign_up("ann@example.com")
        assert procqueue_fake.pushed(welcome) == [welcome.call("ann@example.com")]
        procqueue_fake.run()

The fixtures `procqueue_fake` and `procqueue_live` come with pytest by themselves (plugin.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from procqueue.tasks.call import Call as Call
from procqueue.tasks.context import Message, entered
from procqueue.testing.fake import Failed as Failed
from procqueue.testing.fake import Fake as Fake
from procqueue.testing.fake import Fated as Fated


@contextmanager
def message(
    *,
    id: str = "test",
    queue: str = "default",
    task: str = "test",
    ticket: int = 1,
    attempt: int = 1,
    last: bool = False,
    crashes: int = 0,
    meta: dict[str, Any] | None = None,
    pushed_at: datetime | None = None,
    stopping: bool = False,
) -> Iterator[Message]:
    """Let a plain call of a handler, made in this block, find such a message as `current()`.

    What it records (`release()`, `fail()` …) stands in `verdict` of what the block gives.
    """
    pushed = datetime.now(UTC) if pushed_at is None else pushed_at
    shown = Message(
        id=id,
        queue=queue,
        task=task,
        ticket=ticket,
        attempt=attempt,
        last=last,
        crashes=crashes,
        pushed_ms=round(pushed.timestamp() * 1000),
        meta=meta,
        stopping=lambda: stopping,
    )
    with entered(shown):
        yield shown
