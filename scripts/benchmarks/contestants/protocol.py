"""What the contestants of `scripts/bench peers` have in common: the work of a message, and how to push.

A contestant is one file that defines its task as its library's documentation would, says in constants how its
consumers are started (the bench reads those without importing it), and in `main` how it pushes. It runs in
its library's environment: this file uses only the standard library. Messages carry 100 bytes; the first says
what is to be done: n nothing, z 10 ms of sleep, s a stamp of this moment, l an hour.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

SIZE = 100
NAP = 0.010
HOUR = 3600.0

#: The count of what is handled: a word for each thread that handles, in a file that the bench maps too.
WORDS = 8192

#: What a stamp says: when it was sent and begun (ns, CLOCK_MONOTONIC), and by which process.
STAMP = struct.Struct("<qqq")

URL = os.environ["BENCH_REDIS"]
FOLDER = os.environ["BENCH_FOLDER"]

#: How many messages a consumer may run at once, if that is prescribed; else what suits the contestant best.
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "0"))

#: How many messages are handed at once to a contestant's own call for many.
LOT = 1000


def work(payload: str) -> None:
    """Do what the payload says; for handlers that are plain functions."""
    kind = payload[0]
    if kind == "n":
        _count()
    elif kind == "z":
        time.sleep(NAP)
        _count()
    else:
        _stamp(payload)
        time.sleep(HOUR if kind == "l" else 0)


async def awork(payload: str) -> None:
    """Do the same; for handlers that are coroutines."""
    kind = payload[0]
    if kind == "n":
        _count()
    elif kind == "z":
        await asyncio.sleep(NAP)
        _count()
    else:
        _stamp(payload)
        await asyncio.sleep(HOUR if kind == "l" else 0)


_words = memoryview(b"")
_mine = threading.local()


def _count() -> None:
    # A word of one's own needs no lock, is one store, and stays when the process is killed.
    try:
        slot = _mine.slot
    except AttributeError:
        slot = _mine.slot = _claim()
    _words[slot] += 1


def _claim() -> int:
    global _words
    if not _words:
        with open(f"{FOLDER}/words", "r+b") as file:
            _words = memoryview(mmap.mmap(file.fileno(), WORDS * 8)).cast("Q")
    claims = os.open(f"{FOLDER}/claims", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(claims, b"x")
    slot = os.lseek(claims, 0, os.SEEK_CUR) - 1
    os.close(claims)
    return slot


def _forget() -> None:
    global _mine
    _mine = threading.local()


os.register_at_fork(after_in_child=_forget)


def _stamp(payload: str) -> None:
    now = time.monotonic_ns()
    stamps = os.open(f"{FOLDER}/stamps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(stamps, STAMP.pack(int(payload[1:20]), now, os.getpid()))
    os.close(stamps)


def play(
    push: Callable[[str], Any],
    many: Callable[[list[str]], Any] | None = None,
    open: Callable[[], Awaitable[Any]] | None = None,
) -> None:
    """Read what to push from stdin, a JSON line each, until its end; answer each with a line.

    `push` takes one payload, `many` a list of them; functions or coroutine functions. `open` comes before.
    Asked are {"kind", "count", "rate", "many"}: so many messages, at `rate` a second or as fast as can be
    (0); answered are {"seconds", "cpu"} that it took.
    """
    asyncio.run(_play(push, many, open))


async def _play(push: Any, many: Any, open: Any) -> None:
    if open:
        await open()
    print(json.dumps({"many": many is not None}), flush=True)
    while line := sys.stdin.readline():
        asked = json.loads(line)
        began, cpu = time.monotonic(), time.process_time()
        call, what = (many, _lots(**asked)) if many and asked["many"] else (push, _paced(**asked))
        for one in what:
            done = call(one)
            if inspect.isawaitable(done):
                await done
        spent = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
        print(json.dumps(spent), flush=True)


def _lots(kind: str, count: int, **_: Any) -> Iterator[list[str]]:
    for first in range(0, count, LOT):
        yield [_payload(kind) for _ in range(min(LOT, count - first))]


def _paced(kind: str, count: int, rate: float, **_: Any) -> Iterator[str]:
    began = time.monotonic()
    for number in range(count):
        if rate and (early := began + number / rate - time.monotonic()) > 0:
            time.sleep(early)
        yield _payload(kind)


def _payload(kind: str) -> str:
    return f"{kind}{time.monotonic_ns():019d}".ljust(SIZE, ".")
