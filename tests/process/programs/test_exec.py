"""How a program begins: with what it was ordered, with nothing of its master's, or it is said why not."""

import os
import signal
import stat
from pathlib import Path

from tests.process.programs.stage import lines, parent


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_program_that_ends_at_once_has_begun() -> None:
    with parent('run("true"); run("sh", "-c", "exit 3")') as one:
        assert lines(one, 2) == ["code 0", "code 3"]


def test_s4_a_program_has_three_descriptors_and_stdin_is_empty() -> None:
    code = """
    spare = [os.open("/dev/zero", os.O_RDONLY) for _ in range(5)]
    spare.append(os.dup(1))
    for fd in spare:
        os.set_inheritable(fd, True)
    shown = "import os; print(sorted(os.listdir('/proc/self/fd'))); print(os.readlink('/proc/self/fd/0'))"
    python(shown, stdout=spare[-1])
    python("import sys; print(repr(sys.stdin.read()))")
    """
    with parent(code) as one:
        # The fourth is that of the listing.
        assert lines(one, 5) == ["['0', '1', '2', '3']", "/dev/null", "code 0", "''", "code 0"]


def test_its_output_goes_where_it_was_ordered() -> None:
    code = """
    both = "import os; os.write(1, b'out\\\\n'); os.write(2, b'err\\\\n')"
    # Each into the other's place, and from numbers that are the places themselves.
    python(both, stdout=2, stderr=1)
    python(both, stdout=None, stderr=1)
    read, write = os.pipe()
    python(both, stdout=write, stderr=None)
    say(os.read(read, 100))
    """
    with parent(code) as one:
        assert lines(one, 6) == ["err", "code 0", "err", "code 0", "code 0", r"b'out\n'"]
        assert one.errors() == "out\n"


def test_a_master_without_the_first_three_starts_programs_all_the_same() -> None:
    code = """
    high = os.dup(1)
    for fd in (0, 1, 2):
        os.close(fd)
    started = start(order("sh", "-c", "echo out; echo err >&2", stdout=high, stderr=high))
    failed = start(order("nonexistent", stdout=high, stderr=high))
    failures = begun(started), begun(failed).why[:15]
    codes = code_of(started), code_of(failed)
    os.write(high, f"{failures} {codes}\\n".encode())
    """
    with parent(code) as one:
        assert lines(one, 3) == ["out", "err", "(None, 'no such command') (0, 127)"]


def test_trap_19_no_signal_is_ignored_or_blocked() -> None:
    code = """
    for signum in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGTTOU):
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGALRM})
    run("grep", "-E", "Sig(Blk|Ign|Pnd)", "/proc/self/status")
    say("mask", *(s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    """
    with parent(code) as one:
        assert [line.split()[-1] for line in lines(one, 3)] == ["0" * 16] * 3
        assert lines(one, 2) == ["code 0", "mask SIGUSR2 SIGALRM"]


def test_trap_19_a_pipe_that_nobody_reads_ends_its_writer() -> None:
    code = """
    run("bash", "-c", "set -o pipefail; yes | head -1; exit ${PIPESTATUS[0]}")
    """
    with parent(code) as one:
        assert lines(one, 2) == ["y", f"code {128 + signal.SIGPIPE}"]


def test_trap_5_a_signal_to_a_fresh_program_does_not_arrive_in_its_master() -> None:
    code = """
    read, write = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGTERM, lambda *_: say("in the master"))
    codes = set()
    for _ in range(20):
        started = start(order("sleep", "60"))
        # At any moment between its fork and its exec.
        kernel.send_group(started.pid, signal.SIGTERM)
        begun(started)
        codes.add(code_of(started))
    say(codes, bool(select.select([read], [], [], 0)[0]))
    """
    with parent(code) as one:
        assert one.line() == f"{{{-signal.SIGTERM}}} False"


def test_a_program_leads_its_own_session_or_only_a_group() -> None:
    code = """
    mine = "import os; print(os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())"
    python(mine)
    python(mine, own_session=False)
    """
    with parent(code) as one:
        assert lines(one, 4) == ["True True", "code 0", "False True", "code 0"]


def test_trap_12_nothing_kills_a_program_with_its_master() -> None:
    armed = "import ctypes; a = ctypes.c_int(-1); ctypes.CDLL(None).prctl(2, ctypes.byref(a)); print(a.value)"
    with parent(f"python({armed!r})") as one:
        assert lines(one, 2) == ["0", "code 0"]


def test_its_names_are_in_its_environment_and_those_of_the_service_manager_are_not() -> None:
    code = """
    ours = dict(NOTIFY_SOCKET="/run/x", WATCHDOG_USEC="1", WATCHDOG_PID="1", LISTEN_FDS="1", LISTEN_PID="1")
    os.environ.update(ours, LISTEN_FDNAMES="a", KEPT="yes")
    shown = "print(*(f'{k}={v}' for k, v in sorted(__import__('os').environ.items()) if k[:4] in %r))"
    shown %= (("NOTI", "WATC", "LIST", "PROC", "KEPT"),)
    python(shown)
    python(shown, notify_socket="@mine")
    """
    names = "PROCQUEUE_INDEX=3 PROCQUEUE_NAME=clock PROCQUEUE_OWNER=host.1.1"
    with parent(code) as one:
        assert lines(one, 4) == [
            f"KEPT=yes {names}", "code 0", f"KEPT=yes NOTIFY_SOCKET=@mine {names}", "code 0",
        ]  # fmt: skip


def test_a_command_is_looked_up_in_the_path_that_it_will_have(tmp_path: Path) -> None:
    script(tmp_path / "mine", "#!/bin/sh\necho mine $1\n")
    (tmp_path / "first").mkdir()
    script(tmp_path / "first" / "mine", "#!/bin/sh\n", 0o644)
    code = f"""
    run("mine", "x", env={{"PATH": "{tmp_path}/first:{tmp_path}:/bin"}})
    run("./mine", "y", cwd="{tmp_path}")
    run("mine", env={{"PATH": "/bin"}})
    """
    with parent(code) as one:
        assert lines(one, 4) == ["mine x", "code 0", "mine y", "code 0"]
        assert one.line() == (
            "cannot start: [processes.clock] command mine: no such command in PATH /bin (queues.toml:41)"
        )


def test_trap_33_why_a_command_cannot_be_run_is_said(tmp_path: Path) -> None:
    script(tmp_path / "plain", "echo\n", 0o644)
    script(tmp_path / "wrong", "#!/nonexistent/python -u\n")
    script(tmp_path / "noline", "echo\n")
    (tmp_path / "folder").mkdir()
    code = f"""
    for name in ("missing", "plain", "wrong", "noline", "folder", "plain/x"):
        run("{tmp_path}/" + name)
    run("true", "a\\0b")
    run("true", env={{"A=B": "c"}})
    run("true", "x" * 200_000)
    """
    with parent(code) as one:
        said = [line.removeprefix("cannot start: [processes.clock] ") for line in lines(one, 9)]
    assert [line.replace(f"command {tmp_path}/", "") for line in said[:6]] == [
        "missing: no such file (queues.toml:41)",
        f"plain: not executable by uid {os.geteuid()} (queues.toml:41)",
        "wrong: its interpreter '/nonexistent/python -u' does not exist (queues.toml:41)",
        "noline: exec format error: is its first line #!/bin/sh? (queues.toml:41)",
        "folder: is a directory (queues.toml:41)",
        "plain/x: no such file (queues.toml:41)",
    ]
    assert said[6:8] == [
        "command: embedded null byte (queues.toml:41)",
        "env: illegal environment variable name (queues.toml:41)",
    ]
    assert said[8].startswith("command true: argument list too long")


def test_what_may_pass_is_told_from_what_will_not(tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    busy.write_bytes(Path("/bin/true").read_bytes())
    busy.chmod(0o755)
    code = f"""
    writer = open("{busy}", "ab")
    for command in ("{busy}", "missing"):
        started = start(order(command))
        failure = begun(started)
        say(failure.why, failure.may_pass, code_of(started))
    """
    with parent(code) as one:
        assert one.line() == "text file busy True 127"
        assert one.line().endswith(" False 127")


def test_the_parent_never_waits_for_a_child_that_does_not_get_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "env")
    code = f"""
    started = start(order("true", env_file="{tmp_path}/env"))
    say("told", started.report.hear(), bool(select.select([started.report], [], [], 0.05)[0]))
    os.kill(started.pid, signal.SIGTERM)
    say("ended", begun(started), code_of(started))
    """
    with parent(code) as one:
        assert lines(one, 2) == ["told False False", f"ended None {-signal.SIGTERM}"]


def test_trap_34_where_no_child_can_be_made_nothing_is_kept() -> None:
    code = """
    first = os.dup(1)
    os.close(first)
    before = os.listdir("/proc/self/fd")
    for spare in range(3):
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + spare, 4096))
        try:
            start(order("true"))
        except OSError as error:
            said = error.strerror
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        say(said, kernel.children_of(os.getpid()), os.listdir("/proc/self/fd") == before)
    run("true")
    """
    with parent(code) as one:
        assert lines(one, 4) == ["Too many open files [] True"] * 3 + ["code 0"]


def test_s2_a_fork_beside_other_threads_is_refused() -> None:
    code = """
    import threading
    stop = threading.Event()
    threading.Thread(target=stop.wait).start()
    try:
        start(order("true"))
    except RuntimeError as error:
        say(error)
    stop.set()
    """
    with parent(code) as one:
        assert one.line().startswith("fork with 2 threads")


def test_three_hundred_starts_leave_nothing_in_the_parent() -> None:
    code = """
    run("true")
    before = sorted(os.listdir("/proc/self/fd"))
    for number in range(300):
        started = start(order("true" if number % 2 else "missing"))
        assert (begun(started) is None) == bool(number % 2)
        code_of(started)
    say(sorted(os.listdir("/proc/self/fd")) == before, kernel.children_of(os.getpid()))
    """
    with parent(code) as one:
        assert lines(one, 2) == ["code 0", "True []"]


def test_descriptors_and_the_oom_score_are_what_was_ordered() -> None:
    code = """
    kernel.raise_descriptor_limit()
    score = int(Path("/proc/self/oom_score_adj").read_text()) + 7
    say(score)
    run("sh", "-c", "ulimit -n; cat /proc/self/oom_score_adj", descriptors=(77, 99), oom_score_adj=score)
    """
    with parent(code) as one:
        score = one.line()
        assert lines(one, 3) == ["77", score, "code 0"]


def test_what_the_child_says_is_kept_apart_from_what_it_is_not(tmp_path: Path) -> None:
    # The report is closed by the exec: a program that writes to the number does not speak as its child.
    program = script(
        tmp_path / "p", '#!/bin/sh\nfor fd in 3 4 5 6 7 8; do echo "{}" >&$fd; done 2>/dev/null\n'
    )
    with parent(f'run("{program}")') as one:
        assert one.line() == "code 2"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
