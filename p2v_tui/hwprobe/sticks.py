"""Finds the sticks that a file may be written to: file systems on removable media that nothing else uses.

A fixed disk is never among them, nor the medium that the running system was started from, nor what is mounted
already: that is a directory as any other. Nothing is mounted here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices, read_block_devices
from p2v_tui.hwprobe.contents import content_of
from p2v_tui.hwprobe.identity import model_of
from p2v_tui.hwprobe.live_medium import devices_in_use
from p2v_tui.hwprobe.machine import MediumKind
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.removable import medium_kind

# blkid's names of the file systems that live on one device, and what mount(8) calls them.
MOUNT_TYPES: Final = {
    "vfat": "vfat",
    "exfat": "exfat",
    "ntfs": "ntfs3",
    "ext2": "ext2",
    "ext3": "ext3",
    "ext4": "ext4",
}


@dataclass(frozen=True)
class Stick:
    """A file system on a removable medium. name: of its partition. disk: the node of the whole medium. size: bytes.

    kind: blkid's name of the file system. number: `major:minor`, which with uuid tells it from another stick that was
    plugged in meanwhile.
    """

    name: str
    node: Path
    disk: Path
    size: int
    kind: str
    number: str
    label: str | None = None
    uuid: str | None = None
    model: str | None = None


def find_sticks(taken: Collection[str], places: Places | None = None) -> tuple[Stick, ...]:
    """The sticks that are plugged in now. taken: names of disks that are to be converted, which are left out.

    Takes well under a second unless a tool hangs on a failing disk.
    """
    places = places or Places()
    devices = read_block_devices(places)
    in_use = devices_in_use(devices, places)
    found = []
    for disk in devices.whole:
        parts = devices.partitions_of(disk.name)
        used = {disk.name, *(part.name for part in parts)}
        if medium_kind(disk) is not MediumKind.OTHER or disk.name in taken or not in_use.keys().isdisjoint(used):
            continue
        found += [stick for each in (parts or (disk,)) if (stick := _stick(each, disk, devices))]
    return tuple(found)


def _stick(device: BlockDevice, disk: BlockDevice, devices: BlockDevices) -> Stick | None:
    content = content_of(device)
    # What is stacked on it (an opened encrypted volume, LVM) may be in use without being mounted.
    if content is None or content.type not in MOUNT_TYPES or device.size == 0 or devices.holders_of(device.name):
        return None
    where = (device.name, device.node, disk.node, device.size)
    return Stick(*where, content.type, device.number, content.label, content.uuid, model_of(disk))
