"""Disks that belong together: a volume group, an array or a file system that spans several of them.

A guest with half a volume group does not boot, so the operator has to know, whether the other half is on an offered
disk or on one that is left out. Nothing is activated or assembled for this; LVM's own tool reads the metadata,
without locks and without writing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.contents import label_of
from p2v_tui.hwprobe.disks import FoundDisks
from p2v_tui.hwprobe.group_parts import LVM_MEMBER, Membership, Thing, disks_below, gather, with_superblocks
from p2v_tui.hwprobe.lvm import physical_volumes
from p2v_tui.hwprobe.machine import DiskGroup
from p2v_tui.hwprobe.md import MEMBER, bare
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.signatures import is_repeated, is_stale
from p2v_tui.hwprobe.spanning import find_spanning

VOLUME_GROUP = "LVM volume group"
MD_ARRAY = "md array"

# Used as a volume group's name, after "The LVM volume group".
UNKNOWN_VOLUME_GROUP = "(unknown: lvm2 is missing or cannot read it)"

# The content of these is hidden until they are opened.
_OPAQUE = frozenset({MEMBER, "crypto_LUKS", "BitLocker", "bcache"})


def find_groups(devices: BlockDevices, found: FoundDisks, places: Places) -> tuple[DiskGroup, ...]:
    """The groups with an offered disk that span two or more disks, or that lack a member."""
    offered = frozenset(disk.name for disk in found.disks.values())
    valid = [
        device
        for device in devices.by_name.values()
        if not is_stale(device, devices) and not is_repeated(device, devices)
    ]
    holding = [device for device in valid if device.properties.get("ID_FS_TYPE") == LVM_MEMBER]
    rows = physical_volumes(holding, places) if holding else []
    silent = holding if rows is None else _not_reported(rows, holding, devices, places)
    things = gather(_memberships(devices, valid, rows or [], silent, places), devices, found.names)
    hidden = _hidden(valid, silent, devices, found.names)
    lacking = _lacking(rows or [])
    groups = (_whole(thing, lacking.get(thing.identity, 0), hidden, places) for thing in things)
    worth_saying = (group for group in groups if len(group.disks) > 1 or group.unseen or is_uncounted(group))
    shared = (group for group in worth_saying if group.holds_any(offered))
    return tuple(sorted(shared, key=lambda it: (it.kind, it.name)))


def is_uncounted(group: DiskGroup) -> bool:
    """Whether its number of members could not be read from its metadata, so that a missing one would go unnoticed."""
    if group.kind == MD_ARRAY:
        return group.members is None
    return group.kind == VOLUME_GROUP and group.name == UNKNOWN_VOLUME_GROUP


def _whole(thing: Thing, lacking: int, hidden: frozenset[str], places: Places) -> DiskGroup:
    """The group, with what its metadata says about members that were not found.

    lacking: how many physical volumes pvs misses. hidden: the disks that may contain them.
    """
    if thing.kind == MD_ARRAY:
        return with_superblocks(thing, places)
    group = thing.group
    if thing.kind == VOLUME_GROUP and lacking:
        unsure = group.unsure or bool(hidden)
        members = thing.seen + lacking
        disks = group.disks | hidden
        return replace(group, disks=disks, unseen=lacking, members=members, unsure=unsure)
    return group


def _hidden(
    valid: Iterable[BlockDevice], silent: Iterable[BlockDevice], devices: BlockDevices, owners: Mapping[str, str]
) -> frozenset[str]:
    """The disks with hidden content: closed arrays, encrypted volumes, unreadable physical volumes."""
    closed = (
        device
        for device in valid
        if device.properties.get("ID_FS_TYPE") in _OPAQUE and not devices.holders_of(device.name)
    )
    return frozenset(name for device in (*closed, *silent) for name in disks_below(device, devices, owners))


def _not_reported(
    rows: Iterable[Mapping[str, str]], holding: Iterable[BlockDevice], devices: BlockDevices, places: Places
) -> list[BlockDevice]:
    """The physical volumes whose group pvs does not tell: their metadata is unreadable or damaged."""
    known = [
        device
        for row in rows
        if row.get("vg_name") != "[unknown]" and (device := devices.at(row.get("pv_name", ""), places))
    ]
    names = {device.name for device in known}
    # If a physical volume exists twice, pvs reports only one.
    uuids = {uuid for device in known if (uuid := device.properties.get("ID_FS_UUID"))}
    return [it for it in holding if it.name not in names and it.properties.get("ID_FS_UUID") not in uuids]


def _lacking(rows: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """How many physical volumes each volume group lacks, by its UUID: pvs has a row for each, and a count."""
    rowed: defaultdict[str, int] = defaultdict(int)
    counted: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        uuid, missing = row.get("vg_uuid", "").replace("-", ""), row.get("vg_missing_pv_count", "")
        rowed[uuid] += not row.get("pv_name", "").startswith("/")
        counted[uuid] = max(counted[uuid], int(missing) if missing.isdecimal() else 0)
    return {uuid: max(rowed[uuid], counted[uuid]) for uuid in rowed if uuid}


def _memberships(
    devices: BlockDevices,
    valid: Sequence[BlockDevice],
    rows: Sequence[Mapping[str, str]],
    silent: Sequence[BlockDevice],
    places: Places,
) -> Iterator[Membership]:
    """valid: the devices whose signatures are not stale. rows: of pvs's report.

    silent: the physical volumes whose group it does not tell.
    """
    holding = [device for device in valid if device.properties.get("ID_FS_TYPE") == LVM_MEMBER]
    yield from _physical_volumes(rows, holding, devices, places)
    for device in valid:
        yield from _member_of_array(device)
    yield from find_spanning(devices, valid, places)
    active = [part for device in devices.by_name.values() for part in _active(device, devices)]
    yield from active
    yield from _unknown(silent, active)


def _member_of_array(device: BlockDevice) -> Iterator[Membership]:
    uuid = device.properties.get("ID_FS_UUID")
    if uuid and _is_raid_member(device):
        # mdadm writes `homehost:name`; metadata of version 0.90 has no name at all.
        yield Membership(MD_ARRAY, bare(uuid), (label_of(device) or "").rpartition(":")[2], device)


def _active(device: BlockDevice, devices: BlockDevices) -> Iterator[Membership]:
    """Memberships shown by active logical volumes and running arrays, if the members themselves say nothing."""
    uuid = device.dm_uuid or ""
    below = [devices.by_name[name] for name in device.slaves if name in devices.by_name]
    if uuid.startswith("LVM-"):
        group = device.properties.get("DM_VG_NAME") or _group_in(device.dm_name or "")
        # 32 characters of the group's UUID, then 32 of the volume's.
        for member in below:
            yield Membership(VOLUME_GROUP, uuid.removeprefix("LVM-")[:32], group, member)
    version = device.attribute("md/metadata_version")
    if version and not version.startswith("external:"):
        identity = bare(device.properties.get("MD_UUID") or device.attribute("md/uuid") or device.name)
        for member in below:
            known = member.properties.get("ID_FS_UUID") if _is_raid_member(member) else None
            yield Membership(MD_ARRAY, bare(known) if known else identity, device.name, member)


def _is_raid_member(device: BlockDevice) -> bool:
    return device.properties.get("ID_FS_TYPE") == MEMBER


def _group_in(dm_name: str) -> str:
    """The volume group in device-mapper's name: `vg-lv`, with hyphens inside the names doubled."""
    group = re.match(r"(?:[^-]|--)+", dm_name)
    return group[0].replace("--", "-") if group else dm_name


def _physical_volumes(
    rows: Iterable[Mapping[str, str]], holding: Iterable[BlockDevice], devices: BlockDevices, places: Places
) -> Iterator[Membership]:
    """The physical volumes with their groups. rows: of pvs's report."""
    by_uuid: defaultdict[str | None, list[BlockDevice]] = defaultdict(list)
    for part in holding:
        if known := part.properties.get("ID_FS_UUID"):
            by_uuid[known].append(part)
    for row in rows:
        device = devices.at(row.get("pv_name", ""), places)
        name, uuid = row.get("vg_name"), row.get("vg_uuid")
        if device and name and uuid:
            # If a physical volume exists twice, pvs reports one and does not use the other.
            for part in (device, *by_uuid.get(device.properties.get("ID_FS_UUID"), ())):
                yield Membership(VOLUME_GROUP, uuid.replace("-", ""), name, part)


def _unknown(silent: Sequence[BlockDevice], active: Iterable[Membership]) -> Iterator[Membership]:
    """The physical volumes whose group pvs did not tell, as one group, if not all of them are active.

    Each may belong to any group, even an active one: an active volume shows only the disks that it is on, not the
    others of its group. Asking for a disk too many costs a copy, or installing lvm2; half a group costs the guest.
    """
    known = {part.device.name for part in active if part.kind == VOLUME_GROUP}
    if any(device.name not in known for device in silent):
        for device in silent:
            yield Membership(VOLUME_GROUP, "", UNKNOWN_VOLUME_GROUP, device, unsure=True)
