"""What every verb takes: -c, --state-dir and --json, before the verb and after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from procqueue.cli.where import Where as Where

F = TypeVar("F", bound=Callable[..., Any])


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Where), name, value)

    return keep


def _paths(kind: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    def offer(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(typed, type=kind)]

    return offer


def shared_options(function: F) -> F:
    """Give a verb the options that all have; it gets them as its first argument."""
    options = (
        click.option("-c", "--config", metavar="FILE", expose_value=False, callback=_keep("config"),
                     shell_complete=_paths("file"),
                     help="The configuration [PROCQUEUE_CONFIG, ./procqueue.toml, ./etc/queues.toml]."),
        click.option("--state-dir", metavar="DIR", expose_value=False, callback=_keep("state_dir"),
                     shell_complete=_paths("dir"),
                     help="Where the master keeps its state [PROCQUEUE_STATE_DIR, or as in the file]."),
        click.option("--json", is_flag=True, expose_value=False, callback=_keep("json"),
                     help="Print exactly one JSON document on stdout."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return click.make_pass_decorator(Where, ensure=True)(function)  # type: ignore[return-value]


def duration_of(_ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the seconds that an option says, None if it is not there. Raises Refusal."""
    if value is None:
        return None
    from procqueue.cli.failures import usage
    from procqueue.core.units import seconds

    try:
        found = seconds(value)
    except ValueError as error:
        raise usage(f"{param.opts[0]} {value}: {error}", "write 30s, 5m or 1h30m") from None
    if found < 0.001:
        raise usage(f"{param.opts[0]} {value} is no time", "write 30s, 5m or 1h30m")
    return found


def verb(function: Callable[..., Any]) -> click.Command:
    """Make a function a verb: `@verb` above its own options and arguments."""
    return click.command(shared_options(function))
