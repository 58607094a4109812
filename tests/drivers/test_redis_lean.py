"""redis-py is imported without its clients, and whoever wants those finds them."""

from __future__ import annotations

import subprocess
import sys

DRIVER = "import sys, threading, procqueue.drivers.redis.driver\n"


def printed(code: str) -> str:
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


def test_the_clients_are_not_imported() -> None:
    heavy = "{'redis.client', 'redis.cluster', 'redis.asyncio'}"
    assert printed(DRIVER + f"print({heavy} & sys.modules.keys())") == "set()"


def test_whoever_imports_it_later_finds_all_of_it() -> None:
    ask = "import redis.client\nimport redis.asyncio as a\nfrom redis import Redis, asyncio\n"
    show = "print(Redis is redis.client.Redis, redis.connection.Connection, redis.exceptions.DataError)"
    assert printed(DRIVER + ask + show) == (
        "True <class 'redis.connection.Connection'> <class 'redis.exceptions.DataError'>"
    )


def test_many_threads_that_import_it_at_once_all_find_it() -> None:
    ask = "found = []\nask = lambda: found.append(__import__('redis').Redis)\n"
    run = "threads = [threading.Thread(target=ask) for _ in range(8)]\n[t.start() for t in threads]\n"
    show = "[t.join() for t in threads]\nprint(len(found), len(set(found)))"
    assert printed(DRIVER + ask + run + show) == "8 1"


def test_what_the_application_imported_before_stays() -> None:
    code = "import redis\nbefore = redis.Redis\n" + DRIVER + "print(redis.Redis is before)"
    assert printed(code) == "True"
