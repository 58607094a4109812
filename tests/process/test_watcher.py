"""Why the watcher polls: limits of the kernel, and file systems that tell nothing."""

import resource
from pathlib import Path

import pytest
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from procqueue.process.watcher import kinds_of_mounts, why_of


def test_a_limit_of_the_kernel_is_told_with_what_to_raise(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(WatchfilesRustInternalError) as caught:
            RustNotify([str(tmp_path)], False, False, 0, False, True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert "fs.inotify.max_user_instances" in why_of(str(caught.value))


def test_the_limit_of_watches_is_another() -> None:
    assert "fs.inotify.max_user_watches" in why_of('OS file watch limit reached. about ["/x"]')
    assert "fs.inotify.max_user_watches" in why_of("No space left on device (os error 28)")


def test_mounts_are_read_with_their_kinds_and_the_last_lies_on_top() -> None:
    text = (
        "24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
        "31 24 0:27 / /mnt/my\\040code rw - 9p C: rw\n"
        "32 24 0:28 / /mnt/my\\040code rw master:2 shared:3 - fuse.grpcfuse grpcfuse rw\n"
    )

    assert kinds_of_mounts(text) == {"/": "ext4", "/mnt/my code": "fuse.grpcfuse"}
