"""Finds the drives with removable media, and their kinds. Their content is never read. A floppy drive is recognized
by its driver and a CD drive by udev or SCSI, never by opening it: opening an empty floppy drive blocks for seconds
and fails with ENOMEDIUM.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.exclusion import RUNS_FROM_HERE, Exclusion
from p2v_tui.hwprobe.identity import model_of
from p2v_tui.hwprobe.machine import MediumKind, RemovableMedium
from p2v_tui.hwprobe.management import is_of_management

# SCSI peripheral device types: of CD and DVD drives, and of magneto-optical ones.
_SCSI_CDROM = "5"
_SCSI_OPTICAL = "7"
# For libata ATAPI drives are SCSI devices with their maker's name; its disks have this one.
_ATA_DISK = "ATA"
# Makers of SCSI drives with removable disks (Zip, Jaz, SyQuest, Orb), and of nothing else.
_MAKERS = frozenset({"iomega", "syquest", "castlewd"})


def medium_kind(device: BlockDevice) -> MediumKind | None:
    """The kind of removable medium that a drive takes; None for a fixed disk."""
    if device.virtual:
        return None
    ide_media = device.of_its("ide", "media")
    scsi_type = device.of_its("scsi", "type")
    if device.properties.get("ID_CDROM") == "1" or scsi_type == _SCSI_CDROM or ide_media == "cdrom":
        return MediumKind.CDROM
    drivers = {ancestor.driver for ancestor in device.ancestors}
    if "floppy" in drivers or device.properties.get("ID_TYPE") == "floppy":
        return MediumKind.FLOPPY
    return MediumKind.OTHER if _takes_media(device, ide_media, scsi_type) else None


def _takes_media(device: BlockDevice, ide_media: str | None, scsi_type: str | None) -> bool:
    """Judges by the drive's ancestors. The kernel's flag alone is no help: RAID drivers (aacraid, ips, dpt_i2o) set
    it for every array, libata for every disk on a hot-plug port, and SD cards lack it.
    """
    hangs_on = device.hangs_on
    if "mmc" in hangs_on:
        # SD, SDIO, SDcombo; the type of an eMMC is MMC.
        return (device.of_its("mmc", "type") or "").startswith("SD")
    if ide_media:
        return ide_media != "disk"
    if scsi_type == _SCSI_OPTICAL:
        return True
    if not device.removable:
        return False
    if hangs_on & {"usb", "firewire", "ieee1394"}:
        return True
    maker = device.of_its("scsi", "vendor") or ""
    return _is_atapi(device) or maker.lower() in _MAKERS


def _is_atapi(device: BlockDevice) -> bool:
    """Whether it is an ATAPI drive, such as a Zip drive, behind libata."""
    on_ata = any(re.fullmatch(r"ata\d+", part) for part in device.sys_path.parts)
    return on_ata and device.of_its("scsi", "vendor") not in {None, _ATA_DISK}


def removable_media(devices: BlockDevices, in_use: Mapping[str, Exclusion]) -> tuple[RemovableMedium, ...]:
    """The drives with removable media, except the stick that the running system was started from."""
    return tuple(_media(devices.whole, in_use))


def _media(whole: Iterable[BlockDevice], in_use: Mapping[str, Exclusion]) -> Iterable[RemovableMedium]:
    for device in whole:
        kind = medium_kind(device)
        # A CD drive counts even if we run from its disc: the guest gets an empty drive.
        started_from_it = kind is MediumKind.OTHER and in_use.get(device.name) == RUNS_FROM_HERE
        if kind and not started_from_it:
            yield RemovableMedium(device.name, kind, model_of(device), is_of_management(device))
