"""Windows' dynamic disks (LDM): whether a disk is one, and of which disk group.

Their volumes may span several disks, and the kernel shows the parts as partitions, each with what is in its first
sectors: the first part of a spanned NTFS looks like a whole one.
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


@dataclass(frozen=True)
class LdmGroup:
    """The disk group of a dynamic disk."""

    guid: str
    name: str


def is_dynamic(disk: BlockDevice, devices: BlockDevices) -> bool:
    types = {part.properties.get("ID_PART_ENTRY_TYPE", "").lower() for part in devices.partitions_of(disk.name)}
    return bool(types & LDM_TYPES) or disk_group(disk, devices) is not None


def disk_group(disk: BlockDevice, devices: BlockDevices) -> LdmGroup | None:
    """None where it is no dynamic disk, or its header cannot be read."""
    header = _header(disk, devices)
    if not header or not header.startswith(_MAGIC):
        return None
    guid, name = (header[part].split(b"\0")[0].decode(errors="replace") for part in (_GROUP_GUID, _GROUP_NAME))
    return LdmGroup(guid.lower(), name) if guid else None


def _header(disk: BlockDevice, devices: BlockDevices) -> bytes | None:
    partitions = devices.partitions_of(disk.name)
    for part in partitions:
        if part.properties.get("ID_PART_ENTRY_TYPE", "").lower() == _METADATA_TYPE:
            metadata = read_at(part, max(part.size - _METADATA_SIZE, 0), min(part.size, _METADATA_SIZE)) or b""
            found = (at for at in range(0, len(metadata), 512) if metadata[at:].startswith(_MAGIC))
            return next((metadata[at : at + 512] for at in found), None)
    # The kernel makes partitions of the volumes' parts, which no entry of the table describes.
    undescribed = any(part.properties.get("ID_PART_ENTRY_TYPE", "0x42").lower() == "0x42" for part in partitions)
    if disk.properties.get("ID_PART_TABLE_TYPE") != "dos" or not undescribed:
        return None
    return read_at(disk, _MBR_HEADER, 512)
