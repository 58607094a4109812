"""Disks that are full, folders that cannot be written, terminals that stand still: nobody else notices."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.process.actors import Actor

Play = Callable[..., Actor]


def test_a_full_disk_holds_nobody_up_and_the_file_says_what_is_missing(play: Play, tmp_path: Path) -> None:
    code = """
    import resource
    stage = Stage(folder)
    before = resource.prlimit(stage.born.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(stage.born.pid, resource.RLIMIT_FSIZE, (100_000, before[1]))
    pipe = stage.pipe("q:0", to=f"{folder}/file")
    line = b"y" * 999 + b"\\n"
    write_all(pipe, line * 1000)  # it would stand still here, if the logger did
    stage.wait(lambda: sum(m["say"] == "problem" for m in stage.heard) == 2)
    say(sorted((m["target"].removeprefix(folder), m["text"]) for m in stage.heard if m["say"] == "problem"))
    resource.prlimit(stage.born.pid, resource.RLIMIT_FSIZE, before)
    stage.wait(lambda: sum(m["say"] == "solved" for m in stage.heard) == 2)
    os.write(pipe, b"after\\n")
    raw = stage.wait_for("file", b"after")
    missing = sum(m["missing"] for m in stage.heard if m["say"] == "solved" and m["target"].endswith("file"))
    say(raw.count(b"yyy\\n") + missing, all(len(part) > 900 for part in raw.split(b"\\n") if b"yy" in part))
    say(len(stage.heard))
    """
    actor = play(code)

    assert actor.line() == "[('/file', 'File too large'), ('/logs/q.log', 'File too large')]"
    assert actor.line() == "1000 True"
    assert actor.line() == "5"  # ready, and each problem once, and its end
    text = (tmp_path / "file").read_text()
    assert re.search(r"(?m)^\S+ logger \| \d+ lines are missing here: File too large$", text)


def test_a_file_that_cannot_be_made_is_told_once_and_made_when_it_can(play: Play) -> None:
    code = """
    stage = Stage(folder)
    open(f"{folder}/block", "w").close()
    pipe = stage.pipe("q:0", to=f"{folder}/block/file")
    os.write(pipe, b"one\\n")
    problem = stage.wait_heard("problem")
    say(problem["target"].removeprefix(folder), problem["text"], problem["missing"])
    os.write(pipe, b"two\\n")
    stage.wait_for("logs/q.log", b"two")
    os.unlink(f"{folder}/block")
    say(stage.wait_heard("solved")["missing"])
    os.write(pipe, b"three\\n")
    stage.wait_for("block/file", b"three")
    say(stage.lines("block/file"))
    """
    actor = play(code)

    assert actor.line() == "/block/file File exists 1"
    assert actor.line() == "2"
    assert actor.line() == "[b'2 lines are missing here: File exists', b'three']"


def test_without_a_place_for_the_rings_lines_still_reach_the_terminal(play: Play) -> None:
    code = """
    open(f"{folder}/logs", "w").close()
    stage = Stage(folder)
    os.write(stage.pipe("q:0", to=""), b"through\\n")
    stage.wait_for("terminal", b"through")
    say(stage.wait_heard("problem")["target"].removeprefix(folder))
    """
    assert play(code).line() == "/logs/q.log"


STILL = """
import fcntl, pty, re, termios
def flood(fd):
    for number in range(40_000):
        write_all(fd, b"%07d %s\\n" % (number, b"z" * 72))

def check_still(stage):
    # What is for the terminal stands; files go on; the busy child is slowed by its own full pipe.
    busy = stage.child("busy:0", flood, to="")
    file = stage.pipe("file:0", to=f"{folder}/file")
    stage.wait(lambda: stage.read("logs/busy.log").count(b"\\n") > 8000, "a queue that fills")
    for number in range(20):
        os.write(file, b"line %d\\n" % number)
        stage.wait_for("file", b"line %d\\n" % number)
    say("held" if is_alive(busy.pid) and stage.read("logs/busy.log").count(b"\\n") < 30_000 else "not held")

def read_numbers(stage, reader):
    text = b""
    while b"0039999 z" not in text[-4096:]:
        select.select([reader, stage.born.lifeline], [], [], 1)
        stage.hear()
        if select.select([reader], [], [], 0)[0]:
            text += os.read(reader, 65536)
    return [int(number) for number in re.findall(rb"busy:0 \\| (\\d{7}) z", text)]
"""


def test_a_terminal_that_nobody_reads_stops_no_file_and_loses_no_line(play: Play) -> None:
    code = """
    reader, terminal = os.pipe()
    stage = Stage(folder, terminal)
    check_still(stage)
    numbers = read_numbers(stage, reader)
    say(numbers == list(range(40_000)))
    """
    actor = play(code, STILL)

    assert [actor.line(), actor.line()] == ["held", "True"]


def test_a_logger_killed_before_a_terminal_that_stands_still_loses_nothing_that_waits(play: Play) -> None:
    code = """
    reader, terminal = os.pipe()
    stage = Stage(folder, terminal)
    check_still(stage)
    stage.kill()
    stage.kill()
    numbers = read_numbers(stage, reader)
    say(set(numbers) == set(range(40_000)), len(numbers) - 40_000 <= 2 * 800)
    """
    actor = play(code, STILL)

    assert [actor.line(), actor.line()] == ["held", "True True"]


def test_ctrl_s_on_a_real_terminal_stops_no_file(play: Play) -> None:
    code = """
    reader, terminal = pty.openpty()
    stage = Stage(folder, terminal)
    termios.tcflow(terminal, termios.TCOOFF)
    check_still(stage)
    flags = fcntl.fcntl(terminal, fcntl.F_GETFL)
    say("inherited flags untouched" if not flags & os.O_NONBLOCK else "O_NONBLOCK was set")
    termios.tcflow(terminal, termios.TCOON)
    numbers = read_numbers(stage, reader)
    say(numbers == list(range(40_000)))
    """
    actor = play(code, STILL)

    assert [actor.line(), actor.line(), actor.line()] == ["held", "inherited flags untouched", "True"]


def test_a_terminal_that_is_gone_is_told_and_holds_nobody_up(play: Play) -> None:
    code = """
    reader, terminal = os.pipe()
    stage = Stage(folder, terminal)
    os.close(reader)
    pipe = stage.pipe("q:0", to="")
    write_all(pipe, b"nobody reads this\\n" * 100_000)
    problem = stage.wait_heard("problem")
    say(problem["target"], problem["text"])
    stage.wait(lambda: len(stage.lines("logs/q.log")) == 100_000)
    say("kept")
    """
    actor = play(code)

    assert [actor.line(), actor.line()] == ["stdout Broken pipe", "kept"]


def test_what_cannot_be_moved_now_costs_no_time(play: Play) -> None:
    code = """
    import time
    reader, errors = os.pipe()
    stage = Stage(folder, errors=errors)
    os.write(stage.pipe("q:0", to=""), b"line\\nunfinished")
    stage.wait_for("terminal", b"line")
    busy = stage.pipe("q:1", to="/dev/stderr")
    os.set_blocking(busy, False)
    def is_held():
        try:
            os.write(busy, b"e" * 999 + b"\\n")
        except BlockingIOError:
            return len(stage.lines("logs/q.log")) > 1000
    stage.wait(is_held, "stderr to stand still")

    def used():
        fields = open(f"/proc/{stage.born.pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before, later = used(), time.monotonic() + 1.5
    stage.wait(lambda: time.monotonic() > later)
    say("idle" if used() - before < 0.5 else f"{used() - before} s of CPU")
    """
    assert play(code).line() == "idle"


def test_stdout_and_stderr_can_be_two_places(play: Play) -> None:
    code = """
    errors = os.open(f"{folder}/errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    stage = Stage(folder, errors=errors)
    os.write(stage.pipe("q:0", to=""), b"out\\n")
    os.write(stage.pipe("q:1", to="/dev/stderr"), b"err\\n")
    stage.wait_for("terminal", b"out")
    stage.wait_for("errors", b"err")
    say(stage.lines("terminal"), stage.lines("errors"))
    """
    assert play(code).line() == "[b'out'] [b'err']"
