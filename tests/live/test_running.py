"""max_running = 1: a serial queue. Its messages run one after the other, in order, over all hosts, also when
the process of one dies."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

from tests.live.conftest import Make

APP = """
@task(queue="q")
def step(n):
    say(f"began {n} {os.getpid()}")
    if n % 10 == 5 and not current().crashes:
        wait_for("never")
    say(f"ended {n}")
"""

MESSAGES = 30


def test_messages_run_one_after_the_other_over_two_hosts_also_under_kill_9(
    make: Make, url: str | None, tmp_path: Path
) -> None:
    store, prefix = url or f"sqlite:///{tmp_path}/db/queue.db", uuid.uuid4().hex[:12]
    config = f"""
    [driver]
    url = "{store}"
    prefix = "{prefix}"
    [queues.q]
    processes = 2
    max_running = 1
    """
    first, second = (make(config, APP, name=name) for name in ("first", "second"))
    second.variables["TRAIL"] = str(first.trail)
    first.start()
    second.start()

    first.push_many("step", MESSAGES)

    expected = []
    for n in range(MESSAGES):
        expected += [f"began {n}", f"ended {n}"]
        if n % 10 == 5:
            expected.insert(-1, f"began {n}")
            first.wait_until(
                lambda n=n: any(line.startswith(f"began {n} ") for line in first.said()), "it runs"
            )
            (pid,) = (int(line.split()[2]) for line in first.said() if line.startswith(f"began {n} "))
            os.kill(pid, signal.SIGKILL)
    first.wait_said(f"ended {MESSAGES - 1}")
    first.wait_empty()

    assert [" ".join(line.split()[:2]) for line in first.said()] == expected


def test_two_queues_are_served_by_weight_and_none_waits_for_the_other(make: Make, url: str | None) -> None:
    config = "[queues.urgent]\nprocesses = 0\n[queues.q]\nserves = {urgent = 3, q = 1}"
    app = """
    @task(queue="q")
    def slow(n):
        time.sleep(0.006)
        say(current().queue)
    """
    project = make(config, app, url)
    for queue in ("urgent", "q"):
        project.push_many("slow", 60, queue)

    project.start()
    project.wait_empty("q")

    said = project.said()
    assert len(said) == 120
    assert 27 <= said[:40].count("urgent") <= 33
    assert said[80:] == ["q"] * 40, "who is alone has all"
