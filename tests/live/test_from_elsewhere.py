"""What people know from Hyperf and think-queue, where no other test shows it (map: ARCHITECTURE.md)."""

from tests.live.conftest import Make
from tests.servers import redis_url

APP = """
@task(queue="q")
def work(n):
    say(f"{os.getpid()} {current().queue} {n}")
"""


def test_m7_with_max_messages_1_each_message_has_a_fresh_process(make: Make, url: str | None) -> None:
    p = make("[queues.q]\nmax_messages = 1\n", APP, url)
    p.push_many("work", 6)
    p.start()

    p.wait_empty()

    said = [line.split() for line in p.said()]
    assert [n for _, _, n in said] == ["0", "1", "2", "3", "4", "5"]
    assert len({pid for pid, _, _ in said}) == 6


def test_m9_the_next_queue_is_served_when_the_first_is_empty(make: Make, url: str | None) -> None:
    p = make('[queues.urgent]\nprocesses = 0\n[queues.q]\nserves = ["urgent", "q"]\n', APP, url)
    p.push_many("work", 30, "q")
    p.push_many("work", 30, "urgent")
    p.start()

    p.wait_empty("q")

    assert [line.split()[1] for line in p.said()] == ["urgent"] * 30 + ["q"] * 30


def test_m21_in_a_handler_a_push_is_a_push_and_a_call_is_a_call(make: Make, url: str | None) -> None:
    app = """
    @task(queue="q")
    def inner(how):
        say(f"{how} {current().id}")

    @task(queue="q")
    def outer():
        inner("called")
        inner.using(id="its-own").push("pushed")
        say("outer ends")
    """
    p = make("[queues.q]\n", app, url)
    id = p.push("outer")
    p.start()

    p.wait_empty()

    assert p.said() == [f"called {id}", "outer ends", "pushed its-own"]


def test_m31_another_prefix_is_another_application(make: Make) -> None:
    url = redis_url("redis")
    ours, theirs = (make("[queues.q]\n", APP, url, name=name) for name in ("ours", "theirs"))
    ours.push_many("work", 3)
    theirs.start()
    theirs.push("work", 7)

    theirs.wait_empty()

    assert [line.split()[2] for line in theirs.said()] == ["7"]
    assert ours.counts().waiting == 3


def test_m31_a_queue_that_is_not_enabled_has_no_consumers(make: Make) -> None:
    p = make("[queues.q]\n[queues.other]\nenabled = false\n", APP)
    p.start()

    assert {name: queue["state"] for name, queue in p.status()["queues"].items()} == {
        "q": "ok",
        "other": "disabled",
    }
    assert p.pids("other") == []
