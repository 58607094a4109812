"""The intent: what a master keeps of the configurations it had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procqueue.core.book import Book
from procqueue.core.changes import Change, Need
from procqueue.core.events import Child, Reason
from procqueue.core.names import Targets
from procqueue.core.plan import decide
from procqueue.core.settings.model import DriverSettings
from procqueue.core.wanted import Stop
from procqueue.process.intent import Intent
from procqueue.process.pools import is_scheduler
from procqueue.process.wishes import Wishes
from tests.core.test_changes import BASE, program, queue


def test_an_edition_is_kept_as_long_as_somebody_may_be_made_with_it(tmp_path: Path) -> None:
    intent = Intent(BASE, Wishes(str(tmp_path / "wishes.json")))
    second, third = queue(max_messages=2), queue(max_messages=3)
    intent.apply(second)
    intent.apply(third)
    intent.prune({1, 2})
    assert intent.edition(2) is second

    intent.prune({3})

    assert intent.edition(2) is third  # forgotten: nobody asks for it any more
    assert intent.edition(3) is third
    intent.refresh(Targets(queues=("emails",)), Reason.RESTART)
    assert intent.edition(4) is third


def test_a_copy_that_was_away_during_a_change_is_as_its_program_is_now(tmp_path: Path) -> None:
    intent = Intent(program(count=2), Wishes(str(tmp_path / "wishes.json")))
    intent.refresh(Targets(copies=("clock:1",)), Reason.RESTART)
    intent.apply(program(count=1))
    intent.apply(new := program(count=1, command=("another",)))

    intent.wishes.set("scaled", ("clock",), 2)

    assert intent.edition(intent.generation_of("clock:1")[0]) is new


def test_who_is_scaled_away_or_removed_has_the_grace_that_it_was_promised(tmp_path: Path) -> None:
    intent = Intent(program(count=2, grace=120.0), Wishes(str(tmp_path / "wishes.json")))
    intent.wanted()
    clock = Child("one", "clock:1", 1, 1, 0.0, program=True)
    emails = Child("two", "emails", 0, 1, 0.0)
    grace = next(pool.grace for pool in intent.wanted().pools if pool.name == "emails")

    intent.apply(replace(program(count=1, grace=120.0), queues={"images": BASE.queues["images"]}))

    stops = decide(intent.wanted(), Book({"one": clock, "two": emails}), 5.0).actions
    assert Stop("one", Reason.SCALE, 125.0) in stops and Stop("two", Reason.SCALE, 5.0 + grace) in stops


def test_a_driver_is_kept_house_for_until_the_last_consumer_of_what_was_taken_from_it_is_gone(
    tmp_path: Path,
) -> None:
    drivers = {"other": DriverSettings("redis://x")}
    intent = Intent(replace(queue(driver="other"), drivers=drivers), Wishes(str(tmp_path / "wishes.json")))
    assert schedulers(intent) == ["@scheduler:other", "@scheduler"]
    held = {"emails"}
    intent.held_at = lambda driver: held if driver == "other" else set()

    intent.apply(BASE)

    assert schedulers(intent) == ["@scheduler", "@scheduler:other"]
    assert list(intent.at("").queues) == ["emails", "images"]
    assert (intent.at("other").driver.url, list(intent.at("other").queues)) == ("redis://x", ["emails"])
    elsewhere = replace(queue(driver="other"), drivers={"other": DriverSettings("redis://y")})
    assert Change("drivers.other", "changed", Need.START) in intent.apply(elsewhere)
    assert intent.settings is BASE
    held.clear()
    assert schedulers(intent) == ["@scheduler"]
    intent.apply(elsewhere)
    assert intent.at("other").driver.url == "redis://y"


def schedulers(intent: Intent) -> list[str]:
    return [pool.name for pool in intent.wanted().pools if is_scheduler(pool.name)]
