"""Sets disks read-only in the kernel, for all programs: on the live image nobody may write to them, not even we.

The exception is a stick that the operator names, for as long as one file is written to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from p2v_tui.hwprobe.machine import Disk

# BLKROSET and BLKROGET of linux/fs.h, _IO(0x12, 93) and _IO(0x12, 94).
_SET_READ_ONLY: Final = 0x125D
_GET_READ_ONLY: Final = 0x125E
_YES: Final = struct.pack("i", 1)
_NO: Final = struct.pack("i", 0)


def set_read_only(disks: Iterable[Disk], dev: Path = Path("/dev")) -> tuple[str, ...]:
    """Makes the kernel refuse writes to these disks and their partitions, until that is undone or it restarts.

    Skips disk images. dev: where the device nodes are. Returns what could not be set, a sentence for each.
    """
    failed = []
    for node in (node for disk in disks for node in _nodes(disk, dev)):
        try:
            _ask(node, _SET_READ_ONLY, _YES)
        except OSError as error:
            failed.append(f"{node} cannot be set read-only: {error.strerror}.")
    return tuple(failed)


@contextlib.contextmanager
def writable(nodes: Iterable[Path]) -> Iterator[None]:
    """The kernel accepts writes to these block devices inside, and does afterwards what it did before.

    Raises OSError where a node cannot be opened or set.
    """
    with contextlib.ExitStack() as undone:
        for node in nodes:
            if _ask(node, _GET_READ_ONLY, _NO) != _NO:
                _ask(node, _SET_READ_ONLY, _NO)
                undone.callback(_ask, node, _SET_READ_ONLY, _YES)
        yield


def _ask(node: Path, request: int, value: bytes) -> bytes:
    descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(descriptor, request, value)
    finally:
        os.close(descriptor)


def _nodes(disk: Disk, dev: Path) -> Iterator[Path]:
    """The disk's node and those of its partitions: the kernel has a flag for each."""
    if not disk.device.is_block_device():
        return
    yield disk.device
    for partition in disk.partitions:
        # The second is for mapped ones; without a node nobody can write to it.
        places = (dev / partition.name, dev / "mapper" / partition.name)
        yield from [place for place in places if place.is_block_device()][:1]
