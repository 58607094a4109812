"""What is read of the machine: CPU and memory of process trees, its shape, and how fast it is just now."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil
import redis

from tests.servers import server_binary, start_server

#: The yardstick: one script a message, which gives back what was taken and takes the next.
SCRIPT = """
if ARGV[1] ~= '' then redis.call('LREM', KEYS[2], 1, ARGV[1]) end
return redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
"""
LOOPS = 3000


def cpu(processes: list[psutil.Process]) -> float:
    """Return the CPU seconds that they, and those of their children that have ended, have used."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def pss(processes: list[psutil.Process]) -> float:
    """Return their memory in MiB; a page that several processes share counts for each by its part."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def yardstick() -> float:
    """Return messages/s of a bare loop: redis-py, one round trip a message, JSON decoded, nothing else."""
    with tempfile.TemporaryDirectory(prefix="pq-") as folder:
        server = start_server(Path(folder))
        client = redis.Redis.from_url(server.url)
        body = json.dumps({"args": ["n" * 100]})
        client.rpush("waiting", *[body] * LOOPS)
        take = client.register_script(SCRIPT)
        taken = b""
        began = time.perf_counter()
        for _ in range(LOOPS):
            taken = take(["waiting", "taken"], [taken])
            json.loads(taken)
        seconds = time.perf_counter() - began
        client.close()
        server.kill()
    return LOOPS / seconds


def shape(yardsticks: list[float]) -> list[str]:
    """Return lines that say what the figures were measured on."""
    cores = os.sched_getaffinity(0)
    memory = psutil.virtual_memory().total / 2**30
    says = subprocess.run([server_binary("redis"), "--version"], capture_output=True, text=True, check=True)
    server = " ".join(word for word in says.stdout.split()[:3] if word != "server")
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    build = "with" if "--enable-optimizations" in options or "-lto" in options else "without"
    slow, middle, fast = min(yardsticks), statistics.median(yardsticks), max(yardsticks)
    unquiet = "; **the machine was not quiet**" if fast > slow * 1.3 else ""
    kernel = platform.release().partition("-")[0]
    return [
        f"{len(cores)} cores of {_processor()}, {memory:.0f} GiB, Linux {kernel}",
        f"CPython {platform.python_version()} for all, built {build} PGO or LTO; {server} on loopback TCP",
        f"yardstick (a bare loop of redis-py, one round trip a message): median {middle:,.0f}/s, "
        f"{slow:,.0f} to {fast:,.0f} over the run{unquiet}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
