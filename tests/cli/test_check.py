"""`check` and `tasks`: what is wrong, before anything runs."""

from tests.cli.place import Place


def test_a_good_file_is_ok_and_summed_up(place: Place) -> None:
    ran = place.run("check")

    assert ran.code == 0
    assert ran.out.startswith("ok: ")
    assert "emails × 1, images × 1" in ran.out


def test_all_problems_come_at_once_with_their_lines(place: Place) -> None:
    place.write("procqueue.toml", "app = ['app']\n[queues.emails]\nproceses = 4\nmax_memory = '128QB'\n")

    text = place.run("check")
    ran = place.run("check", "--json")

    assert text.code == ran.code == 78
    assert "procqueue.toml:3" in text.err and "procqueue.toml:4" in text.err
    assert [(one["line"], one["key"]) for one in ran.json["problems"]] == [
        (3, "queues.emails.proceses"),
        (4, "queues.emails.max_memory"),
    ]
    assert set(ran.json["problems"][0]) == {"file", "line", "key", "text", "hint"}


def test_secrets_are_masked(place: Place) -> None:
    place.write(
        "procqueue.toml", "app=['app']\n[driver]\nurl='redis://u:geheim@localhost:1/0'\n[queues.emails]\n"
    )

    ran = place.run("check", "--connect")

    assert ran.code == 69
    assert "geheim" not in ran.out + ran.err


def test_each_driver_is_opened_and_the_one_that_is_away_is_named(place: Place) -> None:
    place.write(
        "procqueue.toml",
        "app=['app']\n[drivers.far]\nurl='redis://u:geheim@localhost:1/0'\n"
        "[queues.emails]\n[queues.images]\ndriver='far'\n",
    )

    ran = place.run("check", "--connect", "--json")
    work = place.run("work", "emails", "images")

    assert ran.code == 69
    assert [one["key"] for one in ran.json["problems"]] == ["drivers.far"]
    assert "geheim" not in ran.out + ran.err
    assert "redis://u:***@localhost:1/0 (drivers.far: images)" in place.run("check").out
    assert work.code == 2 and "not at the same driver" in work.err


def test_connect_opens_the_driver(place: Place) -> None:
    assert place.run("check", "--connect").code == 0


def test_an_unreachable_driver_is_69_with_its_address(place: Place) -> None:
    place.write("procqueue.toml", "app=['app']\n[driver]\nurl='redis://localhost:1/0'\n[queues.emails]\n")

    ran = place.run("check", "--connect", "--json")

    assert ran.code == 69
    assert ran.json["problems"][0]["key"] == "driver"
    assert "localhost:1" in ran.json["problems"][0]["text"]
    assert place.run("queues").code == 69


def test_import_finds_tasks_without_a_queue_and_calls_that_no_error(place: Place) -> None:
    ran = place.run("check", "--import")

    assert ran.code == 0
    assert "app.homeless" in ran.err and "nowhere" in ran.err


def test_import_says_file_and_line_of_what_is_broken(place: Place) -> None:
    place.write("app.py", "x = 1\nimport there_is_no_such_module\n")

    ran = place.run("check", "--import")

    assert ran.code == 1
    assert "app.py:2: ModuleNotFoundError" in ran.err
    assert "Traceback" not in ran.err


def test_tasks_lists_queue_and_the_values_in_force(place: Place) -> None:
    ran = place.run("tasks", "--json")

    assert ran.code == 0
    found = {one["name"]: one for one in ran.json["tasks"]}
    assert found["app.welcome"]["queue"] == "emails"
    assert found["app.welcome"]["options"]["max_attempts"] == {"value": 1, "from": "queues.emails"}
    assert found["app.homeless"]["in_file"] is False
    assert "app.welcome" in place.run("tasks").out
