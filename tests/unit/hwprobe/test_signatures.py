"""Whether what is recognised on a whole disk still holds: made-up devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.signatures import is_stale

SECTORS = 1000
MEMBER = {"ID_FS_TYPE": "isw_raid_member", "ID_PART_TABLE_TYPE": "dos", "ID_PART_TABLE_UUID": "0009c3a1"}
PART = {"ID_FS_TYPE": "ext4", "ID_PART_ENTRY_OFFSET": "8", "ID_PART_ENTRY_SIZE": "992"}


def device(
    name: str, properties: Mapping[str, str], parent: str | None = None, slaves: tuple[str, ...] = ()
) -> BlockDevice:
    nowhere = Path("/nonexistent") / name
    size = SECTORS * 512
    return BlockDevice(
        name, Path("/dev") / name, nowhere, "0:0", size, parent is not None, parent, (), slaves, properties
    )


def stale(*devices: BlockDevice) -> bool:
    return is_stale(devices[0], BlockDevices({device.name: device for device in devices}))


@pytest.mark.parametrize(
    "kind", ["isw_raid_member", "ddf_raid_member", "nvidia_raid_member", "zfs_member", "linux_raid_member", "btrfs"]
)
def test_metadata_beside_a_partition_table_with_partitions_is_stale(kind: str) -> None:
    assert stale(device("sda", {**MEMBER, "ID_FS_TYPE": kind}), device("sda1", PART, parent="sda"))


def test_metadata_is_not_stale_without_a_partition_table_or_without_partitions() -> None:
    assert not stale(device("sda", {"ID_FS_TYPE": "isw_raid_member"}))
    assert not stale(device("sda", MEMBER))


def test_a_disk_with_nothing_on_the_whole_of_it_has_nothing_left_over() -> None:
    assert not stale(device("sda", {"ID_PART_TABLE_TYPE": "dos"}), device("sda1", PART, parent="sda"))


def test_the_first_disk_of_a_striped_set_has_a_table_for_more_than_it_holds() -> None:
    larger = {**PART, "ID_PART_ENTRY_SIZE": "1992"}
    assert not stale(device("sda", MEMBER), device("sda1", larger, parent="sda"))


def test_a_mirror_shows_the_same_table_on_another_member() -> None:
    sda1 = device("sda1", PART, parent="sda")
    assert not stale(device("sda", MEMBER), sda1, device("sdb", MEMBER))
    assert stale(device("sda", MEMBER), sda1, device("sdb", {**MEMBER, "ID_PART_TABLE_UUID": "0009c3a2"}))
    assert stale(device("sda", MEMBER), sda1, device("sdb", {**MEMBER, "ID_FS_TYPE": "ddf_raid_member"}))


def test_disks_whose_tables_have_no_identifier_are_compared_by_what_is_in_them() -> None:
    nameless = {key: value for key, value in MEMBER.items() if key != "ID_PART_TABLE_UUID"}
    sda, sda1 = device("sda", nameless), device("sda1", {**PART, "ID_FS_UUID": "a"}, parent="sda")
    sdb, twin = device("sdb", nameless), device("sdb1", {**PART, "ID_FS_UUID": "a"}, parent="sdb")
    assert not stale(sda, sda1, sdb, twin)
    assert stale(sda, sda1, sdb, device("sdb1", {**PART, "ID_FS_UUID": "b"}, parent="sdb"))


@pytest.mark.parametrize("kind", ["LVM2_member", "btrfs", "zfs_member", "linux_raid_member"])
def test_partitions_with_nothing_on_them_do_not_speak_against_what_is_on_the_whole_disk(kind: str) -> None:
    empty = {"ID_PART_ENTRY_OFFSET": "8", "ID_PART_ENTRY_SIZE": "992"}
    assert not stale(device("sda", {**MEMBER, "ID_FS_TYPE": kind}), device("sda1", empty, parent="sda"))


def test_metadata_is_not_stale_if_something_runs_on_the_whole_disk() -> None:
    assert not stale(device("sda", MEMBER), device("sda1", PART, parent="sda"), device("md127", {}, slaves=("sda",)))


def test_a_pool_that_partitioned_its_disk_itself_is_no_other_one() -> None:
    pool = {"ID_FS_TYPE": "zfs_member", "ID_FS_UUID": "1"}
    assert not stale(device("sda", {**MEMBER, **pool}), device("sda1", {**PART, **pool}, parent="sda"))


@pytest.mark.parametrize(
    ("kind", "old"), [("isw_raid_member", False), ("linux_raid_member", False), ("zfs_member", True)]
)
def test_the_other_disks_of_a_striped_set_have_no_table(kind: str, old: bool) -> None:
    sda = device("sda", {**MEMBER, "ID_FS_TYPE": kind, "ID_FS_UUID": "u"})
    sda1 = device("sda1", PART, parent="sda")
    assert stale(sda, sda1, device("sdb", {"ID_FS_TYPE": kind, "ID_FS_UUID": "u"})) == old
    assert stale(sda, sda1, device("sdb", {"ID_FS_TYPE": kind, "ID_FS_UUID": "v"}))


def test_a_firmwares_metadata_in_the_last_sectors_of_a_partition_too_is_left_over() -> None:
    last = {**PART, "ID_FS_TYPE": "ddf_raid_member"}
    assert stale(device("sda", {**MEMBER, "ID_FS_TYPE": "ddf_raid_member"}), device("sda1", last, parent="sda"))
