"""etc/queues.toml: all keys there are stand in it, with their real defaults, and it runs as it stands."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import tomli

from procqueue.config import load
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
from procqueue.core.settings.model import CronSettings, QueueSettings
from procqueue.core.settings.processes import ENVIRONMENT
from procqueue.core.settings.program import ProgramSettings

ROOT = Path(__file__).parent.parent
FILE = ROOT / "etc" / "queues.toml"
TABLES = {
    "": TOP, "driver": DRIVER, "master": MASTER, "logging": LOGGING, "reload": RELOAD, "hooks": HOOKS,
    "web": WEB, "defaults": QUEUE, "processes.clock": PROGRAM, "cron.nightly": CRON,
}  # fmt: skip
COMMENTED_OUT = ("processes.clock", "cron.nightly")  # as a whole

_ASSIGNMENT = re.compile(r"(#?)([a-z_]+) = (.+)")


def lines_of(table: str) -> list[tuple[bool, str, str]]:
    """Return (is an example, key, the line without its leading #) for each assignment in a table."""
    found = []
    inside = ""
    for line in FILE.read_text().splitlines():
        if header := re.match(r"#?\[(.+?)\]", line):
            inside = header[1]
        elif inside == table and (match := _ASSIGNMENT.fullmatch(line)):
            found.append((match[1] == "#", match[2], line.removeprefix("#")))
    return found


def with_defaults(folder: Path, text: str) -> QueueSettings:
    """Return the queue `plain` of a file with this text; the file lies where etc/queues.toml would."""
    (folder / "etc").mkdir()
    file = folder / "etc" / "queues.toml"
    file.write_text(text)
    return load(str(file), {}).queues["plain"]


def test_it_loads_without_a_warning_and_its_root_is_the_checkout() -> None:
    settings = load(str(FILE), {})

    assert settings.warnings == ()
    assert settings.root == settings.path == str(ROOT)
    assert settings.nothing_to_run() is None


@pytest.mark.parametrize(("table", "keys"), TABLES.items())
def test_every_key_that_is_read_stands_in_it_and_no_other(table: str, keys: Keys) -> None:
    written = [key for _, key, _ in lines_of(table)]

    assert sorted(written) == sorted(key.name for key in keys.values() if key.read is not None)


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_its_line_of_comment(table: str) -> None:
    assert [line for _, _, line in lines_of(table) if "#" not in line] == []


@pytest.mark.parametrize(("table", "keys"), TABLES.items())
def test_what_is_commented_out_is_marked_as_an_example_and_would_be_accepted(table: str, keys: Keys) -> None:
    for is_commented_out, key, line in lines_of(table):
        is_example = "# e.g." in line
        assert is_commented_out == (is_example or table in COMMENTED_OUT), line
        if is_example:
            reader = keys[key].read
            assert reader is not None
            reader(tomli.loads(line)[key])


def test_what_it_says_of_the_tables_that_stand_once_are_the_defaults(tmp_path: Path) -> None:
    settings = load(str(FILE), {})
    (tmp_path / "plain.toml").write_text(f'app = ["any"]\nroot = "{ROOT}"\n[queues.plain]\n')
    plain = load(str(tmp_path / "plain.toml"), {})

    assert (settings.driver, settings.master, settings.logging, settings.reload, settings.hooks) == (
        plain.driver, plain.master, plain.logging, plain.reload, plain.hooks,
    )  # fmt: skip
    assert settings.web == plain.web
    assert (settings.root, settings.path) == (plain.root, plain.path)


def test_what_it_says_under_defaults_are_the_defaults(tmp_path: Path) -> None:
    text, _, _ = FILE.read_text().partition("[queues.")

    queue = with_defaults(tmp_path, text + "[queues.plain]\n")

    assert queue == QueueSettings("plain")


def test_each_default_is_checked_by_the_test_above(tmp_path: Path) -> None:
    # A key that the model did not have would slip through the comparison.
    told = {key for is_example, key, _ in lines_of("defaults") if not is_example}

    model = {field.name for field in fields(QueueSettings)} | {*ENVIRONMENT}
    assert told == model - {
        "name",
        "app",
        "serves",
        "weights",
        "scale",
        "environment",
        "login_env",
        "origins",
    }
    assert with_defaults(tmp_path, 'app = ["any"]\n[queues.plain]\nsurge = 2\n') == replace(
        QueueSettings("plain"), surge=2
    )


def test_what_it_says_of_a_program_are_the_defaults(tmp_path: Path) -> None:
    told = {key: line for _, key, line in lines_of("processes.clock") if "# e.g." not in line}
    file = tmp_path / "programs.toml"
    file.write_text("\n".join(["[processes.clock]", "command = 'clock'", *told.values()]))

    program = load(str(file), {}).programs["clock"]

    assert program == ProgramSettings("clock", command=("clock",))
    model = {field.name for field in fields(ProgramSettings)} | {*ENVIRONMENT}
    assert set(told) == model - {"name", "command", "target", "health", "environment", "origins"}


def test_what_it_says_of_a_cron_are_the_defaults(tmp_path: Path) -> None:
    told = {key: line for _, key, line in lines_of("cron.nightly")}
    file = tmp_path / "crons.toml"
    file.write_text("\n".join(['app = ["any"]', "[queues.default]", "[cron.nightly]", *told.values()]))

    cron = load(str(file), {}).crons["nightly"]

    assert cron == CronSettings("nightly", task="shop.tasks.report", schedule="0 3 * * *")
    assert set(told) == {field.name for field in fields(CronSettings)} - {"name", "origins"}


def test_a_comment_names_the_values_that_a_choice_takes() -> None:
    lines = {key: line for table in TABLES for _, key, line in lines_of(table)}

    for key, words in {
        "on_timeout": ("retry", "park", "fail"), "after_timeout": ("recycle", "keep"),
        "level": ("debug", "info", "warning", "error"), "restart": ("always", "on-failure", "never"),
        "ready": ("time", "notify", "line:", "tcp:", "http:"), "format": ("text", "json"),
        "durability": ("fsync", "normal"),
    }.items():  # fmt: skip
        assert all(word in lines[key] for word in words), key
