"""From single members to whole groups: which disks carry each, and which member exists twice.

groups.py decides what makes a device a member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.machine import DiskGroup
from p2v_tui.hwprobe.md import MEMBER, read_superblock
from p2v_tui.hwprobe.places import Places

LVM_MEMBER = "LVM2_member"


@dataclass(frozen=True)
class Membership:
    """One device is a member of a group. identity: what all members of the group have in common. name: may be empty.

    unsure: the other members are not known. members: their least number, according to this one; None if unknown.
    """

    kind: str
    identity: str
    name: str
    device: BlockDevice
    unsure: bool = False
    members: int | None = None

    @property
    def member(self) -> str:
        """What distinguishes this member from others of the group, but not from a copy of it."""
        properties = self.device.properties
        own = properties.get("ID_FS_UUID") if properties.get("ID_FS_TYPE") == LVM_MEMBER else None
        return own or properties.get("ID_FS_UUID_SUB") or self.device.name


@dataclass
class Thing:
    """A group under construction. name: may be empty. carriers: for each member, the disks below each device with it.

    members: their least number, according to the members; None if unknown.
    """

    kind: str
    identity: str
    name: str = ""
    unsure: bool = False
    members: int | None = None
    devices: list[BlockDevice] = field(default_factory=list)
    carriers: dict[str, list[frozenset[str]]] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """How many members were found, without copies."""
        return len(self.carriers)

    @property
    def group(self) -> DiskGroup:
        """If a member is on several devices, all but the first are copies."""
        disks = frozenset[str]().union(*(carriers[0] for carriers in self.carriers.values()))
        every = (frozenset[str]().union(*carriers) for carriers in self.carriers.values() if len(carriers) > 1)
        copies = tuple(same for same in every if len(same) > 1)
        return DiskGroup(
            self.kind,
            self.name or self.identity,
            disks,
            copies,
            unseen=max((self.members or 0) - self.seen, 0),
            members=self.members if (self.members or 0) >= self.seen else None,
            unsure=self.unsure,
        )

    def part(self, device: BlockDevice) -> Membership:
        return Membership(self.kind, self.identity, self.name, device)

    def disks_of(self, device: BlockDevice) -> frozenset[str]:
        return frozenset[str]().union(*self.carriers.get(self.part(device).member, ()))


def gather(parts: Iterable[Membership], devices: BlockDevices, owners: Mapping[str, str]) -> tuple[Thing, ...]:
    """owners: the disks' names by the kernel's names."""
    things: dict[tuple[str, str], Thing] = {}
    known: set[tuple[str, str, str]] = set()
    for part in parts:
        thing = things.setdefault((part.kind, part.identity), Thing(part.kind, part.identity))
        # The first name wins: LVM and the superblocks know it better than the running system.
        thing.name = thing.name or part.name
        thing.unsure |= part.unsure
        thing.members = max(thing.members or 0, part.members or 0) or None
        if (part.kind, part.identity, part.device.name) not in known:
            known.add((part.kind, part.identity, part.device.name))
            thing.devices.append(part.device)
            below = frozenset(disks_below(part.device, devices, owners))
            thing.carriers.setdefault(part.member, []).append(below)
    return tuple(things.values())


def disks_below(device: BlockDevice, devices: BlockDevices, owners: Mapping[str, str]) -> set[str]:
    """The names of the disks that carry a device: through partitions, arrays, LUKS and logical volumes."""
    # A path of a multipath disk or a member of a firmware RAID set stands for that disk.
    above = [holder.name for holder in devices.holders_of(device.name)]
    for name in (device.name, *above):
        if name in owners:
            return {owners[name]}
    below = (device.parent,) if device.partition and device.parent else device.slaves
    found = (disks_below(devices.by_name[name], devices, owners) for name in below if name in devices.by_name)
    return set().union(*found)


def with_superblocks(array: Thing, places: Places) -> DiskGroup:
    """The group of an array, completed from its members' superblocks."""
    members = [device for device in array.devices if device.properties.get("ID_FS_TYPE") == MEMBER]
    blocks = [read_superblock(device, places) for device in members]
    count = max((block.devices or 0 for block in blocks), default=0)
    spares = [device for device, block in zip(members, blocks, strict=True) if block.spare]
    besides = [device for device, block in zip(members, blocks, strict=True) if block.spare or block.journal]
    seen = array.seen - len({array.part(device).member for device in besides})
    newest = max((block.events or 0 for block in blocks), default=0)
    # A stopped array may be one event apart, as its members are written one after the other; mdadm takes both.
    behind = [
        device
        for device, block in zip(members, blocks, strict=True)
        if block.events is not None and block.events + 1 < newest
    ]
    return replace(
        array.group,
        members=count or None,
        unseen=max(count - seen, 0),
        level=next((block.level for block in blocks if block.level), None),
        behind=frozenset[str]().union(*map(array.disks_of, behind)),
        spares=frozenset[str]().union(*map(array.disks_of, spares)),
    )
