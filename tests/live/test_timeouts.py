"""Time: handlers that hear their timeout, or do not; that take signals, timers and the mask themselves."""

import os
import signal
import sqlite3

import pytest

from procqueue.core.message import State
from tests.live.conftest import Make
from tests.live.harness import Project
from tests.servers import redis_url

SHORT = """
[queues.q]
handle_timeout = 0.3
kill_after = 0.3
max_attempts = 2
retry_seconds = 0
restart_delay_max = 1
"""

UPSETS = """
OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)

@task(queue="q")
def handlers():
    for signum in OURS:
        signal.signal(signum, signal.SIG_IGN)

@task(queue="q")
def defaults():
    for signum in OURS:
        signal.signal(signum, signal.SIG_DFL)

@task(queue="q")
def mask():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

@task(queue="q")
def timer():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

@task(queue="q")
def alarm():
    signal.alarm(0)

@task(queue="q")
def pending():
    signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    os.kill(os.getpid(), signal.SIGALRM)

@task(queue="q")
def directory():
    os.chdir("/")

@task(queue="q")
def wakeup():
    signal.set_wakeup_fd(-1)

@task(queue="q")
def restarting():
    for signum in OURS:
        signal.siginterrupt(signum, False)

@task(queue="q")
def loop():
    import asyncio

    async def main():
        for signum in OURS:
            asyncio.get_running_loop().add_signal_handler(signum, lambda: None)
        await asyncio.sleep(0.01)

    asyncio.run(main())

@task(queue="q", max_attempts=1)
def slow():
    try:
        time.sleep(20)
    except SoftTimeout:
        say(f"told in {os.getcwd()}")
        raise

@task(queue="q", handle_timeout=0)
def long():
    say("began")
    wait_for("go")
    say("ended")
"""


def is_stopping(p: Project) -> bool:
    """True if the master of `p` is told to stop."""
    return bool(p.status()["master"]["state"] == "stopping")


@pytest.mark.parametrize(
    "upset",
    [
        "handlers",
        "defaults",
        "mask",
        "timer",
        "alarm",
        "pending",
        "directory",
        "wakeup",
        "restarting",
        "loop",
    ],
)
def test_what_a_handler_does_to_signals_timers_and_the_directory_ends_with_its_message(
    make: Make, upset: str
) -> None:
    p = make(SHORT + 'after_timeout = "keep"\n', UPSETS)
    p.start()
    before = p.pids("q")

    p.push(upset)
    p.push("slow")
    p.wait_empty()

    assert p.said() == [f"told in {p.folder}"]
    (failed,) = p.failed()
    assert b'"outcome":"timed_out"' in failed.history[-1]
    assert p.pids("q") == before
    p.push(upset)
    p.push("long")
    p.wait_said("began")
    assert p.master is not None
    p.master.send_signal(signal.SIGTERM)
    p.wait_until(lambda: is_stopping(p), "the stop to begin")
    (p.folder / "go").touch()
    assert p.wait_left(20) == 0
    assert p.said()[1:] == ["began", "ended"]
    assert p.counts().reserved == p.counts().waiting == 0


def test_s11_a_stop_is_heard_though_the_handler_has_taken_the_signal_for_itself(
    make: Make, url: str | None
) -> None:
    app = """
    import asyncio

    @task(queue="q")
    def selfish(n):
        async def main():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: say(f"swallowed by {n}"))
            say(f"began {n}")
            while not os.path.exists(f"go{n}"):
                await asyncio.sleep(0.005)

        asyncio.run(main())
    """
    p = make("[queues.q]\nhandle_timeout = 0\n", app, url)
    p.start()
    p.push_many("selfish", 3)
    p.wait_said("began 0")
    assert p.master is not None

    p.master.send_signal(signal.SIGTERM)
    p.wait_said("swallowed by 0")
    (p.folder / "go0").touch()

    assert p.wait_left(15) == 0
    assert p.said() == ["began 0", "swallowed by 0"] and p.counts().waiting == 2


def test_s8_a_masters_death_is_heard_though_the_handler_has_taken_the_signal_for_itself(make: Make) -> None:
    app = """
    @task(queue="q")
    def selfish(n):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(f"began {n}")
        wait_for(f"go{n}")
    """
    p = make("[queues.q]\nhandle_timeout = 0\n", app)
    p.start()
    p.push_many("selfish", 3)
    p.wait_said("began 0")

    p.kill_master()
    (p.folder / "go0").touch()
    p.wait_until(lambda: not p.processes(), "all to be gone", patience=15)

    assert p.said() == ["began 0"] and p.counts().waiting == 2


DEAF = """
def deaf(queue):
    say(f"{queue} began {os.getpid()}")
    while True:
        try:
            time.sleep(1)
        except BaseException:
            say(f"{queue} told")

@task(queue="again")
def deaf_again():
    deaf("again")

@task(queue="aside")
def deaf_aside():
    deaf("aside")

@task(queue="out")
def deaf_out():
    deaf("out")

@task(queue="out")
def quick(n):
    say(f"quick {n}")
"""


def test_s7_who_does_not_hear_the_timeout_is_killed_and_on_timeout_decides(
    make: Make, url: str | None
) -> None:
    common = "handle_timeout = 0.3\nkill_after = 0.3\nretry_seconds = 0\nmax_attempts = 2\n"
    config = f"""
[queues.again]
{common}
[queues.aside]
{common}on_timeout = "park"
[queues.out]
{common}on_timeout = "fail"
processes = 2
"""
    p = make(config, DEAF, url)
    p.start()

    for queue in ("again", "aside", "out"):
        p.push(f"deaf_{queue}", queue=queue)
    p.wait_until(lambda: any("out began" in line for line in p.said()), "the deaf to begin")
    p.push_many("quick", 10, queue="out")
    for queue in ("again", "aside", "out"):
        p.wait_empty(queue)

    said = p.said()
    began = [line.split()[2] for line in said if line.startswith("again began")]
    assert len(set(began)) == 2 and said.count("again told") == 2
    assert said.count("aside told") == said.count("out told") == 1
    assert [said.count(f"quick {n}") for n in range(10)] == [1] * 10
    (again,), (out,) = p.failed("again"), p.failed("out")
    (aside,) = p.driver.messages("aside", State.TIMEOUT, 0, 9)
    assert [one.counters.attempts for one in (again, out, aside)] == [2, 1, 1]
    assert all(one.counters.crashes == one.counters.interrupts == 0 for one in (again, out, aside))
    assert all(b"killed past its deadline" in one.history[-1] for one in (again, out, aside))


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("while True: pass", "the handle_timeout"),
        ("import re; re.match(r'(a+)+$', 'a' * 60 + 'b')", "the handle_timeout"),
        ("import ctypes; ctypes.PyDLL(None).sleep(60)", "the handle_timeout"),
        (
            "import collections, itertools; collections.deque(itertools.repeat(0), 0)",
            "killed past its deadline",
        ),
        ("os.kill(os.getpid(), signal.SIGSTOP)", "killed past its deadline"),
    ],
    ids=["python", "regular expression", "sleep in C", "loop in C", "stopped"],
)
def test_s7_whatever_hangs_is_ended_at_its_deadline(make: Make, how: str, word: str) -> None:
    app = f"""
    @task(queue="q", max_attempts=1)
    def hangs():
        {how}

    @task(queue="q")
    def quick(n):
        say(f"quick {{n}}")
    """
    p = make(SHORT, app)
    p.start()
    p.push("hangs")
    p.push("quick", 1)

    p.wait_empty()

    (failed,) = p.failed()
    assert word in failed.history[-1].decode() and failed.counters.attempts == 1
    assert p.said() == ["quick 1"]


IN_LIBRARIES = """
import redis, sqlite3

client = redis.Redis.from_url({url!r}, decode_responses=True)
base = sqlite3.connect("mine.db")

def in_sleep():
    time.sleep(20)

def in_finally():
    try:
        pass
    finally:
        time.sleep(20)

def in_redis():
    client.blpop(["nothing-{key}"], 20)

def in_redis_often():
    while True:
        client.set("wrong-{key}", "wrong")

def in_sqlite():
    base.execute("BEGIN IMMEDIATE")
    while True:
        base.execute("INSERT INTO t VALUES (1)")

@task(queue="q")
def times_out(where):
    say(f"{{where}} {{current().attempt}} {{os.getpid()}}")
    if current().attempt == 1:
        globals()[where]()

@task(queue="q")
def checks(n):
    for m in range(20):
        client.set("right-{key}", f"{{n}}-{{m}}")
        assert client.get("right-{key}") == f"{{n}}-{{m}}"
        assert client.ping() is True
    with base:
        base.execute("INSERT INTO t VALUES (2)")
    assert base.execute("SELECT count(*) FROM t WHERE n = 1").fetchone() == (0,)
    say(f"right {{n}} {{os.getpid()}}")
"""


@pytest.mark.parametrize("where", ["in_sleep", "in_finally", "in_redis", "in_redis_often", "in_sqlite"])
def test_d14_after_a_timeout_in_a_library_no_later_message_sees_a_wrong_reply(make: Make, where: str) -> None:
    url = redis_url("redis")
    p = make(SHORT, IN_LIBRARIES.format(url=url, key=f"{os.getpid()}-{where}"))
    with sqlite3.connect(p.folder / "mine.db") as base:
        base.execute("CREATE TABLE t (n)")
    base.close()
    p.start()
    id = p.push("times_out", where)
    p.push_many("checks", 10)

    p.wait_until(lambda: sum(line.startswith(where) for line in p.said()) == 2, "the second attempt")
    p.wait_empty()

    assert p.failed() == [], p.report()
    (first, second) = (line.split()[2] for line in p.said() if line.startswith(where))
    right = [line.split() for line in p.said() if line.startswith("right")]
    assert sorted(int(n) for _, n, _ in right) == list(range(10))
    assert first != second and first not in {pid for _, _, pid in right}
    assert f"timed_out queue=q id={id}" in p.output.read_text()
    assert "reason=timeout" in p.output.read_text()
