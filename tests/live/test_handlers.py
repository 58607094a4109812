"""Handlers misbehave: they leave, fork, close and keep what is ours. The next message must not notice."""

import os
import re
import signal

import pytest

from tests.live.conftest import Make
from tests.live.harness import Project

ONE = "[queues.q]\nmax_attempts = 1\nrestart_delay_max = 1\n"

QUICK = """
    @task(queue="q")
    def quick(n):
        say(f"quick {n} {os.getpid()}")
"""


def quick_pids(p: Project) -> dict[int, str]:
    """Return which process ran each quick message; each must have run once."""
    lines = [line.split() for line in p.said() if line.startswith("quick ")]
    assert len({n for _, n, _ in lines}) == len(lines), p.report()
    return {int(n): pid for _, n, pid in lines}


def test_d7_a_handler_that_ends_by_any_exception_has_used_an_attempt_and_its_consumer_stays(
    make: Make,
) -> None:
    app = """
    ENDINGS = {
        "base": lambda: throw(BaseException("enough")),
        "generator": lambda: throw(GeneratorExit()),
        "keyboard": lambda: throw(KeyboardInterrupt()),
        "exit": lambda: sys.exit("gone"),
        "zero": lambda: sys.exit(0),
    }

    def throw(error):
        raise error

    @task(queue="q")
    def ends(how):
        ENDINGS[how]()
    """
    p = make(ONE, app + QUICK)
    p.start()
    before = p.pids("q")
    ids = {how: p.push("ends", how) for how in ("base", "generator", "keyboard", "exit", "zero")}
    p.push("quick", 1)

    p.wait_empty()

    failed = {one.id: one for one in p.failed()}
    errors = {how: failed[id].history[-1].decode() for how, id in ids.items()}
    assert "BaseException: enough" in errors["base"] and "GeneratorExit" in errors["generator"]
    assert "KeyboardInterrupt" in errors["keyboard"]
    assert "SystemExit: gone" in errors["exit"] and "SystemExit" in errors["zero"]
    assert all(one.counters.attempts == 1 and one.counters.crashes == 0 for one in failed.values())
    assert p.pids("q") == before and quick_pids(p) == {1: str(before[0])}


@pytest.mark.parametrize(
    ("how", "cause"), [("os._exit(0)", '"exit_code":0'), ("os.kill(os.getpid(), 40)", '"signal":"')]
)
def test_d7_a_process_that_ends_under_its_message_is_a_crash_however_politely_it_went(
    make: Make, how: str, cause: str
) -> None:
    app = f"""
    @task(queue="q", max_crashes=1)
    def leaves():
        {how}
    """
    p = make(ONE, app + QUICK)
    p.start()
    id = p.push("leaves")
    p.push("quick", 1)

    p.wait_empty()

    (failed,) = p.failed()
    assert failed.id == id and failed.counters.crashes == 1 and cause in failed.history[-1].decode()
    assert set(quick_pids(p)) == {1}


@pytest.mark.parametrize("ending", ["return", "sys.exit(0)", "raise ValueError('the child')"])
def test_d4_a_forked_child_that_comes_back_into_our_loop_settles_and_runs_nothing(
    make: Make, url: str | None, ending: str
) -> None:
    app = f"""
    @task(queue="q")
    def forks():
        if os.fork() == 0:
            wait_for("go")
            say("child")
            {ending}
        else:
            say("parent")
    """
    p = make(ONE, app + QUICK, url)
    p.start()
    before, family = p.pids("q"), set(p.processes())
    p.push("forks")
    p.push("quick", 0)
    p.wait_empty()
    (p.folder / "go").touch()
    p.wait_said("child")
    p.wait_until(lambda: set(p.processes()) <= family, "the child to be gone")

    p.push_many("quick", 20)
    p.wait_until(lambda: len(p.said()) == 23, "the others to run")
    p.wait_empty()

    assert p.said().count("parent") == p.said().count("child") == 1
    assert p.failed() == [] and p.pids("q") == before


def test_a_handler_that_closes_the_standard_streams_and_prints_hurts_only_itself(
    make: Make, url: str | None
) -> None:
    app = """
    @task(queue="q")
    def closes():
        for fd in (0, 1, 2):
            os.close(fd)
        print("into the void", flush=True)

    @task(queue="q")
    def prints():
        print("heard by nobody", flush=True)
        say([os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)])
    """
    p = make(ONE, app + QUICK, url)
    p.start()
    before = p.pids("q")
    id = p.push("closes")
    p.push("prints")
    for n in range(5):
        p.push("quick", n)

    p.wait_empty()

    assert [one.id for one in p.failed()] == [id]
    assert str(["/dev/null"] * 3) in p.said()
    assert quick_pids(p) == dict.fromkeys(range(5), str(before[0]))


def test_d7_a_handler_that_closes_all_descriptors_is_done_and_its_process_is_replaced(
    make: Make, url: str | None
) -> None:
    app = """
    @task(queue="q")
    def closes():
        os.closerange(3, 4096)
        say(f"closed {os.getpid()}")
    """
    p = make(ONE, app + QUICK, url)
    p.start()
    (before,) = p.pids("q")
    p.push("closes")
    p.push_many("quick", 20)

    p.wait_empty()

    assert p.said().count(f"closed {before}") == 1
    assert p.failed() == []
    assert set(quick_pids(p)) == set(range(20)) and str(before) not in quick_pids(p).values()
    assert sum(line.startswith("closed") for line in p.said()) == 1


def test_d15_a_hook_that_closes_all_descriptors_is_done_and_its_process_is_replaced(make: Make) -> None:
    app = """
    @task(queue="q", max_crashes=1)
    def poison():
        os._exit(3)

    @poison.on_failed
    def told(failure):
        os.closerange(3, 4096)
        say("told")
    """
    p = make(ONE, app + QUICK)
    p.start()
    p.push("poison")
    p.wait_said("told")
    p.push_many("quick", 20)

    p.wait_empty()

    assert p.said().count("told") == 1 and set(quick_pids(p)) == set(range(20))


def test_s2_output_that_is_binary_or_endless_disturbs_nobody(make: Make) -> None:
    app = """
    @task(queue="q")
    def prints():
        sys.stdout.buffer.write(bytes(range(256)) * 10)
        sys.stdout.write("x" * 1_000_000)
        sys.stdout.flush()
        os.write(2, b"y" * 1_000_000)
        sys.stderr.write("\\udcff\\x1b[2J")
    """
    p = make(ONE, app + QUICK)
    p.start()
    before = p.pids("q")
    p.push("prints")
    p.push("quick", 1)

    p.wait_empty()

    assert p.stop() == 0
    written = p.output.read_text()
    assert (
        written.count("x" * 1000) >= 900 and written.count("y" * 1000) >= 900
    )  # in pieces with a name before
    assert "\\x00\\x01\\x02" in written and "\\x1b[2J" in written and "\x1b[2J" not in written
    assert p.failed() == [] and quick_pids(p) == {1: str(before[0])}


@pytest.mark.parametrize(
    "broken",
    [
        "sys.stdout = None",
        "sys.stdout.close()",
        "sys.stdout = sys.stderr = type('Odd', (), {'flush': lambda self: [][0]})()",
        "sys.excepthook = None; os.closerange(3, 4096)",
        "threading.Thread(target=lambda: [][0]).start()",
        "threading.Thread(target=lambda: time.sleep(1000)).start()",
        "import atexit; atexit.register(lambda: time.sleep(1000))",
    ],
)
def test_s4_whatever_a_handler_leaves_behind_in_the_interpreter_its_process_leaves_in_order(
    make: Make, broken: str
) -> None:
    app = f"""
    @task(queue="q")
    def breaks():
        {broken}
        say("broke")
    """
    p = make(ONE, app + QUICK)
    p.start()
    p.push("breaks")
    p.wait_said("broke")
    p.push("quick", 1)
    p.wait_empty()
    assert set(quick_pids(p)) == {1} and p.failed() == []

    assert p.stop() == 0
    assert re.search(r" left name=q:0 .*reason=stop", p.output.read_text()), p.report()
    assert p.output.read_text().count(" stopped ") == 1


DAEMON = """
    @task(queue="q")
    def begets(twice):
        child = subprocess.Popen(
            ["sh", "-c", "sleep 1000 & echo $!" if twice else "echo $$; exec sleep 1000"],
            stdout=subprocess.PIPE, start_new_session=True,
        )
        say(f"grandchild {child.stdout.readline().decode().strip()}")
        wait_for("go")
"""


@pytest.mark.parametrize("twice", [False, True], ids=["a session of its own", "given up by its parent"])
def test_s6_a_grandchild_that_hid_in_another_session_dies_with_its_consumer(make: Make, twice: bool) -> None:
    p = make(ONE, DAEMON + QUICK)
    p.start()
    p.push("begets", twice)
    p.wait_until(p.said, "the grandchild to live")
    grandchild = int(p.said()[0].split()[1])
    (consumer,) = p.pids("q")
    assert os.path.exists(f"/proc/{grandchild}")

    os.kill(consumer, signal.SIGKILL)

    p.wait_until(lambda: not os.path.exists(f"/proc/{grandchild}"), "the grandchild to be gone")
    (p.folder / "go").touch()
    p.wait_empty()


@pytest.mark.parametrize("twice", [False, True], ids=["a session of its own", "given up by its parent"])
def test_s11_nothing_that_a_handler_has_started_outlives_a_soft_stop(make: Make, twice: bool) -> None:
    p = make(ONE, DAEMON)
    p.start()
    (p.folder / "go").touch()
    p.push("begets", twice)
    p.wait_empty()

    assert p.stop() == 0

    assert p.processes() == []
