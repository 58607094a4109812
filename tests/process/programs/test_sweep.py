"""How a program ends with all that came of it, and that nobody else does."""

import textwrap

from tests.process.programs.stage import lines, parent

#: A process that starts others, each in its own way of getting lost, and says their numbers.
LOST = """
import os, subprocess, sys, time
def orphan(*leave):
    read, write = os.pipe()
    if os.fork() == 0:
        for step in leave:
            step()
        if os.fork() == 0:
            os.write(write, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    os.wait()
    return int(os.read(read, 20))
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
pids = [
    orphan(),
    orphan(os.setsid),  # a daemon
    orphan(os.setpgrp),  # it is still in the session
    subprocess.Popen(sleep).pid,
    subprocess.Popen(sleep, start_new_session=True).pid,
    subprocess.Popen(sleep, start_new_session=True, env={}).pid,
]
print(*pids, flush=True)
"""

#: A process that makes daemons, so many that it is still at it when it is ended.
FORKING = """
import os, time
for number in range(2000):
    if number == 20:
        print(os.getpid(), flush=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
time.sleep(600)
"""

#: A daemon of the old school.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
os._exit(0)
"""

BEGIN = """
def begin(*argv):
    # Start it; return it, and the numbers that it says.
    read, write = os.pipe()
    started = start(order(*argv, stdout=write))
    os.close(write)
    assert begun(started) is None
    with os.fdopen(read) as said:
        return started, [int(one) for one in said.readline().split()]

def wait_for_death(started):
    os.waitid(os.P_PIDFD, started.pidfd, os.WEXITED | os.WNOWAIT)
"""


def staged(code: str) -> str:
    programs = f"LOST, FORKING, DAEMON = {LOST!r}, {FORKING!r}, {DAEMON!r}\n"
    return BEGIN + programs + textwrap.dedent(code)


def test_trap_14_whoever_left_group_and_session_ends_with_the_program() -> None:
    code = """
    other = os.fork()
    if other == 0:
        time.sleep(600)
    neighbour = start(Order("ws", 0, "host.1.2", ("sleep", "600")))
    begun(neighbour)
    started, pids = begin(sys.executable, "-c", LOST + "time.sleep(600)")
    found = {one.pid for one in sweep.members(started.pid, OWNER, {other, neighbour.pid})}
    say("found", found == {started.pid, *pids})
    escaped = sweep.end(started.pid, OWNER, {other, neighbour.pid})
    say("escaped", escaped)
    code_of(started)
    wait_until(lambda: not any(map(kernel.is_alive, pids)))
    say("others", kernel.is_alive(other), kernel.is_alive(neighbour.pid))
    """
    with parent(staged(code)) as one:
        assert lines(one, 3) == ["found True", "escaped 4", "others True True"]


def test_what_a_program_leaves_behind_when_it_ends_by_itself_is_found() -> None:
    code = """
    started, pids = begin(sys.executable, "-c", LOST)
    wait_for_death(started)
    found = {one.pid for one in sweep.members(started.pid, OWNER)}
    # The one that has neither tag nor session nor parent is nobody's.
    say("found", found == set(pids[:-1]))
    say("escaped", sweep.end(started.pid, OWNER))
    code_of(started)
    wait_until(lambda: not any(map(kernel.is_alive, pids[:-1])))
    say("nobody's", kernel.is_alive(pids[-1]), sweep.owner_of(pids[-1]))
    """
    with parent(staged(code)) as one:
        assert lines(one, 3) == ["found True", "escaped 3", "nobody's True None"]


def test_a_program_that_makes_itself_a_daemon_is_found_by_its_tag() -> None:
    code = """
    started, (pid,) = begin(sys.executable, "-c", DAEMON)
    wait_for_death(started)
    wait_until(lambda: pid in kernel.children_of(os.getpid()))
    say(sweep.owner_of(pid), [one.pid == pid for one in sweep.owners()[OWNER]])
    say(sweep.end(started.pid, OWNER), code_of(started))
    wait_until(lambda: not kernel.is_alive(pid))
    say(OWNER in sweep.owners())
    """
    with parent(staged(code), owner="host.daemon.1") as one:
        assert lines(one, 3) == ["host.daemon.1 [True]", "1 0", "False"]


def test_a_program_that_ignores_its_stop_signal_is_killed() -> None:
    code = """
    started = start(order("sh", "-c", "trap '' TERM; echo up; while :; do sleep 600; done"))
    begun(started)
    while not kernel.descendants_of(started.pid):
        time.sleep(0.002)
    sweep.ask_to_leave(started.pid, signal.SIGTERM)
    say("runs", not select.select([started.pidfd], [], [], 0.1)[0])
    say("escaped", sweep.end(started.pid, OWNER), "code", code_of(started))
    """
    with parent(code) as one:
        assert lines(one, 3) == ["up", "runs True", "escaped 0 code -9"]


def test_trap_18_one_that_is_stopped_hears_its_stop_signal() -> None:
    code = """
    started = start(order("sleep", "600"))
    begun(started)
    os.kill(started.pid, signal.SIGSTOP)
    kernel.wait_stopped(started.pid, 20)
    sweep.ask_to_leave(started.pid, signal.SIGTERM)
    say(code_of(started))
    """
    with parent(code) as one:
        assert one.line() == "-15"


def test_the_stop_signal_goes_to_the_first_process_or_to_its_group() -> None:
    code = """
    for group in (False, True):
        program = "trap 'exit 3' TERM; sleep 600 & echo $!; wait"
        started, (child,) = begin("bash", "-c", program)
        sweep.ask_to_leave(started.pid, signal.SIGTERM, group=group)
        wait_for_death(started)
        if group:
            wait_until(lambda: not kernel.is_alive(child))
        say(group, kernel.is_alive(child))
        sweep.end(started.pid, OWNER)
        say(code_of(started))
    """
    with parent(staged(code)) as one:
        assert lines(one, 4) == ["False True", "3", "True False", "3"]


def test_trap_21_a_number_that_is_somebody_elses_by_now_is_not_killed() -> None:
    code = """
    started = start(order("sleep", "600"))
    begun(started)
    real = kernel.start_time_of(started.pid)
    sweep.kill(sweep.Member(started.pid, real - 1))
    say("runs", not select.select([started.pidfd], [], [], 0.1)[0])
    sweep.kill(sweep.Member(started.pid, real))
    say("code", code_of(started))
    sweep.kill(sweep.Member(started.pid, real))
    """
    with parent(code) as one:
        assert lines(one, 2) == ["runs True", "code -9"]
        assert one.wait() == 0


def test_what_forks_while_it_is_looked_for_is_found_at_the_next_look() -> None:
    code = """
    for _ in range(3):
        started, _ = begin(sys.executable, "-c", FORKING)
        sweep.end(started.pid, OWNER)
        code_of(started)
    wait_until(lambda: OWNER not in sweep.owners())
    say("none")
    """
    with parent(staged(code), owner="host.forking.1") as one:
        assert one.line() == "none"
