"""The process: off unless asked for, replaced when it dies, and never in the way of a master or a store."""

import os
import signal
import socket
import tempfile
from pathlib import Path

from tests.live.harness import edit
from tests.servers import start_server
from tests.web.browser import Browser
from tests.web.conftest import Make, Site


def test_a_killed_dashboard_is_replaced_and_the_link_still_works(make_site: Make) -> None:
    site = make_site()
    before = site.status()["web"]["pid"]

    os.kill(before, signal.SIGKILL)
    site.wait_until(lambda: site.status()["web"]["pid"] not in (None, before), "another dashboard")
    site.wait_for_web()

    assert site.browser().get("/").status == 200
    assert site.output.read_text().count("#t=") == 1


def test_it_dies_with_its_master(make_site: Make) -> None:
    site = make_site()
    pid = site.status()["web"]["pid"]

    site.kill_master()

    site.wait_until(lambda: is_dead(pid), "the dashboard to be gone")


def is_dead(pid: int) -> bool:
    """Return whether a process is gone, or has only to be reaped."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_port_that_is_taken_is_a_problem_and_is_waited_for(make_site: Make) -> None:
    site = make_site(start=False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", site.port))
        other.listen()
        site.start()
        site.wait_until(lambda: site.status()["problems"], "the problem")
        (problem,) = site.status()["problems"]
        assert problem["about"] == "[web]" and "cannot listen at 127.0.0.1" in problem["text"]

    site.wait_for_web()

    assert site.status()["problems"] == []


def test_it_comes_and_goes_with_a_reload(make_site: Make) -> None:
    site = make_site()
    listen = f'listen = "127.0.0.1:{site.port}"'
    metrics = f'metrics = "127.0.0.1:{site.metrics}"'

    edit(site.config, listen, 'listen = ""')
    edit(site.config, metrics, 'metrics = ""')
    assert site.run("reload").returncode == 0
    site.wait_until(lambda: site.status()["web"]["state"] == "not needed", "the dashboard to leave")

    edit(site.config, 'listen = ""', listen)
    assert site.run("reload").returncode == 0
    site.wait_for_web()
    assert site.browser().get("/").status == 200


def test_metrics_have_a_place_without_credential_and_nothing_else_is_there(make_site: Make) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    site = make_site()
    site.push("fine", queue="idle")
    scraper = Browser(site.metrics, {"Host": "pod-17.example:9100"})
    site.wait_until(lambda: 'backlog{queue="idle"} 1.0' in scraper.get("/metrics").text, "the message")

    found = {one.name: one for one in text_string_to_metric_families(scraper.get("/metrics").text)}
    samples = {
        (s.labels["queue"], s.labels["state"]): s.value for s in found["procqueue_queue_messages"].samples
    }

    assert samples["idle", "waiting"] == 1.0 and samples["q", "failed"] == 0.0
    assert scraper.get("/livez").json["live"] is True and scraper.get("/readyz").json["ready"] is True
    for path in ("/", "/queue/q", "/api/v1/queues", "/live?at=/", "/session"):
        assert scraper.get(path).status == 404
    assert scraper.post("/queue/q/pause").status == 404


def test_with_the_driver_away_it_lives_is_not_ready_and_shows_the_last_figures(tmp_path: Path) -> None:
    from tests.web.conftest import APP, CONFIG, free_port

    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder))
        site = Site(tmp_path, CONFIG.format(port=free_port(), metrics=free_port(), more=""), APP, server.url)
        site.port = int(site.config.read_text().partition('listen = "127.0.0.1:')[2].partition('"')[0])
        try:
            site.start()
            site.wait_for_web()
            site.push("fine", queue="idle")
            overview = lambda: site.browser().get("/api/v1/overview").json  # noqa: E731
            site.wait_until(lambda: overview()["totals"]["waiting"] == 1, "the message to be counted")

            server.kill()
            site.wait_until(
                lambda: any(one["about"] == "driver" for one in overview()["problems"]), "the problem"
            )

            anybody = Browser(site.port)
            assert (anybody.get("/livez").status, anybody.get("/readyz").status) == (200, 503)
            assert overview()["totals"]["waiting"] == 1
            page = site.browser().get("/queue/idle?state=waiting")
            assert page.status == 200 and "<b>driver</b>" in page.text
            assert site.browser().get("/api/v1/messages?queue=idle").status == 503
            said = lambda: [one["text"] for one in overview()["problems"] if one["about"] == "counts"]  # noqa: E731
            site.wait_until(said, "the age of the figures to be said")

            server = start_server(Path(folder))
            asked = lambda: site.browser().get("/api/v1/messages?queue=idle").status  # noqa: E731
            site.wait_until(lambda: asked() == 200, "the store to be asked again")
            site.wait_until(lambda: anybody.get("/readyz").status == 200, "all to be ready again")
        finally:
            server.kill()
            site.close()


def test_a_unix_socket_is_for_its_user_and_wants_a_token_too(make_site: Make) -> None:
    site = make_site(start=False)
    edit(site.config, f"127.0.0.1:{site.port}", "unix:web.sock")
    site.start()
    site.wait_for_web()
    path = site.folder / "web.sock"

    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        asking.sendall(b"GET /api/v1/queues HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = asking.recv(4096)

    assert answer.startswith(b"HTTP/1.1 401")
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_being_asked_nothing_listens_and_the_flag_asks(make_site: Make) -> None:
    site = make_site(start=False)
    edit(site.config, f'listen = "127.0.0.1:{site.port}"', "")
    edit(site.config, f'metrics = "127.0.0.1:{site.metrics}"', "")
    site.start()
    assert site.status()["web"] == {"pid": None, "state": "not needed", "uptime": 0}
    site.stop()

    site.start("--web", f"127.0.0.1:{site.port}")
    site.wait_for_web()

    assert site.browser().get("/").status == 200


def test_the_flag_does_not_open_it_to_other_machines(make_site: Make) -> None:
    site = make_site(start=False)

    refused = site.run("start", "--web", f"0.0.0.0:{site.port}")

    assert refused.returncode == 2 and "no credential" in refused.stderr


def test_without_the_extra_it_says_what_to_install(make_site: Make) -> None:
    site = make_site(start=False)
    (site.folder / "sitecustomize.py").write_text("import sys\nsys.modules['starlette'] = None\n")
    site.variables["PYTHONPATH"] = f"{site.folder}:{site.environment()['PYTHONPATH']}"

    refused = site.run("start")

    assert refused.returncode == 78
    assert (
        "the dashboard needs starlette" in refused.stderr and "pip install 'procqueue[web]'" in refused.stderr
    )

    listen = f'listen = "127.0.0.1:{site.port}"\nmetrics = "127.0.0.1:{site.metrics}"'
    edit(site.config, listen, 'listen = ""')
    site.start()
    edit(site.config, 'listen = ""', listen)
    assert site.run("reload").returncode == 0
    site.wait_until(lambda: site.status()["problems"], "the problem")
    assert "the dashboard needs starlette" in site.status()["problems"][0]["text"]
