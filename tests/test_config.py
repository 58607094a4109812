"""The configuration on the disk: which file is found, what is included, and how reading it can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procqueue.config import load
from procqueue.core.errors import ConfigError, Problem
from procqueue.finding import find, state_dir_of

QUEUES = 'app = ["shop.tasks"]\n[queues.emails]\n'


def write(path: Path, text: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def problems_of(path: Path | str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ or {})
    return caught.value.problems


# ── which file


def test_the_argument_wins_over_the_environment_which_wins_over_the_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "etc/queues.toml", QUEUES)

    assert find(None, {}) == "etc/queues.toml"
    write(tmp_path / "procqueue.toml", QUEUES)
    assert find(None, {}) == "procqueue.toml"
    assert find(None, {"PROCQUEUE_CONFIG": "other.toml"}) == "other.toml"
    assert find("mine.toml", {"PROCQUEUE_CONFIG": "other.toml"}) == "mine.toml"


def test_without_any_file_all_ways_to_name_one_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        load(None, {})

    text = str(caught.value)
    assert all(word in text for word in ("procqueue.toml", "etc/queues.toml", str(tmp_path)))
    assert all(word in text for word in ("-c", "PROCQUEUE_CONFIG", "write one"))


def test_a_relative_name_becomes_absolute_and_problems_keep_it_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "etc/queues.toml", QUEUES)

    read = load("etc/queues.toml", {})

    assert (read.file, read.root, read.files) == (file, str(tmp_path), (file,))
    write(tmp_path / "etc/queues.toml", QUEUES + "surge = -1")
    assert problems_of("etc/queues.toml")[0].file == "etc/queues.toml"


def test_a_release_directory_that_is_a_link_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "releases/42/etc/queues.toml", QUEUES)
    current = tmp_path / "current"
    current.symlink_to("releases/42")

    assert load(str(current / "etc/queues.toml"), {}).root == str(current)
    monkeypatch.chdir(current)
    assert load(None, {"PWD": str(current)}).root == str(current)


def test_a_stale_pwd_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "procqueue.toml", QUEUES)
    monkeypatch.chdir(tmp_path)

    for stale in ("/", "/nowhere", ".", "a\0b"):
        assert load(None, {"PWD": stale}).root == str(tmp_path)


def test_a_relative_name_in_a_directory_that_is_gone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    for path in (None, "etc/queues.toml"):
        with pytest.raises(ConfigError, match="current directory"):
            load(path, {})


# ── files that cannot be read


def test_a_missing_file_is_told_with_its_whole_name(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "queues.toml")

    assert problem.text == f"there is no file {tmp_path}/queues.toml"
    assert problem.hint


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path)

    assert problem.text == "is a directory"
    assert "etc/queues.toml" in problem.hint


def test_a_file_that_may_not_be_read_names_the_user(tmp_path: Path) -> None:
    file = write(tmp_path / "queues.toml", QUEUES)
    Path(file).chmod(0)

    with not_as_root() as user:
        (problem,) = problems_of(file)

    assert f"user {user} may not read it" in problem.text


@contextmanager
def not_as_root() -> Iterator[int]:
    """Be somebody who may not read everything; yields the effective user."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield os.geteuid()
    finally:
        os.seteuid(before)


def test_text_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path / "queues.toml", QUEUES.encode() + b'name = "caf\xe9"'))

    assert problem.line == 3
    assert "not UTF-8: byte 0xe9" in problem.text


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert load(write(tmp_path / "queues.toml", b"\xef\xbb\xbf" + QUEUES.encode()), {}).queues


def test_what_is_no_configuration_at_all_is_not_read_to_its_end() -> None:
    (problem,) = problems_of("/dev/zero")

    assert "is larger than 16 MiB" in problem.text


def test_names_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    assert problems_of("a\0b")[0].text == "a path cannot hold a NUL character"
    assert problems_of(tmp_path / ("x" * 5000))
    assert problems_of(Path(write(tmp_path / "file", "")) / "queues.toml")


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "queues.toml"
    loop.symlink_to(loop)

    (problem,) = problems_of(loop)

    assert "cannot be read" in problem.text


# ── includes


def test_included_files_are_read_in_sorted_order_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    main = write(tmp_path / "etc/queues.toml", 'include = ["queues.d/*.toml"]\n' + QUEUES)
    b = write(tmp_path / "etc/queues.d/b.toml", "[queues.b]")
    a = write(tmp_path / "etc/queues.d/a.toml", 'include = ["../more.toml"]\n[queues.a]')
    more = write(tmp_path / "etc/more.toml", "[queues.more]")

    read = load(main, {})

    assert list(read.queues) == ["emails", "a", "more", "b"]
    assert read.files == (main, a, more, b)


def test_problems_in_included_files_name_them_as_the_main_file_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "etc/queues.toml", 'include = ["queues.d/*"]\n' + QUEUES)
    write(tmp_path / "etc/queues.d/a.toml", "\n[queues.emails]")

    (problem,) = problems_of("etc/queues.toml")

    assert (problem.file, problem.line) == ("etc/queues.d/a.toml", 2)
    assert "etc/queues.toml:3 and etc/queues.d/a.toml:2" in problem.text


def test_a_glob_may_match_nothing_and_a_plain_name_may_not(tmp_path: Path) -> None:
    text = 'include = ["queues.d/*.toml", "more.toml"]\n' + QUEUES

    (problem,) = problems_of(write(tmp_path / "queues.toml", text))

    assert (problem.line, problem.key) == (1, "include")
    assert f"{tmp_path}/more.toml" in problem.text


def test_all_files_that_cannot_be_read_are_told_at_once(tmp_path: Path) -> None:
    main = write(tmp_path / "queues.toml", 'include = ["a.toml", "b.toml", "c.toml", "d.toml"]\n' + QUEUES)
    write(tmp_path / "a.toml", "x = ")
    write(tmp_path / "b.toml", b"\xff")
    (tmp_path / "c.toml").mkdir()

    assert [Path(problem.file).name for problem in problems_of(main)] == [
        "a.toml",
        "b.toml",
        "c.toml",
        "queues.toml",
    ]


def test_a_cycle_of_includes_is_refused(tmp_path: Path) -> None:
    main = write(tmp_path / "queues.toml", 'include = ["more.toml"]\n' + QUEUES)
    write(tmp_path / "more.toml", '\ninclude = ["queues.*"]')

    (problem,) = problems_of(main)

    assert (Path(problem.file).name, problem.line) == ("more.toml", 2)
    assert "a cycle" in problem.text


def test_a_cycle_through_a_link_is_refused_too(tmp_path: Path) -> None:
    main = write(tmp_path / "queues.toml", 'include = ["link/queues.toml"]\n' + QUEUES)
    (tmp_path / "link").symlink_to(".")

    assert "a cycle" in problems_of(main)[0].text


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    main = write(tmp_path / "queues.toml", 'include = ["a.toml", "*.d/*", "[a].toml"]\n' + QUEUES)
    write(tmp_path / "a.toml", "[queues.a]")

    assert list(load(main, {}).queues) == ["emails", "a"]


def test_a_directory_with_brackets_in_its_name_is_no_pattern(tmp_path: Path) -> None:
    main = write(tmp_path / "shop[1]/queues.toml", 'include = ["*.d/*.toml"]\n' + QUEUES)
    write(tmp_path / "shop[1]/queues.d/a.toml", "[queues.a]")

    assert list(load(main, {}).queues) == ["emails", "a"]


# ── facts


def test_the_environment_is_expanded_and_the_hosts_cpus_are_counted(tmp_path: Path) -> None:
    text = 'app = ["${APP}"]\n[queues.emails]\nprocesses = "cpus"'

    read = load(write(tmp_path / "queues.toml", text), {"APP": "shop.tasks"})

    assert read.app == ("shop.tasks",)
    assert read.queues["emails"].processes == len(os.sched_getaffinity(0))


def test_the_password_file_is_read_relative_to_the_root(tmp_path: Path) -> None:
    write(tmp_path / "secret", "p@ss\n")
    text = QUEUES + '[driver]\nhost = "db1"\npassword_file = "secret"'

    assert load(write(tmp_path / "etc/queues.toml", text), {}).driver.url == "redis://:p%40ss@db1:6379/0"


def test_a_missing_password_file_is_told_at_its_key(tmp_path: Path) -> None:
    text = QUEUES + '[driver]\nhost = "db1"\npassword_file = "secret"'

    (problem,) = problems_of(write(tmp_path / "queues.toml", text))

    assert (problem.line, problem.key) == (5, "driver.password_file")
    assert f"{tmp_path}/secret: there is no file" in problem.text


# ── state_dir alone


def test_the_state_dir_is_found_in_a_broken_file(tmp_path: Path) -> None:
    file = write(tmp_path / "etc/queues.toml", b'[master]\nstate_dir = "var"\n[queues.\xff\nx = ')

    assert state_dir_of(file, {}) == f"{tmp_path}/var"


def test_the_state_dir_is_the_same_as_that_of_the_whole_settings(tmp_path: Path) -> None:
    for lines in ("", '[master]\nstate_dir = "${DIR}"', '[master]\nstate_dir = "/run/x"'):
        file = write(tmp_path / "etc/queues.toml", QUEUES + lines)

        assert state_dir_of(file, {"DIR": "../var"}) == load(file, {"DIR": "../var"}).master.state_dir


def test_the_environment_may_name_the_state_dir_without_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert state_dir_of(None, {"PROCQUEUE_STATE_DIR": "/run/shop"}) == "/run/shop"
    assert state_dir_of(None, {"PROCQUEUE_STATE_DIR": "run"}) == f"{tmp_path}/run"
    with pytest.raises(ConfigError):
        state_dir_of(None, {})


def test_reading_the_configuration_imports_nothing_heavy() -> None:
    heavy = "{'msgspec', 'click', 'redis', 'psutil', 'sqlite3', 'rich', 'watchfiles', 'asyncio', 'difflib'}"
    code = f"import procqueue.config, sys; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
