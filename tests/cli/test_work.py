"""`work`: one consumer in the foreground, as a host of its own."""

import os
import signal

from tests.cli.place import PATIENCE, Place


def works(place: Place) -> list[str]:
    """Return the directories of works."""
    folder = place.folder / "run" / "work"
    return [entry.name for entry in folder.iterdir()] if folder.exists() else []


def test_once_runs_one_message(place: Place) -> None:
    place.run("push", "app.welcome", "1", "--queue", "emails", "--count", "3")

    assert place.run("work", "emails", "--once").code == 0
    assert len(place.trail()) == 1
    assert place.counts() == {"waiting": 2}
    assert works(place) == []


def test_burst_runs_until_all_its_queues_are_empty(place: Place) -> None:
    place.run("push", "app.welcome", "1", "--queue", "emails", "--count", "60")
    place.run("push", "app.welcome", "2", "--queue", "images")
    place.run("push", "app.welcome", "3", "--queue", "emails", "--delay", "1h")

    assert place.run("work", "emails", "images", "--burst").code == 0
    assert len(place.trail()) == 61
    assert (place.counts("emails"), place.counts("images")) == ({"delayed": 1}, {})


def test_a_run_that_ends_badly_makes_it_1(place: Place) -> None:
    place.run("push", "app.bad", "--queue", "emails")
    place.run("push", "app.welcome", "1", "--queue", "emails")

    assert place.run("work", "emails", "--burst").code == 1
    assert len(place.trail()) == 1
    assert place.counts() == {"failed": 1}


def test_an_empty_queue_ends_it_at_once(place: Place) -> None:
    assert place.run("work", "emails", "--burst").code == 0
    assert place.run("work", "emails", "--once").code == 0


def test_it_waits_for_the_first_message(place: Place) -> None:
    work = place.begin("work", "emails", "--once", "--wait", "30s")
    place.wait_until(lambda: "master ready" in (place.folder / "output").read_text(), "the consumer")
    assert work.poll() is None

    place.run("push", "app.welcome", "1", "--queue", "emails")

    assert work.wait(PATIENCE) == 0
    assert len(place.trail()) == 1


def test_a_message_that_kills_its_process_fails_in_the_end(place: Place) -> None:
    place.write("procqueue.toml", "app = ['app']\n[queues.emails]\nmax_crashes = 2\n")
    place.run("push", "app.dies", "--queue", "emails")

    assert place.run("work", "emails", "--once").code == 1
    assert place.counts() == {"waiting": 1}
    assert place.run("work", "emails", "--burst").code == 1
    assert place.counts() == {"failed": 1}


def test_an_application_that_cannot_be_imported_ends_it(place: Place) -> None:
    place.write("app.py", "1 / 0\n")

    ran = place.run("work", "emails", "--burst")

    assert ran.code == 1
    assert "ZeroDivisionError" in ran.out + ran.err


def test_it_runs_beside_a_master_until_it_is_interrupted(place: Place) -> None:
    place.start("--only", "emails")
    work = place.begin("work", "images")
    place.run("push", "app.until_told", "--queue", "images")
    place.wait_until(place.has_begun, "the task to begin")
    assert works(place) == [str(work.pid)]

    work.send_signal(signal.SIGINT)
    place.let_go()

    assert work.wait(PATIENCE) == 0
    assert (works(place), place.counts("images")) == ([], {})


def test_what_a_killed_work_held_is_taken_over_by_the_next(place: Place) -> None:
    place.begin("work", "images")
    place.run("push", "app.until_told", "--queue", "images")
    place.wait_until(place.has_begun, "the task to begin")
    for pid in place.processes():  # as a machine that loses its power: nobody is left to reclaim
        os.kill(pid, signal.SIGKILL)
    place.wait_until(lambda: place.processes() == [], "all of it to be dead")
    assert place.counts("images") == {"reserved": 1}

    place.let_go()

    assert place.run("work", "emails", "--burst").code == 0
    place.wait_until(lambda: place.counts("images") == {"waiting": 1}, "the message to come back")
    assert works(place) == []
    assert place.run("work", "images", "--burst").code == 0
    assert place.counts("images") == {}


def test_usage(place: Place) -> None:
    assert place.run("work").code == 2
    assert place.run("work", "imges").code == 2
    assert place.run("work", "images", "--once", "--burst").code == 2
    assert place.run("work", "images", "--wait", "1s").code == 2
    assert place.run("work", "images", "--once", "--wait", "soon").code == 2
