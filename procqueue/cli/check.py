"""`procqueue check`: all that is wrong with the configuration, at once; driver and application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from procqueue.cli.failures import Refusal, problem_document, refusal_of
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, say, show
from procqueue.core.errors import ConfigError, DriverError, Problem
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procqueue.core.settings.model import QueueSettings, Settings


@verb
@click.option("--connect", is_flag=True, help="Open the driver, too.")
@click.option("--import", "import_", is_flag=True, help="Import the application, too.")
def check(where: Where, connect: bool, import_: bool) -> Exit:
    """Say everything that is wrong with the configuration, or "ok" and what it describes."""
    from procqueue.process.rights import who_cannot_open

    try:
        settings = where.silent_settings()
        _check_crons(settings)
    except ConfigError as error:
        return _tell(where, error.problems, [], Exit.CONFIG)
    problems: list[Problem] = []
    warnings = list(settings.warnings)
    code = Exit.OK
    if unopened := list(who_cannot_open(settings)):
        problems += unopened
        code = Exit.CONFIG
    if import_:
        code = _try_import(settings, problems, warnings) or code
    if connect:
        code = _try_connect(settings, problems) or code
    _tell(where, problems, warnings, code, settings)
    if code is Exit.OK and not where.json:
        for line in _summary(settings):
            show(line)
    return code


def _check_crons(settings: Settings) -> None:
    if settings.crons:
        from procqueue.process.crontab import refuse_bad_crons

        refuse_bad_crons(settings)


def _tell(
    where: Where,
    problems: list[Problem],
    warnings: list[Problem],
    code: Exit,
    settings: Settings | None = None,
) -> Exit:
    for problem in problems:
        say(f"error: {problem}")
    for warning in warnings:
        say(f"warning: {warning}")
    if len(problems) > 1:
        say(f"{len(problems)} problems")
    if where.json:
        document: dict[str, Any] = {
            "v": 1,
            "problems": [problem_document(one) for one in problems],
            "warnings": [problem_document(one) for one in warnings],
            "config": settings.file if settings else None,
        }
        print_json(document)
    return code


def _try_import(settings: Settings, problems: list[Problem], warnings: list[Problem]) -> Exit | None:
    from procqueue.cli.application import import_application
    from procqueue.core.settings.wrong import nearest
    from procqueue.tasks.registry import all_tasks

    try:
        import_application(settings)
    except Refusal as refusal:
        problems.append(Problem(settings.file, 0, "app", refusal.message, refusal.hint))
        return refusal.code
    for task in all_tasks():
        if task.queue not in settings.queues:
            text = f"the task {task.name} belongs to the queue {task.queue!r}, which this file does not have"
            hint = (
                nearest(task.queue, settings.queues)
                or f"add [queues.{task.queue}], or push it by using(queue=…)"
            )
            warnings.append(Problem(settings.file, 0, "", text, hint))
    _compare_crons(settings, {task.name: task.queue for task in all_tasks()}, problems, warnings)
    return Exit.CONFIG if problems else None


def _compare_crons(
    settings: Settings, queues: Mapping[str, str], problems: list[Problem], warnings: list[Problem]
) -> None:
    """Hold the crons to the tasks there are: `queues` says to which queue each belongs."""
    from procqueue.core.settings.wrong import nearest

    for cron in settings.crons.values():
        file, line = cron.place("task")
        if cron.task not in queues:
            text = f"no task is named {cron.task!r}"
            problems.append(Problem(file, line, f"cron.{cron.name}.task", text, nearest(cron.task, queues)))
        elif "queue" not in cron.origins and cron.queue != queues[cron.task]:
            text = f"{cron.task} belongs to the queue {queues[cron.task]!r}, and is pushed to {cron.queue!r}"
            hint = f'add queue = "{queues[cron.task]}", or "{cron.queue}" if that is meant'
            warnings.append(Problem(file, line, f"cron.{cron.name}", text, hint))


def _try_connect(settings: Settings, problems: list[Problem]) -> Exit | None:
    from procqueue.core.settings.urls import masked
    from procqueue.drivers.opening import open_driver

    code = None
    for name, driver in settings.used_drivers.items():
        if driver.scheme == "sync":
            continue
        try:
            store = open_driver(driver)
            for queue in settings.of_driver(name).queues:
                store.counts(queue)
            store.close()
        except DriverError as error:
            refusal = refusal_of(error)
            assert refusal is not None
            key = f"drivers.{name}" if name else "driver"
            problems.append(Problem(settings.file, 0, key, f"{masked(driver.url)}: {error}"))
            code = code or refusal.code
    return code


def _summary(settings: Settings) -> list[str]:
    from procqueue.core.settings.urls import masked

    lines = [f"ok: {settings.file}"]
    if settings.queues:
        queues = [_counted(name, queue.enabled, _consumers(queue)) for name, queue in settings.queues.items()]
        lines += [f"  queues   {', '.join(queues)}"]
        for name, driver in settings.used_drivers.items():
            whose = f" (drivers.{name}: {', '.join(settings.of_driver(name).queues)})" if name else ""
            lines += [f"  driver   {masked(driver.url)}{whose}"]
        lines += [f"  app      {', '.join(settings.app) or '-'}"]
    if settings.programs:
        programs = [_counted(name, one.enabled, str(one.count)) for name, one in settings.programs.items()]
        lines += [f"  programs {', '.join(programs)}"]
    return [*lines, f"  state    {settings.master.state_dir}"]


def _counted(name: str, enabled: bool, count: str) -> str:
    return f"{name} × {count}" if enabled else f"{name} (disabled)"


def _consumers(queue: QueueSettings) -> str:
    return f"{queue.scale.min}–{queue.scale.max}" if queue.scale else str(queue.processes)
