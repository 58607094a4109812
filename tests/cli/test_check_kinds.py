"""`check` and the verbs of queues with files that have programs, a range of consumers, or no queue at all."""

import os

import pytest

from tests.cli.place import Place

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")

PROGRAM = "[processes.clock]\ncommand = 'sleep 1'\n"
QUEUE = "app = ['app']\n[queues.emails]\n"


def test_check_sums_up_programs_and_opens_no_driver_for_them(place: Place) -> None:
    place.write("procqueue.toml", PROGRAM + "count = 2\n")

    ran = place.run("check", "--connect")

    assert (ran.code, ran.err) == (0, "")
    assert "programs clock × 2" in ran.out
    assert "driver" not in ran.out
    assert not (place.folder / "run").exists()


def test_check_shows_the_range_of_a_queue(place: Place) -> None:
    place.write("procqueue.toml", QUEUE + "processes = {min = 1, max = 6}\n")

    assert "emails × 1–6" in place.run("check").out


def test_verbs_of_queues_say_that_there_is_none(place: Place) -> None:
    place.write("procqueue.toml", PROGRAM)

    ran = place.run("queues")

    assert ran.code == 2
    assert "has no queue" in ran.err
    assert not (place.folder / "run").exists()


@as_root
def test_check_and_start_and_work_refuse_a_user_who_cannot_open_the_database(place: Place) -> None:
    place.write("procqueue.toml", QUEUE + "user = 'nobody'\n")

    for words in (["check"], ["start"], ["work", "emails", "--once"]):
        ran = place.run(*words, "--json")

        assert ran.code == 78, ran.err
        (problem,) = ran.json["problems"]
        assert (problem["key"], problem["line"]) == ("queues.emails.user", 3)
        assert "[driver] group" in problem["hint"] and "[driver] mode" in problem["hint"]
    assert not (place.folder / "run/master.pid").exists()


def test_start_refuses_a_group_of_the_socket_that_does_not_exist(place: Place) -> None:
    place.write(
        "procqueue.toml", "app = ['app']\n[master]\nsocket_group = 'no-such-group'\n[queues.emails]\n"
    )

    ran = place.run("start", "--json")

    assert ran.code == 78
    assert [(one["key"], one["line"]) for one in ran.json["problems"]] == [("master.socket_group", 3)]
    assert "no such group" in ran.json["problems"][0]["text"]
