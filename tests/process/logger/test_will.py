"""When the master dies the logger stops the programs, which have no lifeline, and leaves last (law S8)."""

from collections.abc import Callable
from pathlib import Path

from tests.process.actors import Actor, is_running, wait_until

Play = Callable[..., Actor]

#: A master with one program; its number, that of its own child, and the logger's are said.
PROGRAM = """
stage = Stage(folder)
def program(body, grace, stop_group=False, stop_signal=signal.SIGTERM):
    write = stage.pipe("prog", to=f"{folder}/file")
    def run(_):
        import time
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        body(write)
        return 0
    born = fork_child(run, parent_death=None, keep=(write,))
    os.close(write)
    facts = {"pid": born.pid, "stop_signal": int(stop_signal), "grace": grace, "stop_group": stop_group}
    stage.born.lifeline.say("will", key="prog", fds=(born.pidfd,), **facts)
    stage.wait_for("file", b"ready")
    say(born.pid, stage.born.pid)
    return born

def obedient(write):
    def told(signum, frame):
        os.write(write, b"told %d\\n" % signum)
        os.write(write, b"last words\\n")
        os._exit(0)
    for signum in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(signum, told)
    os.write(write, b"ready\\n")
    while True:
        signal.pause()

def deaf(write):
    for signum in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setsid()
        while True:
            signal.pause()
    os.write(write, b"ready %d\\n" % child)
    while True:
        signal.pause()
"""


def numbers(actor: Actor) -> list[int]:
    return [int(number) for number in actor.line().split()]


def test_s8_a_program_gets_its_signal_and_its_last_words_are_kept(play: Play, tmp_path: Path) -> None:
    code = """
    program(obedient, 20.0, stop_signal=signal.SIGUSR1)
    signal.pause()
    """
    actor = play(code, PROGRAM)
    program, logger = numbers(actor)

    actor.kill()

    wait_until(lambda: not is_running(program) and not is_running(logger), "both to leave")
    said = [line.split(" | ")[1] for line in (tmp_path / "file").read_text().splitlines()]
    assert said == ["ready", "told 10", "last words"]
    assert "logger warning master_died" in (tmp_path / "terminal").read_text()


def test_s8_a_program_that_does_not_hear_is_killed_with_what_descends_from_it(
    play: Play, tmp_path: Path
) -> None:
    code = """
    program(deaf, 0.3)
    signal.pause()
    """
    actor = play(code, PROGRAM)
    program, logger = numbers(actor)
    child = int((tmp_path / "file").read_text().split()[-1])

    actor.kill()

    for pid in (program, child, logger):
        wait_until(lambda pid=pid: not is_running(pid), f"{pid} to be gone")
    assert "program_killed" in (tmp_path / "logs/@logger.log").read_text()


def test_s8_what_a_program_leaves_behind_is_killed_when_it_has_left(play: Play, tmp_path: Path) -> None:
    code = """
    def leaves_one(write):
        child = os.fork()
        if child == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        os.write(write, b"child %d\\n" % child)
        obedient(write)

    program(leaves_one, 20.0)
    signal.pause()
    """
    actor = play(code, PROGRAM)
    program, logger = numbers(actor)
    child = int((tmp_path / "file").read_text().splitlines()[0].split()[-1])

    actor.kill()

    for pid in (program, child, logger):
        wait_until(lambda pid=pid: not is_running(pid), f"{pid} to be gone")


def test_s8_stop_group_sends_the_signal_to_the_whole_group(play: Play, tmp_path: Path) -> None:
    code = """
    def pair_of(write):
        if os.fork() == 0:
            obedient(write)
        obedient(write)

    program(pair_of, 20.0, stop_group=True)
    stage.wait(lambda: stage.read("file").count(b"ready") == 2)
    say("both")
    signal.pause()
    """
    actor = play(code, PROGRAM)
    program, logger = numbers(actor)
    assert actor.line() == "both"

    actor.kill()

    wait_until(lambda: not is_running(program) and not is_running(logger), "both to leave")
    assert (tmp_path / "file").read_text().count("told 15") == 2


def test_a_program_that_is_dead_or_taken_back_is_left_alone(play: Play) -> None:
    code = """
    born = program(obedient, 20.0)
    stage.born.lifeline.say("unwill", key="prog")
    stage.born.lifeline.say("stop")
    say("code", os.waitstatus_to_exitcode(os.waitpid(stage.born.pid, 0)[1]), is_alive(born.pid))
    """
    actor = play(code, PROGRAM)
    numbers(actor)

    assert actor.line() == "code 0 True"


def test_s8_the_logger_of_a_dead_master_reads_until_the_last_orphan_has_left(
    play: Play, tmp_path: Path
) -> None:
    code = """
    import pathlib, time
    stage = Stage(folder)
    def orphan(fd):
        os.write(fd, b"begun\\n")
        while not pathlib.Path(folder, "go").exists():
            time.sleep(0.01)
        os.write(fd, b"the end\\n")

    write = stage.pipe("q:0", to=f"{folder}/file")
    born = fork_child(lambda _: orphan(write) or 0, parent_death=None, keep=(write,))
    os.close(write)
    stage.wait_for("file", b"begun")
    say(born.pid, stage.born.pid)
    signal.pause()
    """
    actor = play(code)
    orphan, logger = numbers(actor)

    actor.kill()
    wait_until(lambda: "master_died" in (tmp_path / "terminal").read_text(), "the logger to see it")
    assert is_running(logger)
    (tmp_path / "go").touch()

    wait_until(lambda: not is_running(orphan) and not is_running(logger), "both to leave")
    assert (tmp_path / "file").read_text().endswith(" | the end\n")
