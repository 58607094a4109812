"""Load for a store that fails: a producer that keeps account of its answers, and the runs, by the trail.

A message is one number. What was answered is in `answered`, with the phase in which its push began and that
in which it was answered; what was sent again because an answer got lost is in `doubtful` too.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from types import TracebackType

from procqueue.config import load
from procqueue.core import wire
from procqueue.core.errors import DriverError, PushUnknown
from procqueue.drivers.contract import Entry
from procqueue.pushing import Producer
from tests.live.harness import Project

#: For the application: "began NUMBER TICKET PID", and the same with "ended".
APP = """
trail = os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)

def note(word, n):
    os.write(trail, f"{word} {n} {current().ticket} {os.getpid()}\\n".encode())

@task(queue="q")
def work(n: int):
    note("began", n)
    time.sleep(0.002)
    note("ended", n)

@task(queue="q")
def long(n: int):
    note("began", n)
    wait_for("go")
    note("ended", n)
"""


def id_of(number: int) -> str:
    return f"m{number}"


class Load:
    """One producer, in a thread, from entering to leaving the context; numbers from `first`."""

    def __init__(self, p: Project, first: int = 1000) -> None:
        self._p = p
        self._next = first
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._push_all)
        self._error: BaseException | None = None
        settings = load(str(p.config), dict(os.environ))
        self._producer = Producer(settings.driver, None, 1.0)
        self.phase = 0
        self.answered: dict[int, tuple[int, int]] = {}
        self.doubtful: set[int] = set()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def wait_more(self, number: int) -> None:
        """Wait until so many more pushes are answered."""
        enough = len(self.answered) + number
        self._p.wait_until(
            lambda: len(self.answered) >= enough or self._error, f"{number} more pushes to be answered"
        )

    def pushed_now(self) -> list[int]:
        """Return what was pushed in this phase, and answered. (A copy is made in one step, a list is not.)"""
        return [number for number, (began, _) in self.answered.copy().items() if began == self.phase]

    def _push_all(self) -> None:
        try:
            while not self._over.is_set():
                self._push(self._next)
                self._next += 1
            self._producer.close()
        except BaseException as error:
            self._error = error

    def _push(self, number: int) -> None:
        id = id_of(number)
        entry = Entry(id, wire.encode("app.work", [number], {}, id=id))
        began = self.phase
        push = lambda: list(self._producer.push("q", [[entry]]))  # noqa: E731
        while True:
            try:
                push()
                break
            except PushUnknown as error:
                self.doubtful.add(number)
                push = error.receipt.repeat
            except DriverError:
                continue  # not stored: the store is away
        self.answered[number] = (began, self.phase)


class Runs:
    """What the trail says: how often each number began and ended, and under which tickets."""

    def __init__(self, p: Project) -> None:
        self.began: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.tickets: dict[int, set[int]] = {}  # ticket → numbers that began under it
        self.of: dict[int, list[int]] = {}  # number → tickets
        self.pids: dict[int, set[int]] = {}  # number → pids
        for line in p.said():
            word, number, ticket, pid = line.split()
            count = self.began if word == "began" else self.ended
            count[int(number)] += 1
            if word == "began":
                self.tickets.setdefault(int(ticket), set()).add(int(number))
                self.of.setdefault(int(number), []).append(int(ticket))
                self.pids.setdefault(int(number), set()).add(int(pid))

    def last_ticket(self) -> int:
        return max(self.tickets, default=0)
