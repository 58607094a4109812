"""drain: producers are kept out until all is handled, handlers push on, and the gate goes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from procqueue.drivers.contract import Entry, GateState, Pushed
from tests.live.conftest import Make
from tests.live.harness import Project, queue, verb

CONFIG = """
    [master]
    host_timeout = "3s"
    [queues.q]
    processes = 2
    start_seconds = 0.2
    handle_timeout = 0
    """

APP = """
    @task(queue="q")
    def chain(left: int) -> None:
        wait_for("go")
        if left:
            chain.push(left - 1)
        say(f"chain {left}")

    @task(queue="q")
    def chunks(n: int) -> None:
        wait_for("go")
        chain.push_many(chain.call(0) for _ in range(n))
        say("chunks")

    @task(queue="q")
    def quick(n: int) -> None:
        say(f"quick {n}")

    @task(queue="q", max_crashes=3)
    def hold(n: int) -> None:
        say(f"held {n}")
        wait_for("go")
        say(f"let go {n}")
    """


def begin(project: Project, *words: str) -> subprocess.Popen[str]:
    """Begin a drain of q; return when its gate is draining."""
    process = subprocess.Popen(
        [sys.executable, "-m", "procqueue", "drain", "q", *words, "-c", str(project.config)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=project.folder,
        env=project.environment(),
    )  # fmt: skip
    project.wait_until(lambda: stands(project) is GateState.DRAINING, "the gate to be draining")
    return process


def stands(project: Project) -> GateState:
    return project.driver.gate("q").state


def pushed(project: Project, *, inside: bool = False) -> list[object]:
    """Push as a foreign producer does."""
    return list(project.driver.push("q", [Entry(os.urandom(8).hex(), b"{}")], inside=inside))


def ended(process: subprocess.Popen[str], code: int) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (out, err)
    return out


def test_handlers_push_through_and_nobody_else_does(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    project.push("chain", 5)
    project.push("chunks", 250)

    drain = begin(project, "--json")

    assert pushed(project) == [Pushed.GATE_CLOSED]
    project.wait_until(lambda: queue(project)["state"] == "draining", "status to say so")
    (project.folder / "go").touch()
    answer = json.loads(ended(drain, 0))
    assert answer["drained"] is True
    assert answer["queues"] == {"q": {"gate": "open", "waiting": 0, "reserved": 0, "inbox": 0, "delayed": 0}}
    assert project.said().count("chunks") == 1
    assert [project.said().count(f"chain {n}") for n in (5, 4, 3, 2, 1, 0)] == [1, 1, 1, 1, 1, 251]
    project.push("quick", 1)
    project.wait_said("quick 1")


def test_a_timeout_and_ctrl_c_open_the_gate_again(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    project.push("hold", 1)
    project.wait_said("held 1")

    assert "1 reserved" in verb(project, "drain", "q", "--timeout", "300ms", code=5)
    assert stands(project) is GateState.OPEN
    assert "gate open" in verb(project, "drain", "q", "--timeout", "300ms", "--keep", code=5)
    assert stands(project) is GateState.OPEN
    for number in (signal.SIGINT, signal.SIGTERM):
        drain = begin(project)
        drain.send_signal(number)
        ended(drain, 130)
        assert stands(project) is GateState.OPEN
    (project.folder / "go").touch()


def test_keep_closes_the_gate_and_a_gate_that_was_closed_is_closed_again(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    (project.folder / "go").touch()
    project.push("chain", 2)

    assert "gate closed" in verb(project, "drain", "q", "--keep")
    assert sorted(project.said()) == ["chain 0", "chain 1", "chain 2"]
    assert pushed(project) == [Pushed.GATE_CLOSED] == pushed(project, inside=True)

    assert "gate closed" in verb(project, "drain", "q")


def test_delayed_messages_are_waited_for_when_asked(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    far = project.push("quick", 1, delay_ms=3_600_000)

    verb(project, "drain", "q")
    assert "1 delayed" in verb(project, "drain", "q", "--delayed", "--timeout", "1s", code=5)
    project.driver.forget("q", [far])
    project.push("quick", 2, delay_ms=2_000)
    verb(project, "drain", "q", "--delayed")

    assert project.said() == ["quick 2"]


def test_a_consumer_that_is_killed_is_no_end(make: Make, url: str | None) -> None:
    project = make(CONFIG.replace("processes = 2", "processes = 1"), APP, url)
    project.start()
    project.push("hold", 1)
    project.wait_said("held 1")
    drain = begin(project)

    os.kill(project.pids("q")[0], signal.SIGKILL)
    project.wait_said("held 1", 2)
    (project.folder / "go").touch()

    ended(drain, 0)
    assert project.said() == ["held 1", "held 1", "let go 1"]
    assert (project.counts().failed, stands(project)) == (0, GateState.OPEN)


def test_what_would_never_end_is_refused_and_the_gate_left_alone(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    assert "no living host" in verb(project, "drain", "q", code=1)
    project.start()
    verb(project, "pause", "q")
    verb(project, "gate", "close", "q")
    since = project.driver.gate("q")

    assert "is paused" in verb(project, "drain", "q", code=1)
    verb(project, "drain", "nobody", code=2)
    verb(project, "drain", "q", "--timeout", "soon", code=2)

    assert project.driver.gate("q") == since
    verb(project, "resume", "q")
    project.kill_master()
    project.wait_until(lambda: not project.processes(), "the orphans to leave")
    assert "no living host" in verb(project, "drain", "q", code=1)
    assert project.driver.gate("q") == since


@pytest.mark.parametrize("how", ["paused", "opened", "closed", "lost"])
def test_what_happens_meanwhile_ends_it(make: Make, how: str) -> None:
    project = make(CONFIG, APP)
    master = project.start()
    project.push("hold", 1)
    project.wait_said("held 1")
    drain = begin(project)

    if how == "paused":
        verb(project, "pause", "q")
    elif how == "lost":
        project.master = None
        for pid in project.processes():
            if pid != drain.pid:
                os.kill(pid, signal.SIGKILL)
        master.wait()
    else:
        verb(project, "gate", how.removesuffix("d").removesuffix("e") + ("" if how == "opened" else "e"), "q")

    ended(drain, 1)
    assert stands(project) is (GateState.CLOSED if how == "closed" else GateState.OPEN)
    (project.folder / "go").touch()


def test_a_second_drain_is_refused_and_the_first_goes_on(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    project.push("hold", 1)
    project.wait_said("held 1")
    first = begin(project)

    assert "drained already" in verb(project, "drain", "q", code=1)
    assert stands(project) is GateState.DRAINING
    (project.folder / "go").touch()

    ended(first, 0)


def test_what_kill_9_leaves_is_named_and_opened_by_hand(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    project.push("hold", 1)
    project.wait_said("held 1")
    drain = begin(project)
    drain.kill()
    ended(drain, -signal.SIGKILL)

    assert "procqueue gate open q" in verb(project, "drain", "q", code=1)
    assert "gate draining since" in verb(project, "queues")
    verb(project, "gate", "open", "q")

    (project.folder / "go").touch()
    verb(project, "drain", "q")


def test_draining_two_queues_follows_what_moves_between_them(make: Make) -> None:
    app = (
        APP
        + """
    @task(queue="other")
    def there(left: int) -> None:
        if left:
            here.push(left - 1)

    @task(queue="q")
    def here(left: int) -> None:
        there.push(left)
        say(f"here {left}")
    """
    )
    project = make(CONFIG + "[queues.other]\n", app)
    project.start()
    project.push("here", 20)

    verb(project, "drain", "q", "other")

    assert sorted(project.said()) == sorted(f"here {n}" for n in range(21))
    assert project.counts("other").waiting + project.counts("q").waiting == 0
