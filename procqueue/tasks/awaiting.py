"""Runs of `async def` handlers: as execute.run does it, in a task of the event loop that is there.

The soft timeout is a cancel of that task, so it comes where the handler awaits something; where it leaves the
handler it has become SoftTimeout. Only who runs such a handler imports this, and asyncio with it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from procqueue.tasks import context
from procqueue.tasks.context import Message
from procqueue.tasks.execute import Ended, Prepared, ended_by, ended_with
from procqueue.tasks.middleware import surrounded


async def arun(prepared: Prepared, message: Message) -> Ended:
    """Await the handler as `message`, and return how that ended. Raises nothing.

    In a task of its own, whose context it changes.
    """
    try:
        result = await _handled(prepared, message)
    except BaseException as error:
        return ended_by(error, message, prepared)
    return ended_with(result, message)


def run_here(prepared: Prepared, message: Message) -> Ended:
    """Run an `async def` handler to its end where there is no event loop: for the sync driver, and tests."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(arun(prepared, message))
    # Somebody pushes from a coroutine without awaiting it: a loop cannot run inside another one's.
    ended: list[Ended] = []
    thread = threading.Thread(target=lambda: ended.append(asyncio.run(arun(prepared, message))))
    thread.start()
    thread.join()
    return ended[0]


async def _handled(prepared: Prepared, message: Message) -> Any:
    function = surrounded(message, prepared.task.function, is_async=True)
    context._current.set(message)
    message._running = True
    try:
        return await function(*prepared.args, **prepared.kwargs)
    except asyncio.CancelledError as error:
        if not message.timed_out:
            raise
        raise message.why_over().with_traceback(error.__traceback__) from None
    finally:
        message._running = False
