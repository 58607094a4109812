"""Classes as tasks: one instance in a process, set up by its first use, torn down once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import procqueue
from procqueue import BadArguments, Failure, task
from procqueue.core.errors import TaskError
from procqueue.tasks import registry
from procqueue.tasks.task import Task

trail: list[str] = []


class Thumb:
    """Makes a thumbnail."""

    def __init__(self) -> None:
        self.ready = False

    def setup(self) -> None:
        self.ready = True
        trail.append("setup")

    def handle(self, path: str, size: int = 100) -> str:
        assert self.ready
        if size < 0:
            raise ValueError("too small")
        return f"{path} {size} {id(self)}"

    def failed(self, failure: Failure) -> None:
        trail.append(f"failed {failure.message.args} {self.ready}")

    def teardown(self) -> None:
        trail.append("teardown")


class Plain:
    def handle(self) -> int:
        return 1


class Async:
    def handle(self) -> None: ...

    async def setup(self) -> None: ...


class Generates:
    def handle(self) -> Iterator[int]:
        yield 1


class NeedsMore:
    def __init__(self, size: int) -> None: ...

    def handle(self) -> None: ...


class Outer:
    class Inner:
        def handle(self) -> None: ...


@pytest.fixture
def thumb() -> Iterator[Task[..., Any]]:
    trail.clear()
    declared = task(queue="images", name="shop.thumb", max_attempts=1)(Thumb)
    yield declared
    registry.forget(declared)


def test_it_is_pushed_and_called_by_the_signature_of_handle(thumb: Task[..., Any]) -> None:
    assert thumb("a.png", size=3).startswith("a.png 3")
    assert thumb("b.png").split()[-1] == thumb("c.png").split()[-1], "two instances"
    assert trail == ["setup"]
    assert "Thumb" in thumb.place and __file__ in thumb.place
    assert thumb.__doc__ == "Makes a thumbnail."
    with pytest.raises(BadArguments, match="size"):
        thumb.encode(("a.png", "large"), {})
    with pytest.raises(BadArguments, match="signature is"):
        thumb.encode((), {})


def test_its_name_is_that_of_the_class() -> None:
    declared = task(Plain)

    assert declared.name == f"{__name__}.Plain" and declared() == 1
    registry.forget(declared)


def test_a_child_makes_its_own_instance(thumb: Task[..., Any]) -> None:
    thumb("a.png")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        thumb("a.png")
        os.write(writer, str(trail).encode())
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(reader, 100) == b"['setup', 'setup']"
    os.close(reader)
    os.close(writer)


def test_teardown_comes_once_and_the_next_use_makes_another(thumb: Task[..., Any]) -> None:
    instance = thumb.instance
    assert instance is not None
    instance.tear_down()
    assert trail == []
    thumb("a.png")
    instance.tear_down()
    instance.tear_down()
    assert trail == ["setup", "teardown"]
    thumb("a.png")
    assert trail == ["setup", "teardown", "setup"]


def test_failed_is_its_hook(thumb: Task[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCQUEUE_URL", "sync://")
    with pytest.raises(ValueError, match="too small"):
        thumb.push("a.png", -1)
    procqueue.close()

    assert trail == ["setup", "failed ['a.png', -1] True"]
    with pytest.raises(TaskError, match="has an on_failed already"):
        thumb.on_failed(print)


def test_above_a_class_statement_it_is_a_type_error_that_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"write below it: hidden = task\(…\)\(Hidden\)"):

        @task(queue="images", name="shop.hidden")
        class Hidden:
            def handle(self) -> None: ...

    with pytest.raises(TypeError, match="write below it"):

        @task
        class Bare:
            def handle(self) -> None: ...

    with pytest.raises(TypeError, match="it is a method of"):

        class Holder:
            @task
            def handle(self) -> None: ...


def test_a_class_of_this_function_needs_a_name_only() -> None:
    class Local:
        def handle(self) -> int:
            return 2

    with pytest.raises(TaskError, match="defined inside a function"):
        task(Local)
    declared = task(name="shop.local")(Local)
    assert declared() == 2
    registry.forget(declared)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Async, "its setup is async, and nobody would await it"),
        (Generates, "its handle is a generator"),
        (NeedsMore, "missing a required argument: 'size'"),
        (int, "needs a method handle"),
    ],
)
def test_a_class_that_cannot_be_a_task_says_why(kind: Any, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        task(kind)


def test_a_class_inside_another_that_is_finished_is_no_statement() -> None:
    declared = task(name="shop.inner")(Outer.Inner)

    assert declared() is None
    registry.forget(declared)
