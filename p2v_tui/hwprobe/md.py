"""Reads the superblock of a software RAID member: the array's level and size, and whether the member is current.

blkid knows the array and the member, but not how many members the array should have. Present superblocks (1.x) are
read here, since not every live system has mdadm; older or damaged ones are left to mdadm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from p2v_tui.hwprobe.blockdev import BlockDevice, key_values
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.raw import read_at

MEMBER = "linux_raid_member"

# include/uapi/linux/raid/md_p.h: struct mdp_superblock_1, little-endian, followed by the members' roles.
MAGIC: Final = (0xA92B4EFC).to_bytes(4, "little")
MAJOR: Final = slice(4, 8)
_READ: Final = 4096
_LEVEL: Final = slice(72, 76)
_RAID_DISKS: Final = slice(92, 96)
_DEV_NUMBER: Final = slice(160, 164)
_EVENTS: Final = slice(200, 208)
_ROLES: Final = 256
# Roles without a place in the array: a journal of writes, which it needs; a faulty member; a spare.
_JOURNAL: Final = 0xFFFD
_LEVELS: Final = {-1: "linear"}


@dataclass(frozen=True)
class Superblock:
    """level: mdadm's word, `raid1`, `linear`. devices: how many members the array has when it is whole.

    events: grows with every change of the array; a member that fell out stays behind. spare, journal: without a place
    in the array; the array does not need a spare for its data. The others are None if unknown.
    """

    level: str | None = None
    devices: int | None = None
    events: int | None = None
    spare: bool = False
    journal: bool = False


def superblock_places(size: int) -> tuple[int, ...]:
    """Where a superblock of version 1 may be on a member of this size, in bytes: 1.2, 1.1, 1.0."""
    return tuple(place for place in (4096, 0, (size - 8192) & ~4095) if place >= 0)


def read_superblock(device: BlockDevice, places: Places) -> Superblock:
    """The superblock of one member; an empty one if neither we nor mdadm can read it."""
    for place in superblock_places(device.size):
        block = read_at(device, place, _READ, (0, MAGIC))
        if block and _little(block[MAJOR]) == 1:
            return _version_1(block)
    output = places.run(["mdadm", "--examine", "--export", str(device.node)])
    said = key_values((output or "").splitlines())
    return Superblock(said.get("MD_LEVEL"), _number(said.get("MD_DEVICES")), _number(said.get("MD_EVENTS")))


def _version_1(block: bytes) -> Superblock:
    level = int.from_bytes(block[_LEVEL], "little", signed=True)
    at = _ROLES + 2 * _little(block[_DEV_NUMBER])
    role = _little(block[at : at + 2])
    return Superblock(
        _LEVELS.get(level, f"raid{level}"),
        _little(block[_RAID_DISKS]),
        _little(block[_EVENTS]),
        spare=role > _JOURNAL,
        journal=role == _JOURNAL,
    )


def _little(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def bare(uuid: str) -> str:
    """A UUID without its separators: mdadm writes colons where blkid writes hyphens."""
    return re.sub(r"[:-]", "", uuid).lower()


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
