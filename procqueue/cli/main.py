"""`procqueue`: runs a command line, and turns whatever goes wrong into a few lines and an exit code.

Next to read: app.py (the verbs), quick.py (the two that need no library to be understood), failures.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from procqueue.cli import quick
from procqueue.cli.output import print_json, say
from procqueue.core.exits import Exit

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import NoReturn

    from procqueue.cli.failures import Refusal


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    if instruction := os.environ.get("_PROCQUEUE_COMPLETE"):
        from procqueue.cli.app import procqueue
        from procqueue.cli.completion import answer

        return answer(procqueue, instruction)
    as_json = "--json" in arguments[: arguments.index("--")] if "--" in arguments else "--json" in arguments
    try:
        code = quick.run(arguments)
        if code is None:
            from procqueue.cli.app import run_verb

            code = run_verb(arguments)
        sys.stdout.flush()
        return int(code or Exit.OK) if arguments else Exit.USAGE
    except BrokenPipeError:
        # The reader of stdout has seen enough; Python's own flush at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.FAILED
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except Exception as error:
        return _refuse(error, as_json)


def _refuse(error: Exception, as_json: bool) -> int:
    from procqueue.cli.failures import refusal_of

    refusal = refusal_of(error) or _bug(error)
    say(f"error: {refusal.message}" + (f"\n  {refusal.hint}" if refusal.hint else ""))
    if as_json:
        print_json(refusal.document())
    return int(refusal.code)


def _bug(error: Exception) -> Refusal:
    """Show where an error that nobody expected came from, and return what is left to say of it."""
    import traceback

    from procqueue.cli.failures import Refusal

    traceback.print_exception(error)
    hint = "this is a bug of procqueue, unless a task of sync:// raised it: please report it with these lines"
    return Refusal(Exit.FAILED, f"{type(error).__name__}: {error}", hint)
