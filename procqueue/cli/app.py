"""All verbs: finds the one that is asked for, and runs it.

Verbs are imported when they are asked for: `stop` must not pay for what `push` needs. A verb is a function
that prints its data and returns an Exit; everything else that it has to say is an exception (failures.py).
Next to read: options.py (what all verbs take), output.py (what they print).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click

from procqueue.cli.failures import Refusal, usage
from procqueue.cli.options import Where, shared_options
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Every verb: its module, and the line that `procqueue --help` shows, so that help imports none of them.
VERBS = {
    "start": ("start", "Run the consumers of the configuration until stopped."),
    "stop": ("stop", "Stop the running master: soft, then hard."),
    "status": ("looking", "Show what runs, what waits, and what is wrong."),
    "restart": ("restart", "Replace processes by fresh ones, without a gap."),
    "reload": ("reload", "Apply what differs: of the configuration, and of the code."),
    "scale": ("scale", "Run more or fewer processes of a queue or program."),
    "pause": ("pause", "Hand out no more messages of a queue; what runs is finished."),
    "resume": ("pause", "Hand out messages of a paused queue again."),
    "gate": ("gate", "Let producers push into a queue, or not."),
    "drain": ("drain", "Keep producers out until all that waits is handled."),
    "signal": ("signals", "Send a signal to the processes of a queue or program."),
    "stacks": ("stacks", "Show where the processes of a queue or program are."),
    "health": ("looking", "Say whether all is well, for probes."),
    "top": ("top", "Show what status shows, again and again."),
    "push": ("push", "Hand in a message."),
    "hosts": ("hosts", "Show which hosts serve the queues, and who is silent."),
    "logs": ("logs", "Show the last lines of all processes, and follow them."),
    "queues": ("queues", "Show how many messages stand where."),
    "messages": ("messages", "List the stored messages of a queue."),
    "message": ("message", "Show one message: its arguments, and how its runs ended."),
    "retry": ("retry", "Run failed or timed-out messages again."),
    "forget": ("forget", "Remove messages that are not running."),
    "clear": ("forget", "Remove all messages of one state."),
    "cancel": ("cancel", "Remove messages, also while they run."),
    "check": ("check", "Say everything that is wrong with the configuration."),
    "config": ("config", "Show the values in force, and where each comes from."),
    "tasks": ("tasks", "List the tasks of the application."),
    "work": ("work", "Run one consumer in the foreground."),
    "init": ("init", "Write a first configuration, a unit, a manifest; or translate Supervisor's."),
    "demo": ("demo", "See it work: no server, no files, ten seconds."),
    "completion": ("completion", "Print what makes a shell complete names and options."),
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
        if args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from procqueue.cli.habits import answer

            raise answer(args[0], VERBS)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return what a shell may offer: the verbs from the table, or options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(v, help=line) for v, (_, line) in VERBS.items() if v.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

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


def run_verb(arguments: Sequence[str]) -> Exit | None:
    """Run one command line; return what its verb returned. Raises Refusal for one that cannot be meant."""
    try:
        code: Exit | None = procqueue.main(list(arguments) or ["--help"], "procqueue", standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        raise _usage(error) from None
    except click.ClickException as error:
        raise usage(error.format_message()) from None
    return code


def _usage(error: click.UsageError) -> Refusal:
    hint = f"{error.ctx.command_path} --help says what it takes" if error.ctx is not None else ""
    if isinstance(error, click.NoSuchOption):
        rest = error.option_name.lstrip("-")
        if rest[:1].isdigit():
            hint = "put -- before arguments that begin with a minus: procqueue push TASK -- -5"
    return usage(error.format_message(), hint)


def _show_version(ctx: click.Context) -> None:
    if ctx.resilient_parsing:
        return  # a shell completes what stands behind it
    from procqueue import __version__

    click.echo(f"procqueue {__version__}")
    ctx.exit()
