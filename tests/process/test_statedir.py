"""The state directory: who this host is towards each store."""

from __future__ import annotations

import shutil
from pathlib import Path

from procqueue.process.statedir import leave_state_dir, open_state_dir, renew_host


def test_a_host_is_somebody_of_its_own_at_each_store_and_stays_that_for_the_next_master(
    tmp_path: Path,
) -> None:
    state = open_state_dir(str(tmp_path / "run"))
    known = [state.host_at(driver) for driver in ("", "other", "more")]
    renew_host(state, "more")
    leave_state_dir(state)

    state = open_state_dir(str(tmp_path / "run"))
    found = [state.host_at(driver) for driver in ("", "other", "more")]
    leave_state_dir(state)

    assert len(set(known)) == 3
    assert found[:2] == known[:2] and found[2] not in known


def test_a_copy_of_the_directory_is_another_host_at_each_store(tmp_path: Path) -> None:
    state = open_state_dir(str(tmp_path / "run"))
    known = [state.host_at(driver) for driver in ("", "other")]
    leave_state_dir(state)

    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    state = open_state_dir(str(tmp_path / "copy"))
    found = [state.host_at(driver) for driver in ("", "other")]
    leave_state_dir(state)

    assert not set(found) & set(known)
