"""Whether the user of a queue can open the database is found out, and said, before anything runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.config import load
from procqueue.core.errors import ConfigError
from procqueue.drivers.opening import open_driver
from procqueue.process.rights import access_to_socket, lets_others_pass, who_cannot_open

GROUP = 65534  # nobody's own
QUEUE = "[queues.q]\nuser = 'nobody'\n[queues.ours]\n"
SHARED = f"[driver]\ngroup = {GROUP}\nmode = '0660'\n"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that all users may pass."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


def refused(folder: Path, text: str) -> list[str]:
    """Return what is wrong, in words."""
    (folder / "queues.toml").write_text(f"app = ['x']\n{text}")
    settings = load(str(folder / "queues.toml"), {})
    return [f"{one.line} {one.key}: {one.text}" for one in who_cannot_open(settings)]


def make_database(folder: Path) -> None:
    open_driver(load(str(folder / "queues.toml"), {}).driver).close()


def test_what_is_not_there_is_judged_by_how_it_is_to_be_made(folder: Path) -> None:
    (only,) = refused(folder, QUEUE)
    (wrong_mode,) = refused(folder, f"[driver]\ngroup = {GROUP}\n{QUEUE}")
    (wrong_group,) = refused(folder, f"[driver]\ngroup = 4242\nmode = '0660'\n{QUEUE}")

    assert only.startswith("3 queues.q.user: 'nobody' cannot open the database: ")
    assert "mode 0600 and group 0" in only
    assert "mode 0600 and group 65534" in wrong_mode
    assert "mode 0660 and group 4242" in wrong_group
    assert refused(folder, SHARED + QUEUE) == []
    assert not (folder / "run").exists()


def test_a_further_group_of_the_queue_counts(folder: Path) -> None:
    text = "[driver]\ngroup = 4242\nmode = '0660'\n[queues.q]\nuser = 'nobody'\ngroup = 4242\n"

    assert refused(folder, text) == []


def test_what_is_there_is_tried(folder: Path) -> None:
    assert refused(folder, SHARED + QUEUE) == []
    make_database(folder)
    assert refused(folder, SHARED + QUEUE) == []

    os.chmod(folder / "run/db/queue.db.gate", 0o600)
    assert "may not write" in refused(folder, SHARED + QUEUE)[0]
    os.chmod(folder / "run/db", 0o750)
    assert f"may not write in {folder}/run/db" in refused(folder, SHARED + QUEUE)[0]
    os.chmod(folder, 0o700)
    assert f"may not pass {folder}" in refused(folder, SHARED + QUEUE)[0]


def test_a_state_directory_that_a_start_will_open_is_no_reason(folder: Path) -> None:
    refused(folder, SHARED + QUEUE)
    make_database(folder)
    os.chmod(folder / "run", 0o700)

    assert refused(folder, SHARED + QUEUE) == []


def test_redis_has_no_files(folder: Path) -> None:
    assert refused(folder, "[driver]\nurl = 'redis://localhost'\n" + QUEUE) == []


def test_a_disabled_queue_asks_for_nothing(folder: Path) -> None:
    assert refused(folder, "[queues.q]\nuser = 'nobody'\nenabled = false\n[queues.ours]\n") == []


def test_the_group_of_the_socket_is_looked_up_and_a_missing_one_is_an_error_with_its_line(
    folder: Path,
) -> None:
    file = folder / "queues.toml"
    file.write_text("app = ['x']\n[master]\nsocket_group = 'nogroup'\nsocket_mode = '0660'\n[queues.q]\n")
    settings = load(str(file), {})
    access = access_to_socket(settings)
    file.write_text("app = ['x']\n[master]\nsocket_group = 'no-such-group'\n[queues.q]\n")

    with pytest.raises(ConfigError) as caught:
        access_to_socket(load(str(file), {}))

    assert (access.mode, access.group) == (0o660, GROUP)
    assert lets_others_pass(settings)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (3, "master.socket_group")
    assert "no such group" in problem.text
