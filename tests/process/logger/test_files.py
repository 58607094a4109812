"""A file that takes lines: rotation, moving, deleting, reopening."""

from collections.abc import Callable
from pathlib import Path

from procqueue.process.logger import lines
from procqueue.process.logger.files import FileTarget
from tests.process.actors import Actor

Play = Callable[..., Actor]


def told(*_: object) -> None:
    """Stand for the master, who hears of troubles."""


def target(path: Path, most: int, backups: int) -> FileTarget:
    return FileTarget(str(path), most, backups, lines.for_file, told)


def put(one: FileTarget, data: bytes) -> None:
    assert one.prepare(data, 1) is not None
    one.write(data, 1)


def texts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_old_files_are_shifted_and_the_oldest_goes(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 10, 2)

    for number in range(5):
        put(one, b"line %d\n" % number)

    assert texts(tmp_path) == {"log": b"line 4\n", "log.1": b"line 3\n", "log.2": b"line 2\n"}


def test_a_file_is_filled_to_its_limit_and_not_over_it(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 14, 9)

    for number in range(4):
        put(one, b"line %d\n" % number)

    assert texts(tmp_path) == {"log": b"line 2\nline 3\n", "log.1": b"line 0\nline 1\n"}


def test_with_no_backups_a_new_file_begins_and_who_reads_the_old_one_keeps_it(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 10, 0)
    put(one, b"line 0\n")

    with (tmp_path / "log").open("rb") as reader:
        put(one, b"line 1\n")

        assert reader.read() == b"line 0\n"
    assert texts(tmp_path) == {"log": b"line 1\n"}


def test_a_line_longer_than_the_limit_has_a_file_of_its_own(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 10, 2)

    for data in (b"a\n", b"long " * 10 + b"\n", b"b\n"):
        put(one, data)

    assert texts(tmp_path) == {"log": b"b\n", "log.1": b"long " * 10 + b"\n", "log.2": b"a\n"}


def test_zero_means_that_it_grows_for_ever(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 0, 2)

    for _ in range(100):
        put(one, b"line\n" * 100)

    assert list(texts(tmp_path)) == ["log"]


def test_where_it_may_not_rotate_it_goes_on_in_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "log.1").mkdir()
    (tmp_path / "log.1" / "in the way").touch()
    problems = []
    one = FileTarget(str(tmp_path / "log"), 10, 1, lines.for_file, lambda *facts: problems.append(facts))

    for number in range(3):
        put(one, b"line %d\n" % number)

    assert (tmp_path / "log").read_bytes() == b"line 0\nline 1\nline 2\n"
    assert [(what, name.rpartition("/")[2]) for what, name, _, _ in problems] == [
        ("problem", "log (rotation)")
    ]


def test_a_deleted_file_is_made_anew_at_once(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 0, 0)
    put(one, b"one\n")

    (tmp_path / "log").unlink()
    put(one, b"two\n")

    assert texts(tmp_path) == {"log": b"two\n"}


def test_after_reopen_lines_go_to_the_name_and_not_to_the_moved_file(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 0, 0)
    put(one, b"one\n")
    (tmp_path / "log").rename(tmp_path / "moved")
    put(one, b"two\n")

    one.reopen()
    put(one, b"three\n")

    assert texts(tmp_path) == {"log": b"three\n", "moved": b"one\ntwo\n"}


def test_a_moved_file_is_noticed_without_a_word(play: Play) -> None:
    code = """
    stage = Stage(folder)
    pipe = stage.pipe("q:0", to=f"{folder}/file")
    os.write(pipe, b"one\\n")
    stage.wait_for("file", b"one")
    os.rename(f"{folder}/file", f"{folder}/moved")
    def there():
        os.write(pipe, b"next\\n")
        return stage.read("file")
    stage.wait(there, "a new file")
    say("there")
    """
    assert play(code).line() == "there"


def test_a_truncated_file_is_gone_on_with_at_its_new_end(tmp_path: Path) -> None:
    one = target(tmp_path / "log", 10, 1)
    put(one, b"line 0\n")

    (tmp_path / "log").write_bytes(b"")
    put(one, b"line 1\n")

    assert texts(tmp_path) == {"log": b"line 1\n"}


def test_usr1_of_the_master_reaches_all_files(play: Play) -> None:
    code = """
    stage = Stage(folder)
    pipe = stage.pipe("q:0", to=f"{folder}/file")
    os.write(pipe, b"one\\n")
    stage.wait_for("file", b"one")
    os.rename(f"{folder}/file", f"{folder}/moved")
    stage.born.lifeline.say("reopen")
    os.write(stage.pipe("q:1", to="none"), b"behind the reopen\\n")
    stage.wait_for("logs/q.log", b"behind")
    os.write(pipe, b"two\\n")
    stage.wait_for("file", b"two")
    say(stage.lines("moved"))
    """
    assert play(code).line() == "[b'one']"
