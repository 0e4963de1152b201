"""Checks that a disk that is served is still there, still the same one, and of the same size.

The NBD servers do not notice. qemu-nbd reads zeroes past the end of a disk that has shrunk or was removed, and both
open whatever has the disk's name when they are restarted.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2v_tui.errors import ConversionFailed
from p2v_tui.hwprobe.blockdev import SYSFS_UNIT
from p2v_tui.session.words.quantities import size_text

SYSFS: Final = Path("/sys/dev/block")


@dataclass(frozen=True)
class DiskIdentity:
    """number: of the device, or of the file's inode with its file system's. size: bytes.

    sequence: the kernel's count of disks (sysfs, diskseq), which tells a disk that came back under its old name from
    the old one; 0 before Linux 5.15 and for files.
    """

    number: tuple[int, int]
    size: int
    sequence: int = 0


def identify(device: Path) -> DiskIdentity:
    """Raises OSError when the disk does not exist."""
    found = device.stat()
    if not stat.S_ISBLK(found.st_mode):
        return DiskIdentity((found.st_dev, found.st_ino), found.st_size)
    number = (os.major(found.st_rdev), os.minor(found.st_rdev))
    # A node may outlive its device.
    entry = SYSFS / f"{number[0]}:{number[1]}"
    sectors = int((entry / "size").read_text())
    try:
        sequence = int((entry / "diskseq").read_text())
    except FileNotFoundError:
        sequence = 0
    return DiskIdentity(number, sectors * SYSFS_UNIT, sequence)


class DiskSource:
    """A disk as it is when this is made. name: for the operator. Any thread may check it."""

    def __init__(self, name: str, device: Path) -> None:
        self._name = name
        self._device = device
        self._identity: DiskIdentity | None = None
        # The NBD server has the better message about a disk that was never there.
        with contextlib.suppress(OSError, ValueError):
            self._identity = identify(device)

    def check(self) -> None:
        """Raises ConversionFailed once the disk was removed, exchanged or resized."""
        if self._identity is None:
            return
        try:
            now = identify(self._device)
        except (OSError, ValueError) as error:
            # The directory of a removed disk vanishes, perhaps while it is read.
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no size"
            raise ConversionFailed(
                f"The disk {self._name} is gone: {self._device}: {reason}.",
                "Look into the kernel's log (dmesg) for its controller, cable or path. When the disk is back, "
                f"convert again: {_WHY}",
            ) from error
        before = self._identity
        if (now.number, now.sequence) != (before.number, before.sequence):
            raise ConversionFailed(
                f"The disk {self._name} was detached or exchanged while it was converted: {self._device} is another "
                "one now.",
                f"Look with `lsblk` under which name it is now, and convert again: {_WHY}",
            )
        if now.size != before.size:
            verb = "shrank" if now.size < before.size else "grew"
            raise ConversionFailed(
                f"The disk {self._name} {verb} while it was converted, from {size_text(before.size)} "
                f"({before.size} bytes) to {now.size} bytes.",
                f"Find out what changes it, stop that, and convert again: {_WHY}",
            )


_WHY: Final = "what was copied so far is useless."
