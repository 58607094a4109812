"""`async def` handlers: awaited, surrounded and told apart as the others are, also where no loop runs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import procqueue
from procqueue import Fail, SoftTimeout, TaskError, current, task
from procqueue.core import wire
from procqueue.core.message import NO_COUNTERS, Reservation
from procqueue.core.outcome import Ending
from procqueue.core.settings.model import QueueSettings
from procqueue.tasks import middleware, registry
from procqueue.tasks.awaiting import arun, run_here
from procqueue.tasks.context import Message
from procqueue.tasks.execute import Ended, Prepared, prepare

QUEUE = QueueSettings("emails", max_attempts=3, handle_timeout=30.0)


@pytest.fixture
def noted() -> Iterator[list[str]]:
    """What is noted around handlers; nothing stands around them afterwards."""
    notes: list[str] = []

    def plain(_: Message, run: Callable[[], Any]) -> Any:
        notes.append("plain")
        return run()

    async def awaiting(_: Message, run: Callable[[], Awaitable[Any]]) -> Any:
        notes.append("before")
        try:
            return await run()
        finally:
            notes.append("after")

    procqueue.around(plain)
    procqueue.around(awaiting)
    yield notes
    middleware.forget(plain)
    middleware.forget(awaiting)


def prepared(handler: Callable[..., Any]) -> Prepared:
    name = f"shop.{handler.__name__}"
    task(name=name)(handler)
    reservation = Reservation("emails", "order-7", 5, wire.encode(name), NO_COUNTERS, 0)
    ready = prepare(reservation, registry.find, QUEUE)
    assert isinstance(ready, Prepared)
    return ready


def ran(handler: Callable[..., Any]) -> Ended:
    one = prepared(handler)
    return run_here(one, one.message())


def test_it_is_awaited_as_the_current_message_and_what_it_raises_is_judged() -> None:
    async def done() -> str:
        await asyncio.sleep(0)
        return current().id

    async def fails() -> None:
        raise Fail("no such user")

    assert ran(done).result == "order-7"
    outcome = ran(fails).outcome
    assert (outcome.ending, outcome.error, outcome.final) == (Ending.RAISED, "no such user", True)


def test_it_runs_to_its_end_also_where_a_loop_is_running_already() -> None:
    async def done() -> int:
        return 7

    async def pusher() -> Any:
        return ran(done).result

    assert asyncio.run(pusher()) == 7


@pytest.mark.parametrize("how", ["lets it pass", "raises another", "returns", "is not told"])
def test_a_cancel_is_a_timeout_if_the_handler_was_told_and_does_not_return(how: str) -> None:
    async def handler() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if how == "returns":
                return
            if how == "raises another":
                raise OSError("cut off") from None
            raise

    async def told() -> Ended:
        one = prepared(handler)
        message = one.message()
        run = asyncio.create_task(arun(one, message))
        await asyncio.sleep(0)
        if how != "is not told":
            assert message.is_to_hear(cancelled=False)
            message.note_told()
        run.cancel()
        return await run

    ended = asyncio.run(told())

    if how == "returns":
        assert ended.outcome.ending is Ending.DONE
    elif how == "is not told":
        assert ended.outcome.ending is Ending.RAISED
    else:
        assert ended.outcome.ending is Ending.TIMED_OUT and "of 30s has passed" in ended.outcome.error
        assert isinstance(ended.exception, SoftTimeout) == (how == "lets it pass")


def test_only_what_is_async_stands_around_it(noted: list[str]) -> None:
    async def handler() -> None:
        noted.append("handler")

    ran(handler)

    assert noted == ["before", "handler", "after"]


def test_what_nobody_would_await_is_refused() -> None:
    async def later() -> None: ...

    for register in (procqueue.consumer_setup, procqueue.consumer_teardown, procqueue.around_push):
        with pytest.raises(TaskError, match="nobody would await it"):
            register(later)  # type: ignore[arg-type, operator]
    with pytest.raises(TaskError, match="on_failed is for plain functions"):
        task(name="shop.job")(later).on_failed(later)  # type: ignore[arg-type]
