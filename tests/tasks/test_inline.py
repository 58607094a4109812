"""The sync driver: the task runs inside push, through the same encoding and the same policy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from procqueue import BadArguments, Fail, Retry, TaskError, current, task
from procqueue.core import wire
from procqueue.core.outcome import Ending
from procqueue.core.settings.model import QueueSettings, RetryDelays
from procqueue.drivers.contract import Entry, Pushed
from procqueue.drivers.sync import MAX_RUNS, Pause, SyncDriver
from procqueue.tasks.inline import executor
from procqueue.tasks.task import Task

QUEUE = QueueSettings("emails", max_attempts=3, retry_seconds=RetryDelays(listed=(5.0, 30.0)))


def driver(**options: Any) -> SyncDriver:
    return SyncDriver(executor(lambda _: QUEUE), **options)


def declared(handler: Callable[[], Any], **options: Any) -> Task[..., Any]:
    return task(name="shop.job", **options)(handler)


def entry(body: bytes = wire.encode("shop.job"), **when: Any) -> Entry:
    return Entry("order-7", body, **when)


def failing(runs: list[int], error: BaseException) -> Callable[[], None]:
    def handler() -> None:
        runs.append(current().attempt)
        raise error

    return handler


def test_the_task_runs_inside_push() -> None:
    runs: list[str] = []
    declared(lambda: runs.append(current().id))

    assert driver().push("emails", [entry(), entry()]) == [Pushed.QUEUED, Pushed.QUEUED]
    assert runs == ["order-7", "order-7"]


def test_a_failing_task_is_tried_again_up_to_max_attempts_and_then_its_exception_leaves_push() -> None:
    runs: list[int] = []
    error = OSError("no route")
    declared(failing(runs, error))

    with pytest.raises(OSError, match="no route") as raised:
        driver().push("emails", [entry()])

    assert raised.value is error
    assert runs == [1, 2, 3]


def test_with_raise_0_the_exception_stays_inside() -> None:
    runs: list[int] = []
    declared(failing(runs, OSError()))

    assert driver(raises=False).push("emails", [entry()]) == [Pushed.QUEUED]
    assert runs == [1, 2, 3]


def test_delays_and_pauses_are_recorded_and_not_waited_for() -> None:
    declared(failing([], Retry(after="1h")), max_attempts=2)
    one = driver(raises=False)

    one.push("emails", [entry(delay_ms=600_000), entry(at_ms=0)])

    assert list(one.pauses) == [
        Pause("emails", "order-7", 600_000), Pause("emails", "order-7", 3_600_000),
        Pause("emails", "order-7", 3_600_000),
    ]  # fmt: skip


def test_without_a_wish_the_pause_is_the_queues() -> None:
    declared(failing([], OSError()))
    one = driver(raises=False)

    one.push("emails", [entry()])

    assert [pause.ms for pause in one.pauses] == [5_000, 30_000]


def test_fail_ends_the_message_at_once() -> None:
    runs: list[int] = []
    declared(failing(runs, Fail("no such user")))

    with pytest.raises(Fail, match="no such user"):
        driver().push("emails", [entry()])

    assert runs == [1]


def test_a_verdict_of_failure_leaves_push_as_fail() -> None:
    declared(lambda: current().fail("no such user"))

    with pytest.raises(Fail, match="no such user"):
        driver().push("emails", [entry()])


def test_ctrl_c_is_no_attempt_and_leaves_push_in_any_case() -> None:
    runs: list[int] = []
    declared(failing(runs, KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        driver(raises=False).push("emails", [entry()])

    assert runs == [1]


def test_a_task_that_gives_itself_back_for_ever_does_not_hang_the_push() -> None:
    declared(lambda: current().release(60))

    with pytest.raises(RuntimeError, match=f"was run {MAX_RUNS} times"):
        driver().push("emails", [entry()])


def test_d12_what_cannot_be_run_leaves_push_with_its_reason() -> None:
    declared(lambda: None)

    with pytest.raises(TaskError, match=r"'shop\.other' here: import the module"):
        driver().push("emails", [entry(wire.encode("shop.other"))])
    with pytest.raises(BadArguments, match="too many positional arguments"):
        driver().push("emails", [entry(wire.encode("shop.job", [1]))])
    with pytest.raises(BadArguments, match="not JSON"):
        driver().push("emails", [entry(b"hello")])


def test_the_hook_is_called_once_after_the_last_attempt() -> None:
    seen: list[Any] = []
    error = OSError()
    declared(failing([], error)).on_failed(seen.append)

    driver(raises=False).push("emails", [entry()])

    assert [(one.message.attempts, one.outcome, one.exception) for one in seen] == [(3, Ending.RAISED, error)]


def test_d11_a_failing_hook_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def hook(_: Any) -> None:
        raise RuntimeError("hook")

    error = OSError("of the handler")
    declared(failing([], error)).on_failed(hook)

    with caplog.at_level(logging.ERROR, "procqueue"), pytest.raises(OSError, match="of the handler"):
        driver().push("emails", [entry()])

    assert [record.getMessage() for record in caplog.records] == [
        "event=hook_failed task=shop.job id=order-7"
    ]
