"""Limits: recycle by count, age and memory, the hard memory limit, the deadline, fairness of what is held."""

import os
import signal

import pytest

from tests.live.conftest import Make

WORK = """
@task(queue="q")
def work(n):
    say(f"{os.getpid()} {n}")
"""


def test_s9_consumers_recycle_at_max_messages_and_the_ready_never_fall_below_processes(
    make: Make, url: str | None
) -> None:
    p = make("[queues.q]\nprocesses = 2\nmax_messages = 100\n", WORK, url)
    p.push_many("work", 2000)
    p.start()
    ready = []

    def seen() -> bool:
        ready.append(p.status()["queues"]["q"]["ready"])
        counts = p.counts()
        return counts.waiting + counts.reserved == 0

    p.wait_until(seen, "all to be handled")

    said = [line.split() for line in p.said()]
    assert sorted(int(n) for _, n in said) == list(range(2000))
    handled = [sum(pid == other for other, _ in said) for pid in {pid for pid, _ in said}]
    assert len(handled) >= 2000 // 111 and max(handled) <= 110
    assert min(ready) >= 2


def test_a_consumer_past_max_age_is_replaced_while_idle(make: Make) -> None:
    p = make('[queues.q]\nmax_age = "1s"\njitter = 0\n', WORK)
    p.start()
    first = p.pids("q")

    p.wait_until(lambda: (pids := p.pids("q")) and not set(pids) & set(first), "a successor")
    p.wait_until(lambda: not os.path.exists(f"/proc/{first[0]}"), "the old one to be gone")

    last = p.status()["queues"]["q"]["consumers"][0]["last_exit"]
    assert last["reason"] == "max_age" and last["code"] == 0


def test_a_leaking_task_is_recycled_between_messages_and_none_is_interrupted(
    make: Make, url: str | None
) -> None:
    app = """
    leak = []
    @task(queue="q")
    def work(n):
        leak.append(bytearray(1 << 20))
        leak[-1][::4096] = b"x" * 256
        say(f"{os.getpid()} {n}")
    """
    p = make('[queues.q]\nmax_memory = "80MiB"\n', app, url)
    p.push_many("work", 200)
    p.start()

    p.wait_empty()

    said = [line.split() for line in p.said()]
    assert [int(n) for _, n in said] == list(range(200))
    assert len({pid for pid, _ in said}) >= 3
    assert p.status()["queues"]["q"]["consumers"][0]["last_exit"]["reason"] == "max_memory"


def test_d7_a_task_that_takes_too_much_at_once_is_killed_and_counted_as_crashed_with_the_cause_memory(
    make: Make, url: str | None
) -> None:
    app = """
    @task(queue="q")
    def hungry():
        say("began")
        food = bytearray(1 << 30)
        food[::4096] = b"x" * (1 << 18)
        wait_for("never")
    """
    p = make('[queues.q]\nmax_memory_hard = "200MiB"\nmax_crashes = 1\n', app, url)
    p.start()
    p.push("hungry")

    p.wait_until(lambda: p.failed(), "it to fail")

    (failed,) = p.failed()
    assert failed.counters.crashes == 1 and b'"memory"' in failed.history[-1]
    assert p.said() == ["began"]
    p.wait_until(p.is_ready, "a successor")
    assert p.status()["queues"]["q"]["consumers"][0]["last_exit"]["reason"] == "memory_hard"


@pytest.mark.parametrize("on_timeout", ["retry", "park", "fail"])
def test_a_handler_that_does_not_hear_its_timeout_is_killed_and_its_message_goes_where_on_timeout_says(
    make: Make, on_timeout: str
) -> None:
    app = """
    @task(queue="q", handle_timeout="300ms", kill_after="200ms", max_attempts=2, retry_seconds=[0.1])
    def deaf():
        say("began")
        while True:
            try:
                time.sleep(10)
            except BaseException:
                pass

    @task(queue="q")
    def quick(n):
        say(f"quick {n}")
    """
    p = make(f'[queues.q]\non_timeout = "{on_timeout}"\n', app)
    p.start()
    p.push("deaf")
    p.push("quick", 1)

    p.wait_said("quick 1")
    p.wait_empty()

    counts = p.counts()
    assert (counts.failed, counts.timeout) == ((0, 1) if on_timeout == "park" else (1, 0))
    assert p.said().count("began") == (2 if on_timeout == "retry" else 1)


def test_no_quick_message_waits_behind_a_slow_one(make: Make, url: str | None) -> None:
    app = """
    @task(queue="q")
    def work(n):
        say(f"{time.monotonic()} {n}")
        if n == 500:
            wait_for("go")
    """
    p = make("[queues.q]\nprocesses = 2\n", app, url)
    p.push_many("work", 1000)
    p.start()

    p.wait_until(lambda: len(p.said()) == 1000, "all to begin although one still runs")

    p.wait_until(lambda: p.counts().reserved == 1, "what is done to be settled although one still runs")
    (p.folder / "go").touch()
    p.wait_empty()


STUBBORN = """
@task(queue="q")
def stubborn():
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.Popen(["sleep", "600"])
    say("began")
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass

@task(queue="q")
def polite():
    say("polite began")
    while not current().stopping:
        time.sleep(0.01)
    say("polite ended")
"""


def test_a_soft_stop_lets_running_messages_end_and_waiting_ones_stay(make: Make, url: str | None) -> None:
    p = make("[queues.q]\n", STUBBORN, url)
    p.start()
    p.push("polite")
    p.push("polite")
    p.wait_said("polite began")

    assert p.stop() == 0

    assert p.said() == ["polite began", "polite ended"]
    counts = p.counts()
    assert (counts.waiting, counts.reserved, counts.delayed) == (1, 0, 0)
    assert not (p.folder / "run" / "control.sock").exists()


def test_past_grace_a_stop_kills_with_all_descendants_and_the_message_goes_back_uncharged(
    make: Make, url: str | None
) -> None:
    p = make('[queues.q]\ngrace = "300ms"\n', STUBBORN, url)
    p.start()
    id = p.push("stubborn")
    p.wait_said("began")

    answer = p.run("stop", "--json")

    assert answer.returncode == 0, answer.stderr
    assert '"killed": ["q:0"]' in answer.stdout or '"killed":["q:0"]' in answer.stdout
    assert p.master is not None and p.wait_left(30) == 0
    assert p.processes() == []
    message = p.driver.message("q", id)
    assert message is not None and message.state == "waiting"
    assert (message.counters.interrupts, message.counters.attempts, message.counters.crashes) == (1, 0, 0)


def test_a_second_term_ends_at_once_what_the_first_would_have_waited_for(make: Make) -> None:
    p = make('[queues.q]\ngrace = "10m"\n', STUBBORN)
    master = p.start()
    p.push("stubborn")
    p.wait_said("began")
    master.send_signal(signal.SIGTERM)
    p.wait_until(lambda: p.status()["master"]["state"] == "stopping", "the soft stop to begin")
    p.wait_until(lambda: "stopping how=soft" in p.output.read_text(), "it to be told")

    while master.poll() is None:
        master.send_signal(signal.SIGTERM)
        os.sched_yield()

    assert master.returncode == 0
    assert p.processes() == []
    assert p.counts().waiting == 1


def test_what_was_held_behind_a_slow_message_goes_back_when_its_consumer_is_told_to_stop(make: Make) -> None:
    app = """
    @task(queue="q")
    def work(n):
        if n == 300:
            say("slow")
            wait_for("go")
    """
    p = make("[queues.q]\n", app)
    p.push_many("work", 600)
    p.start()
    p.wait_said("slow")

    p.wait_until(lambda: p.counts().reserved == 1, "the held to go back and the done to be settled")

    assert p.counts().waiting == 299
    (p.folder / "go").touch()
    p.wait_empty()
