"""What differs between two configurations, and what each difference asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from procqueue.core.changes import Change, Need, changes
from procqueue.core.settings.model import (
    DriverSettings,
    MasterSettings,
    QueueSettings,
    ReloadSettings,
    Settings,
)
from procqueue.core.settings.program import ProgramSettings

BASE = Settings(
    file="/srv/shop/procqueue.toml",
    root="/srv/shop",
    path="/srv/shop",
    app=("tasks",),
    driver=DriverSettings("sqlite:////srv/shop/run/db/queue.db"),
    master=MasterSettings("/srv/shop/run", name="shop"),
    queues={"emails": QueueSettings("emails"), "images": QueueSettings("images")},
    programs={"clock": ProgramSettings("clock", command=("clock",))},
    groups={},
    reload=ReloadSettings(("/srv/shop",)),
)


def queue(name: str = "emails", **keys: Any) -> Settings:
    return replace(
        BASE, queues={**BASE.queues, name: replace(BASE.queues.get(name, QueueSettings(name)), **keys)}
    )


def program(name: str = "clock", **keys: Any) -> Settings:
    known = BASE.programs.get(name, ProgramSettings(name))
    return replace(BASE, programs={**BASE.programs, name: replace(known, **keys)})


def test_the_same_asks_for_nothing() -> None:
    assert changes(BASE, replace(BASE, files=("other",), queues=dict(BASE.queues))) == []


@pytest.mark.parametrize(
    ("new", "change"),
    [
        (queue(processes=4), Change("queues.emails", "changed", Need.NOTHING, ("processes",))),
        (queue(max_messages=4), Change("queues.emails", "changed", Need.FRESH, ("max_messages",))),
        (
            queue(surge=2, handle_timeout=3.0),
            Change("queues.emails", "changed", Need.FRESH, ("handle_timeout", "surge")),
        ),
        (queue("new"), Change("queues.new", "added", Need.FRESH)),
        (
            replace(BASE, queues={"emails": BASE.queues["emails"]}),
            Change("queues.images", "removed", Need.GONE),
        ),
        (program(count=3), Change("processes.clock", "changed", Need.NOTHING, ("count",))),
        (program(command=("other",)), Change("processes.clock", "changed", Need.FRESH, ("command",))),
        (program("api"), Change("processes.api", "added", Need.FRESH)),
        (replace(BASE, programs={}), Change("processes.clock", "removed", Need.GONE)),
        (replace(BASE, app=("other",)), Change("app", "changed", Need.FRESH)),
        (replace(BASE, root="/srv"), Change("root", "changed", Need.START)),
        (
            replace(BASE, driver=DriverSettings("redis://x")),
            Change("driver", "changed", Need.START, ("url",)),
        ),
        (
            replace(BASE, driver=replace(BASE.driver, prefix="x")),
            Change("driver", "changed", Need.START, ("prefix",)),
        ),
        (
            replace(BASE, master=replace(BASE.master, state_dir="/x")),
            Change("master", "changed", Need.START, ("state_dir",)),
        ),
        (
            replace(BASE, master=replace(BASE.master, grace=3.0)),
            Change("master", "changed", Need.NOTHING, ("grace",)),
        ),
        (replace(BASE, groups={"web": ("clock",)}), Change("groups", "changed", Need.NOTHING, ("web",))),
    ],
)
def test_one_difference(new: Settings, change: Change) -> None:
    found = changes(BASE, new)

    assert [replace(one, keys=tuple(sorted(one.keys))) for one in found] == [change]
    assert changes(new, BASE) != []


def test_who_takes_messages_of_a_queue_is_replaced_with_it() -> None:
    old = queue("images", serves=("images", "emails"))
    new = replace(old, queues={**old.queues, "emails": replace(old.queues["emails"], max_attempts=9)})

    assert [(one.table, one.need) for one in changes(old, new)] == [
        ("queues.emails", Need.FRESH), ("queues.images", Need.FRESH),
    ]  # fmt: skip


def test_a_queue_that_moves_to_another_driver_has_all_who_may_push_to_it_replaced() -> None:
    new = replace(queue(driver="other"), drivers={"other": DriverSettings("redis://x")})

    there, back = changes(BASE, new), changes(new, BASE)

    assert [(one.table, one.what, one.need, one.keys) for one in there] == [
        ("drivers.other", "added", Need.NOTHING, ()),
        ("drivers", "changed", Need.FRESH, ("emails",)),
        ("queues.emails", "changed", Need.FRESH, ("driver",)),
    ]
    assert Change("drivers.other", "removed", Need.GONE) in back
    assert "stay behind" in there[1].words()


def test_a_driver_with_a_name_is_as_fixed_as_the_one_without_and_one_that_nobody_uses_is_free() -> None:
    old = replace(queue(driver="other"), drivers={"other": DriverSettings("redis://x")})
    new = replace(old, drivers={"other": DriverSettings("redis://y"), "more": DriverSettings("redis://z")})

    assert changes(old, new) == [Change("drivers.other", "changed", Need.START, ("url",))]
    assert changes(BASE, replace(BASE, drivers=new.drivers)) == []


def test_each_is_said_in_a_line() -> None:
    assert [one.words() for one in changes(BASE, queue(processes=4))] == [
        "[queues.emails] changed: processes (applies at once, no process is touched)"
    ]
    assert "needs stop and start" in changes(BASE, replace(BASE, root="/srv"))[0].words()
