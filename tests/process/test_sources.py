"""What counts as a change of the sources or the configuration: real files, no process."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from procqueue.config import load
from procqueue.process.sources import Changes, Sources, forget_compiled

NOTHING = Changes((), config=False)
Make = Callable[..., Sources]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a project with files, and its sources as they are first seen."""

    def made(config: str = "", **files: str) -> Sources:
        (tmp_path / "procqueue.toml").write_text(f'app = ["app"]\n{config}\n[queues.q]\n')
        for name, text in {"app.py": "a = 1\n", **files}.items():
            write(tmp_path / name, text)
        return Sources(load(str(tmp_path / "procqueue.toml"), {}))

    return made


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def code(tmp_path: Path, *names: str) -> Changes:
    return Changes(tuple(str(tmp_path / name) for name in names), config=False)


def test_another_content_is_a_change_until_it_is_told(make: Make, tmp_path: Path) -> None:
    sources = make()
    write(tmp_path / "app.py", "a = 22\n")

    assert sources.look() == sources.look() == code(tmp_path, "app.py")
    sources.told()
    assert sources.look() == NOTHING


def test_a_file_that_is_written_twice_in_the_same_moment_is_read_again(make: Make, tmp_path: Path) -> None:
    sources = make()
    before = os.stat(tmp_path / "app.py")
    write(tmp_path / "app.py", "a = 2\n")  # the same size, and soon the same date
    os.utime(tmp_path / "app.py", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert sources.look() == code(tmp_path, "app.py")


def test_touch_and_a_change_that_is_taken_back_are_none(make: Make, tmp_path: Path) -> None:
    sources = make()
    os.utime(tmp_path / "app.py", (1, 1))
    assert sources.look() == NOTHING

    write(tmp_path / "app.py", "a = 22\n")
    assert sources.look() != NOTHING
    write(tmp_path / "app.py", "a = 1\n")
    assert sources.look() == NOTHING


def test_new_removed_and_renamed_files_count(make: Make, tmp_path: Path) -> None:
    sources = make(**{"old.py": "", "name.py": ""})
    write(tmp_path / "package/new.py", "")
    (tmp_path / "old.py").unlink()
    (tmp_path / "name.py").rename(tmp_path / "other.py")

    assert sources.look() == code(tmp_path, "name.py", "old.py", "other.py", "package/new.py")
    assert str(tmp_path / "package") in sources.directories


def test_a_save_by_renaming_a_temporary_file_is_one_change(make: Make, tmp_path: Path) -> None:
    sources = make()
    write(tmp_path / ".app.py.swp", "a = 3\n")
    write(tmp_path / "app.py~", "a = 1\n")
    write(tmp_path / "4913", "")
    (tmp_path / ".app.py.swp").rename(tmp_path / "app.py")

    assert sources.look() == code(tmp_path, "app.py")


def test_what_is_no_source_of_the_application_is_not_watched(make: Make, tmp_path: Path) -> None:
    sources = make(**{
        ".git/hook.py": "", ".venv/lib/x.py": "", "node_modules/x.py": "", "run/x.py": "", "data.json": "{}",
        "own/pyvenv.cfg": "", "own/x.py": "", "__pycache__/app.py": "",
    })  # fmt: skip

    assert sources.directories == {str(tmp_path)}
    for name in (".git/hook.py", "node_modules/x.py", "run/x.py", "own/x.py", "data.json"):
        write(tmp_path / name, "other")
        assert sources.look() == NOTHING, name


def test_what_git_ignores_is_not_watched_but_where_reload_says_otherwise(make: Make, tmp_path: Path) -> None:
    sources = make(
        config='[reload]\nignore = ["tests/", "!made/keep.py"]',
        **{".gitignore": "gen_*.py\nmade/*\n", "sub/.gitignore": "!gen_here.py\n", "tests/x.py": ""},
    )
    for name in ("gen_a.py", "made/a.py", "tests/x.py"):
        write(tmp_path / name, "changed")
        assert sources.look() == NOTHING, name

    for name in ("made/keep.py", "sub/gen_here.py"):
        write(tmp_path / name, "changed")
        assert sources.look() == code(tmp_path, name)
        sources.told()


def test_a_named_file_counts_whatever_its_kind_and_before_it_is_there(make: Make, tmp_path: Path) -> None:
    sources = make(config='[reload]\npaths = ["app.py", "page.html"]')
    write(tmp_path / "other.py", "")
    assert sources.look() == NOTHING

    write(tmp_path / "page.html", "<p>")
    assert sources.look() == code(tmp_path, "page.html")


def test_the_configuration_is_watched_with_what_it_includes_and_may_include(
    make: Make, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    sources = make(config='include = ["more/*.toml"]\n[reload]\npaths = ["src"]')
    assert {str(tmp_path), str(tmp_path / "more")} <= sources.directories

    write(tmp_path / "more/r.toml", "[queues.r]\n")
    assert sources.look() == Changes((), config=True)
    sources.told()
    write(tmp_path / "procqueue.toml", "half a")
    assert sources.look() == Changes((), config=True)


def test_a_link_that_leads_back_is_not_followed(make: Make, tmp_path: Path) -> None:
    sources = make()
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "missing")

    assert sources.look() == NOTHING
    assert sources.directories == {str(tmp_path)}


def test_a_pipe_that_is_named_like_a_source_holds_up_nobody(make: Make, tmp_path: Path) -> None:
    sources = make()
    os.mkfifo(tmp_path / "pipe.py")

    assert sources.look() == NOTHING


def test_compiled_code_of_a_changed_file_is_removed(make: Make, tmp_path: Path) -> None:
    make()
    compiled = tmp_path / "__pycache__" / f"app.{sys.implementation.cache_tag}.pyc"
    write(compiled, "old")

    forget_compiled([str(tmp_path / "app.py"), str(tmp_path / "missing.py")])

    assert not compiled.exists()
