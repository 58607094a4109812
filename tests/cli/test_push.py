"""`push`: from the command line and from stdin, checked and unchecked; no master runs."""

import json
from pathlib import Path

import pytest

from tests.cli.place import Place


def test_a_push_prints_id_and_queue(place: Place) -> None:
    ran = place.run("push", "app.welcome", "42", "lang=fr", "--queue", "emails")

    assert ran.code == 0
    id, queue = ran.out.split()
    assert queue == "emails"
    assert place.run("messages", "emails", "--json").json["messages"][0]["id"] == id


def test_arguments_travel_as_text_and_arrive_converted(place: Place) -> None:
    place.run("push", "app.welcome", "42", "lang=fr", "--queue", "emails")
    place.run("push", "app.welcome", "user_id:=7", 'lang:="12"', "--queue", "emails")

    assert place.run("work", "emails", "--burst").code == 0
    assert place.trail() == ["welcome 42 'fr'", "welcome 7 '12'"]


def test_which_queue_has_to_be_said_if_it_cannot_be_known(place: Place) -> None:
    ran = place.run("push", "app.welcome", "42")

    assert ran.code == 2
    assert "--queue" in ran.err and "emails, images" in ran.err


def test_the_only_queue_is_meant(place: Place) -> None:
    place.write("procqueue.toml", "app = ['app']\n[queues.emails]\n")

    assert place.run("push", "app.welcome", "42").out.split()[1] == "emails"


def test_the_queue_named_default_is_meant(place: Place) -> None:
    place.write("procqueue.toml", "app = ['app']\n[queues.emails]\n[queues.default]\n")

    assert place.run("push", "app.welcome", "42").out.split()[1] == "default"


def test_check_asks_the_application_for_the_queue(place: Place) -> None:
    assert place.run("push", "app.welcome", "42", "--check").out.split()[1] == "emails"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["app.welcome", "many"], "user_id"),
        (["app.welcome"], "user_id"),
        (["app.welcom", "1"], "did you mean 'app.welcome'?"),
        (["app.homeless"], "no queue 'nowhere'"),
    ],
)
def test_check_refuses_what_would_fail_later(place: Place, arguments: list[str], said: str) -> None:
    ran = place.run("push", *arguments, "--check")

    assert ran.code == 2
    assert said in ran.err
    assert place.counts() == {}


def test_an_unknown_queue_is_answered_with_the_nearest(place: Place) -> None:
    ran = place.run("push", "app.welcome", "1", "--queue", "emial")

    assert ran.code == 2
    assert 'did you mean "emails"?' in ran.err


def test_delayed_copies_and_ids(place: Place) -> None:
    assert (
        place.run("push", "app.welcome", "1", "--queue", "emails", "--delay", "1h", "--count", "3").code == 0
    )
    assert place.run("push", "app.welcome", "1", "--queue", "emails", "--at", "2100-01-01T00:00Z").code == 0
    first = place.run("push", "app.welcome", "1", "--queue", "emails", "--id", "one", "--json")
    second = place.run("push", "app.welcome", "1", "--queue", "emails", "--id", "one", "--json")

    assert place.counts() == {"delayed": 4, "waiting": 1}
    assert first.json == {"v": 1, "receipts": [{"id": "one", "queue": "emails", "outcome": "queued"}]}
    assert second.json["receipts"][0]["outcome"] == "duplicate"


@pytest.mark.parametrize(
    "options",
    [
        ["--delay", "soon"], ["--at", "tomorrow"], ["--at", "2100-01-01T00:00"], ["--id", "a b"],
        ["--id", "x", "--count", "2"], ["--delay", "1s", "--at", "2100-01-01T00:00Z"], ["x:={"],
        ["x=1", "x=2"],
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant_are_refused(place: Place, options: list[str]) -> None:
    ran = place.run("push", "app.welcome", "--queue", "emails", *options)

    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_an_argument_that_begins_with_a_minus_gets_a_hint(place: Place) -> None:
    assert "put -- before" in place.run("push", "app.welcome", "-5", "--queue", "emails").err
    assert place.run("push", "--queue", "emails", "app.welcome", "--", "-5").code == 0


def test_stdin_takes_json_lines(place: Place) -> None:
    lines = [{"task": "app.welcome", "args": [number], "id": f"m{number}"} for number in range(250)]

    ran = place.run("push", "--json", "-", "--queue", "emails", given="\n".join(map(json.dumps, lines)))

    assert ran.code == 0
    assert [one["id"] for one in ran.json["receipts"]] == [f"m{number}" for number in range(250)]
    assert place.counts() == {"waiting": 250}


def test_stdin_takes_one_document_over_several_lines(place: Place) -> None:
    document = json.dumps({"task": "app.welcome", "args": [1], "delay": 60_000}, indent=2)

    assert place.run("push", "-", "--check", given=document).out.split()[1] == "emails"
    assert place.counts() == {"delayed": 1}


@pytest.mark.parametrize("given", ["", "{", '{"args": []}', '{"task": ""}', "[1]", b"\xff\xfe"])
def test_what_is_no_message_on_stdin_is_refused(place: Place, given: str | bytes) -> None:
    ran = place.run("push", "--json", "-", "--queue", "emails", given=given)

    assert ran.code == 2
    assert ran.json["error"]["code"] == 2


def test_a_bad_line_is_named_and_what_was_stored_is_counted(place: Place) -> None:
    good = json.dumps({"task": "app.welcome", "args": [1]})

    ran = place.run("push", "--json", "-", "--queue", "emails", given="\n".join([good] * 150 + ["{}"]))

    assert ran.code == 2
    assert "line 151" in ran.err
    assert ran.json["done"] == 100 == place.counts()["waiting"]


def test_a_url_alone_is_enough_where_there_is_no_file(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    url = f"sqlite:///{tmp_path}/run/db/queue.db"

    ran = place.run("push", "app.welcome", "1", "--queue", "emails", cwd=elsewhere, PROCQUEUE_URL=url)

    assert ran.code == 0
    assert place.counts() == {"waiting": 1}


def test_the_sync_driver_runs_the_task_here(place: Place) -> None:
    place.write("procqueue.toml", "app = ['app']\n[driver]\nurl = 'sync://'\n[queues.emails]\n")

    assert place.run("push", "app.welcome", "3").code == 0
    assert place.trail() == ["welcome 3 'en'"]
    assert place.run("queues").code == 2
    assert place.run("start").code == 78


def test_what_else_a_push_may_ask_for(place: Place) -> None:
    welcome = ("push", "app.welcome", "1", "--queue", "emails", "--json")
    first = place.run(*welcome, "--unique", "--priority", "-1").json["receipts"][0]
    second = place.run(*welcome, "--unique").json["receipts"][0]
    keyed = place.run(*welcome, "--unique=k", "--priority", "9", "--expires", "1h").json["receipts"][0]

    assert (second["outcome"], second["id"]) == ("duplicate", first["id"])
    listed = place.run("messages", "emails", "--json").json["messages"]
    assert [one["id"] for one in listed] == [keyed["id"], first["id"]]
    for wrong in (["--priority", "10"], ["--expires", "0"], ["--unique", "--count", "2"]):
        refused = place.run(*welcome, *wrong)
        assert refused.code == 2 and wrong[0] in refused.err
    assert place.counts() == {"waiting": 2}


def test_what_did_not_begin_in_time_is_dropped_counted_and_told(place: Place) -> None:
    welcome = ("push", "app.welcome", "1", "--queue", "emails", "--json")
    id = place.run(*welcome, "--expires", "1ms").json["receipts"][0]["id"]

    assert place.run("work", "emails", "--burst").code == 0
    assert place.run("queues", "emails", "--json").json["queues"]["emails"]["expired"] == 1
    place.run(*welcome)
    ran = place.run("work", "emails", "--burst")  # whose consumer takes the notice first

    assert f"dropped queue=emails id={id} reason=expired" in ran.out
    assert place.counts() == {"expired": 1}
