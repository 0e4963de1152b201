"""Finds disks that are one disk, and disks that are copies of each other.

A LUN over two paths without a multipath map is one disk under two names. A disk that was copied with dd is another
disk with the same identifiers. Neither pair is a group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from p2v_tui.hwprobe.machine import Content, Disk

# In these all members have the UUID of the whole, and each has its own identifier.
SPANNING: Final = frozenset({"linux_raid_member", "btrfs", "zfs_member", "bcachefs"})
# These prove no copy: FAT has serial numbers of 32 bits, and admins copy an EFI system partition to each disk of a
# RAID; a firmware RAID's identifier is that of the set.
_COMMON: Final = frozenset({"vfat", "exfat", "iso9660", "udf", "squashfs"})
_FEWEST_DIGITS: Final = 16
# "5000000000000000" is a WWN that a firmware writer did not fill in.
_FEWEST_DIFFERENT: Final = 4


@dataclass(frozen=True)
class Copies:
    """Disks with the same content. what: in words, with its identifier."""

    what: str
    disks: tuple[Disk, ...]


def other_paths(disks: Iterable[Disk]) -> Iterator[tuple[Disk, Disk]]:
    """Each disk that is another path to an earlier one of these, with that one.

    A WWN alone is not enough: USB bridges and some RAID controllers give all their disks the same one. Size, serial
    number and content must agree too, and must exist.
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
    """The disks with the same identity whose content does not tell whether they are the same.

    They are empty, or the content shows over one path only: a standby path of a storage array reads nothing.
    """
    found: defaultdict[tuple[object, ...], list[Disk]] = defaultdict(list)
    for disk in disks:
        if disk.serial and _has_name(disk):
            found[disk.wwn, disk.serial, disk.size].append(disk)
    return tuple(tuple(alike) for alike in found.values() if len(alike) > 1 and not all(map(_has_content, alike)))


def _plausible(disk: Disk) -> bool:
    return _has_name(disk) and _has_content(disk)


def _has_name(disk: Disk) -> bool:
    """Whether it has a plausible WWN that is the disk's and not a bridge's."""
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
    """The sets of disks that are copies of each other, each set once."""
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
    """Identifiers that another disk has only if it is a copy, each with its kind."""
    own = {key: None for content in disk.contents if (key := _own(content))}
    table = disk.partition_table_uuid or ""
    # File systems decide if there are any: a table is also copied to partition an empty disk like another one.
    if not own and not disk.contents and table.strip("0-"):
        return {("partition table", table): None}
    return own


def _own(content: Content) -> tuple[str, str] | None:
    if content.type in _COMMON or (content.type.endswith("_raid_member") and content.type not in SPANNING):
        return None
    identifier = content.member if content.type in SPANNING else content.uuid
    return (content.type, identifier) if identifier else None
