"""Consumers are killed at random under load: no message is lost, only what ran at a kill repeats."""

import os
import random
import signal
from collections import Counter

import pytest

from procqueue.process.ask import NoMaster
from tests.live.conftest import Make
from tests.live.harness import Project

APP = """
trail = os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)

@task(queue="q")
def work(n):
    os.write(trail, f"began {n}\\n".encode())
    time.sleep(0.0005)
    os.write(trail, f"ended {n}\\n".encode())
"""


@pytest.mark.parametrize(
    ("messages", "kills"), [(4_000, 8), pytest.param(20_000, 40, marks=pytest.mark.slow)]
)
def test_d7_killed_consumers_lose_nothing_and_only_what_was_running_runs_again(
    make: Make, url: str | None, messages: int, kills: int
) -> None:
    p = make("[queues.q]\nprocesses = 4\nmax_crashes = 1000\n", APP, url)
    p.start()
    p.push_many("work", messages)

    done = kill_at_random(p, kills, messages)
    p.push_many("work", 1)  # whatever the last kill hit, somebody is there to handle this
    p.wait_empty(patience=120)

    assert done == kills, "the messages ran out before the kills: not what is to be shown"
    began, ended = count(p, "began"), count(p, "ended")
    lost = [n for n in range(messages) if not ended[n]]
    again = sum(times - 1 for n, times in began.items() if n) + max(0, began[0] - 2)
    assert lost == []
    assert again <= kills
    assert p.counts().failed == 0


def kill_at_random(p: Project, kills: int, messages: int) -> int:
    """Kill consumers while they work, spread over the whole run; return how many."""
    draw = random.Random()
    done = 0
    total = messages + 1
    while done < kills:
        counts = p.counts()
        left = counts.waiting + counts.reserved + counts.delayed
        if left == 0:
            break
        if total - left < done * messages / (kills + 2):
            continue  # not yet: a kill at each so many messages
        try:
            pids = p.pids("q")
        except (NoMaster, TimeoutError):
            continue
        if pids:
            try:
                os.kill(draw.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                continue  # the last kill had hit it already, and it is gone since status told of it
            done += 1
    return done


def count(p: Project, what: str) -> Counter[int]:
    return Counter(int(line.split()[1]) for line in p.said() if line.startswith(what))
