"""Which disk the machine boots from, so that it comes first.

The firmware is asked: UEFI's boot entries, the BIOS's disk numbers (EDD). Where it does not say, the partitions
tell what a firmware could boot. Nothing is changed in the firmware's settings.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from p2v_tui.hwprobe.blockdev import natural
from p2v_tui.hwprobe.contents import BIOS_BOOT_TYPE, ESP_TYPES
from p2v_tui.hwprobe.machine import Disk, Firmware
from p2v_tui.hwprobe.places import Places, entries, read_bytes, read_number

# The vendor GUID of the variables that the UEFI specification itself defines.
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
# efivarfs puts the variable's attributes, four bytes, before its value.
_ATTRIBUTES = 4
_LOAD_OPTION_ACTIVE = 1
# In a device path: a media node for a hard drive partition, and how its signature is given.
_HARD_DRIVE = (4, 1)
_HARD_DRIVE_LENGTH = 42
_SIGNED_BY_MBR = 1
_SIGNED_BY_GUID = 2


def boot_disk_first(disks: Iterable[Disk], booted_by: Firmware, places: Places) -> tuple[Disk, ...]:
    """The disks in natural order, but for the boot disk, which is the first."""
    ordered = sorted(disks, key=lambda disk: natural(disk.name))
    boot = (_named_by_uefi if booted_by is Firmware.UEFI else _named_by_bios)(ordered, places)
    boot = boot or next((disk for disk in ordered if _bootable(disk, booted_by)), None)
    boot = boot or next((disk for disk in ordered if any(_bootable(disk, mode) for mode in Firmware)), None)
    return tuple(sorted(ordered, key=lambda disk: disk is not boot))


def has_esp(disk: Disk) -> bool:
    return any(part.type in ESP_TYPES for part in disk.partitions)


def has_bios_boot_partition(disk: Disk) -> bool:
    return any(part.type == BIOS_BOOT_TYPE for part in disk.partitions)


def _bootable(disk: Disk, mode: Firmware) -> bool:
    if mode is Firmware.UEFI:
        return has_esp(disk)
    return has_bios_boot_partition(disk) or any(part.bootable for part in disk.partitions)


def _named_by_uefi(disks: Sequence[Disk], places: Places) -> Disk | None:
    """The disk with the ESP that the first active boot entry names. The live medium's entries match none."""
    for entry in _boot_entries(places):
        for disk in disks:
            if any(part.uuid in entry.partitions for part in disk.partitions):
                return disk
    return None


@dataclass(frozen=True)
class BootEntry:
    """A UEFI boot entry. partitions: the partition UUIDs that its device paths name, as blkid writes them."""

    active: bool
    partitions: frozenset[str]


def boot_entry(variable: bytes) -> BootEntry | None:
    """A Boot#### variable as efivarfs gives it; None where it is cut short."""
    value = variable[_ATTRIBUTES:]
    if len(value) < 8:
        return None
    flags, path_length = struct.unpack_from("<IH", value)
    start = 6
    while value[start : start + 2] not in (b"\0\0", b""):
        start += 2
    path = value[start + 2 :][:path_length]
    return BootEntry(bool(flags & _LOAD_OPTION_ACTIVE), frozenset(_partitions_in(path)))


def _partitions_in(path: bytes) -> Iterator[str]:
    while len(path) >= 4:
        kind, subkind, length = struct.unpack_from("<BBH", path)
        if length < 4:
            return
        if (kind, subkind) == _HARD_DRIVE and length == _HARD_DRIVE_LENGTH and len(path) >= length:
            (number,) = struct.unpack_from("<I", path, 4)
            signature, signed_by = path[24:40], path[41]
            if signed_by == _SIGNED_BY_GUID:
                yield str(uuid.UUID(bytes_le=signature))
            elif signed_by == _SIGNED_BY_MBR:
                yield f"{int.from_bytes(signature[:4], 'little'):08x}-{number:02x}"
        path = path[length:]


def _boot_entries(places: Places) -> Iterator[BootEntry]:
    variables = places.sys / "firmware/efi/efivars"
    order = (read_bytes(variables / f"BootOrder-{_GLOBAL}") or b"")[_ATTRIBUTES:]
    for (number,) in struct.iter_unpack("<H", order[: len(order) // 2 * 2]):
        variable = read_bytes(variables / f"Boot{number:04X}-{_GLOBAL}")
        entry = boot_entry(variable) if variable else None
        if entry and entry.active:
            yield entry


def _named_by_bios(disks: Sequence[Disk], places: Places) -> Disk | None:
    """The convertible disk with the lowest BIOS number, by the signature that EDD keeps of each MBR.

    The first number is often the live USB stick, which is none of the disks. A signature of zero names nothing.
    """
    for drive in entries(places.sys / "firmware/edd"):
        signature = read_number(drive / "mbr_signature", 16)
        for disk in disks:
            if signature and disk.partition_table_uuid == f"{signature:08x}":
                return disk
    return None
