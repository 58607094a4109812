"""Several messages at once in one consumer: in threads, and on an event loop."""

import pytest

from tests.live.conftest import Make

WORK = """
import asyncio

@task(queue="threads")
def threads_work(n):
    say(f"began {n}")
    wait_for("go")
    say(f"ended {n}")

@task(queue="async")
async def async_work(n):
    say(f"began {n}")
    while not os.path.exists(os.path.join(os.path.dirname(os.environ["TRAIL"]), "go")):
        await asyncio.sleep(0.005)
    say(f"ended {n}")
"""

KINDS = ["threads", "async"]


def began(said: list[str]) -> list[int]:
    """Return the numbers of those that have begun."""
    return [int(line.split()[1]) for line in said if line.startswith("began")]


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_as_concurrency_says_run_at_once_and_a_stop_lets_them_end(
    make: Make, url: str | None, kind: str
) -> None:
    p = make(f"[queues.{kind}]\nconcurrency = 3\nhandle_timeout = 0\n", WORK, url)
    p.start()
    p.push_many(f"{kind}_work", 5, queue=kind)

    p.wait_until(lambda: len(began(p.said())) == 3, "three to begin")
    shown = p.status()["queues"][kind]["consumers"][0]["running"]
    assert [one["task"] for one in shown] == [f"app.{kind}_work"] * 3
    assert p.counts(kind).reserved == 3 and p.counts(kind).waiting == 2
    assert p.master is not None
    p.master.terminate()
    p.wait_until(lambda: p.status()["master"]["state"] == "stopping", "the stop to begin")
    (p.folder / "go").touch()

    assert p.wait_left(20) == 0
    assert sorted(p.said()) == [f"{what} {n}" for what in ("began", "ended") for n in range(3)]
    assert p.counts(kind).reserved == 0 and p.counts(kind).waiting == 2
