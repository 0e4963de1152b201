"""The first sector of a disk: whether it has code that a BIOS would start, and the disk signature.

It reads 512 bytes, from a descriptor that cannot write. It cannot tell whether the code finds a system: many tools
that partition a data disk leave code there that only prints "Missing operating system".
"""

from __future__ import annotations

import contextlib
import enum
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from p2v_tui.hwprobe.answers import Answer

_SIZE = 512
# The parts of an MBR: 440 bytes of code, the signature, two reserved bytes, the table of four entries, the mark.
_CODE = slice(0, 440)
_SIGNATURE = slice(440, 444)
_TABLE = slice(446, 510)
_ENTRY = 16
_MARK = b"\x55\xaa"
_ACTIVE = 0x80
# GRUB, of either generation, and LILO ignore the active flag.
_LOADERS = (b"GRUB", b"LILO")

# A failing disk can hold a read for minutes. After this time it is not waited for.
_SECONDS = 5.0
_READERS = 8


class BootCode(enum.Enum):
    """LOADER: a boot loader, which knows what to start. GENERIC: other code, which starts an active partition."""

    NONE = "none"
    GENERIC = "generic"
    LOADER = "loader"


@dataclass(frozen=True)
class BootSector:
    """signature: the disk's, 0 where it has none. active: a partition in the table has the active flag."""

    code: BootCode
    signature: int
    active: bool = False


def read_boot_sectors(devices: Iterable[Path]) -> Mapping[Path, BootSector]:
    """The first sectors of disks, by their nodes; without those that cannot be read within _SECONDS."""
    found: dict[Path, BootSector] = {}
    left = deque(devices)

    def read() -> None:
        while left:
            device = left.popleft()
            if sector := read_boot_sector(device):
                found[device] = sector

    end = time.monotonic() + _SECONDS
    for reader in [Answer(read) for _ in range(min(_READERS, len(left)))]:
        reader.by(end)
    return dict(found)


def read_boot_sector(device: Path) -> BootSector | None:
    """The first sector of a disk, or None where it cannot be read."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        with contextlib.suppress(OSError):
            return boot_sector(os.pread(descriptor, _SIZE, 0))
    finally:
        os.close(descriptor)
    return None


def boot_sector(raw: bytes) -> BootSector | None:
    """Parses a first sector; None if it is cut short."""
    if len(raw) < _SIZE:
        return None
    marked = raw[-2:] == _MARK
    code = raw[_CODE]
    kind = BootCode.NONE
    # A BIOS starts a sector with the mark; code begins with an instruction, so zeroes are not code.
    if marked and any(code[:16]):
        kind = BootCode.LOADER if any(name in code for name in _LOADERS) else BootCode.GENERIC
    flags = raw[_TABLE][::_ENTRY]
    return BootSector(kind, int.from_bytes(raw[_SIGNATURE], "little"), marked and _ACTIVE in flags)
