"""The last resort: real kernel timers in real processes that hear nothing (law S8)."""

import math
import signal
import time

import pytest

from procqueue.process.consumer import lastresort
from procqueue.process.consumer.lastresort import LastResort
from tests.process.actors import actor

HEAD = """
import ctypes, os, signal, sys, time
from procqueue.process.consumer import lastresort
from procqueue.process.consumer.lastresort import LastResort

lastresort._LATER = lastresort._SLACK = 0.1
last = LastResort()
assert last.missing == ""

def within(seconds):
    last.after(time.monotonic() + seconds if seconds else float("inf"))

def be_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(600)
"""


@pytest.mark.parametrize(
    "how",
    [
        "within(0.2); be_deaf()",
        "within(600); within(0.2); be_deaf()",
        "last.for_good(0.2, print); be_deaf()",
        "last.for_good(0.2, print); within(600); be_deaf()",
        "last.for_good(0.2, print); within(0); be_deaf()",
        "within(600); last.for_good(0.2, print); be_deaf()",
        "last.for_good(0.2, print); last.for_good(600, print); be_deaf()",
        "within(0.2); os.kill(os.getpid(), signal.SIGSTOP)",
    ],
)
def test_s8_the_kernel_ends_who_hears_nothing(how: str) -> None:
    with actor(HEAD + how) as deaf:
        assert deaf.process.wait(20) == -signal.SIGKILL


def test_s8_who_rests_or_has_no_limit_or_was_forked_is_not_ended() -> None:
    body = """
within(0.2)
within(0)
time.sleep(1)
within(0.2)
within(0)
time.sleep(1)
within(0.5)
if os.fork() == 0:
    within(0.1)
    print("forked", flush=True)
    time.sleep(2)
    print("lives", flush=True)
    os._exit(0)
be_deaf()
"""
    with actor(HEAD + body) as one:
        assert one.line() == "forked"
        assert one.line() == "lives"
        assert one.process.wait(20) == -signal.SIGKILL


def test_s8_the_timer_is_left_alone_while_it_is_late_by_little() -> None:
    last = LastResort()
    try:
        last.after(time.monotonic() + 100)
        first = last._at
        for _ in range(10):
            last.after(time.monotonic() + 100)
        assert last._at == first and 105 < first - time.monotonic() <= 110

        last.after(time.monotonic() + 50)
        assert last._at < first
        last.after(time.monotonic() + 200)
        assert last._at > first
    finally:
        last.after(math.inf)


def test_s8_a_signal_in_the_middle_of_setting_it_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    last = LastResort()
    told: list[int] = []
    timer = last._timer
    assert timer is not None
    moments: list[float] = []

    def set_and_be_interrupted(moment: float) -> None:
        if not moments:
            moments.append(moment)
            last.for_good(300, told.append)
        moments.append(moment)
        lastresort._Timer.set(timer, moment)

    monkeypatch.setattr(timer, "set", set_and_be_interrupted)
    try:
        last.after(time.monotonic() + 1000)

        assert len(told) == 1 and moments[-1] == last._final == last._at < time.monotonic() + 306
    finally:
        lastresort._Timer.set(timer, float("inf"))
