"""Which of many messages a verb means: the options that messages, retry, forget and clear share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from procqueue.cli.failures import Refusal, usage
from procqueue.stored import asked

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_NAMES = re.compile(r"\b(task|error|kind|older_than|limit|rate|state|skip)=")

STATES = "waiting, delayed, failed or timeout."


def filtered(function: F) -> F:
    """Give a verb the filters."""
    options = (
        click.option("--task", metavar="T", help="Only those of the task of this name."),
        click.option("--error", metavar="TEXT", help="Only those whose last error has this in it."),
        click.option("--kind", metavar="TEXT", help="Only those whose error --group shows so."),
        click.option("--older-than", metavar="D", help="Only those that are there for longer, as 7d."),
        click.option("--arg", "args", metavar="K=V", multiple=True,
                     help="Only those with this argument; 0=V is the first positional one."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def paced(function: F) -> F:
    """Give a verb that changes many what it shall stop at."""
    options = (
        click.option("--limit", metavar="N", type=int, help="No more than N."),
        click.option("--rate", metavar="N/s", help="No more than N in a second."),
        click.option("--dry-run", is_flag=True, help="Change nothing, only count."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def chosen(
    task: str | None,
    error: str | None,
    kind: str | None,
    older_than: str | None,
    args: tuple[str, ...],
    **pace: Any,
) -> dict[str, Any]:
    """Return what the options say, as the methods of procqueue.queue(…) take it. Raises Refusal."""
    wanted = _args(args)
    checked(asked.filters, task, error, older_than, wanted, kind)
    if "limit" in pace:
        checked(asked.limit, pace["limit"])
    if "rate" in pace:
        checked(asked.rate, pace["rate"])
    return {"task": task, "error": error, "kind": kind, "older_than": older_than, "args": wanted, **pace}


def checked(check: Callable[..., T], *arguments: Any) -> T:
    """Return what a check of stored/asked.py returns; what it refuses is a mistake of the command line."""
    try:
        return check(*arguments)
    except (ValueError, TypeError) as error:
        raise _refusal(str(error)) from None


def _args(written: tuple[str, ...]) -> Mapping[str, str]:
    try:
        return asked.args(written)
    except ValueError as error:
        text, _, hint = str(error).partition(": ")
        raise usage(f"--{text}", f"--arg {hint.replace('or ', 'or --arg ')}") from None


def _refusal(text: str) -> Refusal:
    return usage(_NAMES.sub(lambda name: f"--{name[1].replace('_', '-')} ", text))
