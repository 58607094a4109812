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

PATIENCE = 20.0


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


class Slow(Message):
    """A message whose delivery, once begun, takes until `go_on`."""

    def note_told(self) -> None:
        delivering.set()
        go_on.wait(PATIENCE)
        time.sleep(0.02)  # the other thread is now wherever it can get to
        super().note_told()


delivering, go_on = threading.Event(), threading.Event()


@pytest.mark.parametrize("where", ["behind the handler", "in a shield"])
def test_what_is_on_its_way_when_a_handler_ends_or_enters_a_shield_is_let_in_before(where: str) -> None:
    shielded: list[str] = []

    def handler(gate: Gate) -> str:
        threading.Thread(target=gate.deliver, args=("run",), kwargs={"cancelled": False}).start()
        assert delivering.wait(PATIENCE)
        go_on.set()
        if where == "in a shield":
            with current().shield():
                shielded.append("reached")
                time.sleep(0.1)
        return "done"

    def work(gate: Gate) -> None:
        gate.begin("run")
        if where == "in a shield":
            with pytest.raises(SoftTimeout):
                call(one, handler, (gate,), {})
            assert one.timed_out and not shielded
        else:
            assert call(one, handler, (gate,), {}) == "done" and not one.timed_out
        for _ in range(1000):  # nothing comes any more
            time.sleep(0)

    delivering.clear()
    go_on.clear()
    one = Slow(id="m", queue="q", task="t", ticket=1, handle_timeout=2.0)
    in_thread(work)
