"""Speaking to the service manager, over real datagram sockets."""

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procqueue.process.systemd import Systemd

Speaker = Callable[[dict[str, str]], Systemd]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{tmp_path}" if request.param == "abstract" else f"{tmp_path}/notify")
        end.settimeout(20)
        yield end


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    made: list[Systemd] = []

    def make(environ: dict[str, str]) -> Systemd:
        made.append(Systemd(environ))
        return made[-1]

    yield make
    for one in made:
        one.close()


def environment_of(manager: socket.socket, **more: str) -> dict[str, str]:
    name = manager.getsockname()
    address = "@" + name[1:].decode() if isinstance(name, bytes) else name
    return {"NOTIFY_SOCKET": address, "HOME": "/", **more}


def said(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_each_word_is_one_datagram(manager: socket.socket, speaker: Speaker) -> None:
    systemd = speaker(environment_of(manager))

    systemd.ready("3 queues\n  ready")
    systemd.status("busy")
    systemd.extend(2.5)
    systemd.stopping()

    assert [said(manager) for _ in range(4)] == [
        ["READY=1", "STATUS=3 queues ready"], ["STATUS=busy"], ["EXTEND_TIMEOUT_USEC=2500000"],
        ["STOPPING=1"],
    ]  # fmt: skip
    systemd.close()
    systemd.ready()  # is no error


def test_trap_32_a_reload_says_its_moment_in_the_same_datagram(
    manager: socket.socket, speaker: Speaker
) -> None:
    systemd = speaker(environment_of(manager))
    before = time.monotonic_ns() // 1000

    systemd.reloading()
    systemd.ready()

    word, moment = said(manager)
    assert word == "RELOADING=1"
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert said(manager) == ["READY=1"]


def test_trap_32_no_child_finds_what_the_manager_told_the_master(
    manager: socket.socket, speaker: Speaker
) -> None:
    environ = environment_of(
        manager, WATCHDOG_USEC="1", WATCHDOG_PID="1", LISTEN_FDS="1", LISTEN_PID="1", LISTEN_FDNAMES="x"
    )

    speaker(environ)

    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_trap_32_the_watchdog_is_fed_if_it_is_ours(
    manager: socket.socket, speaker: Speaker, given: dict[str, str], seconds: float
) -> None:
    systemd = speaker(environment_of(manager, **given))

    systemd.alive()
    systemd.ready()

    assert systemd.watchdog == seconds
    assert said(manager) == (["WATCHDOG=1"] if seconds else ["READY=1"])


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/nonexistent/notify", "/" + "x" * 200])
def test_without_a_manager_that_hears_every_word_is_none(address: str, speaker: Speaker) -> None:
    systemd = speaker({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})

    systemd.ready()
    systemd.alive()

    assert systemd.flush()


def test_a_manager_that_does_not_read_stops_nobody_and_hears_it_later(
    manager: socket.socket, speaker: Speaker
) -> None:
    systemd = speaker(environment_of(manager, WATCHDOG_USEC="1000000"))
    for _ in range(5000):  # more than the kernel keeps for anybody
        systemd.status("busy")
        systemd.alive()

    systemd.ready()
    assert not systemd.flush()
    words = []
    while select.select([manager], [], [], 0)[0]:
        words += said(manager)
        systemd.flush()

    assert words[-1] == "READY=1"
    assert words.count("READY=1") == 1
