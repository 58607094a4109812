"""One suspect at a time runs on a host: the right to it is a real lock that goes with its process (D7)."""

import os
import signal
from pathlib import Path

from procqueue.process.consumer.suspects import Alone
from procqueue.process.kernel import descendants_of
from tests.process.actors import actor

HOLDER = """
import os, sys, time
from procqueue.process.consumer.suspects import Alone

alone = Alone(sys.argv[1])
assert alone.take()
if os.fork():  # a handler's own child lives on, and has no part in it
    print("taken", flush=True)
    sys.stdin.readline()
    alone.release()
    print("given back", flush=True)
time.sleep(60)
"""


def test_d7_another_consumer_waits_until_the_right_is_given_back(tmp_path: Path) -> None:
    path = str(tmp_path / "suspect.lock")
    mine = Alone(path)
    with actor(HOLDER, path) as other:
        other.line()
        assert not mine.take() and not mine.is_on

        other.tell("go on")
        other.line()

        assert mine.take() and mine.is_on


def test_d7_the_right_goes_with_its_process_whatever_its_handlers_have_left(tmp_path: Path) -> None:
    path = str(tmp_path / "suspect.lock")
    mine = Alone(path)
    with actor(HOLDER, path) as other:
        other.line()
        (left,) = descendants_of(other.pid)

        other.kill()

        assert os.path.exists(f"/proc/{left}") and mine.take()
        os.kill(left, signal.SIGKILL)
