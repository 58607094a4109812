"""The producers' switch: nothing is stored while it is closed, and a refused chunk leaves its number."""

from __future__ import annotations

import pytest

from procqueue.core.errors import Gap
from procqueue.core.message import State
from procqueue.drivers.contract import Driver, Entry, Gate, GateState, Lane, Pushed, TakenIn
from tests.conformance import playing
from tests.conformance.playing import consumer, push, push_in, states, take
from tests.conformance.stores import QUEUE, Store

REFUSED = Pushed.GATE_CLOSED


def test_a_gate_that_nobody_touched_is_open(driver: Driver) -> None:
    assert driver.gate(QUEUE) == Gate(GateState.OPEN, None)
    assert driver.set_gate(QUEUE, GateState.OPEN) == Gate(GateState.OPEN, None)


def test_a_closed_gate_lets_nothing_in_and_takes_nothing_away(driver: Driver) -> None:
    push(driver, "before")
    playing.bring_to(driver, State.DELAYED, "later")

    driver.set_gate(QUEUE, GateState.CLOSED)

    assert push(driver, "a", "b") == [REFUSED, REFUSED]
    assert driver.push(QUEUE, [Entry("c", b"c")], inside=True) == [REFUSED]
    assert driver.push(QUEUE, []) == []
    assert states(driver) == {"before": State.WAITING, "later": State.DELAYED}
    assert driver.push("another", [Entry("a", b"a")]) == [Pushed.QUEUED]
    assert playing.drain(driver, consumer(driver)) == ["before"]

    driver.set_gate(QUEUE, GateState.OPEN)

    assert push(driver, "a") == [Pushed.QUEUED]


def test_a_draining_gate_lets_handlers_push(driver: Driver) -> None:
    driver.set_gate(QUEUE, GateState.DRAINING)

    assert push(driver, "a") == [REFUSED]
    assert driver.push(QUEUE, [Entry("b", b"b")], inside=True) == [Pushed.QUEUED]
    assert states(driver) == {"b": State.WAITING}


def test_a_gate_keeps_its_beginning(driver: Driver) -> None:
    closed = driver.set_gate(QUEUE, GateState.CLOSED)

    assert closed.since_ms is not None
    assert driver.set_gate(QUEUE, GateState.CLOSED) == closed
    assert driver.gate(QUEUE) == closed
    opened = driver.set_gate(QUEUE, GateState.OPEN)
    assert opened.state is GateState.OPEN and opened.since_ms is not None
    assert opened.since_ms >= closed.since_ms


def test_what_is_stored_is_settled_retried_and_promoted_behind_a_closed_gate(driver: Driver) -> None:
    playing.bring_to(driver, State.FAILED, "failed")
    push(driver, "held")
    (held,) = take(driver, consumer(driver))
    push(driver, "soon", delay_ms=1)
    driver.set_gate(QUEUE, GateState.CLOSED)

    playing.settle(driver, "emails:0", [held], playing.RELEASE)
    playing.wait_due(driver)

    assert driver.retry(QUEUE, State.FAILED, ["failed"]) == ["failed"]
    assert states(driver) == dict.fromkeys(("held", "soon", "failed"), State.WAITING)


def test_d10_a_refused_chunk_leaves_its_number_to_the_next(driver: Driver) -> None:
    push_in(driver, "s", 1, "a")
    driver.set_gate(QUEUE, GateState.CLOSED)

    assert push_in(driver, "s", 2, "b") == [REFUSED]
    with pytest.raises(Gap):
        push_in(driver, "s", 3, "c")
    driver.set_gate(QUEUE, GateState.OPEN)
    with pytest.raises(Gap):
        push_in(driver, "s", 3, "c")

    assert push_in(driver, "s", 2, "c") == [Pushed.QUEUED]
    assert states(driver) == {"a": State.WAITING, "c": State.WAITING}


def test_d10_a_repeat_of_what_was_stored_before_the_gate_was_closed_is_told_so(driver: Driver) -> None:
    push(driver, "b")
    push_in(driver, "s", 1, "a", "b")
    driver.set_gate(QUEUE, GateState.CLOSED)

    assert push_in(driver, "s", 1, "a", "b") == [Pushed.STORED_ALREADY, Pushed.DUPLICATE]


def test_the_first_chunk_of_a_session_is_refused_without_a_trace(driver: Driver) -> None:
    driver.set_gate(QUEUE, GateState.CLOSED)
    assert push_in(driver, "s", 1, "a") == [REFUSED]
    driver.set_gate(QUEUE, GateState.OPEN)

    assert driver.push(QUEUE, [Entry("b", b"b")], Lane("s", 1)) == [Pushed.QUEUED]


def test_documents_stay_in_the_inbox_while_the_gate_is_closed(store: Store) -> None:
    driver = store.open()
    store.drop(b"doc")
    driver.set_gate(QUEUE, GateState.CLOSED)

    def decode(raw: bytes) -> TakenIn:
        return TakenIn(raw, Entry("foreign", raw))

    assert driver.take_inbox(QUEUE, decode) == []
    assert driver.counts(QUEUE).inbox == 1
    driver.set_gate(QUEUE, GateState.DRAINING)  # else a drain would never end
    assert [answer for _, answer in driver.take_inbox(QUEUE, decode)] == [Pushed.QUEUED]
    assert states(driver) == {"foreign": State.WAITING}


def test_a_gate_that_is_closed_between_the_look_and_the_taking_leaves_the_document(store: Store) -> None:
    driver, other = store.open(), store.open()
    store.drop(b"doc")

    def decode(raw: bytes) -> TakenIn:
        other.set_gate(QUEUE, GateState.CLOSED)
        return TakenIn(raw, Entry("foreign", raw))

    assert driver.take_inbox(QUEUE, decode) == []
    assert driver.counts(QUEUE).inbox == 1


def test_a_gate_is_turned_only_from_where_it_stands(driver: Driver) -> None:
    assert driver.turn_gate(QUEUE, GateState.OPEN, GateState.DRAINING)
    draining = driver.gate(QUEUE)

    assert not driver.turn_gate(QUEUE, GateState.OPEN, GateState.DRAINING)  # a second one is told so
    assert not driver.turn_gate(QUEUE, GateState.CLOSED, GateState.OPEN)

    assert driver.gate(QUEUE) == draining and draining.state is GateState.DRAINING
    assert driver.turn_gate(QUEUE, GateState.DRAINING, GateState.CLOSED)
    assert driver.gate(QUEUE).state is GateState.CLOSED
