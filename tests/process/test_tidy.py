"""What user code leaves behind: a process of its own, which does to itself what handlers do."""

import pytest

from tests.process.actors import actor

HEAD = """
import os, signal, time
from procqueue.process.consumer.alarm import Alarm
from procqueue.process.consumer.tidy import Tidy
from procqueue.process.consumer.wake import Interrupts
from procqueue.process.lifeline import pair

ours, theirs = pair()
alarm = Alarm()
interrupts = Interrupts(ours, lambda: None)
tidy = Tidy(interrupts, alarm.off, lambda *_: None, lambda *_: None)

UPSETS = {
    "handler": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
    "timer": lambda: signal.setitimer(signal.ITIMER_REAL, 100),
    "wakeup": lambda: signal.set_wakeup_fd(-1),
    "stream": lambda: os.close(0),
}

def is_right():
    woken = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(woken)
    return (
        callable(signal.getsignal(signal.SIGTERM)) and not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        and signal.getitimer(signal.ITIMER_REAL)[0] < 70 and woken != -1 and zero_is_open()
    )

def zero_is_open():
    try:
        os.fstat(0)
    except OSError:
        return False
    return True

def run(task, do=lambda: None, seconds=0.0):
    # As if it had begun so long ago: what is quick must not depend on this machine.
    alarm.until(time.monotonic() + 60)
    do()
    tidy.after(time.monotonic() - seconds, task)
    return is_right()
"""


@pytest.mark.parametrize("upset", ["handler", "mask", "timer", "wakeup", "stream"])
def test_all_is_put_right_after_who_is_not_known_to_be_tidy_and_after_whatever_took_its_time(
    upset: str,
) -> None:
    body = f"""
upset = UPSETS["{upset}"]
print(run("new", upset), run("slow", seconds=1), run("slow", upset, seconds=1), flush=True)
import procqueue.process.consumer.tidy as module
module._EVERY = 100.0
print(run("quick"), run("quick", upset), flush=True)
tidy.look()  # before the driver is called
print(is_right(), run("quick", upset), run("quick", upset), sorted(tidy._messy), flush=True)
"""
    with actor(HEAD + body) as one:
        assert one.line() == "True True True"
        assert one.line() == "True False"
        assert one.line() == "True True True ['new', 'quick', 'slow']"


def test_a_directory_is_left_at_once_and_a_process_without_its_descriptors_is_maimed() -> None:
    body = """
home = os.getcwd()
run("quick")
run("quick", lambda: os.chdir("/"))
print(os.getcwd() == home, tidy.maimed, flush=True)
os.closerange(3, 100)
tidy.after(time.monotonic(), "quick")
print(tidy.maimed, flush=True)
"""
    with actor(HEAD + body) as one:
        assert one.line() == "True False"
        assert one.line() == "True"
