"""What Linux tells about processes, asked of real ones: renamed, stopped, escaped, dead, replaced."""

import os
import signal
import time
from pathlib import Path

import pytest

from procqueue.process import kernel
from tests.process.actors import actor, is_running, wait_until

SLEEPS = "import sys; print('up', flush=True); sys.stdin.readline()"

FAMILY = """
import os, time
from procqueue.process import kernel

def report(who):
    os.write(1, f"{who} {os.getpid()}\\n".encode())

os.setpgid(0, 0)
kernel.become_subreaper()
leader = os.getpid()
if os.fork() == 0:
    report("child")
    if os.fork() == 0:
        os.setsid()
        report("escaped")
        if os.fork() == 0:
            report("below")
    elif os.fork() == 0:
        if os.fork() > 0:
            os._exit(0)
        os.setsid()
        while os.getppid() != leader:
            time.sleep(0.001)
        report("adopted")
time.sleep(1000)
"""


def test_a_family_is_found_and_ended_whole_wherever_it_hid() -> None:
    with actor(FAMILY) as leader:
        family = dict(leader.line().split() for _ in range(4))
        pids = {name: int(pid) for name, pid in family.items()}
        assert set(pids) == {"child", "escaped", "below", "adopted"}

        assert set(kernel.children_of(leader.pid)) == {pids["child"], pids["adopted"]}
        found = kernel.descendants_of(leader.pid)
        assert set(pids.values()) <= set(found)
        assert found.index(pids["child"]) < found.index(pids["escaped"]) < found.index(pids["below"])
        kernel.kill_tree(leader.pid)

        assert leader.wait() == -signal.SIGKILL
        for pid in pids.values():
            wait_until(lambda pid=pid: not is_running(pid), "the family to be gone")


def test_a_process_with_a_misleading_name_is_read_right() -> None:
    code = "import sys; open('/proc/self/comm', 'w').write(') S 1 (x) T'); print('up', flush=True)\n"
    with actor(code + "sys.stdin.readline()") as odd:
        odd.line()
        assert ") S 1" in Path(f"/proc/{odd.pid}/stat").read_text()

        assert kernel.is_stopped(odd.pid) is False
        boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        started = kernel.start_time_of(odd.pid)
        assert started is not None and 0 <= boot - started / os.sysconf("SC_CLK_TCK") < 60
        assert kernel.start_time_of(odd.pid) == started


def test_a_pidfd_is_given_for_the_same_process_only() -> None:
    with actor(SLEEPS) as one:
        one.line()
        started = kernel.start_time_of(one.pid)
        assert started is not None
        before = sorted(os.listdir("/proc/self/fd"))

        assert kernel.open_pidfd(one.pid, started + 1) is None
        assert sorted(os.listdir("/proc/self/fd")) == before
        for pidfd in (kernel.open_pidfd(one.pid, started), kernel.open_pidfd(one.pid)):
            assert pidfd is not None
            os.close(pidfd)

        one.kill()
        assert kernel.open_pidfd(one.pid, started) is None


def test_a_process_that_was_stopped_is_seen_to_stand_still() -> None:
    with actor(SLEEPS) as one:
        one.line()
        assert not kernel.wait_stopped(one.pid, 0.02)

        kernel.send(one.pid, signal.SIGSTOP)

        assert kernel.wait_stopped(one.pid, 10) and kernel.is_stopped(one.pid)
        kernel.send(one.pid, signal.SIGCONT)
        wait_until(lambda: kernel.is_stopped(one.pid) is False, "it to go on")


def test_who_is_gone_is_no_error() -> None:
    with actor(SLEEPS) as one:
        one.line()
        one.kill()
        gone = one.pid

    assert kernel.start_time_of(gone) is None and kernel.is_stopped(gone) is None
    assert kernel.resident_bytes_of(gone) is None and kernel.children_of(gone) == []
    assert kernel.wait_stopped(gone, 10) is False
    kernel.send(gone, signal.SIGTERM)
    kernel.send_group(gone, signal.SIGTERM)
    kernel.kill_tree(gone)


def test_a_group_that_is_not_made_yet_is_signalled_by_its_leader_alone() -> None:
    with actor(SLEEPS) as one:
        one.line()
        assert os.getpgid(one.pid) != one.pid

        kernel.send_group(one.pid, signal.SIGTERM)

        assert one.wait() == -signal.SIGTERM


def test_memory_is_told_in_bytes() -> None:
    told = kernel.resident_bytes_of(os.getpid())

    status = Path("/proc/self/status").read_text()
    shown = int(status.partition("VmRSS:")[2].split()[0]) * 1024
    assert told is not None and abs(told - shown) < 32 << 20


def test_threads_of_libraries_are_counted() -> None:
    code = """
    import threading
    from procqueue.process import kernel
    print(kernel.thread_count(), flush=True)
    threading.Thread(target=input).start()
    print(kernel.thread_count(), flush=True)
    """
    with actor(code) as one:
        assert (one.line(), one.line()) == ("1", "2")


def test_where_there_is_no_pidfd_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.require_linux()

    monkeypatch.delattr(os, "pidfd_open")

    with pytest.raises(kernel.NotLinux, match=r"Linux 5\.4"):
        kernel.require_linux()
