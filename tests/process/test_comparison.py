"""What the scheduler finds when it compares what a store knows with who lives (laws S6, D13)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from procqueue.core.message import State
from procqueue.core.repairs import Repair
from procqueue.core.verdict import ACK
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.process.board import Board
from procqueue.process.comparison import Comparison
from procqueue.process.log import Log
from procqueue.process.reclaim import board_path
from procqueue.process.registration import last_tickets, name_of, split_name

QUEUE, HOST = "emails", "here"
AHEAD = 10**12


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[SqliteDriver]:
    driver = SqliteDriver(str(tmp_path / "queue.db"))
    yield driver
    driver.close()


@pytest.fixture
def boards(tmp_path: Path) -> str:
    (tmp_path / "boards").mkdir()
    return str(tmp_path / "boards")


class Compared:
    """A comparison, and what it told."""

    def __init__(self, boards: str) -> None:
        self.told: list[tuple[Repair, int]] = []
        self.it = Comparison(
            (QUEUE,), HOST, boards, lambda kind, number: self.told.append((kind, number)),
            lambda _about: nullcontext(), Log("test", "error"),
        )  # fmt: skip

    def dead(self, driver: SqliteDriver, *living: str, told: tuple[str, ...] = ()) -> list[str]:
        return [death.consumer for death in self.it.found_dead(self.it.known(driver), living, told)]


def own(driver: SqliteDriver, name: str, *ids: str) -> list[int]:
    """Let a registration own messages; return their tickets."""
    driver.push(QUEUE, [Entry(id, b"body") for id in ids])
    driver.register(QUEUE, name, HOST)
    return [one.ticket for one in driver.turn(QUEUE, name, (), len(ids)).taken]


def board_of(boards: str, consumer: str, registration: int = 1) -> Board:
    board = Board.create(board_path(boards, consumer), (QUEUE,), {"consumer": consumer})
    board.set_registration(registration)
    return board


@pytest.mark.parametrize("number", [1, 2, 33])
def test_a_name_tells_the_consumer_and_the_number(number: int) -> None:
    assert split_name(name_of("host.a1b2.7", number)) == ("host.a1b2.7", number)


@pytest.mark.parametrize("name", ["~", "a~", "~x", "a~b", "a~-1"])
def test_a_name_that_nobody_gave_is_its_own(name: str) -> None:
    assert split_name(name) == (name, 1)


def test_who_does_not_live_is_dead_and_counted(driver: SqliteDriver, boards: str) -> None:
    for name in ("a", "b", "c", "d~2"):
        driver.register(QUEUE, name, HOST)
    driver.register(QUEUE, "elsewhere", "there")
    compared = Compared(boards)

    assert sorted(compared.dead(driver, "a", told=("b",))) == ["c", "d~2"]

    assert compared.told == [(Repair.RECLAIMED, 2)]


def test_who_was_reclaimed_since_the_list_was_made_is_not_found_again(
    driver: SqliteDriver, boards: str
) -> None:
    driver.register(QUEUE, "a", HOST)
    compared = Compared(boards)
    known = compared.it.known(driver)

    compared.it.reclaimed("a")

    assert compared.it.found_dead(known, (), ()) == []
    assert compared.told == []


def test_d13_a_registration_that_its_consumer_has_given_up_gives_back_what_it_owns(
    driver: SqliteDriver, boards: str
) -> None:
    own(driver, "a", "old")
    ended, _ = own(driver, "a~2", "ended", "held")
    own(driver, "a~3", "mine")
    board = board_of(boards, "a", 3)
    board.end(0, 0, ended, ACK.pack())
    compared = Compared(boards)

    assert compared.dead(driver, "a") == []
    compared.it.settle(driver)

    assert [one.id for one in driver.messages(QUEUE, State.WAITING, 0, 9)] == ["old", "held"]
    assert driver.message(QUEUE, "ended") is None
    assert [one.id for one in driver.owned(QUEUE, "a~3")] == ["mine"]
    assert driver.consumers(QUEUE, HOST) == ["a~3"]
    assert sum(number for kind, number in compared.told if kind is Repair.RETURNED) == 3


def test_a_registration_newer_than_we_know_of_is_let_alone(driver: SqliteDriver, boards: str) -> None:
    own(driver, "a~2", "mine")
    board_of(boards, "a", 2)
    compared = Compared(boards)
    known = {QUEUE: ["a~2", "a~3"]}

    assert compared.it.found_dead(known, ("a",), ()) == []
    compared.it.settle(driver)

    assert len(driver.owned(QUEUE, "a~2")) == 1


def test_tickets_go_on_where_the_boards_have_come_to(driver: SqliteDriver, boards: str) -> None:
    board = board_of(boards, "a")
    (ticket,) = own(driver, "b", "first")
    board.hold(0, 5, ticket + AHEAD)
    board.drop(0, 5, ticket + AHEAD)
    board.hold(0, 6, 2**53)  # a handler has scribbled
    compared = Compared(boards)

    compared.it.known(driver)

    assert own(driver, "b", "second") == [ticket + AHEAD + 1]
    assert last_tickets(boards, ("other",)) == {}


def test_how_far_tickets_had_come_is_known_when_the_board_is_gone(driver: SqliteDriver, boards: str) -> None:
    board = board_of(boards, "a")
    (ticket,) = own(driver, "b", "first")
    board.hold(0, 0, ticket + AHEAD)
    compared = Compared(boards)
    compared.it.known(driver)
    Path(board.path).unlink()
    with driver._link.writing() as db:  # as a store whose clock went back
        db.execute("UPDATE queues SET ticket = 1")

    compared.it.known(driver)

    assert own(driver, "b", "second") == [ticket + AHEAD + 1]
