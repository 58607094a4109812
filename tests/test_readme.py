"""README.md says what is true: its words are few, its verbs and keys exist, its quickstart runs."""

import re
import subprocess
import sys
from collections.abc import Iterator
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
    WEB,
    Keys,
)
from tests.documents import PATIENCE, ROOT, Stranger, blocks, rows, section, shape

TEXT = (ROOT / "README.md").read_text()
BEFORE, _, REFERENCE = TEXT.partition("\n# Reference\n")

TABLES = {
    "At the top of the file": TOP, "[driver]": DRIVER, "[master]": MASTER,
    "[defaults] and [queues.NAME]": QUEUE, "[processes.NAME]": PROGRAM, "[cron.NAME]": CRON,
    "[reload]": RELOAD, "[logging]": LOGGING, "[hooks]": HOOKS, "[web]": WEB,
}  # fmt: skip
CHILDREN_ONLY = {Exit.CANNOT_IMPORT, Exit.DISOWNED}


# what it says


def test_the_part_before_the_reference_is_short() -> None:
    words = [word for word in BEFORE.split() if re.search(r"\w", word)]

    assert REFERENCE
    assert len(words) <= 900


def test_every_verb_that_it_names_exists_and_each_is_described() -> None:
    quoted = re.findall(r"`procqueue ([a-z]+)", TEXT) + re.findall(
        r"^\$ procqueue ([a-z]+)", TEXT, re.MULTILINE
    )
    described = re.findall(r"^\| `procqueue ([a-z]+)", section(TEXT, "Commands"), re.MULTILINE)

    assert set(quoted) <= set(VERBS)
    assert set(described) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_it_names_is_one(verb: str) -> None:
    told = "\n".join(
        row[0] + row[1]
        for row in rows(section(TEXT, "Commands"))
        if re.match(rf"`procqueue {verb}\b", row[0])
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
    told = [int(row[0]) for row in rows(section(TEXT, "Commands")) if row[0].isdigit()]

    assert told == sorted(set(Exit) - CHILDREN_ONLY)


@pytest.mark.parametrize(("heading", "keys"), TABLES.items())
def test_the_configuration_table_lists_exactly_the_keys_that_work(heading: str, keys: Keys) -> None:
    told = [row[0].strip("`") for row in rows(section(TEXT, heading))]

    assert told == [key.name for key in keys.values() if key.read is not None]


@pytest.mark.parametrize(("heading", "keys"), TABLES.items())
def test_the_defaults_are_those_of_the_example_file(heading: str, keys: Keys) -> None:
    # That file's values are held to the code by test_etc.py.
    example = (ROOT / "etc" / "queues.toml").read_text().partition("[queues.")[0]
    assert keys
    for row in rows(section(TEXT, heading)):
        key, default = row[0].strip("`"), row[1].strip("`")
        if re.search(rf"^#?{key} = (?!.*# e\.g\.)", example, re.MULTILINE) and key != "app":
            assert re.search(rf"^#?{key} = {re.escape(default)}\s+#", example, re.MULTILINE), row


def test_the_files_that_it_links_to_are_there() -> None:
    assert [link for link in re.findall(r"\]\(([^)#:]+)\)", TEXT) if not (ROOT / link).exists()] == []


# what it does


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    yield made
    made.close()


def test_the_quickstart_does_what_it_shows(stranger: Stranger) -> None:
    text = section(TEXT, "Your own, in three minutes")
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
