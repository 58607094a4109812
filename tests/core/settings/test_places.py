"""Where relative paths start, for every place in which a configuration file may stand."""

from __future__ import annotations

import pytest

from procqueue.core.settings.decode import Facts, decode_text
from procqueue.core.settings.places import placed, root_of
from procqueue.core.settings.wrong import Wrong
from tests.core.settings.reading import APP


@pytest.mark.parametrize(
    ("file", "root"),
    [
        ("/srv/shop/procqueue.toml", "/srv/shop"),
        ("/srv/shop/etc/queues.toml", "/srv/shop"),
        ("/srv/shop/conf/queues.toml", "/srv/shop"),
        ("/srv/shop/config/queues.toml", "/srv/shop"),
        ("/srv/etcetera/queues.toml", "/srv/etcetera"),
        ("/etc/shop/queues.toml", "/etc/shop"),
    ],
)
def test_the_root_is_the_directory_of_the_file_or_the_parent_of_etc(file: str, root: str) -> None:
    assert root_of(file, "") == root


@pytest.mark.parametrize("file", ["/etc/queues.toml", "/config/queues.toml", "/procqueue.toml"])
def test_where_the_place_says_nothing_the_root_has_to_be_written(file: str) -> None:
    with pytest.raises(Wrong) as caught:
        root_of(file, "")

    assert caught.value.hint == 'say root = "/path/of/the/application"'


def test_a_written_root_wins_and_is_relative_to_the_file() -> None:
    assert root_of("/etc/queues.toml", "/srv/shop") == "/srv/shop"
    assert root_of("/srv/shop/deploy/queues.toml", "..") == "/srv/shop"


def test_paths_start_at_the_root_unless_they_are_absolute() -> None:
    assert placed("/srv/shop", "run") == "/srv/shop/run"
    assert placed("/srv/shop", ".") == "/srv/shop"
    assert placed("/srv/shop", "../shared/run") == "/srv/shared/run"
    assert placed("/srv/shop", "/run/shop") == "/run/shop"


def test_all_relative_paths_of_the_settings_are_made_absolute() -> None:
    text = APP + '[driver]\nurl = "sqlite:///data/q.db"\n[master]\nstate_dir = "var"\n[queues.emails]'

    read = decode_text(text, file="/srv/current/etc/queues.toml", environ={}, facts=Facts())

    assert (read.root, read.path, read.master.name) == ("/srv/current", "/srv/current", "current")
    assert read.master.state_dir == "/srv/current/var"
    assert read.driver.url == "sqlite:////srv/current/data/q.db"
