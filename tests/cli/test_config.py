"""`procqueue config`: what is in force, from where, and no secret."""

from tests.cli.place import Place


def test_each_value_has_its_origin_and_secrets_are_masked(place: Place) -> None:
    url = "redis://user:sesame@localhost/0"
    place.write("procqueue.toml", f"app = ['app']\n[driver]\nurl = '{url}'\n[queues.emails]\nprocesses = 3\n")

    ran = place.run("config")

    assert ran.code == 0
    assert "sesame" not in ran.out
    (line,) = [line for line in ran.out.splitlines() if line.startswith("processes ")]
    assert line.split()[1:] == ["3", "procqueue.toml:5"]


def test_one_table_as_json(place: Place) -> None:
    found = place.run("config", "queues.images", "--json").json["config"]

    assert {one["table"] for one in found} == {"queues.images"}
    assert {"table": "queues.images", "key": "surge", "value": 1, "origin": "default"} in found


def test_an_unknown_table_is_answered_with_the_nearest(place: Place) -> None:
    ran = place.run("config", "queues.email")

    assert ran.code == 2
    assert "queues.emails" in ran.err
