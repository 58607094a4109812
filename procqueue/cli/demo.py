"""`procqueue demo`: the demonstration, without a server and without files that stay."""

from __future__ import annotations

from dataclasses import asdict

from procqueue.cli.failures import Refusal
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, say, show
from procqueue.core.exits import Exit

_NOW_YOURS = """
Now yours: three lines in tasks.py, and two in procqueue.toml.

    from procqueue import task                     app = ["tasks"]
    @task                                          [queues.default]
    def hello(name: str): print("hello", name)

Then: procqueue check; procqueue start; and elsewhere: procqueue push tasks.hello you"""


@verb
def demo(where: Where) -> Exit:
    """See it work, in ten seconds: 20 messages, retries, a failure, and a consumer killed at work.

    It runs the real `procqueue start` in a directory that vanishes. Exit code 0 only if the account adds up.
    """
    from procqueue.demo.show import CannotShow
    from procqueue.demo.stage import show as perform

    tell = say if where.json else show
    try:
        result = perform(tell)
    except CannotShow as error:
        raise Refusal(Exit.FAILED, f"the demonstration failed: {error}") from None
    if where.json:
        print_json({"v": 1, "account": asdict(result)})
    if not result.adds_up:
        return Exit.FAILED
    tell(_NOW_YOURS)
    return Exit.OK
