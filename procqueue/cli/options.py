"""What every verb takes: -c, --state-dir and --json, before the verb and after it; and what they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from procqueue.cli.output import say
from procqueue.core.errors import ConfigError

if TYPE_CHECKING:
    from procqueue.core.settings.model import Settings

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Where:
    """Which configuration, which state directory, and whether the answer is for a program."""

    config: str | None = None
    state_dir: str | None = None
    json: bool = False

    def settings(self) -> Settings:
        """Return the settings, and say what the file warns of. Raises ConfigError."""
        settings = self.silent_settings()
        for warning in settings.warnings:
            say(f"warning: {warning}")
        return settings

    def silent_settings(self) -> Settings:
        """Return the settings of the file, with the state directory that was asked for."""
        from procqueue.config import load, state_dir_of

        settings = load(self.config, self._environ())
        if not (self.state_dir or os.environ.get("PROCQUEUE_STATE_DIR")):
            return settings
        state_dir = state_dir_of(self.config, self._environ())
        return replace(settings, master=replace(settings.master, state_dir=state_dir))

    def running(self) -> str:
        """Return the state directory of the master to talk to; a broken file is only a warning."""
        from procqueue.config import state_dir_of

        state_dir = state_dir_of(self.config, self._environ())
        if not (self.state_dir or os.environ.get("PROCQUEUE_STATE_DIR")):
            try:
                self.silent_settings()
            except ConfigError as error:
                say(f"warning: {error.problems[0]}")
                say("  procqueue check shows all of it; the running master goes on as it is")
        return state_dir

    def _environ(self) -> dict[str, str]:
        given = {"PROCQUEUE_STATE_DIR": self.state_dir} if self.state_dir else {}
        return {**os.environ, **given}


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Where), name, value)

    return keep


def shared_options(function: F) -> F:
    """Give a verb the options that all have; it gets them as its first argument."""
    options = (
        click.option("-c", "--config", metavar="FILE", expose_value=False, callback=_keep("config"),
                     help="The configuration [PROCQUEUE_CONFIG, ./procqueue.toml, ./etc/queues.toml]."),
        click.option("--state-dir", metavar="DIR", expose_value=False, callback=_keep("state_dir"),
                     help="Where the master keeps its state [PROCQUEUE_STATE_DIR, or as in the file]."),
        click.option("--json", is_flag=True, expose_value=False, callback=_keep("json"),
                     help="Print exactly one JSON document on stdout."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return click.make_pass_decorator(Where, ensure=True)(function)  # type: ignore[return-value]


def verb(function: Callable[..., Any]) -> click.Command:
    """Make a function a verb: `@verb` above its own options and arguments."""
    return click.command(shared_options(function))
