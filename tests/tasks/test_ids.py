"""Ids: sorted by time, never given out twice, neither within a process nor after a fork."""

from __future__ import annotations

import os
import threading

from procqueue.core.wire import is_id
from procqueue.tasks.ids import Ids, new_id


def test_an_id_is_a_ulid_and_an_id_of_the_wire() -> None:
    one = new_id()

    assert len(one) == 26
    assert set(one) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert is_id(one)


def test_each_id_is_greater_than_the_one_before() -> None:
    ids = [new_id() for _ in range(5000)]

    assert ids == sorted(set(ids))


def test_ids_of_several_threads_are_never_equal() -> None:
    source = Ids()
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.extend([source.next() for _ in range(2000)])) for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 8000


def test_a_forked_child_gives_out_other_ids_than_its_parent() -> None:
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(new_id() for _ in range(100)).encode())
        os._exit(0)
    mine = {new_id() for _ in range(100)}
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)

    theirs = {text[at : at + 26] for at in range(0, len(text), 26)}

    assert len(theirs) == 100
    assert not mine & theirs
