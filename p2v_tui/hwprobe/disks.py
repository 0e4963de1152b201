"""Which block devices are fixed disks that can be converted, and why the others are not.

The answer comes from what udev and sysfs know of each device (what it hangs on, what it is made of, who holds it),
never from its name. The order of the disks is boot_order.py's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.contents import content_of, partition_number, partition_table_of, partitions_of
from p2v_tui.hwprobe.identity import model_of, serial_of, transport_of, wwn_of
from p2v_tui.hwprobe.machine import Disk, ExcludedDisk, MediumKind
from p2v_tui.hwprobe.places import Places, exists, read_number, read_text
from p2v_tui.hwprobe.removable import medium_kind

# How an md array's metadata_version starts where a firmware's format is on the disks (mdadm's "external" kinds).
_EXTERNAL = "external:"
_MULTIPATH = "mpath-"
_DMRAID = "DMRAID-"
# What multipath's udev rules put in the place of the real content, on each path.
_MULTIPATH_MEMBER = "mpath_member"
_SOFTWARE_RAID_MEMBER = "linux_raid_member"

# The formats of firmware RAID that mdadm assembles; dmraid assembles the others.
_MDADM_FORMATS = frozenset({"isw_raid_member", "ddf_raid_member"})

# What the drivers' names in /proc/devices mean, for the devices that have no hardware under them.
_VIRTUAL_KINDS = {
    "loop": "loop device: a file that looks like a disk",
    "ramdisk": "RAM disk of the running system",
    "zram": "compressed RAM of the running system",
    "nbd": "network block device",
    "drbd": "DRBD device: its backing disk is converted",
}


@dataclass(frozen=True)
class FoundDisks:
    """disks: the kernel's name of each device (`dm-0` for `mpatha`) with the disk, in natural order.

    names: the same for every disk of the machine, those that are left out among them, with the operator's name of it.
    What is part of a disk or made of disks has no name there.
    """

    disks: Mapping[str, Disk]
    excluded: tuple[ExcludedDisk, ...]
    names: Mapping[str, str]


def find_disks(devices: BlockDevices, in_use: Mapping[str, str], places: Places) -> FoundDisks:
    """Sort the whole devices into fixed disks and excluded ones.

    CD and floppy drives are neither, they are removable media. in_use: what live_medium.devices_in_use() says.
    """
    drivers = block_drivers(read_text(places.proc / "devices") or "")
    disks: dict[str, Disk] = {}
    excluded: list[ExcludedDisk] = []
    names: dict[str, str] = {}
    for device in devices.whole:
        if medium_kind(device) in {MediumKind.CDROM, MediumKind.FLOPPY} or _is_partition_of_mapped_disk(
            device, devices
        ):
            continue
        no_disk = _not_a_disk(device, drivers) or _part_of_another_disk(device, devices)
        if not no_disk:
            names[device.name] = _shown_name(device)
        reason = no_disk or _not_convertible(device, devices, in_use)
        if reason:
            excluded.append(ExcludedDisk(_shown_name(device), device.size, reason, model_of(device)))
        else:
            disks[device.name] = _disk(device, devices, places)
    return FoundDisks(disks, tuple(excluded), names)


def block_drivers(proc_devices: str) -> dict[str, str]:
    """The drivers of block devices by major number, from the text of /proc/devices."""
    _, _, block = proc_devices.partition("Block devices:")
    return dict(words for line in block.splitlines() if len(words := line.split()) == 2)


def is_multipath(device: BlockDevice) -> bool:
    return (device.dm_uuid or "").startswith(_MULTIPATH)


def is_firmware_raid(device: BlockDevice) -> bool:
    """Whether the device is a volume of a firmware RAID set: md under a container, or dmraid's mapping."""
    return (_external_format(device) or "").startswith(("/", "-")) or (device.dm_uuid or "").startswith(_DMRAID)


def _external_format(device: BlockDevice) -> str | None:
    """`imsm` or `ddf` for a container, `/md127/0` for a volume in it (`-` for `/` while read-only), else None."""
    version = device.attribute("md/metadata_version") or ""
    return version.removeprefix(_EXTERNAL) if version.startswith(_EXTERNAL) else None


def _is_partition_of_mapped_disk(device: BlockDevice, devices: BlockDevices) -> bool:
    below = [devices.by_name[name] for name in device.slaves if name in devices.by_name]
    disks = [disk for disk in below if is_multipath(disk) or is_firmware_raid(disk)]
    return any(partition_number(device, disk) is not None for disk in disks)


def _not_a_disk(device: BlockDevice, drivers: Mapping[str, str]) -> str | None:
    """Why a device is no disk of the machine in its own right: made of other devices, or of no hardware at all."""
    if device.dm_uuid is not None or device.dm_name is not None:
        return None if is_multipath(device) or is_firmware_raid(device) else _mapped(device.dm_uuid or "")
    if device.attribute("md/metadata_version") is not None:
        return None if is_firmware_raid(device) else _array(device)
    if device.parent:
        return f"hardware partition of {device.parent} for its firmware, not for data"
    if "rbd" in device.hangs_on:
        return "Ceph network block device"
    if device.virtual:
        driver = drivers.get(device.number.partition(":")[0], "")
        return _VIRTUAL_KINDS.get(driver, "virtual device, no disk of this machine")
    return None


def _mapped(uuid: str) -> str:
    if uuid.startswith("LVM-"):
        return "LVM logical volume: converted with the disks that hold it"
    if uuid.startswith("CRYPT-"):
        return "opened encrypted volume: converted, still encrypted, with the disk that holds it"
    return "device-mapper device, no disk of this machine"


def _array(device: BlockDevice) -> str:
    container = _external_format(device)
    if container:
        return f"container of a firmware RAID set ({container}), not a disk"
    return "software RAID array: the guest assembles it from its member disks"


def _part_of_another_disk(device: BlockDevice, devices: BlockDevices) -> str | None:
    for holder in devices.holders_of(device.name):
        # dmraid gives the partitions of a set the same kind of UUID as the set.
        if partition_number(holder, device) is not None:
            continue
        if is_multipath(holder):
            return f"path of {_shown_name(holder)}"
        if is_firmware_raid(holder):
            return f"member of the firmware RAID set {_shown_name(holder)}"
    return None


def _not_convertible(device: BlockDevice, devices: BlockDevices, in_use: Mapping[str, str]) -> str | None:
    """Why a disk is not offered, in words for the operator; None where it is."""
    return device.fault or in_use.get(device.name) or _empty_or_removable(device) or _unassembled(device, devices)


def _empty_or_removable(device: BlockDevice) -> str | None:
    if device.size == 0:
        return "no medium in the drive" if device.removable else "its size is zero"
    return "removable medium: its content is not converted" if device.removable else None


def _unassembled(device: BlockDevice, devices: BlockDevices) -> str | None:
    kind = device.properties.get("ID_FS_TYPE", "")
    if kind == _MULTIPATH_MEMBER:
        return "path of a multipath disk that is not assembled: run `multipath`, then refresh"
    if not kind.endswith("_raid_member") or kind == _SOFTWARE_RAID_MEMBER:
        return None
    container = next((holder for holder in devices.holders_of(device.name) if _external_format(holder)), None)
    if container:
        command = f"mdadm --incremental --run /dev/{container.name}"
    else:
        command = "mdadm --assemble --scan" if kind in _MDADM_FORMATS else "dmraid -ay"
    return f"member of a firmware RAID set that is not assembled: run `{command}`, then refresh"


def _shown_name(device: BlockDevice) -> str:
    """device-mapper's own name where there is one: nobody knows what dm-3 is."""
    return device.dm_name or device.name


def _node(device: BlockDevice, places: Places) -> Path:
    """The stable node: dm-0 may be another disk after the next boot, /dev/mapper/mpatha is not."""
    mapped = places.dev / "mapper" / (device.dm_name or "")
    return mapped if device.dm_name and exists(mapped) else device.node


def _disk(device: BlockDevice, devices: BlockDevices, places: Places) -> Disk:
    below = [devices.by_name[name] for name in device.slaves if name in devices.by_name]
    # Every path of a multipath disk is the same drive, so the first one speaks for it.
    drive = below[0] if is_multipath(device) and below else device
    raid = is_firmware_raid(device)
    transports = {transport_of(member) for member in below}
    table = partition_table_of(device)
    return Disk(
        name=_shown_name(device),
        device=_node(device, places),
        size=device.size,
        logical_sector_size=read_number(device.sys_path / "queue/logical_block_size") or 512,
        physical_sector_size=read_number(device.sys_path / "queue/physical_block_size") or 512,
        model=_raid_model(device, devices) if raid else model_of(drive),
        serial=None if raid else serial_of(drive),
        wwn=None if raid else wwn_of(drive),
        transport=(transports.pop() if len(transports) == 1 else None) if raid else transport_of(drive),
        partition_table=table,
        content=None if table else content_of(device),
        partitions=partitions_of(device, devices),
        members=device.slaves,
        partition_table_uuid=device.properties.get("ID_PART_TABLE_UUID"),
    )


def _raid_model(device: BlockDevice, devices: BlockDevices) -> str:
    """What to call a firmware RAID volume, which has no model: its level and format."""
    if not device.attribute("md/metadata_version"):
        return "firmware RAID volume"
    container = devices.by_name.get((_external_format(device) or "").lstrip("-/").partition("/")[0])
    kind = _external_format(container) if container else None
    level = device.attribute("md/level")
    details = ", ".join(word for word in (level, kind) if word)
    return f"firmware RAID volume ({details})" if details else "firmware RAID volume"
