"""`procqueue restart`: fresh processes, without a gap."""

from __future__ import annotations

import click

from procqueue.cli import completing
from procqueue.cli.asking import failures, request_patiently, say_what_is_missing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.moments import moment


@verb
@click.option("--wait", is_flag=True, help="Return when all are ready.")
@click.option("--everywhere", is_flag=True, help="The consumers of queues, on all hosts that serve them.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.names)
def restart(where: Where, wait: bool, everywhere: bool, names: tuple[str, ...]) -> Exit:
    """Replace the processes of NAME, or all, by fresh ones that import the application anew.

    Consumers: a successor is ready before its predecessor leaves, which finishes what it runs; if the new
    code does not start, the old goes on. Programs stop first, then start; copies of one program do so one
    after the other.

    With --everywhere each master that runs now sees within about a second that it has to, and no master is
    needed here. Hosts that come later are not affected.
    """
    if everywhere:
        return _everywhere(where, wait, names)
    state_dir = where.running()
    answer = request_patiently(
        state_dir, "restart", lambda: say_what_is_missing(state_dir), names=list(names) or ["all"], wait=wait
    )
    if where.json:
        print_json(answer)
        return Exit.FAILED if answer["failed"] else Exit.OK
    show(("restarted: " if wait else "restarting: ") + ", ".join(answer["restarted"]))
    return failures(answer)


def _everywhere(where: Where, wait: bool, names: tuple[str, ...]) -> Exit:
    if wait:
        hint = "procqueue status on each host shows how far it is"
        raise usage("--wait knows of this host only, and --everywhere asks all", hint)
    with opened(where) as store:
        if not names and store.queues is None:
            raise usage("without a configuration file, name the queues: procqueue restart emails")
        chosen = [store.checked(name) for name in names or store.queues or ()]
        asked = store.of_all(chosen, lambda name: moment(store.driver.mark_restart(name).at_ms))
    if where.json:
        print_json({"v": 1, "asked": asked.found, **asked.document})
    else:
        show(f"asked all hosts to restart: {', '.join(asked.found)}")
    return asked.tell()
