"""Whether a software RAID array holds a LUKS volume, judging by the beginning of its members' data.

The array is not run for this: only a few bytes of each member are read. In a mirror every member begins with the
volume's header, in a stripe one of them does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from p2v_tui.hwprobe.machine import Content, Disk
from p2v_tui.hwprobe.md import MAGIC, MAJOR, MEMBER, bare, superblock_places

# include/uapi/linux/raid/md_p.h: in the superblock of 1.x the sector of the data is at 128.
_DATA_OFFSET: Final = slice(128, 136)
_SUPERBLOCK: Final = 256
_SECTOR: Final = 512
_LUKS: Final = b"LUKS\xba\xbe"
_UNIT_OF_0_90: Final = 64 * 1024


@dataclass(frozen=True)
class ArrayMember:
    """A member of an array. name: of the partition, or of the disk. array: its UUID without separators.

    label: mdadm's name for the array, may be empty. luks: whether a LUKS volume begins where the member's data does;
    None if unknown.
    """

    name: str
    array: str
    label: str
    luks: bool | None


def array_members(disk: Disk, descriptor: int) -> Iterator[ArrayMember]:
    """The members on a disk that is open for reading."""
    whole = [(disk.name, 0, disk.size, disk.content)]
    parts = [(part.name, part.start, part.size, part.content) for part in disk.partitions]
    for name, start, size, content in whole + parts:
        if content and content.type == MEMBER and content.uuid:
            luks = None if start is None else _begins_with_luks(descriptor, start, size)
            yield ArrayMember(name, bare(content.uuid), _label(content), luks)


def _label(content: Content) -> str:
    # mdadm writes `homehost:name`.
    return (content.label or "").rpartition(":")[2]


def _begins_with_luks(descriptor: int, start: int, size: int) -> bool | None:
    try:
        offset = _data_offset(descriptor, start, size)
        if offset is None:
            return None
        found = os.pread(descriptor, len(_LUKS), start + offset)
    except (OSError, OverflowError):
        # OverflowError: a false superblock may give an impossible offset.
        return None
    return found == _LUKS if len(found) == len(_LUKS) else None


def _data_offset(descriptor: int, start: int, size: int) -> int | None:
    """Where the data of a member begins, in bytes; None without a superblock."""
    for place in superblock_places(size):
        block = os.pread(descriptor, _SUPERBLOCK, start + place)
        if block[:4] == MAGIC and block[MAJOR] == (1).to_bytes(4, "little"):
            return int.from_bytes(block[_DATA_OFFSET], "little") * _SECTOR
    oldest = (size & ~(_UNIT_OF_0_90 - 1)) - _UNIT_OF_0_90
    if oldest >= 0 and os.pread(descriptor, 4, start + oldest) in {MAGIC, MAGIC[::-1]}:
        return 0
    return None
