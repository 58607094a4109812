"""Where a database may lie: on a disk of this host. Network disks do not give what its log needs.

The log's index is shared memory, and locks must mean the same to all. They are told by the magic number of
the file system (statfs), and FUSE, which may be anything, by its kind. On Linux; elsewhere all is taken.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

from procqueue.core.errors import DriverError

FUSE = 0x65735546

#: f_type of statfs(2), include/uapi/linux/magic.h and the file systems' own sources.
NETWORK = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x517B: "SMB",
    0x01021997: "9p",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
}

#: Kinds of FUSE that stand for another host, as mountinfo names them.
NETWORK_FUSE = {
    "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.glusterfs", "fuse.davfs", "fuse.davfs2",
    "fuse.curlftpfs", "fuse.ceph-fuse", "fuse.juicefs", "fuse.goofys", "fuse.mount-s3", "fuse.seaweedfs",
    "fuse.moosefs", "fuse.mfs", "fuse.dfs", "fuse.smbnetfs", "fuse.gvfsd-fuse",
}  # fmt: skip


def refuse_network_disk(folder: str) -> None:
    """Raise DriverError if `folder`, or the nearest directory above it that exists, is on a network disk."""
    there = Path(folder)
    while not there.exists() and there != there.parent:
        there = there.parent
    magic = magic_of(str(there))
    if name := network_name(magic, kind_of(str(there)) if magic == FUSE else ""):
        raise DriverError(
            f"{folder!r} is on a network file system ({name}), where SQLite loses data: "
            "name a file on a disk of this host in [driver] url, or use Redis"
        )


def network_name(magic: int | None, kind: str = "") -> str:
    """Return what people call a file system that is refused, "" for one that is taken.

    `magic`: f_type of statfs, None if it is not known. `kind`: what mountinfo says, of FUSE only.
    """
    if magic is None:
        return ""
    if magic == FUSE:
        return kind if kind in NETWORK_FUSE else ""
    return NETWORK.get(magic & 0xFFFFFFFF, "")


def magic_of(path: str) -> int | None:
    """Return f_type of the file system of `path`, None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    room = ctypes.create_string_buffer(512)  # struct statfs has 120 bytes, and f_type is its first word
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), room) != 0:
        return None
    return ctypes.c_ulong.from_buffer(room).value


def kind_of(path: str) -> str:
    """Return the type of the file system of `path` as mountinfo names it ("fuse.sshfs"), "" if not found."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index("-") + 1]
    return ""
