"""The gate: a soft timeout from the main thread reaches user code of another one, and nothing behind it."""

import threading
import time
from contextvars import copy_context
from typing import Any

import pytest

from procqueue import SoftTimeout, current
from procqueue.core.errors import Cancelled
from procqueue.tasks.context import Message, call, callers
from procqueue.tasks.gates import Gate


def in_thread(work: Any) -> None:
    """Run it in a thread with a gate, and fail as it fails."""
    failed: list[BaseException] = []

    def run() -> None:
        gate = Gate(copy_context())
        try:
            work(gate)
        except BaseException as error:
            failed.append(error)
        finally:
            del callers[threading.get_ident()]

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in failed:
        raise error


def message(id: str = "m") -> Message:
    return Message(id=id, queue="q", task="t", ticket=1, handle_timeout=2.0)


def spin() -> None:
    while True:
        time.sleep(0.001)


@pytest.mark.parametrize("cancelled", [False, True])
def test_user_code_is_told_with_the_words_of_its_message(cancelled: bool) -> None:
    def work(gate: Gate) -> None:
        gate.begin("run")
        threading.Timer(0.02, lambda: gate.deliver("run", cancelled=cancelled)).start()
        kind, words = (Cancelled, "m was cancelled") if cancelled else (SoftTimeout, "of 2s has passed")
        with pytest.raises(kind, match=words) as caught:
            call(one, spin, (), {})
        assert type(caught.value) is kind and one.timed_out

    one = message()
    in_thread(work)


def test_what_is_meant_for_another_run_is_not_delivered() -> None:
    def work(gate: Gate) -> None:
        gate.begin("second")
        assert call(message(), lambda: gate.deliver("first", cancelled=False), (), {}) is False

    in_thread(work)


def test_a_timeout_at_any_moment_is_heard_by_the_handler_or_by_nobody() -> None:
    """Ten thousand short handlers, told from outside at random moments, in and beside a shield."""
    told = heard = 0

    def handler() -> str:
        with current().shield():
            for _ in range(20):
                pass
            assert not current().timed_out
        for _ in range(20):
            pass
        return "done"

    def work(gate: Gate) -> None:
        nonlocal heard
        for number in range(10_000):
            gate.begin(number)
            running[:] = [number]
            one = message()
            try:
                assert call(one, handler, (), {}) == "done"
                assert not one.timed_out
            except SoftTimeout:
                heard += 1
                assert one.timed_out
        running[:] = []

    running: list[int] = [-1]
    gates: list[Gate] = []

    def begin(gate: Gate) -> None:
        gates.append(gate)
        work(gate)

    thread = threading.Thread(target=in_thread, args=(begin,))
    thread.start()
    while running:
        if gates and (now := list(running)):
            told += gates[0].deliver(now[0], cancelled=False)
            time.sleep(0)
    thread.join()

    assert 0 < heard <= told + 10_000
