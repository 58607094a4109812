"""`procqueue config`: the values in force, and where each comes from."""

from __future__ import annotations

import json

import click

from procqueue.cli import completing
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show, table
from procqueue.core.exits import Exit
from procqueue.core.settings.effective import effective


@verb
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=completing.tables)
def config(where: Where, tables: tuple[str, ...]) -> Exit:
    """Show every value in force and where it was written; only TABLE (driver, queues.emails) if given.

    Times are seconds, sizes are bytes. Passwords and the values of variables are masked. Needs no master.
    """
    found = effective(where.settings())
    if tables:
        known = {one.table for one in found}
        _check(tables, known)
        found = [one for one in found if one.table in tables]
    if where.json:
        print_json({"v": 1, "config": [one._asdict() for one in found]})
        return Exit.OK
    for name in dict.fromkeys(one.table for one in found):
        if name:
            show()
            show(f"[{name}]")
        rows = [(one.key, json.dumps(one.value, ensure_ascii=False), one.origin)
                for one in found if one.table == name]  # fmt: skip
        for line in table(("KEY", "VALUE", "FROM"), rows)[1:]:
            show(line)
    return Exit.OK


def _check(tables: tuple[str, ...], known: set[str]) -> None:
    from procqueue.cli.failures import usage
    from procqueue.core.settings.wrong import nearest

    for name in tables:
        if name not in known:
            hint = nearest(name, sorted(known)) or f"the tables are: {', '.join(sorted(known - {''}))}"
            raise usage(f"there is no table {name!r}", hint)
