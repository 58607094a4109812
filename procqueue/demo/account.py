"""The account of a demonstration: what was pushed against what was run and what the driver still has. Pure.

It adds up if every message pushed has either ended once, or stands in `failed` because it cannot work, and
the message whose process was killed was begun again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from procqueue.core.message import State

#: The task that fails whatever one does.
BROKEN = "procqueue.demo.tasks.broken"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ledger: "started" or "ended", and of what."""

    word: str
    id: str
    task: str


@dataclass(frozen=True, slots=True)
class Account:
    """The sums, and every sentence about what does not fit."""

    pushed: int
    done: int
    failed: int
    retried: int  # runs after the first
    wrong: tuple[str, ...] = field(default=())

    @property
    def adds_up(self) -> bool:
        """True if nothing is lost, nothing is too much."""
        return not self.wrong


def read_ledger(text: str) -> list[Line]:
    """Return the lines of a ledger; a last one that is not complete yet is left out."""
    complete = text[: text.rfind("\n") + 1].splitlines()
    return [Line(*parts) for line in complete if len(parts := line.split()) == 3]


def account(
    pushed: Mapping[str, str],
    ledger: Iterable[Line],
    states: Mapping[str, State | None],
    killed: Iterable[str] = (),
) -> Account:
    """Return the account.

    `pushed`: id → name of the task. `states`: id → where the driver has it at the end (None: it is gone).
    `killed`: ids of the messages whose process was killed under them.
    """
    lines = [line for line in ledger if line.id in pushed]
    started = Counter(line.id for line in lines if line.word == "started")
    ended = Counter(line.id for line in lines if line.word == "ended")
    failed = {id for id in pushed if states.get(id) is State.FAILED}
    done = {id for id in pushed if states.get(id) is None and ended[id]}
    wrong = [
        sentence for id, task in pushed.items() for sentence in _wrong(task, states.get(id), ended[id], id)
    ]
    killed = tuple(killed)
    wrong += [f"{id}: its process was killed, and it was not begun again" for id in killed if started[id] < 2]
    if not killed:
        wrong.append("no consumer could be killed at work")
    retried = sum(started.values()) - len(started)
    return Account(len(pushed), len(done), len(failed), retried, tuple(wrong))


def _wrong(task: str, state: State | None, ended: int, id: str) -> list[str]:
    """Return what is wrong with one message."""
    if task == BROKEN:
        return [] if state is State.FAILED and not ended else [f"{id}: it cannot work, and is not in failed"]
    if state is not None:
        return [f"{id}: still {state.value}"]
    if ended == 0:
        return [f"{id}: gone, and never ended"]
    return [f"{id}: ended {ended} times"] if ended > 1 else []
