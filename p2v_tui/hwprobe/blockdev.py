"""The kernel's block devices as they are: whole disks, partitions, and what is stacked on them.

This takes one look at udev and sysfs and keeps the relations (which disk a partition is on, which devices a mapped
device is made of). It does not judge what is a disk that somebody wants to convert: disks.py does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyudev

from p2v_tui.hwprobe.places import Places, entries, read_number, read_text

# sysfs gives sizes in these whatever the sector size of the disk is.
SYSFS_UNIT = 512


@dataclass(frozen=True)
class Ancestor:
    """A device that a block device hangs on: a SCSI device, its host, a PCI function."""

    sys_path: Path
    subsystem: str | None
    driver: str | None


@dataclass(frozen=True)
class BlockDevice:
    """One block device of the kernel.

    name: the kernel's name with `/` for the `!` of sysfs. number: `major:minor`. size: bytes. parent: the block
    device above it in sysfs: a partition's disk, or an eMMC of which this is a hardware partition. ancestors: the
    nearest first, no block devices among them. slaves: names of the devices that this one is made of.
    """

    name: str
    node: Path
    sys_path: Path
    number: str
    size: int
    partition: bool
    parent: str | None
    ancestors: tuple[Ancestor, ...]
    slaves: tuple[str, ...]
    properties: Mapping[str, str] = field(repr=False)

    def attribute(self, name: str) -> str | None:
        return read_text(self.sys_path / name)

    @property
    def removable(self) -> bool:
        return self.attribute("removable") == "1"

    @property
    def virtual(self) -> bool:
        """Whether no hardware is under it. NVMe with native multipath is virtual for sysfs, and yet hangs on its
        subsystem.
        """
        return not self.ancestors and "virtual" in self.sys_path.parts

    @property
    def dm_uuid(self) -> str | None:
        """Device-mapper's UUID, whose prefix tells what made the device: `mpath-`, `LVM-`, `DMRAID-`."""
        return self.attribute("dm/uuid") or self.properties.get("DM_UUID")

    @property
    def dm_name(self) -> str | None:
        return self.attribute("dm/name") or self.properties.get("DM_NAME")

    @property
    def hangs_on(self) -> frozenset[str]:
        """The subsystems of everything that it hangs on."""
        return frozenset(ancestor.subsystem for ancestor in self.ancestors if ancestor.subsystem)


@dataclass(frozen=True)
class BlockDevices:
    """All block devices, in natural order of their names."""

    by_name: Mapping[str, BlockDevice]

    @property
    def whole(self) -> tuple[BlockDevice, ...]:
        """Those that are not partitions."""
        return tuple(device for device in self.by_name.values() if not device.partition)

    def partitions_of(self, name: str) -> tuple[BlockDevice, ...]:
        return tuple(device for device in self.by_name.values() if device.partition and device.parent == name)

    def holders_of(self, name: str) -> tuple[BlockDevice, ...]:
        """The devices that are made of this one."""
        return tuple(device for device in self.by_name.values() if name in device.slaves)

    def numbered(self, number: str) -> BlockDevice | None:
        return next((device for device in self.by_name.values() if device.number == number), None)

    def at(self, path: str, places: Places) -> BlockDevice | None:
        """The device of a node's path, be it a symbolic link below /dev or device-mapper's name."""
        node = places.node(path)
        mapped = path.removeprefix("/dev/mapper/")
        try:
            real = node.resolve()
        except OSError:
            real = node
        for device in self.by_name.values():
            if device.node in (node, real) or (mapped != path and device.dm_name == mapped):
                return device
        return None


def natural(name: str) -> tuple[tuple[str, int, str], ...]:
    """A key that sorts names as the kernel gives them: sdz before sdaa, nvme2n1 before nvme10n1.

    Numbers go by their value, letters by the first one (sd and nvme keep apart), then by their count.
    """
    words = re.findall(r"\d+|\D+", name)
    return tuple(("", int(word), "") if word.isdigit() else (word[0], len(word), word) for word in words)


def read_block_devices(places: Places) -> BlockDevices:
    """One look at all block devices that have a node. What a driver hides (the single paths under an NVMe
    namespace) has none.
    """
    found = (_block_device(device, places) for device in places.udev().list_devices(subsystem="block"))
    visible = _with_contents([device for device in found if device], places)
    return BlockDevices({device.name: device for device in sorted(visible, key=lambda device: natural(device.name))})


def _block_device(device: pyudev.Device, places: Places) -> BlockDevice | None:
    if device.device_node is None:
        return None
    sys_path = places.sys / device.device_path.lstrip("/")
    above = tuple(device.ancestors)
    parent = next((ancestor.sys_name for ancestor in above if ancestor.subsystem == "block"), None)
    properties = dict(device.properties)
    return BlockDevice(
        # libudev has already made cciss/c0d0 of cciss!c0d0.
        name=device.sys_name,
        node=places.node(device.device_node),
        sys_path=sys_path,
        number=f"{properties.get('MAJOR', '0')}:{properties.get('MINOR', '0')}",
        size=(read_number(sys_path / "size") or 0) * SYSFS_UNIT,
        partition=device.device_type == "partition",
        parent=parent,
        ancestors=tuple(
            Ancestor(places.sys / ancestor.device_path.lstrip("/"), ancestor.subsystem, ancestor.driver)
            for ancestor in above
            if ancestor.subsystem != "block"
        ),
        slaves=tuple(entry.name.replace("!", "/") for entry in entries(sys_path / "slaves")),
        properties=properties,
    )


def _with_contents(devices: list[BlockDevice], places: Places) -> list[BlockDevice]:
    """The same devices; where udev's database knows nothing of one, with what blkid itself finds on it."""
    names = {device.name: device for device in devices}
    return [_probed(device, places) if _worth_probing(device, names) else device for device in devices]


def _worth_probing(device: BlockDevice, names: Mapping[str, BlockDevice]) -> bool:
    # No udevd has seen the device: without a database there are only the kernel's own properties.
    if any(key.startswith(("ID_", "DM_", "MD_")) or key in _UDEV_MARKS for key in device.properties):
        return False
    disk = names.get(device.parent or "", device)
    # A floppy drive or an empty card reader is not to be spun up for this, and loop devices are never offered.
    if device.size == 0 or disk.removable or (disk.virtual and not disk.slaves):
        return False
    return not any(ancestor.driver == "floppy" for ancestor in device.ancestors) and os.access(device.node, os.R_OK)


_UDEV_MARKS = frozenset({"DEVLINKS", "USEC_INITIALIZED", "TAGS"})


def _probed(device: BlockDevice, places: Places) -> BlockDevice:
    return replace(device, properties={**blkid_properties(device.node, places), **device.properties})


def blkid_properties(node: Path, places: Places) -> dict[str, str]:
    """What blkid finds on a device, in udev's words; nothing where it fails or finds several things at once."""
    output = places.run(["blkid", "-p", "-o", "udev", str(node)])
    return key_values(output.splitlines()) if output else {}


def key_values(lines: Iterable[str]) -> dict[str, str]:
    """The pairs in lines of the form `KEY=value`; other lines are left alone."""
    return {key: value for key, equals, value in (line.partition("=") for line in lines) if equals}


def unescaped(text: str) -> str:
    """What udev wrote with `\\x20` for each byte that is not safe in a name."""
    raw = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    return raw.decode(errors="replace").strip()
