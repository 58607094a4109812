"""What NAME means: exact names, copies, groups, patterns, all."""

import pytest

from procqueue.core.names import Known, NoSuchName, Targets, resolve

KNOWN = Known(
    queues=("emails", "emails.bulk", "images"),
    programs={"api": ("api:0", "api:1"), "clock": ("clock:0",)},
    groups={"web": ("api", "images")},
)


@pytest.mark.parametrize(
    ("names", "queues", "copies"),
    [
        (["emails"], ("emails",), ()),
        (["api"], (), ("api:0", "api:1")),
        (["api:1"], (), ("api:1",)),
        (["api:*"], (), ("api:0", "api:1")),
        (["web"], ("images",), ("api:0", "api:1")),
        (["web:*"], ("images",), ("api:0", "api:1")),
        (["emails*"], ("emails", "emails.bulk"), ()),
        (["*"], ("emails", "emails.bulk", "images"), ("api:0", "api:1", "clock:0")),
        (["all"], ("emails", "emails.bulk", "images"), ("api:0", "api:1", "clock:0")),
        (["images", "emails", "images"], ("emails", "images"), ()),
        (["clock", "api:1", "api:0"], (), ("api:0", "api:1", "clock:0")),
        (["?lock"], (), ("clock:0",)),
        ([], (), ()),
    ],
)
def test_names_mean(names: list[str], queues: tuple[str, ...], copies: tuple[str, ...]) -> None:
    assert resolve(names, KNOWN) == Targets(queues, copies)


@pytest.mark.parametrize("name", ["mails", "api:7", "web:0", "", "x*", "emails:0"])
def test_what_nobody_has_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(NoSuchName) as refused:
        resolve(["emails", name], KNOWN)

    assert refused.value.name == name


def test_all_of_nothing_is_nothing() -> None:
    assert resolve(["all"], Known((), {}, {})) == Targets()
