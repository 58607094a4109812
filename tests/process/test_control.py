"""The control socket: who asks badly, slowly, hugely or in crowds costs the master nothing but an answer."""

import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from procqueue.process import control
from procqueue.process.ask import NoMaster, ask
from procqueue.process.control import Access, Client, Control
from tests.process.actors import PATIENCE

NEVER = float("inf")
LARGE = "x" * (8 << 20)


class Served:
    """A control socket and the loop that serves it, turned by hand."""

    def __init__(self, path: str, mode: int = 0o600, group: int = -1) -> None:
        self.path = path
        self.selector = selectors.DefaultSelector()
        self.later: list[Client] = []
        self.asked: list[dict[str, Any]] = []
        self.control = Control(path, Access(mode, group), self.selector, self._answer)

    def _answer(self, request: dict[str, Any], client: Client) -> dict[str, Any] | None:
        self.asked.append(request)
        match request.get("verb"):
            case "later":
                self.later.append(client)
                return None
            case "large":
                return {"text": LARGE}
            case verb:
                return {"verb": verb}

    def turn(self) -> None:
        """Serve what has come, as the master's loop does."""
        for key, _ in self.selector.select(0.001):
            still = self.selector.get_map().get(key.fd)
            if still is not None and still.data is key.data:
                key.data()
        self.control.drop_late()

    def turn_until(self, holds: Callable[[], object]) -> None:
        """Serve until it holds."""
        give_up = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < give_up
            self.turn()

    def client(self) -> socket.socket:
        """Return a connection that does not block."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.path)
        connection.setblocking(False)
        return connection

    def answer_to(self, connection: socket.socket) -> bytes:
        """Serve until the connection is at its end; return all that came."""
        received = bytearray()

        def ended() -> bool:
            try:
                data = connection.recv(1 << 20)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True
            received.extend(data)
            return not data

        self.turn_until(ended)
        connection.close()
        return bytes(received)

    def ask(self, request: bytes) -> bytes:
        """Ask and return the whole answer."""
        connection = self.client()
        connection.send(request)
        return self.answer_to(connection)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(str(tmp_path / "control.sock"))
    yield one
    one.control.close()
    assert not one.selector.get_map(), "a client was forgotten"
    one.selector.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_PATIENCE", 0.05)


def test_a_line_is_answered_by_a_line(served: Served) -> None:
    assert served.ask(b'{"v": 1, "verb": "status"}\n') == b'{"verb": "status"}\n'
    assert served.asked == [{"v": 1, "verb": "status"}]


def test_a_request_may_come_in_pieces(served: Served) -> None:
    connection = served.client()
    for byte in b'{"verb": "status"}\n':
        connection.send(bytes([byte]))
        served.turn()

    assert served.answer_to(connection) == b'{"verb": "status"}\n'


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"status\n",
        b"[]\n",
        b"7\n",
        b"\xff\xfe\x00\n",
        b'{"verb": "status"}\n{"verb": "status"}\n',
        b"[" * 60_000 + b"\n",
        b'{"a":' * 10_000 + b"\n",
        b"1" * 5000 + b"\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_s2_garbage_is_answered_and_harms_nobody(served: Served, garbage: bytes) -> None:
    answer = json.loads(served.ask(garbage))

    assert answer["error"]["code"] == 2 and served.asked == []
    assert served.ask(b'{"verb": "after"}\n') == b'{"verb": "after"}\n'


def test_s2_a_request_without_end_is_cut_off(served: Served) -> None:
    connection = served.client()
    sent = 0
    for _ in range(1000):
        try:
            sent += connection.send(b"x" * 10_000)
        except BlockingIOError:
            pass
        except OSError:
            break
        served.turn()

    assert served.answer_to(connection) == b"" and sent < 1 << 20
    assert served.ask(b'{"verb": "after"}\n') == b'{"verb": "after"}\n'


@pytest.mark.usefixtures("impatient")
def test_s2_who_does_not_ask_in_time_is_dropped(served: Served) -> None:
    silent, slow = served.client(), served.client()
    slow.send(b'{"verb": ')
    served.turn_until(lambda: served.control.next_deadline() < NEVER)

    assert served.answer_to(silent) == served.answer_to(slow) == b""
    assert served.control.next_deadline() == NEVER


@pytest.mark.usefixtures("impatient")
def test_s2_who_does_not_listen_is_dropped(served: Served) -> None:
    connection = served.client()
    connection.send(b'{"verb": "large"}\n')
    served.turn_until(lambda: served.asked)
    served.turn_until(lambda: served.control.next_deadline() == NEVER)

    assert len(served.answer_to(connection)) < len(LARGE)


def test_a_large_answer_arrives_whole(served: Served) -> None:
    assert json.loads(served.ask(b'{"verb": "large"}\n')) == {"text": LARGE}


def test_s2_the_seventeenth_client_is_sent_away_and_the_sixteen_are_served(served: Served) -> None:
    crowd = [served.client() for _ in range(8)]
    served.turn_until(lambda: len(served.selector.get_map()) == 9)
    crowd += [served.client() for _ in range(8)]
    served.turn_until(lambda: len(served.selector.get_map()) == 17)

    assert served.answer_to(served.client()) == b""

    for connection in crowd:
        connection.send(b'{"verb": "status"}\n')
    assert [served.answer_to(connection) for connection in crowd] == [b'{"verb": "status"}\n'] * 16
    assert served.ask(b'{"verb": "after"}\n') == b'{"verb": "after"}\n'


def test_an_answer_may_come_later_whatever_the_client_says_meanwhile(served: Served) -> None:
    connection = served.client()
    connection.send(b'{"verb": "later"}\n')
    served.turn_until(lambda: served.later)
    assert served.control.next_deadline() == NEVER, "it waits for us, not we for it"
    connection.send(b"hello?\n" * 1000)
    served.turn()

    served.control.reply(served.later[0], {"v": 1})

    assert served.answer_to(connection) == b'{"v": 1}\n'


def test_an_answer_to_who_has_gone_is_no_error(served: Served) -> None:
    connection = served.client()
    connection.send(b'{"verb": "later"}\n')
    served.turn_until(lambda: served.later)
    connection.close()
    served.turn_until(lambda: len(served.selector.get_map()) == 1)

    served.control.reply(served.later[0], {"v": 1})

    assert len(served.selector.get_map()) == 1


def test_who_asks_and_shuts_its_end_is_answered(served: Served) -> None:
    connection = served.client()
    connection.send(b'{"verb": "status"}\n')
    connection.shutdown(socket.SHUT_WR)

    assert served.answer_to(connection) == b'{"verb": "status"}\n'


def test_what_is_unsent_at_the_end_is_handed_out(tmp_path: Path) -> None:
    served = Served(str(tmp_path / "s"))
    connection = served.client()
    connection.send(b'{"verb": "later"}\n')
    served.turn_until(lambda: served.later)
    served.control.reply(served.later[0], {"stopped": ["q"]})

    served.control.close()

    assert connection.recv(1000) == b'{"stopped": ["q"]}\n'
    connection.close()
    served.selector.close()


def test_the_socket_has_its_mode_and_takes_the_place_of_a_stale_one_however_long_the_path(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)
    stale = str(folder / "control.sock")
    Path(stale).write_text("a file that is no socket")
    before = os.umask(0)
    try:
        served = Served(stale, 0o660)
        assert os.umask(0) == 0
    finally:
        os.umask(before)

    assert os.stat(stale).st_mode & 0o777 == 0o660

    served.control.close()
    with pytest.raises(NoMaster, match="no master is running"):
        ask(str(folder), "status")
    Served(stale).control.close()


ASKS_AS = """
import os, socket, sys
os.setgroups([int(group) for group in sys.argv[3:]])
os.setgid(int(sys.argv[2]))
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.sendall(b'{"verb": "hello"}\\n')
    print(s.recv(100).decode() or "closed")
except ConnectionError:
    print("closed")
except PermissionError:
    print("denied")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
@pytest.mark.parametrize(
    ("mode", "gid", "groups", "told"),
    [
        (0o660, 65534, [7, 4242], "hello"),
        (0o660, 4242, [], "hello"),
        (0o660, 65534, [7], "denied"),
        (0o600, 65534, [4242], "denied"),
        (0o666, 65534, [7], "closed"),  # the kernel lets it through, we do not
        (0o606, 65534, [7], "closed"),
    ],
)
def test_members_of_the_sockets_group_may_ask_and_nobody_else(
    mode: int, gid: int, groups: list[int], told: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        served = Served(f"{folder}/control.sock", mode, 4242)
        words = [sys.executable, "-c", ASKS_AS, served.path, str(gid), *map(str, groups)]
        asking = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        served.turn_until(lambda: asking.poll() is not None)
        answer, _ = asking.communicate()
        served.control.close()

    assert told in answer
    assert [one["verb"] for one in served.asked] == (["hello"] if told == "hello" else [])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to lose a right")
def test_a_group_that_the_socket_cannot_get_is_an_error_and_leaves_no_socket() -> None:
    code = """
import os, selectors, sys, tempfile
from procqueue.process.control import Access, Control, GroupRefused
folder = tempfile.mkdtemp()
path = folder + "/control.sock"
os.chown(folder, 65534, 65534)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    Control(path, Access(0o660, 4242), selectors.DefaultSelector(), None)
except GroupRefused as error:
    print(error, os.listdir(folder))
os.rmdir(folder)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.stdout.strip().endswith("Operation not permitted []"), ran.stderr
