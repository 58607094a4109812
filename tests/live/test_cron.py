"""Crons: each tick is pushed once, whatever dies meanwhile, and over two hosts."""

from __future__ import annotations

import itertools
import os
import signal
import uuid
from pathlib import Path

from tests.live.conftest import Make

APP = """
@task(queue="q")
def tick(n):
    say(current().id)
"""

EVERY_SECOND = """
    [queues.q]
    [cron.often]
    task = "app.tick"
    args = [1]
    queue = "q"
    schedule = "* * * * * *"
    overlap = "allow"
"""


def test_each_tick_is_pushed_once_by_two_hosts_also_when_a_scheduler_dies(
    make: Make, url: str | None, tmp_path: Path
) -> None:
    store, prefix = url or f"sqlite:///{tmp_path}/db/queue.db", uuid.uuid4().hex[:12]
    config = f'[driver]\nurl = "{store}"\nprefix = "{prefix}"\n' + EVERY_SECOND
    first, second = (make(config, APP, name=name) for name in ("first", "second"))
    second.variables["TRAIL"] = str(first.trail)
    first.start()
    second.start()

    first.wait_until(lambda: len(first.said()) >= 3, "some ticks")
    os.kill(first.status()["scheduler"]["pid"], signal.SIGKILL)
    first.wait_until(lambda: len(first.said()) >= 7, "more ticks")

    said = first.said()
    assert said == sorted(set(said)), "one twice, or out of their order"
    seconds = [int(id[-3:-1]) for id in said]
    assert all((after - before) % 60 == 1 for before, after in itertools.pairwise(seconds))
    assert first.status()["crons"]["often"]["next"] is not None


def test_check_and_start_refuse_what_no_clock_can_do(make: Make) -> None:
    project = make(EVERY_SECOND.replace("* * * * * *", "* * 25 * * 9"), APP)

    for verb in ("check", "start"):
        ran = project.run(verb)
        assert ran.returncode == 78
        assert "cron.often.schedule" in ran.stderr and "is not a schedule" in ran.stderr


def test_check_says_what_is_wrong_with_the_task(make: Make) -> None:
    project = make(EVERY_SECOND.replace("app.tick", "app.tack"), APP)

    ran = project.run("check", "--import")

    assert ran.returncode == 78
    assert "no task is named 'app.tack'" in ran.stderr and 'did you mean "app.tick"?' in ran.stderr
