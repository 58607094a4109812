"""Words of other tools, and of this one's later versions: each gets an answer that leads on, exit code 2."""

from __future__ import annotations

from collections.abc import Iterable

from procqueue.cli.failures import Refusal, usage
from procqueue.core.settings.wrong import LATER, nearest

_RESTART = "procqueue stop, then procqueue start, applies changes"
_RETRY = "procqueue retry QUEUE runs failed messages again"
_START = "procqueue start runs all consumers, procqueue work QUEUE one in the foreground"
_FORGET = "procqueue forget QUEUE --all --yes, or procqueue clear QUEUE --state S --yes"
_FAILED = "procqueue messages QUEUE --state failed lists them"

#: What other tools call what is here under another name.
ELSEWHERE = {
    "update": _RESTART, "reread": _RESTART, "avail": "procqueue check shows what the file says",
    "add": _RESTART, "remove": _RESTART,
    "tail": "procqueue start prints all lines on its stdout: look where that goes",
    "maintail": "procqueue start prints all lines on its stdout: look where that goes",
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
    "restart": _RESTART, "reload": _RESTART, "scale": f"change processes in the file; {_RESTART}",
    "logs": "procqueue start prints all lines on its stdout: look where that goes",
    "top": "procqueue status shows the same once; watch procqueue status repeats it",
    "health": "procqueue status exits with 0, 3 (no master) or 4 (degraded)",
    "config": "procqueue check shows a summary",
    "pause": "procqueue stop stops the consumers", "resume": "procqueue start starts the consumers",
    "suspend": "procqueue stop stops the consumers", "gate": "let the producers stop",
    "drain": "procqueue work QUEUE --burst empties a queue",
    "cancel": "procqueue forget QUEUE ID removes a message that does not run yet",
    "message": "procqueue messages QUEUE lists them", "signal": "kill -SIGNAL PID; status shows the pids",
    "stacks": "py-spy dump --pid PID shows one", "init": "procqueue demo shows a file at its end",
    "web": "procqueue status --json is what a page would show",
    "doctor": "procqueue check --connect --import", "backup": "copy the store with its own tools",
    "bench": "scripts/bench in the repository", "export": "procqueue messages QUEUE --json",
    "import": "procqueue push --json - takes JSON lines", "daemon": "run procqueue start under systemd",
}  # fmt: skip


def answer(word: str, verbs: Iterable[str]) -> Refusal:
    """Return what to tell somebody who typed `word`, which is no verb."""
    if hint := LATER_VERBS.get(word):
        return usage(f"{word} {LATER}", hint)
    if hint := ELSEWHERE.get(word) or ELSEWHERE.get(word.replace("async-queue:", "queue:")):
        return usage(f"procqueue has no verb {word!r}", hint)
    return usage(f"procqueue has no verb {word!r}", nearest(word, verbs) or "procqueue --help lists them")
