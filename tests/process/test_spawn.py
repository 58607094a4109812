"""What a forked child does first: it gives back what is not its own, and dies with its own kind (law S4)."""

import signal
import textwrap
import time

from tests.process.actors import Actor, actor, is_running, wait_until

HEAD = """
import atexit, ctypes, os, resource, select, signal, socket, sys, threading
from procqueue.process import kernel, spawn

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def wait_for_end(lifeline):
    select.select([lifeline], [], [])
    lifeline.hear()
    return lifeline.ended

def fork(body, **options):
    return spawn.fork_child(body, **{"parent_death": None, **options})

def code_of(born):
    return os.waitstatus_to_exitcode(os.waitpid(born.pid, 0)[1])
"""


def script(body: str) -> str:
    return HEAD + textwrap.dedent(body)


def lines(one: Actor, number: int) -> list[str]:
    return [one.line() for _ in range(number)]


def test_s4_a_killed_parent_is_seen_at_once_by_every_child() -> None:
    code = """
    def body(lifeline):
        say("born", os.getpid())
        say("ended", wait_for_end(lifeline))
        return 0

    children = [fork(body) for _ in range(4)]
    signal.pause()
    """
    with actor(script(code)) as parent:
        born = [int(line.split()[1]) for line in lines(parent, 4)]

        began = time.monotonic()
        parent.kill()

        assert lines(parent, 4) == ["ended True"] * 4
        assert time.monotonic() - began < 2
        for pid in born:
            wait_until(lambda pid=pid: not is_running(pid), "the children to leave")


def test_s4_a_child_has_no_descriptor_but_its_own() -> None:
    code = """
    def body(lifeline):
        mine = {int(fd) for fd in os.listdir("/proc/self/fd")}
        say("extra", sorted(fd for fd in mine - {0, 1, 2, lifeline.fileno(), kept} if is_open(fd)))
        say("kept", os.eventfd_read(kept))
        return 0

    def is_open(fd):
        try:
            return os.readlink(f"/proc/self/fd/{fd}") != f"/proc/{os.getpid()}/fd"
        except OSError:
            return False

    def idle(lifeline):
        wait_for_end(lifeline)
        return 0

    older = fork(idle)
    server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
    poller = select.epoll(); poller.register(server)
    kept = os.eventfd(7)
    born = fork(body, keep=[kept])
    say("code", code_of(born))
    """
    with actor(script(code)) as parent:
        assert lines(parent, 3) == ["extra []", "kept 7", "code 0"]


def test_s4_a_childs_signals_do_not_arrive_in_its_parent() -> None:
    code = """
    def body(lifeline):
        say("wakeup", signal.set_wakeup_fd(-1))
        say("blocked", signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        ours = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)
        say("default", all(signal.getsignal(s) is signal.SIG_DFL for s in ours))
        signal.signal(signal.SIGTERM, lambda *_: say("heard"))
        os.kill(os.getpid(), signal.SIGTERM)
        say("not yet")
        spawn.let_signals_in()
        return 0

    read, write = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGTERM, lambda *_: say("in the parent"))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    born = fork(body)
    say("code", code_of(born))
    say("mask", *(s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    say("woken", bool(select.select([read], [], [], 0)[0]))
    """
    with actor(script(code)) as parent:
        assert lines(parent, 8) == [
            "wakeup -1", "blocked True", "default True", "not yet", "heard", "code 0", "mask SIGUSR1",
            "woken False",
        ]  # fmt: skip


def test_s8_a_child_is_signalled_when_its_parent_dies_and_only_then() -> None:
    code = """
    def body(lifeline):
        armed = ctypes.c_int(-1)
        ctypes.CDLL(None).prctl(2, ctypes.byref(armed), 0, 0, 0)
        signal.signal(signal.SIGTERM, lambda *_: say("told"))
        spawn.let_signals_in()
        say("armed", armed.value)
        signal.pause()
        return 0

    def idle(lifeline):
        armed = ctypes.c_int(-1)
        ctypes.CDLL(None).prctl(2, ctypes.byref(armed), 0, 0, 0)
        say("armed", armed.value)
        return 0

    code_of(fork(idle))
    child = fork(body, parent_death=signal.SIGTERM)
    signal.pause()
    """
    with actor(script(code)) as parent:
        assert lines(parent, 2) == ["armed 0", f"armed {int(signal.SIGTERM)}"]

        parent.kill()

        assert parent.line() == "told"


def test_a_child_leads_its_own_group_from_the_first_moment() -> None:
    code = """
    def body(lifeline):
        say("group", os.getpgid(0) == os.getpid())
        return 0

    born = fork(body)
    say("seen", os.getpgid(born.pid) == born.pid)
    code_of(born)
    """
    with actor(script(code)) as parent:
        assert sorted(lines(parent, 2)) == ["group True", "seen True"]


def test_s4_however_a_body_ends_its_process_ends_there() -> None:
    code = """
    def returns(lifeline):
        return 81

    def raises(lifeline):
        raise ValueError("told on stderr")

    def exits(lifeline):
        sys.exit(0)

    def interrupted(lifeline):
        raise KeyboardInterrupt

    def mute(lifeline):
        sys.stdout = None
        return 5

    def closed(lifeline):
        sys.stdout.close()
        os.close(2)
        return 6

    def hooked(lifeline):
        sys.excepthook = None
        raise ValueError

    atexit.register(lambda: say("at exit", os.getpid() == parent))
    parent = os.getpid()
    for body in (returns, raises, exits, interrupted, mute, closed, hooked):
        print("unflushed", end=" ")
        say(body.__name__, code_of(fork(body)))
    """
    with actor(script(code)) as parent:
        said = lines(parent, 7)
        assert [line.removeprefix("unflushed ") for line in said] == [
            "returns 81", "raises 70", "exits 70", "interrupted 70", "mute 5", "closed 6", "hooked 70",
        ]  # fmt: skip
        assert parent.line() == "at exit True"
        assert parent.wait() == 0
        assert "told on stderr" in parent.errors()


def test_s2_a_fork_beside_other_threads_is_refused() -> None:
    code = """
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        fork(lambda lifeline: 0)
    except RuntimeError as error:
        say(error)
    stop.set()
    thread.join()
    while kernel.thread_count() > 1:
        pass
    say("code", code_of(fork(lambda lifeline: 3)))
    """
    with actor(script(code)) as parent:
        assert parent.line().startswith("fork with 2 threads")
        assert parent.line() == "code 3"


def test_where_descriptors_are_short_no_child_is_made_and_nothing_is_kept() -> None:
    code = """
    first = os.dup(1)
    os.close(first)
    before = os.listdir("/proc/self/fd")
    for spare in range(2):
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + spare, 4096))
        try:
            fork(lambda lifeline: 0)
        except OSError as error:
            said = error.strerror
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        say(said, kernel.children_of(os.getpid()), os.listdir("/proc/self/fd") == before)
    say("code", code_of(fork(lambda lifeline: 0)))
    """
    with actor(script(code)) as parent:
        assert lines(parent, 3) == ["Too many open files [] True"] * 2 + ["code 0"]


ORDERS = """
from procqueue.process.lifeline import from_descriptor, pair

kernel.become_subreaper()
master = os.getpid()

def template(body):
    # A process between, which forks `body` for this one; what it returns is told on its lifeline.
    def run(lifeline):
        ours, theirs = pair()
        mine = os.open("/dev/null", os.O_RDONLY)
        application = os.open("/dev/zero", os.O_RDONLY)
        pid, pidfd = spawn.fork_for(
            master, lambda end: body(end, application), theirs, close=[mine, ours.fileno(), lifeline.fileno()]
        )
        lifeline.say("born", pid=pid, left=kernel.children_of(os.getpid()), fds=(pidfd, ours.fileno()))
        return 0

    made = fork(run)
    code_of(made)
    (message,) = made.lifeline.hear(most_fds=2)
    return message
"""


def test_s3_the_grandchild_is_the_masters_and_begins_when_it_is_told_to() -> None:
    code = """
    def body(lifeline, application):
        say("parent", os.getppid() == master, os.getpgid(0) == os.getpid())
        mine = sorted(name for fd in range(3, 100) if (name := name_of(fd)))
        say("open", *(name.split(":")[0] for name in mine))
        armed = ctypes.c_int(-1)
        ctypes.CDLL(None).prctl(2, ctypes.byref(armed), 0, 0, 0)
        say("armed", armed.value == signal.SIGTERM)
        return 7

    def name_of(fd):
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            return None

    born = template(body)
    say("left", born["left"])
    pidfd, end = born["fds"]
    lifeline = from_descriptor(end)
    say("waits", not select.select([pidfd], [], [], 0.1)[0])
    lifeline.say("go")
    say("code", os.waitid(os.P_PIDFD, pidfd, os.WEXITED).si_status)
    """
    with actor(script(ORDERS + textwrap.dedent(code))) as parent:
        assert lines(parent, 6) == [
            "left []", "waits True", "parent True True", "open /dev/zero socket", "armed True", "code 7",
        ]  # fmt: skip


def test_s3_a_grandchild_that_is_told_to_stop_or_hears_nothing_has_never_begun() -> None:
    code = """
    def body(lifeline, application):
        say("it has begun")
        return 7

    for words in (["stop", "go"], []):
        born = template(body)
        pidfd, end = born["fds"]
        lifeline = from_descriptor(end)
        for word in words:
            lifeline.say(word)
        lifeline.close()
        say("code", os.waitid(os.P_PIDFD, pidfd, os.WEXITED).si_status)
    """
    with actor(script(ORDERS + textwrap.dedent(code))) as parent:
        assert lines(parent, 2) == ["code 0", "code 0"]


def test_s3_where_no_second_fork_is_possible_the_reason_is_told_and_nobody_left() -> None:
    code = """
    real = os.fork
    def fork_once():
        if os.getppid() == template_pid:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()

    def run(lifeline):
        global template_pid
        template_pid = os.getpid()
        os.fork = fork_once
        ours, theirs = pair()
        try:
            spawn.fork_for(master, lambda end: 0, theirs, close=[])
        except OSError as error:
            say(error.strerror, kernel.children_of(os.getpid()))
        return 0

    code_of(fork(run))
    """
    with actor(script(ORDERS + textwrap.dedent(code))) as parent:
        assert parent.line() == "Resource temporarily unavailable []"
