"""`procqueue work`: a master with one consumer, in the foreground, as a host of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from procqueue.cli import completing
from procqueue.cli.failures import no_such_queue, usage
from procqueue.cli.foreground import in_foreground
from procqueue.cli.options import Where, verb
from procqueue.core.errors import ConfigError
from procqueue.core.units import seconds

if TYPE_CHECKING:
    from procqueue.core.settings.model import Settings
    from procqueue.process.consumer.burst import Burst


@verb
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=completing.queues)
@click.option("--once", is_flag=True, help="End after one message.")
@click.option("--burst", is_flag=True, help="End when the queues are empty.")
@click.option("--wait", metavar="D", help="With --once or --burst: wait so long for the first message.")
def work(where: Where, queues: tuple[str, ...], once: bool, burst: bool, wait: str | None) -> int:
    """Run one consumer of QUEUE in the foreground, beside a running master or without one.

    Further queues are served when those before them are empty. Ctrl-C ends it after the message that runs.
    With --once or --burst the exit code is 1 if any run ended badly.
    """
    asked = _burst(once, burst, wait)
    settings = where.settings()
    if problem := settings.nothing_to_run():
        raise ConfigError([problem])
    for name in queues:
        if name not in settings.queues:
            raise no_such_queue(name, settings.queues)
        if settings.queues[name].driver != settings.queues[queues[0]].driver:
            hint = "run procqueue work once for each"
            raise usage(
                f"{queues[0]} and {name} are not at the same driver: one consumer takes from one", hint
            )
    return in_foreground(lambda: _serve(settings, tuple(dict.fromkeys(queues)), asked))


def _serve(settings: Settings, queues: tuple[str, ...], burst: Burst | None) -> int:
    from procqueue.process import works
    from procqueue.process.launch import serve

    first = replace(settings.queues[queues[0]], processes=1, serves=queues, enabled=True)
    narrowed = {first.name: first, **{name: settings.queues[name] for name in queues[1:]}}
    folder = works.folder_of_work(settings.master.state_dir)
    try:
        return serve(
            replace(settings, queues=narrowed, programs={}, groups={}, crons={}),
            folder,
            (first.name,),
            burst,
            captures=False,
        )
    finally:
        works.remove(folder)


def _burst(once: bool, burst: bool, wait: str | None) -> Burst | None:
    from procqueue.process.consumer.burst import Burst

    if once and burst:
        raise usage("--once and --burst cannot be meant together", "say one of them")
    if not (once or burst):
        if wait is not None:
            raise usage(
                "--wait says how long --once or --burst wait for the first message", "add one of them"
            )
        return None
    try:
        return Burst(once, seconds(wait) if wait is not None else 0.0)
    except ValueError as error:
        raise usage(f"--wait: {error}") from None
