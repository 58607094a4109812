"""`procqueue start`: the master, in the foreground."""

from __future__ import annotations

import click

from procqueue.cli.failures import Refusal, no_such_queue, usage
from procqueue.cli.foreground import in_foreground
from procqueue.cli.options import Where, verb
from procqueue.core.errors import ConfigError
from procqueue.core.settings.model import Settings


@verb
@click.option("--only", metavar="NAME", multiple=True, help="Serve only this queue; may be repeated.")
@click.argument("names", nargs=-1, metavar="")
def start(where: Where, only: tuple[str, ...], names: tuple[str, ...]) -> int:
    """Run the consumers of the configuration in the foreground until stopped.

    TERM and INT stop soft: what runs is finished, for as long as grace says. A second one, or QUIT, stops at
    once. Nothing is lost either way.
    """
    if names:
        hint = f"procqueue start --only {names[0]} runs a master for that queue alone"
        raise usage("start NAME is not available in this version: start runs all queues", hint)
    settings = where.settings()
    if problem := settings.nothing_to_run():
        raise ConfigError([problem])
    _check_names(settings, only)

    from procqueue.process.launch import launch

    return in_foreground(lambda: launch(settings, only))


def _check_names(settings: Settings, only: tuple[str, ...]) -> None:
    for name in only:
        if name not in settings.queues:
            raise no_such_queue(name, settings.queues)
        if not settings.queues[name].enabled:
            raise usage(f"the queue {name!r} is disabled", f"take enabled = false out of [queues.{name}]")
    if not any(queue.enabled for queue in settings.queues.values()):
        from procqueue.core.exits import Exit

        text = f"{settings.file}: every queue is disabled, so there is nothing to run"
        raise Refusal(Exit.CONFIG, text, "take enabled = false out of a queue")
