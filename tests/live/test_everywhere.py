"""restart --everywhere: each host that is there restarts the queue once, and those that come later do not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import Make
from tests.live.harness import Project, settled, verb
from tests.live.test_hosts import NewHost, hosts_of


@pytest.fixture
def new_host(make: Make, url: str | None, tmp_path: Path) -> Iterator[NewHost]:
    yield from hosts_of(make, url or f"sqlite:///{tmp_path}/db/queue.db")


def generation(host: Project) -> int:
    consumers = host.status()["queues"]["q"]["consumers"]
    return max((one["generation"] for one in consumers), default=0)


def wait_generation(host: Project, number: int) -> None:
    host.wait_until(lambda: generation(host) == number and settled(host), f"generation {number} everywhere")


def wait_rounds(*hosts: Project) -> None:
    """Wait until each scheduler has looked into the store twice, from now on."""
    for host in hosts:
        for _ in range(2):
            at = host.status()["counts_at"]
            host.wait_until(lambda h=host, a=at: h.status()["counts_at"] > a, "a round")  # type: ignore[misc]


def test_each_host_restarts_once_and_whoever_comes_later_does_not(new_host: NewHost) -> None:
    one, two, later = new_host("one"), new_host("two"), new_host("later")
    for host in (one, two):
        host.start()
        wait_generation(host, 1)
    before = {pid for host in (one, two) for pid in host.pids("q")}

    assert "asked all hosts" in verb(one, "restart", "q", "--everywhere")
    for host in (one, two):
        wait_generation(host, 2)
    later.start()

    wait_rounds(one, two, later)
    assert [generation(host) for host in (one, two, later)] == [2, 2, 1]
    assert not before & {pid for host in (one, two) for pid in host.pids("q")}
    verb(later, "restart", "--everywhere", "--json")
    for host, number in ((one, 3), (two, 3), (later, 2)):
        wait_generation(host, number)


def test_a_scheduler_that_was_dead_meanwhile_and_one_that_is_new_change_nothing(new_host: NewHost) -> None:
    host = new_host("one")
    host.start()
    wait_generation(host, 1)
    os.kill(host.status()["scheduler"]["pid"], signal.SIGKILL)

    verb(host, "restart", "q", "--everywhere")

    wait_generation(host, 2)
    os.kill(host.status()["scheduler"]["pid"], signal.SIGKILL)
    host.wait_until(host.is_ready, "another scheduler")
    wait_rounds(host)
    assert generation(host) == 2


def test_it_needs_no_master_and_is_no_wish_of_one_that_comes(new_host: NewHost) -> None:
    host = new_host("one")
    answer: Any = verb(host, "restart", "q", "--everywhere")
    assert "q" in answer
    verb(host, "restart", "q", "--everywhere", "--wait", code=2)
    verb(host, "restart", "nobody", "--everywhere", code=2)

    host.start()

    wait_rounds(host)
    assert generation(host) == 1
