"""What a shell completes: asked as its script asks, and by the real shells where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.cli.place import Place, Ran

CONFIG = """
app = ["app", "more.tasks"]
[queues.emails]
processes = 2
[queues.images]
[processes.clock]
command = "sleep 100"
count = 2
[groups]
web = ["clock"]
"""

#: Whoever imports it says so, and fails.
APP = """
import sys
sys.exit("imported")
from procqueue import task
import procqueue

@task(queue="emails")
def welcome(): ...

@procqueue.task
async def aside(): ...

def no_task(): ...
"""


@pytest.fixture
def here(place: Place) -> Place:
    place.write("procqueue.toml", CONFIG)
    place.write("app.py", APP)
    place.write("more/tasks.py", "@task(name='named')\ndef function(): ...\n")
    place.write("bin/procqueue", f'#!/bin/sh\nexec {sys.executable} -m procqueue "$@"\n').chmod(0o755)
    return place


def ask(place: Place, line: str) -> Ran:
    return place.run(_PROCQUEUE_COMPLETE="bash_complete", COMP_LINE=line, COMP_WORDBREAKS=" \t\n\"'><=;|&(:")


def offered(place: Place, line: str) -> list[str]:
    ran = ask(place, line)
    assert (ran.code, ran.err) == (0, "")
    return [word.partition(",")[2] for word in ran.out.splitlines() if word]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("procqueue sta", ["start", "status", "stacks"]),
        ("procqueue status --st", ["--state-dir"]),
        ("procqueue stop ", ["emails", "images", "clock", "web", "all"]),
        ("procqueue status ", ["emails", "images", "clock", "web", "all"]),
        ("procqueue restart emails i", ["images"]),
        ("procqueue stop clock:", ["0", "1"]),
        ("procqueue logs emails:1", ["1"]),
        ("procqueue logs m", ["master"]),
        ("procqueue pause ", ["emails", "images"]),
        ("procqueue start --only e", ["emails"]),
        ("procqueue scale em", ["emails=+1", "emails=-1", "emails=auto"]),
        ("procqueue scale emails=", ["+1", "-1", "auto"]),
        ("procqueue push ", ["app.welcome", "app.aside", "named"]),
        ("procqueue push named --queue ", ["emails", "images"]),
        ("procqueue config queues.", ["queues.emails", "queues.images"]),
        ("procqueue signal HU", ["HUP"]),
        ("procqueue clear emails --state ti", ["timeout"]),
        ("procqueue messages emails --state re", ["reserved"]),
        ("procqueue completion f", ["fish"]),
        ("procqueue --version sta", ["start", "status", "stacks"]),
    ],
)
def test_what_is_offered(here: Place, line: str, words: list[str]) -> None:
    assert offered(here, line) == words


def test_the_file_is_the_one_that_the_line_names(here: Place) -> None:
    here.write("other.toml", "app = ['app']\n[queues.only-here]\n")

    assert offered(here, "procqueue -c other.toml queues ") == ["only-here"]
    assert offered(here, "procqueue queues -c other.toml ") == ["only-here"]


@pytest.mark.parametrize("text", ["[queues", "[queues.emails]\nproceses = 3\n", "app = ['${NOWHERE}']\n"])
def test_a_broken_file_has_no_names_and_nothing_is_said_of_it(here: Place, text: str) -> None:
    here.write("procqueue.toml", text)

    assert offered(here, "procqueue status ") == []
    assert offered(here, "procqueue push ") == []
    assert offered(here, "procqueue sto") == ["stop"]


def test_what_cannot_be_completed_says_nothing(here: Place) -> None:
    (here.folder / "app.py").write_text("def broken(:\n")

    assert offered(here, "procqueue push a") == []
    assert offered(here, "procqueue status -c /nowhere ") == []
    assert here.run(_PROCQUEUE_COMPLETE="bash_complete") == Ran(1, "", "")  # no line
    assert here.run(_PROCQUEUE_COMPLETE="csh_complete").err == ""


def test_completing_imports_nothing_heavy(here: Place) -> None:
    heavy = {
        "msgspec", "redis", "sqlite3", "psutil", "rich", "asyncio", "ctypes", "watchfiles", "subprocess",
        "procqueue.producer", "procqueue.process.master",
    }  # fmt: skip
    code = (
        "import sys\nfrom procqueue.cli.main import run\ncode = run([])\n"
        f"sys.stderr.write(','.join(sorted({heavy!r} & set(sys.modules))))\nsys.exit(code)"
    )
    for line in ("procqueue st", "procqueue status ", "procqueue scale "):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=here.folder, capture_output=True, text=True, check=False,
            env=here.environment(_PROCQUEUE_COMPLETE="bash_complete", COMP_LINE=line),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


def in_shell(place: Place, *command: str) -> str:
    path = place.environment(PATH=f"{place.folder}/bin:/usr/local/bin:/usr/bin:/bin")
    done = subprocess.run(
        command, cwd=place.folder, env=path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [("procqueue sto", "stop"), ("procqueue stop clock:", "0 1"), ("procqueue scale images=a", "auto")],
)
def test_bash_gets_what_stands_behind_its_word_breaks(here: Place, line: str, words: str) -> None:
    script = f"""
        eval "$(procqueue completion bash)"
        COMP_LINE='{line} and more'; COMP_POINT={len(line)}
        _procqueue_completion procqueue
        echo "${{COMPREPLY[@]}}"
    """

    assert in_shell(here, "bash", "--norc", "-c", script) == words + "\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_completes(here: Place) -> None:
    script = 'procqueue completion fish | source; complete -C "procqueue stop clock:"'

    assert in_shell(here, "fish", "-c", script) == "clock:0\nclock:1\n"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_takes_the_script(here: Place) -> None:
    begin = "autoload -U compinit; compinit -u -d zdump"
    script = f'{begin}; eval "$(procqueue completion zsh)"; echo $_comps[procqueue]'

    assert in_shell(here, "zsh", "-f", "-c", script) == "_procqueue_completion\n"
