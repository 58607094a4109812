"""kill -9 in the midst of many verbs: what was answered is there, and nothing is there by half (law D1)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from procqueue.core.message import State
from tests.conformance.playing import consumer, drain, push, states
from tests.conformance.stores import QUEUE, Store

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("after", [1, 17, 100])
def test_d1_a_killed_producer_loses_nothing_answered_and_leaves_no_half_chunk(
    store: Store, after: int
) -> None:
    answered = _act_until(store, "push_for_ever", after)

    chunks = Counter(id.split("-")[0] for id in states(store.open()))

    assert set(chunks.values()) == {3}
    assert set(answered) <= set(chunks)
    assert len(chunks) <= len(answered) + 1  # the one that was under way


@pytest.mark.parametrize("after", [1, 17, 100])
def test_d1_a_killed_consumer_loses_nothing_and_settles_nothing_twice(store: Store, after: int) -> None:
    driver = store.open()
    ids = [f"m{number}" for number in range(300)]
    for start in range(0, 300, 100):
        push(driver, *ids[start : start + 100])

    acked = _act_until(store, "work_for_ever", after)

    stored = states(driver)
    assert len(set(acked)) == len(acked)
    missing = set(ids) - set(stored)
    assert set(acked) <= missing and len(missing) <= len(acked) + 1
    owned = [one.id for one in driver.owned(QUEUE, "worker")]
    assert owned == [id for id, state in stored.items() if state is State.RESERVED] and len(owned) <= 2
    assert driver.reclaim(QUEUE, "worker", ()) == len(owned)
    assert sorted(drain(driver, consumer(driver, "heir"))) == sorted(stored)


def _act_until(store: Store, role: str, lines: int) -> list[str]:
    """Let an actor work, kill it some time after it said so many lines, and return all that it said."""
    command = [sys.executable, "-m", "tests.conformance.actor", role, store.address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as actor:
        assert actor.stdout is not None
        said = [actor.stdout.readline() for _ in range(lines)]
        actor.kill()
        said += actor.stdout.readlines()
    whole = [line.strip() for line in said if line.endswith("\n")]
    assert len(whole) >= lines, f"the actor ended by itself: {actor.returncode}"
    return whole
