"""`procqueue.queue(…)`: many messages are looked at and changed, those that are meant and no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

import procqueue
from procqueue.core import wire
from procqueue.core.errors import DriverError, UnknownQueue
from procqueue.core.message import State
from procqueue.core.record import Record
from procqueue.core.verdict import Settlement
from procqueue.drivers.contract import Driver, Entry, Pushed
from procqueue.stored.groups import MAX_GROUPS, OTHERS
from procqueue.stored.queue import Queue
from tests.conformance import playing
from tests.conformance.playing import bring_to, consumer, push, settle, take
from tests.conformance.stores import QUEUE, Store


def fail(driver: Driver, who: str, *bodies: bytes, error: str = "ValueError: no", prefix: str = "m") -> None:
    """Have messages fail, each with a record of the error."""
    for start in range(0, len(bodies), 100):
        some = bodies[start : start + 100]
        driver.push(QUEUE, [Entry(f"{prefix}{start + n}", body) for n, body in enumerate(some)])
        held = take(driver, who, 100)
        record = Record(1, 0.1, who, 1, "raised", error)
        texts = [Record.encode(record) for _ in held]
        driver.turn(
            QUEUE, who,
            [Settlement(m.id, m.ticket, playing.FAIL, text) for m, text in zip(held, texts, strict=True)], 0,
        )  # fmt: skip


def bodies(count: int, task: str = "app.bad") -> list[bytes]:
    return [wire.encode(task, [number], {"even": number % 2 == 0}) for number in range(count)]


def test_retry_takes_what_filters_mean_and_leaves_the_rest(driver: Driver, queue: Queue) -> None:
    who = consumer(driver)
    fail(driver, who, *bodies(250))
    fail(driver, who, *bodies(10, "app.other"), prefix="other")

    assert queue.retry(task="app.bad", args={"even": True}, dry_run=True).count == 125
    assert queue.counts().failed == 260
    assert queue.retry(task="app.bad", args={"even": True}, limit=20).count == 20
    assert queue.retry(task="app.bad", args={"even": "true"}).count == 105
    assert queue.retry(error="nobody said this").count == 0
    assert queue.counts().waiting == 125
    assert {one.args and one.args[0] % 2 for one in queue.messages("waiting")} == {0}


def test_a_message_that_fails_again_at_once_is_retried_once(driver: Driver, queue: Queue) -> None:
    who = consumer(driver)
    fail(driver, who, *bodies(250))
    heard: list[int] = []

    def fail_again(done: int) -> None:
        heard.append(done)
        assert sum(heard) <= 250, "a message was retried twice"
        while held := take(driver, who, 100):
            settle(driver, who, held, playing.FAIL)

    assert queue.retry(note=fail_again).count == 250
    assert sum(heard) == 250 and max(heard) <= 100
    assert queue.counts().failed == 250


def test_forget_takes_what_filters_mean_out_of_every_state(driver: Driver, queue: Queue) -> None:
    who = consumer(driver)
    fail(driver, who, *bodies(120), *bodies(80, "app.other"))
    some = [Entry(f"w{number}", body) for number, body in enumerate(bodies(60) + bodies(40, "app.other"))]
    driver.push(QUEUE, some)
    driver.push(QUEUE, [Entry("later", bodies(1)[0], delay_ms=playing.DAY_MS)])

    assert queue.forget(task="app.bad", dry_run=True).count == 181
    assert queue.forget(task="app.bad", limit=70).count == 70
    assert queue.forget(task="app.bad").count == 111
    counts = queue.counts()
    assert (counts.waiting, counts.failed, counts.delayed) == (40, 80, 0)


def test_forget_of_all_wants_to_be_told_so(driver: Driver, queue: Queue) -> None:
    push(driver, *(f"m{number}" for number in range(50)))

    with pytest.raises(ValueError, match="everything=True"):
        queue.forget()
    assert queue.forget(dry_run=True).count == 50
    assert queue.forget(everything=True).count == 50


def test_what_waits_is_old_by_its_push_and_what_failed_by_its_end(driver: Driver, queue: Queue) -> None:
    push(driver, "m")
    who = consumer(driver)
    deadline = time.monotonic() + playing.DEADLINE
    while not list(queue.messages(older_than=0.05)):
        assert time.monotonic() < deadline
    settle(driver, who, take(driver, who, 1), playing.FAIL)
    ended = queue.message("m")
    assert ended is not None and ended.ended_at is not None and ended.ended_at > ended.pushed_at

    assert queue.forget(older_than="1h").count == 0
    while not queue.forget(older_than=0.05).count:
        assert time.monotonic() < deadline


def test_ids_that_are_not_meant_are_told_with_where_they_stand(driver: Driver, queue: Queue) -> None:
    bring_to(driver, State.FAILED, "f")
    bring_to(driver, State.RESERVED, "r")
    bring_to(driver, State.WAITING, "w")

    changed = queue.retry("f", "w", "nobody", "f")
    assert (changed.count, dict(changed.missing)) == (1, {"w": "waiting", "nobody": None})
    gone = queue.forget("w", "r", "f", state="waiting")
    assert (gone.count, dict(gone.missing)) == (2, {"r": "reserved"})


def test_a_rate_is_kept(driver: Driver, queue: Queue) -> None:
    fail(driver, consumer(driver), *bodies(21))

    began = time.monotonic()
    assert queue.retry(rate="100/s").count == 21

    assert time.monotonic() - began >= 0.19


def test_failures_come_in_groups(driver: Driver, queue: Queue) -> None:
    who = consumer(driver)
    for number in range(3):
        fail(driver, who, *bodies(1), error=f"KeyError: user {number}", prefix=f"key{number}-")
    fail(driver, who, *bodies(2), error="OSError: timed out", prefix="io")

    found = queue.groups()

    assert [(one.task, one.error, one.count) for one in found] == [
        ("app.bad", "KeyError: user #", 3), ("app.bad", "OSError: timed out", 2),
    ]  # fmt: skip
    assert found[0].example.startswith("key") and found[0].first_ms <= found[0].last_ms
    assert [one.count for one in queue.groups(error="timed")] == [2]


def test_the_number_of_groups_is_bounded(driver: Driver, queue: Queue) -> None:
    who = consumer(driver)
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    tasks = [f"app.{one}{two}{three}" for one in alphabet for two in alphabet for three in "ab"]
    fail(driver, who, *(wire.encode(task) for task in tasks[: MAX_GROUPS + 100]))

    found = queue.groups()

    assert len(found) == MAX_GROUPS + 1
    assert (found[0].error, found[0].count) == (OTHERS, 100)


WRONG: list[dict[str, Any]] = [
    {"state": "odd"}, {"state": "reserved"}, {"limit": 0}, {"limit": -1}, {"limit": 10**12}, {"limit": 1.5},
    {"limit": True}, {"rate": 0}, {"rate": "-1/s"}, {"rate": "fast"}, {"rate": float("nan")},
    {"older_than": -1},
    {"older_than": "soon"}, {"older_than": 0}, {"task": ""}, {"error": ""}, {"task": 7},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    driver: Driver, queue: Queue, wrong: dict[str, Any]
) -> None:
    bring_to(driver, State.FAILED, "f")

    for verb in (queue.retry, queue.forget):
        with pytest.raises((ValueError, TypeError)):
            verb(**wrong)
    assert queue.counts().failed == 1


def test_ids_and_filters_together_are_refused(queue: Queue) -> None:
    for verb in (queue.retry, queue.forget):
        for filters in ({"task": "t"}, {"limit": 1}, {"rate": 5}, {"dry_run": True}):
            with pytest.raises(ValueError, match="not both"):
                verb("m", **filters)


def test_messages_can_be_left_out_at_the_beginning(driver: Driver, queue: Queue) -> None:
    bring_to(driver, State.FAILED, "f0", "f1", "f2")
    for start in (0, 75):
        push(driver, *(f"w{number}" for number in range(start, start + 75)))

    assert [one.id for one in queue.messages(skip=148)][:2] == ["w148", "w149"]
    assert [one.state for one in queue.messages(skip=151)] == ["failed"] * 2
    assert list(queue.messages(skip=200)) == []
    assert len(list(queue.messages(limit=7))) == 7


def test_a_queue_is_paused_and_resumed(queue: Queue) -> None:
    assert queue.paused() is None
    pause = queue.pause("1h")
    assert pause.until is not None and round((pause.until - pause.since).total_seconds()) == 3600
    assert queue.paused() == pause
    assert queue.resume() and not queue.resume()
    with pytest.raises(ValueError, match="no time"):
        queue.pause(0)


@pytest.fixture
def connected(tmp_path: Any) -> Iterator[Queue]:
    procqueue.connect(f"sqlite:///{tmp_path}/db/queue.db")
    yield procqueue.queue("emails")
    procqueue.close()


def test_the_door_uses_the_connection_of_pushes(connected: Queue) -> None:
    receipt = procqueue.using(queue="emails").push("app.welcome", 42, lang="fr")

    one = connected.message(receipt.id)
    assert one is not None
    assert (one.task, one.args, one.kwargs, one.state) == ("app.welcome", [42], {"lang": "fr"}, "waiting")
    assert connected.oldest() is not None
    assert connected.message("nobody") is None


def test_each_has_a_twin_for_the_event_loop(connected: Queue) -> None:
    ids = {procqueue.using(queue="emails").push("app.welcome", number).id for number in range(3)}

    async def look() -> None:
        assert (await connected.acounts()).waiting == 3
        assert {one.id async for one in connected.amessages("waiting")} == ids
        assert await connected.aoldest() is not None
        assert await connected.amessage("nobody") is None
        assert await connected.agroups("waiting")
        assert (await connected.aretry()).count == 0
        await connected.apause()
        assert await connected.apaused() is not None
        assert await connected.aresume()
        assert (await connected.aforget(everything=True)).count == 3

    asyncio.run(look())
    twins = {name[1:] for name in dir(Queue) if name.startswith("a")}
    assert twins == {name for name in vars(Queue) if not name.startswith(("_", "a"))} - {"gate"}


def test_an_unknown_queue_and_sync_are_refused(tmp_path: Any) -> None:
    (tmp_path / "procqueue.toml").write_text('app = ["app"]\n[queues.emails]\n')
    procqueue.connect(str(tmp_path / "procqueue.toml"))
    with pytest.raises(UnknownQueue, match="emails"):
        procqueue.queue("emial")
    procqueue.close()
    procqueue.connect("sync://")
    with pytest.raises(DriverError, match="nothing is stored"):
        procqueue.queue("emails").counts()
    procqueue.close()


def test_a_store_may_be_large(store: Store) -> None:
    """Not a measurement: a walk holds a page, and so sees the end of what is longer than any page."""
    driver = store.open()
    push(driver, *(f"m{number}" for number in range(100)))
    for start in range(100, 1000, 100):
        push(driver, *(f"m{number}" for number in range(start, start + 100)))

    assert [one.id for one in Queue(QUEUE, driver).messages("waiting")] == [
        f"m{number}" for number in range(1000)
    ]


def test_the_gate_is_looked_at_and_turned(driver: Driver, queue: Queue) -> None:
    assert (queue.gate.state, queue.gate.stands().since) == ("open", None)

    closed = queue.gate.close()

    assert closed == queue.gate.stands() and closed.state == "closed" and closed.since is not None
    assert driver.push(QUEUE, [Entry("a", b"a")]) == [Pushed.GATE_CLOSED]
    assert asyncio.run(queue.gate.aopen()).state == "open" == asyncio.run(queue.gate.astands()).state
    assert asyncio.run(queue.gate.aclose()).state == "closed"


def test_cancel_takes_what_may_still_run_and_names_what_it_leaves(driver: Driver, queue: Queue) -> None:
    bring_to(driver, State.FAILED, "failed")
    bring_to(driver, State.DELAYED, "later")
    push(driver, "running", "waiting", "left")
    [running] = take(driver, consumer(driver, "another"))

    done = queue.cancel("waiting", "later", running.id, "failed", "nobody")

    assert (done.removed, done.cancelling) == (("waiting", "later"), (running.id,))
    assert done.missing == {"failed": "failed", "nobody": None}
    assert asyncio.run(queue.acancel(everything=True)).removed == ("left",)
    for wrong in ({}, {"everything": True}):
        with pytest.raises(ValueError, match="wants ids, or everything=True"):
            queue.cancel(*(["id"] if wrong else []), **wrong)
