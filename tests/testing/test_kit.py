"""The test kit as an application uses it: a pytest of its own, with the plugin, in a directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

APP = """
from dataclasses import dataclass
from datetime import datetime, timedelta
from procqueue import Fail, Retry, current, task

done = []

@dataclass
class Order:
    number: int
    at: datetime

@task(queue="emails", retry_seconds=[60, 600], max_attempts=3)
def welcome(name: str, lang: str = "en") -> None:
    done.append((name, lang, current().attempt))
    if name == "broken":
        raise ValueError("no such address")
    if name == "fail":
        raise Fail("never")

@task
def ship(order: Order) -> None:
    done.append(order)
    welcome.push(f"customer of {order.number}")

@task
def again() -> None:
    current().release(delay="1m")
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Write test files of an application and run pytest on them; return what it says."""

    def run(tests: str, *arguments: str, app: str = APP, code: int = 0, **variables: str) -> str:
        (tmp_path / "shop.py").write_text(app)
        (tmp_path / "test_shop.py").write_text(
            "import pytest\nimport procqueue\nfrom procqueue import testing\nimport shop\n"
            "from shop import Order, again, done, ship, welcome\n" + textwrap.dedent(tests)
        )
        ran = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-p", "procqueue.testing.plugin",
                "-p", "no:cacheprovider", *arguments,
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
            env={
                **os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                **variables,
            },
        )  # fmt: skip
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout

    return run


def test_what_was_pushed_is_compared_by_task_and_arguments(run: Run) -> None:
    run("""
    from datetime import UTC, datetime, timedelta
    MOMENT = datetime(2030, 1, 2, tzinfo=UTC)

    def test_one(procqueue_fake):
        receipt = welcome.push("ann", lang="fr")
        welcome.using(delay="10m").push("bob")
        ship.push(Order(7, MOMENT))
        assert receipt and receipt.queue == "emails"
        assert procqueue_fake.pushed(welcome) == [welcome.call("ann", lang="fr"), welcome.call("bob")]
        assert procqueue_fake.pushed(ship) == [ship.call(Order(7, MOMENT))]
        assert len(procqueue_fake.pushed()) == 3
        assert procqueue_fake.pushed("shop.again") == []
        now = procqueue_fake.clock.now
        assert [message.due_at - now for message in procqueue_fake.messages] == [
            timedelta(0), timedelta(0), timedelta(minutes=10)
        ]
        assert not done

    def test_two_begins_with_nothing(procqueue_fake):
        assert procqueue_fake.pushed() == []
        procqueue.push("other.task", 1, x=None)
        assert procqueue_fake.pushed("other.task") == [testing.Call("other.task", (1,), {"x": None})]
    """)


def test_run_runs_what_is_due_and_what_that_pushes(run: Run) -> None:
    run("""
    from datetime import UTC, datetime

    def test_one(procqueue_fake):
        order = Order(7, datetime(2030, 1, 2, tzinfo=UTC))
        ship.push(order)
        welcome.using(delay="10m").push("later")
        assert procqueue_fake.run(limit=1) == 1
        assert done == [order]
        assert procqueue_fake.run() == 1
        assert done[1:] == [("customer of 7", "en", 1)]
        assert procqueue_fake.run() == 0
        procqueue_fake.clock.advance("9m59s")
        assert procqueue_fake.run() == 0
        procqueue_fake.clock.advance(1)
        assert procqueue_fake.run() == 1
    """)


def test_retries_wait_on_the_clock_and_the_last_failure_is_raised(run: Run) -> None:
    run("""
    def test_one(procqueue_fake):
        failures = []
        welcome.on_failed(failures.append)
        welcome.push("broken")
        assert procqueue_fake.run() == 1
        procqueue_fake.clock.advance(60)
        assert procqueue_fake.run() == 1
        procqueue_fake.clock.advance(600)
        with pytest.raises(ValueError, match="no such address"):
            procqueue_fake.run()
        assert [attempt for _, _, attempt in done] == [1, 2, 3]
        assert [(one.call, one.state, one.attempts) for one in procqueue_fake.failed] == [
            (welcome.call("broken"), "failed", 3)
        ]
        assert [failure.message.id for failure in failures] == [procqueue_fake.failed[0].id]

    def test_two(procqueue_fake):
        welcome.push("fail")
        welcome.push("ann")
        assert procqueue_fake.run(raises=False) == 2
        assert str(procqueue_fake.failed[0].exception) == "never"

    def test_three(procqueue_fake):
        again.push()
        for _ in range(5):
            assert procqueue_fake.run() == 1
            procqueue_fake.clock.advance("1m")
    """)


def test_ids_exist_once_and_are_remembered(run: Run) -> None:
    run("""
    def test_one(procqueue_fake):
        once = welcome.using(id="a", remember="1h")
        assert once.push("ann")
        assert not once.push("ann")
        assert procqueue_fake.run() == 1
        assert once.push("ann").outcome == "duplicate"
        procqueue_fake.clock.advance("1h")
        assert once.push("ann")
        procqueue_fake.clear()
        assert (procqueue_fake.messages, procqueue_fake.pushed()) == ([], [])
    """)


def test_unique_keys_priorities_and_expiry_hold_as_with_a_store(run: Run) -> None:
    run("""
    def test_unique(procqueue_fake):
        first = welcome.using(unique=True).push("ann")
        assert first and not welcome.using(unique=True).push("ann")
        assert welcome.using(unique="ann", on_duplicate="replace", delay="1m").push("old")
        assert welcome.using(unique="ann", on_duplicate="replace", delay="1m").push("new")
        procqueue_fake.clock.advance("1m")
        assert procqueue_fake.run() == 2
        assert [name for name, _, _ in done] == ["ann", "new"]
        assert welcome.using(unique=True).push("ann")

    def test_a_time(procqueue_fake):
        hourly = welcome.using(unique="x", until="1h")
        assert hourly.push("ann") and procqueue_fake.run() == 1
        assert not hourly.push("ann")
        procqueue_fake.clock.advance("1h")
        assert hourly.push("ann")

    def test_order(procqueue_fake):
        done.clear()
        welcome.push("second")
        welcome.using(priority=-1).push("third")
        welcome.using(priority=5).push("first")
        procqueue_fake.run()
        assert [name for name, _, _ in done] == ["first", "second", "third"]

    def test_expiry(procqueue_fake):
        welcome.using(expires="1m").push("ann")
        procqueue_fake.clock.advance("1m")
        assert procqueue_fake.run() == 0
        assert [message.call for message in procqueue_fake.expired] == [welcome.call("ann")]
    """)


def test_a_run_without_an_end_is_an_error(run: Run) -> None:
    run("""
    @procqueue.task
    def forever():
        forever.push()

    def test_one(procqueue_fake):
        forever.push()
        with pytest.raises(procqueue.ProcqueueError, match="no end"):
            procqueue_fake.run()
    """)


def test_a_push_without_a_fixture_is_an_error_unless_it_is_meant(run: Run, tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/db/queue.db"
    tests = """
    def test_by_mistake():
        with pytest.raises(procqueue.PushError, match="procqueue_fake"):
            welcome.push("ann")

    @pytest.mark.procqueue_real
    def test_on_purpose():
        assert welcome.push("ann")

    def test_with_a_fixture(procqueue_fake):
        assert welcome.push("ann")
    """
    run(tests, PROCQUEUE_URL=url)
    assert "1 failed, 2 passed" in run(tests, "-o", "procqueue_real=true", PROCQUEUE_URL=url, code=1)
    run("def test_sync():\n    assert welcome.push('ann')\n", PROCQUEUE_URL="sync://")


def test_the_queues_of_the_configuration_hold_with_the_fake_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "procqueue.toml").write_text('app = ["shop"]\n[queues.emails]\nmax_attempts = 1\n')

    run("""
    def test_one(procqueue_fake):
        with pytest.raises(procqueue.UnknownQueue, match="emails"):
            again.push()

    def test_two(procqueue_fake):
        procqueue.push("no.such.task")
    """, code=1)  # fmt: skip


def test_a_plain_call_finds_the_message_that_the_test_gives(run: Run) -> None:
    run("""
    def test_one():
        with testing.message(id="m1", attempt=2, ticket=7, stopping=True) as message:
            welcome("ann")
            assert done == [("ann", "en", 2)]
            assert (procqueue.current().id, procqueue.current().ticket, message.stopping) == ("m1", 7, True)
            again()
        assert message.verdict.after_s == 60
        assert procqueue.current_or_none() is None
    """)


def test_live_runs_real_consumers_in_other_processes(run: Run, tmp_path: Path) -> None:
    app = APP + (
        "\nimport os\nfrom pathlib import Path\n"
        "@task(queue='files')\ndef touch(path: str) -> None:\n    Path(path).write_text(str(os.getpid()))\n"
        "@task(queue='files', max_attempts=1)\ndef bad() -> None:\n    raise KeyError('lost')\n"
    )
    tests = """
    import os
    from shop import bad, touch

    def test_one(procqueue_live, tmp_path):
        touch.push(str(tmp_path / "mark"))
        bad.push()
        procqueue_live.drain()
        assert int((tmp_path / "mark").read_text()) != os.getpid()
        assert [message.id for message in procqueue_live.failed()] == [procqueue_live.failed("files")[0].id]
        assert procqueue_live.counts("files").failed == 1
        assert procqueue_live.status()["queues"]["files"]["ready"] == 1

    def test_two(procqueue_live):
        touch.using(delay="1h").push("/nowhere")
        procqueue_live.drain()
        with pytest.raises(AssertionError, match="there is work left: files 1"):
            procqueue_live.drain("100ms", delayed=True)
    """
    run(tests, app=app)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/queues.toml").write_text(
        'app = ["shop"]\n[driver]\nurl = "redis://127.0.0.1:1"\n[queues.files]\nstdout = "lines.log"\n'
        '[drivers.far]\nurl = "redis://127.0.0.1:2"\n[queues.emails]\ndriver = "far"\n[queues.default]\n'
        '[processes.never]\ncommand = "false"\n'
    )
    run(tests, app=app)
    assert not (tmp_path / "run").exists() and not (tmp_path / "lines.log").exists()


def test_live_says_what_is_wrong_with_the_application(run: Run, tmp_path: Path) -> None:
    (tmp_path / "procqueue.toml").write_text('app = ["shop", "shop_is_closed"]\n[queues.emails]\n')

    said = run("""
    from procqueue.testing.live import Live

    @pytest.fixture
    def impatient(procqueue_config, tmp_path):
        from procqueue.testing.settings import read
        live = Live(read(procqueue_config), str(tmp_path))
        yield live
        live.stop()

    def test_one(impatient):
        impatient.start()
    """, code=1)  # fmt: skip

    assert "No module named 'shop_is_closed'" in said
