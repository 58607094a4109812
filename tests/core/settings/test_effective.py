"""What is in force, and where each value comes from."""

from __future__ import annotations

import json
from typing import Any

from procqueue.core.settings.effective import effective
from tests.core.settings.reading import APP, FILE, settings

TEXT = (
    APP
    + """
[driver]
host = "redis.local"
password = "hunter2"
[master]
state_dir = "${DIR}"
[defaults]
surge = 2
env = {TOKEN = "hunter3"}
[queues.emails]
grace = 90
processes = {max = 4}
[queues.sms]
surge = 3
max_attempts = "forever"
[processes.clock]
command = "clock ${index} --of ${name}"
umask = "027"
limits = {nofile = [10, "unlimited"]}
health = "http://u:hunter4@h/"
stdout = "log/${index}"
[groups]
web = ["clock"]
[reload]
enabled = false
"""
)


def told(text: str = TEXT) -> dict[tuple[str, str], tuple[Any, str]]:
    found = effective(settings(text, {"DIR": "/run/shop"}))

    assert len(found) == len({(one.table, one.key) for one in found})
    return {(one.table, one.key): (one.value, one.origin) for one in found}


def test_each_value_is_told_with_where_it_stands() -> None:
    found = told()

    assert found["", "app"] == (["shop.tasks"], f"{FILE}:1")
    assert found["master", "state_dir"] == ("/run/shop", f"{FILE}:7")
    assert found["queues.emails", "surge"] == (2, f"[defaults] {FILE}:9")
    assert found["queues.sms", "surge"] == (3, f"{FILE}:15")
    assert found["queues.emails", "max_crashes"] == (3, "default")
    assert found["groups", "web"] == (["clock"], f"{FILE}:24")


def test_values_look_as_the_file_would_write_them() -> None:
    found = {key: value for key, (value, _) in told().items()}

    assert found["queues.emails", "processes"] == {"max": 4, "min": 1, "target_wait": 5.0}
    assert found["queues.sms", "processes"] == 1
    assert (found["queues.emails", "grace"], found["queues.sms", "grace"]) == (90.0, "auto")
    assert found["queues.sms", "max_attempts"] == "forever"
    assert found["queues.sms", "stderr"] == "stdout"
    assert found["processes.clock", "command"] == ["clock", "${index}", "--of", "clock"]
    assert found["processes.clock", "umask"] == "0027"
    assert found["processes.clock", "limits"] == {"nofile": [10, "unlimited"]}
    assert found["processes.clock", "stdout"] == "/srv/shop/log/${index}"
    assert found["processes.clock", "ready"] == "time"
    assert found["master", "socket_mode"] == "0600"
    assert (found["reload", "enabled"], found["queues.sms", "preload"]) == (False, "auto")


def test_a_url_made_of_parts_comes_from_where_they_stand() -> None:
    assert told()["driver", "url"] == ("redis://:***@redis.local:6379/0", f"{FILE}:4")


def test_no_secret_is_told_and_all_of_it_is_json() -> None:
    written = json.dumps([list(one) for one in effective(settings(TEXT, {"DIR": "/run/shop"}))])

    assert "hunter" not in written
    assert '"TOKEN": "***"' in written
