"""One producer in a process of its own: `python -m tests.pushing_actor DIRECTORY SERVER-URL HOW-MANY`.

Its connection is cut at every tenth push, after the push was stored. It says the id of each push that was
answered.
"""

from __future__ import annotations

import sys
from pathlib import Path

import procqueue
from tests.drivers.cutting import Cutting


def main(directory: str, url: str, count: int) -> None:
    """Push."""
    with Cutting(Path(directory), url) as proxy:
        procqueue.connect(proxy.url, push_timeout="60s")
        proxy.is_cut = lambda number: number % 10 == 0
        ids = [procqueue.using(queue="emails").push("shop.welcome", number).id for number in range(count)]
        procqueue.close()
        assert proxy.pushes >= count + count // 10
    sys.stdout.write("\n".join(ids))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
