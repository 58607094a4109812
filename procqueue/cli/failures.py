"""What goes wrong, as people and scripts are told: a message, a hint, an exit code.

The errors that procqueue raises on purpose are translated here and nowhere else. What is not in the table is
a bug, and shows its traceback. Nothing heavy is imported: drivers and processes translate their own.
"""

from __future__ import annotations

from typing import Any

from procqueue.core import errors
from procqueue.core.exits import Exit
from procqueue.process.ask import NoMaster


class Refusal(Exception):
    """A verb cannot do what was asked. `message` says what, where and why, `hint` what to do."""

    def __init__(self, code: Exit, message: str, hint: str = "", **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.more = more

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        error = {"code": int(self.code), "message": self.message, "hint": self.hint}
        return {"v": 1, "error": error, **self.more}


def usage(message: str, hint: str = "") -> Refusal:
    """Return the refusal of a command line that cannot be meant."""
    return Refusal(Exit.USAGE, message, hint)


def no_such_queue(name: str, known: Any) -> Refusal:
    """Return the refusal of a queue that is not there, with the nearest that is."""
    from procqueue.core.settings.wrong import nearest  # only a mistake pays for it

    names = ", ".join(sorted(known)[:20]) or "none"
    return usage(f"there is no queue {name!r}", nearest(name, known) or f"the queues are: {names}")


def refusal_of(error: BaseException) -> Refusal | None:
    """Return what to tell of `error`, None for a bug."""
    match error:
        case Refusal():
            return error
        case errors.ProcqueueError():
            return _of_ours(error)
        case NoMaster():
            return _no_master(error)
        case PermissionError():
            return Refusal(Exit.PERMISSION, f"{error.filename}: permission denied", "run it as the owner")
        case TimeoutError():
            hint = "it may be stopped (kill -CONT PID) or the machine overloaded"
            return Refusal(Exit.TIMED_OUT, "the master does not answer in time", hint)
        case _:
            return None


def _of_ours(error: errors.ProcqueueError) -> Refusal:
    match error:
        case errors.ConfigError():
            return _config(error)
        case errors.PushInterrupted():
            cause = refusal_of(error.__cause__) if error.__cause__ is not None else None
            code = Exit.FAILED if cause is None else cause.code
            return Refusal(
                code, str(error), "push the rest again; what is stored stays stored", done=error.done
            )
        case errors.DriverUnavailable() if (denied := _denied(error)) is not None:
            return Refusal(
                Exit.PERMISSION, str(error), f"{denied.filename}: run it as the owner of this file"
            )
        case errors.DriverUnavailable():
            return Refusal(Exit.UNREACHABLE, f"the driver cannot be reached: {error}", _CONNECT)
        case errors.PushUnknown():
            hint = "look for it with procqueue messages QUEUE before you push it again"
            return Refusal(Exit.UNREACHABLE, str(error), hint, ids=list(error.ids))
        case errors.UnknownQueue() | errors.BadArguments():
            return usage(str(error))
        case errors.Newer():
            return Refusal(Exit.UNREACHABLE, str(error), "upgrade this procqueue")
        case _:
            return Refusal(Exit.FAILED, str(error))


_CONNECT = "procqueue check --connect tries it; the address is in the file's [driver] url"


def _denied(error: BaseException) -> PermissionError | None:
    """Return the PermissionError behind an error, if there is one."""
    cause = error.__cause__
    while cause is not None and not isinstance(cause, PermissionError):
        cause = cause.__cause__
    return cause


def _config(error: errors.ConfigError) -> Refusal:
    problems = [problem_document(problem) for problem in error.problems]
    count = len(problems)
    what = "the configuration cannot be used" + (f": {count} problems" if count > 1 else "")
    lines = "".join(f"\n  {problem}" for problem in error.problems)
    return Refusal(Exit.CONFIG, what + lines, "", problems=problems)


def problem_document(problem: errors.Problem) -> dict[str, Any]:
    """Return the JSON form of one problem of the configuration."""
    return {key: value for key, value in problem._asdict().items()}  # noqa: C416 - a dict of its own type


def _no_master(error: NoMaster) -> Refusal:
    if isinstance(error.__cause__, PermissionError):
        return Refusal(Exit.PERMISSION, str(error), "ask as the user that runs the master, or as root")
    return Refusal(Exit.NO_MASTER, str(error), "procqueue start runs one")
