"""Several messages at once in one consumer: in threads, and on an event loop."""

import os
import signal
from importlib.util import find_spec

import pytest

from tests.live.conftest import Make
from tests.live.harness import verb

WORK = """
import asyncio

@task(queue="threads")
def threads_work(n):
    say(f"began {n}")
    while not current().stopping:
        time.sleep(0.005)
    say(f"ended {n}")

@task(queue="async")
async def async_work(n):
    say(f"began {n}")
    while not current().stopping:
        await asyncio.sleep(0.005)
    say(f"ended {n}")
"""

KINDS = ["threads", "async"]


def began(said: list[str]) -> list[int]:
    """Return the numbers of those that have begun."""
    return [int(line.split()[1]) for line in said if line.startswith("began")]


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_as_concurrency_says_run_at_once_and_a_stop_lets_them_end(
    make: Make, url: str | None, kind: str
) -> None:
    p = make(f"[queues.{kind}]\nconcurrency = 3\nhandle_timeout = 0\n", WORK, url)
    p.start()
    p.push_many(f"{kind}_work", 5, queue=kind)

    p.wait_until(lambda: len(began(p.said())) == 3, "three to begin")
    shown = p.status()["queues"][kind]["consumers"][0]["running"]
    assert [one["task"] for one in shown] == [f"app.{kind}_work"] * 3
    assert p.counts(kind).reserved == 3 and p.counts(kind).waiting == 2
    assert p.stop() == 0

    ran = began(p.said())  # not always the first three: what is held for long is taken back meanwhile
    assert len(ran) == 3 and set(p.said()) == {f"{what} {n}" for what in ("began", "ended") for n in ran}
    assert p.counts(kind).reserved == 0 and p.counts(kind).waiting == 2


TIMES = """
import asyncio

def deaf():
    while True:
        try:
            time.sleep(0.02)
        except BaseException:
            say("told")

@task(queue="threads", max_attempts=1)
def threads_slow():
    try:
        while True:
            time.sleep(0.01)
    finally:
        say(f"told {current().timed_out}")

@task(queue="threads", max_attempts=1)
def threads_shielded():
    with current().shield():
        say("in")
        wait_for("deep")
        say(f"shielded {current().timed_out}")
    say("never")

@task(queue="async", max_attempts=1)
async def async_slow():
    try:
        await asyncio.sleep(60)
    finally:
        say(f"told {current().timed_out}")

@task(queue="async", max_attempts=1)
async def async_shielded():
    async with current().shield():
        say("in")
        while not os.path.exists(os.path.join(os.path.dirname(os.environ["TRAIL"]), "deep")):
            await asyncio.sleep(0.005)
        say(f"shielded {current().timed_out}")
    say("never")

@task(queue="threads", handle_timeout=0)
def threads_quick(n):
    say(f"began {n}")
    wait_for("go")
    say(f"ended {n} {os.getpid()}")

@task(queue="async", handle_timeout=0)
async def async_quick(n):
    say(f"began {n}")
    while not os.path.exists(os.path.join(os.path.dirname(os.environ["TRAIL"]), "go")):
        await asyncio.sleep(0.005)
    say(f"ended {n} {os.getpid()}")

@task(queue="threads")
def threads_deaf():
    deaf()

@task(queue="async")
async def async_deaf():
    say("deaf")
    while True:
        try:
            await asyncio.sleep(0.02)
        except BaseException:
            say("told")

@task(queue="async")
async def async_blocked():
    say("told")
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_d14_a_soft_timeout_reaches_one_of_several_and_never_a_shield(
    make: Make, url: str | None, kind: str
) -> None:
    p = make(f"[queues.{kind}]\nconcurrency = 3\nhandle_timeout = 0.2\nkill_after = 20\n", TIMES, url)
    p.start()
    before = p.pids(kind)
    p.push(f"{kind}_quick", 1, queue=kind)
    p.wait_said("began 1")
    p.push(f"{kind}_shielded", queue=kind)
    p.wait_said("in")
    p.push(f"{kind}_slow", queue=kind)

    p.wait_said("told True")  # begun last, so the time of the shielded one is over too
    (p.folder / "deep").touch()
    p.wait_said("shielded False")
    (p.folder / "go").touch()
    p.wait_empty(kind)

    assert p.said() == ["began 1", "in", "told True", "shielded False", f"ended 1 {before[0]}"]
    failed = p.failed(kind)
    assert len(failed) == 2
    for one in failed:
        assert b'"outcome":"timed_out"' in one.history[-1] and b"of 200ms has passed" in one.history[-1]
    if kind == "async":  # nothing was interrupted where it could not be
        assert p.pids(kind) == before
    else:
        p.wait_until(lambda: p.pids(kind) and p.pids(kind) != before, "a successor")


@pytest.mark.parametrize("culprit", ["threads_deaf", "async_deaf", "async_blocked"])
def test_d7_the_culprit_of_a_hard_kill_times_out_and_its_neighbours_are_interrupted(
    make: Make, culprit: str
) -> None:
    kind = culprit.partition("_")[0]
    config = f"[queues.{kind}]\nconcurrency = 2\nhandle_timeout = 0.3\nkill_after = 0.5\nmax_attempts = 1\n"
    p = make(config, TIMES)
    p.start()
    id = p.push(f"{kind}_quick", 1, queue=kind)
    p.wait_said("began 1")
    p.push(culprit, queue=kind)
    p.wait_said("began 1", times=2)

    assert "told" in p.said()
    neighbour = p.driver.message(kind, id)
    assert neighbour is not None
    assert (neighbour.counters.interrupts, neighbour.counters.attempts, neighbour.counters.suspects) == (
        1,
        0,
        0,
    )
    (failed,) = p.failed(kind)
    assert failed.counters.attempts == 1 and b"killed past its deadline" in failed.history[-1]
    (p.folder / "go").touch()
    p.wait_empty(kind)


POISON = """
import asyncio

def began():
    return [line for line in open(os.environ["TRAIL"]).read().splitlines() if line.startswith("began")]

@task(queue="threads", max_crashes=2)
def threads_work(n):
    say(f"began {n}")
    if n == 2:
        while len(began()) < 4:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)
    if began().count(f"began {n}") == 1:
        time.sleep(60)
    say(f"ended {n}")

@task(queue="async", max_crashes=2)
async def async_work(n):
    say(f"began {n}")
    if n == 2:
        while len(began()) < 4:
            await asyncio.sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)
    if began().count(f"began {n}") == 1:
        await asyncio.sleep(60)
    say(f"ended {n}")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_d7_after_a_crash_beside_others_each_runs_alone_and_only_the_poison_fails(
    make: Make, url: str | None, kind: str
) -> None:
    p = make(f"[queues.{kind}]\nconcurrency = 4\nhandle_timeout = 0\n", POISON, url)
    p.start()
    ids = p.push_many(f"{kind}_work", 4, queue=kind)

    p.wait_empty(kind)

    said = p.said()
    assert sorted(said[:4]) == [f"began {n}" for n in range(4)]
    for n in (0, 1, 3):  # alone: it ends before anything else begins
        again = said.index(f"began {n}", 4)
        assert said[again + 1] == f"ended {n}" and said.count(f"began {n}") == 2
    assert said.count("began 2") == 3
    (failed,) = p.failed(kind)
    assert failed.id == ids[2] and (failed.counters.crashes, failed.counters.suspects) == (2, 1)


LEDGER = """
import asyncio

@task(queue="threads", max_crashes=1000)
def threads_book(n):
    time.sleep(0.002)
    say(f"{os.getpid()} {n}")

@task(queue="async", max_crashes=1000)
async def async_book(n):
    await asyncio.sleep(0.002)
    say(f"{os.getpid()} {n}")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_and_only_what_ran_at_a_kill_runs_again(
    make: Make, url: str | None, kind: str
) -> None:
    p = make(f"[queues.{kind}]\nprocesses = 2\nconcurrency = 5\n", LEDGER, url)
    p.push_many(f"{kind}_book", 1000, queue=kind)
    p.start()
    killed = []

    for done in (200, 400, 600):
        p.wait_until(lambda done=done: len(p.said()) >= done, "some to be handled")
        killed.append(p.pids(kind)[0])
        os.kill(killed[-1], signal.SIGKILL)
        p.wait_until(lambda: killed[-1] not in p.pids(kind), "its death to be seen")
    p.wait_empty(kind)

    said = [line.split() for line in p.said()]
    assert {int(n) for _, n in said} == set(range(1000))
    # Of the five that ran when their process was killed, each may have written its line already.
    assert len(said) - 1000 <= 5 * len(killed) and p.failed(kind) == []


AT_ONCE = """
import asyncio, contextvars, procqueue

mine = contextvars.ContextVar("mine", default="nobody's")
base = contextvars.ContextVar("base")

@procqueue.consumer_setup
def setup():
    base.set("from the setup")

@task(queue="threads")
def threads_long(n):
    mine.set(n)
    say(f"began {n}")
    try:
        wait_for("go")
    finally:
        say(f"{current().id} {mine.get()} {base.get()}")

@task(queue="async")
async def async_long(n):
    mine.set(n)
    say(f"began {n}")
    try:
        while not os.path.exists(os.path.join(os.path.dirname(os.environ["TRAIL"]), "go")):
            await asyncio.sleep(0.005)
    finally:
        say(f"{current().id} {mine.get()} {base.get()}")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_several_is_cancelled_a_pause_lets_the_others_end_and_each_has_a_context_of_its_own(
    make: Make, kind: str
) -> None:
    p = make(f"[queues.{kind}]\nconcurrency = 3\n", AT_ONCE)
    p.start()
    for n in range(3):
        p.push(f"{kind}_long", n, queue=kind, id=f"m{n}")
    p.wait_until(lambda: len(began(p.said())) == 3, "three to begin")

    verb(p, "cancel", kind, "m1")
    p.wait_said("m1 1 from the setup")
    verb(p, "pause", kind, "--here")
    p.push(f"{kind}_long", 3, queue=kind, id="m3")
    (p.folder / "go").touch()
    p.wait_said("m0 0 from the setup")
    p.wait_said("m2 2 from the setup")
    p.wait_until(lambda: p.counts(kind).reserved == 0, "all to be settled")

    assert p.counts(kind).waiting == 1 and len(began(p.said())) == 3
    verb(p, "resume", kind, "--here")
    p.wait_said("m3 3 from the setup")
    p.wait_empty(kind)
    assert p.failed(kind) == []


MIXED = """
@task(queue="q")
def inline():
    say(f"inline {threading.current_thread().name} {'asyncio' in sys.modules} {threading.active_count()}")

@task(queue="q", executor="threads")
def apart():
    say(f"apart {threading.current_thread().name}")

@task(queue="q")
async def on_the_loop():
    import asyncio
    await asyncio.sleep(0)
    say(f"loop {threading.current_thread().name} {type(asyncio.get_running_loop()).__module__}")
"""


def test_one_at_a_time_needs_neither_threads_nor_a_loop_until_a_task_asks_for_them(make: Make) -> None:
    p = make("[queues.q]\n", MIXED)
    p.start()

    p.push("inline")
    p.wait_said("inline MainThread False 1")
    p.push("apart")
    p.push("on_the_loop")
    p.wait_empty()

    assert p.said()[1:] == ["apart handler-0", "loop event-loop asyncio.unix_events"]


def test_a_loop_that_is_not_installed_is_told_at_the_start(make: Make) -> None:
    if find_spec("uvloop") is not None:
        pytest.skip("uvloop is installed")
    p = make('[queues.q]\nloop = "uvloop"\n', MIXED)

    p.start(ready=False)

    p.wait_until(lambda: "pip install uvloop" in p.output.read_text(), "the reason")
