"""[driver]: url, single keys, references and secrets become one URL."""

from __future__ import annotations

import pytest

from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.decode import Facts
from procqueue.core.settings.model import DriverSettings
from procqueue.core.settings.wrong import Wrong
from tests.core.settings.reading import APP, problems, settings


def driver(lines: str, environ: dict[str, str] | None = None, facts: Facts = Facts()) -> DriverSettings:  # noqa: B008
    return settings(APP + f"[driver]\n{lines}\n[queues.emails]", environ, facts).driver


def driver_problem(lines: str, environ: dict[str, str] | None = None) -> Problem:
    (problem,) = problems(APP + f"[driver]\n{lines}\n[queues.emails]", environ)
    return problem


def test_without_a_word_the_driver_is_sqlite_below_the_root() -> None:
    read = driver("")

    assert (read.url, read.scheme) == ("sqlite:////srv/shop/run/db/queue.db", "sqlite")
    assert (read.prefix, read.durability, read.max_body, read.mode) == ("pq", "fsync", 1 << 20, 0o600)
    assert (read.connect_timeout, read.timeout) == (5.0, 5.0)


@pytest.mark.parametrize(
    ("lines", "url"),
    [
        ('url = "redis://a:b@db1/1"\nhost = "db2"\nport = 7000\ndb = 2', "redis://a:b@db2:7000/2"),
        ('url = "redis://a:b@db1/1"\npassword = "p/w"', "redis://a:p%2Fw@db1:6379/1"),
        ('host = "db1"', "redis://db1:6379/0"),
        ('password = "x"', "redis://:x@localhost:6379/0"),
        ('url = ""\nhost = "::1"', "redis://[::1]:6379/0"),
        ('url = "unix:///run/r.sock"\npassword = "x"\ndb = 3', "unix://:x@/run/r.sock?db=3"),
    ],
)
def test_single_keys_stand_instead_of_a_url_and_win_over_it(lines: str, url: str) -> None:
    assert driver(lines).url == url


@pytest.mark.parametrize(
    ("written", "environ", "url"),
    [
        ("${URL}", {"URL": "redis://u:p%40w@db1/1"}, "redis://u:p%40w@db1:6379/1"),
        ("${URL:-redis://db1}", {}, "redis://db1:6379/0"),
        ("redis://:${PW}@db1", {"PW": "p@/w:#?"}, "redis://:p%40%2Fw%3A%23%3F@db1:6379/0"),
        ("redis://${HOST:-db1}:${PORT:-6380}/0", {}, "redis://db1:6380/0"),
        ("sqlite:///${DATA}/q.db", {"DATA": "/var/lib/a b"}, "sqlite:////var/lib/a%20b/q.db"),
    ],
)
def test_a_reference_that_is_the_whole_url_is_parsed_and_one_inside_is_encoded(
    written: str, environ: dict[str, str], url: str
) -> None:
    assert driver(f'url = "{written}"', environ).url == url


def test_a_host_with_a_port_in_one_variable_is_told() -> None:
    problem = driver_problem('url = "redis://${SERVER}/0"', {"SERVER": "db1:6379"})

    assert problem.key == "driver.url"
    assert "the whole url in one variable" in problem.hint


def test_an_empty_variable_is_no_url() -> None:
    assert driver_problem('url = "${URL}"', {"URL": ""}).text == "is not a URL"


def test_the_first_line_of_the_password_file_is_the_password() -> None:
    asked: list[str] = []

    def read_secret(file: str) -> str:
        asked.append(file)
        return "p@w\r\nsecond line\n"

    read = driver('url = "redis://db1"\npassword_file = "etc/secret"', facts=Facts(read_secret=read_secret))

    assert asked == ["/srv/shop/etc/secret"]
    assert read.url == "redis://:p%40w@db1:6379/0"


def test_a_password_file_that_cannot_be_read_is_a_problem_among_the_others() -> None:
    def read_secret(file: str) -> str:
        raise Wrong(f"{file}: there is no such file", "mend it")

    found = problems(
        APP + '[driver]\nhost = "db1"\npassword_file = "/run/secret"\n[queues.emails]\nprocesses = -1',
        facts=Facts(read_secret=read_secret),
    )

    assert [problem.key for problem in found] == ["driver.password_file", "queues.emails.processes"]
    assert found[0].text == "/run/secret: there is no such file"


def test_an_empty_password_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds no password"):
        driver('host = "db1"\npassword_file = "/run/secret"', facts=Facts(read_secret=lambda _: "\n"))


@pytest.mark.parametrize(
    ("lines", "key", "text"),
    [
        ('password = "a"\npassword_file = "b"', "driver.password_file", "stands beside password"),
        ('url = "sqlite:///q.db"\nhost = "db1"', "driver.host", "sqlite:// has no host"),
        ('url = "unix:///r.sock"\nport = 1', "driver.port", "unix:// has no port"),
        ('url = "redis+sentinel://s1/shop"\nhost = "db1"', "driver.host", "redis+sentinel:// has no host"),
        ('host = "db1:6379"', "driver.host", "not a name or an address"),
        ('host = ""', "driver.host", "not a name or an address"),
        ("port = 0", "driver.port", "from 1 to 65535"),
        (
            'url = "redis://db1"\ndurability = "normal"',
            "driver.durability",
            'must be "store" with redis://',
        ),
        (
            'url = "redis://db1"\ndurability = "replica:1"',
            "driver.durability",
            "is not available in this version",
        ),
        (
            'url = "redis://db1"\ndurability = "fsync"',
            "driver.durability",
            "is not available in this version",
        ),
        ('durability = "never"', "driver.durability", '"fsync" or "normal" with sqlite://'),
        ('prefix = "a b"', "driver.prefix", "is not a prefix"),
        ('prefix = ""', "driver.prefix", "is not a prefix"),
        ("timeout = 0", "driver.timeout", "must be at least 50ms"),
        ('max_body = "off"', "driver.max_body", "from 1KiB to 512MiB"),
        ("mode = 0o600", "driver.mode", "is not a file mode: 384"),
        ('mode = "0400"', "driver.mode", "keep its own owner out"),
        ('prefx = "pq"', "driver.prefx", "unknown key"),
    ],
)
def test_what_does_not_fit_is_told_at_its_key(lines: str, key: str, text: str) -> None:
    problem = driver_problem(lines)

    assert problem.key == key
    assert text in problem.text


@pytest.mark.parametrize(
    ("lines", "durability"),
    [
        ('durability = "store"', "fsync"),
        ('durability = "normal"', "normal"),
        ('url = "redis://db1"', "store"),
        ('url = "sync://"', "store"),
    ],
)
def test_durability_is_what_the_driver_calls_it(lines: str, durability: str) -> None:
    assert driver(lines).durability == durability


@pytest.mark.parametrize(
    "lines",
    [
        'password = ["hunter2"]',
        'url = "redis://:hunter2/x@db1"',
        'url = ["redis://:hunter2@db1"]',
        'url = "redis://:hunter2@db1"\nhots = "x"',
        'password = "hunter2"\nurl = "sqlite:///x.db"',
        'password = "hunter2${"',
        'password = "${A:-hunter2${B}}"',
    ],
)
def test_no_problem_repeats_a_password(lines: str) -> None:
    assert "hunter2" not in str(driver_problem(lines))
