"""Verbs to a running master: what is wanted changes, what has not changed keeps its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from procqueue.process import kernel
from procqueue.process.ask import ask
from tests.live.harness import Project, edit, queue, settled, verb

Make = Callable[..., Project]

TWO = """
    [queues.q]
    processes = 2
    start_seconds = 0.2
    [queues.other]
    start_seconds = 0.2
    """

APP = """
    @task(queue="q")
    def work(n: int) -> None:
        time.sleep(0.002)
        say(f"old {n}")

    @task(queue="q")
    def slow() -> None:
        say("began")
        wait_for("go")
        say("ended")
    """


# restart


def test_a_restart_under_load_loses_interrupts_and_charges_nothing(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    before = project.pids("q")
    project.push_many("work", 1000)

    verb(project, "restart", "q", "--wait")

    project.wait_empty()
    assert sorted(project.said()) == sorted(f"old {n}" for n in range(1000))
    assert not set(project.pids("q")) & set(before)


def test_a_restart_of_one_queue_leaves_the_others_alone(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    other = project.pids("other")

    verb(project, "restart", "q", "--wait")

    assert project.pids("other") == other


def test_a_restart_waits_for_what_runs(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    project.push("slow")
    project.wait_said("began")

    assert "restarting: q" in verb(project, "restart", "q")

    project.wait_until(lambda: queue(project)["ready"] == 2, "successors")
    (project.folder / "go").touch()
    project.wait_said("ended")
    project.wait_until(lambda: settled(project), "the predecessor to leave")
    assert project.said() == ["began", "ended"]


def test_a_restart_with_broken_code_keeps_the_old_at_work(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    before = sorted(project.pids("q"))
    edit(project.folder / "app.py", "import os", "import nothing_of_that_name; import os")

    said = verb(project, "restart", "q", "--wait", code=1)

    assert "nothing_of_that_name" in said
    assert sorted(project.pids("q")) == before
    os.kill(before[0], signal.SIGKILL)  # it comes back with the old code
    project.wait_until(lambda: len(set(project.pids("q")) - {before[0]}) == 2, "its successor")
    project.push("work", 1)
    project.wait_said("old 1")


# reload


def test_a_reload_replaces_only_the_queue_that_changed(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    q, other = project.pids("q"), project.pids("other")
    edit(project.config, "processes = 2", "processes = 2\n    max_messages = 500")

    assert "[queues.q] changed: max_messages" in verb(project, "reload", "--plan")
    assert project.pids("q") == q
    assert "[queues.q] changed: max_messages" in verb(project, "reload")

    project.wait_until(lambda: settled(project) and not set(project.pids("q")) & set(q), "fresh ones")
    assert project.pids("other") == other
    assert "nothing has changed" in verb(project, "reload")


def test_a_reload_with_another_number_starts_and_stops_the_difference_only(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    before = set(project.pids("q"))
    edit(project.config, "processes = 2", "processes = 4")
    verb(project, "reload")
    project.wait_until(lambda: settled(project) and queue(project)["wanted"] == 4, "four")
    four = set(project.pids("q"))
    assert before < four
    edit(project.config, "processes = 4", "processes = 1")

    verb(project, "reload")

    project.wait_until(lambda: settled(project) and queue(project)["wanted"] == 1, "one")
    assert set(project.pids("q")) < four


def test_a_reload_adds_and_removes_queues(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    q = project.pids("q")
    edit(project.config, "[queues.other]", "[queues.third]")

    verb(project, "reload")

    project.wait_until(lambda: queue(project, "third")["ready"] == 1, "the new queue")
    assert set(project.status()["queues"]) == {"q", "third"}
    assert project.pids("q") == q
    project.wait_until(lambda: len(project.processes()) <= 8, "those of the removed queue to leave")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('env = {V = "1"}\n[queues.other]', "[queues.other]", "1 False"),
        ('[queues.q]\nenv = {V = "1"}\n', "", "1 False"),
        ("[queues.other]", '[queues.other]\napp = ["more"]', "1 True"),
        ('[queues.other]\nenv = {V = "1"}\npreload = false', '[queues.other]\nenv = {V = "1"}', "1 False"),
        ('env = {V = "1"}\npreload', 'env = {V = "2"}\npreload', "2 False"),
    ],
    ids=["variables gone", "queue gone", "another module", "preload", "other variables"],
)
def test_s3_a_reload_may_change_what_is_imported_and_as_whom(
    make: Make, old: str, new: str, said: str
) -> None:
    app = """
        @task(queue="other")
        def tell() -> None:
            say(f"V={os.environ.get('V')} {'more' in sys.modules}")
        """
    text = '[queues.q]\nenv = {V = "1"}\n[queues.other]\nenv = {V = "1"}\npreload = false\n'
    project = make(text if "preload" in old else text.replace("preload = false\n", ""), app)
    (project.folder / "more.py").touch()
    project.start()
    edit(project.config, old, new)

    verb(project, "reload")
    verb(project, "restart", "other", "--wait")

    project.wait_until(lambda: settled(project, "other"), "the new ones")
    project.push("tell", queue="other")
    project.wait_until(lambda: project.said(), "a message to be handled")
    assert project.said() == [f"V={said}"]


def test_a_queue_that_comes_back_is_as_the_file_says_now_not_as_it_was(make: Make) -> None:
    app = """
        say(f"V={os.environ.get('V')}")
        """
    text = '[queues.other]\nenv = {V = "other"}\n'
    queue = '[queues.q]\nstart_seconds = 0\nenv = {V = "was"}\n'
    project = make(text + queue, app)
    project.start()
    edit(project.config, queue, "")
    verb(project, "reload")
    project.wait_until(lambda: "q" not in project.status()["queues"], "the queue to leave")
    before = project.said().count("V=was")
    project.config.write_text(project.config.read_text() + queue.replace("was", "now"))

    verb(project, "reload")

    project.wait_until(lambda: settled(project), "the queue to be back")
    assert project.said().count("V=was") == before and "V=now" in project.said()


def test_a_reload_of_a_file_that_cannot_be_used_changes_nothing(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    before = project.pids("q")
    edit(project.config, "processes = 2", "processes = 0.5\n    speed = 3")

    said = verb(project, "reload", code=78)

    assert "speed" in said and "0.5" in said and "goes on with what it has" in said
    assert project.pids("q") == before
    assert project.status()["master"]["file_newer"]


def test_a_reload_that_needs_a_start_changes_nothing_and_says_so(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    before = project.pids("q")
    edit(project.config, "processes = 2", "max_messages = 7")
    text = project.config.read_text()
    project.config.write_text(text.replace("[queues.q]", '[master]\nname = "x"\n[queues.q]', 1))

    said = verb(project, "reload", code=1)

    assert "[master] changed: name" in said and "procqueue stop" in said
    assert project.pids("q") == before


def test_a_reload_applies_changed_code_and_only_that(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    before = project.pids("q")
    os.utime(project.folder / "app.py", (1, 1))  # another date is no other code
    assert "nothing has changed" in verb(project, "reload")
    assert project.pids("q") == before
    edit(project.folder / "app.py", "old {n}", "new {n}")

    assert "app.py" in verb(project, "reload")

    project.wait_until(lambda: settled(project) and not set(project.pids("q")) & set(before), "fresh ones")
    project.push("work", 7)
    project.wait_said("new 7")


def test_a_reload_whose_comparison_is_killed_compares_again(make: Make) -> None:
    project = make("[queues.q]", APP)
    master = project.start()
    app = project.folder / "app.py"
    code = app.read_text()
    app.unlink()
    os.mkfifo(app)  # whoever reads it waits
    old, before = project.pids("q"), set(kernel.children_of(master.pid))
    answers: list[str] = []
    asking = Thread(target=lambda: answers.append(verb(project, "reload")))
    asking.start()
    project.wait_until(lambda: set(kernel.children_of(master.pid)) - before, "the comparison to begin")
    (inspector,) = set(kernel.children_of(master.pid)) - before
    (project.folder / "new.py").write_text(code.replace("old", "new"))
    os.replace(project.folder / "new.py", app)

    os.kill(inspector, signal.SIGKILL)

    asking.join(30)
    assert "app.py" in answers[0]
    project.wait_until(lambda: settled(project) and project.pids("q") != old, "the new code")
    project.push("work", 1)
    project.wait_said("new 1")


def test_a_hangup_is_a_reload(make: Make) -> None:
    project = make(TWO, APP)
    master = project.start()
    edit(project.config, "processes = 2", "processes = 3")

    master.send_signal(signal.SIGHUP)

    project.wait_until(lambda: settled(project) and queue(project)["wanted"] == 3, "three")


@pytest.mark.parametrize("by", ["signal", "verb"])
def test_a_hangup_with_a_bad_file_is_a_problem_until_it_is_mended(make: Make, by: str) -> None:
    project = make(TWO, APP)
    master = project.start()
    edit(project.config, "processes = 2", "processes = 0.5")
    master.send_signal(signal.SIGHUP)
    project.wait_until(lambda: project.status()["problems"], "a problem")
    assert project.status()["problems"][0]["about"] == "configuration"
    edit(project.config, "processes = 0.5", "processes = 2")

    if by == "signal":
        master.send_signal(signal.SIGHUP)
    else:
        verb(project, "reload")

    project.wait_until(lambda: not project.status()["problems"], "it to be solved")


# stop, start and scale by name


def test_what_was_stopped_by_name_stays_so_until_it_is_started(make: Make) -> None:
    project = make(TWO, APP)
    project.start()

    assert "stopped: q" in verb(project, "stop", "q")
    assert queue(project)["state"] == "stopped"
    assert queue(project)["by_hand"]["what"] == "stopped"
    assert "stopped already: q" in verb(project, "stop", "q")
    verb(project, "restart", "q")
    verb(project, "reload")
    project.kill_master()
    project.start()
    assert (queue(project)["state"], queue(project)["ready"]) == ("stopped", 0)

    assert "started: q" in verb(project, "start", "q")
    project.wait_until(lambda: settled(project) and queue(project)["wanted"] == 2, "the consumers")
    assert "runs already: q" in verb(project, "start", "q")


def test_a_stop_by_name_lets_what_runs_end(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    project.push("slow")
    project.wait_said("began")
    (project.folder / "go").touch()

    verb(project, "stop", "q")

    assert project.said() == ["began", "ended"]


def test_a_stop_now_by_name_gives_back_what_runs(make: Make) -> None:
    project = make(TWO, APP)
    project.start()
    project.push("slow")
    project.wait_said("began")

    assert "killed" in verb(project, "stop", "q", "--now")

    project.wait_until(lambda: project.counts().waiting == 1, "the message to be back")
    verb(project, "start", "q")
    project.wait_said("began", 2)
    (project.folder / "go").touch()
    project.wait_empty()
    assert project.said().count("ended") == 1


def test_a_scale_by_hand_holds_until_it_is_dropped(make: Make) -> None:
    project = make(TWO, APP)
    project.start()

    verb(project, "scale", "q=+1", "other=0")

    project.wait_until(lambda: settled(project) and queue(project)["wanted"] == 3, "three")
    assert queue(project)["by_hand"]["what"] == "scaled to 3"
    project.kill_master()
    project.start()
    assert (queue(project)["wanted"], queue(project, "other")["wanted"]) == (3, 0)
    assert "dropped: q scaled to 3" in verb(project, "reload", "--as-in-file")
    project.wait_until(lambda: settled(project) and settled(project, "other"), "as in the file")
    assert (queue(project)["wanted"], queue(project, "other")["wanted"]) == (2, 1)


def test_bad_wishes_are_refused_with_what_to_do(make: Make) -> None:
    project = make(TWO, APP)
    project.start()

    assert 'did you mean "other"' in verb(project, "stop", "othr", code=2)
    assert "0 to 10000" in verb(project, "scale", "q=10001", code=2)
    assert "write NAME=3" in verb(project, "scale", "q", code=2)
    assert "there is no signal 'FOO'" in verb(project, "signal", "FOO", "q", code=2)
    assert queue(project)["wanted"] == 2


@pytest.mark.parametrize(
    "request_",
    [
        {"verb": "restart"},
        {"verb": "stop", "names": 5},
        {"verb": "start", "names": [None]},
        {"verb": "scale", "names": ["q"]},
        {"verb": "scale", "names": {"q": "1.5"}},
        {"verb": "signal", "names": ["q"], "signal": 0},
        {"verb": "signal", "names": ["q"], "signal": "TERM"},
        {"verb": "pause", "names": ["q"], "seconds": 1e300},
    ],
    ids=str,
)
def test_s2_a_request_that_is_not_understood_ends_no_master(make: Make, request_: dict[str, Any]) -> None:
    project = make(TWO, APP)
    project.start()
    before = project.pids("q")

    answer = ask(str(project.folder / "run"), **request_)

    assert answer["error"]["code"] == 2 and "does not understand" in answer["error"]["message"]
    assert project.pids("q") == before


# health


def test_health_says_whether_all_is_well(make: Make) -> None:
    project = make(TWO, APP)
    assert "not live" in verb(project, "health", code=3)
    project.start()
    assert verb(project, "health", "--wait", "10s") == "ready\n"
    edit(project.folder / "app.py", "import os", "import nothing_of_that_name; import os")
    os.kill(project.pids("other")[0], signal.SIGKILL)
    verb(project, "restart", "other", code=0)

    project.wait_until(lambda: project.run("health").returncode == 4, "it to be degraded")

    assert verb(project, "health", "--live").startswith("live, not ready")


# lines


def test_lines_go_where_the_configuration_says_and_a_reload_moves_them(make: Make) -> None:
    project = make(TWO, "@task(queue='q')\ndef work(n: int): print(f'line {n}')\n")
    project.start()
    project.push("work", 1)
    project.wait_until(
        lambda: "q:0 | line 1" in (t := project.output.read_text()) or "q:1 | line 1" in t, "it"
    )
    project.config.write_text(project.config.read_text() + '\n[logging]\nfile = "all.log"\n')

    verb(project, "reload")

    lines = project.folder / "all.log"
    project.wait_until(lambda: lines.exists(), "the file")
    project.push("work", 2)
    project.wait_until(lambda: "| line 2" in lines.read_text(), "the line there")
    assert "line 2" not in project.output.read_text()
    assert "line 1" in verb(project, "logs", "q")


def test_a_logger_that_is_killed_is_replaced_and_no_line_is_lost(make: Make) -> None:
    project = make(TWO, "@task(queue='q')\ndef work(n: int): print(f'line {n}', flush=True)\n")
    project.start()
    ids = range(400)
    project.push_many("work", len(ids))
    for _ in range(2):
        logger = project.status()["logger"]["pid"]
        os.kill(logger, signal.SIGKILL)
        project.wait_until(lambda: project.status()["logger"]["pid"] not in (None, logger), "another")  # noqa: B023

    project.wait_empty()
    assert project.stop() == 0

    lines = project.output.read_text().splitlines()
    said = {int(line.rpartition(" | line ")[2]) for line in lines if " | line " in line}
    assert said == set(ids)
