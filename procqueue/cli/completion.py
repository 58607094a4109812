"""`procqueue completion`: the script that makes a shell complete verbs, options and names; and its answers.

The script asks `procqueue` itself, with the line in the environment. Click does most of it; what bash gets is
ours, for bash cuts words at ":" and "=", which names and wishes contain. What is offered: completing.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.shell_completion import BashComplete, ShellComplete, add_completion_class, get_completion_class
from click.shell_completion import shell_complete as complete_in

from procqueue.cli.options import Where, verb
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Set by the script; what it says: "bash_complete".
VARIABLE = "_PROCQUEUE_COMPLETE"

_BASH = r"""%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
        %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Takes the whole line, and answers with what is to stand behind its last ":" or "="."""

    source_template: ClassVar[str] = _BASH
    _there = ""  # of the word: what bash does not replace

    def source(self) -> str:
        """Return the script. It needs bash 4.4, of 2016; which bash reads it, nobody here can know."""
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words, and the last, which is not whole."""
        from click.shell_completion import split_arg_string

        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        typed = words.pop() if words and not line[-1:].isspace() else ""
        breaks = [at for at, letter in enumerate(typed) if letter in ":=" and letter in _wordbreaks()]
        self._there = typed[: breaks[-1] + 1] if breaks else ""
        return words[1:], typed

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return one line for the script."""
        return f"{item.type},{str(item.value).removeprefix(self._there)}"


@verb
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(where: Where, shell: str) -> Exit:  # noqa: ARG001
    """Print what makes a shell complete verbs, options and names.

    bash and zsh: eval "$(procqueue completion bash)" in ~/.bashrc; fish: procqueue completion fish | source
    """
    answer(click.get_current_context().find_root().command, f"{shell}_source")
    return Exit.OK


def answer(command: click.Command, instruction: str) -> int:
    """Print the script, or what can stand where the cursor is; nothing if anything is wrong."""
    add_completion_class(_Bash)
    shell = instruction.partition("_")[0]
    if get_completion_class(shell) is None:
        return Exit.USAGE
    try:
        return complete_in(command, {}, "procqueue", VARIABLE, instruction)
    except Exception:  # a person is typing: whatever is wrong is said when the line is run
        return Exit.FAILED


def _wordbreaks() -> str:
    return os.environ.get("COMP_WORDBREAKS", ":=")
