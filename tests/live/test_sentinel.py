"""The master of Redis fails over under load: producers, consumers and scheduler go on with the new one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from procqueue.core import wire
from procqueue.core.errors import DriverUnavailable
from procqueue.core.settings.model import DriverSettings
from procqueue.pushing import Producer
from tests.fleet import Fleet, fleet
from tests.live.conftest import Make
from tests.live.harness import Project
from tests.live.test_store_faults import APP, problems

#: The harness has just opened [driver].
QUEUE = 'timeout = "1s"\nconnect_timeout = "1s"\n[queues.q]\nprocesses = 2\n'

#: All processes of a machine share that clock.
TIMED = """
@task(queue="q")
def quick(n):
    say(f"quick {n} {time.monotonic()}")
"""

#: The sentinels' down-after (0.5 s) and 15 s.
BACK_WITHIN = 15.5


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Fleet]:
    """One replica, one sentinel. To be named before `make`: it must outlive the projects."""
    (tmp_path / "f").mkdir()
    with fleet(tmp_path / "f") as made:
        yield made


class Load:
    """A producer in a thread that pushes numbers one after the other, and knows when each was answered."""

    def __init__(self, p: Project, url: str) -> None:
        settings = DriverSettings(url, prefix=p.tag[-12:], timeout=1.0, connect_timeout=1.0)
        self._producer = Producer(settings, None, push_timeout=60.0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered: dict[int, float] = {}  # number → monotonic moment

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def after(self, moment: float) -> list[int]:
        """Return the numbers that were answered after a moment."""
        return [number for number, at in self.answered.copy().items() if at > moment]

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(0.003):
            entry = self._producer.entry(f"m{number}", wire.encode("app.quick", [number], {}))
            for _ in self._producer.push("q", iter([[entry]])):
                self.answered[number] = time.monotonic()
            number += 1
        self._producer.close()


def handled(p: Project) -> dict[int, list[float]]:
    """Return the moments at which each number was handled."""
    moments: dict[int, list[float]] = {}
    for line in p.said():
        _, number, moment = line.split()
        moments.setdefault(int(number), []).append(float(moment))
    return moments


def goes_on(p: Project, load: Load, since: float) -> None:
    """Wait until many that were pushed since are handled."""

    def many() -> bool:
        done = handled(p)
        return sum(number in done for number in load.after(since)) >= 100

    p.wait_until(many, "pushes after the failover to be handled", BACK_WITHIN)


def wait_quiet(p: Project) -> None:
    """Wait until nothing is left to do, whatever the store does meanwhile."""

    def quiet() -> bool:
        with suppress(DriverUnavailable):
            counts = p.counts()
            return counts.waiting + counts.delayed + counts.reserved == 0
        return False

    p.wait_until(quiet, "the queue to be empty")


def account(p: Project, load: Load, since: float, until: float) -> None:
    """Check that all is handled once, but for what was answered or handled at the edge of two histories."""
    done = handled(p)
    lost = {number: at for number, at in load.answered.items() if number not in done}
    repeated = {number: moments[0] for number, moments in done.items() if len(moments) > 1}

    assert all(since <= at <= until for at in (*lost.values(), *repeated.values())), (
        since,
        until,
        lost,
        repeated,
    )
    assert p.failed() == []


def test_after_the_master_was_killed_everybody_goes_on_with_its_replica(made: Fleet, make: Make) -> None:
    p = make(QUEUE, TIMED, made.url)
    p.start()
    consumers = p.pids("q")
    old = made.master()
    with Load(p, made.url) as load:
        p.wait_until(lambda: len(handled(p)) > 100, "work to go on")
        struck = time.monotonic()
        made.servers[old].kill()
        goes_on(p, load, struck)
        p.wait_until(lambda: p.is_ready() and not problems(p), "all to be well")
    wait_quiet(p)

    account(p, load, struck - 1, struck + 1)
    assert sorted(p.pids("q")) == sorted(consumers)


def test_what_a_quiet_master_held_is_all_there_after_it_was_killed(made: Fleet, make: Make) -> None:
    p = make(QUEUE, APP, made.url)
    p.start()
    for number in range(2):
        p.push("long", number)
    p.wait_until(lambda: len(p.said()) == 2, "both to be busy")
    p.push_many("quick", 50)
    old, replica = made.servers
    p.wait_until(
        lambda: (
            made.client(old).info("replication")["slave0"]["offset"]
            == made.client(replica).info("replication")["master_repl_offset"]
            == made.client(old).info("replication")["master_repl_offset"]
        ),
        "all to be replicated",
    )

    made.servers[old].kill()
    (p.folder / "go").touch()

    made.wait_for_another(than=old)
    wait_quiet(p)
    lines = [f"{word} {n}" for word in ("began", "ended") for n in range(2)]
    assert sorted(p.said()) == sorted(lines + [f"quick {n}" for n in range(50)])
    assert p.failed() == []


def _freeze(made: Fleet) -> None:
    os.kill(made.servers[made.master()].pid, signal.SIGSTOP)


def _kill(made: Fleet) -> None:
    made.servers[made.master()].kill()


def _plan(made: Fleet) -> None:
    made.failover()


@pytest.mark.slow
@pytest.mark.parametrize("strike", [_kill, _freeze, _plan])
def test_three_sentinels_fail_over_and_the_old_master_comes_back_as_a_replica(
    strike: Callable[[Fleet], None], tmp_path: Path, make: Make
) -> None:
    (tmp_path / "f").mkdir()
    # A master whose replica has gone over to another takes no more writes.
    options = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10")
    with fleet(tmp_path / "f", *options, replicas=2, sentinels=3) as made:
        p = make(QUEUE, TIMED, made.url)
        p.start()
        old = made.master()
        with Load(p, made.url) as load:
            p.wait_until(lambda: len(handled(p)) > 100, "work to go on")
            struck = time.monotonic()
            strike(made)
            new = made.wait_for_another(than=old)
            named = time.monotonic()
            goes_on(p, load, named)
            if strike is _kill:
                made.start_again(old)
            os.kill(made.servers[old].pid, signal.SIGCONT)
            p.wait_until(
                lambda: made.client(old).info("replication")["role"] == "slave", "the old one to follow"
            )
            goes_on(p, load, time.monotonic())
        wait_quiet(p)

        account(p, load, struck - 1, (named if strike is _plan else struck) + 1)
        assert made.is_master(new)
        p.stop()
