"""Windows' dynamic disks (LDM): whether a disk is one, and of which disk group.

Their volumes may span several disks. The kernel shows the parts as partitions, and blkid reads their first sectors,
so the first part of a spanned NTFS looks like a whole one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.raw import read_at

_METADATA_TYPE: Final = "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"
LDM_TYPES: Final = frozenset({"0x42", _METADATA_TYPE, "af9b60a0-1431-4f62-bc68-3311714a69ad"})

# The Linux-NTFS project's description of LDM: on an MBR disk the private header is in sector 6, on a GPT disk at the
# end of the metadata partition, which has 1 MiB.
_MBR_HEADER: Final = 6 * 512
_METADATA_SIZE: Final = 1 << 20
_MAGIC: Final = b"PRIVHEAD"
_GROUP_GUID: Final = slice(0xB0, 0xF0)
_GROUP_NAME: Final = slice(0xF0, 0x110)
# The database is in the last MiB of the disk, or of the metadata partition; its header counts the group's disks,
# including missing ones.
_DATABASE: Final = b"VMDB"
_DATABASE_GUID: Final = slice(0x35, 0x75)
_DISKS: Final = slice(0x91, 0x95)


@dataclass(frozen=True)
class LdmGroup:
    """The disk group of a dynamic disk. disks: how many it has, None where that cannot be read."""

    guid: str
    name: str
    disks: int | None = None


def is_dynamic(disk: BlockDevice, devices: BlockDevices) -> bool:
    types = {part.properties.get("ID_PART_ENTRY_TYPE", "").lower() for part in devices.partitions_of(disk.name)}
    return bool(types & LDM_TYPES) or disk_group(disk, devices) is not None


def disk_group(disk: BlockDevice, devices: BlockDevices) -> LdmGroup | None:
    """None if it is not a dynamic disk or its header cannot be read."""
    place = _metadata(disk, devices)
    if place is None:
        return None
    device, on_mbr = place
    header = read_at(disk, _MBR_HEADER, 512, (0, _MAGIC)) if on_mbr else _sector(_last_mib(device), _MAGIC)
    if not header:
        return None
    guid, name = (_text(header[part]) for part in (_GROUP_GUID, _GROUP_NAME))
    if not guid:
        return None
    database = _sector(_last_mib(device), _DATABASE)
    known = database and _text(database[_DATABASE_GUID]).lower() == guid.lower()
    return LdmGroup(guid.lower(), name, int.from_bytes(database[_DISKS], "big") if database and known else None)


def _metadata(disk: BlockDevice, devices: BlockDevices) -> tuple[BlockDevice, bool] | None:
    """The device that ends with the metadata, and whether it is a disk with an MBR; None for an ordinary disk."""
    partitions = devices.partitions_of(disk.name)
    for part in partitions:
        if part.properties.get("ID_PART_ENTRY_TYPE", "").lower() == _METADATA_TYPE:
            return part, False
    # The kernel shows the volumes' parts as partitions that have no entry in the table.
    undescribed = any(part.properties.get("ID_PART_ENTRY_TYPE", "0x42").lower() == "0x42" for part in partitions)
    return (disk, True) if disk.properties.get("ID_PART_TABLE_TYPE") == "dos" and undescribed else None


def _last_mib(device: BlockDevice) -> bytes:
    return read_at(device, max(device.size - _METADATA_SIZE, 0), min(device.size, _METADATA_SIZE)) or b""


def _sector(metadata: bytes, magic: bytes) -> bytes | None:
    found = (at for at in range(0, len(metadata), 512) if metadata[at:].startswith(magic))
    return next((metadata[at : at + 512] for at in found), None)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")
