"""What a night in production brings: few descriptors, a store that stalls, a bad key, odd settings."""

import os
import signal
from pathlib import Path

from tests.live.conftest import Make
from tests.servers import start_server

SLOW = """
@task(queue="q")
def work(n):
    say(f"work {n}")
    if n == 0:
        wait_for("go")
"""


def test_a_deadline_of_the_task_alone_is_enforced_too(make: Make) -> None:
    app = """
    @task(queue="q", handle_timeout="300ms", kill_after="200ms", max_attempts=1)
    def deaf():
        say("began")
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
    """
    p = make('[queues.q]\nhandle_timeout = "off"\n', app)
    p.start()
    p.push("deaf")

    p.wait_until(lambda: p.failed(), "it to be killed and to fail")

    assert p.said() == ["began"]


def test_what_waits_behind_a_slow_message_is_freed_when_the_store_is_back(make: Make, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    try:
        p = make("[queues.q]\n", SLOW)
        driver = f'[driver]\nurl = "{server.url}"\ntimeout = "500ms"\n'
        p.config.write_text(f'app = ["app"]\n{driver}[queues.q]\nhandle_timeout = "10m"\n')
        p.start()
        # Quick ones first, so that several are held at once; the slow one (n = 0) comes last but twenty.
        p.push_many("work", 1)
        p.wait_said("work 0")
        (p.folder / "go").touch()
        p.wait_empty()
        (p.folder / "go").unlink()
        ids = [p.push("work", n) for n in [*range(1, 200), 0, *range(200, 220)]]
        p.wait_said("work 0", times=2)

        os.kill(server.pid, signal.SIGSTOP)
        p.wait_until(lambda: "driver_away" in p.output.read_text(), "the outage to be seen")
        os.kill(server.pid, signal.SIGCONT)

        p.wait_until(lambda: p.counts().reserved == 1, "everything but the slow one to be free")
        (p.folder / "go").touch()
        p.wait_empty()
        assert len(ids) == 220 and sorted({int(line.split()[1]) for line in p.said()}) == list(range(220))
        p.close()
    finally:
        server.kill()


def test_one_broken_queue_does_not_keep_the_others_from_being_served(make: Make) -> None:
    from tests.servers import redis_url

    app = """
    @task(queue="c")
    def quick(n):
        say(f"quick {n}")
    """
    p = make("[queues.a]\n[queues.b]\n[queues.c]\n", app, redis_url("redis"))
    p.start()
    import redis

    client = redis.Redis.from_url(redis_url("redis"))
    client.set(f"{p.tag[-12:]}:{{b}}:inbox", "x")
    client.close()

    p.push("quick", 1, queue="c", delay_ms=50)

    p.wait_said("quick 1")
    p.wait_until(lambda: p.status()["problems"], "the bad key to be told")
    assert p.status()["problems"][0]["about"] == "driver, b"


def test_many_consumers_fit_into_few_descriptors(make: Make) -> None:
    p = make('[queues.q]\nprocesses = 12\nhandle_timeout = "10m"\n', SLOW)
    p.wrapper = ["sh", "-c", 'ulimit -S -n 48 && exec "$@"', "sh"]
    p.start()
    p.push("work", 1)
    p.wait_said("work 1")

    assert len(p.pids("q")) == 12
    limits = Path(f"/proc/{p.pids('q')[0]}/limits").read_text()
    assert next(line for line in limits.splitlines() if "open files" in line).split()[3] == "48"


def test_without_descriptors_a_master_answers_and_all_is_well_when_less_is_wanted(make: Make) -> None:
    p = make("[queues.q]\n[processes.clock]\ncommand = ['sleep', '1000']\n", SLOW)
    p.wrapper = ["sh", "-c", 'ulimit -n 48 && exec "$@"', "sh"]
    p.start()

    assert p.run("scale", "clock=40", "q=40").returncode == 0

    p.wait_until(lambda: "clock:39" in [one["about"] for one in p.status()["problems"]], "the lack")
    assert "Too many open files" in p.run("health").stdout
    assert p.run("scale", "clock=1", "q=1").returncode == 0
    p.wait_until(lambda: p.run("health").returncode == 0, "all to be well")


def test_a_grace_of_weeks_is_waited_for_in_pieces(make: Make) -> None:
    p = make('[queues.q]\ngrace = "40d"\n', SLOW)
    p.start()
    p.push("work", 0)
    p.wait_said("work 0")
    assert p.master is not None
    p.master.send_signal(signal.SIGTERM)
    p.wait_until(lambda: p.status()["master"]["state"] == "stopping", "the stop to begin")

    (p.folder / "go").touch()

    assert p.wait_left(30) == 0


def test_a_database_that_was_deleted_ends_the_processes_that_hold_it_and_new_ones_go_on(make: Make) -> None:
    p = make("[queues.q]\n", SLOW)
    p.start()
    before = p.pids("q")
    assert p._driver is None
    for file in (p.folder / "run" / "db").glob("queue.db*"):
        if not file.name.endswith(".gate"):
            file.unlink()

    p.push("work", 1)

    p.wait_said("work 1")
    assert p.pids("q") != before


def test_s5_what_handlers_left_behind_goes_with_the_orphans_of_a_killed_master(make: Make) -> None:
    app = """
    @task(queue="q")
    def leave():
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        say("left")
    """
    p = make("[queues.q]\n", app)
    p.start()
    p.push("leave")
    p.wait_said("left")

    p.kill_master()

    p.wait_until(lambda: not p.processes(), "the orphans and their children to go")


def test_a_stop_asked_softly_twice_is_no_hard_stop(make: Make) -> None:
    p = make('[queues.q]\ngrace = "10m"\n', SLOW)
    p.start()
    p.push("work", 0)
    p.wait_said("work 0")
    assert p.master is not None
    p.master.send_signal(signal.SIGTERM)
    p.wait_until(lambda: p.status()["master"]["state"] == "stopping", "the stop to begin")

    from procqueue.process.ask import ask

    try:
        ask(str(p.folder / "run"), "stop", patience=0.5)
    except TimeoutError:
        pass
    (p.folder / "go").touch()

    assert p.wait_left(30) == 0
    assert p.counts().waiting == 0 and "killed=none" in p.output.read_text()


def test_d14_one_that_timed_out_does_not_wait_for_ever_for_a_successor_that_waits_for_it(make: Make) -> None:
    app = """
    import fcntl
    lock = open(os.path.join(os.path.dirname(os.environ["TRAIL"]), "lock"), "w")
    fcntl.flock(lock, fcntl.LOCK_EX)

    @task(queue="q", handle_timeout="300ms", max_attempts=2, retry_seconds=[0.1])
    def slow():
        say("began")
        time.sleep(600)
    """
    p = make("[queues.q]\nrestart_delay_max = 1\n", app)
    p.start()
    p.push("slow")

    p.wait_said("began", times=2)
