"""`procqueue`: finds the verb, runs it, and turns whatever goes wrong into a few lines and an exit code.

Verbs are imported when they are asked for: `status` must not pay for what `push` needs. A verb is a function
that prints its data and returns an Exit; everything else that it has to say is an exception (failures.py).
Next to read: options.py (what all verbs take), output.py (what they print).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from procqueue.cli.failures import Refusal, refusal_of
from procqueue.cli.options import Where, shared_options
from procqueue.cli.output import print_json, say
from procqueue.core.exits import Exit

#: Every verb: its module, and the line that `procqueue --help` shows, so that help imports none of them.
VERBS = {
    "start": ("start", "Run the consumers of the configuration until stopped."),
    "stop": ("stop", "Stop the running master: soft, then hard."),
    "status": ("status", "Show what runs, what waits, and what is wrong."),
    "restart": ("restart", "Replace processes by fresh ones, without a gap."),
    "reload": ("reload", "Apply what differs: of the configuration, and of the code."),
    "scale": ("scale", "Run more or fewer processes of a queue or program."),
    "pause": ("pause", "Hand out no more messages of a queue; what runs is finished."),
    "resume": ("pause", "Hand out messages of a paused queue again."),
    "signal": ("signals", "Send a signal to the processes of a queue or program."),
    "stacks": ("stacks", "Show where the processes of a queue or program are."),
    "health": ("health", "Say whether all is well, for probes."),
    "top": ("top", "Show what status shows, again and again."),
    "push": ("push", "Hand in a message."),
    "hosts": ("hosts", "Show which hosts serve the queues, and who is silent."),
    "logs": ("logs", "Show the last lines of all processes, and follow them."),
    "queues": ("queues", "Show how many messages stand where."),
    "messages": ("messages", "List the stored messages of a queue."),
    "retry": ("retry", "Run failed or timed-out messages again."),
    "forget": ("forget", "Remove messages that are not running."),
    "clear": ("forget", "Remove all messages of one state."),
    "check": ("check", "Say everything that is wrong with the configuration."),
    "config": ("config", "Show the values in force, and where each comes from."),
    "tasks": ("tasks", "List the tasks of the application."),
    "work": ("work", "Run one consumer in the foreground."),
    "init": ("init", "Write a first configuration, a unit, a manifest; or translate Supervisor's."),
    "demo": ("demo", "See it work: no server, no files, ten seconds."),
    "version": ("version", "Show versions."),
}

EXIT_CODES = """\
Exit codes:
  0 done, healthy   1 failed      2 usage     3 no master           4 degraded
  5 timed out       6 already running         69 driver unreachable
  77 permission denied                        78 bad configuration
"""


class LazyGroup(click.Group):
    """A group whose commands are imported by their first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return all verbs, in the order in which people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one verb."""
        if cmd_name not in VERBS:
            return None
        command = getattr(import_module(f"procqueue.cli.{VERBS[cmd_name][0]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a word of another tool's gets an answer."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            from procqueue.cli.habits import answer

            raise answer(args[0], VERBS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the verbs from the table."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the exit codes as they stand."""
        formatter.write_paragraph()
        formatter.write(EXIT_CODES)


@click.group(
    cls=LazyGroup, subcommand_metavar="VERB ...", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--version", "version", is_flag=True, is_eager=True, expose_value=False,
              callback=lambda ctx, _, asked: _show_version(ctx) if asked else None,
              help="Show the version and exit.")  # fmt: skip
@shared_options
def procqueue(where: Where) -> None:  # noqa: ARG001
    """Keep queue consumers running: a supervisor and a message queue in one command.

    `procqueue VERB --help` says more about a verb; `procqueue demo` shows it at work.
    """


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    as_json = "--json" in arguments[: arguments.index("--")] if "--" in arguments else "--json" in arguments
    try:
        code = procqueue.main(list(arguments) or ["--help"], "procqueue", standalone_mode=False)
        sys.stdout.flush()
        return int(code or Exit.OK) if arguments else Exit.USAGE
    except BrokenPipeError:
        # The reader of stdout has seen enough; Python's own flush at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.FAILED
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return 130
    except Exception as error:
        return _refuse(refusal_of(error) or _bug(error), as_json)


def _refuse(refusal: Refusal, as_json: bool) -> int:
    say(f"error: {refusal.message}" + (f"\n  {refusal.hint}" if refusal.hint else ""))
    if as_json:
        print_json(refusal.document())
    return int(refusal.code)


def _bug(error: Exception) -> Refusal:
    """Show where an error that nobody expected came from, and return what is left to say of it."""
    import traceback

    traceback.print_exception(error)
    hint = "this is a bug of procqueue, unless a task of sync:// raised it: please report it with these lines"
    return Refusal(Exit.FAILED, f"{type(error).__name__}: {error}", hint)


def _show_version(ctx: click.Context) -> NoReturn:
    from procqueue import __version__

    click.echo(f"procqueue {__version__}")
    ctx.exit()
