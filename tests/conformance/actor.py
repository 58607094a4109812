"""One actor of a conformance test in a process of its own: `python -m tests.conformance.actor ROLE ADDRESS`.

It tells its test what it did by lines on stdout, and may be killed at any moment.
"""

from __future__ import annotations

import sys

from procqueue.core.message import Reservation
from procqueue.drivers.contract import Driver, Entry
from tests.conformance import playing
from tests.conformance.stores import QUEUE, open_address


def wake(driver: Driver) -> None:
    """Say "ready", wait until something can be taken, say what. A wake-up may find nothing."""
    who = playing.consumer(driver, "sleeper")
    assert not playing.take(driver, who)
    _say("ready")
    held: tuple[Reservation, ...] = ()
    while not held and driver.wait([QUEUE], playing.DEADLINE, []):
        held = playing.take(driver, who)
    _say(",".join(one.id for one in held))


def push_for_ever(driver: Driver) -> None:
    """Push chunks of three and say each chunk's number once it was answered."""
    for chunk in range(1_000_000):
        driver.push(QUEUE, [Entry(f"{chunk}-{part}", b"x" * 300) for part in range(3)])
        _say(str(chunk))


def work_for_ever(driver: Driver) -> None:
    """Take two at a time, release the first of them and ack the other; say the ids acked."""
    who = playing.consumer(driver, "worker")
    while True:
        held = playing.take(driver, who, 2)
        settlements = playing.verdicts(held[:1], playing.RELEASE) + playing.verdicts(held[1:])
        driver.turn(QUEUE, who, settlements, 0)
        for one in held[1:]:
            _say(one.id)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    globals()[sys.argv[1]](open_address(sys.argv[2]))
