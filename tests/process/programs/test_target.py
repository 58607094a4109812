"""Programs that are Python callables: an interpreter of their own, and how they learn to stop."""

from pathlib import Path

import pytest

from procqueue.tasks.stopping import Stopping
from tests.process.programs.stage import lines, parent

CLOCK = """
import os, sys, time
import procqueue

def main():
    print("argv", sys.argv, "open", len(os.listdir("/proc/self/fd")) - 1, "cwd", os.getcwd() in sys.path)

def none():
    pass

def number():
    return 7

def raises():
    raise ValueError("told")

async def later():
    pass

class Group:
    @staticmethod
    def inner():
        return 4

def until_stopped():
    print("up", bool(procqueue.stopping()), procqueue.stopping.wait(0.01), flush=True)
    print("stopping", procqueue.stopping.wait(60), bool(procqueue.stopping()), procqueue.stopping.wait())
    return 5

def in_a_thread():
    import threading
    thread = threading.Thread(target=lambda: print("thread", procqueue.stopping.wait(60)))
    thread.start()
    print("up", flush=True)
    thread.join()

def with_a_child():
    child = os.fork()
    if child == 0:
        print("child", bool(procqueue.stopping()), flush=True)
        time.sleep(600)
    print("code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), bool(procqueue.stopping()))

not_callable = 3
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "clock.py").write_text(CLOCK)
    (tmp_path / "shop" / "broken.py").write_text("import os\n\nimport missing_module\n")
    (tmp_path / "shop" / "syntax.py").write_text("x = 1\ndef (\n")
    (tmp_path / "shop" / "leaves.py").write_text("raise SystemExit(0)\n")
    return tmp_path


def staged(shop: Path, code: str) -> str:
    return f"SHOP = {str(shop)!r}\ndef target(name):\n    run(target=name, path=SHOP, cwd='/')\n{code}"


def test_a_target_runs_in_an_interpreter_of_its_own_and_ends_as_a_script_does(shop: Path) -> None:
    code = """
for name in ("main", "none", "number", "raises", "Group.inner"):
    target("shop.clock:" + name)
"""
    with parent(staged(shop, code)) as one:
        said = "argv ['shop.clock:main'] open 4 cwd False"
        assert lines(one, 6) == [said, "code 0", "code 0", "code 7", "code 1", "code 4"]
        assert "ValueError: told" in one.errors()


def test_s10_a_target_that_cannot_be_imported_says_where_and_what(shop: Path) -> None:
    names = (
        "broken:main", "syntax:main", "leaves:main", "nowhere:main", "clock:missing", "clock:not_callable",
        "clock:later", "clock",
    )  # fmt: skip
    code = f"for name in {names}:\n    target('shop.' + name)\n"
    with parent(staged(shop, code)) as one:
        said = [line.removeprefix("cannot start: [processes.clock] target shop.") for line in lines(one, 8)]
    assert [line.removesuffix(" (queues.toml:41)") for line in said] == [
        f"broken:main: {shop}/shop/broken.py:3: ModuleNotFoundError: No module named 'missing_module'",
        f"syntax:main: {shop}/shop/syntax.py:2: SyntaxError: invalid syntax (syntax.py, line 2)",
        f"leaves:main: {shop}/shop/leaves.py:1: SystemExit: 0",
        "nowhere:main: ModuleNotFoundError: No module named 'shop.nowhere'",
        "clock:missing: shop.clock has no missing",
        "clock:not_callable: shop.clock:not_callable cannot be called",
        "clock:later: shop.clock:later is async: name a function that calls asyncio.run(...)",
        "clock: it names no callable: say shop.clock:main",
    ]


def test_it_has_begun_when_it_is_imported_also_if_the_import_left_a_child(shop: Path) -> None:
    (shop / "shop" / "slow.py").write_text(
        "import os, time\nif os.fork() == 0:\n    time.sleep(600)\nopen('gate').read()\ndef main(): pass\n"
    )
    code = """
gate = os.path.join(SHOP, "gate")
os.mkfifo(gate)
started = start(order(target="shop.slow:main", path=SHOP, cwd=SHOP))
with open(gate, "w"):
    say("begun", started.report.hear())
say(begun(started), sweep.end(started.pid, OWNER))
"""
    with parent(staged(shop, code)) as one:
        assert lines(one, 2) == ["begun False", "None 0"]


def test_term_and_int_are_told_as_a_wish_to_stop(shop: Path) -> None:
    code = """
for signum in (signal.SIGTERM, signal.SIGINT):
    started = start(order(target="shop.clock:until_stopped", path=SHOP))
    while not Path(SHOP, "go").exists():
        time.sleep(0.002)
    os.unlink(Path(SHOP, "go"))
    os.kill(started.pid, signum)
    say("code", code_of(started))
"""
    with parent(staged(shop, code)) as one:
        for _ in range(2):
            assert one.line() == "up False False"
            (shop / "go").touch()
            assert lines(one, 2) == ["stopping True True True", "code 5"]


def test_a_thread_that_waits_is_woken_too(shop: Path) -> None:
    code = """
started = start(order(target="shop.clock:in_a_thread", path=SHOP))
while not Path(SHOP, "go").exists():
    time.sleep(0.002)
os.kill(started.pid, signal.SIGTERM)
say("code", code_of(started))
"""
    with parent(staged(shop, code)) as one:
        assert one.line() == "up"
        (shop / "go").touch()
        assert lines(one, 2) == ["thread True", "code 0"]


def test_a_child_of_the_program_ends_by_the_signal_as_any_process(shop: Path) -> None:
    code = """
started = start(order(target="shop.clock:with_a_child", path=SHOP))
while not Path(SHOP, "go").exists():
    time.sleep(0.002)
sweep.ask_to_leave(started.pid, signal.SIGTERM, group=True)
say("code", code_of(started))
"""
    with parent(staged(shop, code)) as one:
        assert one.line() == "child False"
        (shop / "go").touch()
        assert lines(one, 2) == ["code -15 True", "code 0"]


def test_where_nobody_listens_it_only_waits() -> None:
    stopping = Stopping()

    assert not stopping()
    assert not stopping.wait(0.01)
