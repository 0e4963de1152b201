"""Sets disks read-only in the kernel, below every program: on the live image nobody may write to them, nor may we."""

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
    """Has the kernel refuse writes to these disks and their partitions, until it is told otherwise or restarted.

    A disk image stays as it is. dev: where the device nodes are. Returns what could not be set, a sentence for each.
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
    """The disk's node and those of its partitions: the kernel holds each to its own flag."""
    if not disk.device.is_block_device():
        return
    yield disk.device
    for partition in disk.partitions:
        # The second is where mapped ones are; one without a node is out of everybody's reach.
        places = (dev / partition.name, dev / "mapper" / partition.name)
        yield from [place for place in places if place.is_block_device()][:1]
