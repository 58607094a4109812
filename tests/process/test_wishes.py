"""Wishes by hand: they outlive the master, and a file that cannot be read is said to be so."""

from pathlib import Path

import pytest

from procqueue.process.wishes import Wishes


def test_what_was_wished_is_there_for_the_next_master(tmp_path: Path) -> None:
    path = str(tmp_path / "wishes.json")
    wishes = Wishes.load(path)
    wishes.set("stopped", ("emails",))
    wishes.set("scaled", ("images",), 3)

    again = Wishes.load(path)

    assert again == wishes
    assert again.of("emails") == ("stopped", wishes.stopped["emails"].since)
    assert again.of("images") == ("scaled to 3", wishes.scaled["images"].since)
    assert again.of("other") is None
    assert (tmp_path / "wishes.json").stat().st_mode & 0o777 == 0o600


def test_the_same_wish_again_keeps_its_beginning(tmp_path: Path) -> None:
    wishes = Wishes.load(str(tmp_path / "wishes.json"))
    wishes.set("stopped", ("emails",))
    since = wishes.stopped["emails"].since

    wishes.set("stopped", ("emails", "images"))

    assert wishes.stopped["emails"].since == since


def test_what_is_taken_back_is_gone(tmp_path: Path) -> None:
    path = str(tmp_path / "wishes.json")
    wishes = Wishes.load(path)
    wishes.set("stopped", ("emails", "images"))
    wishes.drop("stopped", ("emails", "unknown"))

    assert set(Wishes.load(path).stopped) == {"images"}

    wishes.clear()

    assert Wishes.load(path) == Wishes(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"stopped":[]}',
        '{"stopped":{"x":{}}}',
        '{"stopped":{"x":{"since":"y","number":0}}}',
        "\0",
    ],
)
def test_a_spoilt_file_is_said_to_be_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wishes.json"
    path.write_text(text)

    with pytest.raises(ValueError, match="what was wished by hand is forgotten"):
        Wishes.load(str(path))


def test_a_wish_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    wishes = Wishes(str(tmp_path / "gone" / "wishes.json"))

    with pytest.raises(OSError, match="No such file"):
        wishes.set("stopped", ("emails",))

    assert "emails" in wishes.stopped  # it holds for this master
