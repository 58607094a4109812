"""`procqueue scale`: more or fewer processes, until a hand takes it back."""

from __future__ import annotations

import re

import click

from procqueue.cli import completing
from procqueue.cli.asking import request
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show
from procqueue.core.exits import Exit

_WISH = re.compile(r"([^=]+)=(auto|[+-]?\d{1,6})")


@verb
@click.argument(
    "wishes", nargs=-1, required=True, metavar="NAME=N|+1|-1|auto...", shell_complete=completing.wishes
)
def scale(where: Where, wishes: tuple[str, ...]) -> Exit:
    """Run N processes of a queue or program from now on: over reload, restart and the next start too.

    auto goes back to what the configuration says.
    """
    names = {}
    for wish in wishes:
        found = _WISH.fullmatch(wish)
        if found is None:
            raise usage(f"{wish!r} is no wish", "write NAME=3, NAME=+1, NAME=-1 or NAME=auto")
        if found[1] in names:
            raise usage(f"{found[1]} is named twice", "one wish for each name")
        names[found[1]] = found[2]
    answer = request(where.running(), "scale", names=names)
    if where.json:
        print_json(answer)
        return Exit.OK
    for name, number in answer["scaled"].items():
        show(f"{name}: {number if number != 'auto' else 'as configured'}")
    return Exit.OK
