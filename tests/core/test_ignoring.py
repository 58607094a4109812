"""Patterns of files that do not count."""

import pytest

from procqueue.core.ignoring import is_editors_own, is_ignored, patterns


@pytest.mark.parametrize(
    ("line", "path", "directory", "ignored"),
    [
        ("*.py", "/r/a.py", False, True),
        ("*.py", "/r/deep/er/a.py", False, True),
        ("*.py", "/r/a.pyc", False, False),
        ("build/", "/r/build", True, True),
        ("build/", "/r/build", False, False),
        ("/a.py", "/r/a.py", False, True),
        ("/a.py", "/r/b/a.py", False, False),
        ("b/*.py", "/r/b/a.py", False, True),
        ("b/*.py", "/r/c/b/a.py", False, False),
        ("**/b/a.py", "/r/c/d/b/a.py", False, True),
        ("b/**", "/r/b/c/d.py", False, True),
        ("a?.py", "/r/ab.py", False, True),
        ("a[0-9].py", "/r/a1.py", False, True),
        ("a[!0-9].py", "/r/a1.py", False, False),
        ("./a.py", "/r/a.py", False, True),
        ("# a.py", "/r/a.py", False, False),
        ("", "/r/a.py", False, False),
        ("[z-a].py", "/r/a.py", False, False),  # no pattern at all
        ("a.py", "/elsewhere/a.py", False, False),
    ],
)
def test_a_pattern_matches_as_in_gitignore(line: str, path: str, directory: bool, ignored: bool) -> None:
    assert is_ignored(path, patterns([line], "/r"), directory=directory) is ignored


def test_the_last_pattern_that_matches_decides() -> None:
    written = patterns(["*.py", "!keep.py"], "/r")

    assert is_ignored("/r/other.py", written, directory=False)
    assert not is_ignored("/r/keep.py", written, directory=False)


@pytest.mark.parametrize("name", ["a.py~", ".#a.py", "#a.py#", "a.py___jb_tmp___", ".~lock.a.py"])
def test_what_editors_write_beside_a_file_is_known(name: str) -> None:
    assert is_editors_own(name)


def test_a_file_of_the_application_is_not_the_editors() -> None:
    assert not is_editors_own("_private.py")
