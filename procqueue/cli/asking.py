"""Asking the master for something that may take a while: one request, one answer, and talk meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from procqueue.cli.failures import Refusal
from procqueue.cli.output import plain, say
from procqueue.core.exits import Exit
from procqueue.process.ask import NoMaster, ask

#: Who waits longer than this is told for what, and again so often.
_SAY_AFTER = 2.0
_SAY_EVERY = 10.0


def request(state_dir: str, verb: str, **facts: Any) -> dict[str, Any]:
    """Return the answer to a request that is answered at once. Raises Refusal if the master refuses."""
    return accepted(ask(state_dir, verb, **facts))


def request_patiently(
    state_dir: str, verb: str, meanwhile: Callable[[], None], **facts: Any
) -> dict[str, Any]:
    """Return the answer, however long it takes; call `meanwhile` when that is long. Raises Refusal."""
    answers: list[dict[str, Any] | Exception] = []

    def wait() -> None:
        try:
            answers.append(ask(state_dir, verb, patience=None, **facts))
        except Exception as error:
            answers.append(error)

    # A thread of its own, so that Ctrl-C and the hint find this one at leisure.
    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    patience = _SAY_AFTER
    while waiting.is_alive():
        waiting.join(patience)
        if waiting.is_alive():
            meanwhile()
            patience = _SAY_EVERY
    answer = answers[0]
    if isinstance(answer, Exception):
        raise answer
    return accepted(answer)


def accepted(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer, or raise what it says to be wrong."""
    if error := answer.get("error"):
        more = {key: value for key, value in answer.items() if key not in ("v", "error")}
        raise Refusal(Exit(error["code"]), error["message"], error.get("hint", ""), **more)
    return answer


def status_of(state_dir: str) -> dict[str, Any] | None:
    """Return the status, None if the master does not say."""
    try:
        return ask(state_dir, "status")
    except (NoMaster, TimeoutError):
        return None


def say_what_is_missing(state_dir: str) -> None:
    """Say what keeps a start or a restart from being done."""
    status = status_of(state_dir)
    if status is None:
        return
    say("still waiting until all are ready; Ctrl-C ends the waiting, not the work")
    for problem in status["problems"][:10]:
        say(f"  {plain(problem['about'])}: {plain(problem['text'])}")


def failures(answer: dict[str, Any]) -> Exit:
    """Say what of a wish did not come true; return the exit code."""
    for one in answer["failed"]:
        say(f"failed: {plain(one['name'])}: {plain(one['why'])}")
    return Exit.FAILED if answer["failed"] else Exit.OK
