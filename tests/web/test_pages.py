"""What the pages show without JavaScript, what their buttons do, and what is sent when something changes."""

import http.client
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.web.conftest import Site


@pytest.fixture(scope="module")
def broken(site: Site) -> Site:
    """A site with three failures of one kind, and one of another."""
    for number in (17, 18, 19):
        site.push("bad", number)
    site.push("nasty", "another error", id="other")
    site.wait_until(lambda: site.counts().failed == 4, "all to fail")
    site.wait_until(lambda: totals(site)["failed"] == 4, "the figures to be counted")
    return site


def totals(site: Site) -> dict[str, int]:
    """Return the totals of the overview."""
    found: dict[str, int] = site.browser().get("/api/v1/overview").json["totals"]
    return found


def events(site: Site, at: str) -> Any:
    """Follow a page; yield what is sent of it."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.request("GET", f"/live?{urlencode({'at': at})}", headers=site.browser().headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    assert response.getheader("Content-Type", "").startswith("text/event-stream")
    try:
        while line := response.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
    finally:
        connection.close()


def test_the_overview_has_a_line_for_each_queue(broken: Site) -> None:
    text = broken.browser().get("/").text

    assert 'href="/queue/q"' in text and 'href="/queue/idle"' in text
    assert 'href="/failed?queue=q">4</a>' in text
    assert "All is well." in text


def test_a_message_shows_its_life(broken: Site) -> None:
    text = broken.browser().get("/message/q/other").text

    assert "ValueError: another error" in text and "<summary>Traceback</summary>" in text
    assert "raised" in text and 'action="/retry/q/other"' in text


def test_a_message_that_is_gone_is_said_to_be(broken: Site) -> None:
    found = broken.browser().get("/message/q/nobody")

    assert found.status == 404 and "was handled or removed" in found.text


def test_failures_are_grouped_by_task_and_error(broken: Site) -> None:
    groups = broken.browser().get("/api/v1/failed").json["groups"]

    assert [(one["task"], one["error"], one["count"]) for one in groups] == [
        ("app.bad", "ValueError: no user #", 3),
        ("app.nasty", "ValueError: another error", 1),
    ]
    assert "Retry 3" in broken.browser().get("/failed").text


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"task": "app.bad"}, 3),
        ({"error": "NO USER 1"}, 3),
        ({"error": "user 18"}, 1),
        ({"kind": "ValueError: no user #"}, 3),
        ({"kind": "ValueError: no user"}, 0),
        ({"arg": "0=17"}, 1),
        ({"older-than": "7d"}, 0),
        ({}, 4),
    ],
)
def test_the_filters_of_the_commands_are_those_of_the_url(
    broken: Site, query: dict[str, str], number: int
) -> None:
    browser = broken.browser()
    asked = urlencode({"queue": "q", "state": "failed", **query})
    words = [word for name, value in query.items() for word in (f"--{name}", value)]

    found = browser.get(f"/api/v1/messages?{asked}").json["messages"]
    listed = json.loads(broken.run("messages", "q", "--state", "failed", *words, "--json").stdout)["messages"]

    assert len(found) == number
    assert [one["id"] for one in found] == [one["id"] for one in listed]
    assert browser.get(f"/queue/q?{asked}").text.count('data-name="Message"') == number


def test_a_list_goes_on_behind_its_cursor(broken: Site) -> None:
    browser = broken.browser()
    seen: list[str] = []
    cursor = ""
    while True:
        page = browser.get(f"/api/v1/messages?queue=q&state=failed&limit=3&cursor={cursor}").json
        seen += [one["id"] for one in page["messages"]]
        cursor = page["next"]
        if not cursor:
            break

    assert len(seen) == len(set(seen)) == 4


def test_secrets_in_arguments_are_not_shown(broken: Site) -> None:
    from procqueue.core import wire
    from procqueue.drivers.contract import Entry

    kwargs = {
        "password": "hunter2",
        "user": {"API_Token": "hunter2", "name": "Ada"},
        "all": [{"secret": "hunter2"}],
    }
    broken.driver.push("idle", [Entry("secret", wire.encode("app.fine", [], kwargs, id="secret"))])

    for path in ("/message/idle/secret", "/api/v1/messages/idle/secret"):
        text = broken.browser().get(path).text
        assert "hunter2" not in text and "[redacted]" in text and "Ada" in text


def test_a_queue_is_paused_and_resumed_by_its_buttons(broken: Site) -> None:
    browser = broken.browser()

    answer = browser.post("/queue/idle/pause", {"next": "/queue/idle"})

    assert (answer.status, answer.headers["location"]) == (303, "/queue/idle?done=pause-1")
    assert broken.driver.paused("idle") is not None
    broken.wait_until(
        lambda: 'action="/queue/idle/resume"' in browser.get("/").text, "the overview to say so"
    )
    assert "<b>idle</b> paused" in browser.get("/").text

    assert browser.post("/queue/idle/resume").status == 303
    assert broken.driver.paused("idle") is None


def test_a_page_that_is_followed_is_sent_what_has_changed(site: Site) -> None:
    stream = events(site, "/queue/idle?state=waiting")
    first = next(stream)
    assert set(first) == {"head", "consumers", "messages"}

    id = site.push("fine", queue="idle")

    for changed in stream:
        if id in changed.get("messages", ""):
            break
    stream.close()


def test_what_cannot_be_followed_is_said(site: Site) -> None:
    assert site.browser().get("/live?at=/nowhere").status == 404
    stream = events(site, "https://evil.example/queue/q")  # that is the overview, as any foreign path
    assert set(next(stream)) == {"problems", "totals", "queues"}
    stream.close()


def test_a_group_is_retried_no_further_than_it_was_seen_and_a_message_forgotten(broken: Site) -> None:
    browser = broken.browser()
    group = {"task": "app.bad", "kind": "ValueError: no user #", "expect": 2, "next": "/failed"}
    before = [one.id for one in broken.failed()]

    answer = browser.post("/queue/q/retry-group", group)

    assert answer.headers["location"] == "/failed?done=retry-2"
    broken.wait_until(lambda: len(set(before) & {m.id for m in broken.failed()}) == 4, "both to fail again")
    assert browser.post("/forget/q/other").headers["location"] == "/?done=forget-1"
    assert broken.driver.message("q", "other") is None
    assert (
        browser.post("/queue/q/forget-group", {**group, "expect": 3}).headers["location"].endswith("forget-3")
    )
    assert broken.counts().failed == 0


def test_a_message_that_waits_is_cancelled(site: Site) -> None:
    id = site.push("fine", queue="idle")

    assert site.browser().post(f"/cancel/idle/{id}").headers["location"] == "/?done=cancel-1"
    assert site.driver.message("idle", id) is None


def test_each_page_loads_only_its_own_files(site: Site) -> None:
    browser = site.browser()
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', browser.get("/").text):
        found = browser.get(path)
        assert found.status == 200 and "immutable" in found.headers["cache-control"]
    assert "://" not in browser.get("/").text.replace("http://127.0.0.1", "")
