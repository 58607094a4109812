"""[defaults] and [queues.*]: every key, its default, what it refuses, and the rules over several keys."""

from __future__ import annotations

import re
from typing import Any

import pytest

from procqueue.core.settings.decode import Facts
from procqueue.core.settings.environment import INDEX, UNLIMITED, Environment, Limit, LogTarget, To
from procqueue.core.settings.keys import QUEUE
from procqueue.core.settings.model import Keep, OnTimeout, QueueSettings, RetryDelays, Scale
from procqueue.core.settings.processes import ENVIRONMENT
from tests.core.settings.reading import APP, only_problem, problems, settings


def queue(lines: str, facts: Facts = Facts()) -> QueueSettings:  # noqa: B008
    return settings(APP + f"[queues.emails]\n{lines}", facts=facts).queues["emails"]


def test_a_queue_needs_no_key_at_all() -> None:
    assert queue("") == QueueSettings(
        name="emails", enabled=True, app=(), processes=1, serves=("emails",), handle_timeout=60.0,
        kill_after=5.0, on_timeout=OnTimeout.RETRY, max_attempts=3, max_crashes=3, max_messages=0,
        max_age=0.0, retry_seconds=RetryDelays(listed=(5.0, 30.0, 300.0)), jitter=0.1, max_memory=0,
        max_memory_hard=0, grace=None, surge=1, after_timeout="recycle", start_timeout=30.0,
        start_seconds=1.0, restart_delay_max=30.0, unknown_task_wait=600.0, gate_closed="raise",
        length_levels=(("info", 10), ("warning", 50), ("error", 500)),
        concurrency=1, executor="auto", loop="asyncio", preload="auto", scale=None, environment=Environment(),
        stdout=LogTarget(), stderr=LogTarget(To.STDOUT),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("enabled = false", "enabled", False),
        ('app = ["shop.mail"]', "app", ("shop.mail",)),
        ("processes = 0", "processes", 0),
        ("processes = 12", "processes", 12),
        ('handle_timeout = "1h30m"', "handle_timeout", 5400.0),
        ('handle_timeout = "off"', "handle_timeout", 0.0),
        ('kill_after = "500ms"', "kill_after", 0.5),
        ('on_timeout = "park"', "on_timeout", OnTimeout.PARK),
        ('max_attempts = "forever"', "max_attempts", 0),
        ("max_attempts = 1", "max_attempts", 1),
        ("retry_seconds = 5", "retry_seconds", RetryDelays(listed=(5.0,))),
        ('retry_seconds = "5m"', "retry_seconds", RetryDelays(listed=(300.0,))),
        ('retry_seconds = [0, 1.5, "1m"]', "retry_seconds", RetryDelays(listed=(0.0, 1.5, 60.0))),
        (
            'retry_seconds = {base = "1s", factor = 3, max = "5m", jitter = 0.5}',
            "retry_seconds",
            RetryDelays(base=1.0, factor=3.0, max=300.0, jitter=0.5),
        ),
        ("max_crashes = 1", "max_crashes", 1),
        ("max_messages = 1_000", "max_messages", 1000),
        ('max_messages = "off"', "max_messages", 0),
        ('max_messages = ""', "max_messages", 0),
        ('max_age = "7d"', "max_age", 604800.0),
        ("jitter = 0", "jitter", 0.0),
        ('max_memory = "256MB"', "max_memory", 256_000_000),
        ("max_memory = 1_048_576", "max_memory", 1 << 20),
        ('max_memory_hard = "1GiB"', "max_memory_hard", 1 << 30),
        ("grace = 90", "grace", 90.0),
        ('grace = ""', "grace", None),
        ("surge = 2", "surge", 2),
        ("surge = 0", "surge", 0),
        ('after_timeout = "keep"', "after_timeout", "keep"),
        ("start_timeout = 5", "start_timeout", 5.0),
        ("start_seconds = 0", "start_seconds", 0.0),
        ('restart_delay_max = "1m"', "restart_delay_max", 60.0),
        ('unknown_task_wait = "off"', "unknown_task_wait", 0.0),
        ('gate_closed = "drop"', "gate_closed", "drop"),
        ("length_levels = {error = 5, info = 2}", "length_levels", (("info", 2), ("error", 5))),
        ('length_levels = "off"', "length_levels", ()),
        ("concurrency = 1000", "concurrency", 1000),
        ('executor = "async"', "executor", "async"),
        ('loop = "uvloop"', "loop", "uvloop"),
        ('preload = "auto"', "preload", "auto"),
        ("preload = false", "preload", "never"),
        ("preload = true", "preload", "always"),
        ('processes = {min = 2, max = 6, target_wait = "10s"}', "scale", Scale(6, 2, 10.0)),
        ("processes = {max = 6}", "scale", Scale(6, 1, 5.0)),
        ("processes = {min = 2, max = 6}", "processes", 2),
        ('user = "www-data"', "environment", Environment(user="www-data")),
        ("user = 33", "environment", Environment(user="33")),
        ('group = "shop"', "environment", Environment(group="shop")),
        ('env = {B = "2", A = 1}', "environment", Environment(env=(("A", "1"), ("B", "2")))),
        ('env_file = "etc/env"', "environment", Environment(env_file="/srv/shop/etc/env")),
        ('cwd = "/tmp"', "environment", Environment(cwd="/tmp")),
        ('umask = "027"', "environment", Environment(umask=0o027)),
        ('umask = ""', "environment", Environment()),
        ("nice = -5", "environment", Environment(nice=-5)),
        (
            'limits = {nofile = [1024, 4096], core = "unlimited", as = "2GiB", cpu = "1h", nproc = 0}',
            "environment",
            Environment(
                limits=(
                    Limit("as", 2 << 30, 2 << 30),
                    Limit("core", UNLIMITED, UNLIMITED),
                    Limit("cpu", 3600, 3600),
                    Limit("nofile", 1024, 4096),
                    Limit("nproc", 0, 0),
                )
            ),
        ),
        (
            'limits = {nofile = [1024, "unlimited"]}',
            "environment",
            Environment(limits=(Limit("nofile", 1024, -1),)),
        ),
        ('stdout = "none"', "stdout", LogTarget(To.NONE)),
        ('stdout = "syslog"', "stdout", LogTarget(To.SYSLOG)),
        (
            'stdout = "log/${name}-${index}.log"',
            "stdout",
            LogTarget(To.FILE, f"/srv/shop/log/emails-{INDEX}.log"),
        ),
        ('stderr = ""', "stderr", LogTarget()),
        ('stderr = "/var/log/x"', "stderr", LogTarget(To.FILE, "/var/log/x")),
    ],
)
def test_each_key_is_read_into_its_field(line: str, key: str, value: Any) -> None:
    assert getattr(queue(line), key) == value


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("enabled = 1", "must be true or false, not 1"),
        ('enabled = "true"', "must be true or false"),
        ('app = "shop.mail"', "must be a list of strings"),
        ("app = [1]", "not a list with 1"),
        ('app = ["shop/mail.py"]', "is not the name of a module"),
        ("processes = -1", "from 0 to 10000"),
        ("processes = 10_001", "from 0 to 10000"),
        ("processes = 1.0", "from 0 to 10000"),
        ("processes = true", "from 0 to 10000"),
        ('processes = "many"', "from 0 to 10000"),
        ("serves = []", "names no queue"),
        ('serves = ["emails", "emails"]', "twice"),
        ('serves = "emails"', "must be a list"),
        ("handle_timeout = -1", "cannot be negative"),
        ("handle_timeout = nan", "has to be finite"),
        ("handle_timeout = true", "is not a duration"),
        ("kill_after = 0", "must be at least"),
        ('on_timeout = "drop"', '"retry", "park" or "fail"'),
        ("max_attempts = 0", '"forever"'),
        ("max_crashes = 0", "from 1 to"),
        ("retry_seconds = []", "the list is empty"),
        ('retry_seconds = ["soon"]', "is not a duration"),
        ("retry_seconds = {factor = 0.5}", "from 1 to 1000"),
        ("retry_seconds = {base = -1}", "cannot be negative"),
        ("max_messages = -1", "must be a whole number"),
        ("jitter = 1", "from 0 to below 1"),
        ("jitter = nan", "sensible size"),
        ("max_memory = 256", "less than 1 MiB"),
        ('max_memory_hard = "512kB"', "less than 1 MiB"),
        ('max_memory = "1QB"', "is not a size"),
        ("grace = 0", "a stop has to end"),
        ('grace = "off"', "a stop has to end"),
        ('after_timeout = "stay"', '"recycle" or "keep"'),
        ("restart_delay_max = 0", "must be at least 1s"),
        ('preload = "never"', 'must be "auto", true or false'),
        ("concurrency = 1001", "a whole number from 1 to 1000"),
        (
            'concurrency = 2\nexecutor = "sync"',
            'is 2, and executor = "sync" runs one message after the other',
        ),
        ('executor = "trio"', '"auto", "sync", "threads" or "async"'),
        ('loop = "auto"', '"asyncio" or "uvloop"'),
        ("handle_timeout = 1979-05-27", "is not a duration"),
        ("processes = {min = 1}", "says no max"),
        ("processes = {min = 3, max = 2}", "min is 3, more than max, which is 2"),
        ("processes = {max = 0}", "from 1 to 10000"),
        ("processes = {max = 2, target_wait = 0}", "must be at least"),
        ("processes = {max = 2, target = 0}", "unknown key"),
        ('user = "a b"', "cannot be a name"),
        ('group = "a:b"', "cannot be a name"),
        ("user = -1", "must be a string"),
        ("user = true", "must be a string"),
        ('env = ["A=1"]', "must be a table"),
        ("env = {A = [1]}", "must be a string"),
        ("env = {A = true}", "must be a string"),
        ('env = {"A=B" = "1"}', "cannot be the name of a variable"),
        ('env = {A = "x${index}"}', "all consumers of a queue have the same one"),
        ('cwd = "${index}"', "all consumers of a queue have the same one"),
        ('cwd = "~"', "~ is not expanded here"),
        ('cwd = "a\\u0000b"', "NUL"),
        ('umask = "888"', "is not a umask"),
        ("umask = 22", "is not a umask"),
        ("nice = 20", "from -20 to 19"),
        ("limits = {nofiles = 1}", "unknown key"),
        ("limits = {nofile = -1}", "from 0 to"),
        ('limits = {nofile = "many"}', '"unlimited"'),
        ("limits = {nofile = [1, 2, 3]}", "the soft and the hard one"),
        ("limits = {nofile = [2, 1]}", "soft limit is higher"),
        ('limits = {nofile = ["unlimited", 1]}', "soft limit is higher"),
        ("limits = {as = 1000}", "less than 1 MiB"),
        ("limits = {cpu = 0.5}", "whole seconds"),
        ('limits = {core = "off"}', "is not a limit"),
        ("serves = {}", "must be a list"),
        ("serves = {emails = 0}", "whole number from 1"),
        ("keep_failed = 5", "must be a table"),
        ("max_running = -1", "whole number from 0"),
        ("max_running = 1.5", "whole number from 0"),
        ('max_running = "one"', "whole number from 0"),
        ("limits = 5", "must be a table"),
        ('stdout = "stdout"', "is not a place"),
        ('stderr = "stderr"', "is not a place"),
        ('stdout = "log/"', "is a directory"),
        ("stdout = 1", "must be a string"),
    ],
)
def test_an_impossible_value_is_told_at_its_key_and_line(line: str, text: str) -> None:
    problem = only_problem(APP + f"[queues.emails]\n{line}")

    assert problem.key.startswith("queues.emails." + line.split(" ")[0])
    assert problem.line == 3
    assert text in problem.text


@pytest.mark.parametrize(
    "line",
    [
        "max_releases = 0",
    ],
)
def test_what_a_later_version_brings_is_known_and_refused(line: str) -> None:
    problem = only_problem(APP + f"[queues.emails]\n{line}")

    assert "is not available in this version" in problem.text
    assert problem.hint


def test_queues_are_served_by_weight() -> None:
    text = APP + "[queues.urgent]\n[queues.emails]\nserves = {urgent = 3, emails = 1}"

    read = settings(text).queues["emails"]

    assert (read.serves, read.weights) == (("urgent", "emails"), (3, 1))
    assert "there is no queue" in only_problem(text.replace("{urgent", "{x")).text


def test_what_is_left_out_of_a_retention_has_its_default() -> None:
    read = queue('keep_failed = {count = 5}\nkeep_timeout = {age = "off"}')

    assert (read.keep_failed, read.keep_timeout) == (Keep(count=5), Keep(age=0.0))


def test_a_mistake_inside_a_table_of_delays_is_told_at_that_very_key() -> None:
    lines = "[queues.emails.retry_seconds]\nbase = 1\nfctor = 2\njitter = 7"

    found = problems(APP + lines)

    assert [(problem.line, problem.key, problem.hint) for problem in found] == [
        (4, "queues.emails.retry_seconds.fctor", 'did you mean "factor"?'),
        (5, "queues.emails.retry_seconds.jitter", "0.5 takes up to half of a pause away"),
    ]


def test_cpus_is_what_the_host_has() -> None:
    assert queue('processes = "cpus"', Facts(cpus=6)).processes == 6


def test_a_queue_wins_over_the_defaults_which_win_over_the_model() -> None:
    text = APP + "[defaults]\nprocesses = 4\nmax_messages = 10\n[queues.emails]\nprocesses = 2\n[queues.sms]"

    read = settings(text).queues

    assert (read["emails"].processes, read["emails"].max_messages) == (2, 10)
    assert (read["sms"].processes, read["sms"].max_messages, read["sms"].max_crashes) == (4, 10, 3)


def test_a_mistake_in_the_defaults_is_told_once_and_where_it_stands() -> None:
    problem = only_problem(APP + '[defaults]\nserves = ["nowhere"]\n[queues.emails]\n[queues.sms]')

    assert (problem.line, problem.key) == (3, "defaults.serves")


def test_serving_a_queue_that_is_not_there_names_the_nearest() -> None:
    problem = only_problem(APP + '[queues.emails]\nserves = ["urgent", "email"]\n[queues.urgent]')

    assert (problem.line, problem.text) == (3, 'there is no queue "email"')
    assert problem.hint == 'did you mean "emails"?'


@pytest.mark.parametrize("name", ["a", "0", "emails", "a.b-c_d", "x" * 64])
def test_a_name_may_hold_letters_digits_and_three_marks(name: str) -> None:
    assert name in settings(APP + f'[queues."{name}"]').queues


@pytest.mark.parametrize("name", ["Emails", "-x", "_x", ".x", "a b", "", "ä", "a:b", "a*", "x" * 65, "a\\n"])
def test_any_other_name_is_refused(name: str) -> None:
    problem = only_problem(APP + f'[queues."{name}"]')

    assert "cannot be the name of a queue" in problem.text
    assert problem.line == 2


def test_all_is_reserved() -> None:
    assert "is reserved" in only_problem(APP + "[queues.all]").text


def test_a_hard_limit_of_memory_below_the_soft_one_is_refused() -> None:
    text = APP + '[defaults]\nmax_memory_hard = "100MB"\n[queues.emails]\nmax_memory = "200MB"'

    problem = only_problem(text)

    assert (problem.line, problem.key) == (3, "defaults.max_memory_hard")
    assert "100MB is less than max_memory, 200MB" in problem.text


def test_an_absurd_number_of_processes_over_all_queues_is_refused() -> None:
    text = APP + "".join(f"[queues.q{number}]\nprocesses = 3000\n" for number in range(4))

    assert "12000 processes" in only_problem(text).text


def test_programs_and_the_most_of_a_range_count() -> None:
    text = APP + "[queues.a]\nprocesses = {max = 6000}\n[processes.b]\ncommand = 'x'\ncount = 4001"

    problem = only_problem(text)

    assert (problem.line, problem.key) == (3, "queues.a.processes")
    assert "10001 processes" in problem.text


def test_names_in_the_defaults_are_those_of_each_queue() -> None:
    text = APP + '[defaults]\nenv = {Q = "${name} of ${root} at ${host}"}\n[queues.a]\n[queues.b]'

    read = settings(text, facts=Facts(host="web1")).queues

    assert [dict(read[name].environment.env)["Q"] for name in "ab"] == [
        "a of /srv/shop at web1",
        "b of /srv/shop at web1",
    ]


def test_a_value_of_a_variable_is_in_no_error() -> None:
    problem = only_problem(APP + '[queues.a]\nenv = {PASSWORD = ["hunter2"]}')

    assert problem.key == "queues.a.env.PASSWORD"
    assert "hunter2" not in str(problem)


def test_disabled_queues_do_not_count() -> None:
    text = APP + "[queues.a]\nprocesses = 9000\n[queues.b]\nprocesses = 9000\nenabled = false"

    assert len(settings(text).queues) == 2


def test_every_field_of_a_queue_has_a_key_and_every_key_a_doc() -> None:
    fields = set(QueueSettings.__dataclass_fields__) - {
        "name", "scale", "weights", "environment", "origins",
    }  # fmt: skip

    assert fields | {*ENVIRONMENT} - {"login_env"} == {key.name for key in QUEUE.values() if key.read}
    assert all(re.fullmatch(r"\S[^\n]+", key.doc) for key in QUEUE.values())
