"""Declaring tasks: names, places, options; and what cannot be a task says why."""

from __future__ import annotations

import subprocess
import sys
from types import FunctionType
from typing import Any

import pytest

from procqueue import Call, TaskError, task
from procqueue.core.settings.model import OnTimeout, QueueSettings, RetryDelays
from procqueue.tasks import registry
from procqueue.tasks.options import queue_policy
from tests.tasks import samples


def test_a_task_alone_is_named_after_its_function_and_goes_to_the_queue_default() -> None:
    declared = task(samples.plain)

    assert (declared.name, declared.queue) == ("tests.tasks.samples.plain", "default")
    assert registry.find("tests.tasks.samples.plain") is declared


def test_calling_a_task_is_a_plain_call() -> None:
    declared = task(queue="emails")(samples.plain)

    assert declared(7, lang="fr") == "7 fr"
    assert declared.__name__ == "plain"


def test_a_task_is_found_by_its_aliases_too() -> None:
    declared = task(name="shop.new", aliases=["shop.old", "shop.older"])(samples.plain)

    assert {registry.find(name) for name in ("shop.new", "shop.old", "shop.older")} == {declared}
    assert registry.all_tasks().count(declared) == 1


def test_the_same_function_declared_again_takes_the_place_of_the_earlier() -> None:
    task(name="shop.x", aliases=["shop.gone"])(samples.plain)

    imported_anew = FunctionType(samples.plain.__code__, samples.plain.__globals__)
    again = task(name="shop.x")(imported_anew)

    assert registry.find("shop.x") is again
    assert registry.find("shop.gone") is None


def test_two_functions_of_one_name_are_refused_naming_both_places() -> None:
    task(name="shop.x")(samples.plain)

    with pytest.raises(TaskError) as refused:
        task(name="shop.y", aliases=["shop.x"])(samples.later_defined)

    assert "two tasks are named 'shop.x'" in str(refused.value)
    assert "samples.plain (" in str(refused.value)
    assert "samples.later_defined (" in str(refused.value)
    assert "samples.py:" in str(refused.value)
    assert registry.find("shop.y") is None


def local(user_id: int) -> None: ...


def in_main() -> FunctionType:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def job(): ...", namespace)
    function: FunctionType = namespace["job"]
    return function


async def an_async_generator() -> Any:
    yield


def a_generator() -> Any:
    yield


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (in_main(), "__main__"),
        (an_async_generator, "it is an async generator"),
        (a_generator, "it is a generator"),
        (samples.Mailer, "a class needs a method handle"),
        (samples.Mailer.send, "it is a method of Mailer"),
        (samples.Mailer().send, "a task is a plain function"),
        (staticmethod(samples.plain), "a task is a plain function"),
        (print, "a task is a plain function"),
        (lambda: None, "it is a lambda, so it has no stable name"),
        ("shop.tasks.welcome", "a task is a plain function"),
    ],
)
def test_what_cannot_be_a_task_says_why(function: Any, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        task(function)


def test_a_function_inside_a_function_needs_a_name() -> None:
    def inner() -> None: ...

    with pytest.raises(TaskError, match="defined inside a function"):
        task(inner)

    assert task(name="shop.inner")(inner).name == "shop.inner"


def test_a_task_is_declared_once() -> None:
    declared = task(name="shop.once")(local)

    with pytest.raises(TaskError, match="it is a task already"):
        task(declared)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_attempts": 0}, "max_attempts: must be a whole number"),
        ({"max_attempts": "often"}, "max_attempts"),
        ({"retry_seconds": []}, "retry_seconds: the list is empty"),
        ({"retry_seconds": "soon"}, "retry_seconds"),
        ({"retry_seconds": {"bass": 1}}, "retry_seconds"),
        ({"handle_timeout": -1}, "handle_timeout: a duration cannot be negative"),
        ({"kill_after": 0}, "kill_after: must be at least"),
        ({"on_timeout": "explode"}, "on_timeout: must be"),
        ({"max_crashes": 0}, "max_crashes: must be a whole number"),
        ({"retry_on": "OSError"}, "retry_on: .* is no class of exceptions"),
        ({"fail_on": [int]}, "fail_on: .* is no class of exceptions"),
        ({"executor": "trio"}, 'executor: must be "auto", "sync", "threads" or "async"'),
        ({"executor": "async"}, 'executor: "async" is for async def; a def runs "sync" or in "threads"'),
        ({"unique": ""}, "unique= is '', not 1 to 250"),
        ({"until": "begun"}, "until= says something about unique="),
        ({"priority": 10}, "priority= is 10, not between -9 and 9"),
        ({"expires": 0}, "expires=: 0 is no time"),
        ({"max_atempts": 3}, 'max_atempts: there is no such key; did you mean "max_attempts"'),
        ({"queue": "E Mails"}, "'E Mails' cannot be the name of a queue"),
        ({"name": "with space"}, "'with space' cannot be its name"),
        ({"aliases": [""]}, "'' cannot be its name"),
    ],
)
def test_a_wrong_option_is_refused_with_place_key_and_reason(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(TaskError, match=reason) as refused:
        task(**{"name": "shop.wrong", **options})(local)

    assert "test_task.py:" in str(refused.value)
    assert registry.find("shop.wrong") is None


def test_a_task_without_options_has_the_policy_of_its_queue() -> None:
    queue = QueueSettings("emails", max_attempts=7, max_crashes=2, handle_timeout=9.0)

    assert task(name="shop.x")(local).policy(queue) == queue_policy(queue)


def test_the_tasks_options_lie_over_those_of_its_queue() -> None:
    queue = QueueSettings("emails", kill_after=3.0, max_crashes=2)
    declared = task(
        name="shop.x",
        max_attempts="forever",
        retry_seconds=[5, "1m"],
        handle_timeout="30s",
        on_timeout="park",
    )(local)

    policy = declared.policy(queue)

    assert (policy.max_attempts, policy.handle_timeout, policy.on_timeout) == (0, 30.0, OnTimeout.PARK)
    assert policy.retry_seconds == RetryDelays(listed=(5.0, 60.0))
    assert (policy.kill_after, policy.max_crashes) == (3.0, 2)


def test_a_handle_timeout_can_be_switched_off_by_the_task() -> None:
    assert task(name="shop.x", handle_timeout=0)(local).policy(QueueSettings("emails")).handle_timeout == 0


def test_the_policy_is_made_once_for_each_queue() -> None:
    declared = task(name="shop.x", max_attempts=5)(local)
    queue, other = QueueSettings("emails"), QueueSettings("images", max_crashes=9)

    assert declared.policy(queue) is declared.policy(queue)
    assert declared.policy(other).max_crashes == 9


def test_calls_are_equal_if_task_and_arguments_are() -> None:
    declared = task(name="shop.x")(samples.plain)

    assert declared.call(1, lang="fr") == declared.call(1, lang="fr") == Call("shop.x", (1,), {"lang": "fr"})
    assert declared.call(1) != declared.call(2)


def test_a_second_on_failed_is_refused() -> None:
    declared = task(name="shop.x")(local)

    @declared.on_failed
    def tell(failure: object) -> None: ...

    assert declared.failed_hook is tell
    with pytest.raises(TaskError, match="has an on_failed already"):
        declared.on_failed(tell)


def test_the_nearest_name_is_found() -> None:
    task(name="shop.welcome")(local)

    assert registry.nearest("shop.wellcome") == "shop.welcome"


def test_declaring_a_task_opens_nothing_and_imports_no_driver() -> None:
    program = (
        "import sys, procqueue\n"
        "from tests.tasks import samples\n"
        "procqueue.task(samples.plain)\n"
        "heavy = {'redis', 'sqlite3', 'asyncio', 'socket', 'psutil', 'procqueue.producer', 'tomli'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
