"""The logger takes every line, in order, whoever is killed; real forks, pipes and files."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from procqueue.process.logger.ring import Ring
from tests.process.actors import Actor

Play = Callable[..., Actor]

#: Four children that write numbered lines as fast as they can.
FLOOD = """
stage = Stage(folder)
LINE = b"x" * 80
def flood(fd):
    for begin in range(0, COUNT, 100):
        write_all(fd, b"".join(b"%d %s\\n" % (number, LINE) for number in range(begin, begin + 100)))

def start():
    for index in range(4):
        stage.child(f"q:{index}", flood, to=f"{folder}/q{index}", most=MOST, backups=9)

def repeats(lines):
    # Every number, in order; what is there twice is there as one block. Returns the lines of such blocks.
    again, expected = 0, 0
    for line in lines:
        number, _, rest = line.partition(b" ")
        assert rest == LINE, line[:200]
        if int(number) != expected:
            assert int(number) < expected, f"lost {expected} to {int(number)}"
            again += expected - int(number)
            expected = int(number)
        expected += 1
    assert expected == COUNT, expected
    return again
"""


def test_a_line_has_its_moment_and_its_name_wherever_it_goes(play: Play, tmp_path: Path) -> None:
    code = """
    stage = Stage(folder)
    os.write(stage.pipe("emails:0", to=""), b"to the terminal\\n")
    os.write(stage.pipe("emails:1", to=f"{folder}/deep/down/file"), b"to a file\\n")
    os.write(stage.pipe("images:0", to="none"), b"nowhere\\n")
    stage.wait_for("terminal", b"terminal")
    stage.wait_for("deep/down/file", b"to a file")
    stage.wait_for("logs/images.log", b"nowhere")
    say("code", stage.stop())
    """
    assert play(code).line() == "code 0"

    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(r"\d\d:\d\d:\d\d emails:0 \| to the terminal\n", (tmp_path / "terminal").read_text())
    assert re.fullmatch(moment + r" emails:1 \| to a file\n", (tmp_path / "deep/down/file").read_text())
    kept = (tmp_path / "logs/emails.log").read_text()
    assert re.search(f"(?m)^{moment} emails:0 out \\| to the terminal$", kept)
    assert re.search(f"(?m)^{moment} emails:1 out \\| to a file$", kept)
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_both_streams_of_a_child_are_told_apart(play: Play, tmp_path: Path) -> None:
    code = """
    stage = Stage(folder)
    out, write_out = os.pipe()
    err, write_err = os.pipe()
    to = {"to": f"{folder}/file"}
    stage.born.lifeline.say("follow", key="life", name="q:0", out=to, err=to, fds=(out, err))
    os.write(write_out, b"to stdout\\n")
    stage.wait_for("file", b"stdout")
    os.write(write_err, b"to stderr")
    os.close(write_out)
    os.close(write_err)
    os.write(stage.pipe("q:1"), b"another\\n")
    stage.followed["life"] = ({}, os.open("/dev/null", os.O_RDONLY))
    stage.wait_ended("life")
    say(stage.lines("file"), sum(m["say"] == "ended" for m in stage.heard))
    """
    assert play(code).line() == "[b'to stdout', b'to stderr'] 1"

    ring = Ring(str(tmp_path / "logs"), "q")
    found = [(one.name, one.stream, one.text) for one in ring.backwards() if one.name == "q:0"]
    ring.close()
    assert found == [("q:0", "err", b"to stderr"), ("q:0", "out", b"to stdout")]


def test_what_procqueue_says_of_itself_has_one_head_and_a_ring_of_its_own(play: Play, tmp_path: Path) -> None:
    code = """
    stage = Stage(folder)
    pipe = stage.pipe("master", own=True, to="")
    os.write(pipe, b"12:34:56 master started pid=7\\nTraceback of a bug\\n")
    os.write(stage.pipe("emails:0", to=""), b"12:34:56 emails:0 ready\\n12:34:56 other said\\n")
    stage.wait_for("terminal", b"bug")
    stage.wait_for("terminal", b"said")
    say("code", stage.stop())
    """
    assert play(code).line() == "code 0"

    shown = {line.partition(" ")[2] for line in (tmp_path / "terminal").read_text().splitlines()}
    assert shown == {
        "emails:0 ready",
        "emails:0 | 12:34:56 other said",
        "master started pid=7",
        "master | Traceback of a bug",
    }
    assert " master own | started pid=7\n" in (tmp_path / "logs/@master.log").read_text()
    assert not (tmp_path / "logs/master.log").exists()


@pytest.mark.parametrize("count", [28_000, pytest.param(290_000, marks=pytest.mark.slow)])
def test_every_line_of_four_busy_children_is_there_in_order_over_rotations(play: Play, count: int) -> None:
    code = """
    start()
    stage.wait_ended()
    files = sorted(os.listdir(folder))
    sizes = [os.path.getsize(f"{folder}/{name}") for name in files if name.startswith("q")]
    say(max(sizes) <= MOST, len(sizes) > 8, sum(repeats(stage.lines(f"q{index}")) for index in range(4)))
    """
    assert play(code, FLOOD, f"COUNT = {count}; MOST = COUNT * 25\n").line() == "True True 0"


@pytest.mark.parametrize("count", [28_000, pytest.param(290_000, marks=pytest.mark.slow)])
def test_s8_a_logger_killed_twice_in_the_flood_loses_no_line_and_repeats_at_most_a_chunk(
    play: Play, count: int
) -> None:
    code = """
    start()
    for part in (COUNT / 4, COUNT / 2):
        stage.wait(lambda: all(len(stage.lines(f"q{index}")) > part for index in range(4)), "a part")
        stage.kill()
    stage.wait_ended()
    again = [repeats(stage.lines(f"q{index}")) for index in range(4)]
    say(len(stage.heard) >= 3, sum(again) * 87 <= 2 * 65536)
    """
    assert play(code, FLOOD, f"COUNT = {count}; MOST = COUNT * 25\n").line() == "True True"


def test_a_logger_killed_while_nobody_writes_leaves_the_unfinished_line_in_its_pipe(play: Play) -> None:
    code = """
    stage = Stage(folder)
    pipe = stage.pipe("q:0", to="")
    os.write(pipe, b"first\\nunfinished")
    stage.wait_for("terminal", b"first")
    stage.kill()
    os.write(pipe, b" no more\\n")
    stage.wait_for("terminal", b"unfinished no more\\n")
    say(stage.lines("terminal"))
    """
    assert play(code).line() == "[b'first', b'unfinished no more']"


def test_the_last_words_of_a_child_that_ends_at_once_are_there(play: Play) -> None:
    code = """
    stage = Stage(folder)
    born = stage.child("q:0", lambda fd: os.write(fd, b"line\\nlast words without an end"), to="")
    os.waitpid(born.pid, 0)
    stage.wait_ended("q:0")
    stage.wait_for("terminal", b"an end")
    say(stage.lines("terminal"), stage.stop())
    """
    assert play(code).line() == "[b'line', b'last words without an end'] 0"


def test_bytes_go_to_files_as_they_are_and_to_the_terminal_as_escapes(play: Play, tmp_path: Path) -> None:
    code = """
    stage = Stage(folder)
    data = bytes(range(256)).replace(b"\\n", b"") + "\\u202eé\\x1b[31mred\\x1b[0m\\x1b[2J".encode() + b"\\n"
    for to in ("", f"{folder}/file"):
        os.write(stage.pipe(f"q:{len(to)}", to=to), data)
    say(data in stage.wait_for("file", b"\\n"), data in stage.wait_for("logs/q.log", data))
    stage.wait_for("terminal", b"\\n")
    """
    assert play(code).line() == "True True"

    shown = (tmp_path / "terminal").read_bytes()
    assert b"\x1b[31mred\x1b[0m\\x1b[2J" in shown
    assert b"\\u202e\xc3\xa9" in shown
    assert b"\\x00\\x01" in shown and b"\\xff" in shown


def test_a_line_longer_than_its_pipe_comes_in_pieces_that_make_it_whole_again(play: Play) -> None:
    code = """
    stage = Stage(folder)
    data = os.urandom(1 << 20).replace(b"\\n", b"").replace(b"|", b"").replace(b"+", b"")
    pipe = stage.pipe("q:0", to=f"{folder}/file")
    if os.fork() == 0:
        write_all(pipe, data + b"\\nshort\\n")
        os._exit(0)
    raw = stage.wait_for("file", b" | short\\n")
    heads = [part for part in raw.split(b"\\n") if part]
    pieces = [line.split(b" | ", 1)[1] if b" | " in line[:40] else line.split(b" + ", 1)[1] for line in heads]
    say(b"".join(pieces[:-1]) == data, len(pieces) >= 17, sum(b" | " in line[:40] for line in heads))
    """
    assert play(code).line() == "True True 2"


def test_a_pipe_that_is_full_of_few_bytes_is_emptied_too(play: Play) -> None:
    code = """
    import fcntl
    stage = Stage(folder)
    pipe = stage.pipe("q:0")
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    if os.fork() == 0:
        os.write(pipe, b"x")
        for _ in range(3):
            write_all(pipe, b"y" * 4096)
        os.write(pipe, b"\\n")
        os._exit(0)
    raw = stage.wait_for("logs/q.log", b"y\\n")
    stage.wait(lambda: stage.read("logs/q.log").count(b"y") == 3 * 4096)
    say("through")
    """
    assert play(code).line() == "through"


def test_a_traceback_that_comes_in_parts_stays_together(play: Play) -> None:
    code = """
    stage = Stage(folder)
    one, other = stage.pipe("q:0", to=""), stage.pipe("q:1", to="")
    begin = [b"before\\n", b"Traceback (most recent call last):\\n"]
    parts = [*begin, b'  File "a.py", line 1\\n', b"    raise\\n", b"ValueError: x\\n"]
    for number, part in enumerate(parts):
        os.write(one, part)
        os.write(other, b"other %d\\n" % number)
        stage.wait_for("terminal", b"other %d\\n" % number)
    stage.wait_for("terminal", b"ValueError")
    lines = [line for line in stage.lines("terminal") if not line.startswith(b"other")]
    whole = [line.startswith(b"other") for line in stage.lines("terminal")]
    say(lines == b"".join(parts).splitlines())
    say(stage.read("terminal").count(b"q:0 | Traceback (most recent call last):\\n"))
    begin = whole.index(False, whole.index(False) + 1)
    say("apart" if True in whole[begin : begin + 4] else "together")
    """
    actor = play(code)
    assert [actor.line(), actor.line()] == ["True", "1"]
    assert actor.line() == "together"


def test_a_traceback_whose_end_never_comes_is_written_all_the_same(play: Play) -> None:
    code = """
    stage = Stage(folder)
    os.write(stage.pipe("q:0", to=""), b"Traceback (most recent call last):\\n  File x\\n")
    stage.wait_for("terminal", b"File x")
    say("written")
    """
    assert play(code).line() == "written"


def test_json_has_one_object_a_line_and_objects_stay_objects(play: Play, tmp_path: Path) -> None:
    import json

    code = """
    stage = Stage(folder, json=True)
    own = b"12:34:56 q:0 ready pid=1\\n"
    said = b'text "quoted"\\n{"a": [1, 2.50]}\\n{"a": NaN}\\n[1]\\n\\xff\\n'
    os.write(stage.pipe("q:0", to=""), said + own)
    stage.wait_for("terminal", b"ready")
    say("there")
    """
    assert play(code).line() == "there"

    found = [json.loads(line) for line in (tmp_path / "terminal").read_text().splitlines()]
    assert {tuple(one)[:3] for one in found} == {("time", "name", "stream")}
    assert [one.get("line", one.get("data")) for one in found] == [
        'text "quoted"', {"a": [1, 2.5]}, '{"a": NaN}', "[1]", "\\xff", "ready pid=1",
    ]  # fmt: skip
    assert [one["stream"] for one in found] == ["out"] * 5 + ["own"]


def test_a_child_that_is_forgotten_leaves_what_is_in_its_pipe(play: Play) -> None:
    code = """
    stage = Stage(folder)
    pipe = stage.pipe("q:0", to="")
    os.write(pipe, b"one\\nunfinished")
    stage.born.lifeline.say("forget", key="q:0")
    stage.wait_ended("q:0")
    stage.wait_for("terminal", b"unfinished\\n")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        os.write(pipe, b"too late")
    except BrokenPipeError:
        say("broken")
    """
    assert play(code).line() == "broken"


def test_signals_that_come_to_everybody_do_not_end_the_logger(play: Play) -> None:
    code = """
    stage = Stage(folder)
    pipe = stage.pipe("q:0", to="")
    for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "PIPE"):
        os.kill(stage.born.pid, getattr(signal, f"SIG{name}"))
    os.write(pipe, b"still here\\n")
    stage.wait_for("terminal", b"still here")
    say("code", stage.stop())
    """
    assert play(code).line() == "code 0"


def test_a_follow_that_is_said_twice_is_one(play: Play) -> None:
    code = """
    stage = Stage(folder)
    pipe = stage.pipe("q:0", to="")
    facts, fd = stage.followed["q:0"]
    stage.born.lifeline.say("follow", fds=(fd,), **facts)
    os.write(pipe, b"once\\n")
    os.close(pipe)
    stage.wait_ended()
    say(stage.stop(), stage.read("terminal").count(b"once"), sum(m["say"] == "ended" for m in stage.heard))
    """
    assert play(code).line() == "0 1 1"
