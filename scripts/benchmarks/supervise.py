"""The same programs under procqueue, supervisord and circus: how quick, how heavy, what is left behind.

Each supervisor runs `sleep 86400` so many times. Measured from outside: from the launch until all run, from
kill -9 of one until its replacement runs, the status command, a restart of all (until they run; and until
they have stayed up for a second, as supervisorctl waits), a stop of all, memory (PSS) and wake-ups of the
supervisor's processes while nothing happens, and who is left when it is killed. The peers come from PyPI into
an environment of their own; `--peers DIR` says where one is already.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SLEEP = "86400"

SUPERVISORD = """\
[unix_http_server]
file={folder}/sock
[supervisord]
logfile={folder}/log
pidfile={folder}/pid
childlogdir={folder}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/sock
"""
SUPERVISORD_PROGRAM = "[program:p{number}]\ncommand={sleep}\n"
CIRCUS = """\
[circus]
endpoint = ipc://{folder}/endpoint
pubsub_endpoint = ipc://{folder}/pubsub
stats_endpoint = ipc://{folder}/stats
statsd = False
"""
CIRCUS_PROGRAM = "[watcher:p{number}]\ncmd = {sleep}\n"
PROCQUEUE = ""
PROCQUEUE_PROGRAM = '[processes.p{number}]\ncommand = "{sleep}"\n'


class Supervisor:
    """One kind of supervisor with its programs, in a folder of its own."""

    def __init__(self, name: str, start: list[str], control: list[str], verbs: dict[str, list[str]]) -> None:
        self.name = name
        self.number = 0  # of programs
        self._start = start
        self._control = control
        self._verbs = verbs
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Return the seconds until all programs run."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            self._start, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait(lambda: len(self.programs()) == self.number)
        seconds = time.monotonic() - began
        wait(lambda: self._run("status").returncode == 0)
        return seconds

    def ask(self, verb: str) -> float:
        """Return how long a verb of the control command takes."""
        began = time.monotonic()
        self._run(verb)
        return time.monotonic() - began

    def replace(self) -> float:
        """Return the seconds from kill -9 of one program to its replacement."""
        before = self.programs()
        began = time.monotonic()
        os.kill(before[0], signal.SIGKILL)
        wait(lambda: len(now := self.programs()) == self.number and before[0] not in now)
        return time.monotonic() - began

    def restart(self, verb: str) -> float:
        """Return the seconds until the verb has returned and all are new ones."""
        before = set(self.programs())
        began = time.monotonic()
        self._run(verb)
        wait(lambda: len(now := self.programs()) == self.number and not before & set(now))
        return time.monotonic() - began

    def stop(self) -> float:
        """Return the seconds until all is gone."""
        began = time.monotonic()
        self._run("stop")
        assert self.process is not None
        wait(lambda: not self.programs())
        seconds = time.monotonic() - began
        self.process.terminate()
        self.process.wait(30)
        return seconds

    def kill(self) -> int:
        """Return how many programs are left 3 s after kill -9 of the supervisor; then end those too."""
        assert self.process is not None
        ours = [pid for pid in self.own() if pid != self.process.pid]
        programs = self.programs()
        self.process.kill()
        self.process.wait()
        time.sleep(3)
        left = [pid for pid in programs if alive(pid)]
        for pid in [*left, *(pid for pid in ours if alive(pid))]:
            os.kill(pid, signal.SIGKILL)
        return len(left)

    def programs(self) -> list[int]:
        """Return the pids of the programs."""
        assert self.process is not None
        return [pid for pid in below(self.process.pid) if command_of(pid).endswith(f"sleep\0{SLEEP}\0")]

    def own(self) -> list[int]:
        """Return the pids of the supervisor's own processes."""
        assert self.process is not None
        return [self.process.pid, *(p for p in below(self.process.pid) if p not in self.programs())]

    def _run(self, verb: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self._control, *self._verbs[verb]], capture_output=True, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-n", type=int, default=5, help="times each is measured")
    parser.add_argument("--idle", type=float, default=30, help="seconds for which they are watched at rest")
    parser.add_argument("--programs", type=int, default=10)
    parser.add_argument("--peers", type=Path, help="an environment with supervisor and circus")
    asked = parser.parse_args()
    rows: dict[str, dict[str, str]] = {}
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # pip has compiled the peers; we are not to be compiled each time
    with tempfile.TemporaryDirectory() as folder:
        peers = asked.peers or make_peers(Path(folder) / "peers")
        for made in (procqueue, supervisord, circus):
            place = Path(folder) / made.__name__
            place.mkdir()
            supervisor = made(place, peers, asked.programs)
            supervisor.number = asked.programs
            rows[supervisor.name] = measure(supervisor, asked.n, asked.idle)
    names = list(rows)
    print(f"{asked.programs} programs, medians of {asked.n}; `restart` and `stop` are of all")
    print("  " + " " * 34 + "".join(f"{name:>13}" for name in names))
    for what in rows[names[0]]:
        print(f"  {what:34}" + "".join(f"{rows[name][what]:>13}" for name in names))


def measure(supervisor: Supervisor, times: int, idle: float) -> dict[str, str]:
    """Return what was found, in words."""
    starts, stops, restarts, waited, replaced, asked = [], [], [], [], [], []
    for _ in range(times):
        starts.append(supervisor.start())
        time.sleep(1.2)  # who dies within the first second is taken to have died of its start
        replaced.append(supervisor.replace())
        asked += [supervisor.ask("status") for _ in range(3)]
        time.sleep(1.2)
        restarts.append(supervisor.restart("restart"))
        time.sleep(1.2)
        waited.append(supervisor.restart("restart and wait"))
        time.sleep(1.2)
        stops.append(supervisor.stop())
    supervisor.start()
    time.sleep(3)
    memory = [pss_of(pid) for pid in supervisor.own()]
    before, began = wakeups(supervisor.own()), time.monotonic()
    cpu = cpu_of(supervisor.own())
    time.sleep(idle)
    seconds = time.monotonic() - began
    wakes = (wakeups(supervisor.own()) - before) / seconds
    cpu = (cpu_of(supervisor.own()) - cpu) / seconds
    left = supervisor.kill()
    return {
        "start of all, ms": ms(starts),
        "kill -9 to its replacement, ms": ms(replaced),
        "status, ms": ms(asked),
        "restart, ms": ms(restarts),
        "restart until up for a second, ms": ms(waited),
        "stop, ms": ms(stops),
        "PSS of the parent, MiB": f"{memory[0]:.1f}",
        "PSS of all its own, MiB": f"{sum(memory):.1f}",
        "wake-ups at rest, per s": f"{wakes:.2f}",
        "CPU at rest, %": f"{100 * cpu:.2f}",
        "left 3 s after kill -9 of it": str(left),
    }


def procqueue(place: Path, _peers: Path, number: int) -> Supervisor:
    config = place / "procqueue.toml"
    config.write_text(written(PROCQUEUE, PROCQUEUE_PROGRAM, place, number))
    command = [str(Path(sys.executable).parent / "procqueue")]
    verbs = {
        "status": ["status"], "restart": ["restart"], "restart and wait": ["restart", "--wait"],
        "stop": ["stop"],
    }  # fmt: skip
    here = ["-c", str(config)]
    verbs = {name: [*words, *here] for name, words in verbs.items()}
    return Supervisor("procqueue", [*command, "start", *here], command, verbs)


def supervisord(place: Path, peers: Path, number: int) -> Supervisor:
    config = place / "supervisord.conf"
    config.write_text(written(SUPERVISORD, SUPERVISORD_PROGRAM, place, number))
    control = [str(peers / "bin/supervisorctl"), "-c", str(config)]
    restart = ["restart", "all"]  # waits always
    verbs = {"status": ["status"], "restart": restart, "restart and wait": restart, "stop": ["stop", "all"]}
    return Supervisor(
        "supervisord", [str(peers / "bin/supervisord"), "-n", "-c", str(config)], control, verbs
    )


def circus(place: Path, peers: Path, number: int) -> Supervisor:
    config = place / "circus.ini"
    config.write_text(written(CIRCUS, CIRCUS_PROGRAM, place, number))
    control = [str(peers / "bin/circusctl"), "--endpoint", f"ipc://{place}/endpoint"]
    restart = ["restart", "--waiting"]
    verbs = {
        "status": ["status"], "restart": restart, "restart and wait": restart, "stop": ["stop", "--waiting"],
    }  # fmt: skip
    return Supervisor("circus", [str(peers / "bin/circusd"), str(config)], control, verbs)


def written(head: str, program: str, place: Path, number: int) -> str:
    """Return a configuration with so many programs."""
    programs = [program.format(number=at, sleep=f"sleep {SLEEP}") for at in range(number)]
    return head.format(folder=place) + "".join(programs)


def make_peers(folder: Path) -> Path:
    """Make an environment with the two others."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/pip"), "install", "--quiet", "supervisor", "circus"]
    subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    return folder


def wait(holds: Callable[[], bool]) -> None:
    """Ask until it holds, a thousand times a second."""
    give_up = time.monotonic() + 60
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError("it did not come to be within 60 s")
        time.sleep(0.001)


def below(pid: int) -> list[int]:
    """Return all that descend from a process."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *below(child)]
    except OSError:
        pass  # it has ended meanwhile
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return command_of(pid) != ""


def pss_of(pid: int) -> float:
    """Return MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def wakeups(pids: list[int]) -> int:
    """Return how often the processes were put to sleep so far: each time something had woken them."""
    number = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    number += int(line.split()[1])
    return number


def cpu_of(pids: list[int]) -> float:
    """Return seconds of CPU used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def ms(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.0f}"


if __name__ == "__main__":
    main()
