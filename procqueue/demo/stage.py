"""Where the demonstration takes place: its own configuration in a directory that vanishes, or a given one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from procqueue.demo.account import Account
from procqueue.demo.show import APPLICATION, Show

CONFIG = f"""\
app = ["{APPLICATION}"]

[queues.emails]
processes = 2

[queues.images]
processes = 2
"""


def show(say: Callable[[str], None], config: str | None = None, messages: int = 20) -> Account:
    """Show it, and say the account at the end. Raises CannotShow, ConfigError."""
    with tempfile.TemporaryDirectory(prefix="procqueue-demo-") as folder:
        if config is None:
            config = f"{folder}/procqueue.toml"
            Path(config).write_text(CONFIG)
            say(f"a real master, two queues with two consumers each, and SQLite, all in {folder}")
        result = Show(config, f"{folder}/ledger", say).run(messages)
    for line in told(result):
        say(line)
    return result


def told(result: Account) -> list[str]:
    """Return the account in words."""
    lines = [
        "",
        f"{result.pushed} pushed = {result.done} done + {result.failed} failed for good; "
        f"{result.retried} runs were repeated",
    ]
    if result.adds_up:
        return [*lines, "it adds up: nothing is lost, nothing was done twice"]
    return [*lines, "it does NOT add up:", *(f"  {sentence}" for sentence in result.wrong)]
