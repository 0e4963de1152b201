"""Disks that belong together: a volume group, an array or a file system that spans several of them.

A guest with half a volume group does not boot, so the operator has to know, be the other half on a disk that is
offered or on one that is left out. Nothing is activated or assembled to find out; LVM's own tool reads the metadata,
without locks and without writing.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.contents import label_of
from p2v_tui.hwprobe.disks import FoundDisks
from p2v_tui.hwprobe.machine import DiskGroup
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.signatures import is_stale

VOLUME_GROUP = "LVM volume group"
MD_ARRAY = "md array"
BTRFS = "btrfs file system"
ZFS = "ZFS pool"

# In the place of a volume group's name, which is read after "The LVM volume group".
UNKNOWN_VOLUME_GROUP = "(unknown: lvm2 is missing or fails)"

_LVM_MEMBER = "LVM2_member"


@dataclass(frozen=True)
class _Membership:
    """One device is a part of something. identity: what the parts of one thing have in common. name: may be empty."""

    kind: str
    identity: str
    name: str
    device: BlockDevice


def find_groups(devices: BlockDevices, found: FoundDisks, places: Places) -> tuple[DiskGroup, ...]:
    """The things that two or more disks hold together, at least one of which is offered."""
    offered = {disk.name for disk in found.disks.values()}
    names: dict[tuple[str, str], str] = {}
    held: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for part in _memberships(devices, places):
        key = (part.kind, part.identity)
        # The first name wins: LVM and the superblocks know it better than the running system.
        names[key] = names.get(key) or part.name
        held[key] |= disks_below(part.device, devices, found.names)
    groups = [
        DiskGroup(kind, names[kind, identity] or identity, frozenset(on)) for (kind, identity), on in held.items()
    ]
    shared = (group for group in groups if len(group.disks) > 1 and group.disks & offered)
    return tuple(sorted(shared, key=lambda it: (it.kind, it.name)))


def disks_below(device: BlockDevice, devices: BlockDevices, owners: Mapping[str, str]) -> set[str]:
    """The names of the disks that carry a device: through partitions, arrays, LUKS and logical volumes."""
    # A path of a multipath disk, or a member of a firmware RAID set, stands for that disk.
    above = [holder.name for holder in devices.holders_of(device.name)]
    for name in (device.name, *above):
        if name in owners:
            return {owners[name]}
    below = (device.parent,) if device.partition and device.parent else device.slaves
    found = (disks_below(devices.by_name[name], devices, owners) for name in below if name in devices.by_name)
    return set().union(*found)


def _memberships(devices: BlockDevices, places: Places) -> Iterator[_Membership]:
    valid = [device for device in devices.by_name.values() if not is_stale(device, devices)]
    holding = [device for device in valid if device.properties.get("ID_FS_TYPE") == _LVM_MEMBER]
    rows = _ask_pvs(holding, places) if holding else []
    yield from _physical_volumes(rows or [], devices, places)
    for device in valid:
        yield from _recognised(device)
    active = [part for device in devices.by_name.values() for part in _active(device, devices)]
    yield from active
    if rows is None:
        yield from _unknown(holding, active)


def _recognised(device: BlockDevice) -> Iterator[_Membership]:
    """What blkid's name of the content says. One identity on several disks is one thing spanning them."""
    uuid = device.properties.get("ID_FS_UUID")
    if not uuid:
        return
    label = label_of(device) or ""
    match device.properties.get("ID_FS_TYPE"):
        case "linux_raid_member":
            # mdadm writes `homehost:name`; metadata of version 0.90 has no name at all.
            yield _Membership(MD_ARRAY, _bare(uuid), label.rpartition(":")[2], device)
        case "btrfs":
            yield _Membership(BTRFS, uuid, label, device)
        case "zfs_member":
            yield _Membership(ZFS, uuid, label, device)


def _active(device: BlockDevice, devices: BlockDevices) -> Iterator[_Membership]:
    """What an active logical volume or a running array shows, where the members themselves say nothing."""
    uuid = device.dm_uuid or ""
    below = [devices.by_name[name] for name in device.slaves if name in devices.by_name]
    if uuid.startswith("LVM-"):
        group = device.properties.get("DM_VG_NAME") or _group_in(device.dm_name or "")
        # 32 characters of the group's UUID, then 32 of the volume's.
        for member in below:
            yield _Membership(VOLUME_GROUP, uuid.removeprefix("LVM-")[:32], group, member)
    version = device.attribute("md/metadata_version")
    if version and not version.startswith("external:"):
        identity = _bare(device.properties.get("MD_UUID") or device.attribute("md/uuid") or device.name)
        for member in below:
            known = member.properties.get("ID_FS_UUID") if _is_raid_member(member) else None
            yield _Membership(MD_ARRAY, _bare(known) if known else identity, device.name, member)


def _is_raid_member(device: BlockDevice) -> bool:
    return device.properties.get("ID_FS_TYPE") == "linux_raid_member"


def _bare(uuid: str) -> str:
    """A UUID without its separators: mdadm writes colons where blkid writes hyphens."""
    return re.sub(r"[:-]", "", uuid).lower()


def _group_in(dm_name: str) -> str:
    """The volume group in device-mapper's name: `vg-lv`, hyphens in the names themselves doubled."""
    group = re.match(r"(?:[^-]|--)+", dm_name)
    return group[0].replace("--", "-") if group else dm_name


def _physical_volumes(
    rows: Iterable[Mapping[str, str]], devices: BlockDevices, places: Places
) -> Iterator[_Membership]:
    """The physical volumes with their groups. rows: of the report by pvs."""
    for row in rows:
        device = devices.at(row.get("pv_name", ""), places)
        name, uuid = row.get("vg_name"), row.get("vg_uuid")
        if device and name and uuid:
            yield _Membership(VOLUME_GROUP, uuid.replace("-", ""), name, device)


def _unknown(holding: Iterable[BlockDevice], active: Iterable[_Membership]) -> Iterator[_Membership]:
    """The physical volumes as one group where pvs did not say which groups there are, and not all are active.

    A physical volume of unknown group may be a part of any group, an active one too: an active volume shows the disks
    that it lies on, not the others of its group. To ask for a disk too many costs a copy, or the installation of
    lvm2; to let half a group through costs the guest.
    """
    known = {part.device.name for part in active if part.kind == VOLUME_GROUP}
    if any(device.name not in known for device in holding):
        for device in holding:
            yield _Membership(VOLUME_GROUP, "", UNKNOWN_VOLUME_GROUP, device)


def _ask_pvs(holding: Iterable[BlockDevice], places: Places) -> list[dict[str, str]] | None:
    """What pvs reports of these devices; None where it is missing or fails. No other device is opened."""
    report = places.run(_pvs(holding))
    return None if report is None else _rows(report)


def _pvs(holding: Iterable[BlockDevice]) -> list[str]:
    """The command that reads LVM's metadata on these devices and nothing else on the machine."""
    nodes = [str(device.node) for device in holding]
    nodes += [f"/dev/mapper/{device.dm_name}" for device in holding if device.dm_name]
    allowed = ", ".join(json.dumps(f"a|^{re.escape(node)}$|") for node in nodes)
    # The live system's own settings must not matter: a devices file or hints of an earlier look, a filter.
    settings = f'devices {{ use_devicesfile=0 hints="none" filter=[{allowed}, "r|.*|"] global_filter=["a|.*|"] }}'
    columns = "pv_name,vg_name,vg_uuid"
    return ["pvs", "--readonly", "--reportformat", "json", "-o", columns, "--config", settings]


def _rows(report: str) -> list[dict[str, str]] | None:
    """The rows of an LVM report in JSON; None where it is not one."""
    try:
        parsed: Any = json.loads(report)
        return [row for section in parsed["report"] for row in section["pv"]]
    except (ValueError, KeyError, TypeError):
        return None
