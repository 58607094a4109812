"""Short words for what conformance tests do again and again with a driver."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence

from procqueue.core.message import Charge, Reservation, State
from procqueue.core.record import NoticeHeader
from procqueue.core.verdict import ACK, Kind, Settlement, Verdict
from procqueue.drivers.contract import Driver, Entry, Lane, Pushed
from tests.conformance.stores import QUEUE

HOST = "host-1"
DAY_MS = 24 * 3600 * 1000
DEADLINE = 20.0  # seconds; only a failure takes that long

FAIL = Verdict(Kind.FAIL, Charge.ATTEMPT)
PARK = Verdict(Kind.PARK, Charge.ATTEMPT)
RELEASE = Verdict(Kind.RELEASE, Charge.RELEASE)
RELEASE_LATER = Verdict(Kind.RELEASE, Charge.RELEASE, DAY_MS)


def push(driver: Driver, *ids: str, delay_ms: int = 0, at_ms: int | None = None) -> list[Pushed]:
    """Push one message for each id; its body tells which it is."""
    return driver.push(QUEUE, [Entry(id, body_of(id), delay_ms, at_ms) for id in ids])


def push_in(driver: Driver, session: str, number: int, *ids: str) -> list[Pushed]:
    """Push one message for each id, as one chunk of a session."""
    return driver.push(QUEUE, [Entry(id, body_of(id)) for id in ids], Lane(session, number))


def body_of(id: str) -> bytes:
    return b"body of " + id.encode()


def consumer(driver: Driver, name: str = "emails:0") -> str:
    driver.register(QUEUE, name, HOST)
    return name


def take(driver: Driver, who: str, count: int = 1) -> tuple[Reservation, ...]:
    """Reserve without settling."""
    return driver.turn(QUEUE, who, (), count).taken


def verdicts(held: Sequence[Reservation], verdict: Verdict = ACK) -> list[Settlement]:
    return [Settlement(one.id, one.ticket, verdict) for one in held]


def settle(driver: Driver, who: str, held: Sequence[Reservation], verdict: Verdict = ACK) -> tuple[int, ...]:
    """Settle without reserving; return the tickets refused."""
    return driver.turn(QUEUE, who, verdicts(held, verdict), 0).refused


def bring_to(driver: Driver, state: State, *ids: str) -> tuple[Reservation, ...]:
    """Push messages and lead them into `state`; the queue must be empty, and a reserved one has an owner."""
    push(driver, *ids, delay_ms=DAY_MS if state is State.DELAYED else 0)
    if state in (State.WAITING, State.DELAYED):
        return ()
    who = consumer(driver, "leads")
    held = take(driver, who, len(ids))
    if state is not State.RESERVED:
        settle(driver, who, held, FAIL if state is State.FAILED else PARK)
    return held


def ids_of(driver: Driver, state: State) -> list[str]:
    return [one.id for one in driver.messages(QUEUE, state, 0, 10_000)]


def states(driver: Driver) -> dict[str, State]:
    """Return where every message stands. Asserts law D3: none stands twice, and the counts agree."""
    listed = {state: ids_of(driver, state) for state in State}
    everywhere = [id for ids in listed.values() for id in ids]
    assert len(set(everywhere)) == len(everywhere), f"in two states at once: {listed}"
    counts = driver.counts(QUEUE)
    assert {state: getattr(counts, state.value) for state in State} == {s: len(i) for s, i in listed.items()}
    return {id: state for state, ids in listed.items() for id in ids}


def drain(driver: Driver, who: str) -> list[str]:
    """Take and ack everything that waits; return the ids in the order they came."""
    came: list[str] = []
    while held := take(driver, who, 100):
        came += [one.id for one in held]
        settle(driver, who, held)
    return came


def wait_due(driver: Driver) -> None:
    """Promote until nothing is due within ten seconds."""
    deadline = time.monotonic() + DEADLINE
    while (next_in := driver.promote(QUEUE).next_in_ms) is not None and next_in < 10_000:
        assert time.monotonic() < deadline, "due messages do not become waiting"
        select.select([], [], [], next_in / 1000)


def header(id: str, outcome: str = "crashed") -> bytes:
    """Return the header of an owed notice."""
    return NoticeHeader(id, QUEUE, outcome, "it broke", "0 1 0 0 0", 1, "emails:0").encode()
