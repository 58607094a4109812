"""`procqueue reload`: applies what differs between what runs and what the files say."""

from __future__ import annotations

import click

from procqueue.cli.asking import request_patiently, say_what_is_missing
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show
from procqueue.core.exits import Exit


@verb
@click.option("--plan", is_flag=True, help="Only show what would change.")
@click.option("--as-in-file", is_flag=True, help="Also drop what was stopped, scaled or paused here by hand.")
def reload(where: Where, plan: bool, as_in_file: bool) -> Exit:
    """Apply the configuration and the code as they are now; what has not changed keeps its processes.

    A configuration that cannot be used changes nothing. New code replaces the old only when a consumer of it
    has proved that it starts.
    """
    state_dir = where.running()
    answer = request_patiently(
        state_dir, "reload", lambda: say_what_is_missing(state_dir), plan=plan, as_in_file=as_in_file
    )
    if where.json:
        print_json(answer)
        return Exit.OK
    for change in answer["changes"]:
        show(plain(change["text"]))
    for path in answer.get("code", ()):
        show(f"code: {plain(path)}")
    for wish in answer.get("dropped", ()):
        show(f"dropped: {plain(wish['name'])} {plain(wish['what'])}, by hand since {wish['since']}")
    if not answer["changes"] and not answer.get("code"):
        show("the configuration is what runs" if plan else "nothing has changed")
    for wish in answer.get("by_hand", ()):
        show(f"stays, by hand: {plain(wish['name'])} {plain(wish['what'])} (--as-in-file drops it)")
    return Exit.OK
