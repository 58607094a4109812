"""The demonstration, and the account that it makes."""

from procqueue.core.message import State
from procqueue.demo.account import account, read_ledger
from procqueue.demo.stage import CONFIG
from tests.cli.place import Place

HELLO, BROKEN = "procqueue.demo.tasks.hello", "procqueue.demo.tasks.broken"


def test_the_demonstration_adds_up_and_says_how_to_go_on(place: Place) -> None:
    ran = place.run("demo")

    assert ran.code == 0, ran.out + ran.err
    assert "20 pushed = 18 done + 2 failed" in ran.out
    assert "kill -9" in ran.out and "after its process was killed" in ran.out
    assert "procqueue check" in ran.out.splitlines()[-1]


def test_it_runs_any_configuration_that_has_its_tasks(place: Place) -> None:
    import subprocess
    import sys

    place.write("etc/queues.toml", CONFIG)

    def demo(config: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "procqueue.demo", "--config", config, "--messages", "40"],
            cwd=place.folder, env=place.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip

    ran = demo("etc/queues.toml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    refused = demo("procqueue.toml")
    assert refused.returncode == 1 and "procqueue.demo.tasks" in refused.stderr


def test_an_account_that_adds_up() -> None:
    ledger = read_ledger(f"started a {HELLO}\nstarted b {BROKEN}\nstarted a {HELLO}\nended a {HELLO}\nstar")

    found = account({"a": HELLO, "b": BROKEN}, ledger, {"a": None, "b": State.FAILED}, killed=["a"])

    assert found.adds_up
    assert (found.pushed, found.done, found.failed, found.retried) == (2, 1, 1, 1)


def test_an_account_names_what_is_lost_doubled_or_left() -> None:
    ledger = read_ledger(f"started a {HELLO}\nended b {HELLO}\nended b {HELLO}\n")
    states = {"a": None, "b": None, "c": State.RESERVED, "d": State.WAITING}

    found = account(dict.fromkeys("abc", HELLO) | {"d": BROKEN}, ledger, states)

    assert not found.adds_up
    assert found.wrong == (
        "a: gone, and never ended",
        "b: ended 2 times",
        "c: still reserved",
        "d: it cannot work, and is not in failed",
        "no consumer could be killed at work",
    )
