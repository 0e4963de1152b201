"""Finds the disk that the machine boots from, so that it comes first.

The firmware is asked first: UEFI's boot entries, the BIOS's disk numbers (edd.py). If it does not say, the disk is
chosen by what a firmware could start: EFI system partitions, code in the first sector, flags. That may be wrong, and
is called a guess. The firmware's settings are not changed.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from p2v_tui.hwprobe.blockdev import BlockDevices, natural
from p2v_tui.hwprobe.boot_sector import BootCode, BootSector, read_boot_sectors
from p2v_tui.hwprobe.contents import BIOS_BOOT_TYPE, ESP_TYPES
from p2v_tui.hwprobe.edd import Candidate, EddDrive, candidate, matching_disks, read_edd
from p2v_tui.hwprobe.machine import BootDisk, BootSource, Disk, Firmware
from p2v_tui.hwprobe.places import Places, read_bytes

# The vendor GUID of the variables that the UEFI specification itself defines.
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
# efivarfs puts the variable's attributes, four bytes, before its value.
_ATTRIBUTES = 4
_LOAD_OPTION_ACTIVE = 1
# In a device path: a media node for a hard drive partition, and the types of its signature.
_HARD_DRIVE = (4, 1)
_HARD_DRIVE_LENGTH = 42
_SIGNED_BY_MBR = 1
_SIGNED_BY_GUID = 2


# Labels of disks that only hold cloud settings for the installed system (cloud-init's NoCloud and ConfigDrive).
_SEED_LABELS = frozenset({"cidata", "config-2"})
_SMALLEST_SYSTEM = 64 << 20


@dataclass(frozen=True)
class BootOrder:
    """disks: the boot disk first, the others in natural order. boot: how it was found; None without a disk."""

    disks: tuple[Disk, ...]
    boot: BootDisk | None


def order_disks(
    disks: Mapping[str, Disk], devices: BlockDevices, others: Iterable[str], booted_by: Firmware, places: Places
) -> BootOrder:
    """Find the boot disk among these, by their kernel names. others: the machine's disks that are left out."""
    ordered = sorted(disks.values(), key=lambda disk: natural(disk.name))
    systems = [disk for disk in ordered if not is_seed(disk)] or ordered
    # By default firmware boots a built-in disk.
    able = [disk for disk in systems if not disk.external] or systems
    if not able:
        return BootOrder((), None)
    if booted_by is Firmware.UEFI:
        boot = _named_by_uefi(systems, places) or _guessed(able, _uefi_ranks)
    else:
        left_out = {name: devices.by_name[name].node for name in others if name in devices.by_name}
        sectors = read_boot_sectors([*left_out.values(), *(disk.device for disk in ordered)])
        nodes = {**left_out, **{name: disk.device for name, disk in disks.items()}}
        candidates = tuple(
            candidate(devices.by_name[name], devices, sectors.get(node))
            for name, node in nodes.items()
            if name in devices.by_name
        )
        startable = {name: disk for name, disk in disks.items() if not is_seed(disk)} or disks
        named = _named_by_bios(read_edd(places), candidates, startable, sectors)
        boot = named or _guessed(able, _bios_ranks(sectors))
    first = boot.disk
    if len(systems) == 1:
        boot = _Boot(first, BootSource.ONLY_DISK, "there is no other")
    rest = [disk for disk in ordered if disk is not first]
    return BootOrder((first, *rest), BootDisk(boot.source, boot.evidence))


# The first sectors of disks by their nodes, if they could be read.
_Sectors = Mapping[Path, BootSector]
# How well a firmware could start a disk, 0 for not at all, and why.
_Rank = Callable[[Disk], tuple[int, str]]


@dataclass(frozen=True)
class _Boot:
    disk: Disk
    source: BootSource
    evidence: str


def is_seed(disk: Disk) -> bool:
    """Whether a disk is too small for a system, or has the label of a cloud's settings."""
    labels = {(content.label or "").lower() for content in disk.contents}
    return disk.size < _SMALLEST_SYSTEM or bool(labels & _SEED_LABELS)


def has_esp(disk: Disk) -> bool:
    return any(part.type in ESP_TYPES for part in disk.partitions)


def has_bios_boot_partition(disk: Disk) -> bool:
    return any(part.type == BIOS_BOOT_TYPE for part in disk.partitions)


def _uefi_ranks(disk: Disk) -> tuple[int, str]:
    if has_esp(disk):
        return 2, "it has an EFI system partition"
    return (1, "it looks bootable by a BIOS") if _has_bios_marks(disk) else (0, "")


def _bios_ranks(sectors: _Sectors) -> _Rank:
    return lambda disk: _bios_rank(disk, sectors.get(disk.device))


def _bios_rank(disk: Disk, sector: BootSector | None) -> tuple[int, str]:
    """How well a BIOS could start a disk, and why. Data disks often have code or an active partition, too."""
    code = sector.code if sector else None
    if code is BootCode.LOADER:
        return 6, "a boot loader is in its first sector"
    active = any(part.bootable for part in disk.partitions)
    if code is BootCode.GENERIC and (active or has_bios_boot_partition(disk)):
        mark = "an active partition" if active else "a BIOS boot partition"
        return 5, f"it has {mark} and code in its first sector"
    # A disk without code does not boot, whatever its table says.
    if code is not BootCode.NONE and has_bios_boot_partition(disk):
        return 4, "it has a BIOS boot partition"
    if code is not BootCode.NONE and active:
        return 3, "it has an active partition"
    if code is BootCode.GENERIC:
        return 2, "there is code in its first sector"
    return (1, "it has an EFI system partition") if has_esp(disk) else (0, "")


def _has_bios_marks(disk: Disk) -> bool:
    return has_bios_boot_partition(disk) or any(part.bootable for part in disk.partitions)


def _guessed(disks: Sequence[Disk], rank: _Rank) -> _Boot:
    """The disk that a firmware would most likely start; of several equal ones the first."""
    ranks = [(disk, *rank(disk)) for disk in disks]
    best = max(number for _, number, _ in ranks)
    alike = [disk for disk, number, _ in ranks if number == best]
    disk, _, evidence = next(entry for entry in ranks if entry[1] == best)
    if not best:
        return _Boot(disk, BootSource.GUESS, "no disk looks bootable, and it is the first that Linux lists")
    if len(alike) > 1:
        others = _few([other.name for other in alike if other is not disk])
        return _Boot(disk, BootSource.GUESS, f"{evidence}, as with {others}")
    rivals = [f"{other.name}: {why}" for other, number, why in ranks if other is not disk and number]
    if rivals:
        return _Boot(disk, BootSource.GUESS, f"{evidence} ({_few(rivals)})")
    return _Boot(disk, BootSource.ONLY_BOOTABLE, evidence)


def _few(texts: Sequence[str]) -> str:
    """A list that fits a line: a SAN has thousands."""
    shown = [*texts[:3], *([f"{len(texts) - 3} others"] if len(texts) > 3 else [])]
    return ", ".join(shown)


def _named_by_uefi(disks: Sequence[Disk], places: Places) -> _Boot | None:
    """The disk with the ESP that the first active boot entry names. The live medium's entries match none."""
    for entry in _boot_entries(places):
        named = [disk for disk in disks if any(part.uuid in entry.partitions for part in disk.partitions)]
        if len(named) == 1:
            return _Boot(named[0], BootSource.UEFI_ENTRY, "the firmware's boot entry names it")
        if named:
            evidence = f"the firmware's boot entry names a partition that is on {_few([disk.name for disk in named])}"
            return _Boot(named[0], BootSource.GUESS, evidence)
    return None


@dataclass(frozen=True)
class BootEntry:
    """A UEFI boot entry. partitions: the partition UUIDs that its device paths name, as blkid writes them."""

    active: bool
    partitions: frozenset[str]


def boot_entry(variable: bytes) -> BootEntry | None:
    """Parses a Boot#### variable from efivarfs; None if it is cut short."""
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


def _named_by_bios(
    drives: Iterable[EddDrive], candidates: Sequence[Candidate], disks: Mapping[str, Disk], sectors: _Sectors
) -> _Boot | None:
    """The first startable drive of the BIOS among the disks that may come first. disks: those, by name.

    candidates: all disks of the machine, since the BIOS counts the live stick as well. Drives that are something else
    (that stick, a disk that is left out) or have no boot code are skipped. After a drive that matches no disk the
    result is only a guess.
    """
    unknown = ""
    for drive in drives:
        fitting = matching_disks(drive, candidates)
        if not fitting:
            unknown = unknown or f"{drive.number:x}"
            continue
        ours = [disks[each.name] for each in fitting if each.name in disks]
        startable = [disk for disk in ours if not _cannot_start(sectors.get(disk.device))]
        if not startable:
            continue
        number = f"drive {drive.number:x} of the BIOS"
        if len(fitting) > 1:
            best = _guessed(startable, _bios_ranks(sectors))
            names = _few([each.name for each in fitting])
            return _Boot(best.disk, BootSource.GUESS, f"{number} may be any of {names}")
        if unknown:
            return _Boot(startable[0], BootSource.GUESS, f"it is {number}; what drive {unknown} is was not found")
        return _Boot(startable[0], BootSource.BIOS, f"it is {number}")
    return None


def _cannot_start(sector: BootSector | None) -> bool:
    return sector is not None and sector.code is BootCode.NONE
