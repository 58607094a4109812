"""The comparison with other task queues: what contestants state is whole, and who fails is told."""

import tomllib

import pytest

from tests.documents import ROOT, rows, section

BENCHMARKS = ROOT / "scripts/benchmarks"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_every_contestant_states_its_settings_its_guarantee_and_how_it_is_started() -> None:
    from contest import field

    pinned = tomllib.loads((BENCHMARKS / "contestants/versions.toml").read_text())

    contestants = field.contestants()

    assert [one.name for one in contestants][:3] == ["procqueue", "procqueue-async", "arq"]
    assert len(contestants) == 10
    for one in contestants:
        assert one.environment == "procqueue" or one.environment in pinned
        assert one.settings and one.survives and field.version(one)
        commands = one.commands(4, 0, BENCHMARKS, "redis://localhost")
        assert len(commands) == (1 if one.all_in_one else 4)
        assert "{" not in str(commands)


def test_who_fails_and_who_forgets_stands_in_the_table(tmp_path, capsys) -> None:
    from contest import report
    from contest.field import contestants
    from contest.measures import Scale
    from contest.results import Results

    ours, _, arq, celery, dramatiq = contestants()[:5]
    results = Results(yardsticks=[9_000.0, 10_000.0])
    for factor in (1, 3):  # the machine is three times as fast in the second round
        results.add("drain", ours.name, {"rate": 1000.0 * factor})
        results.add("drain", arq.name, {"rate": 200.0 * factor})
    results.fail("drain", celery.name, "ended: no such option")
    results.out[dramatiq.name] = "its environment cannot be made"
    results.add("kill", arq.name, {"back": float("inf")})

    report.write(results, [ours, arq, celery, dramatiq], tmp_path, "scripts/bench peers", 60, Scale(1, 1, 30))

    page = (tmp_path / "benchmarks.md").read_text()
    speed = {name: cells for name, *cells in rows(section(page, "Messages handled a second"))}
    assert speed["procqueue"][0] == "2,000"
    assert speed["arq"][0] == "400 (0.20)"
    assert "handles **5.0 times** what one of arq does" in page
    assert speed["celery"][0] == "– ¹"
    assert speed["dramatiq"][0] == "does not run ¹"
    assert ["arq", "> 30"] in rows(section(page, "Processes"))
    assert "- celery, drain: ended: no such option" in page
    assert "- dramatiq: its environment cannot be made" in page
    assert page.startswith("# procqueue beside") and "## How it is measured" in page
    assert (tmp_path / "benchmarks/drain.svg").read_text().startswith("<svg")
    assert "| arq |" in capsys.readouterr().out
