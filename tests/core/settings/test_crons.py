"""[cron.*]: what is read, and what is refused without knowing clocks and libraries."""

from __future__ import annotations

import pytest

from procqueue.core.settings.model import CronSettings
from tests.core.settings.reading import APP, only_problem, problems, settings

QUEUE = "[queues.default]\n[queues.reports]\n"
NEEDED = 'task = "shop.report"\nschedule = "0 3 * * *"\n'


def test_task_and_schedule_are_enough() -> None:
    crons = settings(APP + QUEUE + f"[cron.nightly]\n{NEEDED}").crons

    assert crons == {"nightly": CronSettings("nightly", task="shop.report", schedule="0 3 * * *")}
    assert crons["nightly"].queue == "default"


def test_every_key_is_read_into_its_field() -> None:
    lines = 'args = [1, "a", {x = [true]}]\nkwargs = {lang = "fr"}\nqueue = "reports"\n'
    more = 'timezone = "Europe/Berlin"\ncatch_up = "none"\noverlap = "allow"'

    cron = settings(APP + QUEUE + f"[cron.nightly]\n{NEEDED}{lines}{more}").crons["nightly"]

    assert cron == CronSettings(
        "nightly", task="shop.report", schedule="0 3 * * *", queue="reports", args=(1, "a", {"x": [True]}),
        kwargs={"lang": "fr"}, timezone="Europe/Berlin", catch_up="none", overlap="allow",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('queue = "report"', "there is no queue 'report'"),
        ("args = 5", "must be a list"),
        ("args = [2026-01-01]", "cannot be written as JSON"),
        ("args = [[nan]]", "cannot be written as JSON"),
        ("kwargs = {at = 2026-01-01T00:00:00Z}", "cannot be written as JSON"),
        ("kwargs = []", "must be a table"),
        ('catch_up = "first"', 'must be "none", "last" or "all"'),
        ('overlap = "queue"', 'must be "skip" or "allow"'),
        ('timezone = ""', "must not be empty"),
        ("timezone = 1", "must be a string"),
        ("every = 5", "unknown key"),
    ],
)
def test_an_impossible_value_is_told_at_its_key(line: str, text: str) -> None:
    problem = only_problem(APP + QUEUE + f"[cron.nightly]\n{NEEDED}{line}")

    assert problem.key == f"cron.nightly.{line.split(' ')[0]}"
    assert text in problem.text.replace('"report"', "'report'")


@pytest.mark.parametrize("schedule", ['"* * * *"', '"@daily"', '""', "5"])
def test_a_schedule_has_five_fields(schedule: str) -> None:
    problem = only_problem(APP + QUEUE + f'[cron.nightly]\ntask = "t"\nschedule = {schedule}')

    assert problem.key == "cron.nightly.schedule"


def test_what_is_missing_is_told() -> None:
    found = problems(APP + QUEUE + "[cron.nightly]\n")

    assert [problem.text for problem in found] == ["says no task", "says no schedule"]


def test_without_a_queue_default_it_must_say_its_queue() -> None:
    problem = only_problem(APP + f"[queues.reports]\n[cron.nightly]\n{NEEDED}")

    assert "says no queue" in problem.text


def test_its_name_is_taken_by_nobody_else() -> None:
    problem = only_problem(APP + QUEUE + f"[cron.reports]\n{NEEDED}")

    assert "is taken by [queues.reports]" in problem.text


def test_all_with_skip_is_warned_of() -> None:
    (warning,) = settings(APP + QUEUE + f'[cron.nightly]\n{NEEDED}catch_up = "all"').warnings

    assert "only the first" in warning.text
