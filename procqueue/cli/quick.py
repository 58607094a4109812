"""The quick way to `status` and `health`, which scripts and probes ask again and again.

To import click takes longer than everything else that these two do. A line that has only what is read here is
answered without it; any other, also a wrong one and --help, goes the long way to the same functions (app.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from procqueue.cli.where import Where
from procqueue.core.exits import Exit

_VALUES = {"-c": "config", "--config": "config", "--state-dir": "state_dir"}
_HEALTH = {"--live", "--ready"}


def run(arguments: Sequence[str]) -> Exit | None:
    """Run the verb of this line and return its exit code; None if the line needs the long way."""
    where = Where()
    words: list[str] = []
    flags: set[str] = set()
    rest = iter(arguments)
    for word in rest:
        if word in _VALUES:
            value = next(rest, "")
            if not value or value.startswith("-"):
                return None
            setattr(where, _VALUES[word], value)
        elif word == "--json":
            where.json = True
        elif word.startswith("-"):
            flags.add(word)
        else:
            words.append(word)
    if words[:1] == ["status"] and not flags:
        from procqueue.cli.status import show_status

        return show_status(where, words[1:])
    if words == ["health"] and flags <= _HEALTH:
        from procqueue.cli.health import show_health

        return show_health(where, live="--live" in flags, ready="--ready" in flags)
    return None
