"""Stories of programs: stop first, then start; one copy after the other; when one is given up.

Each step is checked against the laws of tests/histories/simulator.py as well.
"""

from __future__ import annotations

import pytest

from procqueue.core.events import Reason
from procqueue.core.programs import CROWD, YOUNG, Programs, Rest, has_failed, rest_of
from procqueue.core.settings.program import Restart
from procqueue.core.wanted import Phase, Pool, Rules
from tests.histories.simulator import Master, died, exited, over_memory, pool, ready, spent


def program(name: str = "clock", copies: int = 1, **rules: object) -> list[Pool]:
    """The pools of a program."""
    made = Rules(name, **rules)  # type: ignore[arg-type]
    return [
        Pool(f"{name}:{index}", 1, surge=0, index=index, rules=made, start_timeout=0.0, grace=10.0)
        for index in range(copies)
    ]


def running(*pools: Pool) -> Master:
    """A master whose programs are all ready."""
    master = Master(*pools)
    master.settle()
    while starting := [child.id for child in master.children() if child.ready is None]:
        master.at(master.now + 1, *(ready(id) for id in starting))
    return master


def again(master: Master, *names: str) -> list[str]:
    """Want fresh ones: what `restart`, and a changed configuration, come to."""
    return master.wants(
        *(p if p.name not in names else pool(master, p.name, generation=2) for p in master.wanted.pools)
    )


def rest(master: Master, name: str = "clock:0") -> Rest | None:
    return rest_of(pool(master, name), master.book)


# Restarts.


def test_one_that_was_ready_is_replaced_in_the_same_pass() -> None:
    master = running(*program())

    assert master.at(5, died("clock:0")) == ["fork clock:0/2 of 1"]


def test_one_that_ends_with_a_good_code_is_started_again_all_the_same() -> None:
    master = running(*program())

    assert master.at(5, exited("clock:0")) == ["fork clock:0/2 of 1"]


def test_after_four_failed_starts_it_is_given_up() -> None:
    master = Master(*program(start_retries=3))
    master.settle()
    for number, pause in ((1, 1.0), (2, 2.0), (3, 4.0)):
        id = "clock:0" if number == 1 else f"clock:0/{number}"
        assert master.at(master.now, died(id)) == []
        assert master.wake_at == master.now + pause
        assert master.at(master.wake_at) == [f"fork clock:0/{number + 1} of 1"]

    assert master.at(master.now, died("clock:0/4")) == []

    assert (rest(master), master.wake_at) == (Rest.FATAL, None)
    assert has_failed(pool(master, "clock:0"), master.book)


def test_forever_means_for_ever() -> None:
    master = Master(*program(start_retries=None))
    master.settle()
    for _ in range(20):
        (child,) = master.children()
        assert master.at(master.now, died(child.id)) == []
        assert master.wake_at is not None
        assert len(master.at(master.wake_at)) == 1


def test_what_cannot_be_started_is_not_tried_in_vain() -> None:
    master = Master(*program())
    master.settle()

    assert master.at(0, died("clock:0", Reason.CANNOT_START)) == []

    assert (rest(master), master.wake_at) == (Rest.FATAL, None)


def test_never_means_never() -> None:
    master = Master(*program(restart=Restart.NEVER))
    master.settle()

    assert master.at(0.1, exited("clock:0")) == []

    assert rest(master) is Rest.EXITED
    assert not has_failed(pool(master, "clock:0"), master.book)


def test_never_with_a_bad_code_has_failed() -> None:
    master = running(*program(restart=Restart.NEVER))

    assert master.at(2, died("clock:0")) == []

    assert rest(master) is Rest.EXITED
    assert has_failed(pool(master, "clock:0"), master.book)


def test_on_failure_starts_again_after_a_failure_only() -> None:
    master = running(*program(restart=Restart.ON_FAILURE))

    assert master.at(2, died("clock:0")) == ["fork clock:0/2 of 1"]
    assert master.at(4, ready("clock:0/2")) == []
    assert master.at(4, exited("clock:0/2")) == []
    assert rest(master) is Rest.EXITED


def test_a_wish_by_hand_starts_what_was_given_up() -> None:
    master = Master(*program())
    master.settle()
    master.at(0, died("clock:0", Reason.CANNOT_START))

    assert again(master, "clock:0") == ["fork clock:0/2 of 2"]


def test_one_that_was_stopped_and_is_wanted_again_starts() -> None:
    master = running(*program(restart=Restart.NEVER))

    assert master.wants(pool(master, "clock:0", count=0)) == ["stop clock:0 stop by 11"]
    assert master.at(2, died("clock:0")) == []
    assert master.wants(pool(master, "clock:0", count=1)) == ["fork clock:0/2 of 1"]


@pytest.mark.parametrize("reason", [Reason.MAX_AGE, Reason.MAX_MEMORY, Reason.UNHEALTHY])
def test_at_a_limit_it_ends_first_and_then_comes_its_successor(reason: Reason) -> None:
    master = running(*program(restart=Restart.NEVER))

    assert master.at(3, spent("clock:0", reason)) == [f"stop clock:0 {reason} by 13"]
    assert master.at(4, died("clock:0")) == ["fork clock:0/2 of 1"]


def test_one_over_its_hard_limit_is_killed_and_replaced() -> None:
    master = running(*program())

    assert master.at(3, over_memory("clock:0")) == ["kill clock:0 memory_hard"]
    assert master.at(3, died("clock:0")) == ["fork clock:0/2 of 1"]


# Restarts by hand.


def test_different_programs_are_restarted_at_the_same_time() -> None:
    master = running(*program("api"), *program("clock"))

    assert again(master, "api:0", "clock:0") == ["stop api:0 reload by 11", "stop clock:0 reload by 11"]
    assert master.at(2, died("clock:0")) == ["fork clock:0/2 of 2"]


def test_copies_are_restarted_one_after_the_other() -> None:
    master = running(*program("api", copies=3))

    assert again(master, "api:0", "api:1", "api:2") == ["stop api:0 reload by 11"]
    assert master.at(2, died("api:0")) == ["fork api:0/2 of 2"]
    assert master.at(3, ready("api:0/2")) == ["stop api:1 reload by 13"]
    assert master.at(4, died("api:1")) == ["fork api:1/2 of 2"]
    assert master.at(5, ready("api:1/2")) == ["stop api:2 reload by 15"]


def test_if_the_first_copy_does_not_come_back_the_others_stay() -> None:
    master = running(*program("api", copies=2))
    again(master, "api:0", "api:1")
    master.at(2, died("api:0"))

    assert master.at(2, died("api:0/2", Reason.CANNOT_START)) == []

    assert [child.id for child in master.children()] == ["api:1"]


# Order.


def test_it_starts_when_those_it_comes_after_are_ready_and_not_before() -> None:
    master = Master(*program("api", after=("db", "emails")), *program("db", copies=2), Pool("emails", 1))

    assert sorted(master.settle()) == ["fork db:0 of 1", "fork db:1 of 1", "fork emails:0 of 1"]
    assert master.at(1, ready("db:0"), ready("emails:0")) == []
    assert "fork api:0 of 1" in master.at(2, ready("db:1"))


def test_what_has_done_its_work_was_ready() -> None:
    master = Master(*program("api", after=("migrate",)), *program("migrate", restart=Restart.NEVER))

    assert master.settle() == ["fork migrate:0 of 1"]
    assert master.at(1, exited("migrate:0")) == ["fork api:0 of 1"]


def test_what_failed_to_do_its_work_was_not() -> None:
    master = Master(*program("api", after=("migrate",)), *program("migrate", restart=Restart.NEVER))
    master.settle()

    assert master.at(1, died("migrate:0")) == []


def test_one_that_runs_does_not_end_with_those_it_came_after() -> None:
    master = running(*program("api", after=("db",)), *program("db"))

    assert master.at(5, died("db:0")) == ["fork db:0/2 of 1"]


def test_at_the_end_those_who_need_others_leave_first() -> None:
    master = running(*program("api", after=("db",)), *program("db"), *program("clock"))

    assert master.stop() == ["stop api:0 stop by 12", "stop clock:0 stop by 12"]
    assert master.at(3, died("api:0")) == ["stop db:0 stop by 13"]
    assert master.at(4, died("clock:0"), died("db:0")) == []
    assert master.finished


def test_a_hard_stop_asks_nobody() -> None:
    master = running(*program("api", after=("db",)), *program("db"))

    assert master.stop(Phase.KILL) == ["kill api:0 stop", "kill db:0 stop"]


def test_three_hundred_do_not_start_at_once() -> None:
    pools = [p for number in range(300) for p in program(f"p{number}")]
    master = Master(*pools)

    assert len(master.settle()) == CROWD
    assert master.wake_at == YOUNG
    starts = CROWD
    while len(master.children()) < 300:
        assert master.wake_at is not None
        starts += len(master.at(master.wake_at))
    assert (starts, master.now) == (300, pytest.approx(300 / CROWD * YOUNG - YOUNG))


def test_where_nothing_can_be_forked_not_all_are_tried_at_once() -> None:
    master = Master(*(p for number in range(300) for p in program(f"p{number}")))
    master.can_fork = False

    assert len(master.settle()) == CROWD
    assert master.wake_at == YOUNG


def test_what_it_waits_for_is_told() -> None:
    master = Master(*program("api", after=("db", "cache")), *program("db"), *program("cache"))
    master.settle()
    master.at(1, ready("db:0"))

    programs = Programs(master.wanted, master.book, master.now)

    assert programs.waits_for(pool(master, "api:0")) == ["cache"]
