"""Disks that belong together: they are found whatever holds them, and a part of them is told from the whole."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from p2v_tui.hwprobe import DiskGroup, Places
from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.disks import find_disks
from p2v_tui.hwprobe.exclusion import Exclusion
from p2v_tui.hwprobe.group_parts import disks_below
from p2v_tui.hwprobe.groups import UNKNOWN_VOLUME_GROUP, find_groups, is_uncounted
from p2v_tui.hwprobe.md import Superblock, read_superblock
from p2v_tui.hwprobe.spanning import btrfs_devices
from tests.unit.hwprobe.conftest import ProbeRecorded
from tests.unit.volumes import md_member


def found(recorded: ProbeRecorded, machine: str) -> dict[tuple[str, str], frozenset[str]]:
    return {(group.kind, group.name): group.disks for group in recorded(machine).machine.groups}


def test_a_volume_group_over_two_disks_is_a_group_without_the_third(recorded: ProbeRecorded) -> None:
    assert found(recorded, "sata-lvm-server") == {("LVM volume group", "vg0"): {"sda", "sdb"}}


def test_a_volume_group_over_a_local_and_a_multipath_disk_names_the_multipath_disk(recorded: ProbeRecorded) -> None:
    assert found(recorded, "multipath-san-host") == {("LVM volume group", "vg_san"): {"sda", "mpatha"}}


def test_md_arrays_are_groups_and_so_is_the_volume_group_on_one(recorded: ProbeRecorded) -> None:
    both = {"cciss/c0d0", "cciss/c0d1"}
    groups = found(recorded, "cciss-md-server")
    assert groups[("LVM volume group", "vg_srv")] == both
    assert {disks for (kind, _), disks in groups.items() if kind == "md array"} == {frozenset(both)}
    assert len(groups) == 3


def test_an_array_is_called_by_the_name_in_its_superblock_or_by_the_running_array(recorded: ProbeRecorded) -> None:
    names = {name for kind, name in found(recorded, "cciss-md-server") if kind == "md array"}
    assert names == {"boot", "md1"}


def test_an_active_volume_group_is_found_without_pvs_through_luks_and_firmware_raid(recorded: ProbeRecorded) -> None:
    assert found(recorded, "mixed")[("LVM volume group", "vg-two")] == {"sdaa", "nvidia_bcdefgha"}


def test_btrfs_and_zfs_over_several_disks_are_groups(recorded: ProbeRecorded) -> None:
    groups = found(recorded, "mixed")
    assert groups[("btrfs file system", "pool")] == {"vda", "xvda"}
    assert groups[("ZFS pool", "tank")] == {"sda", "sdd"}


def test_a_firmware_raid_set_is_one_disk_and_no_group(recorded: ProbeRecorded) -> None:
    assert found(recorded, "imsm-workstation") == {}


def test_what_is_on_one_disk_only_is_no_group(recorded: ProbeRecorded) -> None:
    assert not [
        kind for (kind, _), disks in found(recorded, "mixed").items() if kind == "md array" and len(disks) > 1
    ]


def test_an_array_without_any_name_is_called_by_its_uuid() -> None:
    member = {"ID_FS_TYPE": "linux_raid_member", "ID_FS_UUID": "0d1e2f3a-4b5c6d7e"}
    (group,) = groups_of([made_up("sda", member), made_up("sdb", member)])
    assert group == DiskGroup("md array", "0d1e2f3a4b5c6d7e", frozenset({"sda", "sdb"}))


def made_up(
    name: str, properties: Mapping[str, str] | None = None, parent: str | None = None, slaves: tuple[str, ...] = ()
) -> BlockDevice:
    nowhere = Path("/nonexistent") / name
    node = Path("/dev") / name
    return BlockDevice(name, node, nowhere, "0:0", 512, parent is not None, parent, (), slaves, properties or {})


def groups_of(
    all_devices: list[BlockDevice], in_use: Mapping[str, str] | None = None, pvs: str | None = None
) -> tuple[DiskGroup, ...]:
    """pvs: what it prints, None where it is missing or fails. in_use: the words by the name of the device."""
    used = {name: Exclusion(words) for name, words in (in_use or {}).items()}
    devices = BlockDevices({device.name: device for device in all_devices})
    places = Places(proc=Path("/nonexistent"), run=lambda _command: pvs)
    return find_groups(devices, find_disks(devices, used, places), places)


def test_a_partition_of_a_path_belongs_to_the_multipath_disk() -> None:
    part = made_up("sdb1", parent="sdb")
    all_three = (part, made_up("sdb"), made_up("dm-0", slaves=("sdb",)))
    devices = BlockDevices({found.name: found for found in all_three})
    assert disks_below(part, devices, {"dm-0": "mpatha"}) == {"mpatha"}


def test_the_disk_of_a_mounted_volume_is_missing_from_its_group(recorded: ProbeRecorded) -> None:
    machine = recorded("lvm-in-use").machine
    assert [disk.name for disk in machine.disks] == ["sdb", "sdc"]
    missing = {group.name: names for group, names in machine.incomplete_groups(["sdb"])}
    assert missing == {"vg0": {"sda"}}


def test_a_removable_disk_is_missing_from_its_array(recorded: ProbeRecorded) -> None:
    missing = {group.name: names for group, names in recorded("lvm-in-use").machine.incomplete_groups(["sdc"])}
    assert missing == {"mirror": {"sdd"}}


def test_a_multipath_disk_that_is_left_out_is_one_member_with_its_own_name() -> None:
    btrfs = {"ID_FS_TYPE": "btrfs", "ID_FS_UUID": "u"}
    mapped = {"DM_UUID": "mpath-3600", "DM_NAME": "mpatha", **btrfs}
    all_devices = [
        made_up("sda", btrfs),
        made_up("sdb"),
        made_up("sdb1", btrfs, parent="sdb"),
        made_up("sdc"),
        made_up("dm-0", mapped, slaves=("sdb", "sdc")),
    ]
    assert [group.disks for group in groups_of(all_devices, {"dm-0": "mounted"})] == [{"sda", "mpatha"}]


def test_what_is_on_disks_that_are_left_out_only_is_no_group() -> None:
    btrfs = {"ID_FS_TYPE": "btrfs", "ID_FS_UUID": "u"}
    assert groups_of([made_up("sda", btrfs), made_up("sdb", btrfs)], {"sda": "mounted", "sdb": "mounted"}) == ()


LVM = {"ID_FS_TYPE": "LVM2_member"}


def active_volume(*on: str) -> BlockDevice:
    return made_up("dm-0", {"DM_UUID": f"LVM-{'g' * 32}{'v' * 32}", "DM_NAME": "vg0-root"}, slaves=on)


@pytest.mark.parametrize("pvs", [None, "no JSON", '{"report": 1}'], ids=["missing", "no-json", "another-form"])
def test_without_pvs_the_disks_with_lvm_belong_together(pvs: str | None) -> None:
    all_devices = [made_up("sda"), made_up("sda1", LVM, parent="sda"), made_up("sdb", LVM), made_up("sdc")]
    together = DiskGroup("LVM volume group", UNKNOWN_VOLUME_GROUP, frozenset({"sda", "sdb"}), unsure=True)
    assert groups_of(all_devices, pvs=pvs) == (together,)


def test_without_pvs_a_disk_may_belong_to_a_group_that_is_active_on_another() -> None:
    all_devices = [made_up("sda", LVM), made_up("sdb", LVM), active_volume("sda")]
    (group,) = groups_of(all_devices, {"sda": "mounted", "dm-0": "mounted"})
    assert group == DiskGroup("LVM volume group", UNKNOWN_VOLUME_GROUP, frozenset({"sda", "sdb"}), unsure=True)


def test_without_pvs_groups_that_are_all_active_are_known() -> None:
    (group,) = groups_of([made_up("sda", LVM), made_up("sdb", LVM), active_volume("sda", "sdb")])
    assert group == DiskGroup("LVM volume group", "vg0", frozenset({"sda", "sdb"}))


def test_a_physical_volume_that_pvs_puts_into_no_group_belongs_to_none() -> None:
    row = '{"pv_name": "/dev/%s", "vg_name": "%s", "vg_uuid": "%s"}'
    rows = ", ".join([row % ("sda", "", ""), row % ("sdb", "vg0", "g")])
    assert groups_of([made_up("sda", LVM), made_up("sdb", LVM)], pvs=f'{{"report": [{{"pv": [{rows}]}}]}}') == ()


def test_pvs_is_asked_about_lvm_members_only_and_may_not_write(recorded: ProbeRecorded) -> None:
    (pvs,) = (command for command in recorded("sata-lvm-server").commands if command[0] == "pvs")
    assert "--readonly" in pvs
    assert 'filter=["a|^/dev/sda2$|", "a|^/dev/sdb$|", "r|.*|"]' in pvs[-1]
    assert "use_devicesfile=0" in pvs[-1] and 'hints="none"' in pvs[-1]


def test_pvs_is_not_run_where_there_is_no_lvm(recorded: ProbeRecorded) -> None:
    assert not [command for command in recorded("pata-pc").commands if command[0] == "pvs"]


def test_a_part_of_a_group_is_incomplete_and_names_what_is_missing(recorded: ProbeRecorded) -> None:
    machine = recorded("sata-lvm-server").machine
    group = DiskGroup("LVM volume group", "vg0", frozenset({"sda", "sdb"}))
    assert machine.incomplete_groups(["sda", "sdc"]) == ((group, frozenset({"sdb"})),)


def test_a_whole_group_or_none_of_it_is_complete(recorded: ProbeRecorded) -> None:
    machine = recorded("sata-lvm-server").machine
    assert machine.incomplete_groups(["sda", "sdb"]) == ()
    assert machine.incomplete_groups(["sdc"]) == ()
    assert machine.incomplete_groups([]) == ()


def superblocks(said: Mapping[str, str]) -> Callable[[Sequence[str]], str | None]:
    """What mdadm says by the node; LVM is not there."""
    return lambda command: said.get(command[-1]) if command[0] == "mdadm" else None


def member(uuid_sub: str) -> dict[str, str]:
    return {
        "ID_FS_TYPE": "linux_raid_member",
        "ID_FS_UUID": "a",
        "ID_FS_UUID_SUB": uuid_sub,
        "ID_FS_LABEL_ENC": "h:0",
    }


def array(run: Callable[[Sequence[str]], str | None], *members: BlockDevice) -> DiskGroup:
    devices = BlockDevices({device.name: device for device in members})
    places = Places(proc=Path("/nonexistent"), run=run)
    (group,) = find_groups(devices, find_disks(devices, {}, places), places)
    return group


def test_an_array_that_does_not_run_says_how_many_members_it_lacks(recorded: ProbeRecorded) -> None:
    (group,) = recorded("raid10-one-disk-missing").machine.groups
    assert (group.level, group.members, group.unseen, group.disks) == ("raid10", 4, 2, frozenset({"sda", "sdb"}))
    (mirror,) = recorded("raid1-one-leg").machine.groups
    assert (mirror.level, mirror.members, mirror.unseen) == ("raid1", 2, 0)


def test_an_array_of_which_one_member_is_seen_is_a_group_too() -> None:
    group = array(superblocks({"/dev/sda": "MD_LEVEL=raid1\nMD_DEVICES=2\n"}), made_up("sda", member("1")))
    assert (group.name, group.disks, group.unseen) == ("0", frozenset({"sda"}), 1)


def test_a_copy_of_a_member_is_no_member() -> None:
    said = dict.fromkeys(("/dev/sda", "/dev/sdb", "/dev/sdc"), "MD_LEVEL=raid0\nMD_DEVICES=2\n")
    disks = [made_up("sda", member("1")), made_up("sdb", member("2")), made_up("sdc", member("1"))]
    group = array(superblocks(said), *disks)
    assert (group.disks, group.copies, group.unseen) == (frozenset({"sda", "sdb"}), (frozenset({"sda", "sdc"}),), 0)


def test_a_member_that_the_array_went_on_without_is_behind() -> None:
    said = {"/dev/sda": "MD_DEVICES=3\nMD_EVENTS=500\n", "/dev/sdb": "MD_EVENTS=17\n", "/dev/sdc": "MD_EVENTS=499\n"}
    group = array(superblocks(said), *(made_up(name, member(name)) for name in ("sda", "sdb", "sdc")))
    assert group.behind == {"sdb"}


def test_mdadm_reads_the_superblocks_that_are_on_the_disks(tmp_path: Path) -> None:
    image = tmp_path / "member"
    image.write_bytes(md_member(level=1, devices=2, events=17))
    disk = dataclasses.replace(made_up("sda"), node=image)
    assert read_superblock(disk, Places()) == Superblock("raid1", 2, 17)


def test_what_mdadm_reads_is_read_without_it(tmp_path: Path) -> None:
    image = tmp_path / "member"
    for level, word in ((-1, "linear"), (0, "raid0"), (10, "raid10")):
        image.write_bytes(md_member(level=level & 0xFFFFFFFF, devices=4, events=17))
        disk = dataclasses.replace(made_up("sda"), node=image)
        assert read_superblock(disk, Places(run=lambda _: None)) == Superblock(word, 4, 17)


def test_a_spare_does_not_stand_for_a_member_that_is_missing(tmp_path: Path) -> None:
    disks = []
    for number, name in ((0, "sda"), (1, "sdb"), (3, "sdc")):
        image = tmp_path / name
        image.write_bytes(md_member(level=5, devices=3, events=17, number=number))
        disks.append(dataclasses.replace(made_up(name, member(name)), node=image))
    group = array(lambda _: None, *disks)
    assert (group.disks, group.members, group.unseen) == (frozenset({"sda", "sdb", "sdc"}), 3, 1)
    assert group.spares == {"sdc"}


def test_a_journal_of_writes_is_no_member_and_no_spare(tmp_path: Path) -> None:
    disks = []
    for number, name in ((0, "sda"), (1, "sdb"), (3, "sdc")):
        block = bytearray(md_member(level=5, devices=3, events=17, number=number))
        role = 4096 + 256 + 2 * 3
        block[role : role + 2] = (0xFFFD).to_bytes(2, "little")
        (tmp_path / name).write_bytes(block)
        disks.append(dataclasses.replace(made_up(name, member(name)), node=tmp_path / name))
    group = array(lambda _: None, *disks)
    assert (group.unseen, group.spares, group.disks) == (1, frozenset(), frozenset({"sda", "sdb", "sdc"}))


def test_without_mdadm_and_a_superblock_nothing_is_known_of_the_other_members() -> None:
    group = array(lambda _command: None, made_up("sda", member("1")), made_up("sdb", member("2")))
    assert (group.members, group.unseen, group.level, group.behind) == (None, 0, None, frozenset())
    assert is_uncounted(group)


def test_a_single_disk_whose_missing_members_are_unknown_is_a_group_too() -> None:
    assert is_uncounted(array(lambda _command: None, made_up("sda", member("1"))))
    (group,) = groups_of([made_up("sda", LVM)], pvs=None)
    assert is_uncounted(group)


@pytest.mark.parametrize(
    "rows",
    [(), ({"pv_name": "/dev/sda", "vg_name": "[unknown]", "vg_uuid": ""},)],
    ids=["left out", "without metadata"],
)
def test_a_physical_volume_of_which_pvs_does_not_say_the_group_may_be_of_any(
    rows: tuple[dict[str, str], ...],
) -> None:
    data = {"pv_name": "/dev/sdb", "vg_name": "data", "vg_uuid": "g-1", "vg_missing_pv_count": "1"}
    volumes = [made_up(name, {**LVM, "ID_FS_UUID": name}) for name in ("sda", "sdb")]
    known, unknown = groups_of(volumes, pvs=pv_rows(data, *rows))[::-1]
    assert (unknown.name, unknown.disks) == (UNKNOWN_VOLUME_GROUP, frozenset({"sda"}))
    assert (known.name, known.disks, known.unseen, known.unsure) == ("data", frozenset({"sda", "sdb"}), 1, True)


def test_a_physical_volume_without_a_group_lacks_nothing() -> None:
    row = {"pv_name": "/dev/sda", "vg_name": "", "vg_uuid": "", "vg_missing_pv_count": ""}
    assert groups_of([made_up("sda", LVM)], pvs=pv_rows(row)) == ()


def test_a_physical_volume_that_pvs_misses_is_missed(recorded: ProbeRecorded) -> None:
    (group,) = recorded("vg-missing-pv").machine.groups
    assert (group.name, group.disks, group.members, group.unseen) == ("data", frozenset({"sda"}), 2, 1)


def pv_rows(*rows: Mapping[str, str]) -> str:
    return json.dumps({"report": [{"pv": list(rows)}]})


def test_the_count_of_missing_physical_volumes_is_believed_as_well_as_the_rows() -> None:
    row = {"pv_name": "/dev/sda", "vg_name": "data", "vg_uuid": "g-1", "vg_missing_pv_count": "2"}
    (group,) = groups_of([made_up("sda", LVM)], pvs=pv_rows(row))
    assert (group.members, group.unseen, group.unsure) == (3, 2, False)


def test_a_missing_physical_volume_may_be_in_an_array_that_does_not_run() -> None:
    rows = [{"pv_name": name, "vg_name": "data", "vg_uuid": "g-1"} for name in ("/dev/sda", "[unknown]")]
    all_devices = [made_up("sda", LVM), made_up("sdb", member("1")), made_up("sdc", member("2"))]
    groups = groups_of(all_devices, pvs=pv_rows(*rows))
    (data,) = (group for group in groups if group.name == "data")
    assert (data.disks, data.unseen, data.unsure) == (frozenset({"sda", "sdb", "sdc"}), 1, True)


def test_a_copied_physical_volume_makes_no_group_and_stands_for_the_other() -> None:
    first, second = ({**LVM, "ID_FS_UUID": uuid} for uuid in ("pv-1", "pv-2"))
    all_devices = [made_up("sda", first), made_up("sdb", second), made_up("sdc", first)]
    rows = [{"pv_name": name, "vg_name": "vg0", "vg_uuid": "g"} for name in ("/dev/sda", "/dev/sdb")]
    (group,) = groups_of(all_devices, pvs=pv_rows(*rows))
    assert (group.disks, group.copies) == (frozenset({"sda", "sdb"}), (frozenset({"sda", "sdc"}),))
    assert groups_of([all_devices[0], all_devices[2]], pvs=pv_rows(rows[0])) == ()


def test_a_copied_btrfs_is_no_file_system_over_both_disks() -> None:
    btrfs = {"ID_FS_TYPE": "btrfs", "ID_FS_UUID": "u", "ID_FS_UUID_SUB": "1"}
    assert groups_of([made_up("sda", btrfs), made_up("sdb", btrfs)]) == ()


def test_a_btrfs_says_itself_how_many_devices_it_has(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "two")]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", "-d", "raid0", *paths], check=True)
    assert btrfs_devices(dataclasses.replace(made_up("sda"), node=paths[1])) == 2
    assert btrfs_devices(dataclasses.replace(made_up("sda"), node=tmp_path)) is None


def test_old_metadata_makes_no_group(recorded: ProbeRecorded) -> None:
    assert recorded("stale-zfs-labels").machine.groups == ()


def test_metadata_at_the_end_of_a_disk_is_that_of_its_last_partition_and_no_second_member() -> None:
    old = {"ID_FS_TYPE": "linux_raid_member", "ID_FS_UUID": "a"}
    disk = {**old, "ID_PART_TABLE_TYPE": "dos", "ID_PART_TABLE_UUID": "0009c3a1"}
    said = "MD_LEVEL=raid1\nMD_DEVICES=2\n"
    group = array(superblocks({"/dev/sda1": said}), made_up("sda", disk), made_up("sda1", old, parent="sda"))
    assert (group.disks, group.members, group.unseen) == (frozenset({"sda"}), 2, 1)
