"""Stories of templates (law S3): one per generation of which a consumer may be wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from procqueue.core.book import apply
from procqueue.core.events import Born, ForkFailed, Ordered, Reason
from procqueue.core.plan import ORDER_PATIENCE
from procqueue.core.wanted import Phase, Pool
from tests.histories.simulator import (
    DELAY_MAX,
    Happening,
    Master,
    away,
    born,
    died,
    loaded,
    pool,
    ready,
    unborn,
    unfit,
)

TEMPLATE = Pool("template", 1, surge=0, grace=1.0, is_template=True)


def running(count: int = 1) -> Master:
    """A master whose consumers of generation 1 were forked by their template and are proved; it is 3 s."""
    master = Master(TEMPLATE, Pool("emails", count, template="template"))
    master.settle()
    master.at(1, ready("template:0"))
    master.at(1.5, *(born(f"emails:{index}") for index in range(count)))
    master.at(2, *(ready(f"emails:{index}") for index in range(count)))
    master.at(3)
    return master


def raise_generation(master: Master, generation: int) -> list[str]:
    return master.wants(*(replace(p, generation=generation) for p in master.wanted.pools))


def test_s3_the_template_comes_first_and_the_consumers_wait_for_it() -> None:
    master = Master(TEMPLATE, Pool("emails", 2, template="template"))

    assert master.settle() == ["fork template:0 of 1"]
    assert master.wake_at == 30  # its start_timeout
    assert master.at(2, loaded("template:0")) == []
    assert master.at(2.5, ready("template:0")) == [
        "order emails:0 of template:0",
        "order emails:1 of template:0",
    ]
    assert master.wake_at == 2.5 + ORDER_PATIENCE
    assert master.at(2.75, born("emails:0")) == []
    assert master.wake_at == 2.75 + ORDER_PATIENCE  # an answer is a sign of life
    assert master.at(3, born("emails:1")) == []
    assert master.wake_at == 32.75  # the first start_timeout, counted from the birth


def test_s3_one_that_dies_is_ordered_of_the_template_in_the_same_pass() -> None:
    master = running()

    assert master.at(5, died("emails:0")) == ["order emails:0/2 of template:0"]


def test_s3_a_template_that_dies_takes_nobody_with_it_and_is_replaced() -> None:
    master = running()

    assert master.at(5, died("template:0")) == ["fork template:0/2 of 1"]
    assert master.ready("emails") == ["emails:0"]
    assert master.at(5.25, died("emails:0")) == []  # it waits: the import has begun already
    assert master.at(6, ready("template:0/2")) == ["order emails:0/2 of template:0/2"]


def test_s3_what_was_ordered_of_a_dead_template_is_ordered_of_the_next_and_nobody_failed() -> None:
    master = running(2)
    master.at(5, died("emails:0"), died("emails:1"))
    master.at(5.25, born("emails:0/2"))

    assert master.at(5.5, died("template:0")) == ["fork template:0/2 of 1"]

    assert [c.id for c in master.children("emails")] == ["emails:0/2"]
    assert master.at(6, ready("template:0/2")) == ["order emails:1/3 of template:0/2"]
    assert not master.book.pulse("emails").loops(master.now)


def test_s3_a_template_whose_answer_the_master_was_away_to_hear_is_not_killed() -> None:
    master = running()
    master.at(5, died("emails:0"))

    assert master.jump(25, away(20)) == []
    assert master.wake_at == 35
    assert "kill template:0 start_timeout" in master.at(35)


def test_s3_a_template_that_answers_no_order_is_killed_and_replaced() -> None:
    master = running()
    master.at(5, died("emails:0"))

    assert master.wake_at == 5 + ORDER_PATIENCE
    assert master.at(15) == ["kill template:0 start_timeout", "fork template:0/2 of 1"]
    assert master.at(15.25, died("template:0")) == []
    assert master.at(16, ready("template:0/2")) == ["order emails:0/3 of template:0/2"]


@pytest.mark.parametrize("reason", [Reason.IMPORT_ERROR, Reason.CRASH])
def test_s10_a_template_that_cannot_import_is_delayed_while_consumers_work(reason: Reason) -> None:
    master = running()
    master.at(5, died("template:0"))

    assert master.at(5.5, died("template:0/2", reason)) == []
    assert master.wake_at == 6.5
    assert master.at(6.5) == ["fork template:0/3 of 1"]
    assert master.at(7, died("template:0/3", reason)) == []
    assert master.wake_at == 9
    assert master.ready("emails") == ["emails:0"]


def test_s10_a_template_that_hangs_in_its_import_or_after_it_is_killed_at_start_timeout() -> None:
    master = Master(replace(TEMPLATE, start_timeout=5.0), Pool("emails", 1, template="template"))
    master.settle()

    master.at(2, loaded("template:0"))
    assert master.at(5) == ["kill template:0 start_timeout", "fork template:0/2 of 1"]
    assert master.at(5.25, died("template:0")) == []


def test_a_fork_that_fails_in_the_template_is_the_back_off_of_the_pool() -> None:
    master = running()

    def refused(id: str) -> list[Happening]:
        return [lambda m: ForkFailed("emails", m.now, DELAY_MAX), unborn(id)]

    master.at(5, died("emails:0"))
    assert master.at(5.25, *refused("emails:0/2")) == []
    assert master.at(6.25) == ["order emails:0/3 of template:0"]
    assert master.at(6.5, *refused("emails:0/3")) == []
    assert master.at(8.5) == ["order emails:0/4 of template:0"]  # an order is no fork yet
    assert master.at(8.75, born("emails:0/4")) == []
    assert master.book.pulse("emails").forks.rounds == 0


def test_s3_an_unfit_template_leaves_and_consumers_are_forked_by_the_master() -> None:
    master = Master(TEMPLATE, Pool("emails", 1, template="template"))
    master.settle()

    assert master.at(2, unfit("template", 1), ready("template:0")) == [
        "stop template:0 scale by 3",
        "fork emails:0 of 1",
    ]
    assert master.at(2.25, died("template:0")) == []
    assert master.at(4, ready("emails:0")) == []
    master.at(5)
    assert master.at(6, died("emails:0")) == ["fork emails:0/2 of 1"]


def test_s3_who_insists_uses_an_unfit_template_beside_those_who_do_without() -> None:
    emails = Pool("emails", 1, template="template")
    master = Master(TEMPLATE, emails, replace(emails, name="letters", insists=True))
    master.settle()

    assert master.at(2, unfit("template", 1), ready("template:0")) == [
        "fork emails:0 of 1",
        "order letters:0 of template:0",
    ]


def test_s3_the_old_template_stays_until_the_new_generation_is_proved() -> None:
    master = running(2)

    assert raise_generation(master, 2) == ["fork template:0/2 of 2"]
    assert master.at(3.5, died("emails:1")) == ["order emails:1/2 of template:0"]  # the old code
    master.at(3.75, born("emails:1/2"))
    master.at(4, ready("emails:1/2"))
    assert master.at(5, ready("template:0/2")) == ["order emails:0/2 of template:0/2"]
    master.at(5.25, born("emails:0/2"))
    assert master.at(5.5, ready("emails:0/2")) == []
    assert master.at(6.5) == [
        "prove emails 2",
        "stop emails:0 reload by 31.5",
        "stop template:0 reload by 7.5",
        "order emails:1/3 of template:0/2",
    ]


def test_s3_a_broken_generation_is_found_by_its_template_and_touches_nobody() -> None:
    master = running(2)
    raise_generation(master, 2)

    assert master.at(4, died("template:0/2", Reason.IMPORT_ERROR)) == []
    assert master.at(4.5, died("emails:0")) == ["order emails:0/2 of template:0"]
    master.at(4.75, born("emails:0/2"))
    assert master.at(5) == ["fork template:0/3 of 2"]


def test_a_queue_of_no_consumers_needs_no_template() -> None:
    master = running()

    assert master.wants(TEMPLATE, pool(master, "emails", count=0)) == [
        "stop template:0 scale by 4",
        "stop emails:0 scale by 28",
    ]


def test_a_stop_tells_templates_and_those_that_are_still_to_be_forked() -> None:
    master = running()
    master.at(5, died("emails:0"))

    assert master.stop() == ["stop template:0 stop by 6", "stop emails:0/2 stop by 30"]
    assert master.at(5.25, died("template:0")) == []
    assert master.finished


def test_a_hard_stop_kills_the_template_and_ends_with_it() -> None:
    master = running()
    master.at(5, died("emails:0"))

    assert sorted(master.stop(Phase.KILL)) == ["kill emails:0/2 stop", "kill template:0 stop"]
    assert master.at(5.25, died("template:0")) == []
    assert master.finished


def test_an_order_of_a_template_that_is_dead_is_no_child() -> None:
    master = running()
    (template,) = master.children("template")
    child = replace(master.children("emails")[0], id="late", awaits="nobody")

    book = apply(apply(master.book, Ordered(child)), Born("late", 4))

    assert book == master.book and template.id in book.children
