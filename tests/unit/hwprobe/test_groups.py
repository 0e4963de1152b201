"""Disks that belong together: they are found whatever holds them, and a part of them is told from the whole."""

from __future__ import annotations

from pathlib import Path

from p2v_tui.hwprobe import Disk, DiskGroup, Places
from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.groups import disks_below, find_groups
from tests.unit.hwprobe.conftest import ProbeRecorded


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
    assert not [kind for kind, _ in found(recorded, "mixed") if kind == "md array"]


def test_an_array_without_any_name_is_called_by_its_uuid() -> None:
    parts = [_nameless_member(f"sd{letter}") for letter in "ab"]
    disks = {part.name: Disk(part.name, part.node, part.size) for part in parts}
    (group,) = find_groups(BlockDevices({part.name: part for part in parts}), disks, Places())
    assert group == DiskGroup("md array", "0d1e2f3a4b5c6d7e", frozenset({"sda", "sdb"}))


def _nameless_member(name: str) -> BlockDevice:
    nowhere = Path("/nonexistent") / name
    properties = {"ID_FS_TYPE": "linux_raid_member", "ID_FS_UUID": "0d1e2f3a-4b5c6d7e"}
    return BlockDevice(name, nowhere, nowhere, "0:0", 512, False, None, (), (), properties)


def test_a_partition_of_a_path_belongs_to_the_multipath_disk() -> None:
    def device(name: str, parent: str | None = None, slaves: tuple[str, ...] = ()) -> BlockDevice:
        nowhere = Path("/nonexistent") / name
        return BlockDevice(name, nowhere, nowhere, "0:0", 512, parent is not None, parent, (), slaves, {})

    part = device("sdb1", parent="sdb")
    all_three = (part, device("sdb"), device("dm-0", slaves=("sdb",)))
    devices = BlockDevices({found.name: found for found in all_three})
    assert disks_below(part, devices, {"dm-0": "mpatha"}) == {"mpatha"}


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
