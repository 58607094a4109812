"""The hosts of `procqueue work`: each has its own state directory, work/PID below that of the master.

One that ends removes it. What a killed one left behind is taken over by the next `start` or `work`: its
boards move to the new master, which finds them as it finds those of its own predecessor (law S8).
"""

from __future__ import annotations

import os
import shutil

from procqueue.process import kernel, lock
from procqueue.process.statedir import StateDir, survivors


def folder_of_work(state_dir: str) -> str:
    """Return the state directory for a `work` that is this process."""
    return f"{state_dir}/work/{os.getpid()}"


def remove(folder: str) -> None:
    """Remove the directory of a `work` that has ended, unless somebody has yet to reclaim what it says."""
    try:
        if not os.listdir(f"{folder}/boards"):
            shutil.rmtree(folder)
    except FileNotFoundError:
        pass


def take_over(state_dir: str, heir: StateDir) -> None:
    """Move the boards of dead works below `state_dir` to `heir`, whose master will reclaim what they say."""
    try:
        names = os.listdir(f"{state_dir}/work")
    except FileNotFoundError:
        return
    for name in names:
        folder = f"{state_dir}/work/{name}"
        if not (name.isdigit() and kernel.is_alive(int(name))):
            try:
                _take_over(folder, heir)
            except (lock.Occupied, OSError):
                pass  # it lives, or another one takes it over, or it is not ours: all is well


def _take_over(folder: str, heir: StateDir) -> None:
    fd = lock.take(f"{folder}/master.lock")
    dead = StateDir(folder, "", fd)
    try:
        found = survivors(dead)
        if any([kernel.runs(one.pidfd) for one in found if one.pidfd is not None]):
            return  # its scheduler lives too, and sees them off as their undertaker
        if len(os.listdir(dead.boards)) > len(found):
            return  # the scheduler is about to leave, and reads them still
        for board in os.listdir(dead.boards):
            os.rename(f"{dead.boards}/{board}", f"{heir.boards}/{board}")
        shutil.rmtree(folder)
    finally:
        os.close(fd)
