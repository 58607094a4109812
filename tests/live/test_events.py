"""Listeners, middleware and classes in real consumers."""

from __future__ import annotations

from procqueue.core.traits import Traits
from procqueue.process.ask import NoMaster
from tests.live.conftest import Make
from tests.live.harness import Project, edit, verb

ONE = "[queues.q]\nmax_attempts = 1\nmax_crashes = 1\nhandle_timeout = 20\nrestart_delay_max = 1\n"

EVENTS = """
    import procqueue

    @procqueue.on("before_handle", "after_handle", "retry_handle", "failed_handle", "timeout_handle",
                  "consumer_started", "consumer_left", "consumer_crashed")
    def hear(event):
        id = event.message.id if event.message else os.getpid()
        if event.name == "consumer_crashed":
            say(f"crashed {event.queue} {event.consumer} {event.error}")
        say(f"{event.name} {id} {event.task.removeprefix('app.')} {event.result}")
        if event.task == "app.deaf" and event.name == "after_handle":
            os.kill(os.getpid(), signal.SIGKILL)

    @task(queue="q")
    def quick(n):
        say(f"quick {n}")
        return n

    @task(queue="q")
    def dies():
        os.kill(os.getpid(), signal.SIGKILL)

    @task(queue="q")
    def deaf():
        return 1

    @task(queue="q", handle_timeout=0.2, kill_after=20)
    def slow():
        time.sleep(60)
"""


def test_events_are_heard_in_the_consumer_and_a_death_is_heard_by_another_one(make: Make) -> None:
    p = make(ONE, EVENTS)
    p.start()
    (first,) = p.pids("q")
    p.wait_said(f"consumer_started {first}  None")
    fine = p.push("quick", 1)
    p.wait_empty()
    assert p.said()[-3:] == [f"before_handle {fine} quick None", "quick 1", f"after_handle {fine} quick 1"]

    dead = p.push("dies")
    p.wait_said(f"failed_handle {dead} dies None")
    p.wait_empty()
    (crashed,) = [line.split() for line in p.said() if line.startswith("crashed ")]
    assert crashed[1] == "q" and crashed[3:] == ["signal", "KILL"], crashed
    (second,) = p.pids("q")
    p.stop()

    assert second != first
    assert p.said().count(f"failed_handle {dead} dies None") == 1
    assert p.said()[-1] == f"consumer_left {second}  None"
    assert f"consumer_left {first}  None" not in p.said()


def test_d11_a_listener_that_kills_its_process_does_not_change_what_became_of_the_message(make: Make) -> None:
    p = make(ONE, EVENTS)
    p.start()
    killed = p.push("deaf")
    after = p.push("quick", 2)
    p.wait_empty()

    assert p.failed() == [], p.report()
    assert p.said().count(f"before_handle {killed} deaf None") == 1
    assert f"after_handle {after} quick 2" in p.said()


def test_a_soft_timeout_is_heard_of_as_both(make: Make) -> None:
    p = make(ONE, EVENTS)
    p.start()
    slow = p.push("slow")
    p.wait_empty()

    heard = [line.split()[0] for line in p.said() if slow in line]
    assert heard == ["before_handle", "failed_handle", "timeout_handle"]


def test_what_is_unreadable_is_heard_of_by_notice(make: Make) -> None:
    p = make(ONE, EVENTS)
    p.start()
    wrong = p.push("quick", 1, 2, 3)
    p.wait_empty()

    p.wait_said(f"failed_handle {wrong} quick None")


RELOADS = """
    import procqueue

    @procqueue.on("reloaded")
    def hear(event):
        say(f"{event.name} {event.queue}")

    @task(queue="q")
    def quick(n):
        say(f"quick {n}")
"""


def test_new_settings_are_heard_of_once_they_have_proved_themselves_and_a_restart_is_not(make: Make) -> None:
    p = make("[queues.q]\nstart_seconds = 0.1\n[queues.other]\nstart_seconds = 0.1\n", RELOADS)
    p.start()
    verb(p, "restart", "other")
    edit(p.config, "[queues.q]", "[queues.q]\nmax_messages = 7")
    verb(p, "reload")
    p.wait_said("reloaded q")
    edit(p.config, "max_messages = 7", "max_messages = 8")
    verb(p, "reload")
    p.wait_said("reloaded q", 2)

    p.push("quick", 1)
    p.wait_said("quick 1")
    p.stop()
    assert p.said() == ["reloaded q", "reloaded q", "quick 1"]


CLASS = """
    import procqueue

    @procqueue.consumer_setup
    def begin():
        say(f"begin {os.getpid()}")

    @procqueue.consumer_teardown
    def end():
        say(f"end {os.getpid()}")

    @procqueue.around
    def around(message, run):
        say(f"around {message.task}")
        return run()

    class Thumb:
        def setup(self):
            say(f"setup {os.getpid()}")
            if os.path.exists(os.path.join(os.path.dirname(os.environ["TRAIL"]), "broken")):
                raise RuntimeError("no model here")

        def handle(self, path: str, size: int = 3):
            say(f"handle {os.getpid()} {path} {size}")
            if size < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def failed(self, failure):
            say(f"failed {os.getpid()} {failure.message.args[0]}")

        def teardown(self):
            say(f"teardown {os.getpid()}")

    thumb = task(queue="q", name="app.thumb")(Thumb)
    elsewhere = task(queue="other", name="app.elsewhere")(Thumb)
"""


def test_a_class_is_set_up_in_each_consumer_before_it_is_ready_and_torn_down_when_it_leaves(
    make: Make,
) -> None:
    p = make(ONE + "processes = 2\n", CLASS)
    p.start()

    pids = p.pids("q")
    assert sorted(p.said()) == sorted(f"{what} {pid}" for what in ("begin", "setup") for pid in pids)
    p.push("thumb", "a.png", "7")
    p.push("thumb", "a.png", 7)
    p.wait_empty()
    p.stop()

    said = p.said()
    assert sum(line.startswith("setup ") for line in said) == 2
    assert [line.split(maxsplit=2)[2] for line in said if line.startswith("handle ")] == ["a.png 7"]
    assert "around app.thumb" in said
    for pid in pids:
        assert [line for line in said if line in (f"teardown {pid}", f"end {pid}")] == [
            f"teardown {pid}", f"end {pid}",
        ]  # fmt: skip


def test_d15_failed_of_a_class_is_called_in_another_consumer_when_its_own_died(make: Make) -> None:
    p = make(ONE, CLASS)
    p.start()
    (first,) = p.pids("q")
    p.push("thumb", "a.png", -1)

    p.wait_until(lambda: any(line.startswith("failed ") for line in p.said()), "failed() to be called")

    (line,) = [line for line in p.said() if line.startswith("failed ")]
    assert line.split()[2] == "a.png" and line.split()[1] != str(first)


def test_a_setup_that_raises_is_a_problem_that_says_where_and_ends_when_it_is_mended(make: Make) -> None:
    p = make(ONE, CLASS)
    broken = p.folder / "broken"
    broken.touch()
    p.start(ready=False)
    p.wait_until(lambda: _problem(p, "RuntimeError: no model here"), "the problem to be told")
    assert _problem(p, "app.py:") and p.counts().reserved == 0

    broken.unlink()

    p.wait_until(p.is_ready, "the consumers to be ready")
    p.push("thumb", "b.png")
    p.wait_empty()


def _problem(p: Project, text: str) -> bool:
    try:
        return any(text in problem["text"] for problem in p.status()["problems"])
    except NoMaster:
        return False


def test_a_queue_that_grows_long_is_told_of_once_for_each_level(make: Make) -> None:
    app = """
    import procqueue

    @procqueue.on("queue_length")
    def hear(event):
        say(f"length {event.queue} {event.length} {event.level or 'none'}")

    @task(queue="q")
    def quick(n):
        pass
    """
    p = make("[queues.q]\nlength_levels = {info = 3, error = 10}\n", app)
    p.start()
    p.driver.pause("q", None)
    p.push_many("quick", 12)
    p.wait_said("length q 12 error")

    p.driver.resume("q")

    p.wait_until(lambda: p.said()[-1:] == ["length q 0 none"], "the end of it to be told")
    assert p.said()[0] == "length q 12 error" and len(p.said()) <= 3  # a sample may fall in between


DROPS = """
    import procqueue

    @procqueue.on("dropped_handle")
    def hear(event):
        say(f"{event.reason} {event.message.id} {event.task} {event.queue} {event.message.last}")

    @task(queue="q")
    def quick(n):
        say(f"quick {n}")

    @task(queue="q", kill_after=20)
    def slow():
        say("slow")
        wait_for("go")
"""


def test_what_expired_or_was_cancelled_is_heard_of(make: Make, url: str | None) -> None:
    p = make(ONE, DROPS, url)
    verb(p, "pause", "q")
    p.start()
    late = p.push("quick", 1, traits=Traits(expires_ms=1))
    waiting, slow = p.push("quick", 2), p.push("slow")
    verb(p, "cancel", "q", waiting)
    p.wait_said(f"cancelled {waiting} app.quick q False")

    verb(p, "resume", "q")

    p.wait_said("slow")
    verb(p, "cancel", "q", slow)
    p.wait_said(f"cancelled {slow} app.slow q False")
    p.wait_said(f"expired {late} app.quick q False")
    p.wait_empty()
    assert len(p.said()) == 4, p.said()
