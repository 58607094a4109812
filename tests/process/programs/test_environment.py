"""What a program or a consumer becomes before its code runs: user, groups, limits, directory, variables."""

import grp
import os
import pwd
import resource
from pathlib import Path

import pytest

from tests.process.programs.stage import as_root, lines, parent

SHOWN = """
shown = (
    "import os; print(*os.getresuid(), *os.getresgid(), sorted(os.getgroups()));"
    "print(*(os.environ.get(k) for k in ('HOME', 'USER', 'LOGNAME', 'SHELL')))"
)
os.environ.update(HOME="/home/ours", USER="ours", LOGNAME="ours", SHELL="/ours")
"""


def with_shown(code: str) -> str:
    return SHOWN + code


@as_root
def test_trap_39_a_program_runs_as_its_user_with_its_groups_and_its_home() -> None:
    nobody = pwd.getpwnam("nobody")
    uid, gid = nobody.pw_uid, nobody.pw_gid
    daemon = grp.getgrnam("daemon").gr_gid
    groups = sorted(os.getgrouplist("nobody", gid))
    code = with_shown("""
run(PYTHON, "-c", shown, user="nobody")
run(PYTHON, "-c", shown, user=NUMBER, group="daemon", login_env=False)
run(PYTHON, "-c", shown, user="nobody", env={"HOME": "/given"})
""")
    code = code.replace("PYTHON", '"/usr/bin/python3"').replace("NUMBER", repr(str(uid)))
    with parent(code) as one:
        login = f"{nobody.pw_dir} nobody nobody {nobody.pw_shell}"
        assert lines(one, 3) == [f"{uid} {uid} {uid} {gid} {gid} {gid} {groups}", login, "code 0"]
        groups = sorted(os.getgrouplist("nobody", daemon))
        said = lines(one, 3)
        assert said[0] == f"{uid} {uid} {uid} {daemon} {daemon} {daemon} {groups}"
        assert said[1:] == ["/home/ours ours ours /ours", "code 0"]
        assert lines(one, 3)[1] == login.replace(nobody.pw_dir, "/given")


@as_root
def test_a_user_of_whom_only_the_number_is_known_needs_a_group() -> None:
    code = with_shown("""
run("/usr/bin/python3", "-c", shown, user="424242", group="434343")
run("true", user="424242")
""")
    with parent(code) as one:
        assert lines(one, 3) == [
            f"{'424242 ' * 3}{'434343 ' * 3}[434343]",
            "/ 424242 424242 /bin/sh",
            "code 0",
        ]
        assert one.line() == (
            "cannot start: [processes.clock] user 424242: it has no entry in the user database, "
            "so say its group too (queues.toml:41)"
        )


@as_root
def test_only_root_may_change_the_user_and_everybody_may_stay_who_he_is() -> None:
    code = with_shown("""
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for user, group in (("root", ""), ("nobody", ""), ("", "daemon"), ("missing", ""), ("", "missing")):
    run("true", user=user, group=group)
""")
    with parent(code) as one:
        said = [line.removeprefix("cannot start: [processes.clock] ") for line in lines(one, 5)]
        assert said == [
            "user root: not permitted to a master that runs as uid 65534 (queues.toml:41)",
            "code 0",
            "group daemon: not permitted to a master that runs as uid 65534 (queues.toml:41)",
            "user missing: no such user (queues.toml:41)",
            "group missing: no such group (queues.toml:41)",
        ]


@as_root
def test_trap_39_what_only_the_user_may_enter_is_entered_as_the_user(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    secret = tmp_path / "secret.env"
    secret.write_text("SECRET=1\n")
    secret.chmod(0o600)
    code = f"""
    os.chmod("{tmp_path}", 0o755)
    for folder in Path("{tmp_path}").parents:
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o111)
    run("sh", "-c", "echo $SECRET", user="nobody", env_file="{secret}")
    run("true", user="nobody", cwd="{own}")
    os.chown("{own}", 65534, 65534)
    run("pwd", user="nobody", cwd="{own}")
    """
    with parent(code) as one:
        assert lines(one, 2) == ["1", "code 0"]
        assert one.line().endswith(f"cwd {own}: not permitted to uid 65534 (queues.toml:41)")
        assert lines(one, 2) == [str(own), "code 0"]


@as_root
def test_a_program_that_its_user_may_not_run_says_who_that_is(tmp_path: Path) -> None:
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    with parent(f'run("{program}", user="nobody")') as one:
        assert one.line().split(": ", 1)[1].startswith("[processes.clock] command")


def test_directory_umask_and_niceness_are_what_was_ordered(tmp_path: Path) -> None:
    mine = os.getpriority(os.PRIO_PROCESS, 0) + 3
    code = f"""
    os.umask(0o022)
    shown = "import os; print(os.getcwd(), os.environ['PWD'], oct(os.umask(0)), os.getpriority(0, 0))"
    python(shown, cwd="{tmp_path}", umask=0o077, nice={mine})
    python("import os; print(oct(os.umask(0)), os.getpriority(0, 0))")
    run("true", cwd="{tmp_path}/missing")
    """
    with parent(code) as one:
        assert lines(one, 2) == [f"{tmp_path} {tmp_path} 0o77 {mine}", "code 0"]
        assert lines(one, 2) == [f"0o22 {mine - 3}", "code 0"]
        assert one.line() == (
            f"cannot start: [processes.clock] cwd {tmp_path}/missing: no such directory (queues.toml:41)"
        )


@as_root
def test_what_needs_root_is_done_before_the_user_changes() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    raised = hard if hard == resource.RLIM_INFINITY else hard + 4096
    code = f"""
    shown = "import os, resource as r; print(os.getpriority(0, 0), r.getrlimit(r.RLIMIT_CORE), os.getuid())"
    before = os.getpriority(os.PRIO_PROCESS, 0)
    limits = [Limit("core", {raised}, {raised})]
    run("/usr/bin/python3", "-c", shown, user="nobody", nice=before - 1, limits=limits)
    say(before - 1)
    """
    with parent(code) as one:
        said, code_line, nice = lines(one, 3)
        assert (said, code_line) == (f"{nice} ({raised}, {raised}) 65534", "code 0")


@as_root
def test_a_limit_or_niceness_that_cannot_be_had_is_named() -> None:
    code = """
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    run("sh", "-c", "ulimit -n", limits=[Limit("nofile", 128, 512)])
    run("true", limits=[Limit("nofile", 1024, 1024)])
    run("true", limits=[Limit("nofile", -1, -1)])
    run("true", nice=-5)
    """
    with parent(code) as one:
        assert lines(one, 2) == ["128", "code 0"]
        said = [line.removeprefix("cannot start: [processes.clock] ") for line in lines(one, 3)]
        assert said == [
            "limits nofile = [1024, 1024]: not permitted: at most 512 here (queues.toml:41)",
            "limits nofile = [unlimited, unlimited]: not permitted: at most 512 here (queues.toml:41)",
            "nice -5: not permitted to a master that runs as uid 65534 (queues.toml:41)",
        ]


@as_root
def test_trap_34_a_user_who_may_have_no_more_processes_fails_for_now_only() -> None:
    code = """
    os.setgroups([]); os.setgid(424243); os.setuid(424243)
    started = start(order("sleep", "0", limits=[Limit("nproc", 0, 0)]))
    failure = begun(started)
    code = code_of(started)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    try:
        start(order("true"))
    except OSError as error:
        say(error.strerror, kernel.children_of(os.getpid()), failure, code)
    """
    with parent(code) as one:
        assert one.line().startswith("Resource temporarily unavailable []")


def test_the_later_variable_wins(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=file\nB=file\nC='x y'\n")
    code = f"""
    os.environ.update(A="ours", B="ours", D="ours", PROCQUEUE_NAME="outer")
    shown = "import os; print(*(os.environ[k] for k in ('A', 'B', 'C', 'D', 'PROCQUEUE_NAME')))"
    python(shown, env_file="{tmp_path}/env", env={{"A": "env", "PROCQUEUE_NAME": "mine"}})
    """
    with parent(code) as one:
        assert lines(one, 2) == ["env file x y ours clock", "code 0"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "env_file {path}: no such file"),
        ("A=1\nnonsense\n", "env_file {path}:2: line 2: not KEY=VALUE"),
        ("", "env_file {path}: is a directory"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "env"
    if text:
        path.write_text(text)
    elif text is not None:
        path.mkdir()
    with parent(f'run("true", env_file="{path}")') as one:
        told = said.format(path=path)
        assert one.line() == f"cannot start: [processes.clock] {told} (queues.toml:41)"


@as_root
def test_a_forked_child_becomes_the_same_without_an_exec(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM_FILE=1\n")
    code = f"""
    from procqueue.process import spawn
    from procqueue.process.programs.environment import CannotBecome, apply

    os.environ.update(NOTIFY_SOCKET="/run/x", GONE="x")
    def body(lifeline):
        apply(Environment(user="nobody", env_file="{tmp_path}/env", env=(("A", "b"),), cwd="/", umask=0o027,
                          limits=(Limit("core", 0, 0),)))
        seen = Path("/proc/self/status").read_text().split("Umask:")[1].split()[0]
        say(os.getuid(), os.getcwd(), seen, resource.getrlimit(resource.RLIMIT_CORE))
        say(*(os.environ.get(k) for k in ("FROM_FILE", "A", "USER", "NOTIFY_SOCKET")), os.getenv("HOME"))
        try:
            apply(Environment(cwd="/nonexistent"))
        except CannotBecome as error:
            say(error.failure.sentence("queues.emails"))
        return 0

    born = spawn.fork_child(body, parent_death=None)
    say(os.waitstatus_to_exitcode(os.waitpid(born.pid, 0)[1]))
    """
    with parent(code) as one:
        assert lines(one, 4) == [
            "65534 / 0027 (0, 0)",
            f"1 b nobody None {pwd.getpwnam('nobody').pw_dir}",
            "cannot start: [queues.emails] cwd /nonexistent: no such directory",
            "0",
        ]
