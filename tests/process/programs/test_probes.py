"""Asking real servers whether they answer: the asker never waits for them."""

import contextlib
import os
import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from procqueue.process.programs.probes import Probing, Question, http, met_itself, tcp

PATIENCE = 20.0


class Asking:
    """A loop like the master's, around one probing."""

    def __init__(self, question: Question, *, every: float = 0.01, timeout: float = PATIENCE) -> None:
        self.selector = selectors.DefaultSelector()
        self.answers: list[str] = []
        self.probing = Probing(
            question, self.selector, self.answers.append, every=every, timeout=timeout, now=time.monotonic()
        )

    def turn(self, seconds: float) -> None:
        """Do what is due, then wait for an event."""
        self.probing.tick(time.monotonic())
        due = max(0.0, min(self.probing.at - time.monotonic(), seconds))
        for key, _ in self.selector.select(due):
            key.data()

    def next(self) -> str:
        """Return the next answer."""
        give_up = time.monotonic() + PATIENCE
        number = len(self.answers)
        while len(self.answers) == number:
            assert time.monotonic() < give_up, "no answer"
            self.turn(0.1)
        return self.answers[-1]

    def end(self) -> None:
        self.probing.close()
        assert not self.selector.get_map()
        self.selector.close()


@contextlib.contextmanager
def asking(question: Question, **how: float) -> Iterator[Asking]:
    made = Asking(question, **how)
    try:
        yield made
    finally:
        made.end()


@contextlib.contextmanager
def listener(address: str = "127.0.0.1", backlog: int = 8) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip(f"no {address} here")
        server.listen(backlog)
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def serve(server: socket.socket, *parts: bytes) -> bytes:
    """Take one connection, read its request, answer; return the request."""
    server.settimeout(PATIENCE)
    connection, _ = server.accept()
    with connection:
        request = connection.recv(4096)
        for part in parts:
            connection.sendall(part)
    return request


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_somebody_listens_on_answers(address: str) -> None:
    with listener(address) as server, asking(tcp(port_of(server))) as one:
        assert one.next() == ""
        assert one.next() == ""


def test_a_port_that_nobody_listens_on_refuses_until_somebody_does() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        with asking(tcp(port_of(server))) as one:
            assert one.next() == "connection refused"
            server.listen()
            assert one.next() == ""


def test_a_connection_that_met_itself_is_none() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.connect(one.getsockname())
        assert met_itself(one)
    with listener() as server, socket.create_connection(server.getsockname()) as other:
        assert not met_itself(other)


@pytest.mark.parametrize(
    ("answer", "judged"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n"], ""),
        ([b"HTTP/1.0 302 Found\r\n"], ""),
        ([b"HTTP/1.1 2", b"04 No Content\r\n\r\n"], ""),
        ([b"HTTP/1.1 204"], ""),
        ([b"HTTP/1.1 503 Service Unavailable\r\n\r\n"], "answered 503"),
        ([b"SSH-2.0-OpenSSH\r\n"], "no HTTP answer"),
        ([b"HTTP/1.1\r\n\r\n\r\n\r\n"], "no HTTP answer"),
        ([], "closed without an answer"),
    ],
)
def test_a_get_is_judged_by_its_status(answer: list[bytes], judged: str) -> None:
    with listener() as server:
        port = port_of(server)
        pid = os.fork()
        if pid == 0:
            try:
                request = serve(server, *answer)
                expected = f"GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()
                os._exit(0 if request.startswith(expected) and request.endswith(b"\r\n\r\n") else 1)
            finally:
                os._exit(2)
        with asking(http(f"http://127.0.0.1:{port}/health?x=1")) as one:
            assert one.next() == judged
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for() -> None:
    with listener() as server:
        question = http(f"http://127.0.0.1:{port_of(server)}")
        with asking(question, timeout=0.05) as one:
            assert one.next() == "no answer within 0.05 s"
            assert one.next() == "no answer within 0.05 s"


def test_a_port_whose_connections_hang_is_not_waited_for() -> None:
    with listener(backlog=0) as server, contextlib.ExitStack() as stack:
        for _ in range(3):  # its queue is full: the kernel drops what comes
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(server.getsockname())
        question = Question("full", ("127.0.0.1",), port_of(server))
        with asking(question, timeout=0.05) as one:
            assert one.next() == "no answer within 0.05 s"


def test_who_is_told_may_end_the_asking() -> None:
    with listener() as server:
        one = Asking(tcp(port_of(server)))
        one.probing._told = lambda _: one.probing.close()
        for _ in range(2):  # it begins, and is connected
            one.turn(PATIENCE)
        assert one.probing.at == float("inf")
        one.turn(0.01)

        assert not one.selector.get_map()
        one.end()


def test_a_hundred_questions_leave_no_descriptor() -> None:
    with listener() as server:
        before = sorted(os.listdir("/proc/self/fd"))
        with asking(tcp(port_of(server)), every=0.0) as one:
            for _ in range(100):
                one.next()
                server.accept()[0].close()
        assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "127.0.0.1:80", "http://", "http://shop.example/", "http://127.0.0.1/a b\n"]
)
def test_what_cannot_be_asked_without_waiting_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        http(url)
    with pytest.raises(ValueError):
        tcp(80, "shop.example")


def test_the_parts_of_an_address_are_found() -> None:
    question = http("http://user:pw@[::1]:81/p?q")

    assert (question.addresses, question.port) == (("::1",), 81)
    assert b"Host: [::1]:81\r\n" in question.request
    assert tcp(82, "::1").addresses == ("::1",)
    assert http("http://localhost").addresses == ("127.0.0.1", "::1")
    assert http("http://localhost").request.startswith(b"GET / HTTP/1.1\r\n")
