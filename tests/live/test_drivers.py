"""Two stores in one file: each has its own scheduler, so what happens to one is nothing to the other."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procqueue.config import load
from procqueue.core import wire
from procqueue.core.message import Counts
from procqueue.drivers.contract import Entry
from procqueue.drivers.opening import open_driver
from tests.live.conftest import Make
from tests.live.harness import Project, edit, verb
from tests.servers import Server, start_server

CONFIG = """
[drivers.disk]
url = "sqlite:///run/db/disk.db"
[defaults]
restart_delay_max = 1
[queues.memory]
[queues.disk]
driver = "disk"
"""

APP = """
@task(queue="memory")
def held(where, n=0):
    say(f"began {where} {n}")
    wait_for("go")
    say(f"ended {where} {n}")

@task(queue="memory")
def quick(where, n=0):
    say(f"quick {where} {n}")

@task(queue="memory")
def on(where, n=0):
    quick.using(queue="disk" if where == "memory" else "memory").push(f"from {where}", n)
"""

KEPT = ("--appendonly", "yes", "--appendfsync", "always")
BOTH = ("memory", "disk")

Start = Callable[[], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server, always under the same URL. To be named before `make`: it must outlive the projects."""
    folder = Path(tempfile.mkdtemp(prefix="pq-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)

        def started() -> Server:
            server = start_server(folder, *KEPT)
            stack.callback(server.kill)
            return server

        yield started


def push(p: Project, queue: str, task: str, n: int = 0) -> None:
    """Push a message that is told its queue, at the queue's driver."""
    driver = open_driver(load(str(p.config), {}).driver_of(queue))
    id = f"{task}-{queue}-{n}"
    driver.push(queue, [Entry(id, wire.encode(f"app.{task}", [queue, n], {}, id=id))])
    driver.close()


def counts(p: Project, queue: str, driver: str | None = None) -> Counts:
    """Return what stands in a queue, at its driver or at another one."""
    settings = load(str(p.config), {})
    store = open_driver(settings.driver_of(queue) if driver is None else settings.drivers[driver])
    found = store.counts(queue)
    store.close()
    return found


def kill_consumer(p: Project, queue: str) -> None:
    [pid] = p.pids(queue)
    os.kill(pid, signal.SIGKILL)


def states(p: Project, queue: str) -> dict[int, str]:
    return {one["pid"]: one["state"] for one in p.status()["queues"][queue]["consumers"]}


def schedulers(p: Project) -> dict[str, str]:
    """Return how each scheduler stands, by its driver."""
    status = p.status()
    found = {"": status["scheduler"], **status["schedulers"]}
    return {name: one["state"] for name, one in found.items()}


def test_each_store_is_served_and_one_that_goes_away_does_not_hold_up_the_other(
    start: Start, make: Make
) -> None:
    server = start()
    p = make(CONFIG, APP, server.url)
    p.start()
    assert schedulers(p) == {"": "ready", "disk": "ready"}
    for queue in BOTH:
        push(p, queue, "on")
        p.wait_said(f"quick from {queue} 0")
    for queue in BOTH:
        push(p, queue, "held")
        p.wait_said(f"began {queue} 0")
        kill_consumer(p, queue)
        p.wait_said(f"began {queue} 0", times=2)

    server.kill()
    p.wait_until(lambda: "driver" in [one["about"] for one in p.status()["problems"]], "the problem")
    kill_consumer(p, "disk")
    p.wait_said("began disk 0", times=3)
    told = p.run("queues", "--json")
    assert told.returncode == 69
    assert json.loads(told.stdout)["queues"]["disk"]["counts"]["reserved"] == 1
    assert list(json.loads(told.stdout)["away"]) == ["memory"]
    assert "memory:" in told.stderr

    (p.folder / "go").touch()
    p.wait_said("ended disk 0")
    push(p, "disk", "quick")
    p.wait_said("quick disk 0")
    start()
    p.wait_said("ended memory 0")
    push(p, "memory", "quick")
    p.wait_said("quick memory 0")
    p.wait_until(lambda: p.is_ready() and not p.status()["problems"], "the problem to be solved")
    assert sorted(line for line in p.said() if line.startswith("ended")) == ["ended disk 0", "ended memory 0"]
    assert p.stop() == 0


@pytest.mark.parametrize("adopts", [True, False], ids=["the next master", "the undertakers"])
def test_s8_after_the_masters_death_each_store_is_settled_once(
    start: Start, make: Make, adopts: bool
) -> None:
    p = make(CONFIG + 'grace = "20s"\n', APP, start().url)
    p.start()
    for queue in BOTH:
        push(p, queue, "held")
        p.wait_said(f"began {queue} 0")
    consumers = [p.pids(queue)[0] for queue in BOTH]
    p.kill_master()
    if adopts:
        p.start()

    os.kill(consumers[1], signal.SIGKILL)
    if adopts:
        p.wait_said("began disk 0", times=2)
    else:
        p.wait_until(lambda: counts(p, "disk").reserved == 0, "the undertaker to give it back")
    (p.folder / "go").touch()
    p.wait_said("ended memory 0")
    if not adopts:
        p.wait_until(lambda: not p.processes(), "the undertakers to leave")
        assert counts(p, "disk").waiting == 1
        p.start()

    p.wait_said("ended disk 0")
    p.wait_until(lambda: not any(counts(p, queue).reserved for queue in BOTH), "both to be settled")
    assert sorted(p.said()) == [
        "began disk 0", "began disk 0", "began memory 0", "ended disk 0", "ended memory 0",
    ]  # fmt: skip


def test_d6_a_host_that_is_declared_dead_at_one_store_lives_on_at_the_other(start: Start, make: Make) -> None:
    p = make(CONFIG + "[master]\nhost_timeout = 3\n", APP, start().url)
    p.start()
    before = {queue: p.pids(queue) for queue in BOTH}
    store = open_driver(load(str(p.config), {}).driver_of("disk"))

    def buried() -> bool:
        [one] = store.beats("disk").hosts
        return store.bury("disk", one.host, one.value) is not None

    p.wait_until(buried, "the host to stand where it was seen")
    p.wait_until(lambda: p.pids("disk") not in ([], before["disk"]), "another consumer")
    store.close()

    push(p, "disk", "quick")
    p.wait_said("quick disk 0")
    assert p.pids("memory") == before["memory"]


def test_a_queue_that_moves_leaves_behind_what_is_stored_and_its_old_consumers_are_looked_after(
    start: Start, make: Make
) -> None:
    p = make(CONFIG, APP, start().url)
    p.start()
    push(p, "disk", "held")
    p.wait_said("began disk 0")
    push(p, "disk", "quick", 1)
    [old] = p.pids("disk")
    edit(p.config, 'driver = "disk"', "")

    told = verb(p, "reload")

    assert "stored messages stay behind" in told
    push(p, "disk", "quick", 2)
    p.wait_said("quick disk 2")
    p.wait_until(lambda: states(p, "disk").get(old) == "stopping", "the new ones to be proved")
    assert schedulers(p) == {"": "ready", "disk": "ready"}, "nobody keeps house for the old consumer"
    os.kill(old, signal.SIGKILL)
    p.wait_until(lambda: counts(p, "disk", "disk").waiting == 2, "what it held to be given back")
    p.wait_until(lambda: list(schedulers(p)) == [""], "the scheduler of nobody to leave")

    edit(p.config, "[queues.disk]", '[queues.disk]\ndriver = "disk"')
    verb(p, "reload")
    (p.folder / "go").touch()
    p.wait_said("quick disk 1")
    p.wait_said("ended disk 0")
    edit(p.config, "disk.db", "other.db")
    assert "needs stop and start" in verb(p, "reload", code=1)
