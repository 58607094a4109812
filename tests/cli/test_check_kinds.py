"""`check` and the verbs of queues with files that have programs, a range of consumers, or no queue at all."""

from tests.cli.place import Place

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
