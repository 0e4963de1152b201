"""Proves that a disk is unchanged: two marks of it are equal only if nobody has written in between. For a disk image:
its inode, its size and the times of its last changes, which every write sets. For a device: the boot id, which
appearance of the device it is, and the kernel's count of writes to it. Writes by another machine (to a disk on a SAN)
show in neither.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from p2v_tui.hwprobe.machine import Disk
from p2v_tui.hwprobe.places import Places, read_text

# Fields of /sys/block/X/stat (the kernel's Documentation/block/stat.rst): writes and sectors written, discards and
# sectors discarded, which kernels before 4.18 do not count. Sectors read show that the device counts at all.
_READ = 2
_WRITTEN = (4, 6, 11, 13)


def boot_id(places: Places) -> str:
    """The id of this boot; empty if unknown."""
    return read_text(places.proc / "sys/kernel/random/boot_id") or ""


def mark_of(disk: Disk, places: Places | None = None) -> str:
    """The mark; empty if nothing can prove that the disk is unchanged. Two empty ones prove nothing."""
    try:
        status = disk.device.stat()
    except OSError:
        return ""
    if stat.S_ISREG(status.st_mode):
        return f"file {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    places = places or Places()
    boot = boot_id(places)
    counts = list(_counts(disk, places))
    return f"device {boot} {' '.join(counts)}" if boot and counts and all(counts) else ""


def _counts(disk: Disk, places: Places) -> Iterator[str]:
    """For the disk and each device under it: its appearance and its writes. Empty where they are not counted."""
    kernel_name = os.path.realpath(disk.device).removeprefix("/dev/")
    for name in (kernel_name, *disk.members):
        entry = places.sys / "block" / name.replace("/", "!")
        fields = (read_text(entry / "stat") or "").split()
        uncounted = read_text(entry / "queue/iostats") == "0" or len(fields) <= max(_WRITTEN[:2])
        # A kernel that counts has read at least the partition table. Not on every path of a multipath device.
        if uncounted or (name == kernel_name and fields[_READ] == "0"):
            yield ""
            return
        try:
            # diskseq is new in Linux 5.15; a device that reappears has a new entry in sysfs, too.
            appearance = read_text(entry / "diskseq") or f"inode {entry.stat().st_ino}"
        except OSError:
            appearance = ""
        yield " ".join([name, appearance, *(fields[field] for field in _WRITTEN if field < len(fields))])
