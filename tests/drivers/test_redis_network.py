"""The way to the server, broken at the worst moments: nothing is sent twice, no reply mistaken."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.core.message import State
from procqueue.core.verdict import UNTOUCHED
from procqueue.drivers.contract import Entry, Pushed
from procqueue.drivers.redis import RedisDriver
from tests.drivers.redis_support import Proxy, opened, push, queue_name, raw, settled, sweep
from tests.fleet import free_port
from tests.servers import kinds, redis_url, start_server

#: Seconds and probes, and at last milliseconds.
GIVES_UP = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}


@pytest.fixture(params=kinds(), scope="module")
def url(request: pytest.FixtureRequest) -> str:
    return redis_url(request.param)


@pytest.fixture
def queue(url: str) -> Iterator[str]:
    name = queue_name()
    yield name
    with raw(url) as client:
        sweep(client, name)


@pytest.fixture
def server_url(tmp_path: Path) -> Iterator[str]:
    server = start_server(tmp_path)
    yield server.url
    server.stop()


@pytest.fixture
def proxy(tmp_path: Path, server_url: str) -> Iterator[Proxy]:
    with Proxy(tmp_path, server_url) as proxy:
        yield proxy


@pytest.fixture
def driver(proxy: Proxy) -> Iterator[RedisDriver]:
    """A driver behind the proxy, whose connection stands and whose scripts are loaded."""
    with opened(proxy.url, timeout=0.3) as driver:
        driver.register("emails", "c", "h")
        push(driver, "emails", "first")
        driver.turn("emails", "c", [], 0)
        driver.counts("emails")
        yield driver


def test_a_request_whose_reply_is_lost_is_applied_exactly_once(driver: RedisDriver, proxy: Proxy) -> None:
    requests: list[bytes] = []
    proxy.on_request = lambda data: requests.append(data) or data  # type: ignore[func-returns-value]
    proxy.on_reply = lambda _: None

    with pytest.raises(DriverUnavailable) as broken:
        push(driver, "emails", "second")

    assert broken.value.sent
    assert len(requests) == 1, "the library repeated the request"
    proxy.on_reply = lambda data: data
    assert driver.counts("emails").waiting == 2
    assert driver.push("emails", [Entry("second", b"{}")]) == [Pushed.DUPLICATE]


def test_a_reservation_whose_reply_is_lost_comes_back_by_compare(driver: RedisDriver, proxy: Proxy) -> None:
    proxy.on_reply = lambda _: None
    with pytest.raises(DriverUnavailable):
        driver.turn("emails", "c", [], 1)
    proxy.on_reply = lambda data: data

    turn = driver.turn("emails", "c", [], 1)
    assert (turn.taken, turn.owned) == ((), 1)
    assert driver.compare("emails", "c", []).returned == 1
    assert [one.id for one in driver.turn("emails", "c", [], 1).taken] == ["first"]


def test_a_half_open_server_ends_in_unavailable_within_the_timeout(driver: RedisDriver, proxy: Proxy) -> None:
    proxy.on_request = lambda _: b""
    began = time.monotonic()

    with pytest.raises(DriverUnavailable) as broken:
        driver.counts("emails")

    assert broken.value.sent
    assert time.monotonic() - began < 5


def test_a_reply_that_is_cut_in_its_middle_is_no_reply(driver: RedisDriver, proxy: Proxy) -> None:
    cut = threading.Event()

    def cut_off(data: bytes) -> bytes | None:
        if cut.is_set():
            return None
        cut.set()
        return data[: len(data) // 2]

    proxy.on_reply = cut_off
    with pytest.raises(DriverUnavailable) as broken:
        driver.messages("emails", State.WAITING, 0, 10)
    proxy.on_reply = lambda data: data

    assert broken.value.sent and cut.is_set()
    assert [one.id for one in driver.messages("emails", State.WAITING, 0, 10)] == ["first"]


def test_the_kernel_gives_a_silent_peer_up_on_every_connection(tmp_path: Path) -> None:
    port = free_port()
    server = start_server(tmp_path, "--port", str(port))
    with opened(f"redis://127.0.0.1:{port}") as driver:
        driver.counts("emails")
        driver.wait(["emails"], 0.01, [])

        for link in (driver._link, driver._waiter._link):
            with socket.socket(fileno=os.dup(link.fileno())) as sock:
                tcp = {n: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, n)) for n in GIVES_UP}
                assert tcp == GIVES_UP and sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    server.stop()


def test_a_server_that_accepts_and_says_nothing_is_unavailable(proxy: Proxy) -> None:
    proxy.on_request = lambda _: b""
    with opened(proxy.url, timeout=0.2) as driver, pytest.raises(DriverUnavailable) as broken:
        driver.counts("emails")

    assert not broken.value.sent


def test_a_reply_that_comes_too_late_is_nobodys(driver: RedisDriver, proxy: Proxy) -> None:
    gate = threading.Event()
    late: list[bytes] = []

    def hold(data: bytes) -> bytes:
        if not gate.is_set():
            late.append(data)
            gate.wait(20)
        return data

    proxy.on_reply = hold
    with pytest.raises(DriverUnavailable):
        driver.counts("emails")
    gate.set()

    assert driver.message("emails", "first") is not None
    assert late


def test_d14_an_exception_in_the_midst_of_a_call_takes_its_connection_along(
    driver: RedisDriver, proxy: Proxy
) -> None:
    class Alarm(BaseException):
        pass

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Alarm

    def strike(data: bytes) -> bytes:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        return data

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        proxy.on_reply = strike  # after the server has answered, before the reply is read
        with pytest.raises(Alarm):
            driver.counts("emails")
            raise Alarm  # the reply may have been read before the signal was handled
    finally:
        proxy.on_reply = lambda data: data
        signal.signal(signal.SIGUSR1, before)

    for _ in range(20):
        assert driver.counts("emails").waiting == 1
        stored = driver.message("emails", "first")
        assert stored is not None
        assert driver.consumers("emails", "h") == ["c"]


def test_after_a_fork_the_child_may_not_use_it_and_holds_no_descriptor(url: str, queue: str) -> None:
    with opened(url) as driver:
        driver.wait([queue], 0, [])
        push(driver, queue, "a")
        inherited = [driver._link.fileno(), driver._waiter._link.fileno()]

        child = os.fork()
        if child == 0:
            os._exit(_look_around(driver, queue, inherited))
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert driver.counts(queue).waiting == 1
        assert driver.wait([queue], 20, [])


def _look_around(driver: RedisDriver, queue: str, inherited: list[int]) -> int:
    for number, fd in enumerate(inherited):
        try:
            os.fstat(fd)
            return 10 + number
        except OSError:
            pass
    for use in (lambda: driver.counts(queue), lambda: driver.wait([queue], 0, [])):
        try:
            use()
            return 20
        except DriverError:
            pass
    mine = os.open(os.devnull, os.O_RDONLY)  # takes a number that was the driver's
    driver.close()
    os.fstat(mine)
    return 0


def test_close_gives_back_every_descriptor_and_may_be_followed_by_use(url: str, queue: str) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    driver = RedisDriver(url)
    driver.wait([queue], 0, [])
    push(driver, queue, "a")

    driver.close()
    driver.close()

    assert sorted(os.listdir("/proc/self/fd")) == before


def test_nothing_is_connected_before_the_first_verb() -> None:
    RedisDriver("redis://nowhere.invalid:1").close()


def test_a_turn_is_one_request(driver: RedisDriver, proxy: Proxy) -> None:
    turn = driver.turn("emails", "c", [], 1)
    requests: list[bytes] = []
    proxy.on_request = lambda data: requests.append(data) or data  # type: ignore[func-returns-value]

    driver.turn("emails", "c", settled(turn, UNTOUCHED), 64)

    assert len(requests) == 1
    assert select.select([driver._link.fileno()], [], [], 0)[0] == []
