"""Any order of verbs keeps the store as a dictionary says: laws D1–D5, D7, D8, D13, D15 together.

Two consumers, a scheduler and a producer, each on a connection of its own, do random things; after each
step everything that is stored is read and compared with the model. The order among messages that came back
to the head is the driver's affair (by their places, or by who came back last); all other order is fixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from procqueue.core.errors import Gone
from procqueue.core.message import TRANSITIONS, Charge, Counters, Reservation, State
from procqueue.core.record import notice_id
from procqueue.core.verdict import CHARGES, Kind, Settlement, Verdict
from procqueue.drivers.contract import Driver, Entry, Pushed
from tests.conformance import playing
from tests.conformance.playing import DAY_MS, HOST
from tests.conformance.stores import QUEUE, new_store

ENDED = [State.FAILED, State.TIMEOUT]
IDS = [f"m{number}" for number in range(8)]
STEPS = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

verdicts = st.builds(
    Verdict, st.sampled_from(Kind), st.sampled_from(CHARGES), st.sampled_from([0, DAY_MS])
).map(lambda one: one if one.kind is Kind.RELEASE else Verdict(one.kind, one.charge))
who = st.sampled_from([0, 1])
some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4)


@dataclass(slots=True)
class Kept:
    """What the model knows of one message or notice."""

    body: bytes
    pushed: int  # which push of all it was
    state: State | None  # None: a notice
    counters: Counters = field(default_factory=Counters)
    history: tuple[bytes, ...] = ()
    owner: str = ""
    ticket: int = 0


class Verbs(RuleBasedStateMachine):
    """The actors, and the model of what they should have done."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.store = new_store(self.kind)
        self.consumers: list[Driver] = [self.store.open(), self.store.open()]
        self.producer, self.scheduler = self.store.open(), self.store.open()
        self.names = ["", ""]
        self.generation = 0
        self.held: list[list[Reservation]] = [[], []]  # as each consumer believes
        self.past: list[Reservation] = []  # settled or lost: late settlements are made of these
        self.kept: dict[str, Kept] = {}
        self.heads: set[str] = set()  # waiting again at the head
        self.tail: list[str] = []  # waiting behind them, in order
        self.pushes = 0
        self.last_ticket = 0

    def teardown(self) -> None:
        self.store.close()

    @initialize()
    def start(self) -> None:
        for number in (0, 1):
            self._register(number)

    # what the actors do

    @rule(ids=some_ids, delay_ms=st.sampled_from([0, DAY_MS]))
    def push(self, ids: list[str], delay_ms: int) -> None:
        entries = [Entry(id, b"%d of %s" % (self.pushes, id.encode()), delay_ms) for id in ids]
        expected = []
        for entry in entries:
            expected.append(Pushed.DUPLICATE if entry.id in self.kept else Pushed.QUEUED)
            if entry.id not in self.kept:
                self._new(entry, State.DELAYED if delay_ms else State.WAITING)

        assert self.producer.push(QUEUE, entries) == expected

    @rule(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True))
    def push_and_wait_until_due(self, ids: list[str]) -> None:
        new = [id for id in ids if id not in self.kept]
        at_ms = self.consumers[0].turn(QUEUE, self.names[0], (), 0).now_ms + 3
        entries = [Entry(id, b"soon", at_ms=at_ms) for id in ids]
        for entry in entries:
            if entry.id in new:
                self._new(entry, State.WAITING)

        self.producer.push(QUEUE, entries)
        playing.wait_due(self.scheduler)

    @rule(number=who, count=st.integers(1, 5))
    def take(self, number: int, count: int) -> None:
        self._turn(number, [], [], count)

    @precondition(lambda self: any(self.held))
    @rule(data=st.data())
    def settle_all(self, data: st.DataObject) -> None:
        for number, held in enumerate(self.held):
            self._turn(number, *self._draw_settlements(data, list(held), everything=True), 0)

    @rule(number=who, data=st.data(), count=st.integers(0, 3))
    def turn(self, number: int, data: st.DataObject, count: int) -> None:
        self._turn(number, *self._draw_settlements(data, self.held[number] + self.past[-3:]), count)

    def _turn(
        self, number: int, chosen: list[Reservation], settlements: list[Settlement], count: int
    ) -> None:
        refused = sorted(one.ticket for one in chosen if not self._owns(number, one))
        self._settle(number, chosen, settlements)
        expected = self._head(count)

        turn = self.consumers[number].turn(QUEUE, self.names[number], settlements, count)

        assert sorted(turn.refused) == refused
        self._check_taken(number, turn.taken, expected)
        assert turn.owned == len(self._owned(number))

    @rule(number=who, data=st.data())
    def compare(self, number: int, data: st.DataObject) -> None:
        owned = self._owned(number)
        kept = data.draw(st.lists(st.sampled_from(owned), unique=True)) if owned else []
        lost = [one.ticket for one in self.past[-2:] if not self._owns(number, one)]
        held = [self.kept[id].ticket for id in kept]
        self._return(id for id in owned if id not in kept)

        compared = self.consumers[number].compare(QUEUE, self.names[number], [*held, *lost])

        assert (compared.returned, compared.lost) == (len(owned) - len(kept), tuple(lost))

    @rule(number=who, data=st.data())
    def die(self, number: int, data: st.DataObject) -> None:
        name, count = self.names[number], len(self._owned(number))
        chosen, settlements = self._draw_settlements(data, self.held[number])
        chosen.sort(key=lambda one: one.ticket)  # as the scheduler was told by `owned`
        settlements.sort(key=lambda one: one.ticket)
        self._settle(number, chosen, settlements)
        self._return(self._owned(number))

        assert self.scheduler.reclaim(QUEUE, name, settlements) == count
        assert self.scheduler.reclaim(QUEUE, name, settlements) == 0

        with pytest.raises(Gone):
            self.consumers[number].turn(QUEUE, name, settlements, 3)
        self._register(number)

    @rule(number=who)
    def leave(self, number: int) -> None:
        self._return(self._owned(number))

        self.consumers[number].leave(QUEUE, self.names[number])

        self._register(number)

    @precondition(lambda self: any(one.state in ENDED for one in self.kept.values()))
    @rule(ids=some_ids, state=st.sampled_from(ENDED))
    def retry(self, ids: list[str], state: State) -> None:
        found = [id for id in dict.fromkeys(ids) if id in self.kept and self.kept[id].state is state]
        for id in found:
            self.kept[id].counters = Counters()
            self._stand(id, State.WAITING)

        assert self.scheduler.retry(QUEUE, state, ids) == found

    @precondition(lambda self: len(self.kept) > 6)
    @rule(ids=some_ids)
    def forget(self, ids: list[str]) -> None:
        expected = {id: self.kept[id].state if id in self.kept else None for id in ids}
        for id, state in expected.items():
            if state not in (None, State.RESERVED):
                self._stand(id, None)

        assert self.scheduler.forget(QUEUE, ids) == expected

    @precondition(lambda self: len(self.kept) > 6)
    @rule(state=st.sampled_from([state for state in State if state is not State.RESERVED]))
    def clear(self, state: State) -> None:
        ids = [id for id, one in self.kept.items() if one.state is state]
        for id in ids:
            self._stand(id, None)

        assert self.scheduler.clear(QUEUE, state) == len(ids)

    # what must hold after each step

    @invariant()
    def everything_is_stored_as_it_should_be(self) -> None:
        for state in State:
            listed = self.scheduler.messages(QUEUE, state, 0, 1000)
            expected = {id: one for id, one in self.kept.items() if one.state is state}
            assert sorted(one.id for one in listed) == sorted(expected), state
            for one in listed:
                kept = expected[one.id]
                assert (one.body, one.counters, one.history) == (kept.body, kept.counters, kept.history)
                assert (one.due_ms is not None) == (state is State.DELAYED)
            if state is State.DELAYED:
                order = [(one.due_ms, expected[one.id].pushed) for one in listed]
                assert order == sorted(order)
            if state is State.WAITING:
                self._check_order([one.id for one in listed])

    @invariant()
    def the_counts_agree(self) -> None:
        counts = self.scheduler.counts(QUEUE)
        for state in State:
            assert getattr(counts, state.value) == sum(one.state is state for one in self.kept.values())
        assert counts.notices == sum(one.state is None for one in self.kept.values())

    @invariant()
    def everyone_owns_what_they_should(self) -> None:
        for number in (0, 1) if all(self.names) else ():
            owned = self.scheduler.owned(QUEUE, self.names[number])
            assert [one.id for one in owned] == self._owned(number)
            for one in owned:
                assert (one.ticket, one.counters) == (self.kept[one.id].ticket, self.kept[one.id].counters)

    # the model

    def _register(self, number: int) -> None:
        self.past += self.held[number]
        self.held[number] = []
        self.generation += 1
        self.names[number] = f"emails:{number}.{self.generation}"
        self.consumers[number].register(QUEUE, self.names[number], HOST)

    def _new(self, entry: Entry, state: State) -> None:
        self.pushes += 1
        self.kept[entry.id] = Kept(entry.body, self.pushes, state)
        if state is State.WAITING:
            self.tail.append(entry.id)

    def _owns(self, number: int, one: Reservation) -> bool:
        kept = self.kept.get(one.id)
        return kept is not None and (kept.owner, kept.ticket) == (self.names[number], one.ticket)

    def _owned(self, number: int) -> list[str]:
        owned = [id for id, one in self.kept.items() if one.owner == self.names[number]]
        return sorted(owned, key=lambda id: self.kept[id].ticket)

    def _draw_settlements(
        self, data: st.DataObject, among: Sequence[Reservation], *, everything: bool = False
    ) -> tuple[list[Reservation], list[Settlement]]:
        unique = list({one.ticket: one for one in among}.values())
        some = st.permutations(unique) if everything else st.lists(st.sampled_from(unique), unique=True)
        chosen = data.draw(some) if unique else []
        settlements = []
        for one in chosen:
            verdict = data.draw(verdicts)
            record = data.draw(st.sampled_from([b"", b'{"ticket":%d}' % one.ticket]))
            owes = verdict.is_final and not one.is_notice and data.draw(st.booleans())
            settlements.append(
                Settlement(one.id, one.ticket, verdict, record, playing.header(one.id) if owes else b"")
            )
        return chosen, settlements

    def _settle(self, number: int, chosen: list[Reservation], settlements: list[Settlement]) -> None:
        for one, settlement in zip(chosen, settlements, strict=True):
            if one in self.held[number]:
                self.held[number].remove(one)
                self.past.append(one)
            if not self._owns(number, one):
                continue
            kept, verdict = self.kept[one.id], settlement.verdict
            if settlement.owes:
                body = settlement.owes + b"\n" + kept.body
                self.kept[notice_id(one.id, one.ticket)] = Kept(body, 0, None)
            if verdict.charge is not Charge.NONE:
                kept.counters = kept.counters.charged(verdict.charge)
            kept.history += (settlement.record,) if settlement.record else ()
            if one.is_notice:
                if verdict.kind is Kind.ACK or verdict.is_final:
                    del self.kept[one.id]
                kept.owner = ""
            elif verdict.kind is Kind.RETURN:
                self._return([one.id])
            else:
                self._stand(one.id, TRANSITIONS[State.RESERVED, verdict.change])

    def _stand(self, id: str, state: State | None) -> None:
        kept = self.kept[id]
        self.heads.discard(id)
        self.tail = [other for other in self.tail if other != id]
        kept.state, kept.owner = state, ""
        if state is None:
            del self.kept[id]
        elif state is State.WAITING:
            self.tail.append(id)

    def _return(self, ids: Iterable[str]) -> None:
        for id in ids:
            kept = self.kept[id]
            kept.owner = ""
            if kept.state is not None:
                kept.state = State.WAITING
                self.heads.add(id)

    def _head(self, count: int) -> tuple[set[str], set[str], list[str], int]:
        notices = {id for id, one in self.kept.items() if one.state is None and not one.owner}
        return notices, set(self.heads), list(self.tail), count

    def _check_taken(
        self,
        number: int,
        taken: tuple[Reservation, ...],
        expected: tuple[set[str], set[str], list[str], int],
    ) -> None:
        notices, heads, tail, count = expected
        ids = [one.id for one in taken]
        assert len(ids) == min(count, len(notices) + len(heads) + len(tail))
        first = ids[: len(notices)]
        second = ids[len(notices) :][: len(heads)]
        third = ids[len(notices) + len(heads) :]
        assert set(first) <= notices and set(second) <= heads and third == tail[: len(third)]
        for one in taken:
            kept = self.kept[one.id]
            assert (one.queue, one.body, one.counters) == (QUEUE, kept.body, kept.counters)
            assert one.ticket > self.last_ticket
            self.last_ticket = kept.ticket = one.ticket
            kept.owner = self.names[number]
            if kept.state is not None:
                kept.state = State.RESERVED
            self.held[number].append(one)
        self.heads -= set(ids)
        self.tail = [id for id in self.tail if id not in ids]

    def _check_order(self, waiting: list[str]) -> None:
        assert set(waiting[: len(self.heads)]) == self.heads
        assert waiting[len(self.heads) :] == self.tail


def test_any_order_of_verbs_keeps_the_store_as_the_model_says(kind: str) -> None:
    machine = type("Verbs", (Verbs,), {"kind": kind})

    run_state_machine_as_test(machine, settings=STEPS)
