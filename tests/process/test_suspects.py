"""One suspect at a time runs on a host: the right to it is a real lock, and goes with its process (law D7)."""

import os
import signal
from pathlib import Path

from procqueue.process.consumer.suspects import Alone
from tests.process.actors import actor

HOLDER = """
import os, time
from procqueue.process.consumer.suspects import Alone

assert Alone({path!r}).take()
if os.fork():
    print("taken", flush=True)
time.sleep(60)  # a handler's own child, too, which does not inherit it
"""


def test_d7_another_consumer_has_to_wait_until_it_is_given_back_or_its_process_is_dead(tmp_path: Path) -> None:
    path = str(tmp_path / "suspect.lock")
    mine, same = Alone(path), Alone(path)

    assert mine.take() and mine.is_on
    mine.release()
    assert not mine.is_on
