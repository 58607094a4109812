"""README.md says what is true: its words are few, its verbs and keys exist, its quickstart runs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procqueue.cli.app import VERBS
from procqueue.core.exits import Exit
from procqueue.core.settings.keys import (
    CRON,
    DRIVER,
    HOOKS,
    LOGGING,
    MASTER,
    PROGRAM,
    QUEUE,
    RELOAD,
    TOP,
    Keys,
)

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BEFORE, _, REFERENCE = TEXT.partition("\n# Reference\n")

PATIENCE = 30.0
TABLES = {
    "At the top of the file": TOP, "[driver]": DRIVER, "[master]": MASTER,
    "[defaults] and [queues.NAME]": QUEUE, "[processes.NAME]": PROGRAM, "[cron.NAME]": CRON,
    "[reload]": RELOAD, "[logging]": LOGGING, "[hooks]": HOOKS,
}  # fmt: skip
CHILDREN_ONLY = {Exit.CANNOT_IMPORT, Exit.DISOWNED}


def section(heading: str) -> str:
    """Return what stands under a heading of any level, up to the next one that is not below it."""
    # A # inside a block of code is no heading.
    masked = re.sub(r"^```.*?^```", lambda block: "-" * len(block[0]), TEXT, flags=re.MULTILINE | re.DOTALL)
    found = re.search(rf"^(#+) {re.escape(heading)}\n", masked, re.MULTILINE)
    assert found, f"README.md has no heading {heading!r}"
    rest = TEXT[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", masked[found.end() :], re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """Return the cells of a section's tables, without heads and rulers."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {n for n, line in enumerate(lines) if n + 1 < len(lines) and lines[n + 1].startswith("|--")}
    body = [line for n, line in enumerate(lines) if n not in heads and not line.startswith("|--")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# what it says


def test_the_part_before_the_reference_is_short() -> None:
    words = [word for word in BEFORE.split() if re.search(r"\w", word)]

    assert REFERENCE
    assert len(words) <= 900


def test_every_verb_that_it_names_exists_and_each_is_described() -> None:
    quoted = re.findall(r"`procqueue ([a-z]+)", TEXT) + re.findall(
        r"^\$ procqueue ([a-z]+)", TEXT, re.MULTILINE
    )
    described = re.findall(r"^\| `procqueue ([a-z]+)", section("Commands"), re.MULTILINE)

    assert set(quoted) <= set(VERBS)
    assert set(described) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_it_names_is_one(verb: str) -> None:
    told = "\n".join(
        row[0] + row[1] for row in rows(section("Commands")) if re.match(rf"`procqueue {verb}\b", row[0])
    )
    shown = subprocess.run(
        [sys.executable, "-m", "procqueue", verb, "--help"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout

    assert [option for option in re.findall(r"--[a-z]+", told) if option not in shown] == []


def test_the_exit_codes_are_those_of_the_code() -> None:
    told = [int(row[0]) for row in rows(section("Commands")) if row[0].isdigit()]

    assert told == sorted(set(Exit) - CHILDREN_ONLY)


@pytest.mark.parametrize(("heading", "keys"), TABLES.items())
def test_the_configuration_table_lists_exactly_the_keys_that_work(heading: str, keys: Keys) -> None:
    told = [row[0].strip("`") for row in rows(section(heading))]

    assert told == [key.name for key in keys.values() if key.read is not None]


@pytest.mark.parametrize(("heading", "keys"), TABLES.items())
def test_the_defaults_are_those_of_the_example_file(heading: str, keys: Keys) -> None:
    # That file's values are held to the code by test_etc.py.
    example = (ROOT / "etc" / "queues.toml").read_text().partition("[queues.")[0]
    assert keys
    for row in rows(section(heading)):
        key, default = row[0].strip("`"), row[1].strip("`")
        if re.search(rf"^#?{key} = (?!.*# e\.g\.)", example, re.MULTILINE) and key != "app":
            assert re.search(rf"^#?{key} = {re.escape(default)}\s+#", example, re.MULTILINE), row


def test_the_files_that_it_links_to_are_there() -> None:
    assert [link for link in re.findall(r"\]\(([^)#:]+)\)", TEXT) if not (ROOT / link).exists()] == []


# what it does


class Stranger:
    """Somebody who follows the quickstart in an empty directory, with nothing but what stands there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.master: subprocess.Popen[bytes] | None = None
        # As if installed: `procqueue` is on the PATH, wherever these tests run.
        (folder / "bin").mkdir()
        command = folder / "bin" / "procqueue"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m procqueue "$@"\n')
        command.chmod(0o755)
        own = {name: text for name, text in os.environ.items() if not name.startswith("PROCQUEUE_")}
        path = f"{folder}/bin:{os.environ['PATH']}"
        # A wide terminal: the path of this directory must not be wrapped.
        self.environment = {**own, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "300"}

    def write_files(self, text: str) -> list[str]:
        """Write every block whose first line names it."""
        found = [block for language in ("python", "toml") for block in blocks(text, language)]
        names = [block.splitlines()[0].removeprefix("# ") for block in found]
        for name, block in zip(names, found, strict=True):
            (self.folder / name).write_text(block)
        return names

    def start(self, command: str) -> None:
        with self.output.open("wb") as output:
            self.master = subprocess.Popen(
                ["sh", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, stdout=output,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip

    def run_until(self, command: str, fits: Callable[[str], bool]) -> subprocess.CompletedProcess[str]:
        """Run it again until its output fits, or for too long; return the last run."""
        give_up = time.monotonic() + PATIENCE
        while not fits((done := self.run(command)).stdout) and time.monotonic() < give_up:
            time.sleep(0.05)
        return done

    def wait_printed(self, words: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while words not in self.output.read_text():
            assert time.monotonic() < give_up, f"{words!r} was never printed:\n{self.output.read_text()}"
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """Return all living processes of the session that `start` began."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if (
                entry.name.isdigit()
                and self.master
                and int(fields[3]) == self.master.pid
                and fields[0] != "Z"
            ):
                found.append(int(entry.name))
        return found


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)


def test_the_quickstart_does_what_it_shows(stranger: Stranger) -> None:
    text = section("Your own, in three minutes")
    transcripts = "".join(blocks(text, "console"))
    commands = re.findall(r"^\$ (.+)", transcripts, re.MULTILINE)
    start, push, status, stop = commands

    assert stranger.write_files(text) == ["app_tasks.py", "procqueue.toml"]
    stranger.start(start)
    stranger.wait_printed("master ready consumers=2")
    pushed = stranger.run(push)
    stranger.wait_printed("welcome, welcome, Ada\n")
    shown = transcripts.partition(f"$ {status}\n")[2].partition("$ ")[0]
    seen = stranger.run_until(status, lambda output: shape(output) == shape(shown))
    stopped = stranger.run(stop)

    assert (pushed.returncode, seen.returncode, stopped.returncode) == (0, 0, 0)
    assert re.fullmatch(r"[0-9A-Z]{26}  emails\n", pushed.stdout)
    assert shape(seen.stdout) == shape(shown)
    assert stopped.stdout == "stopped: emails\n"
    assert stranger.master is not None
    assert stranger.master.wait(PATIENCE) == 0
    assert stranger.processes() == []


def shape(status: str) -> list[str]:
    """Return the lines of a status without what differs from run to run: numbers, paths, spaces."""
    return [
        " ".join(re.sub(r"/\S+|[0-9.]+(ms|s|MiB|MB)?", "N", line).split()) for line in status.splitlines()
    ]
