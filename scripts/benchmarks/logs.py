"""How fast the logger takes lines, beside a loop that only copies bytes.

Four children write lines of 80 bytes as fast as they can. The logger writes them to the ring that
`procqueue logs` reads, and to a file with rotation, or to a terminal, which is a file here. The loop reads
the same pipes and appends what it reads to one file. CPU is that of the one process that takes the lines;
PSS is its share of memory at the end.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.process.lifeline import Lifeline
from procqueue.process.logger.journal import new_journal
from procqueue.process.logger.main import Logger, Place
from procqueue.process.spawn import Born, fork_child

CHILDREN = 4
BLOCK = (b"x" * 79 + b"\n") * 50
KINDS = (
    ("ring only", "none", False),
    ("file, rotated", "file", False),
    ("terminal", "", False),
    ("file, json", "file", True),
)


@dataclass
class Taken:
    """What taking all the lines has cost."""

    speed: float
    cpu: float
    pss: float

    def __str__(self) -> str:
        return f"{self.speed:6.0f} MB/s   CPU {self.cpu:6.2f} s   PSS {self.pss:5.1f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", type=int, default=100, help="megabytes in all")
    megabytes = parser.parse_args().m
    print(f"{megabytes} MB of lines from {CHILDREN} children")
    loop = taken(megabytes, copying)
    print(f"  {'copying loop':16} {loop}")
    for name, to, as_json in KINDS:
        one = taken(megabytes, lambda folder, reads, to=to, j=as_json: logging(folder, reads, to, j))
        print(f"  {name:16} {one}   {one.cpu / loop.cpu:5.1f} times the CPU of the loop")


def taken(megabytes: int, begin: Callable[[str, Sequence[int]], Born]) -> Taken:
    """Let the children write, and wait until all is taken."""
    with tempfile.TemporaryDirectory() as folder:
        pipes = [os.pipe() for _ in range(CHILDREN)]
        taker = begin(folder, [read for read, _ in pipes])
        began = time.monotonic()
        writers = [writing(megabytes * 1_000_000 // CHILDREN, end) for _, end in pipes]
        for read, end in pipes:
            os.close(read)
            os.close(end)
        ended = 0
        while ended < CHILDREN:
            select.select([taker.lifeline], [], [])
            ended += sum(message["say"] == "ended" for message in taker.lifeline.hear())
        seconds = time.monotonic() - began
        memory = pss(taker.pid)
        taker.lifeline.say("stop")
        _, _, used = os.wait4(taker.pid, 0)
        for writer in writers:
            os.waitpid(writer.pid, 0)
        return Taken(megabytes / seconds, used.ru_utime + used.ru_stime, memory)


def logging(folder: str, reads: Sequence[int], to: str, as_json: bool) -> Born:
    terminal = os.open(f"{folder}/terminal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    place = Place(f"{folder}/logs", new_journal(), json=as_json, stdout=terminal, stderr=terminal)
    born = fork_child(
        lambda lifeline: Logger(place, lifeline).run(), parent_death=None, keep=(place.journal, terminal)
    )
    out = {"to": f"{folder}/{{}}" if to == "file" else to, "most": 5_000_000, "backups": 10}
    for index, read in enumerate(reads):
        where = {**out, "to": str(out["to"]).format(index)}
        born.lifeline.say("follow", fds=(read,), key=str(index), name=f"q:{index}", out=where)
    os.close(terminal)
    os.close(place.journal)
    return born


def copying(folder: str, reads: Sequence[int]) -> Born:
    def copy(lifeline: Lifeline) -> int:
        out = os.open(f"{folder}/copy", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        poll = select.poll()
        for fd in reads:
            poll.register(fd, select.POLLIN)
        left = len(reads)
        while left:
            for fd, _ in poll.poll():
                if data := os.read(fd, 65536):
                    os.write(out, data)
                else:
                    poll.unregister(fd)
                    lifeline.say("ended")
                    left -= 1
        return int(lifeline.wait_first() != "stop")

    return fork_child(copy, parent_death=signal.SIGKILL, keep=reads)


def writing(count: int, fd: int) -> Born:
    def write(_: Lifeline) -> int:
        for _ in range(count // len(BLOCK)):
            os.write(fd, BLOCK)
        return 0

    return fork_child(write, parent_death=signal.SIGKILL, keep=(fd,))


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
