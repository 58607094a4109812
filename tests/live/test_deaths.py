"""Somebody dies: a consumer, the scheduler, the master. Nothing is lost, nothing runs twice without need."""

import os
import signal

import pytest

from tests.live.conftest import Make

LONG = """
@task(queue="q")
def long(n=0):
    say(f"began {current().id}")
    wait_for("go")
    say(f"ended {current().id}")

@task(queue="q")
def quick(n):
    say(f"quick {n}")
"""


def test_s6_a_killed_consumers_message_runs_again_at_once_and_is_charged_one_crash(
    make: Make, url: str | None
) -> None:
    p = make("[queues.q]\n", LONG, url)
    p.start()
    id = p.push("long")
    p.wait_said(f"began {id}")
    (pid,) = p.pids("q")

    os.kill(pid, signal.SIGKILL)
    p.wait_said(f"began {id}", times=2)

    (p.folder / "go").touch()
    p.wait_empty()
    assert p.said() == [f"began {id}", f"began {id}", f"ended {id}"]
    assert p.pids("q") != [pid]


def test_s8_a_killed_masters_consumers_finish_and_leave_and_the_next_master_repeats_nothing(
    make: Make, url: str | None
) -> None:
    p = make("[queues.q]\nprocesses = 2\n", LONG, url)
    p.start()
    id = p.push("long")
    p.wait_said(f"began {id}")

    p.kill_master()
    (p.folder / "go").touch()
    p.wait_said(f"ended {id}")
    p.wait_until(lambda: not p.processes(), "the orphans to leave")

    p.push("quick", 1)
    p.start()
    p.wait_said("quick 1")
    p.wait_empty()
    assert p.said() == [f"began {id}", f"ended {id}", "quick 1"]


def test_s8_a_new_master_starts_at_once_while_the_old_consumers_finish(make: Make, url: str | None) -> None:
    p = make("[queues.q]\n", LONG, url)
    p.start()
    id = p.push("long")
    p.wait_said(f"began {id}")
    p.kill_master()

    p.start()
    p.push("quick", 1)
    p.wait_said("quick 1")

    assert f"ended {id}" not in p.said()
    (p.folder / "go").touch()
    p.wait_empty()
    assert p.said() == [f"began {id}", "quick 1", f"ended {id}"]


def test_s8_what_does_not_leave_is_killed_at_grace_and_goes_back_uncharged(
    make: Make, url: str | None
) -> None:
    p = make('[queues.q]\ngrace = "1s"\n', LONG, url)
    p.start()
    id = p.push("long")
    p.wait_said(f"began {id}")

    p.kill_master()
    p.wait_until(lambda: not p.processes(), "the undertaker to end everything")

    assert p.counts().waiting == 1
    message = p.driver.message("q", id)
    assert message is not None and message.counters.interrupts == 1 and message.counters.attempts == 0


def test_a_killed_scheduler_is_replaced_and_nobody_notices(make: Make, url: str | None) -> None:
    p = make("[queues.q]\n", LONG, url)
    p.start()
    consumers = p.pids("q")
    old = p.status()["scheduler"]["pid"]

    os.kill(old, signal.SIGKILL)
    p.wait_until(lambda: p.status()["scheduler"]["pid"] not in (old, None), "a new scheduler")
    p.wait_until(p.is_ready, "it to be ready")

    p.push("quick", 1, delay_ms=50)
    p.wait_said("quick 1")
    assert p.pids("q") == consumers


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_d7_a_message_that_kills_its_process_ends_in_failed_with_the_cause_and_its_hook_runs_once(
    make: Make, url: str | None, how: str
) -> None:
    app = f"""
    @task(queue="q")
    def poison():
        say(f"began {{os.getpid()}}")
        {how}

    @poison.on_failed
    def told(failure):
        say(f"told {{failure.outcome}} {{failure.message.crashes}} {{os.getpid()}}")
        say(f"age {{time.time() - failure.message.pushed_at.timestamp():.0f}}")

    @task(queue="q")
    def quick(n):
        say(f"quick {{n}}")
    """
    p = make("[queues.q]\nprocesses = 2\nrestart_delay_max = 1\n", app, url)
    p.start()
    id = p.push("poison")
    p.push("quick", 1)

    p.wait_until(lambda: any(line.startswith("told") for line in p.said()), "the hook to run")
    p.wait_empty()

    said = p.said()
    began = [line.split()[1] for line in said if line.startswith("began")]
    told = [line.split() for line in said if line.startswith("told")]
    assert len(began) == 3 and "quick 1" in said
    (age,) = (float(line.split()[1]) for line in said if line.startswith("age"))
    assert 0 <= age < 3600
    assert [t[1:3] for t in told] == [["crashed", "3"]] and told[0][3] not in began
    (failed,) = p.failed()
    assert failed.id == id and failed.counters.crashes == 3
    assert b'"exit_code":3' in failed.history[-1] or b'"signal":"SEGV"' in failed.history[-1]


def test_s11_a_consumer_that_is_told_to_leave_by_anyone_finishes_and_is_replaced(
    make: Make, url: str | None
) -> None:
    p = make("[queues.q]\n", LONG, url)
    p.start()
    id = p.push("long")
    p.wait_said(f"began {id}")
    (pid,) = p.pids("q")

    os.kill(pid, signal.SIGTERM)
    (p.folder / "go").touch()
    p.wait_empty()
    p.wait_until(lambda: p.pids("q") and p.pids("q") != [pid], "its successor")

    assert p.said() == [f"began {id}", f"ended {id}"]
