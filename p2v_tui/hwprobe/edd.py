"""The BIOS's numbers of the disks (Enhanced Disk Drive): which disk of the kernel each drive is.

The kernel's module `edd` shows what the BIOS reported at boot: /sys/firmware/edd/int13_dev80 is the drive that the
BIOS boots from, 81 the next. Drives are matched as in blivet (devicelibs/edd.py): by the signature in the MBR, the
PCI address and the interface, the number of sectors. A BIOS may omit or invent any of them but the signature, so each
only counts if it leaves a candidate. This only reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from p2v_tui.hwprobe.blockdev import Ancestor, BlockDevice, BlockDevices
from p2v_tui.hwprobe.boot_sector import BootSector
from p2v_tui.hwprobe.places import Places, entries, link_target, read_bytes, read_number, read_text

# In raw_data, the answer to INT 13h/48h: bytes per sector.
_SECTOR_SIZE = slice(24, 26)
_ATA_PORT = re.compile(r"ata(\d+)")


@dataclass(frozen=True)
class EddDrive:
    """A drive as the BIOS describes it.

    number: 0x80 for the first. signature: of its MBR; 0 for none, None if the BIOS does not say. size: bytes, 0 if
    unknown. pci: the address of its controller (`00:1f.2`), empty if unknown. channel: of the controller. interface:
    the kind in upper case (`SATA`, `SCSI`, `USB`), empty if unknown. unit: the device or the SCSI id, lun: the SCSI
    LUN there; None if they do not apply.
    """

    number: int
    signature: int | None = None
    size: int = 0
    pci: str = ""
    channel: int | None = None
    interface: str = ""
    unit: int | None = None
    lun: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A disk that may be a drive of the BIOS.

    signature: of its MBR, None if unknown. size: bytes. pci: the addresses of the functions above it. usb: it is on
    USB. port: of an ATA controller, from 0. target, lun: SCSI's.
    """

    name: str
    size: int
    signature: int | None = None
    pci: frozenset[str] = frozenset()
    usb: bool = False
    port: int | None = None
    target: int | None = None
    lun: int | None = None


def read_edd(places: Places) -> tuple[EddDrive, ...]:
    """The drives in the BIOS's order; empty under UEFI, or if the module is not loaded."""
    return tuple(_drives(places.sys / "firmware/edd"))


def _drives(directory: Path) -> Iterator[EddDrive]:
    for entry in entries(directory):
        number = re.fullmatch(r"int13_dev([0-9a-f]{2})", entry.name)
        if number:
            yield _drive(int(number[1], 16), entry)


def _drive(number: int, entry: Path) -> EddDrive:
    raw = read_bytes(entry / "raw_data") or b""
    # A BIOS that leaves the field out means 512.
    sector = int.from_bytes(raw[_SECTOR_SIZE], "little") or 512
    bus = read_text(entry / "host_bus") or ""
    interface = read_text(entry / "interface") or ""
    link = link_target(entry / "pci_dev")
    place = link.name if link else _found(r"\b([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\b", bus) or ""
    kind = interface.split()[0].upper() if interface else ""
    return EddDrive(
        number=number,
        signature=read_number(entry / "mbr_signature", 16),
        size=(read_number(entry / "sectors") or 0) * sector,
        # Without the domain, which no BIOS knows.
        pci=place.removeprefix("0000:") if bus.startswith("PCI") or link else "",
        channel=_number(r"channel: (\d+)", bus),
        interface=kind if kind.isalnum() else "",
        unit=_number(r"(?:device|id): (\d+)", interface),
        lun=_number(r"lun: (\d+)", interface),
    )


def _found(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def _number(pattern: str, text: str) -> int | None:
    found = _found(pattern, text)
    return int(found) if found else None


def matching_disks(drive: EddDrive, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The disks that a drive may be: one if the BIOS says enough, several if that does not distinguish them."""
    every = tuple(candidates)
    left = tuple(each for each in every if drive.signature and each.signature == drive.signature)
    if not left:
        # GPT disks and blank ones may have none, or it could not be read. A signature that matches no disk is that of
        # a disk which Linux does not see.
        unknown = drive.signature is None
        possible = (it for it in every if unknown or it.signature is None or it.signature == drive.signature == 0)
        left = _supported(drive, tuple(possible))
    for fits in _hints(drive):
        narrowed = tuple(each for each in left if fits(each))
        left = narrowed or left
        if len(left) < 2:
            break
    return left


def _supported(drive: EddDrive, possible: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Without a signature: those that match by size or place; all if the BIOS says neither."""
    sized = tuple(each for each in possible if drive.size and each.size == drive.size)
    placed = tuple(each for each in possible if drive.pci and drive.pci in each.pci)
    if sized or placed or drive.size or drive.pci:
        return sized or placed
    return () if drive.signature else possible


def _hints(drive: EddDrive) -> Sequence[Callable[[Candidate], bool]]:
    """What distinguishes disks, most reliable first."""
    hints: list[Callable[[Candidate], bool]] = []
    if drive.pci:
        hints.append(lambda disk: drive.pci in disk.pci)
    if drive.interface:
        hints.append(lambda disk: disk.usb == (drive.interface == "USB"))
    if drive.size:
        hints.append(lambda disk: disk.size == drive.size)
    if drive.interface == "SCSI" and drive.unit is not None:
        hints.append(lambda disk: (disk.target, disk.lun) == (drive.unit, drive.lun or 0))
    if drive.interface in {"ATA", "SATA"} and drive.channel not in {None, 0xFF}:
        # The channel is the port, and the device on it is 1 for a slave.
        hints.append(lambda disk: (disk.port, disk.target) == (drive.channel, drive.unit or 0))
    if drive.interface == "SATA" and drive.unit is not None:
        # If the channel is missing or 0 for all, the device is the port.
        hints.append(lambda disk: disk.port == drive.unit)
    return hints


def candidate(device: BlockDevice, devices: BlockDevices, sector: BootSector | None) -> Candidate:
    """A disk with all that is compared with the BIOS's drives. sector: its first, if it could be read."""
    below = [devices.by_name[name] for name in device.slaves if name in devices.by_name] or [device]
    ancestors = [ancestor for member in below for ancestor in member.ancestors]
    places = [ancestor.sys_path.name for ancestor in ancestors]
    address = _scsi_address(places)
    return Candidate(
        name=device.name,
        size=device.size,
        signature=sector.signature if sector else _signature_by_udev(device),
        pci=frozenset(name.removeprefix("0000:") for name in places),
        usb="usb" in {ancestor.subsystem for ancestor in ancestors},
        port=_port(ancestors),
        target=address[0] if address else None,
        lun=address[1] if address else None,
    )


def _signature_by_udev(device: BlockDevice) -> int | None:
    """The signature of an MBR; None for a disk with another table, whose MBR may have one unknown to udev."""
    text = device.properties.get("ID_PART_TABLE_UUID", "")
    if device.properties.get("ID_PART_TABLE_TYPE") != "dos":
        return None
    try:
        return int(text, 16)
    except ValueError:
        return None


def _scsi_address(places: Iterable[str]) -> tuple[int, int] | None:
    """The target and the LUN in the name of a SCSI device, `0:0:1:0`."""
    for name in places:
        parts = name.split(":")
        if len(parts) == 4 and all(part.isdecimal() for part in parts):
            return int(parts[2]), int(parts[3])
    return None


def _port(ancestors: Iterable[Ancestor]) -> int | None:
    """The port of an ATA controller that a disk is on, from 0: libata numbers those of all controllers together."""
    parts = next((ancestor.sys_path.parts for ancestor in ancestors), ())
    own = next((part for part in parts if _ATA_PORT.fullmatch(part)), None)
    if own is None:
        return None
    controller = Path(*parts[: parts.index(own)])
    numbers = sorted(int(found[1]) for entry in entries(controller) if (found := _ATA_PORT.fullmatch(entry.name)))
    number = int(own.removeprefix("ata"))
    return numbers.index(number) if number in numbers else None
