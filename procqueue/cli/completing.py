"""What a shell may offer for an argument: names of the configuration, and no word about what is wrong there.

Click calls these with what is typed so far (`shell_complete=`). They read the file as `status` does, and no
driver, no master and no application; where it cannot be read there are no names. The verb: completion.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from procqueue.cli.options import Where

if TYPE_CHECKING:
    from procqueue.core.settings.model import Settings

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def names(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer queues, programs, groups and `all`; after a colon the copies of programs."""
    if (settings := _settings(ctx)) is None:
        return []
    if ":" in typed:
        return _beginning(typed, _copies(settings))
    return _beginning(typed, [*settings.queues, *settings.programs, *settings.groups, "all"])


def sources(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer whose lines `logs` can show: after a colon also single consumers."""
    if (settings := _settings(ctx)) is None:
        return []
    if ":" in typed:
        most = {q.name: q.scale.max if q.scale else q.processes for q in settings.queues.values()}
        consumers = [f"{name}:{n}" for name, number in most.items() for n in range(number)]
        return _beginning(typed, [*consumers, *_copies(settings)])
    return _beginning(typed, [*settings.queues, *settings.programs, "master", "scheduler"])


def queues(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer queues."""
    settings = _settings(ctx)
    return _beginning(typed, settings.queues) if settings else []


def wishes(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer NAME=+1, NAME=-1 and NAME=auto of queues and programs, for `scale`."""
    settings = _settings(ctx)
    every = [*settings.queues, *settings.programs] if settings else []
    return _beginning(typed, [f"{name}={wish}" for name in every for wish in ("+1", "-1", "auto")])


def tasks(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer the tasks that stand in the text of the application's modules."""
    from procqueue.cli.task_names import task_names

    settings = _settings(ctx)
    return _beginning(typed, task_names(settings)) if settings else []


def tables(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer tables of the configuration, for `config`."""
    if (settings := _settings(ctx)) is None:
        return []
    top = ["driver", "master", "reload", "logging", "hooks"]
    found = [f"queues.{name}" for name in settings.queues] + [
        f"processes.{name}" for name in settings.programs
    ]
    return _beginning(typed, [*top, *found])


def signals(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
    """Offer the names of signals."""
    from signal import Signals

    return _beginning(typed, [one.name.removeprefix("SIG") for one in Signals])


def words(*fixed: str) -> Completer:
    """Return what offers these words."""
    return lambda _ctx, _param, typed: _beginning(typed, fixed)


def _beginning(typed: str, offered: Iterable[str]) -> list[str]:
    return [one for one in offered if one.startswith(typed)]


def _copies(settings: Settings) -> list[str]:
    return [f"{p.name}:{p.index_start + n}" for p in settings.programs.values() for n in range(p.count)]


def _settings(ctx: click.Context) -> Settings | None:
    from procqueue.core.errors import ConfigError

    try:
        return (ctx.find_object(Where) or Where()).silent_settings()
    except (ConfigError, OSError):
        return None
