"""`queues`, `messages`, `retry`, `forget`, `clear`: what is stored, without a master."""

import pytest

from tests.cli.place import Place


@pytest.fixture
def failed(place: Place) -> list[str]:
    """Three failed messages in emails, made by a real consumer; their ids."""
    ran = place.run("push", "app.bad", "--queue", "emails", "--count", "3", "--json")
    assert place.run("work", "emails", "--burst").code == 1
    return [one["id"] for one in ran.json["receipts"]]


def test_queues_has_counts_and_the_age_of_the_oldest(place: Place) -> None:
    place.run("push", "app.welcome", "1", "--queue", "emails")

    ran = place.run("queues", "--json")

    assert set(ran.json["queues"]) == {"emails", "images"}
    assert ran.json["queues"]["emails"]["counts"] == {
        "inbox": 0, "waiting": 1, "delayed": 0, "reserved": 0, "timeout": 0, "failed": 0,
    }  # fmt: skip
    assert ran.json["queues"]["emails"]["oldest"] > 0
    assert ran.json["queues"]["images"] | {"counts": 0} == {
        "counts": 0,
        "oldest": None,
        "expired": 0,
        "gate": "open",
        "gate_since": None,
        "paused": None,
    }
    assert "emails" in place.run("queues").out
    assert place.run("queues", "emial").code == 2


@pytest.mark.usefixtures("failed")
def test_messages_shows_the_error_of_the_last_run(place: Place) -> None:
    ran = place.run("messages", "emails", "--state", "failed", "--json")

    assert ran.json["total"] == 3 and ran.json["next"] is None
    one = ran.json["messages"][0]
    assert set(one) == {
        "id", "queue", "task", "state", "attempts", "crashes", "suspects", "interrupts", "releases",
        "pushed_at", "due_at", "ended_at", "error",
    }  # fmt: skip
    assert (one["task"], one["state"], one["attempts"], one["due_at"]) == ("app.bad", "failed", 1, None)
    assert one["error"] == "ValueError: this went wrong"
    assert one["pushed_at"].endswith("Z")
    assert "this went wrong" in place.run("messages", "emails").out


@pytest.mark.usefixtures("failed")
def test_messages_come_in_pages_over_all_states(place: Place) -> None:
    place.run("push", "app.welcome", "1", "--queue", "emails", "--count", "2")
    place.run("push", "app.welcome", "1", "--queue", "emails", "--delay", "1h", "--count", "2")
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = place.run("messages", "emails", "--limit", "3", "--offset", str(offset), "--json").json
        assert page["total"] == 7
        seen += [one["state"] for one in page["messages"]]
        offset = page["next"]

    assert seen == ["waiting"] * 2 + ["delayed"] * 2 + ["failed"] * 3


def test_retry_means_all_failed_ones_or_those_named(place: Place, failed: list[str]) -> None:
    named = place.run("retry", "emails", failed[0], "no-such-id", "--json")

    assert named.code == 1
    assert named.json["retried"] == [failed[0]] and named.json["missing"] == ["no-such-id"]
    assert place.counts() == {"waiting": 1, "failed": 2}
    assert place.run("retry", "emails").code == 0
    assert place.counts() == {"waiting": 3}


def test_forget_removes_what_is_named(place: Place, failed: list[str]) -> None:
    assert place.run("forget", "emails", failed[0]).code == 0
    again = place.run("forget", "emails", failed[0])

    assert again.code == 1 and "no such message" in again.err
    assert place.counts() == {"failed": 2}


@pytest.mark.usefixtures("failed")
def test_forget_of_everything_wants_all_and_yes(place: Place) -> None:
    place.run("push", "app.welcome", "1", "--queue", "emails")

    assert place.run("forget", "emails").code == 2
    assert place.run("forget", "emails", "--all").code == 2
    assert place.counts() == {"failed": 3, "waiting": 1}
    assert place.run("forget", "emails", "--all", "--yes", "--state", "waiting").code == 0
    assert place.counts() == {"failed": 3}
    assert place.run("forget", "emails", "--all", "--yes", "--json").json["removed"] == 3
    assert place.counts() == {}


@pytest.mark.usefixtures("failed")
def test_clear_removes_one_state_and_wants_yes(place: Place) -> None:
    place.run("push", "app.welcome", "1", "--queue", "emails", "--count", "150")

    assert place.run("clear", "emails", "--state", "waiting").code == 2
    assert place.run("clear", "emails", "--state", "reserved", "--yes").code == 2
    assert place.run("clear", "emails", "--state", "waiting", "--yes", "--json").json["removed"] == 150
    assert place.counts() == {"failed": 3}


def test_what_runs_stays(place: Place) -> None:
    place.start()
    id = place.run("push", "app.until_told", "--queue", "images").out.split()[0]
    place.wait_until(place.has_begun, "the task to begin")

    ran = place.run("forget", "images", id)

    assert ran.code == 1 and "being handled" in ran.err
    assert place.run("messages", "images", "--json").json["messages"][0]["state"] == "reserved"


def test_a_task_name_from_outside_cannot_move_the_cursor(place: Place) -> None:
    place.run("push", "--json", "-", "--queue", "emails", given='{"task": "a\\u001b[2Jb"}')

    ran = place.run("messages", "emails")

    assert "\x1b" not in ran.out
    assert "a\\x1b[2Jb" in ran.out


def test_a_closed_gate_refuses_pushes_until_it_is_opened(place: Place) -> None:
    closed = place.run("gate", "close", "emails", "--json")

    assert closed.json["gates"]["emails"]["gate"] == "closed"
    refused = place.run("push", "app.welcome", "1", "--queue", "emails")
    assert refused.code == 1 and "procqueue gate open emails" in refused.err
    shown = place.run("queues", "emails", "--json").json["queues"]["emails"]
    assert (shown["gate"], shown["gate_since"]) == ("closed", closed.json["gates"]["emails"]["since"])
    assert "emails: gate closed since" in place.run("queues").out

    assert place.run("gate", "open", "emails").code == 0

    assert place.run("push", "app.welcome", "1", "--queue", "emails").code == 0
    assert place.run("queues", "emails", "--json").json["queues"]["emails"]["gate"] == "open"
    assert place.run("gate", "shut", "emails").code == 2
    assert place.run("gate", "close", "nowhere").code == 2


@pytest.mark.usefixtures("failed")
def test_filters_choose_what_is_retried_removed_and_listed(place: Place) -> None:
    place.run("push", "app.welcome", "7", "--queue", "emails")

    assert place.run("messages", "emails", "--task", "app.welcome", "--arg", "0=7", "--json").json | {
        "messages": 0
    } == {"v": 1, "messages": 0, "total": None, "next": None}
    assert "like that" in place.run("messages", "emails", "--error", "nobody said this").out
    dry = place.run("retry", "emails", "--error", "WENT wrong", "--limit", "2", "--dry-run", "--json").json
    assert (dry["retried"], dry["dry_run"], place.counts()["failed"]) == (2, True, 3)
    assert (
        place.run("retry", "emails", "--error", "went wrong", "--limit", "2", "--json").json["retried"] == 2
    )
    assert place.counts() == {"failed": 1, "waiting": 3}
    assert place.run("forget", "emails", "--older-than", "1h").code == 0
    assert place.run("forget", "emails", "--task", "app.bad", "--json").json["removed"] == 3
    assert place.run("clear", "emails", "--state", "waiting", "--arg", "0=8", "--yes").code == 0
    assert place.counts() == {"waiting": 1}


@pytest.mark.usefixtures("failed")
def test_failures_are_counted_in_groups(place: Place) -> None:
    ran = place.run("messages", "emails", "--group", "--json")

    (group,) = ran.json["groups"]
    assert (group["task"], group["error"], group["count"], ran.json["total"]) == (
        "app.bad", "ValueError: this went wrong", 3, 3,
    )  # fmt: skip
    assert set(group) == {"task", "error", "count", "first_at", "last_at", "example"}
    assert "this went wrong" in place.run("messages", "emails", "--group").out
    assert "no timeout" in place.run("messages", "emails", "--group", "--state", "timeout").out


def test_message_shows_arguments_and_every_bad_run(place: Place, failed: list[str]) -> None:
    one = place.run("message", "emails", failed[0], "--json").json["message"]

    assert (one["task"], one["args"], one["kwargs"], one["state"]) == ("app.bad", [], {}, "failed")
    (run,) = one["history"]
    assert set(run) == {
        "began_at", "seconds", "consumer", "ticket", "outcome", "error", "traceback", "cause",
    }  # fmt: skip
    assert run["outcome"] == "raised" and "ValueError" in run["traceback"]
    text = place.run("message", "emails", failed[0]).out
    assert "app.bad" in text and "Traceback" in text and "attempts 1" in text
    gone = place.run("message", "emails", "no-such-id", "--json")
    assert gone.code == 1 and "no message" in gone.json["error"]["message"]


@pytest.mark.parametrize(
    "line",
    [
        "retry emial", "retry emails --state odd", "retry emails --state reserved", "retry emails --limit 0",
        "retry emails --limit -3", "retry emails --limit 1e3", "retry emails --rate fast",
        "retry emails --rate 0/s",
        "retry emails --older-than -5s", "retry emails --older-than soon", "retry emails --arg user_id",
        "retry emails --colour red", "retry emails m --task app.bad", "retry emails m --dry-run",
        "forget emails", "forget emails --limit 5", "forget emails m --all --yes",
        "forget emails --state reserved --all",
        "clear emails --state waiting --task app.bad", "messages emails --group --limit 5",
        "messages emails --limit 0",
        "message emails", "message emial m",
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_mistake_of_usage(place: Place, line: str) -> None:
    ran = place.run(*line.split(), "--json")

    assert ran.code == 2, ran.err
    assert ran.json["error"]["message"] and "bug" not in ran.err
