"""`procqueue logs`: it reads what the logger keeps, needs no master, and follows."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.cli.place import PATIENCE, Place


def moment(ago: float = 0.0) -> str:
    at = datetime.fromtimestamp(time.time() - ago, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(text: str, name: str = "emails:0", stream: str = "out", ago: float = 0.0, mark: str = "|") -> str:
    return f"{moment(ago)} {name} {stream} {mark} {text}\n"


def keep(place: Place, *lines: str, ring: str = "emails") -> Path:
    """Append to a ring as the logger does."""
    path = place.folder / "run/logs" / f"{ring}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write("".join(lines))
    return path


def shown(text: str) -> list[str]:
    """Return lines without their times."""
    return [one.partition(" ")[2] for one in text.splitlines()]


def test_the_lines_of_all_names_are_merged_by_their_moments(place: Place) -> None:
    keep(place, line("first", ago=9), line("third", ago=7, stream="err"), line("cut", ago=3, mark="+"))
    keep(place, line("second", "images:0", ago=8), ring="images")
    keep(place, line("started pid=1", "master", "own", ago=5), ring="@master")

    ran = place.run("logs")

    assert ran.code == 0
    assert shown(ran.out) == [
        "emails:0 | first", "images:0 | second", "emails:0 | third", "master started pid=1", "emails:0 + cut",
    ]  # fmt: skip


def test_names_narrow_it(place: Place) -> None:
    keep(place, line("a", "emails:0", ago=4), line("b", "emails:1", ago=3))
    keep(place, line("c", "images:0", ago=2), ring="images")
    keep(place, line("d", "master", "own", ago=1), ring="@master")

    for names, texts in (
        (["emails"], ["emails:0 | a", "emails:1 | b"]),
        (["emails:1", "images"], ["emails:1 | b", "images:0 | c"]),
        (["*s:0"], ["emails:0 | a", "images:0 | c"]),
        (["master"], ["master d"]),
        (["all", "-n", "1"], ["master d"]),
    ):
        assert shown(place.run("logs", *names).out) == texts, names


def test_a_queue_that_said_nothing_is_no_mistake_and_a_mistyped_name_is(place: Place) -> None:
    keep(place, line("a"))

    assert place.run("logs", "images").code == 0
    ran = place.run("logs", "emials")
    assert ran.code == 2
    assert 'did you mean "emails"?' in ran.err


def test_how_many_and_since_when_can_be_said(place: Place) -> None:
    keep(place, line("old", ago=7200), *(line(str(number), ago=150 - number) for number in range(150)))

    assert [one.split()[-1] for one in place.run("logs").out.splitlines()] == [str(n) for n in range(50, 150)]
    assert shown(place.run("logs", "-n", "2").out) == ["emails:0 | 148", "emails:0 | 149"]
    assert len(place.run("logs", "--since", "1h").out.splitlines()) == 150
    assert len(place.run("logs", "--since", "3h").out.splitlines()) == 151
    assert len(place.run("logs", "--since", "1h", "-n", "3").out.splitlines()) == 3
    refused = place.run("logs", "--since", "yesterday")
    assert (refused.code, "--since" in refused.err) == (2, True)


def test_json_is_one_document(place: Place) -> None:
    keep(place, line("a\x1b[2J"))

    ran = place.run("logs", "--json")

    assert [(one["name"], one["stream"], one["line"]) for one in ran.json["lines"]] == [
        ("emails:0", "out", "a\x1b[2J")
    ]
    assert place.run("logs", "--json", "-n", "0").json == {"v": 1, "lines": []}


def test_what_a_child_wrote_plays_no_tricks_with_the_terminal(place: Place) -> None:
    keep(place, line("a\x1b[2J\x1b]0;title\x07"))

    assert shown(place.run("logs").out) == ["emails:0 | a\\x1b[2J\\x1b]0;title\\x07"]


def test_without_any_lines_it_says_so_and_with_a_broken_file_it_shows_them(place: Place) -> None:
    ran = place.run("logs")
    assert (ran.code, ran.out) == (0, "")
    assert "no lines are kept" in ran.err

    keep(place, line("a"))
    place.write("procqueue.toml", "[queues.emails]\nwrong = 1\n")
    ran = place.run("logs")
    assert (ran.code, shown(ran.out)) == (0, ["emails:0 | a"])


def test_it_follows_over_a_rotation_and_names_that_appear(place: Place) -> None:
    path = keep(place, line("before"))
    process = place.begin("logs", "-f", "--json")
    output = place.folder / "output"

    def followed(*texts: str) -> None:
        place.wait_until(
            lambda: [json.loads(one)["line"] for one in output.read_text().splitlines()] == list(texts), texts
        )

    followed("before")
    keep(place, line("more"))
    path.rename(f"{path}.1")
    keep(place, line("after"))
    followed("before", "more", "after")
    keep(place, line("new"), ring="images")
    followed("before", "more", "after", "new")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130


def test_it_ends_quietly_when_nobody_reads_any_more(place: Place) -> None:
    keep(place, line("a"))
    with subprocess.Popen(
        [sys.executable, "-m", "procqueue", "logs", "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=place.folder, env=place.environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().endswith(b"emails:0 | a\n")
        process.stdout.close()

        process.wait(PATIENCE)

        assert process.stderr.read() == b""


def test_it_imports_nothing_heavy(place: Place) -> None:
    keep(place, line("a"))
    code = (
        "import sys\nfrom procqueue.cli.main import run\nrun(['logs', 'emails', '--state-dir', 'run'])\n"
        "heavy = {'msgspec', 'redis', 'sqlite3', 'psutil', 'rich', 'asyncio', 'ctypes', 'subprocess'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=place.folder, env=place.environment(), capture_output=True,
        check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, b"")
