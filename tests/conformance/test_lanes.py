"""Law D10 over a bad network: what was answered is stored once, what was repeated too, nothing twice.

Any pushes of one producer, whose requests are lost, delivered late or refused, while a consumer handles what
comes and somebody opens and closes the gate. The producer is the real one; only its connection and its clock
are made up.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from procqueue import pushing
from procqueue.core.errors import DriverUnavailable, Full, PushUnknown
from procqueue.core.settings.model import DriverSettings, QueueSettings
from procqueue.drivers.contract import SESSION_KEPT_MS, Entry, GateState
from procqueue.drivers.lanes import REPEATABLE_SECONDS
from procqueue.tasks.call import Receipt
from tests.conformance import playing
from tests.conformance.network import FATES, Network
from tests.conformance.stores import QUEUE, Store, new_store

ONE_LANE = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))

#: A push of chunks (how many messages in each), a repeat, a consumer at work, a late request.
actions = st.one_of(
    st.tuples(st.just("push"), st.lists(st.integers(1, 2), min_size=1, max_size=8)),
    st.tuples(st.sampled_from(["repeat", "handle", "late", "gate"]), st.integers(0, 9)),
)
fates = st.sampled_from([*FATES, "answered", "answered", "answered"])

#: So a push goes on behind a chunk that was turned away.
DROPS = QueueSettings(QUEUE, gate_closed="drop")


class Clock:
    """Time that passes only where one sleeps, `pace` times as quickly."""

    def __init__(self, pace: float) -> None:
        self.now = 1000.0
        self._pace = pace

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds * self._pace


class World:
    """One producer, one consumer, one store, and what each was told."""

    def __init__(
        self, store: Store, fates: list[str] | None = None, pace: float = 1, cuts: list[bool] | None = None
    ) -> None:
        self.driver = store.open()
        self.who = playing.consumer(self.driver)
        remaining, breaks = iter(fates or ()), iter(cuts or ())
        self.network = Network(store.open(), lambda: next(remaining, "answered"), lambda: next(breaks, False))
        self.producer = pushing.Producer(DriverSettings("redis://"), {QUEUE: DROPS}, 5.0)
        self.producer._store = lambda: self.network  # type: ignore[method-assign,assignment]
        self.clock = Clock(pace)
        self.ids = (f"m{number}" for number in itertools.count())
        self.pushes: list[list[str]] = []
        self.stored: set[str] = set()
        self.not_stored: set[str] = set()
        self.unknown: list[Any] = []
        self.handled: list[str] = []

    def push(self, sizes: list[int]) -> None:
        chunks = [[Entry(next(self.ids), b"") for _ in range(size)] for size in sizes]
        ids = [entry.id for chunk in chunks for entry in chunk]
        self.pushes.append(ids)
        told: list[str] = []
        try:
            for receipts in self.producer.push(QUEUE, chunks):
                told += self._told(receipts)
        except PushUnknown as error:
            assert tuple(ids[len(told) :][: len(error.ids)]) == error.ids
            self.unknown.append(error.receipt)
            told += error.ids
        except (Full, DriverUnavailable):
            pass
        self.not_stored.update(ids[len(told) :])

    def repeat(self, which: int) -> None:
        if not self.unknown:
            return
        receipt = self.unknown[which % len(self.unknown)]
        try:
            many = receipt.repeat()
        except PushUnknown as error:
            assert error.receipt is receipt and set(error.ids) <= set(receipt.ids)
            return
        assert (many.ids, many.duplicates) == (receipt.ids, 0)
        if not many.gate_closed:  # of those that had not been sent, or that the store had forgotten
            self.stored.update(many.ids)
        self.unknown.remove(receipt)

    def handle(self, _: int = 0) -> None:
        self.handled += playing.drain(self.driver, self.who)

    def gate(self, state: int) -> None:
        """Turn the gate; it is more often open than closed."""
        self.driver.set_gate(QUEUE, GateState.CLOSED if state < 4 else GateState.OPEN)

    def late(self, connection: int) -> None:
        self.network.deliver_late(connection)

    def end(self) -> None:
        while self.network.left:
            self.late(0)
        self.handle()

    def check(self) -> None:
        times = Counter(self.handled)
        assert set(times.values()) <= {1}, "stored twice"
        assert self.stored <= set(times), "answered and not stored"
        assert not self.not_stored & set(times), "refused and stored"
        for ids in self.pushes:
            came = [id for id in self.handled if id in ids]
            assert came == [id for id in ids if id in times], "out of order"

    def _told(self, receipts: list[Receipt]) -> list[str]:
        assert all(one.outcome != "duplicate" for one in receipts), "no id was given twice"
        self.stored.update(one.id for one in receipts if one)
        self.not_stored.update(one.id for one in receipts if not one)
        return [one.id for one in receipts]


def test_d10_over_a_bad_network_everything_is_stored_once(kind: str) -> None:
    @ONE_LANE
    @given(
        st.lists(actions, min_size=1, max_size=15),
        st.lists(fates, min_size=5, max_size=40),
        st.sampled_from([0.01, 1, 100.0]),
        st.lists(st.booleans(), max_size=10),
    )
    def any_history(actions: list[tuple[str, Any]], fates: list[str], pace: float, cuts: list[bool]) -> None:
        store = new_store(kind)
        try:
            world = World(store, fates, pace, cuts)
            with patch.object(pushing, "time", world.clock):
                for action, argument in actions:
                    getattr(world, action)(argument)
                world.end()
            world.check()
        finally:
            store.close()

    any_history()


def test_d10_a_session_that_the_store_forgot_is_replaced_and_nothing_is_lost(store: Store) -> None:
    world = World(store, ["answered", "answered", "away"])
    world.push([1])
    store.age(2 * SESSION_KEPT_MS)
    world.driver.promote(QUEUE)

    with patch.object(pushing, "time", world.clock):
        world.push([1, 2, 1])

    world.end()
    world.check()
    assert len(world.handled) == 5
    [session] = world.producer._sessions._free[QUEUE]
    assert session.last == 3


def test_d10_a_store_that_went_back_in_time_gets_a_new_session(store: Store) -> None:
    world = World(store)
    world.push([1])
    [session] = world.producer._sessions._free[QUEUE]
    session.last += 7  # as if seven chunks more had been answered, which the store has lost

    world.push([1, 1])

    world.end()
    assert world.handled == ["m0", "m1", "m2"]


def test_d10_a_push_amid_a_stream_of_pushes_leaves_both_exact(store: Store) -> None:
    world = World(store)

    def chunks() -> Iterator[list[Entry]]:
        for number in range(10):
            yield [Entry(f"outer-{number}", b"")]
            for _ in world.producer.push(QUEUE, [[Entry(f"inner-{number}", b"")]]):
                pass

    told = [one.id for receipts in world.producer.push(QUEUE, chunks()) for one in receipts]

    world.end()
    assert told == [f"outer-{number}" for number in range(10)]
    assert sorted(world.handled) == sorted([*told, *(f"inner-{number}" for number in range(10))])


def test_d10_a_stream_that_is_interrupted_anywhere_leaves_no_number_for_another_chunk(store: Store) -> None:
    world = World(store)
    for stop in range(4):
        stream = world.producer.push(QUEUE, [[Entry(f"{stop}-{number}", b"")] for number in range(8)])
        for _ in range(stop):
            next(stream)
        stream.close()
        world.network.close()
    world.end()  # what was still on its way has come

    world.push([1])

    world.end()
    assert world.handled[-1] == "m0"


@pytest.mark.parametrize("chunks", [1, 3])
def test_d10_a_push_that_was_lost_for_too_long_is_not_repeated(store: Store, chunks: int) -> None:
    world = World(store, ["lost"] + ["away"] * 20, 100.0)
    with patch.object(pushing, "time", world.clock):
        world.push([1] * chunks)
        [receipt] = world.unknown
        much_later = patch("procqueue.drivers.lanes.time.monotonic", lambda: 1e9 + REPEATABLE_SECONDS)
        with much_later, pytest.raises(PushUnknown, match="too late to repeat the push exactly: 50m"):
            receipt.repeat()

    world.end()
    world.check()


def test_d10_a_chunk_that_is_refused_behind_a_repeated_one_leaves_the_push_repeatable(store: Store) -> None:
    world = World(store, ["answered", "lost", "lost", "answered", "refused"], cuts=[False, True], pace=1000)

    with patch.object(pushing, "time", world.clock):
        world.push([1, 1, 1])
        for _ in range(4):
            world.repeat(0)

    world.end()
    world.check()
    assert not world.unknown


def test_d10_what_was_on_its_way_behind_a_chunk_that_met_a_closed_gate_is_stored_once(store: Store) -> None:
    world = World(store, ["answered", "answered", "lost"])
    stream = world.producer.push(QUEUE, [[Entry(f"m{number}", b"")] for number in range(3)])
    with patch.object(pushing, "time", world.clock):
        next(stream)
        world.gate(0)
        [refused] = next(stream)
        world.gate(9)
        told = [one.id for receipts in stream for one in receipts]

    world.handle()
    world.end()
    assert (refused.outcome, told) == ("gate_closed", ["m2"])
    assert world.handled == ["m0", "m2"]
