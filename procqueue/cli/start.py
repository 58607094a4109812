"""`procqueue start`: the master, in the foreground; `start NAME` asks a running one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from procqueue.cli import completing
from procqueue.cli.failures import Refusal, no_such_queue, usage
from procqueue.cli.foreground import in_foreground
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show
from procqueue.core.errors import ConfigError
from procqueue.core.exits import Exit
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.settings.program import ProgramSettings
from procqueue.core.settings.web import DEFAULT_LISTEN, OPEN_HINT, why_open

if TYPE_CHECKING:
    from procqueue.process.dashboard import Dashboard

#: Seconds for what is not in the hands of those that start.
_A_LITTLE = 10.0


@verb
@click.option(
    "--only",
    metavar="NAME",
    shell_complete=completing.names,
    multiple=True,
    help="Serve only this queue; may be repeated.",
)
@click.option("--daemon", is_flag=True, help="Go to the background; return when all is ready.")
@click.option(
    "--reload/--no-reload",
    "reload",
    default=None,
    help="Apply changes as soon as files change.",
)
@click.option(
    "--web",
    metavar="[HOST:PORT]",
    is_flag=False,
    flag_value=DEFAULT_LISTEN,
    help=f"Run the dashboard, at {DEFAULT_LISTEN} if no place is named.",
)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.names)
def start(
    where: Where,
    only: tuple[str, ...],
    reload: bool | None,
    web: str | None,
    names: tuple[str, ...],
    *,
    daemon: bool,
) -> int:
    """Run the consumers of the configuration in the foreground until stopped.

    With NAME a running master starts what was stopped by name, or was given up: a queue, a program, a copy
    (NAME:INDEX), a group, a pattern.

    On a terminal (or with --reload) each change of the code and the configuration is applied; code that
    cannot be imported replaces nothing.

    TERM and INT stop soft: what runs is finished, for as long as grace says. A second one, or QUIT, stops at
    once. Nothing is lost either way.
    """
    if names:
        return _start_by_name(where, names)
    settings = where.settings()
    if settings.crons:
        from procqueue.process.crontab import refuse_bad_crons

        refuse_bad_crons(settings)
    if problem := settings.nothing_to_run():
        raise ConfigError([problem])
    _check_names(settings, only)
    dashboard = _dashboard(settings, web)

    from procqueue.process.launch import launch

    if daemon:
        from procqueue.cli.daemon import in_background

        life = partial(in_foreground, lambda: launch(settings, only, bool(reload), dashboard))
        pid = in_background(life, settings.master.state_dir, _patience(settings))
        if where.json:
            print_json({"v": 1, "pid": pid})
        else:
            show(f"started: pid {pid}")
        return Exit.OK
    return in_foreground(lambda: launch(settings, only, reload, dashboard))


def _dashboard(settings: Settings, web: str | None) -> Dashboard:
    """Return what runs where the settings, or `--web`, ask for it. Raises Refusal, ConfigError."""
    from procqueue.core.settings.web_readers import listen
    from procqueue.process.dashboard import Dashboard
    from procqueue.web.door import refuse_without_libraries, run

    try:
        dashboard = Dashboard(run, listen(web) if web is not None else None)
    except ValueError as wrong:
        raise usage(f"--web {web}: {wrong}", f"write --web, or --web {DEFAULT_LISTEN}") from None
    asked = dashboard.settings(settings)
    if why := why_open(asked):
        raise usage(f"--web {web}: {why}", OPEN_HINT)
    if asked.listen or asked.metrics:
        refuse_without_libraries(settings.file)
    return dashboard


def _patience(settings: Settings) -> float:
    """Return in how many seconds all should be ready: as long as the slowest may take, and a little more."""
    queues = [queue.start_timeout + queue.start_seconds for queue in settings.queues.values()]
    programs = [program.start_timeout + program.start_seconds for program in settings.programs.values()]
    return max((*queues, *programs)) + _A_LITTLE


def _start_by_name(where: Where, names: tuple[str, ...]) -> int:
    from procqueue.cli.asking import failures, request_patiently, say_what_is_missing

    state_dir = where.running()
    answer = request_patiently(state_dir, "start", lambda: say_what_is_missing(state_dir), names=list(names))
    if where.json:
        print_json(answer)
        return Exit.FAILED if answer["failed"] else Exit.OK
    if answer["started"]:
        show("started: " + ", ".join(answer["started"]))
    if answer["already"]:
        show("runs already: " + ", ".join(answer["already"]))
    return failures(answer)


def _check_names(settings: Settings, only: tuple[str, ...]) -> None:
    tables: dict[str, QueueSettings | ProgramSettings] = {**settings.queues, **settings.programs}
    for name in only:
        if name not in tables:
            raise no_such_queue(name, tables)
        if not tables[name].enabled:
            kind = "queues" if name in settings.queues else "processes"
            raise usage(f"{name!r} is disabled", f"take enabled = false out of [{kind}.{name}]")
    if not any(table.enabled for table in tables.values()):
        text = f"{settings.file}: everything is disabled, so there is nothing to run"
        raise Refusal(Exit.CONFIG, text, "take enabled = false out of a table")
