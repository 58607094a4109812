"""Pages: the next one comes behind the last, whatever came and went in between."""

from __future__ import annotations

from itertools import chain

import pytest

from procqueue.core.message import State
from procqueue.core.traits import Traits
from procqueue.drivers.contract import MAX_BYTES, Driver, Entry
from tests.conformance import playing
from tests.conformance.playing import bring_to, consumer, push, settle, take
from tests.conformance.stores import QUEUE

KEPT = [state for state in State if state is not State.RESERVED]


def ids(driver: Driver, state: State, after: str = "", limit: int = 3) -> tuple[list[str], str]:
    page = driver.page(QUEUE, state, after, limit)
    return [one.id for one in page.messages], page.next


@pytest.mark.parametrize("state", list(State))
def test_pages_follow_one_another_to_the_end(driver: Driver, state: State) -> None:
    bring_to(driver, state, *(f"m{number}" for number in range(7)))

    pages, after = [], ""
    while True:
        found, after = ids(driver, state, after)
        pages.append(found)
        if not after:
            break

    assert [len(page) for page in pages] == [3, 3, 1]
    seen = list(chain.from_iterable(pages))
    assert sorted(seen) == [f"m{number}" for number in range(7)]
    assert seen == [one.id for one in driver.messages(QUEUE, state, 0, 9)]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_follow_the_priorities(driver: Driver, limit: int) -> None:
    ranks = (0, 5, -5, 0, 9, -1, 0, 5)
    entries = [Entry(f"m{n}", b"x", traits=Traits(priority=rank)) for n, rank in enumerate(ranks)]
    driver.push(QUEUE, entries)

    seen, after = ids(driver, State.WAITING, limit=limit)
    while after:
        found, after = ids(driver, State.WAITING, after, limit)
        seen += found

    assert seen == ["m4", "m1", "m7", "m0", "m3", "m6", "m5", "m2"]


@pytest.mark.parametrize("state", KEPT)
def test_a_page_goes_on_behind_what_was_removed(driver: Driver, state: State) -> None:
    bring_to(driver, state, *(f"m{number}" for number in range(8)))
    whole = [one.id for one in driver.messages(QUEUE, state, 0, 9)]
    _, after = ids(driver, state)

    driver.forget(QUEUE, whole[:2] if state is State.WAITING else whole[:3])

    assert ids(driver, state, after)[0] == whole[3:6]


def test_a_page_goes_on_behind_what_was_handled(driver: Driver) -> None:
    push(driver, *(f"m{number}" for number in range(8)))
    _, after = ids(driver, State.WAITING)
    who = consumer(driver)
    settle(driver, who, take(driver, who, 5), playing.ACK)

    assert ids(driver, State.WAITING, after)[0] == ["m5", "m6", "m7"]


def test_what_comes_behind_shifts_nothing(driver: Driver) -> None:
    bring_to(driver, State.FAILED, *(f"m{number}" for number in range(5)))
    first, after = ids(driver, State.FAILED)
    driver.retry(QUEUE, State.FAILED, first)
    who = consumer(driver, "again")
    settle(driver, who, take(driver, who, 3), playing.FAIL)

    seen: list[str] = []
    while after:
        found, after = ids(driver, State.FAILED, after)
        seen += found

    assert sorted(seen[:2]) == sorted({f"m{number}" for number in range(5)} - set(first))
    assert set(seen[2:]) <= set(first)


@pytest.mark.parametrize("state", [State.FAILED, State.WAITING])
def test_a_page_holds_no_more_bytes_than_one_answer_may(driver: Driver, state: State) -> None:
    body = b"x" * (MAX_BYTES // 2 - 100)
    for number in range(3):
        driver.push(QUEUE, [Entry(f"m{number}", body)])
    if state is State.FAILED:
        who = consumer(driver)
        for _ in range(3):
            settle(driver, who, take(driver, who, 1), playing.FAIL)

    found, after = ids(driver, state, limit=100)

    assert len(found) == 2 and after
    assert ids(driver, state, after, limit=100) == (["m2"], "")


def test_failed_ones_say_since_when_they_are(driver: Driver) -> None:
    bring_to(driver, State.FAILED, "f")
    bring_to(driver, State.TIMEOUT, "t")
    bring_to(driver, State.WAITING, "w")

    for state, id in ((State.FAILED, "f"), (State.TIMEOUT, "t")):
        page = driver.page(QUEUE, state)
        one = driver.message(QUEUE, id)
        assert one is not None and page.messages == (one,)
        assert one.ended_ms is not None and one.pushed_ms <= one.ended_ms <= page.now_ms
    waiting = driver.message(QUEUE, "w")
    assert waiting is not None and waiting.ended_ms is None


def test_forget_of_one_state_leaves_the_others_alone(driver: Driver) -> None:
    bring_to(driver, State.FAILED, "f")
    bring_to(driver, State.WAITING, "w")

    assert driver.forget(QUEUE, ["f", "w"], State.FAILED) == {"f": State.FAILED, "w": State.WAITING}

    assert driver.message(QUEUE, "f") is None
    assert driver.message(QUEUE, "w") is not None
