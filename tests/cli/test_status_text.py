"""`procqueue status` for people, at every width: whole words, no line that is wider than the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from procqueue.cli.status_text import lines

LONG = "images-of-the-customers-thumbnails-and-previews"
WHY = "broken: /srv/some-where/broken.py:1: RuntimeError: the data-base of the customers cannot be reached"


def consumer(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "pid": 1_234_567, "state": "ready", "uptime": 100_000.0, "handled": 12_345_678,
        "rss": 123_456_789, "restarts": 12, "running": [], "last_exit": None, "why": None, "next_try": None,
        **more,
    }  # fmt: skip


def queue(*consumers: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts = {"waiting": 12_345_678, "delayed": 1_234_567, "reserved": 64, "failed": 100_000, "timeout": 3}
    return {"state": "ok", "ready": 2, "wanted": 2, "counts": counts, "consumers": list(consumers), **more}


def document() -> dict[str, Any]:
    paused = {
        "where": "everywhere", "since": "2026-11-21T19:04:59.295Z", "until": "2026-11-21T21:04:59.295Z",
    }  # fmt: skip
    running = [{"id": "x", "task": "app.tasks.make_a_thumbnail", "seconds": 1.5}]
    return {
        "master": {
            "version": "0.1.0", "state": "running", "pid": 1_234_567, "uptime": 1e6, "file_newer": True,
            "config": "/srv/shop/etc/queues.toml",
        },
        "scheduler": {"state": "ready"},
        "queues": {
            "emails": queue(consumer("emails:0", state="busy", running=running)),
            LONG: queue(consumer(f"{LONG}:0"), consumer(f"{LONG}:1", state="stopped-by-signal")),
            "broken": queue(
                consumer("broken:0", pid=None, state="backing-off", why=WHY, next_try=12.0), state="degraded"
            ),
            "paused": queue(state="paused", paused=paused),
        },
        "processes": {
            "clock": {
                "ready": 0, "wanted": 1,
                "members": [consumer("a-program-with-a-long-name-indeed:0", state="backing-off", says="")],
            }
        },
        "problems": [{"about": "broken", "text": WHY, "since": "2026-11-21T19:04:55.413Z"}],
    }  # fmt: skip


def at(columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    return list(lines(document(), {"emails": 1234.0, LONG: 0.5}))


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [line for line in at(columns, monkeypatch) if len(line) > columns] == []


def test_on_a_narrow_terminal_only_the_widest_figures_run_over(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = [line for line in at(60, monkeypatch) if len(line) > 60]

    assert all("1234567" in line or "backing-off" in line for line in wide), wide


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_words_are_not_cut_and_every_copy_can_be_told(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = at(columns, monkeypatch)
    words = " ".join(shown).split()

    assert {"/srv/some-where/broken.py:1:", "data-base", "1.5s", "2026-11-21T21:04:59Z"} <= set(words)
    assert {"1234/s", "0.5/s"} <= set(words)
    for copy in (":0", ":1"):
        assert any(line.lstrip().startswith("images") and f"{copy} " in line for line in shown)
    for figure in ("waiting 12345678", "delayed 1234567", "reserved 64", "failed 100000", "timeout 3"):
        assert any(figure in line for line in shown)


def test_a_wide_terminal_shows_names_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "…" not in "".join(at(200, monkeypatch))
