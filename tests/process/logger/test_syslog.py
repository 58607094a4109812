"""Lines as syslog takes them, over a real datagram socket."""

import re
import socket
from pathlib import Path

from procqueue.process.logger.lines import batch_at
from procqueue.process.logger.targets import Syslog


def test_each_line_is_a_datagram_with_priority_time_and_name(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        one = Syslog(lambda *_: None, str(tmp_path / "log"))
        for stream in ("out", "err"):
            batch = batch_at(1_700_000_000, "q:0", stream, b"a b\nc\0d\n")
            assert one.prepare(one.dress(batch), 2) == []
            one.write(one.dress(batch), 2)

        one.reopen()

        got = [server.recv(1000).decode() for _ in range(4)]
    assert re.fullmatch(r"<14>Nov 1[45] \d\d:\d\d:20 q:0: a b", got[0])
    assert got[1].endswith(" q:0: c\\0d")
    assert [one[:4] for one in got] == ["<14>", "<14>", "<11>", "<11>"]


def test_without_a_syslog_lines_are_dropped_counted_and_told(tmp_path: Path) -> None:
    told = []
    one = Syslog(lambda *facts: told.append(facts), str(tmp_path / "nobody"))
    batch = batch_at(1_700_000_000, "q:0", "out", b"a\nb\n")

    one.write(one.dress(batch), 2)

    assert told == [("problem", "syslog", "No such file or directory", 2)]
    assert one.prepare(one.dress(batch), 2) is None
    assert one.trouble.missing == 4
