"""What is on a disk: partition table, partitions, file systems and members of something larger.

The names are blkid's, as udev keeps them (ID_FS_*, ID_PART_*). Nothing is mounted, opened or unlocked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from p2v_tui.hwprobe.blockdev import SYSFS_UNIT, BlockDevice, BlockDevices, unescaped
from p2v_tui.hwprobe.machine import Content, Partition

ESP_TYPES = frozenset({"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"})
BIOS_BOOT_TYPE = "21686148-6449-6e6f-744e-656564454649"

# The MBR flag of the partition that a BIOS boots.
_ACTIVE = 0x80


def content_of(device: BlockDevice) -> Content | None:
    """What blkid recognised on this device itself, or None."""
    return content_in(device.properties)


def content_in(properties: Mapping[str, str]) -> Content | None:
    """What blkid recognised, from udev's properties."""
    kind = properties.get("ID_FS_TYPE")
    if not kind:
        return None
    uuid, member = (properties.get(key) or None for key in ("ID_FS_UUID", "ID_FS_UUID_SUB"))
    return Content(kind, uuid, _label_in(properties), member)


def label_of(device: BlockDevice) -> str | None:
    return _label_in(device.properties)


def _label_in(properties: Mapping[str, str]) -> str | None:
    return unescaped(properties.get("ID_FS_LABEL_ENC", "")) or None


def partition_table_of(device: BlockDevice) -> str | None:
    return device.properties.get("ID_PART_TABLE_TYPE") or None


def partition_devices(device: BlockDevice, devices: BlockDevices) -> tuple[tuple[int, BlockDevice], ...]:
    """The partitions of a disk with their numbers, in the order of the numbers.

    The kernel partitions a plain disk itself. On a device-mapper disk kpartx or dmraid maps each partition as its own
    device; if neither did, the partitions that the kernel found on a path are the same.
    """
    found = {
        number: part
        for part in (*devices.partitions_of(device.name), *devices.holders_of(device.name))
        if (number := partition_number(part, device)) is not None
    }
    if not found and (device.dm_uuid or "").startswith("mpath-") and device.slaves:
        path = devices.by_name.get(device.slaves[0])
        return partition_devices(path, devices) if path else ()
    return tuple(sorted(found.items()))


def partition_number(part: BlockDevice, disk: BlockDevice) -> int | None:
    """The number of a partition on its disk; None if the device is not one of its partitions."""
    if part.partition:
        number = part.attribute("partition") or part.properties.get("PARTN")
        return int(number) if number and number.isdecimal() else None
    uuid = part.dm_uuid or ""
    kpartx = re.match(r"part(\d+)-", uuid)
    if kpartx and uuid.endswith(disk.dm_uuid or "\0"):
        return int(kpartx[1])
    # dmraid names its partitions by the set's name and the number.
    base, name = disk.dm_name or "\0", part.dm_name or ""
    tail = name.removeprefix(base).removeprefix("p")
    if uuid.startswith("DMRAID-") and name.startswith(base) and tail.isdecimal():
        return int(tail)
    return None


def partitions_of(device: BlockDevice, devices: BlockDevices) -> tuple[Partition, ...]:
    """The partitions of a disk in the order of their numbers, each with what is on it."""
    return tuple(_partition(number, part) for number, part in partition_devices(device, devices))


def _partition(number: int, device: BlockDevice) -> Partition:
    properties = device.properties
    kind = properties.get("ID_PART_ENTRY_TYPE")
    uuid = properties.get("ID_PART_ENTRY_UUID") or properties.get("PARTUUID")
    return Partition(
        name=(device.dm_name if device.dm_uuid else None) or device.name,
        number=number,
        size=device.size,
        type=kind.lower() if kind else None,
        uuid=uuid.lower() if uuid else None,
        bootable=_active(kind, properties.get("ID_PART_ENTRY_FLAGS")),
        content=content_of(device),
        start=_start(device),
    )


def _start(device: BlockDevice) -> int | None:
    """The kernel tells where its own partitions begin, blkid where those of kpartx or dmraid do."""
    start = device.attribute("start") or device.properties.get("ID_PART_ENTRY_OFFSET") or ""
    return int(start) * SYSFS_UNIT if start.isdecimal() else None


def _active(kind: str | None, flags: str | None) -> bool:
    """Whether an MBR partition has the active flag. GPT's flags are other bits, and no BIOS reads them."""
    try:
        return bool(kind and kind.startswith("0x") and flags and int(flags, 16) & _ACTIVE)
    except ValueError:
        return False
