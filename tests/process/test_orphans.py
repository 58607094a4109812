"""Orphans and survivors: numbers of processes that may have become somebody else's (law S8)."""

import os
import time
from pathlib import Path

import pytest

from procqueue.core.fate import Cause, Code
from procqueue.core.verdict import ACK
from procqueue.process import kernel
from procqueue.process.board import Board
from procqueue.process.orphans import Orphan
from procqueue.process.reclaim import board_path
from procqueue.process.statedir import open_state_dir, survivors
from tests.process.actors import Actor, actor

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"


def pidfd_of(one: Actor) -> int:
    pidfd = kernel.open_pidfd(one.pid)
    assert pidfd is not None
    return pidfd


def test_s8_a_number_that_has_become_somebody_elses_is_not_killed(tmp_path: Path) -> None:
    with actor(SLEEPS) as dead, actor(SLEEPS) as heir:
        assert heir.line() == "up"
        orphan = Orphan("c", ("q",), heir.pid, pidfd_of(dead), str(tmp_path), kill_at=0.0)
        dead.kill()

        assert not orphan.end_if_due(time.monotonic())

        assert heir.process.poll() is None and not kernel.is_stopped(heir.pid)
        assert orphan.bury().cause is Cause.CRASH


@pytest.mark.parametrize(
    ("deadline_ms", "grace", "ended", "cause"),
    [
        (1, 600, True, (Cause.TIMEOUT, 5)),
        (1, -1, True, (Cause.TIMEOUT, 5)),
        (0, -1, True, (Cause.STOPPED, 0)),
        (0, 600, False, None),
        (1 << 50, 600, False, None),
    ],
    ids=["deadline", "both", "grace", "no limit", "in time"],
)
def test_s8_an_orphan_is_ended_at_its_deadline_or_its_grace_and_its_board_says_why(
    tmp_path: Path, deadline_ms: int, grace: float, ended: bool, cause: tuple[Cause, int] | None
) -> None:
    board = Board.create(board_path(str(tmp_path), "c"), ["q"], {})
    board.hold(0, 0, 5)
    board.prepare(0, 0, deadline_ms, ACK.pack(), ACK.pack(), ACK.pack())
    board.claim(0, 0, 5)
    with actor(SLEEPS) as one:
        assert one.line() == "up"
        now = time.monotonic()
        orphan = Orphan("c", ("q",), one.pid, pidfd_of(one), str(tmp_path), now + grace)

        assert orphan.end_if_due(now) is ended

        assert ended or (one.process.poll() is None and not kernel.is_stopped(one.pid))
        assert not orphan.end_if_due(now), "once is enough"
        one.kill()
        view = orphan._look()
        assert view is not None and view.killed == cause
        slots = view.slots("q")
        assert slots is not None and slots[5].code is Code.RUNNING
        orphan.bury()
    board.close()


@pytest.mark.parametrize(
    ("deadline_ms", "ends_ms", "cause"),
    [(0, 0, Cause.CRASH), (1, 0, Cause.TIMEOUT), (0, 1, Cause.STOPPED), (1, 1, Cause.TIMEOUT),
     (0, 1 << 50, Cause.CRASH)],
)  # fmt: skip
def test_s8_an_orphan_that_the_kernel_has_ended_is_known_by_its_board(
    tmp_path: Path, deadline_ms: int, ends_ms: int, cause: Cause
) -> None:
    board = Board.create(board_path(str(tmp_path), "c"), ["q"], {})
    board.hold(0, 0, 5)
    board.prepare(0, 0, deadline_ms, ACK.pack(), ACK.pack(), ACK.pack())
    board.claim(0, 0, 5)
    board.set_end(ends_ms)
    with actor(SLEEPS) as one:
        orphan = Orphan("c", ("q",), one.pid, pidfd_of(one), str(tmp_path), float("inf"))
        one.kill()

        death = orphan.bury()

    assert (death.cause, death.overdue) == (cause, 5 if cause is Cause.TIMEOUT else None)
    board.close()


def test_s8_a_board_whose_number_is_now_that_of_another_process_is_of_a_dead_one(tmp_path: Path) -> None:
    state = open_state_dir(str(tmp_path / "run"))
    started = kernel.start_time_of(os.getpid())
    assert started is not None
    facts = {"pool": "q", "index": 0, "pid": os.getpid(), "boot_id": kernel.boot_id()}
    for name, start in (("same", started), ("other", started - 1)):
        path = board_path(state.boards, name)
        Board.create(path, ["q"], {**facts, "consumer": name, "start_time": start}).close()

    found = {one.consumer: one.pidfd for one in survivors(state)}

    assert found["other"] is None and found["same"] is not None
    os.close(found["same"])
    os.close(state.lock_fd)
