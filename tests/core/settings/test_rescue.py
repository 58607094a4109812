"""state_dir is found in files that are otherwise broken, so that a running master can be reached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.errors import ConfigError
from procqueue.core.settings.rescue import state_dir_in


def state_dir(text: str, file: str = "/srv/shop/etc/queues.toml") -> str:
    return state_dir_in(text, file=file, name="etc/queues.toml", environ={"DIR": "/run/x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "/srv/shop/run"),
        ('[master]\nstate_dir = "var"', "/srv/shop/var"),
        ('root = "/srv/other"\n[master]\nstate_dir = "var"', "/srv/other/var"),
        ('[master]\nstate_dir = "${DIR}"', "/run/x"),
        ('[master]\nstate_dir = "var"\nunknown = 1\n[queues.ALL]\nprocesses = "x"', "/srv/shop/var"),
        ('[master]\nstate_dir = "var"\n[queues.emails\nx = ', "/srv/shop/var"),
        ('x = "\n[master] # here\r\nstate_dir = "var" # there\r\n', "/srv/shop/var"),
        ('root = "/srv/other"\nx = [\nmaster.state_dir = "var"', "/srv/other/var"),
        ('x = \nmaster = {state_dir = "var"}', "/srv/shop/var"),
        ('x = \n[queues.emails]\nstate_dir = "no"\nroot = "no"', "/srv/shop/run"),
        ('a = 1\na = 1\n[ master ]\nstate_dir="var"', "/srv/shop/var"),
        ("master = 3", "/srv/shop/run"),
    ],
)
def test_the_state_dir_is_found_whatever_else_is_wrong(text: str, expected: str) -> None:
    assert state_dir(text) == expected


def test_an_absolute_state_dir_needs_no_root() -> None:
    assert state_dir('[master]\nstate_dir = "/run/shop"', "/etc/queues.toml") == "/run/shop"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[master]\nstate_dir = 3", "master.state_dir"),
        ('[master]\nstate_dir = "${MISSING}"', "master.state_dir"),
        ("root = 3", "root"),
    ],
)
def test_a_state_dir_that_cannot_be_read_is_told_with_the_way_around_it(text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        state_dir(text)

    (problem,) = caught.value.problems
    assert problem.key == key
    assert "PROCQUEUE_STATE_DIR" in problem.hint


@given(st.one_of(st.text(), st.text(alphabet='[]master.state_dir="run"\n ')))
def test_any_text_gives_a_place_or_a_config_error(text: str) -> None:
    try:
        assert state_dir(text).startswith("/")
    except ConfigError as error:
        assert error.problems
