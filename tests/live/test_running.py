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
