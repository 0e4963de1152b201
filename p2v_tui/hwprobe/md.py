"""What the superblock of a software RAID member says: the array's level and size, and whether this member is current.

blkid knows the array and the member, not how many members there should be. mdadm reads that without assembling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from p2v_tui.hwprobe.blockdev import BlockDevice, key_values
from p2v_tui.hwprobe.places import Places

MEMBER = "linux_raid_member"


@dataclass(frozen=True)
class Superblock:
    """level: mdadm's word, `raid1`, `linear`. devices: how many members the array has when it is whole.

    events: grows with every change of the array; a member that was thrown out stays behind. Each is None where mdadm
    does not say.
    """

    level: str | None = None
    devices: int | None = None
    events: int | None = None


def read_superblock(device: BlockDevice, places: Places) -> Superblock:
    """The superblock of one member; an empty one where mdadm is missing or understands nothing."""
    output = places.run(["mdadm", "--examine", "--export", str(device.node)])
    said = key_values((output or "").splitlines())
    return Superblock(said.get("MD_LEVEL"), _number(said.get("MD_DEVICES")), _number(said.get("MD_EVENTS")))


def bare(uuid: str) -> str:
    """A UUID without its separators: mdadm writes colons where blkid writes hyphens."""
    return re.sub(r"[:-]", "", uuid).lower()


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
