"""Sets disks read-only in the kernel, for all programs: on the live image nobody may write to them, not even we."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from p2v_tui.hwprobe.machine import Disk

# BLKROSET of linux/fs.h, _IO(0x12, 93).
_SET_READ_ONLY: Final = 0x125D
_YES: Final = struct.pack("i", 1)


def set_read_only(disks: Iterable[Disk], dev: Path = Path("/dev")) -> tuple[str, ...]:
    """Makes the kernel refuse writes to these disks and their partitions, until that is undone or it restarts.

    Skips disk images. dev: where the device nodes are. Returns what could not be set, a sentence for each.
    """
    failed = []
    for node in (node for disk in disks for node in _nodes(disk, dev)):
        try:
            descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(descriptor, _SET_READ_ONLY, _YES)
            finally:
                os.close(descriptor)
        except OSError as error:
            failed.append(f"{node} cannot be set read-only: {error.strerror}.")
    return tuple(failed)


def _nodes(disk: Disk, dev: Path) -> Iterator[Path]:
    """The disk's node and those of its partitions: the kernel has a flag for each."""
    if not disk.device.is_block_device():
        return
    yield disk.device
    for partition in disk.partitions:
        # The second is for mapped ones; without a node nobody can write to it.
        places = (dev / partition.name, dev / "mapper" / partition.name)
        yield from [place for place in places if place.is_block_device()][:1]
