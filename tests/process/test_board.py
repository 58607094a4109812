"""The board: real files, shared by real processes that are killed and stopped in the middle (law S7)."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from procqueue.core.fate import Cause, Code, Slot
from procqueue.core.verdict import ACK, INTERRUPTED, Charge, Kind, Verdict
from procqueue.process.board import MAGIC, Board, Doing, slot_at, text_at
from procqueue.process.view import NoBoard, View
from tests.process.actors import PATIENCE, actor

DEADLINE, IF_KILLED, IF_DEAD, IF_INTERRUPTED, ENDED = range(1, 6)
FIRST = 2048 // 8


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "c.board")


def twice(number: int) -> int:
    """Return a word whose halves are equal: half a word from another store would show."""
    return number << 32 | number


def slots(read: View, queue: str) -> dict[int, Slot]:
    """Return what the board says of a queue; it is sound."""
    found = read.slots(queue)
    assert found is not None
    return found


def test_a_board_is_read_as_it_was_written(path: str) -> None:
    board = Board.create(path, ["a", "b"], {"consumer": "c", "pid": 7})
    later = Verdict(Kind.RELEASE, Charge.ATTEMPT, 1 << 40)
    board.hold(1, 3, 77)
    board.prepare(1, 3, 5000, later.pack(), ACK.pack(), INTERRUPTED.pack())
    assert board.claim(1, 3, 77)
    board.describe(1, 3, 1234, "id-1", "app.task")
    board.set_handled(9)
    board.set_doing(Doing.BUSY)

    read = View.open(path)

    slot = slots(read, "b")[77]
    assert (slot.code, slot.if_killed, slot.if_dead, slot.if_interrupted) == (
        Code.RUNNING, later, ACK, INTERRUPTED,
    )  # fmt: skip
    assert read.slots("a") == {} and read.slots("strange") is None
    assert read.identity["pid"] == 7 and read.queues == ("a", "b")
    assert [(one.id, one.task, one.began_ms) for one in read.running()] == [("id-1", "app.task", 1234)]
    assert (read.handled, read.doing, read.next_deadline()) == (9, Doing.BUSY, 5000)
    assert (read.overdue(4999), read.overdue(5000)) == (None, 77)
    board.end(1, 3, 77, later.pack(), owing=True)
    assert slots(read, "b")[77].code is Code.OWING and read.running_tickets() == {77}
    board.end(1, 3, 77, later.pack())
    assert slots(read, "b")[77].ended == later and not read.running_tickets() and read.overdue(9999) is None
    read.close()
    board.close()


def test_a_reader_that_was_away_puts_off_the_deadlines_of_what_runs_and_of_nothing_later(path: str) -> None:
    board = Board.create(path, ["a"], {"consumer": "c", "pid": 7})
    read = View.open(path)
    run(board, 77, deadline=5000)

    read.put_off(600)
    read.put_off(400)

    assert (read.overdue(5999), read.overdue(6000), read.next_deadline()) == (None, 77, 6000)
    assert read.overdue(5000, as_written=True) == 77
    board.end(0, 0, 77, ACK.pack())
    run(board, 78, deadline=7000)
    assert (read.overdue(7000), read.next_deadline()) == (78, 7000)
    read.close()
    board.close()


def run(board: Board, ticket: int, deadline: int) -> None:
    board.hold(0, 0, ticket)
    board.prepare(0, 0, deadline, ACK.pack(), ACK.pack(), INTERRUPTED.pack())
    assert board.claim(0, 0, ticket)


def test_a_board_appears_whole_or_not_at_all(path: str) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Board.create(path, [f"queue-{n}-{'x' * 50}" for n in range(64)], {})
    assert os.listdir(os.path.dirname(path)) == []

    Board.create(path, ["q"], {}).close()

    assert os.listdir(os.path.dirname(path)) == ["c.board"] and os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(path).st_blocks * 512 >= os.stat(path).st_size, "sparse: a full disk would be a SIGBUS"


def whole(path: Path) -> bytes:
    Board.create(str(path), ["q"], {"pid": 1}).close()
    return path.read_bytes()


def with_identity(data: bytes, text: bytes) -> bytes:
    head = data[:32] + len(text).to_bytes(8, "little") + data[40:64] + text
    return head + data[len(head) :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data[:2048],
        lambda data: bytes(len(data)),
        lambda data: os.urandom(len(data)),
        lambda data: (MAGIC + (1 << 56)).to_bytes(8, "little") + data[8:],
        lambda data: with_identity(data, b"no json"),
        lambda data: with_identity(data, b"\xff\xfe"),
        lambda data: with_identity(data, b"[1]"),
        lambda data: with_identity(data, b'{"queues": 7}'),
        lambda data: with_identity(data, b"{}"),
        lambda data: with_identity(data, b"[" * 1900),
        lambda data: with_identity(data, json.dumps({"queues": ["x"] * 300}).encode()),
    ],
)
def test_what_is_no_board_is_refused_and_holds_no_descriptor(tmp_path: Path, damage: object) -> None:
    file = tmp_path / "c.board"
    assert callable(damage)
    file.write_bytes(damage(whole(file)))
    before = sorted(os.listdir("/proc/self/fd"))

    with pytest.raises(NoBoard):
        View.open(str(file))

    assert sorted(os.listdir("/proc/self/fd")) == before
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(NoBoard):
        View.open(str(tmp_path / "link"))
    with pytest.raises(NoBoard):
        View.open(str(tmp_path / "absent"))


def test_s7_why_it_was_killed_stands_on_the_board(path: str) -> None:
    board = Board.create(path, ["q"], {})
    read, another = View.open(path), View.open(path)
    assert read.killed is None and read.ends == 0

    another.mark(Cause.TIMEOUT, 77)
    assert read.killed == (Cause.TIMEOUT, 77)
    another.mark(Cause.STOPPED)
    board.set_end(1234)

    assert read.killed == (Cause.STOPPED, 0) and read.ends == 1234
    assert read.slots("q") == {}
    for one in (board, read, another):
        one.close()


@pytest.mark.parametrize("size", [0, 7, 64, 2048, 4000])
def test_s7_whoever_reads_a_board_that_its_owner_cuts_short_lives_on_and_learns_nothing(
    path: str, size: int
) -> None:
    board = Board.create(path, ["q"], {})
    board.hold(0, 0, 5)
    board.hold(0, 1, 6)
    board.prepare(0, 0, 1, 1, 1, 1)
    board.claim(0, 0, 5)
    read = View.open(path)
    assert read.overdue(9) == 5 and read.held()

    os.truncate(path, size)

    assert read.overdue(9) is None and read.next_deadline() is None and read.running() == []
    assert read.slots("q") is None and read.done("q") == [] and not read.held()
    assert (read.beat, read.handled, read.doing, read.killed) == (0, 0, Doing.STARTING, None)
    assert read.take_held("q") == []
    read.mark_settled("q", [5, 6])
    assert os.stat(path).st_size == size
    read.close()


def test_s7_of_a_board_that_was_scribbled_on_nothing_is_believed(path: str) -> None:
    board = Board.create(path, ["a", "b"], {})
    board.hold(0, 0, 5)
    read = View.open(path)
    assert slots(read, "a")[5].code is Code.HELD

    board.words[slot_at(64, 0, 7)] = 9 << 8 | 99

    assert read.slots("a") is None and read.slots("b") == {}
    read.close()
    board.close()


def test_words_that_make_no_sense_harm_nobody(path: str) -> None:
    board = Board.create(path, ["q"], {})
    read = View.open(path)
    board.words[FIRST] = 5 << 8 | Code.RUNNING
    board.words[FIRST + IF_KILLED] = (1 << 64) - 1
    board.words[slot_at(64, 0, 1)] = (1 << 64) - 1
    board.words[3] = 99
    board.describe(0, 0, 0, "", "")
    texts = text_at(1, 64, 0, 0)
    for text in ("² id task\n", "٣ id task\n", "x" * 240, "\n", "1 \x00"):
        data = text.encode()[:240]
        board._bytes[texts : texts + len(data)] = data

        assert len(read.running()) <= 1

    assert read.slots("q") is None
    assert read.running_tickets() == {5} and read.doing is Doing.BUSY
    read.close()
    board.close()


WRITER = """
import sys
from procqueue.process.board import Board

def twice(number):
    return number << 32 | number

board = Board.create(sys.argv[1], ["q"], {})
print("writing", flush=True)
n = 0
while True:
    n += 1
    board.hold(0, 0, n)
    board.prepare(0, 0, twice(n), twice(n), twice(n), twice(n))
    assert board.claim(0, 0, n)
    board.end(0, 0, n, twice(n))
"""


def test_s7_no_reader_ever_sees_half_a_word(path: str) -> None:
    with actor(WRITER, path) as writer:
        assert writer.line() == "writing"
        board = View.open(path)
        seen: set[int] = set()
        give_up = time.monotonic() + PATIENCE
        while len(seen) < 300 and time.monotonic() < give_up:
            for value in board._slots()[0][DEADLINE : ENDED + 1]:
                assert value >> 32 == value & 0xFFFFFFFF
                seen.add(value)
        board.close()
    assert len(seen) >= 300


@pytest.mark.parametrize("kill", range(8))
def test_s7_at_any_moment_of_a_kill_the_word_is_true(path: str, kill: int) -> None:
    with actor(WRITER, path) as writer:
        assert writer.line() == "writing"
        board = View.open(path)
        while board._slots()[0][0] >> 8 < 50 + kill * 7:
            pass

        writer.kill()

    word, *words = board._slots()[0][:6]
    ticket, code = word >> 8, Code(word & 0xFF)
    before, now = twice(ticket - 1), twice(ticket)
    match code:
        case Code.HELD:
            assert all(value in (before, now) for value in words[:4]) and words[4] == before
        case Code.RUNNING:
            assert words[:4] == [now] * 4 and words[4] in (before, now)
        case Code.ENDED:
            assert words == [now] * 5
        case _:
            raise AssertionError(code)
    board.close()


CLAIMER = """
import sys
from procqueue.process.board import Board

board = Board.create(sys.argv[1], ["q"], {})
print("ready", flush=True)
sys.stdin.readline()
ticket, claimed, dropped = 0, [], []
for round in range(200):
    for slot in range(64):
        board.hold(0, slot, ticket := ticket + 1)
    for slot in range(64):
        mine = ticket - 63 + slot
        if slot % 8 == 7:
            dropped += [mine] * board.drop(0, slot, mine)
        else:
            claimed += [mine] * board.claim(0, slot, mine)
print(claimed)
print(dropped)
"""


def test_s7_what_is_held_is_claimed_or_taken_back_and_never_both(path: str) -> None:
    taken: set[int] = set()
    with actor(CLAIMER, path) as claimer:
        assert claimer.line() == "ready"
        board = View.open(path)
        claimer.tell("go")
        while claimer.process.poll() is None and not claimer.readable():
            taken.update(board.take_held("q"))
        claimed, dropped = json.loads(claimer.line()), json.loads(claimer.line())

    assert claimed and taken and dropped
    assert sorted([*claimed, *dropped, *taken]) == list(range(1, 200 * 64 + 1))
    assert not board.held()
    board.close()


LOCKER = """
import fcntl, sys
from procqueue.process.board import Board

board = Board.create(sys.argv[1], ["q"], {})
board.hold(0, 0, 5)
fcntl.flock(board.fileno(), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
fcntl.flock(board.fileno(), fcntl.LOCK_UN)
print("open", flush=True)
sys.stdin.readline()
"""


def test_s7_an_owner_that_was_stopped_with_the_lock_in_its_hands_makes_nobody_wait(path: str) -> None:
    with actor(LOCKER, path) as locker:
        assert locker.line() == "locked"
        locker.signal(signal.SIGSTOP)
        board = View.open(path)

        began = time.monotonic()
        assert board.take_held("q") == [] and board.held()
        assert time.monotonic() - began < 1

        locker.signal(signal.SIGCONT)
        locker.tell("go on")
        assert locker.line() == "open"
        assert board.take_held("q") == [5] and not board.held()
        assert slots(board, "q")[5].code is Code.TAKEN
        board.close()


FORKER = """
import os, resource, sys
from procqueue.process.board import Board

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
board = Board.create(sys.argv[1], ["q"], {})
child = os.fork()
if child == 0:
    board.set_handled(666)
    os._exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), board.words[1], flush=True)
"""


def test_s7_a_handlers_own_child_cannot_write_on_its_parents_board(path: str) -> None:
    with actor(FORKER, path) as forker:
        assert forker.line() == f"{-signal.SIGSEGV} 0"
