"""Drives with removable media: which ones there are and of what kind. Their content is never read.

A floppy drive is told by its driver and a CD by what udev or SCSI says, never by opening the drive: opening an
empty floppy drive blocks for seconds and fails with ENOMEDIUM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.identity import model_of
from p2v_tui.hwprobe.live_medium import RUNS_FROM_HERE
from p2v_tui.hwprobe.machine import MediumKind, RemovableMedium

# SCSI peripheral device type of CD and DVD drives.
_SCSI_CDROM = "5"


def medium_kind(device: BlockDevice) -> MediumKind | None:
    """The kind of removable medium that a drive takes; None for a fixed disk."""
    if device.virtual:
        return None
    ide_media = device.attribute("device/media") if "ide" in device.hangs_on else None
    scsi_type = device.attribute("device/type") if "scsi" in device.hangs_on else None
    if device.properties.get("ID_CDROM") == "1" or scsi_type == _SCSI_CDROM or ide_media == "cdrom":
        return MediumKind.CDROM
    drivers = {ancestor.driver for ancestor in device.ancestors}
    if "floppy" in drivers or device.properties.get("ID_TYPE") == "floppy":
        return MediumKind.FLOPPY
    return MediumKind.OTHER if device.removable else None


def removable_media(devices: BlockDevices, in_use: Mapping[str, str]) -> tuple[RemovableMedium, ...]:
    """The drives with removable media, but for the stick that the running system was started from."""
    return tuple(_media(devices.whole, in_use))


def _media(whole: Iterable[BlockDevice], in_use: Mapping[str, str]) -> Iterable[RemovableMedium]:
    for device in whole:
        kind = medium_kind(device)
        # A CD drive stays one when we run from its disc: the guest gets an empty drive.
        started_from_it = kind is MediumKind.OTHER and in_use.get(device.name) == RUNS_FROM_HERE
        if kind and not started_from_it:
            yield RemovableMedium(device.name, kind, model_of(device))
