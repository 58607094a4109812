"""The attack list: each against the real process, over a real socket."""

import base64
import re
import time
from html.parser import HTMLParser

import pytest

from tests.web.browser import Browser, raw
from tests.web.conftest import Make, Site

ADMIN, OPERATOR, VIEWER = (f"{role}-0123456789abcdef" for role in ("admin", "operator", "viewer"))
TOKENS = f"# who\nada admin {ADMIN}\nole operator {OPERATOR}\nvera viewer {VIEWER}\n"
SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e{{7*7}}"
PAGES = ("/", "/queue/q", "/failed", "/message/q/x", "/live?at=/", "/metrics")
API = ("/api/v1/overview", "/api/v1/queues", "/api/v1/queues/q", "/api/v1/messages?queue=q", "/api/v1/failed")
ACTIONS = ("/queue/q/pause", "/queue/q/resume", "/queue/q/retry-group", "/queue/q/forget-group",
           "/retry/q/x", "/forget/q/x", "/cancel/q/x")  # fmt: skip
#: A cursor of the right form with a seal of nobody.
FORGED = base64.urlsafe_b64encode(b"A" * 16 + b"1 2").decode()
REMOVING = ("/queue/q/forget-group", "/forget/q/x", "/cancel/q/x")


@pytest.fixture(scope="module")
def site(make_site: Make) -> Site:
    """A site with three people."""
    return make_site('token_file = "tokens"', tokens=TOKENS)


def paused(site: Site) -> bool:
    """Return whether the queue is paused, by the store itself."""
    return site.driver.paused("q") is not None


@pytest.mark.parametrize("path", [*PAGES, *API])
def test_nobody_looks_without_a_token(site: Site, path: str) -> None:
    found = Browser(site.port).get(path)

    assert found.status == 401
    assert "idle" not in found.text and "consumers" not in found.text


@pytest.mark.parametrize("path", ACTIONS)
def test_nobody_acts_without_a_token(site: Site, path: str) -> None:
    assert Browser(site.port).post(path).status == 401
    assert not paused(site)


def test_wrong_tokens_are_refused_and_after_five_their_address_has_to_wait(site: Site) -> None:
    attacker = Browser(site.port, {"Authorization": "Bearer no-such-token-0000"}, source="127.0.0.66")

    answers = [attacker.get("/api/v1/queues").status for _ in range(7)]

    assert answers == [401] * 5 + [429] * 2
    assert attacker.post("/session", {"token": ADMIN}).status == 429
    assert site.browser(ADMIN).get("/api/v1/queues").status == 200


@pytest.mark.parametrize("path", ACTIONS)
def test_a_viewer_changes_nothing(site: Site, path: str) -> None:
    assert site.browser(VIEWER).post(path).status == 403
    assert not paused(site)


def test_a_viewer_sees_no_buttons(site: Site) -> None:
    assert "/pause" not in site.browser(VIEWER).get("/queue/q").text
    assert "/pause" in site.browser(OPERATOR).get("/queue/q").text


@pytest.mark.parametrize("path", REMOVING)
def test_an_operator_removes_nothing(site: Site, path: str) -> None:
    answer = site.browser(OPERATOR).post(path)

    assert answer.status == 403
    assert "admin" in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", ""]
)
def test_d_n_s_rebinding_a_foreign_host_is_answered_by_421(site: Site, host: str) -> None:
    assert site.browser(ADMIN, Host=host).get("/api/v1/queues").status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1"},
    ],
)
def test_another_site_cannot_ask_for_a_change(site: Site, headers: dict[str, str]) -> None:
    assert site.browser(ADMIN).post("/queue/q/pause", **headers).status == 403
    assert site.browser(ADMIN).post("/session", {"token": ADMIN}, **headers).status == 403
    assert not paused(site)


def cookie_of(site: Site, token: str) -> str:
    """Sign in as a browser does; return the cookie."""
    answer = Browser(site.port).post("/session", {"token": token, "next": "/failed"})
    assert (answer.status, answer.headers["location"]) == (303, "/failed")
    return answer.headers["set-cookie"]


def test_a_token_is_traded_for_a_cookie_that_scripts_and_other_sites_do_not_get(site: Site) -> None:
    cookie = cookie_of(site, VIEWER)

    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert VIEWER not in cookie
    assert Browser(site.port, {"Cookie": cookie.partition(";")[0]}).get("/").status == 200


def test_forged_cookies_are_refused(site: Site) -> None:
    name, _, value = cookie_of(site, VIEWER).partition(";")[0].partition("=")
    who, until, seal = value.strip('"').split("|")
    forged = [f"ada|{until}|{seal}", f"{who}|{int(until) + 9}|{seal}", f"{who}|{until}|", f"{who}|{until}|é",
              "", "|", "||", "a" * 5000, base64.b64encode(value.encode()).decode()]  # fmt: skip

    for one in forged:
        found = Browser(site.port, {"Cookie": f"{name}={one}".encode().decode("latin-1")}).get(
            "/api/v1/queues"
        )
        assert found.status == 401, one


def test_a_session_ends_when_its_token_is_taken_out_of_the_file(site: Site) -> None:
    file = site.folder / "tokens"
    file.write_text(TOKENS + "max viewer short-lived-token-1\n")
    cookie = cookie_of(site, "short-lived-token-1").partition(";")[0]
    assert Browser(site.port, {"Cookie": cookie}).get("/").status == 200

    file.write_text(TOKENS)

    assert Browser(site.port, {"Cookie": cookie}).get("/").status == 401


def test_nobody_is_let_in_by_a_file_that_others_can_read(site: Site) -> None:
    (site.folder / "tokens").chmod(0o644)
    (site.folder / "tokens").touch()
    found = site.browser(ADMIN).get("/api/v1/queues")
    (site.folder / "tokens").chmod(0o600)
    (site.folder / "tokens").touch()

    assert found.status == 503 and "chmod" in found.text
    assert site.browser(ADMIN).get("/api/v1/queues").status == 200


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x=y"]
)
def test_signing_in_leads_nowhere_else(site: Site, place: str) -> None:
    answer = Browser(site.port).post("/session", {"token": VIEWER, "next": place})

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "path",
    ["/static/../main.py", "/static/%2e%2e/main.py", "/static/..%2f..%2fetc/passwd", "//etc/passwd", "/%00",
     "/queue/..%2f..%2f", "/queue/q%00", "/message/q/../../x", "/api/v1/../../etc/passwd", "/static/", "/./",
     "/%ff%fe", "/queue/%ff"],
)  # fmt: skip
def test_path_tricks_find_nothing(site: Site, path: str) -> None:
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {ADMIN}", "Connection: close")

    status = raw(site.port, "\r\n".join((*lines, "", "")).encode()).split(b" ", 2)[1]

    assert status in (b"404", b"400")


def test_a_flood_of_headers_is_cut_off(site: Site) -> None:
    flood = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n"

    assert raw(site.port, flood)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
    assert Browser(site.port).get("/livez").status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [("Content-Length: 10000000", b"413"), ("Content-Length: 99999999999999999999", b"413"),
     ("Content-Length: 00000000000099999999", b"413"), ("Transfer-Encoding: chunked", b"411")],
)  # fmt: skip
def test_a_body_that_is_too_large_or_has_no_length_is_not_read(site: Site, head: str, status: bytes) -> None:
    lines = (
        "POST /queue/q/pause HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {ADMIN}",
        head,
        "",
        "",
    )

    assert raw(site.port, "\r\n".join(lines).encode()).split(b" ", 2)[1] == status


@pytest.mark.parametrize("path", ACTIONS)
def test_get_changes_nothing(site: Site, path: str) -> None:
    assert site.browser(ADMIN).get(path).status == 405
    assert not paused(site)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "OPTIONS", "PATCH"])
def test_other_methods_are_not_spoken(site: Site, method: str) -> None:
    assert site.browser(ADMIN).send(method, "/").status == 405


class Names(HTMLParser):
    """Gathers the names of elements and attributes, and refuses scripts of the page's own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of one element."""
        self.found |= {tag, *(name for name, _ in attrs)}
        assert tag != "script" or dict(attrs)["src"].startswith("/static/")  # type: ignore[union-attr]

    def handle_data(self, data: str) -> None:
        """Take note of what is shown."""
        self.text += data


def test_script_in_every_string_is_shown_as_text(site: Site) -> None:
    from procqueue.core import wire
    from procqueue.drivers.contract import Entry

    arguments = {SCRIPT: SCRIPT, "deep": {"<b>": [SCRIPT]}}
    body = wire.encode(f"app.{SCRIPT}", [SCRIPT], arguments, id="hostile")
    site.driver.push("idle", [Entry("hostile", body)])
    site.push("nasty", SCRIPT, id="nasty")
    site.wait_until(lambda: site.counts().failed, "the message to fail")
    admin = site.browser(ADMIN)
    site.wait_until(lambda: "nasty" in admin.get("/failed").text, "the failure to be counted")

    for path in ("/", "/queue/idle?state=waiting", "/message/idle/hostile", "/queue/q?state=failed",
                 "/message/q/nasty", "/failed", f"/nothing/{'%3Cscript%3Ealert(1)'}"):  # fmt: skip
        text = admin.get(path).text
        names = Names()
        names.feed(text)
        assert names.found.isdisjoint({"img", "onerror", "style"}), path
        assert not {"\x1b", "\u202e"} & {*names.text} and "{49}" not in text, path
    assert "&lt;script&gt;alert(1)" in admin.get("/message/q/nasty").text


def test_every_answer_forbids_what_is_not_needed(site: Site) -> None:
    admin = site.browser(ADMIN)
    answers = [*map(admin.get, ("/", "/nothing", "/api/v1/queues", "/livez")), Browser(site.port).get("/"),
               admin.post("/queue/none/pause")]  # fmt: skip

    for one in answers:
        policy = one.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["cache-control"] == "no-store"
        assert "server" not in one.headers
    assert not re.search(r"<script(?! src=\"/static/)|style=|<style", answers[0].text)


def test_each_change_is_told_in_the_log_and_cannot_forge_a_line(site: Site) -> None:
    site.browser(OPERATOR).post(
        "/queue/q/retry-group", {"task": "a\nweb audit who=ada", "kind": "b", "expect": 1}
    )

    site.wait_until(lambda: "audit who=ole action=retry" in site.output.read_text(), "the audit line")
    (line,) = [one for one in site.output.read_text().splitlines() if "action=retry " in one]
    assert 'task="a\\nweb audit who=ada"' in line and "changed=0" in line


@pytest.mark.parametrize(
    "query",
    ["state=gone", "older-than=soon", "arg=x", "limit=0", "limit=9999999999", "cursor=AAAA", "cursor=%ff",
     "cursor=MQ", f"cursor={FORGED}", f"task={'x' * 5000}"],
)  # fmt: skip
def test_malformed_filters_and_cursors_are_answered_with_a_problem_document(site: Site, query: str) -> None:
    found = site.browser(VIEWER).get(f"/api/v1/messages?queue=q&{query}")

    assert found.status == 400
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json["detail"]


def test_what_is_not_shown_cannot_be_guessed_by_a_filter(site: Site) -> None:
    assert site.browser(VIEWER).get("/api/v1/messages?queue=q&arg=password=1234").status == 403


@pytest.mark.slow
def test_who_sends_no_head_is_hung_up_on(site: Site) -> None:
    began = time.monotonic()

    assert raw(site.port, b"GET / HTTP/1.1\r\nHost: ") == b""
    assert time.monotonic() - began < 15.0
