"""[web]: addresses, and that nobody listens to other machines without a credential."""

import pytest

from procqueue.core.settings.web import Listen, WebSettings
from procqueue.core.settings.web_readers import hosts, listen
from tests.core.settings.test_decode import APP, only_problem, settings

QUEUE = APP + "[queues.emails]\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1:7370", Listen("127.0.0.1", 7370)),
        ("127.0.0.1", Listen("127.0.0.1", 7370)),
        ("[::1]:80", Listen("::1", 80)),
        (":8080", Listen("0.0.0.0", 8080)),
        ("unix:run/web.sock", Listen(path="run/web.sock")),
        ("", None),
        ("off", None),
    ],
)
def test_addresses(written: str, meant: Listen | None) -> None:
    assert listen(written) == meant


@pytest.mark.parametrize(
    "written", ["http://x", "a b:80", "127.0.0.1:0", "h:99999", "unix:", "unix:" + "x" * 200]
)
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        listen(written)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_who_listens_on_this_machine_alone_needs_no_token_file(host: str) -> None:
    assert settings(QUEUE + f'[web]\nlisten = "{host}:7370"').web.listen is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "", "[::]", "example.org", "127.0.0.1.example.org", "10.0.0.1"])
def test_who_is_reached_from_elsewhere_without_credential_is_refused(host: str) -> None:
    problem = only_problem(QUEUE + f'[web]\nlisten = "{host}:7370"')

    assert problem.key == "web.listen"
    assert "no credential" in problem.text and "token_file" in problem.hint


def test_with_a_token_file_it_may_listen_anywhere() -> None:
    web = settings(QUEUE + '[web]\nlisten = ":7370"\ntoken_file = "tokens"').web

    assert web.listen == Listen("0.0.0.0", 7370)
    assert web.token_file.endswith("/tokens") and web.token_file.startswith("/")


def test_metrics_may_listen_anywhere_since_that_is_asked_for_by_name() -> None:
    assert settings(QUEUE + '[web]\nmetrics = ":9100"').web == WebSettings(metrics=Listen("0.0.0.0", 9100))


def test_a_host_is_a_name_without_scheme_and_port() -> None:
    assert hosts(["Queues.Example.org"]) == ("queues.example.org",)
    with pytest.raises(ValueError):
        hosts(["https://queues.example.org"])
