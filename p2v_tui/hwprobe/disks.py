"""Which block devices are fixed disks that can be converted, and why the others are not.

It decides by what udev and sysfs know about each device (its ancestors, its parts, its holders), never by its name.
boot_order.py orders the disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.contents import content_of, partition_number, partition_table_of, partitions_of
from p2v_tui.hwprobe.copies import other_paths
from p2v_tui.hwprobe.exclusion import (
    CEPH,
    FIRMWARE_FLASH,
    MAPPED,
    NO_MEDIUM,
    NO_SIZE,
    OPENED,
    PATH_WITHOUT_MAP,
    REMOVABLE,
    SOFTWARE_ARRAY,
    VOLUME,
    Exclusion,
    container,
    hardware_partition,
    member_of,
    other_path,
    path_of,
    unassembled,
    virtual,
)
from p2v_tui.hwprobe.identity import links_of, model_of, serial_of, transport_of, wwn_of
from p2v_tui.hwprobe.ldm import is_dynamic
from p2v_tui.hwprobe.machine import Disk, ExcludedDisk, MediumKind
from p2v_tui.hwprobe.places import Places, exists, read_number, read_text
from p2v_tui.hwprobe.removable import medium_kind
from p2v_tui.hwprobe.signatures import is_firmware_format, is_stale

# How an md array's metadata_version starts if the disks have a firmware's format (mdadm's "external" kinds).
_EXTERNAL = "external:"
_MULTIPATH = "mpath-"
_DMRAID = "DMRAID-"
# What multipath's udev rules set on each path instead of the real content.
_MULTIPATH_MEMBER = "mpath_member"

# The formats of firmware RAID that mdadm assembles; dmraid assembles the others.
_MDADM_FORMATS = frozenset({"isw_raid_member", "ddf_raid_member"})


@dataclass(frozen=True)
class FoundDisks:
    """disks: the kernel's name of each device (`dm-0` for `mpatha`) with the disk, in natural order.

    names: the operator's name of every disk of the machine, also of those that are left out. Parts of disks and
    devices made of disks are not in it.
    """

    disks: Mapping[str, Disk]
    excluded: tuple[ExcludedDisk, ...]
    names: Mapping[str, str]


def find_disks(devices: BlockDevices, in_use: Mapping[str, Exclusion], places: Places) -> FoundDisks:
    """Sort the whole devices into fixed disks and excluded ones.

    CD and floppy drives are neither, but removable media. in_use: from live_medium.devices_in_use().
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
        # Naming what carries the running system does not help, whatever else it is.
        exclusion = _in_use(device, in_use, no_disk) or no_disk or _not_convertible(device, devices)
        if exclusion:
            excluded.append(_left_out(device, exclusion, devices, places))
        else:
            disks[device.name] = _disk(device, devices, places)
    once, others = _each_once(disks)
    return FoundDisks(once, (*excluded, *others), names)


def _each_once(disks: Mapping[str, Disk]) -> tuple[dict[str, Disk], list[ExcludedDisk]]:
    """The disks, each once, and the other paths to them."""
    first = {other.name: disk.name for other, disk in other_paths(disks.values())}
    once = {name: disk for name, disk in disks.items() if disk.name not in first}
    return once, [_path(disk, first[disk.name]) for disk in disks.values() if disk.name in first]


def _path(disk: Disk, to: str) -> ExcludedDisk:
    path = other_path(to)
    return ExcludedDisk(disk.name, disk.size, path.reason, disk.model, disk, path.risk or "", same_as=to)


def _left_out(device: BlockDevice, exclusion: Exclusion, devices: BlockDevices, places: Places) -> ExcludedDisk:
    can_be_had = exclusion.risk is not None and device.size > 0
    return ExcludedDisk(
        _shown_name(device),
        device.size,
        exclusion.reason,
        model_of(device),
        _disk(device, devices, places) if can_be_had else None,
        exclusion.risk or "" if can_be_had else "",
        fault=device.fault is not None,
        own=exclusion.own,
    )


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


def _not_a_disk(device: BlockDevice, drivers: Mapping[str, str]) -> Exclusion | None:
    """Why a device is not a real disk: it is made of other devices, or is not hardware."""
    if device.dm_uuid is not None or device.dm_name is not None:
        return None if is_multipath(device) or is_firmware_raid(device) else _mapped(device.dm_uuid or "")
    if device.attribute("md/metadata_version") is not None:
        return None if is_firmware_raid(device) else _array(device)
    if device.parent:
        return hardware_partition(device.parent)
    if "rbd" in device.hangs_on:
        return CEPH
    if "mtd" in device.hangs_on:
        return FIRMWARE_FLASH
    return virtual(drivers.get(device.number.partition(":")[0], "")) if device.virtual else None


def _mapped(uuid: str) -> Exclusion:
    if uuid.startswith("LVM-"):
        return VOLUME
    return OPENED if uuid.startswith("CRYPT-") else MAPPED


def _array(device: BlockDevice) -> Exclusion:
    kind = _external_format(device)
    return container(kind) if kind else SOFTWARE_ARRAY


def _part_of_another_disk(device: BlockDevice, devices: BlockDevices) -> Exclusion | None:
    for holder in devices.holders_of(device.name):
        # dmraid gives a set's partitions the same kind of UUID as the set.
        if partition_number(holder, device) is not None:
            continue
        if is_multipath(holder):
            return path_of(_shown_name(holder))
        if is_firmware_raid(holder):
            return member_of(_shown_name(holder))
    return None


def _in_use(device: BlockDevice, in_use: Mapping[str, Exclusion], no_disk: Exclusion | None) -> Exclusion | None:
    """How the running system uses a device, if that matters: what is not a disk keeps its own reason."""
    used = in_use.get(device.name)
    if used and no_disk:
        return Exclusion(no_disk.reason) if used.risk is None else None
    return used


def _not_convertible(device: BlockDevice, devices: BlockDevices) -> Exclusion | None:
    """Why a disk is not offered; None if it is."""
    if device.fault:
        return Exclusion(device.fault)
    removable = medium_kind(device) is not None
    if device.size == 0:
        return NO_MEDIUM if removable else NO_SIZE
    return REMOVABLE if removable else _unassembled(device, devices)


def _unassembled(device: BlockDevice, devices: BlockDevices) -> Exclusion | None:
    kind = device.properties.get("ID_FS_TYPE", "")
    if kind == _MULTIPATH_MEMBER:
        return PATH_WITHOUT_MAP
    if not is_firmware_format(kind) or is_stale(device, devices):
        return None
    holder = next((holder for holder in devices.holders_of(device.name) if _external_format(holder)), None)
    if holder:
        return unassembled(f"mdadm --incremental --run /dev/{holder.name}")
    return unassembled("mdadm --assemble --scan" if kind in _MDADM_FORMATS else "dmraid -ay")


def _shown_name(device: BlockDevice) -> str:
    """device-mapper's own name, if any: nobody knows what dm-3 is."""
    return device.dm_name or device.name


def _node(device: BlockDevice, places: Places) -> Path:
    """The stable node: dm-0 may be another disk after the next boot, /dev/mapper/mpatha is not."""
    mapped = places.dev / "mapper" / (device.dm_name or "")
    return mapped if device.dm_name and exists(mapped) else device.node


def _disk(device: BlockDevice, devices: BlockDevices, places: Places) -> Disk:
    below = [devices.by_name[name] for name in device.slaves if name in devices.by_name]
    # All paths of a multipath disk are the same drive, so the first one will do.
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
        dynamic=is_dynamic(device, devices),
        old_signature=device.properties.get("ID_FS_TYPE") if is_stale(device, devices) else None,
        partitions=partitions_of(device, devices),
        members=device.slaves,
        partition_table_uuid=device.properties.get("ID_PART_TABLE_UUID"),
        links=links_of(device, *(below if is_multipath(device) else ())),
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
