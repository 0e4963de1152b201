"""The kernel's block devices: whole disks, partitions, and what is stacked on them.

This reads udev and sysfs once and keeps the relations (which disk a partition is on, which devices a mapped device is
made of). disks.py decides which of them are disks to convert.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import pyudev

from p2v_tui.hwprobe.places import Places, entries, read_text

# sysfs gives sizes in these, whatever the disk's sector size.
SYSFS_UNIT = 512


@dataclass(frozen=True)
class Ancestor:
    """A device that a block device is attached to: a SCSI device, its host, a PCI function."""

    sys_path: Path
    subsystem: str | None
    driver: str | None


@dataclass(frozen=True)
class BlockDevice:
    """One block device of the kernel.

    name: the kernel's name with `/` for the `!` of sysfs. number: `major:minor`. size: bytes. parent: the block
    device above it in sysfs: a partition's disk, or an eMMC of which this is a hardware partition. ancestors: nearest
    first, without block devices. slaves: names of the devices that this one is made of. fault: why the kernel's
    figures for it could not be read, in words for the operator; its size is then 0.
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
    fault: str | None = None

    def attribute(self, name: str) -> str | None:
        return read_text(self.sys_path / name)

    def of_its(self, subsystem: str, name: str) -> str | None:
        """An attribute of its nearest ancestor in a subsystem: the SCSI device, the card."""
        above = (
            read_text(ancestor.sys_path / name) for ancestor in self.ancestors if ancestor.subsystem == subsystem
        )
        return next((text for text in above if text is not None), None)

    @property
    def removable(self) -> bool:
        return self.attribute("removable") == "1"

    @property
    def virtual(self) -> bool:
        """Whether it has no hardware. For sysfs NVMe with native multipath is virtual, but it is attached to its
        subsystem.
        """
        return not self.ancestors and "virtual" in self.sys_path.parts

    @property
    def dm_uuid(self) -> str | None:
        """Device-mapper's UUID, whose prefix tells who made the device: `mpath-`, `LVM-`, `DMRAID-`."""
        return self.attribute("dm/uuid") or self.properties.get("DM_UUID")

    @property
    def dm_name(self) -> str | None:
        return self.attribute("dm/name") or self.properties.get("DM_NAME")

    @property
    def hangs_on(self) -> frozenset[str]:
        """The subsystems of all its ancestors."""
        return frozenset(ancestor.subsystem for ancestor in self.ancestors if ancestor.subsystem)


@dataclass(frozen=True)
class Unreadable:
    """A whole device that could not be read. reason: in words for the operator."""

    name: str
    reason: str


@dataclass(frozen=True)
class BlockDevices:
    """All block devices, in natural order of their names.

    unreadable: those that are missing here because reading them failed.

    A SAN host has thousands, and each is searched for its partitions and holders: hence the indices.
    """

    by_name: Mapping[str, BlockDevice]
    unreadable: tuple[Unreadable, ...] = ()

    @cached_property
    def whole(self) -> tuple[BlockDevice, ...]:
        """Those that are not partitions."""
        return tuple(device for device in self.by_name.values() if not device.partition)

    def partitions_of(self, name: str) -> tuple[BlockDevice, ...]:
        return self._partitions.get(name, ())

    def holders_of(self, name: str) -> tuple[BlockDevice, ...]:
        """The devices that are made of this one."""
        return self._holders.get(name, ())

    def numbered(self, number: str) -> BlockDevice | None:
        return self._by_number.get(number)

    def at(self, path: str, places: Places) -> BlockDevice | None:
        """The device for the path of a node, a symbolic link below /dev, or device-mapper's name."""
        node = places.node(path)
        mapped = path.removeprefix("/dev/mapper/")
        found = self._by_node.get(node) or self._by_node.get(Path(os.path.realpath(node)))
        return found or (self._by_dm_name.get(mapped) if mapped != path else None)

    @cached_property
    def _partitions(self) -> Mapping[str | None, tuple[BlockDevice, ...]]:
        return _index((device.parent, device) for device in self.by_name.values() if device.partition)

    @cached_property
    def _holders(self) -> Mapping[str, tuple[BlockDevice, ...]]:
        return _index((slave, device) for device in self.by_name.values() for slave in device.slaves)

    @cached_property
    def _by_number(self) -> Mapping[str, BlockDevice]:
        return _first((device.number, device) for device in self.by_name.values())

    @cached_property
    def _by_node(self) -> Mapping[Path, BlockDevice]:
        return _first((device.node, device) for device in self.by_name.values())

    @cached_property
    def _by_dm_name(self) -> Mapping[str | None, BlockDevice]:
        return _first((device.dm_name, device) for device in self.by_name.values())


_Key = TypeVar("_Key")


def _index(pairs: Iterable[tuple[_Key, BlockDevice]]) -> Mapping[_Key, tuple[BlockDevice, ...]]:
    found: defaultdict[_Key, list[BlockDevice]] = defaultdict(list)
    for key, device in pairs:
        found[key].append(device)
    return {key: tuple(devices) for key, devices in found.items()}


def _first(pairs: Iterable[tuple[_Key, BlockDevice]]) -> Mapping[_Key, BlockDevice]:
    return {key: devices[0] for key, devices in _index(pairs).items()}


def natural(name: str) -> tuple[tuple[str, int, str], ...]:
    """A key that sorts names in the kernel's order: sdz before sdaa, nvme2n1 before nvme10n1.

    Numbers sort by value, letters by the first one (which separates sd from nvme), then by their count.
    """
    words = re.findall(r"\d+|\D+", name)
    return tuple(("", int(word), "") if word.isdigit() else (word[0], len(word), word) for word in words)


def read_block_devices(places: Places) -> BlockDevices:
    """Reads all block devices that have a node. Those that a driver hides (the single paths under an NVMe namespace)
    have none. A device that cannot be read does not affect the others.
    """
    found: list[BlockDevice] = []
    unreadable: list[Unreadable] = []
    for device in places.udev().list_devices(subsystem="block"):
        try:
            seen = _block_device(device, places)
            found += [seen] if seen else []
        except DEVICE_FAULTS as error:
            if device.device_type != "partition":
                unreadable.append(Unreadable(device.sys_name, not_looked_at(error)))
    visible = _with_contents(found, places)
    ordered = sorted(visible, key=lambda device: natural(device.name))
    return BlockDevices({device.name: device for device in ordered}, tuple(unreadable))


# What reading a device can raise. pyudev raises a LookupError for a removed one; UnicodeDecodeError is a ValueError.
DEVICE_FAULTS: Final = (OSError, ValueError, LookupError)


def not_looked_at(error: Exception) -> str:
    """What one of DEVICE_FAULTS means, in words for the operator."""
    if isinstance(error, FileNotFoundError | LookupError):
        return "it went away while it was looked at"
    said = error.strerror if isinstance(error, OSError) else "the kernel's answer is not understood"
    return f"it could not be looked at: {said}"


def _block_device(device: pyudev.Device, places: Places) -> BlockDevice | None:
    """The device; None where it has no node. Raises one of DEVICE_FAULTS."""
    if device.device_node is None:
        return None
    sys_path = places.sys / device.device_path.lstrip("/")
    above = tuple(device.ancestors)
    parent = next((ancestor.sys_name for ancestor in above if ancestor.subsystem == "block"), None)
    properties = properties_of(device, places)
    size, fault = _size(sys_path)
    return BlockDevice(
        # libudev has already made cciss/c0d0 of cciss!c0d0.
        name=device.sys_name,
        node=places.node(device.device_node),
        sys_path=sys_path,
        number=f"{properties.get('MAJOR', '0')}:{properties.get('MINOR', '0')}",
        size=size,
        partition=device.device_type == "partition",
        parent=parent,
        ancestors=tuple(
            Ancestor(places.sys / ancestor.device_path.lstrip("/"), ancestor.subsystem, ancestor.driver)
            for ancestor in above
            if ancestor.subsystem != "block"
        ),
        slaves=tuple(entry.name.replace("!", "/") for entry in entries(sys_path / "slaves")),
        properties=properties,
        fault=fault,
    )


def _size(sys_path: Path) -> tuple[int, str | None]:
    """The size in bytes; or 0, and why it cannot be read: the disk was removed, or its driver fails."""
    try:
        return int((sys_path / "size").read_text()) * SYSFS_UNIT, None
    except DEVICE_FAULTS as error:
        return 0, not_looked_at(error)


def properties_of(device: pyudev.Device, places: Places) -> dict[str, str]:
    """udev's properties of a device. Text that is not UTF-8 (a partition's name, before Linux 6.5) gets replacement
    characters.

    pyudev decodes strictly, names and values (pyudev#370).
    """
    return {name: value for name in _names(device, places) if (value := _value(device, name)) is not None}


def _names(device: pyudev.Device, places: Places) -> Iterator[str]:
    try:
        yield from tuple(device.properties)
    except UnicodeDecodeError:
        # After a line feed in a partition's name the rest looks like a property. libudev has its names from these
        # two.
        sys_path = places.sys / device.device_path.lstrip("/")
        number = device.device_number
        data = places.udev_data / f"b{os.major(number)}:{os.minor(number)}"
        noted = [line.removeprefix("E:") for line in _lines(data) if line.startswith("E:")]
        yield from key_values([*_lines(sys_path / "uevent"), *noted])


def _lines(path: Path) -> list[str]:
    return (read_text(path) or "").splitlines()


def _value(device: pyudev.Device, name: str) -> str | None:
    try:
        value: str | None = device.properties.get(name)
    except UnicodeDecodeError as error:
        return error.object.decode(errors="replace")
    return value


def _with_contents(devices: list[BlockDevice], places: Places) -> list[BlockDevice]:
    """The same devices; with blkid's own findings for those that are missing in udev's database."""
    names = {device.name: device for device in devices}
    return [_probed(device, places) if _worth_probing(device, names) else device for device in devices]


def _worth_probing(device: BlockDevice, names: Mapping[str, BlockDevice]) -> bool:
    # Without an entry in udev's database a device has only the kernel's own properties.
    if any(key.startswith(("ID_", "DM_", "MD_")) or key in _UDEV_MARKS for key in device.properties):
        return False
    disk = names.get(device.parent or "", device)
    # Do not spin up a floppy drive or an empty card reader for this; and loop devices are never offered.
    if device.size == 0 or _may_be_empty(disk) or (disk.virtual and not disk.slaves):
        return False
    return not any(ancestor.driver == "floppy" for ancestor in device.ancestors) and os.access(device.node, os.R_OK)


def _may_be_empty(disk: BlockDevice) -> bool:
    """Whether it may be a drive without a medium. RAID drivers and libata set the flag for ordinary disks as well."""
    on_plug = disk.hangs_on & {"usb", "firewire", "ieee1394", "ide"}
    return disk.removable and (bool(on_plug) or disk.of_its("scsi", "type") in {"5", "7"})


_UDEV_MARKS = frozenset({"DEVLINKS", "USEC_INITIALIZED", "TAGS"})


def _probed(device: BlockDevice, places: Places) -> BlockDevice:
    return replace(device, properties={**blkid_properties(device.node, places), **device.properties})


def blkid_properties(
    node: Path, places: Places, region: tuple[int, int] | None = None, *, words: str = "udev"
) -> dict[str, str]:
    """What blkid finds on a device or in an image; empty if it fails or finds several things at once.

    region: where to look: the first byte and the length. words: `udev`, or `export` for blkid's own, which are more.
    """
    where = ["-O", str(region[0]), "-S", str(region[1])] if region else []
    return key_values((places.run(["blkid", "-p", "-o", words, *where, str(node)]) or "").splitlines())


def key_values(lines: Iterable[str]) -> dict[str, str]:
    """The pairs in lines of the form `KEY=value`; other lines are left alone."""
    return {key: value for key, equals, value in (line.partition("=") for line in lines) if equals}


def unescaped(text: str) -> str:
    """What udev wrote with `\\x20` for each byte that is not safe in a name."""
    raw = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    return raw.decode(errors="replace").strip()
