"""The command line itself: help, unknown words, errors as text and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from procqueue.cli.app import VERBS
from procqueue.cli.habits import ELSEWHERE, LATER_VERBS
from procqueue.cli.main import run
from tests.cli.place import Place, Ran


@pytest.fixture
def typed(
    capfd: pytest.CaptureFixture[str], place: Place, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Run a command line in this process: for what ends before anything is touched."""
    monkeypatch.chdir(place.folder)

    def run_here(*arguments: str) -> Ran:
        code = run(arguments)
        return Ran(code, *capfd.readouterr())

    return run_here


def test_without_a_verb_it_shows_all_verbs_and_exits_with_2(typed: Callable[..., Ran]) -> None:
    ran = typed()

    assert ran.code == 2
    assert all(verb in ran.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_that_fits(verb: str) -> None:
    from click.testing import CliRunner

    from procqueue.cli.app import procqueue

    shown = CliRunner().invoke(procqueue, [verb, "--help"]).output

    assert "--config" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_mistyped_verb_is_answered_with_the_nearest(typed: Callable[..., Ran]) -> None:
    ran = typed("statsu")

    assert ran.code == 2
    assert 'did you mean "status"?' in ran.err


@pytest.mark.parametrize(
    "word", ["update", "queue:work", "purge", "worker", "inspect", "suspend", "tail", "shutdown"]
)
def test_words_of_other_tools_name_the_verb_that_does_it(typed: Callable[..., Ran], word: str) -> None:
    ran = typed(word, "whatever", "--they", "took")

    assert ran.code == 2
    assert "procqueue " in ran.err.splitlines()[1]


@pytest.mark.parametrize("word", ["web", "doctor", "backup"])
def test_verbs_of_later_versions_say_that_they_are_not_there_yet(
    typed: Callable[..., Ran], word: str
) -> None:
    ran = typed(word)

    assert ran.code == 2
    assert "not available in this version" in ran.err


def test_no_habit_hides_a_verb() -> None:
    assert not set(VERBS) & {*ELSEWHERE, *LATER_VERBS}


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--foo"],
        ["nothing"],
        ["push"],
        ["messages", "x", "--limit", "y"],
        ["scale", "emails"],
        ["logs", "nowhere"],
    ],
)
def test_usage_errors_are_one_json_document_if_json_was_asked(
    typed: Callable[..., Ran], arguments: list[str]
) -> None:
    ran = typed(*arguments, "--json")

    assert ran.code == 2
    assert ran.json["v"] == 1
    assert set(ran.json["error"]) == {"code", "message", "hint"}
    assert ran.json["error"]["code"] == 2
    assert ran.err.startswith("error: ")


def test_the_config_may_be_named_before_and_after_the_verb(place: Place) -> None:
    place.write("etc/other.toml", "app = ['app']\n[queues.only-here]\n")

    for arguments in (["-c", "etc/other.toml", "queues"], ["queues", "--config", "etc/other.toml"]):
        assert "only-here" in place.run(*arguments).out
    assert "only-here" in place.run("queues", PROCQUEUE_CONFIG="etc/other.toml").out


def test_without_a_configuration_it_says_where_it_looked(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    ran = place.run("queues", cwd=elsewhere)

    assert ran.code == 78
    assert "procqueue.toml" in ran.err and "etc/queues.toml" in ran.err and "-c FILE" in ran.err


def test_an_error_shows_no_traceback(place: Place) -> None:
    place.write("procqueue.toml", "[queues.emails]\nproceses = 3\n")

    ran = place.run("start")

    assert ran.code == 78
    assert "Traceback" not in ran.err
    assert 'did you mean "processes"?' in ran.err


def test_version_tells_what_it_stands_on(typed: Callable[..., Ran]) -> None:
    ran = typed("version", "--json")

    assert ran.code == 0
    assert {"v", "procqueue", "python", "sqlite", "redis-py"} <= set(ran.json)
    assert ran.json["procqueue"] in typed("--version").out


def test_an_unwritable_reader_of_stdout_is_no_traceback(place: Place) -> None:
    import subprocess
    import sys

    shell = f"{sys.executable} -m procqueue check --json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", shell], cwd=place.folder, env=place.environment(), capture_output=True, check=False
    )

    assert b"Traceback" not in ran.stderr


def test_json_is_one_document_although_the_file_warns(place: Place) -> None:
    place.write("procqueue.toml", "app = ['app']\n[queues.emails]\ngrace = '1s'\n")

    ran = place.run("queues", "--json")

    assert ran.code == 0
    assert list(ran.json["queues"]) == ["emails"]
    assert "warning: " in ran.err
    json.loads(ran.out)
