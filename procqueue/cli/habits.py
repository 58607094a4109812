"""Words of other tools, and of this one's later versions: each gets an answer that leads on, exit code 2."""

from __future__ import annotations

from collections.abc import Iterable

from procqueue.cli.failures import Refusal, usage
from procqueue.core.settings.wrong import LATER, nearest

_RELOAD = "procqueue reload applies what differs; reload --plan shows it"
_RESTART = "procqueue restart replaces the processes, without a gap"
_RETRY = "procqueue retry QUEUE runs failed messages again"
_START = "procqueue start runs all consumers, procqueue work QUEUE one in the foreground"
_FORGET = "procqueue forget QUEUE --all --yes, or procqueue clear QUEUE --state S --yes"
_FAILED = "procqueue messages QUEUE --state failed lists them"

#: What other tools call what is here under another name.
ELSEWHERE = {
    "update": _RELOAD, "reread": "procqueue reload --plan shows what differs",
    "avail": "procqueue check shows what the file says",
    "add": _RELOAD, "remove": _RELOAD,
    "tail": "procqueue logs NAME -f follows the lines of one",
    "maintail": "procqueue logs -f shows the lines of all processes",
    "shutdown": "procqueue stop ends everything", "quit": "procqueue stop ends everything",
    "kill": "procqueue stop --now ends everything at once", "down": "procqueue stop ends everything",
    "pid": "procqueue status shows the pids, procqueue status --json for scripts",
    "ps": "procqueue status shows what runs", "ls": "procqueue status shows what runs",
    "list": "procqueue status shows what runs, procqueue queues what waits",
    "up": _START, "run": _START, "worker": _START, "consumer": _START,
    "beat": "procqueue start has a scheduler of its own",
    "queue:work": _START, "queue:listen": _START, "queue:restart": _RESTART,
    "queue:retry": _RETRY, "queue:failed": _FAILED, "queue:forget": "procqueue forget QUEUE ID…",
    "queue:flush": _FORGET, "queue:clear": _FORGET, "queue:reload": _RETRY,
    "queue:info": "procqueue queues shows the counts", "queue:monitor": "procqueue queues shows the counts",
    "queue:table": "nothing has to be prepared: the driver makes what it needs",
    "suspend": "procqueue pause QUEUE",
    "failed": _FAILED, "requeue": _RETRY, "purge": _FORGET, "flush": _FORGET, "empty": _FORGET,
    "delete": "procqueue forget QUEUE ID…", "peek": "procqueue messages QUEUE lists them",
    "inspect": "procqueue status shows what runs, procqueue messages QUEUE what is stored",
    "info": "procqueue queues shows the counts, procqueue status what runs",
    "stats": "procqueue queues shows the counts, procqueue status what runs",
    "enqueue": "procqueue push TASK hands in a message", "call": "procqueue push TASK hands in a message",
    "dispatch": "procqueue push TASK hands in a message",
    "test": "procqueue check says what is wrong with the file", "help": "procqueue --help",
}  # fmt: skip

#: Verbs that this version does not have yet, and what does the work until then.
LATER_VERBS = {
    "web": "procqueue status --json is what a page would show",
    "doctor": "procqueue check --connect --import", "backup": "copy the store with its own tools",
    "bench": "scripts/bench in the repository", "export": "procqueue messages QUEUE --json",
    "import": "procqueue push --json - takes JSON lines",
    "daemon": "procqueue start --daemon goes to the background",
}  # fmt: skip


def answer(word: str, verbs: Iterable[str]) -> Refusal:
    """Return what to tell somebody who typed `word`, which is no verb."""
    if hint := LATER_VERBS.get(word):
        return usage(f"{word} {LATER}", hint)
    if hint := ELSEWHERE.get(word) or ELSEWHERE.get(word.replace("async-queue:", "queue:")):
        return usage(f"procqueue has no verb {word!r}", hint)
    return usage(f"procqueue has no verb {word!r}", nearest(word, verbs) or "procqueue --help lists them")
