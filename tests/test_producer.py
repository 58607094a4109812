"""The producer: how a process that only pushes finds the store, and what becomes of its messages there."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import procqueue
from procqueue import (
    BadArguments,
    ConfigError,
    DriverUnavailable,
    Duplicate,
    GateClosed,
    ProcqueueError,
    PushError,
    PushInterrupted,
    PushUnknown,
    SoftTimeout,
    TooLarge,
    UnknownQueue,
    producer,
    pushing,
    task,
)
from procqueue.config import load
from procqueue.core import wire
from procqueue.core.message import State, Stored
from procqueue.drivers.contract import GateState
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.tasks import registry
from procqueue.tasks.context import Message, call, deliver_timeout
from procqueue.tasks.task import Task
from tests.servers import start_server


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A process that pushes to nowhere yet, in a directory of its own."""
    monkeypatch.delenv("PROCQUEUE_URL", raising=False)
    monkeypatch.delenv("PROCQUEUE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    before = registry.all_tasks()
    yield
    procqueue.close()
    for declared in registry.all_tasks():
        if declared not in before:
            registry.forget(declared)


@pytest.fixture
def welcome() -> Task[[int, str], None]:
    def handler(user_id: int, lang: str = "en") -> None: ...

    return task(name="shop.welcome", queue="emails")(handler)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/db/queue.db"


def stored(tmp_path: Path, queue: str = "emails", state: State = State.WAITING) -> list[Stored]:
    """What stands in the store."""
    driver = SqliteDriver(f"{tmp_path}/db/queue.db")
    try:
        return driver.messages(queue, state, 0, 1000)
    finally:
        driver.close()


def config(tmp_path: Path, more: str = "", driver: str = "") -> str:
    file = tmp_path / "queues.toml"
    file.write_text(
        f'app = ["shop"]\n[driver]\nurl = "sqlite:///{tmp_path}/db/queue.db"\n{driver}\n[queues.emails]\n{more}'
    )
    return str(file)


# finding the store


def test_a_push_that_was_answered_is_stored(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    receipt = welcome.push(42, lang="fr")

    (message,) = stored(tmp_path)
    assert receipt == procqueue.Receipt(message.id, "emails", "queued")
    assert message.body == b'{"v":1,"task":"shop.welcome","args":[42],"kwargs":{"lang":"fr"}}'
    assert len(receipt.id) == 26


def test_the_url_in_the_environment_is_enough(
    welcome: Any, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCQUEUE_URL", url)

    welcome.push(42)

    assert len(stored(tmp_path)) == 1


def test_a_relative_path_in_a_url_starts_where_the_process_stands(
    welcome: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCQUEUE_URL", "sqlite:///db/queue.db")

    welcome.push(42)

    assert len(stored(tmp_path)) == 1


def test_the_configuration_in_the_environment_is_found(
    welcome: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCQUEUE_CONFIG", config(tmp_path))

    welcome.push(42)

    assert len(stored(tmp_path)) == 1


def test_a_consumer_pushes_to_its_own_store(welcome: Any, tmp_path: Path) -> None:
    producer.adopt(load(config(tmp_path)))

    welcome.push(42)

    assert len(stored(tmp_path)) == 1


def test_connect_wins_over_adopt(welcome: Any, tmp_path: Path) -> None:
    procqueue.connect(f"sqlite:///{tmp_path}/other/queue.db")
    producer.adopt(load(config(tmp_path)))

    welcome.push(42)

    assert stored(tmp_path) == []


def test_without_any_of_them_a_push_says_what_to_set(welcome: Any) -> None:
    with pytest.raises(PushError, match=r"PROCQUEUE_URL or PROCQUEUE_CONFIG, or call procqueue\.connect"):
        welcome.push(42)


def test_a_wrong_url_is_refused_when_connecting() -> None:
    with pytest.raises(ConfigError, match='there is no driver "mysql"'):
        procqueue.connect("mysql://localhost")


def test_connecting_twice_to_the_same_changes_nothing(url: str) -> None:
    procqueue.connect(url)

    procqueue.connect(url, push_timeout="5s")

    with pytest.raises(ProcqueueError, match="connected already"):
        procqueue.connect(url, push_timeout="6s")
    with pytest.raises(ProcqueueError, match="connected already"):
        procqueue.connect("sync://")


def test_after_close_a_process_may_connect_elsewhere(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect("sync://")
    asyncio.run(procqueue.aclose())

    procqueue.connect(url)
    welcome.push(1)
    procqueue.close()
    procqueue.connect(url)
    welcome.push(2)

    assert len(stored(tmp_path)) == 2


# one message


def test_a_delayed_message_waits_in_delayed(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    welcome.using(delay="10m").push(1)
    welcome.using(at=datetime.now(UTC) + timedelta(hours=1)).push(2)
    welcome.using(at=datetime(1990, 1, 1, tzinfo=UTC)).push(3)

    assert len(stored(tmp_path, state=State.DELAYED)) == 2
    assert [b"[3]" in message.body for message in stored(tmp_path)] == [True]


def test_using_names_another_queue(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    receipt = welcome.using(queue="slow").push(42)

    assert receipt.queue == "slow"
    assert len(stored(tmp_path, "slow")) == 1


def test_an_id_is_unique_while_its_message_exists(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)
    later = welcome.using(id="order-7")

    first, second = later.push(1), later.push(2)

    assert (first.outcome, second.outcome) == ("queued", "duplicate")
    assert bool(first) and not second
    assert [message.id for message in stored(tmp_path)] == ["order-7"]


def test_d2_equal_messages_stay_two(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    assert welcome.push(42) and welcome.push(42)

    assert len(stored(tmp_path)) == 2


def test_a_mismatch_is_reported_and_nothing_is_stored(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    with pytest.raises(BadArguments, match=r"shop\.welcome: argument 'user_id': Expected `int`, got `str`"):
        welcome.push("42")

    assert stored(tmp_path) == []


def test_coroutines_push_without_blocking_their_loop(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    async def main() -> None:
        receipts = await asyncio.gather(welcome.apush(1), welcome.using(delay="1h").apush(2))
        assert all(receipts)

    asyncio.run(main())

    assert (len(stored(tmp_path)), len(stored(tmp_path, state=State.DELAYED))) == (1, 1)


def test_an_unknown_queue_is_refused_with_the_nearest(welcome: Any, tmp_path: Path) -> None:
    procqueue.connect(config(tmp_path))

    with pytest.raises(UnknownQueue, match="no queue 'emials'; did you mean \"emails\""):
        welcome.using(queue="emials").push(42)


def test_with_a_url_alone_only_the_form_of_a_queues_name_is_checked(welcome: Any, url: str) -> None:
    procqueue.connect(url)

    with pytest.raises(UnknownQueue, match="'E Mails' cannot be the name of a queue"):
        welcome.using(queue="E Mails").push(42)


def test_a_message_over_max_body_is_refused(welcome: Any, tmp_path: Path) -> None:
    procqueue.connect(config(tmp_path, driver='max_body = "1KiB"'))

    with pytest.raises(TooLarge, match=r"has 1,\d\d\d bytes, and max_body is 1,024"):
        welcome.push(42, lang="x" * 1024)

    assert stored(tmp_path) == []


# by name


def test_a_push_by_name_needs_no_code_of_the_task(url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    receipt = procqueue.push("shop.elsewhere", 42, task="named like the parameter")

    (message,) = stored(tmp_path, "default")
    assert receipt.queue == "default"
    assert wire.decode(message.body).kwargs == {"task": "named like the parameter"}


@pytest.mark.usefixtures("welcome")
def test_a_push_by_name_goes_to_the_queue_of_a_task_that_is_known(url: str) -> None:
    procqueue.connect(url)

    assert procqueue.push("shop.welcome", "unchecked").queue == "emails"
    assert procqueue.using(queue="slow").push("shop.welcome", 42).queue == "slow"
    assert asyncio.run(procqueue.using(delay=1).apush("shop.welcome", 42)).queue == "emails"


def test_a_push_by_name_refuses_what_is_no_json(url: str) -> None:
    procqueue.connect(url)

    with pytest.raises(BadArguments, match=r"shop\.x: args\[0\]: a object has no form in JSON"):
        procqueue.push("shop.x", object())


def test_a_push_by_name_needs_a_name(welcome: Any, url: str) -> None:
    procqueue.connect(url)

    with pytest.raises(TypeError, match="a task has a push of its own"):
        procqueue.push(welcome, 42)


# many


def test_many_calls_are_read_lazily_and_stored_in_order(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)
    seen_stored: list[int] = []

    def calls() -> Iterator[procqueue.Call]:
        for number in range(25):
            if number % 10 == 0:
                seen_stored.append(len(stored(tmp_path)))
            yield welcome.call(number)

    pushed = welcome.push_many(calls(), chunk=5)

    assert (pushed.queued, pushed.duplicates) == (25, 0)
    assert [message.id for message in stored(tmp_path)] == list(pushed.ids)
    assert seen_stored == [0, 5, 15]  # a chunk leaves when the next call shows that it is full


def test_no_calls_are_no_push(welcome: Any, url: str) -> None:
    procqueue.connect(url)

    assert welcome.push_many([]) == procqueue.PushedMany(0, 0, ())


def test_a_chunk_has_no_more_than_a_mebibyte(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)
    counts: list[int] = []

    def calls() -> Iterator[procqueue.Call]:
        for number in range(5):
            counts.append(len(stored(tmp_path)))
            yield welcome.call(number, "x" * 500_000)

    assert welcome.push_many(calls()).queued == 5
    assert counts == [0, 0, 0, 2, 2]


@pytest.mark.parametrize("chunk", [0, 101, -1])
def test_an_impossible_chunk_is_refused(welcome: Any, url: str, chunk: int) -> None:
    procqueue.connect(url)

    with pytest.raises(ValueError, match="is not between 1 and 100"):
        welcome.push_many([welcome.call(1)], chunk=chunk)


def test_an_interrupted_push_says_how_many_are_stored_and_why(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)
    calls = [welcome.call(number) for number in range(7)] + [welcome.call("seven"), welcome.call(8)]

    with pytest.raises(PushInterrupted) as interrupted:
        welcome.push_many(calls, chunk=3)

    assert interrupted.value.done == 6 == len(stored(tmp_path))
    assert isinstance(interrupted.value.__cause__, BadArguments)


def test_push_many_takes_calls_of_its_own_task_only(welcome: Any, url: str) -> None:
    procqueue.connect(url)
    other = task(name="shop.other")(lambda: None)

    with pytest.raises(PushInterrupted, match=r"shop\.other is another task than shop\.welcome"):
        welcome.push_many([other.call()])
    with pytest.raises(PushInterrupted, match=r"as call\(…\) of the task makes them, not \(1,\)"):
        welcome.push_many([(1,)])


# documents of the wire


@pytest.mark.usefixtures("welcome")
def test_documents_are_stored_as_they_are(url: str, tmp_path: Path) -> None:
    procqueue.connect(url)
    known = b'{"task":"shop.welcome","id":"order-7","args":["42"],"lax":true,"of_tomorrow":[1]}'

    receipts = producer.push_wire([known, b'{"task":"shop.x","delay":60000}'])

    assert [(receipt.queue, receipt.outcome) for receipt in receipts] == [
        ("emails", "queued"), ("default", "queued"),
    ]  # fmt: skip
    assert [(message.id, message.body) for message in stored(tmp_path)] == [("order-7", known)]
    assert len(stored(tmp_path, "default", State.DELAYED)) == 1


def test_an_unreadable_document_is_refused_with_its_reason(url: str) -> None:
    procqueue.connect(url)

    with pytest.raises(BadArguments, match="missing required field `task`"):
        producer.push_wire([b"{}"], "emails")
    with pytest.raises(PushInterrupted) as interrupted:
        producer.push_wire([b'{"task":"a"}'] * 120 + [b"{}"])
    assert interrupted.value.done == 100


# connections


def test_each_thread_has_a_connection_of_its_own(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)
    welcome.push(0)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(20):
                welcome.push(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(stored(tmp_path)) == 81


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_thread_that_ends_gives_back_its_connection(welcome: Any, url: str) -> None:
    procqueue.connect(url)
    welcome.push(0)

    counts = []
    for _ in range(6):
        thread = threading.Thread(target=welcome.push, args=(1,))
        thread.start()
        thread.join()
        counts.append(open_files())

    assert counts[-1] == counts[1]  # SQLite keeps a descriptor for the next to come, so the first may differ


def test_after_a_fork_parent_and_child_push_on_connections_of_their_own(
    welcome: Any, url: str, tmp_path: Path
) -> None:
    procqueue.connect(url)
    welcome.push(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if all(welcome.push(number) for number in range(10)) else 2
            procqueue.close()
        finally:
            os._exit(code)
    for number in range(10):
        welcome.push(number)
    _, status = os.waitpid(child, 0)
    welcome.push(0)

    assert status == 0
    ids = [message.id for message in stored(tmp_path)]
    assert len(set(ids)) == 22


def test_a_soft_timeout_waits_until_the_driver_has_answered() -> None:
    steps: list[str] = []

    def on_alarm(_signum: int, frame: FrameType | None) -> None:
        deliver_timeout(frame)

    def handler() -> None:
        with pushing._undisturbed():
            signal.raise_signal(signal.SIGALRM)
            steps.append("answered")
        steps.append("never")

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        with pytest.raises(SoftTimeout):
            call(Message(id="1", queue="emails", task="t", ticket=1), handler, (), {})
    finally:
        signal.signal(signal.SIGALRM, before)

    assert steps == ["answered"]


def test_a_store_that_is_away_is_reported_after_push_timeout(welcome: Any, tmp_path: Path) -> None:
    procqueue.connect(f"unix://{tmp_path}/nobody.sock", push_timeout="50ms")

    with pytest.raises(DriverUnavailable, match="could not be reached within 50ms"):
        welcome.push(42)


def test_a_push_goes_through_once_its_store_is_there(welcome: Any, tmp_path: Path) -> None:
    procqueue.connect(f"unix://{tmp_path}/s", push_timeout="60s")
    receipts: list[procqueue.Receipt] = []
    thread = threading.Thread(target=lambda: receipts.append(welcome.push(42)))

    thread.start()
    server = start_server(tmp_path)
    try:
        thread.join(60)
    finally:
        server.stop()

    assert [receipt.outcome for receipt in receipts] == ["queued"]


def test_an_answer_that_never_comes_is_told_with_the_ids(welcome: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    try:
        file = tmp_path / "queues.toml"
        file.write_text(
            f'app = ["shop"]\n[queues.emails]\n[driver]\nurl = "unix://{tmp_path}/s"\ntimeout = "200ms"\n'
        )
        procqueue.connect(str(file), push_timeout="500ms")
        welcome.push(1)
        os.kill(server.pid, signal.SIGSTOP)

        with pytest.raises(PushUnknown, match="it may or may not be stored") as unknown:
            welcome.using(id="order-7").push(2)

        assert unknown.value.ids == ("order-7",)
    finally:
        server.kill()


# the sync driver


def test_sync_runs_the_task_inside_push_and_its_exception_leaves_push() -> None:
    procqueue.connect("sync://")
    attempts: list[int] = []

    def handler(number: int) -> None:
        attempts.append(procqueue.current().attempt)
        raise OSError(number)

    job = task(name="shop.job", max_attempts=2)(handler)

    with pytest.raises(OSError, match="7"):
        job.push(7)

    assert attempts == [1, 2]


def test_sync_with_raise_0_gives_the_receipt() -> None:
    procqueue.connect("sync://?raise=0")

    def handler() -> None:
        raise DriverUnavailable("of the handler's own store")

    assert task(name="shop.job")(handler).push().outcome == "queued"


def test_sync_takes_the_policy_of_the_configured_queue(tmp_path: Path) -> None:
    file = tmp_path / "queues.toml"
    file.write_text('app = ["shop"]\n[driver]\nurl = "sync://"\n[queues.default]\nmax_attempts = 5\n')
    procqueue.connect(str(file))
    attempts: list[int] = []

    def handler() -> None:
        attempts.append(procqueue.current().attempt)
        raise OSError

    with pytest.raises(OSError):
        task(name="shop.job")(handler).push()

    assert attempts == [1, 2, 3, 4, 5]


# the package


def test_importing_procqueue_imports_next_to_nothing() -> None:
    program = "import sys, typing; old = set(sys.modules); import procqueue; print(*set(sys.modules) - old)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["procqueue"]


def test_every_public_name_is_there() -> None:
    assert [name for name in procqueue.__all__ if not hasattr(procqueue, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        procqueue.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_that_of_the_project_file() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

    assert procqueue.__version__ == project["version"]


# what else a push may ask for


def test_unique_is_one_message_and_says_which(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)
    once = welcome.using(unique=True)

    first, second, other = once.push(1, "en"), once.push(1, "en"), once.push(2, "en")

    assert (second.outcome, second.id, bool(second)) == ("duplicate", first.id, False)
    assert [message.id for message in stored(tmp_path)] == [first.id, other.id]
    with pytest.raises(Duplicate, match="has a message of that key") as refused:
        welcome.using(unique=True, on_duplicate="raise").push(1, "en")
    assert refused.value.id == first.id


def test_debounce_leaves_the_last_one(welcome: Any, url: str, tmp_path: Path) -> None:
    procqueue.connect(url)

    receipts = [welcome.using(debounce="1h").push(1, "en") for _ in range(3)]

    assert all(receipts)
    assert [message.id for message in stored(tmp_path, state=State.DELAYED)] == [receipts[2].id]


def test_a_task_may_ask_for_all_its_pushes(url: str, tmp_path: Path) -> None:
    def handler(number: int) -> None: ...

    procqueue.connect(url)
    declared = task(name="shop.once", queue="emails", unique=True, on_duplicate="raise", priority=2)(handler)
    plain = procqueue.using(queue="emails", priority=1).push("shop.x")

    first = declared.push(1)

    many = declared.push_many(declared.call(number) for number in (1, 2, 2))
    assert (many.queued, many.duplicates, many.ids[0]) == (1, 2, first.id)
    assert [message.id for message in stored(tmp_path)] == [first.id, many.ids[1], plain.id]
    with pytest.raises(Duplicate):
        declared.using(delay=5).push(1)


def test_a_closed_gate_raises_unless_the_queue_says_otherwise(welcome: Any, tmp_path: Path) -> None:
    (tmp_path / "queues.toml").write_text(
        "app = ['x']\n[queues.emails]\n[queues.quiet]\ngate_closed = 'drop'\n"
    )
    procqueue.connect(f"{tmp_path}/queues.toml")
    driver = SqliteDriver(f"{tmp_path}/run/db/queue.db")
    for queue in ("emails", "quiet"):
        driver.set_gate(queue, GateState.CLOSED)

    with pytest.raises(GateClosed, match="procqueue gate open emails"):
        welcome.push(1, "en")
    with pytest.raises(PushInterrupted) as interrupted:
        welcome.push_many([welcome.call(1, "en")])
    assert interrupted.value.done == 0 and isinstance(interrupted.value.__cause__, GateClosed)
    receipt = welcome.using(queue="quiet").push(1, "en")
    assert (receipt.outcome, bool(receipt)) == ("gate_closed", False)

    driver.set_gate("emails", GateState.DRAINING)
    with pytest.raises(GateClosed):
        welcome.push(1, "en")
    driver.set_gate("emails", GateState.OPEN)
    assert welcome.push(1, "en")
    driver.close()


def test_sync_tells_a_handler_that_what_it_pushes_runs_already() -> None:
    procqueue.connect("sync://")
    inner: list[Any] = []

    def handler(again: bool) -> None:
        if again:
            inner.append(nested.using(unique="k").push(False))

    nested = task(name="shop.nested")(handler)

    outer = nested.using(unique="k", priority=3, expires=1).push(True)

    assert outer and [(one.outcome, one.id) for one in inner] == [("duplicate", outer.id)]
    assert nested.using(unique="k").push(False)
