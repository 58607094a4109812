"""`procqueue drain`: keeps producers out until all that is stored is handled."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from procqueue.cli import completing
from procqueue.cli.options import Where, duration_of, verb
from procqueue.cli.output import plain, print_json, say, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from procqueue.core.message import Counts

_LEFT = ("waiting", "reserved", "inbox", "delayed")

#: How far it is is said so often (s), if it has changed.
_SAY_EVERY = 2.0


@verb
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=completing.queues)
@click.option("--delayed", is_flag=True, help="Wait for delayed messages too.")
@click.option("--timeout", metavar="D", callback=duration_of, help="Give up after that time: exit code 5.")
@click.option("--keep", is_flag=True, help="When all is handled, leave the gate closed.")
def drain(where: Where, queues: tuple[str, ...], delayed: bool, timeout: float | None, keep: bool) -> Exit:
    """Keep producers out of QUEUE until all that is stored there is handled.

    Handlers push on meanwhile. At the end the gate stands as it did before, also after Ctrl-C and with exit
    code 5. A queue that is paused, that no living host serves, or that is drained already is refused.
    """
    from procqueue.stored.drain import Drain

    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: the gate has to go back
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    with opened(where) as store:
        names = [store.checked(name) for name in queues]
        one = Drain(store.driver, names, store.host_timeout, delayed=delayed, keep=keep)
        done = one.run(timeout, _progress(delayed))
    if where.json:
        queues_now = {name: {"gate": done.gates[name], **_document(left)} for name, left in done.left.items()}
        print_json({
            "v": 1, "drained": done.is_empty, "seconds": round(time.monotonic() - began, 3),
            "queues": queues_now,
        })  # fmt: skip
    else:
        for name, left in done.left.items():
            word = "drained" if done.is_empty else f"not drained, {_words(left, delayed)}"
            show(f"{plain(name)}: {word}; gate {done.gates[name]}")
    return Exit.OK if done.is_empty else Exit.TIMED_OUT


def _progress(delayed: bool) -> Callable[[Mapping[str, Counts]], None]:
    """Return what says how far it is: nothing as long as nothing changes."""
    said, said_at = "", -_SAY_EVERY

    def note(left: Mapping[str, Counts]) -> None:
        nonlocal said, said_at
        line = "; ".join(f"{plain(name)}: {_words(counts, delayed)}" for name, counts in left.items())
        if line == said or time.monotonic() < said_at + _SAY_EVERY:
            return
        say(f"draining {line}")
        said, said_at = line, time.monotonic()

    return note


def _words(left: Counts, delayed: bool) -> str:
    names = _LEFT if delayed else _LEFT[:-1]
    return ", ".join(f"{getattr(left, name)} {name}" for name in names)


def _document(left: Counts) -> dict[str, Any]:
    return {name: getattr(left, name) for name in _LEFT}
