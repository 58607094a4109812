"""The number of consumers follows the load: up while messages wait too long, down afterwards, no flapping."""

from __future__ import annotations

from itertools import groupby

import pytest

from tests.live.conftest import Make
from tests.live.harness import edit, queue, verb

CONFIG = """
    [queues.q]
    processes = {min = 1, max = 3, target_wait = "1s"}
    """

APP = """
    @task(queue="q")
    def slow(n):
        time.sleep(0.1)  # so that no CPU is worth mentioning: on a busy machine there is none for more
        say(f"did {n}")

    @task(queue="q")
    def long():
        wait_for("go")
    """


def test_a_burst_scales_up_and_down_again_without_flapping(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    assert queue(project)["wanted"] == 1
    project.push_many("slow", 120)
    trace: list[int] = []

    def back_at_one() -> bool:
        found = queue(project)
        trace.append(found["wanted"])
        return max(trace) == 3 and found["wanted"] == 1 and len(found["consumers"]) == 1

    project.wait_until(back_at_one, "three, then one", patience=90)

    numbers = [number for number, _ in groupby(trace)]
    top = numbers.index(3)
    assert numbers[: top + 1] == sorted(numbers[: top + 1])
    assert numbers[top:] == sorted(numbers[top:], reverse=True)
    assert sorted(project.said()) == sorted(f"did {n}" for n in range(120))
    assert "busy" in queue(project)["scale"]["why"]


def test_status_says_why_and_a_number_by_hand_wins(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    for _ in range(40):
        project.push("long")
    project.wait_until(lambda: queue(project)["wanted"] == 3, "three")
    assert queue(project)["scale"]["why"].endswith("target 1s")
    assert "target 1s" in verb(project, "status")

    verb(project, "scale", "q=2")

    at = project.status()["counts_at"]
    project.wait_until(lambda: project.status()["counts_at"] > at, "another sample")
    assert queue(project)["wanted"] == 2
    verb(project, "scale", "q=auto")
    project.wait_until(lambda: queue(project)["wanted"] == 3, "three again")
    (project.folder / "go").touch()
    project.wait_empty()


@pytest.mark.parametrize("where", [(), ("--here",)], ids=["everywhere", "here"])
def test_what_waits_in_a_paused_queue_calls_for_nobody(make: Make, where: tuple[str, ...]) -> None:
    project = make(CONFIG, APP)
    project.start()
    verb(project, "pause", "q", *where)
    project.wait_until(lambda: queue(project)["state"] == "paused", "status to say so")
    project.push_many("slow", 100)

    def waits_too_long() -> bool:
        oldest = project.driver.oldest_ms("q")
        return oldest is not None and oldest > 4000

    project.wait_until(waits_too_long, "a long wait")

    assert queue(project)["wanted"] == 1
    verb(project, "resume", "q", *where)
    project.wait_until(lambda: queue(project)["wanted"] == 3, "three")


def test_a_reload_gives_a_queue_its_scale_and_takes_it_away(make: Make) -> None:
    project = make("[queues.q]\nprocesses = 2\n", APP)
    project.start()
    assert queue(project)["scale"] is None
    edit(project.config, "processes = 2", 'processes = {min = 1, max = 3, target_wait = "1s"}')
    verb(project, "reload")
    project.wait_until(lambda: queue(project)["wanted"] == 1, "one")

    for _ in range(40):
        project.push("long")

    project.wait_until(lambda: queue(project)["wanted"] == 3, "three")
    edit(project.config, '{min = 1, max = 3, target_wait = "1s"}', "2")
    verb(project, "reload")
    project.wait_until(lambda: queue(project)["wanted"] == 2, "two")
    (project.folder / "go").touch()
    project.wait_empty()
