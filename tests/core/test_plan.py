"""Stories of the supervision plan: what happens at which second, and what the master does about it.

Each step of a story is checked against the laws of tests/histories/simulator.py as well: nothing is asked
twice, nobody who works is sent away early, and the plan wakes exactly when it has something to say.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from procqueue.core.book import apply
from procqueue.core.events import Life, OverMemory, Reason
from procqueue.core.wanted import Phase, Pool
from tests.histories.simulator import (
    Master,
    away,
    died,
    disowned,
    leaving,
    loaded,
    over_memory,
    overdue,
    pool,
    ready,
    silent,
    spent,
    worked,
)

EMAILS = Pool("emails", 1)
SCHEDULER = Pool("scheduler", 1, last=1)


def running(count: int, surge: int = 1, **wishes: float) -> Master:
    """A master whose `count` consumers of generation 1 are ready and proved; it is 1.25 s after the start."""
    master = Master(Pool("emails", count, surge, **wishes))  # type: ignore[arg-type]
    master.settle()
    master.at(0.25, *(ready(f"emails:{index}") for index in range(count)))
    master.at(1.25)
    assert master.book.proved == {"emails": 1}
    return master


def reload(master: Master, generation: int) -> list[str]:
    return master.wants(pool(master, "emails", generation=generation))


def scale(master: Master, count: int) -> list[str]:
    return master.wants(pool(master, "emails", count=count))


# The first start.


def test_the_first_start_forks_all_at_once_and_the_first_that_stands_proves_the_generation() -> None:
    master = Master(Pool("emails", 2), SCHEDULER)

    assert master.settle() == ["fork emails:0 of 1", "fork emails:1 of 1", "fork scheduler:0 of 1"]
    assert master.wake_at == 30  # the first start_timeout

    assert master.at(0.25, ready("emails:1")) == []
    assert master.wake_at == 1.25
    assert master.at(1.25) == ["prove emails 1"]
    assert master.at(2, ready("emails:0"), ready("scheduler:0")) == []
    assert master.at(3) == ["prove scheduler 1"]
    assert master.wake_at is None


def test_a_pool_of_none_starts_nobody() -> None:
    master = Master(Pool("emails", 0))

    assert master.settle() == []
    assert master.wake_at is None
    assert not master.finished


# Crashes (law S10).


def test_s10_one_that_was_ready_for_a_second_is_replaced_in_the_same_pass_however_often() -> None:
    master = running(1)

    assert master.at(1.25, died("emails:0")) == ["fork emails:0/2 of 1"]
    for number in range(2, 9):
        now = master.now
        master.at(now + 0.25, ready(f"emails:0/{number}"))
        assert master.at(now + 1.25, died(f"emails:0/{number}")) == [f"fork emails:0/{number + 1} of 1"]
    assert master.book.pulse("emails").loops(master.now)


def test_s10_one_that_had_finished_a_message_is_replaced_at_once() -> None:
    master = running(1)
    master.at(2, died("emails:0"))

    assert master.at(2.5, ready("emails:0/2"), worked("emails:0/2")) == []
    assert master.at(2.75, died("emails:0/2")) == ["fork emails:0/3 of 1"]


def test_s10_crashes_before_ready_are_delayed_by_1_2_4_up_to_the_limit() -> None:
    master = Master(EMAILS)
    forked = [0.0]
    master.settle()

    for number in range(1, 9):
        name = "emails:0" if number == 1 else f"emails:0/{number}"
        assert master.at(master.now, died(name)) == []
        assert master.wake_at is not None
        assert master.at(master.wake_at) == [f"fork emails:0/{number + 1} of 1"]
        forked.append(master.now)

    assert [b - a for a, b in pairwise(forked)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_s10_consumers_that_fail_together_fail_once() -> None:
    master = Master(Pool("emails", 4))
    master.settle()

    master.at(0.25, *(died(f"emails:{index}") for index in range(3)))
    master.at(0.5, died("emails:3"))

    assert master.wake_at == 1.5
    assert len(master.at(1.5)) == 4
    master.at(2, *(died(f"emails:{index}/2") for index in range(4)))
    assert master.wake_at == 4


def test_an_import_error_is_delayed_even_for_one_that_had_been_ready() -> None:
    master = running(1)

    assert master.at(5, died("emails:0", Reason.IMPORT_ERROR)) == []
    assert master.wake_at == 6
    assert master.at(6) == ["fork emails:0/2 of 1"]


def test_one_that_leaves_of_itself_is_replaced_at_once_and_has_its_grace_to_be_gone() -> None:
    master = running(2)

    assert master.at(5, leaving("emails:0", Reason.STOP)) == [
        "stop emails:0 stop by 30",
        "fork emails:0/2 of 1",
    ]
    master.at(6, ready("emails:0/2"))
    assert master.wake_at == 30
    assert master.at(30) == ["kill emails:0 stop"]


def test_the_index_of_the_dead_is_given_again() -> None:
    master = running(4)

    assert master.at(2, died("emails:2"), died("emails:1")) == [
        "fork emails:1/2 of 1",
        "fork emails:2/2 of 1",
    ]


# Starts that end in nothing.


def test_a_start_that_takes_too_long_is_killed_and_counts_as_failed() -> None:
    master = Master(EMAILS)
    master.settle()

    assert master.wake_at == 30
    assert master.at(30) == ["kill emails:0 start_timeout", "fork emails:0/2 of 1"]
    assert master.at(30.25, died("emails:0")) == []
    assert master.at(31, died("emails:0/2")) == []
    assert master.wake_at == 32


def test_what_a_loaded_one_waits_for_is_not_its_fault() -> None:
    master = Master(EMAILS)
    master.settle()

    assert master.at(29, loaded("emails:0")) == []
    assert master.wake_at is None
    assert master.at(500, ready("emails:0")) == []


def test_a_start_timeout_of_zero_waits_for_ever() -> None:
    master = Master(Pool("emails", 1, start_timeout=0))

    master.settle()

    assert master.wake_at is None


def test_a_refused_fork_is_tried_again_later_and_the_delay_grows_with_the_rounds() -> None:
    master = Master(Pool("emails", 3))
    master.can_fork = False

    assert master.settle() == ["no fork emails:0", "no fork emails:1", "no fork emails:2"]
    assert master.wake_at == 1
    master.at(1)
    assert master.wake_at == 3
    master.can_fork = True
    assert len(master.at(3)) == 3

    master.can_fork = False
    assert master.at(4, died("emails:0")) == []
    assert master.at(5) == ["no fork emails:0"]
    assert master.wake_at == 6


# Recycling (law S9).


def test_s9_the_successor_is_ready_before_its_predecessor_is_told_to_leave() -> None:
    master = running(2)

    assert master.at(10, spent("emails:0")) == ["fork emails:0/2 of 1"]
    assert master.at(11, spent("emails:1", Reason.MAX_AGE)) == []
    assert master.at(12, ready("emails:0/2")) == ["stop emails:0 max_messages by 37", "fork emails:1/2 of 1"]
    assert master.at(13, died("emails:0"), ready("emails:1/2")) == ["stop emails:1 max_age by 38"]
    assert master.at(14, died("emails:1")) == []
    assert master.ready() == ["emails:0/2", "emails:1/2"]
    assert master.wake_at is None


def test_s9_without_surge_the_predecessor_makes_place_first_one_after_the_other() -> None:
    master = running(2, surge=0)

    assert master.at(10, spent("emails:0"), spent("emails:1")) == [
        "stop emails:0 max_messages by 35",
        "fork emails:0/2 of 1",
    ]
    assert master.at(11, died("emails:0")) == []
    assert master.at(12, ready("emails:0/2")) == ["stop emails:1 max_messages by 37", "fork emails:1/2 of 1"]


def test_s9_with_surge_2_as_many_are_replaced_at_once() -> None:
    master = running(4, surge=2)

    assert master.at(10, *(spent(f"emails:{index}") for index in range(4))) == [
        "fork emails:0/2 of 1",
        "fork emails:1/2 of 1",
    ]
    assert master.at(11, ready("emails:0/2"), ready("emails:1/2")) == [
        "stop emails:0 max_messages by 36",
        "stop emails:1 max_messages by 36",
        "fork emails:2/2 of 1",
        "fork emails:3/2 of 1",
    ]
    assert master.at(12, ready("emails:3/2")) == ["stop emails:2 max_messages by 37"]


def test_a_successor_that_does_not_start_costs_nobody_its_place() -> None:
    master = running(1)
    master.at(10, spent("emails:0"))

    assert master.at(11, died("emails:0/2")) == []
    assert master.wake_at == 12
    assert master.at(12) == ["fork emails:0/3 of 1"]
    assert master.ready() == ["emails:0"]


def test_one_that_is_killed_in_this_pass_is_not_the_reason_to_send_its_predecessor_away() -> None:
    master = running(1)
    master.at(10, spent("emails:0"))

    assert master.at(11, ready("emails:0/2"), over_memory("emails:0/2")) == [
        "kill emails:0/2 memory_hard",
        "fork emails:0/3 of 1",
    ]
    assert master.ready() == ["emails:0"]


def test_nor_is_one_that_is_killed_itself_the_one_that_could_be_spared() -> None:
    master = running(2, surge=2)
    master.at(10, spent("emails:0"), spent("emails:1", Reason.MAX_AGE))

    assert master.at(11, ready("emails:1/2"), overdue("emails:1")) == [
        "kill emails:1 timeout",
    ]
    assert master.ready() == ["emails:0", "emails:1/2"]
    assert master.at(12, ready("emails:0/2")) == ["stop emails:0 max_messages by 37"]


def test_without_surge_from_now_on_a_successor_that_is_on_its_way_is_kept() -> None:
    master = running(1)
    master.at(2, spent("emails:0"))

    assert master.wants(pool(master, "emails", surge=0)) == ["stop emails:0 max_messages by 27"]
    assert master.at(3, ready("emails:0/2"), died("emails:0")) == []


# Scaling.


def test_scaling_up_starts_the_missing_ones() -> None:
    master = running(1)

    assert scale(master, 3) == ["fork emails:1 of 1", "fork emails:2 of 1"]


def test_scaling_down_sends_the_highest_away() -> None:
    master = running(4)

    assert scale(master, 2) == ["stop emails:3 scale by 26.25", "stop emails:2 scale by 26.25"]
    assert master.wake_at == 26.25


def test_scaling_down_sends_first_away_who_is_to_go_anyway() -> None:
    master = running(3)
    master.at(2, spent("emails:0"))

    assert scale(master, 2) == ["stop emails:0 max_messages by 27", "stop emails:0/2 scale by 27"]


def test_scaling_down_to_nobody_sends_all_away_ready_or_not() -> None:
    master = running(2)
    scale(master, 3)
    master.at(2, leaving("emails:0", Reason.MAX_AGE))

    assert sorted(scale(master, 0)) == [
        "stop emails:0/2 scale by 27",
        "stop emails:1 scale by 27",
        "stop emails:2 scale by 27",
    ]
    assert reload(master, 2) == []


def test_scaling_down_while_nobody_is_ready_sends_the_highest_away() -> None:
    master = Master(Pool("emails", 12))
    master.settle()

    assert scale(master, 10) == ["stop emails:11 scale by 25", "stop emails:10 scale by 25"]


def test_scaling_while_a_generation_is_replaced() -> None:
    master = running(3)
    reload(master, 2)
    master.at(2, ready("emails:0/2"))
    assert master.at(3) == ["prove emails 2", "stop emails:0 reload by 28", "fork emails:1/2 of 2"]

    assert scale(master, 5) == ["fork emails:3 of 2", "fork emails:2/2 of 2"]
    assert scale(master, 2) == [
        "stop emails:1 reload by 28",
        "stop emails:3 scale by 28",
        "stop emails:2/2 scale by 28",
    ]
    assert master.at(4, ready("emails:1/2")) == ["stop emails:2 reload by 29"]
    assert master.ready() == ["emails:0/2", "emails:1/2"]


def test_successors_that_only_start_are_not_kept_for_predecessors_that_have_gone() -> None:
    master = running(4, surge=4)
    master.at(2, *(spent(f"emails:{index}") for index in range(4)))

    assert sorted(scale(master, 1)) == [
        "stop emails:0 max_messages by 27",
        "stop emails:1 max_messages by 27",
        "stop emails:1/2 scale by 27",
        "stop emails:2 max_messages by 27",
        "stop emails:2/2 scale by 27",
        "stop emails:3/2 scale by 27",
    ]


# Reload: a new generation is tried by one canary (law S3).


def test_s3_a_reload_tries_one_canary_and_replaces_one_after_the_other_once_it_stood() -> None:
    master = running(3)

    assert reload(master, 2) == ["fork emails:0/2 of 2"]
    assert master.at(2, ready("emails:0/2")) == []
    assert master.wake_at == 3
    assert master.at(3) == ["prove emails 2", "stop emails:0 reload by 28", "fork emails:1/2 of 2"]
    assert master.at(4, ready("emails:1/2")) == ["stop emails:1 reload by 29", "fork emails:2/2 of 2"]
    assert master.at(5, ready("emails:2/2")) == ["stop emails:2 reload by 30"]
    assert master.at(6, died("emails:0"), died("emails:1"), died("emails:2")) == []
    assert master.ready() == ["emails:0/2", "emails:1/2", "emails:2/2"]
    assert master.wake_at is None


def test_s3_without_surge_the_canary_still_comes_beside_the_others() -> None:
    master = running(2, surge=0)

    assert reload(master, 2) == ["fork emails:0/2 of 2"]
    master.at(2, ready("emails:0/2"))
    assert master.at(3) == [
        "prove emails 2",
        "stop emails:0 reload by 28",
        "stop emails:1 reload by 28",
        "fork emails:1/2 of 2",
    ]


def test_s3_a_canary_that_asks_for_its_successor_has_proved_enough() -> None:
    master = running(1)
    reload(master, 2)

    assert master.at(2, ready("emails:0/2"), worked("emails:0/2"), spent("emails:0/2")) == [
        "prove emails 2",
        "stop emails:0/2 max_messages by 27",
        "fork emails:0/3 of 2",
    ]
    assert master.at(2.5, ready("emails:0/3")) == ["stop emails:0 reload by 27.5"]


def test_s3_a_broken_canary_never_lowers_what_is_ready() -> None:
    master = running(2)
    reload(master, 2)

    for number in range(2, 9):
        assert master.at(master.now, died(f"emails:0/{number}", Reason.IMPORT_ERROR)) == []
        assert master.ready() == ["emails:0", "emails:1"]
        assert master.wake_at is not None
        assert master.at(master.wake_at) == [f"fork emails:0/{number + 1} of 2"]


def test_s3_the_dead_come_from_the_old_generation_at_once_whatever_the_canary_does() -> None:
    master = running(2)
    reload(master, 2)
    master.at(2, died("emails:0/2", Reason.IMPORT_ERROR))

    assert master.at(2.5, died("emails:1")) == ["fork emails:1/2 of 1"]
    assert master.at(2.75, ready("emails:1/2")) == []
    assert master.at(3) == ["fork emails:0/3 of 2"]


def test_s3_the_old_die_while_the_canary_starts() -> None:
    master = running(2)
    reload(master, 2)

    assert master.at(2, died("emails:0"), died("emails:1")) == [
        "fork emails:0/3 of 1",
        "fork emails:1/2 of 1",
    ]


def test_a_repaired_generation_does_not_wait_for_the_broken_one() -> None:
    master = Master(Pool("emails", 2))
    master.settle()
    for _ in range(6):
        names = [died(child.id, Reason.IMPORT_ERROR) for child in master.children()]
        master.at(master.now, *names)
        assert master.wake_at is not None
        master.at(master.wake_at)
    master.at(master.now, *[died(child.id, Reason.IMPORT_ERROR) for child in master.children()])

    assert len(reload(master, 2)) == 2


def test_a_reload_is_tried_even_if_the_proved_generation_cannot_start_any_more() -> None:
    master = running(2)
    master.at(2, *(died(f"emails:{index}", Reason.IMPORT_ERROR) for index in range(2)))

    assert reload(master, 2) == ["fork emails:0/2 of 2"]
    assert master.at(2.5, ready("emails:0/2")) == []
    assert master.at(3) == ["fork emails:0/3 of 1", "fork emails:1/2 of 1"]
    assert master.at(3.25, *(died(c.id) for c in master.children() if c.generation == 1)) == []
    assert master.at(3.5) == ["prove emails 2", "fork emails:1/3 of 2"]


def test_s3_a_spent_one_is_not_replaced_while_the_canary_has_the_only_place_beside() -> None:
    master = running(2)
    reload(master, 2)

    assert master.at(2, spent("emails:1")) == []
    assert master.at(3, ready("emails:0/2")) == []
    assert master.at(4) == ["prove emails 2", "stop emails:1 max_messages by 29", "fork emails:1/2 of 2"]


def test_s9_a_spent_one_is_replaced_from_the_old_generation_while_the_new_one_is_broken() -> None:
    master = running(2)
    reload(master, 2)
    master.at(2, spent("emails:1"))

    assert master.at(3, died("emails:0/2", Reason.IMPORT_ERROR)) == ["fork emails:1/2 of 1"]
    assert master.at(3.5, ready("emails:1/2")) == ["stop emails:1 max_messages by 28.5"]
    assert master.at(4) == ["fork emails:0/3 of 2"]


def test_s9_a_canary_waits_until_a_recycle_that_has_begun_is_over() -> None:
    master = running(1)
    master.at(2, spent("emails:0"))

    assert reload(master, 2) == []
    assert master.at(3, ready("emails:0/2")) == ["stop emails:0 max_messages by 28", "fork emails:0/3 of 2"]


def test_s9_with_surge_2_there_is_place_for_a_canary_and_a_successor() -> None:
    master = running(4, surge=2)
    reload(master, 2)

    assert master.at(2, spent("emails:3")) == ["fork emails:3/2 of 1"]
    assert master.at(3, ready("emails:3/2")) == ["stop emails:3 max_messages by 28"]


def test_s3_a_canary_that_crashes_before_it_is_proved_is_delayed_though_it_had_worked() -> None:
    master = Master(replace(EMAILS, start_seconds=5))
    master.settle()
    master.at(1, ready("emails:0"))
    master.at(6)
    reload(master, 2)

    assert master.at(7, ready("emails:0/2"), worked("emails:0/2")) == []
    assert master.at(11, spent("emails:0")) == []
    assert master.at(11, died("emails:0/2")) == ["fork emails:0/3 of 1"]
    assert master.at(12, ready("emails:0/3")) == ["stop emails:0 max_messages by 37", "fork emails:0/4 of 2"]


def test_s3_a_second_reload_sends_the_first_canary_away() -> None:
    master = running(2)
    reload(master, 2)
    master.at(2, ready("emails:0/2"))

    assert reload(master, 3) == ["stop emails:0/2 reload by 27", "fork emails:0/3 of 3"]
    assert master.ready() == ["emails:0", "emails:1"]


def test_s3_a_canary_that_is_killed_proves_nothing_however_long_it_takes_to_die() -> None:
    master = running(1)
    reload(master, 2)

    assert master.at(2, ready("emails:0/2"), over_memory("emails:0/2")) == [
        "kill emails:0/2 memory_hard",
        "fork emails:0/3 of 2",
    ]
    assert master.at(10, loaded("emails:0/3")) == []
    assert master.book.proved == {"emails": 1}


def test_s3_a_reload_while_another_one_is_rolling_replaces_nobody_before_it_is_proved() -> None:
    master = running(2)
    reload(master, 2)
    master.at(2, ready("emails:0/2"))
    assert master.at(3) == ["prove emails 2", "stop emails:0 reload by 28", "fork emails:1/2 of 2"]

    assert reload(master, 3) == ["stop emails:1/2 scale by 28", "fork emails:0/3 of 3"]
    assert master.ready() == ["emails:1", "emails:0/2"]
    assert master.at(4, ready("emails:0/3")) == []
    assert master.at(5) == ["prove emails 3", "stop emails:1 reload by 30", "fork emails:1/3 of 3"]


def test_a_reload_before_anything_was_proved_replaces_those_that_hang_in_their_start() -> None:
    master = Master(Pool("emails", 2))
    master.settle()
    master.at(1, loaded("emails:0"), loaded("emails:1"))  # and wait for a server that is not there

    assert reload(master, 2) == ["fork emails:0/2 of 2"]
    assert master.at(2, ready("emails:0/2")) == ["stop emails:0 reload by 27", "fork emails:1/2 of 2"]
    assert master.at(3, ready("emails:1/2")) == ["prove emails 2", "stop emails:1 reload by 28"]


def test_a_moment_of_proof_that_rounding_would_miss_is_not_missed() -> None:
    at = 0.9
    assert (at + 1.0) - at < 1.0  # else this story is not about rounding
    master = Master(EMAILS)
    master.settle()

    master.at(at, ready("emails:0"))

    assert master.wake_at == at + 1.0
    assert master.at(at + 1.0) == ["prove emails 1"]


# The end.


def test_a_soft_stop_tells_all_and_kills_at_the_end_of_the_grace_who_does_not_leave() -> None:
    master = running(3)

    assert sorted(master.stop()) == [f"stop emails:{index} stop by 26.25" for index in range(3)]
    assert master.at(2, died("emails:0")) == []
    assert master.wake_at == 26.25
    assert sorted(master.at(26.25)) == ["kill emails:1 stop", "kill emails:2 stop"]
    assert master.wake_at is None
    assert not master.finished
    assert master.at(26.5, died("emails:1"), died("emails:2")) == []
    assert master.finished


def test_a_stop_with_nobody_there_is_finished_at_once() -> None:
    master = Master(Pool("emails", 0))

    assert master.stop() == []
    assert master.finished


def test_a_stop_during_the_start_and_a_ready_that_comes_too_late() -> None:
    master = Master(EMAILS)
    master.settle()
    master.at(1)

    assert master.stop() == ["stop emails:0 stop by 26"]
    assert master.at(2, ready("emails:0")) == []
    assert master.children()[0].life is Life.STOPPING
    assert master.wake_at == 26
    assert master.at(3, died("emails:0")) == []
    assert master.finished


def test_a_crash_during_the_stop_is_not_replaced() -> None:
    master = running(2)
    master.stop()

    assert master.at(2, died("emails:0", Reason.CRASH)) == []
    assert master.at(3, died("emails:1")) == []
    assert master.finished


def test_a_stop_does_not_speak_to_those_that_are_killed() -> None:
    master = running(2)
    master.at(2, overdue("emails:0"))
    master.book = apply(master.book, OverMemory("emails:1"))

    assert sorted(master.stop()) == ["kill emails:1 memory_hard", "stop emails:0/2 stop by 27"]


def test_a_second_stop_kills_at_once() -> None:
    master = running(2)
    master.stop()
    master.at(2, died("emails:0"))

    assert master.stop(Phase.KILL) == ["kill emails:1 stop"]
    assert master.at(3, died("emails:1")) == []
    assert master.finished


def test_s8_the_scheduler_leaves_after_all_others() -> None:
    master = Master(SCHEDULER, EMAILS)
    master.settle()
    master.at(0.5, ready("emails:0"), ready("scheduler:0"))
    master.at(1.5)

    assert master.stop() == ["stop emails:0 stop by 26.5"]
    assert master.at(26.5) == ["kill emails:0 stop"]
    assert master.at(27, died("emails:0")) == ["stop scheduler:0 stop by 37"]
    assert master.at(37) == ["kill scheduler:0 stop"]
    assert master.at(38, died("scheduler:0")) == []
    assert master.finished


def test_s8_a_hard_stop_leaves_the_scheduler_time_to_settle() -> None:
    master = Master(SCHEDULER, EMAILS)
    master.settle()

    assert master.stop(Phase.KILL) == ["kill emails:0 stop"]
    assert master.at(1, died("emails:0")) == ["stop scheduler:0 stop by 11"]


def test_s6_a_scheduler_that_dies_during_the_stop_is_replaced_while_others_are_left() -> None:
    master = Master(EMAILS, SCHEDULER)
    master.settle()
    master.at(1, ready("emails:0"), ready("scheduler:0"))
    master.at(2)
    master.stop()

    assert master.at(3, died("scheduler:0")) == ["fork scheduler:0/2 of 1"]
    assert master.at(4, died("emails:0")) == ["stop scheduler:0/2 stop by 14"]
    assert master.at(5, died("scheduler:0/2")) == []
    assert master.finished


# Kills.


def test_one_with_an_overdue_message_is_killed_once_and_then_replaced() -> None:
    master = running(1)

    assert master.at(2, overdue("emails:0")) == ["kill emails:0 timeout", "fork emails:0/2 of 1"]
    assert master.at(3, overdue("emails:0"), over_memory("emails:0")) == []
    assert master.at(4, died("emails:0")) == []
    assert not master.book.pulse("emails").deaths


def test_s7_one_whose_message_had_ended_when_one_looked_again_is_spared() -> None:
    master = running(1)
    master.looks_well.add("emails:0")

    assert master.at(2, overdue("emails:0")) == ["spare emails:0"]
    assert master.ready() == ["emails:0"]
    master.looks_well.clear()
    assert master.at(3, overdue("emails:0")) == ["kill emails:0 timeout", "fork emails:0/2 of 1"]


def test_one_above_the_hard_limit_of_memory_is_killed_also_while_it_leaves() -> None:
    master = running(2)
    scale(master, 1)

    assert master.at(2, over_memory("emails:0")) == ["kill emails:0 memory_hard", "fork emails:0/2 of 1"]
    assert master.at(3, over_memory("emails:1")) == ["kill emails:1 memory_hard"]
    assert master.wake_at == 32  # only the start of 0/2 is waited for


def test_a_master_that_overslept_kills_what_is_late_in_its_first_pass() -> None:
    master = running(2)
    scale(master, 1)

    assert master.jump(1000.0) == ["kill emails:1 scale"]


# Children of queues that are in the file no more.


def test_children_of_a_queue_that_is_gone_leave_and_are_killed_if_they_do_not() -> None:
    master = running(2)
    letters = replace(EMAILS, name="letters")

    assert sorted(master.wants(letters)) == [
        "fork letters:0 of 1",
        "stop emails:0 scale by 26.25",
        "stop emails:1 scale by 26.25",
    ]
    assert master.at(2, died("emails:0")) == []
    assert master.wake_at == 26.25
    assert master.at(26.25) == ["kill emails:1 scale"]


def test_a_hard_stop_kills_children_of_a_queue_that_is_gone() -> None:
    master = running(1)
    master.wants(SCHEDULER)

    assert master.stop(Phase.KILL) == ["kill emails:0 scale"]
    assert master.at(2, died("emails:0")) == ["stop scheduler:0 stop by 12"]


def test_a_queue_that_comes_back_starts_beside_those_that_still_leave() -> None:
    master = running(1)
    emails = master.wanted.pools
    master.wants()

    assert master.wants(*emails) == ["fork emails:0/2 of 1"]


# Hosts (law D6).


def test_d6_a_scheduler_whose_loop_stands_still_is_killed_and_replaced_in_the_same_pass() -> None:
    master = Master(EMAILS, Pool("scheduler", 1, surge=0, last=1))
    master.settle()
    master.at(0.25, ready("emails:0"), ready("scheduler:0"))
    master.at(1.25)

    assert master.at(9, silent("scheduler:0")) == ["kill scheduler:0 silent", "fork scheduler:0/2 of 1"]
    assert master.at(9.5, died("scheduler:0")) == []
    assert not master.book.pulse("scheduler").deaths


def test_d6_the_children_of_a_lost_identity_are_told_to_leave_and_replaced_at_once() -> None:
    master = Master(Pool("emails", 2), Pool("scheduler", 1, surge=0, last=1))
    master.settle()
    master.at(0.25, ready("emails:0"), ready("emails:1"), ready("scheduler:0"))
    master.at(1.25)

    assert sorted(master.at(5, *(disowned(id) for id in master.book.children))) == [
        "fork emails:0/2 of 1",
        "fork emails:1/2 of 1",
        "fork scheduler:0/2 of 1",
        "stop emails:0 disowned by 30",
        "stop emails:1 disowned by 30",
        "stop scheduler:0 disowned by 30",
    ]
    assert master.at(6, died("emails:0", Reason.DISOWNED), died("scheduler:0")) == []
    assert master.at(7, ready("emails:0/2"), ready("emails:1/2"), ready("scheduler:0/2")) == []
    assert master.at(30) == ["kill emails:1 disowned"]


def test_d6_one_of_a_lost_identity_that_leaves_already_is_not_told_again() -> None:
    master = running(1)
    scale(master, 0)

    assert master.at(2, disowned("emails:0")) == []
    assert master.at(3, died("emails:0")) == []


def test_s3_a_generation_that_was_on_trial_when_the_next_was_wanted_is_still_what_replaces_the_dead() -> None:
    master = Master(Pool("emails", 2, start_seconds=10.0))
    master.settle()
    master.at(0.25, ready("emails:0"), ready("emails:1"))
    assert reload(master, 2) == ["prove emails 1", "fork emails:0/2 of 2"]

    assert master.at(1.5, died("emails:0/2", Reason.IMPORT_ERROR), died("emails:0")) == [
        "fork emails:0/3 of 1"
    ]


# The master was stopped, frozen or starved.


def test_a_master_that_was_away_leaves_to_each_what_was_left_of_its_time_when_it_last_looked() -> None:
    master = Master(Pool("emails", 2, grace=5.0, start_timeout=6.0))
    master.settle()
    master.at(1, ready("emails:0"))
    master.at(2)
    scale(master, 1)  # emails:1 has not started
    assert master.at(2.5, died("emails:1")) == []
    scale(master, 2)
    master.at(3)
    assert master.stop() == ["stop emails:0 stop by 8", "stop emails:1/2 stop by 8"]

    assert master.jump(23, away(20)) == []
    assert master.wake_at == 28
    assert master.at(28) == ["kill emails:0 stop", "kill emails:1/2 stop"]


def test_one_that_was_starting_while_the_master_was_away_may_still_start() -> None:
    master = Master(Pool("emails", 1))
    master.settle()

    assert master.jump(40, away(40)) == []
    assert master.wake_at == 70
    assert master.at(70) == ["kill emails:0 start_timeout", "fork emails:0/2 of 1"]
