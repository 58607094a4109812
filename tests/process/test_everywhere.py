"""Which marks of `restart --everywhere` a master follows: those that came after it, each once."""

from __future__ import annotations

from procqueue.process.everywhere import RestartMarks


def test_a_mark_that_comes_is_followed_once() -> None:
    marks = RestartMarks()

    assert marks.fresh({"q": None, "r": None}, 1) == ()
    assert marks.fresh({"q": (1000, 0.5), "r": None}, 2) == ("q",)
    assert marks.fresh({"q": (1000, 1.5), "r": None}, 3) == ()
    assert marks.fresh({"q": (1001, 0.1), "r": (5, 0.1)}, 4) == ("q", "r")


def test_a_mark_from_before_the_master_is_none_of_its_own() -> None:
    marks = RestartMarks()

    assert marks.fresh({"q": (1000, 9.0)}, 3) == ()
    assert marks.fresh({"q": (1001, 0.0)}, 4) == ("q",)


def test_a_mark_that_came_before_the_first_look_is_followed() -> None:
    assert RestartMarks().fresh({"q": (1000, 0.5)}, 3) == ("q",)


def test_a_mark_that_came_while_the_machine_slept_is_followed() -> None:
    marks = RestartMarks()
    marks.fresh({"q": None}, 1)

    assert marks.fresh({"q": (1000, 7200.0)}, 10) == ("q",)


def test_a_store_that_forgot_or_came_back_older_restarts_nothing() -> None:
    marks = RestartMarks()
    marks.fresh({"q": (1000, 9.0)}, 3)

    assert marks.fresh({"q": None}, 4) == ()
    assert marks.fresh({"q": (900, 20.0)}, 5) == ()
    assert marks.fresh({"q": (1000, 20.0)}, 6) == ()
    assert marks.fresh({"q": (1100, 0.0)}, 7) == ("q",)
