"""Listeners hear what becomes of messages, and middleware stands around handlers; law D11."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, cast

import pytest

import procqueue
from procqueue import Event, Fail, Retry, TaskError, current, current_or_none, task
from procqueue.core import wire
from procqueue.core.errors import AlreadyDecided
from procqueue.tasks import listeners, middleware, registry

HANDLE = ("before_handle", "after_handle", "retry_handle", "failed_handle", "timeout_handle")
heard: list[Event] = []
number: ContextVar[int] = ContextVar("number", default=0)


@pytest.fixture(autouse=True)
def _sync(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PROCQUEUE_URL", "sync://?raise=0")
    heard.clear()
    known = dict(registry._tasks)
    yield
    procqueue.close()
    registry._tasks.clear()
    registry._tasks.update(known)
    listeners._listeners.clear()
    for function in (*middleware._arounds, *middleware._pushes, *middleware._setups, *middleware._teardowns):
        middleware.forget(function)


def names() -> list[str]:
    return [event.name for event in heard]


def test_a_message_that_is_handled_is_heard_of_twice() -> None:
    procqueue.on("before_handle", "after_handle")(heard.append)
    double = task(name="t.double", queue="q")(lambda n: 2 * n)

    receipt = double.push(21)

    before, after = heard
    assert (before.name, after.name) == ("before_handle", "after_handle")
    assert (after.result, after.task, after.queue, after.exception) == (42, "t.double", "q", None)
    assert after.message is not None and after.message.id == receipt.id
    assert after.seconds is not None and after.seconds >= 0
    assert before.result is None and before.seconds is None


def test_each_bad_run_is_heard_of_and_the_last_one_as_failed() -> None:
    procqueue.on(*HANDLE)(heard.append)  # type: ignore[arg-type]

    @task(name="t.bad", queue="q", max_attempts=2)
    def bad() -> None:
        raise ValueError("no")

    bad.push()

    assert names() == ["before_handle", "retry_handle", "before_handle", "failed_handle"]
    assert [event.message and event.message.attempt for event in heard] == [1, 1, 2, 2]
    assert isinstance(heard[1].exception, ValueError) and heard[1].error == "ValueError: no"
    assert isinstance(heard[3].exception, ValueError) and heard[3].error == "ValueError: no"


@pytest.mark.parametrize(
    ("ending", "what"), [(Retry(after=0), "retry_handle"), (Fail("enough"), "failed_handle")]
)
def test_endings_that_are_asked_for_are_heard_of_as_what_they_are(ending: Exception, what: str) -> None:
    procqueue.on("retry_handle", "failed_handle")(heard.append)
    ends = iter([ending])

    @task(name="t.ends", max_attempts=3)
    def once() -> None:
        for one in ends:
            raise one

    once.push()

    assert names() == [what]


def test_unreadable_arguments_are_heard_of_as_failed() -> None:
    procqueue.on("failed_handle", "before_handle")(heard.append)
    task(name="t.typed")(_typed)

    procqueue.push("t.typed", "no number")

    assert (names() == ["failed_handle"] and "no number" in heard[0].error) or "int" in heard[0].error


def _typed(n: int) -> None: ...


def test_d11_a_listener_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []

    def raises(event: Event) -> None:
        raise SystemExit(event.name)

    procqueue.on("before_handle", "after_handle")(raises)
    procqueue.on("after_handle")(heard.append)
    fine = task(name="t.fine")(lambda n: ran.append(n))

    with caplog.at_level(logging.ERROR, "procqueue"):
        assert fine.push(1)

    assert ran == [1] and names() == ["after_handle"]
    assert [r.getMessage().split()[0] for r in caplog.records] == ["event=listener_failed"] * 2
    assert "raises" in caplog.text and "after_handle" in caplog.text


def test_d11_a_listener_cannot_record_a_verdict() -> None:
    refused: list[str] = []
    ran: list[int] = []

    def meddles(event: Event) -> None:
        for message in (current(), event.message):
            assert message is not None
            for verdict in (message.delete, message.fail, message.release):
                with pytest.raises(AlreadyDecided):
                    verdict()
                refused.append(event.name)

    procqueue.on("before_handle", "after_handle")(meddles)
    task(name="t.fine")(lambda n: ran.append(n)).push(1)

    assert ran == [1] and len(refused) == 12


def test_what_one_sets_in_a_context_stays_in_it() -> None:
    seen: list[int] = []

    def look(*_: Any) -> None:
        seen.append(number.get())
        number.set(number.get() + 1)

    procqueue.on("before_handle", "after_handle")(look)
    looks = task(name="t.looks")(look)
    looks.push()
    looks.push()

    assert seen == [0] * 6 and number.get() == 0
    assert current_or_none() is None


def test_what_is_no_event_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(TaskError, match='"after_handle"'):
        procqueue.on(cast(Any, "after_handel"))
    with pytest.raises(TaskError, match="needs the names"):
        procqueue.on()
    with pytest.raises(TaskError, match="for functions"):
        procqueue.on("after_handle")(cast(Any, 7))


def test_a_module_that_is_imported_anew_is_heard_once() -> None:
    for _ in range(2):
        procqueue.on("after_handle")(_note)
        procqueue.around(_counted)
    task(name="t.none")(lambda: None).push()

    assert names() == ["after_handle"] and rounds == [1]
    listeners.forget(_note)
    assert not listeners.is_heard(*cast(Any, HANDLE))


rounds: list[int] = []


def _note(event: Event) -> None:
    heard.append(event)


def _counted(message: procqueue.Message, run: Callable[[], Any]) -> Any:
    rounds.append(message.attempt)
    return run()


def test_middleware_stands_around_the_handler_the_first_outermost() -> None:
    trail: list[str] = []

    @procqueue.around
    def outer(message: procqueue.Message, run: Callable[[], Any]) -> Any:
        trail.append(f"outer {message.task} {current().id == message.id}")
        number.set(7)
        result = run()
        trail.append("outer out")
        return f"<{result}>"

    @procqueue.around
    def inner(_: procqueue.Message, run: Callable[[], Any]) -> Any:
        trail.append("inner")
        return run()

    procqueue.on("after_handle")(heard.append)
    task(name="t.t")(lambda a, b: trail.append(f"handler {a} {b} {number.get()}")).push(1, b=2)

    assert trail == ["outer t.t True", "inner", "handler 1 2 7", "outer out"]
    assert heard[0].result == "<None>"


def test_what_middleware_raises_counts_as_the_handlers_and_it_may_leave_it_out() -> None:
    procqueue.on("failed_handle", "after_handle")(heard.append)
    ran: list[int] = []
    listed = task(name="t.t", max_attempts=1)(lambda n: ran.append(n))

    @procqueue.around
    def guards(message: procqueue.Message, run: Callable[[], Any]) -> Any:
        if not ran:
            raise PermissionError("not now")
        return run() if message.attempt > 1 else None

    listed.push(1)
    assert names() == ["failed_handle"] and isinstance(heard[0].exception, PermissionError)
    ran.append(0)
    listed.push(2)
    assert names() == ["failed_handle", "after_handle"] and ran == [0]


def test_middleware_stands_around_each_push_and_what_it_notes_comes_with_the_message() -> None:
    seen: list[Any] = []
    noted: list[Any] = []

    @procqueue.around_push
    def outer(push: procqueue.Push, run: Callable[[], Any]) -> Any:
        push.meta["trace"] = len(seen)
        result = run()
        seen.append((push.task, push.queue, push.many, type(result).__name__))
        return result

    @procqueue.around_push
    def inner(push: procqueue.Push, run: Callable[[], Any]) -> Any:
        push.meta["also"] = {"é": [1, 2.5, None]}
        return run()

    @task(name="t.t", queue="q")
    def noting(n: int) -> None:
        noted.append((n, dict(procqueue.current().meta)))

    also = {"é": [1, 2.5, None]}
    noting.push(1)
    noting.using(queue="other").push(2)
    asyncio.run(noting.apush(3))
    procqueue.push("t.t", 2**70)
    noting.push_many(noting.call(n) for n in (5, 6))

    assert seen == [
        ("t.t", "q", False, "Receipt"), ("t.t", "other", False, "Receipt"), ("t.t", "q", False, "Receipt"),
        ("t.t", "q", False, "Receipt"), ("t.t", "q", True, "PushedMany"),
    ]  # fmt: skip
    assert noted == [
        (n, {"trace": trace, "also": also})
        for n, trace in ((1, 0), (2, 1), (3, 2), (2**70, 3), (5, 4), (6, 4))
    ]


def test_what_middleware_around_a_push_raises_leaves_the_push_and_nothing_is_stored() -> None:
    ran: list[int] = []
    listed = task(name="t.t")(lambda n: ran.append(n))

    @procqueue.around_push
    def guards(push: procqueue.Push, run: Callable[[], Any]) -> Any:  # noqa: ARG001
        if push.many:
            return None
        raise PermissionError(push.task)

    with pytest.raises(PermissionError, match=r"t\.t"):
        listed.push(1)
    with pytest.raises(PermissionError):
        asyncio.run(listed.apush(1))
    assert listed.push_many([listed.call(1)]) is None  # as it wished

    assert ran == []


def test_what_was_noted_is_read_back_beside_the_arguments() -> None:
    one = wire.encode("t.t", [1])

    assert wire.decode(wire.with_meta(one, {"a": 1})).meta == {"a": 1}
    assert wire.decode(wire.with_meta(one, {"a": 1})).args == [1]
    assert wire.with_meta(one, {}) == one


def test_only_functions_can_stand_around() -> None:
    for add in (
        procqueue.around,
        procqueue.around_push,
        procqueue.consumer_setup,
        procqueue.consumer_teardown,
    ):
        with pytest.raises(TaskError, match="for functions"):
            add(cast(Any, 7))
