"""Whether blkid's signature of a whole disk is valid, or stale: left from a group to which the disk once belonged.

Metadata of arrays and pools stays at the end of a disk for years: of a firmware RAID after the disk was moved to an
ordinary port, of a ZFS pool or an array after the disk was repartitioned. The machine uses the visible partitions.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2v_tui.hwprobe.blockdev import SYSFS_UNIT, BlockDevice, BlockDevices
from p2v_tui.hwprobe.contents import partition_number


def is_stale(device: BlockDevice, devices: BlockDevices) -> bool:
    """Whether the signature of a whole disk is stale: beside a partition table, with nothing that confirms it.
    Confirmed are the members of a mirror with its metadata at the end, which all look the same; those of a striped
    set, where the first disk shows a table, maybe for more sectors than it has, and the others none; and disks in
    use.
    """
    kind = device.properties.get("ID_FS_TYPE")
    if device.partition or not kind or not device.properties.get("ID_PART_TABLE_TYPE"):
        return False
    partitions = devices.partitions_of(device.name)
    if not partitions or _runs(device, devices) or _table_is_larger(device, devices):
        return False
    # A partition is never a member of a firmware RAID, whatever is in its last sectors.
    if not is_firmware_format(kind) and (is_repeated(device, devices) or not _hold_something(partitions)):
        return False
    return not _has_partner(device, devices)


def _hold_something(partitions: Iterable[BlockDevice]) -> bool:
    """Whether anything is recognised on them. If not, the table itself may be stale or a mistake."""
    return any(part.properties.get("ID_FS_TYPE") for part in partitions)


def is_firmware_format(kind: str) -> bool:
    """Whether blkid's name is that of a firmware's format for arrays of whole disks."""
    return kind.endswith("_raid_member") and kind != "linux_raid_member"


def is_repeated(device: BlockDevice, devices: BlockDevices) -> bool:
    """Whether the signature of a whole disk is really that of one of its partitions.

    Metadata at the end of the last partition is at the end of the disk as well (md before 1.1, ZFS).
    """
    return bool(device.properties.get("ID_FS_TYPE")) and any(
        _same_signature(device, part) for part in devices.partitions_of(device.name)
    )


def _runs(device: BlockDevice, devices: BlockDevices) -> bool:
    return any(partition_number(holder, device) is None for holder in devices.holders_of(device.name))


def _table_is_larger(device: BlockDevice, devices: BlockDevices) -> bool:
    """The kernel truncates a partition at the end of its disk; blkid reports the table's figures."""
    ends = (
        (_number(part, "ID_PART_ENTRY_OFFSET") + _number(part, "ID_PART_ENTRY_SIZE")) * SYSFS_UNIT
        for part in devices.partitions_of(device.name)
    )
    return any(end > device.size for end in ends)


def _number(device: BlockDevice, key: str) -> int:
    text = device.properties.get(key, "")
    return int(text) if text.isdecimal() else 0


def _has_partner(device: BlockDevice, devices: BlockDevices) -> bool:
    """Whether another disk is the other half of a mirror, or a member of an array whose table is on the first one."""
    of_array = device.properties.get("ID_FS_TYPE", "").endswith("_raid_member")
    others = (other for other in devices.whole if other.name != device.name and _same_signature(device, other))
    return any(
        _table(other, devices) == _table(device, devices) if other.properties.get("ID_PART_TABLE_TYPE") else of_array
        for other in others
    )


def _table(disk: BlockDevice, devices: BlockDevices) -> object:
    """What distinguishes a disk's table: its identifier, or the content of an MBR without one."""
    return disk.properties.get("ID_PART_TABLE_UUID") or [
        [part.properties.get(key) for key in ("ID_PART_ENTRY_OFFSET", "ID_PART_ENTRY_SIZE", "ID_FS_UUID")]
        for part in devices.partitions_of(disk.name)
    ]


def _same_signature(one: BlockDevice, other: BlockDevice) -> bool:
    return all(one.properties.get(key) == other.properties.get(key) for key in ("ID_FS_TYPE", "ID_FS_UUID"))
