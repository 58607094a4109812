"""The format of an env_file, and that nothing in it is guessed."""

import pytest

from procqueue.process.programs.envfile import Malformed, parse


def test_lines_set_variables_and_the_later_one_wins() -> None:
    text = "\ufeff# a comment\n\nA=1\nexport B = two words \nA=3\nEMPTY=\nEQ=a=b\r\n"

    assert parse(text) == {"A": "3", "B": "two words", "EMPTY": "", "EQ": "a=b"}


def test_quotes_keep_what_they_hold_and_nothing_is_expanded() -> None:
    text = 'A=\'a #b \\n $HOME\'\nB="x\\n\\"y\\" $HOME" # why\nC=$HOME\nD=a#b\n'

    assert parse(text) == {"A": "a #b \\n $HOME", "B": 'x\n"y" $HOME', "C": "$HOME", "D": "a#b"}


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("A=1\nsecret", 2, "not KEY=VALUE"),
        ("=1", 1, "not KEY=VALUE"),
        ("A B=1", 1, "not KEY=VALUE"),
        ("1A=1", 1, "not KEY=VALUE"),
        ("A='x", 1, "not closed"),
        ('A="x\\"', 1, "not closed"),
        ("A='x' y", 1, "follows"),
        ("A=x # y", 1, "must be quoted"),
        ("A=x\0y", 1, "NUL"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_not_shown(text: str, line: int, why: str) -> None:
    with pytest.raises(Malformed, match=why) as raised:
        parse(text)

    assert raised.value.line == line
    assert "secret" not in str(raised.value)
