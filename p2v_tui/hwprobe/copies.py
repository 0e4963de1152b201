"""Disks that are one disk, and disks that are copies of each other.

A LUN that is seen over two paths without a multipath map is one disk under two names. A disk that was copied with dd
is another disk with the same identifiers. Neither is a part of something that spans both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from p2v_tui.hwprobe.machine import Content, Disk

# Of these, all members of one thing have the UUID; each has an identifier of its own besides.
SPANNING: Final = frozenset({"linux_raid_member", "btrfs", "zfs_member", "bcachefs"})
# What says nothing about a copy: FAT has serial numbers of 32 bits, and admins copy an EFI system partition to each
# disk of a RAID; a firmware RAID's identifier is that of the set.
_COMMON: Final = frozenset({"vfat", "exfat", "iso9660", "udf", "squashfs"})
_FEWEST_DIGITS: Final = 16
# "5000000000000000" is a WWN that a firmware writer did not fill in.
_FEWEST_DIFFERENT: Final = 4


@dataclass(frozen=True)
class Copies:
    """Disks with the same thing on them. what: in words, with its identifier."""

    what: str
    disks: tuple[Disk, ...]


def other_paths(disks: Iterable[Disk]) -> Iterator[tuple[Disk, Disk]]:
    """Each disk that is another one of these, which comes before it, with that one.

    A WWN alone is not believed: bridges for USB and some RAID controllers give all their disks the same one. Size,
    serial number and content must agree too, and there must be some.
    """
    by_wwn: defaultdict[str, list[Disk]] = defaultdict(list)
    for disk in disks:
        if not _plausible(disk):
            continue
        first = next((other for other in by_wwn[disk.wwn or ""] if _same(disk, other)), None)
        if first:
            yield disk, first
        else:
            by_wwn[disk.wwn or ""].append(disk)


def may_be_paths(disks: Iterable[Disk]) -> tuple[tuple[Disk, ...], ...]:
    """The disks of these that call themselves the same, where their content does not tell whether they are.

    Nothing is on them, or it is seen over one path only: the other one of an array that is asleep reads nothing.
    """
    found: defaultdict[tuple[object, ...], list[Disk]] = defaultdict(list)
    for disk in disks:
        if disk.serial and _has_name(disk):
            found[disk.wwn, disk.serial, disk.size].append(disk)
    return tuple(tuple(alike) for alike in found.values() if len(alike) > 1 and not all(map(_has_content, alike)))


def _plausible(disk: Disk) -> bool:
    return _has_name(disk) and _has_content(disk)


def _has_name(disk: Disk) -> bool:
    """Whether its WWN is one, and that of the disk: not a bridge's."""
    name = (disk.wwn or "").rpartition("." if "." in (disk.wwn or "") else "x")[2].replace("-", "")
    return len(name) >= _FEWEST_DIGITS and len(set(name)) >= _FEWEST_DIFFERENT and not disk.external


def _has_content(disk: Disk) -> bool:
    return bool(disk.partition_table_uuid or disk.contents)


def _same(one: Disk, other: Disk) -> bool:
    return _identity(one) == _identity(other)


def _identity(disk: Disk) -> tuple[object, ...]:
    partitions = tuple((part.number, part.start, part.size, part.uuid, part.content) for part in disk.partitions)
    return disk.size, disk.serial, disk.partition_table_uuid, disk.content, partitions


def find_copies(disks: Sequence[Disk]) -> tuple[Copies, ...]:
    """The disks of these that are copies of each other, those of one set once."""
    found: defaultdict[tuple[str, str], list[Disk]] = defaultdict(list)
    for disk in disks:
        for key in _identifiers(disk):
            found[key].append(disk)
    sets: dict[frozenset[str], Copies] = {}
    for (kind, identifier), on in found.items():
        names = frozenset(disk.name for disk in on)
        if len(names) > 1:
            sets.setdefault(names, Copies(f"{kind} {identifier}", tuple(on)))
    return tuple(sets.values())


def _identifiers(disk: Disk) -> dict[tuple[str, str], None]:
    """What no other disk has unless it is a copy, each with what it is of."""
    own = {key: None for content in disk.contents if (key := _own(content))}
    table = disk.partition_table_uuid or ""
    # Where there are file systems they decide: a table is also copied to partition an empty disk like another one.
    if not own and not disk.contents and table.strip("0-"):
        return {("partition table", table): None}
    return own


def _own(content: Content) -> tuple[str, str] | None:
    if content.type in _COMMON or (content.type.endswith("_raid_member") and content.type not in SPANNING):
        return None
    identifier = content.member if content.type in SPANNING else content.uuid
    return (content.type, identifier) if identifier else None
