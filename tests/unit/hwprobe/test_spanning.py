"""What spans disks and is told by its superblocks: real ones where a tool makes them in a file, else written here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from p2v_tui.hwprobe import Places
from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.disks import find_disks
from p2v_tui.hwprobe.groups import find_groups
from p2v_tui.hwprobe.ldm import LDM_TYPES
from p2v_tui.hwprobe.machine import DiskGroup
from p2v_tui.hwprobe.spanning import STORAGE_SPACES_TYPE, UNKNOWN
from tests.unit.hwprobe.conftest import ProbeRecorded
from tests.unit.volumes import run

NOWHERE = Path("/nonexistent")
MIB = 1 << 20
GROUP = "1b77da20-c717-11d0-a5be-00a0c91db73c"


def device(
    name: str,
    properties: Mapping[str, str],
    node: Path = NOWHERE,
    parent: str | None = None,
    slaves: tuple[str, ...] = (),
) -> BlockDevice:
    size = node.stat().st_size if node.exists() else MIB
    return BlockDevice(name, node, NOWHERE / name, "0:0", size, parent is not None, parent, (), slaves, properties)


def groups(
    *all_devices: BlockDevice, said: Callable[[Sequence[str]], str | None] = lambda _: None
) -> list[DiskGroup]:
    devices = BlockDevices({device.name: device for device in all_devices})
    places = Places(proc=NOWHERE, run=said)
    return list(find_groups(devices, find_disks(devices, {}, places), places))


def names(found: list[DiskGroup]) -> list[tuple[str, list[str], bool]]:
    return [(group.kind, sorted(group.disks), group.unsure) for group in found]


def bcache(path: Path, set_uuid: bytes) -> Path:
    block = bytearray(8192)
    block[4096 + 24 : 4096 + 40] = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
    block[4096 + 56 : 4096 + 72] = set_uuid
    path.write_bytes(block)
    return path


BCACHE = {"ID_FS_TYPE": "bcache"}


def test_a_disk_and_its_cache_are_one_set_by_their_superblocks(tmp_path: Path) -> None:
    one, other, none = bytes(range(16)), bytes(range(16, 32)), bytes(16)
    disks = [
        device("sda", BCACHE, bcache(tmp_path / "a", one)),
        device("sdb", BCACHE, bcache(tmp_path / "b", other)),
        device("sdc", BCACHE, bcache(tmp_path / "c", one)),
        device("sdd", BCACHE, bcache(tmp_path / "d", none)),
        device("sde", BCACHE, bcache(tmp_path / "e", none)),
    ]
    found = groups(*disks)
    assert names(found) == [("bcache set", ["sda", "sdc"], False), ("bcache set", ["sdb"], False)]
    # A cache, or the disk behind it.
    assert [group.unseen for group in found] == [0, 1]


def test_a_disk_and_its_cache_are_one_set_while_it_runs(recorded: ProbeRecorded) -> None:
    (group,) = recorded("bcache-pair").machine.groups
    assert (group.kind, group.disks, group.unsure) == ("bcache set", frozenset({"sda", "nvme0n1"}), False)


def test_what_cannot_be_read_of_a_cache_is_taken_together() -> None:
    (group,) = groups(device("sda", BCACHE), device("sdb", BCACHE))
    assert (group.name, group.disks, group.unsure) == (UNKNOWN, frozenset({"sda", "sdb"}), True)


def private_header(group: str, name: str) -> bytes:
    block = bytearray(512)
    block[:8] = b"PRIVHEAD"
    block[0xB0 : 0xB0 + len(group)] = group.encode()
    block[0xF0 : 0xF0 + len(name)] = name.encode()
    return bytes(block)


def dynamic(path: Path, group: str, disks: int | None = None) -> Path:
    """disks: how many the database at the end counts; None for a disk without one."""
    path.write_bytes(bytes(6 * 512) + private_header(group, "Server-Dg0") + bytes(MIB) + database(group, disks))
    return path


def database(group: str, disks: int | None) -> bytes:
    """The header of the disk group's database, sixteen sectors before the end, as libldm describes it."""
    header = bytearray(16 * 512)
    if disks is not None:
        header[:4] = b"VMDB"
        header[0x35:0x75] = group.encode().ljust(64, b"\0")
        header[0x91:0x95] = disks.to_bytes(4, "big")
    return bytes(header)


DOS = {"ID_PART_TABLE_TYPE": "dos"}


@pytest.mark.parametrize("part", [{"ID_PART_ENTRY_TYPE": "0x42"}, {}], ids=["entry", "made by the kernel"])
def test_dynamic_disks_with_an_mbr_belong_to_their_group(tmp_path: Path, part: Mapping[str, str]) -> None:
    disks = [
        device("sda", DOS, dynamic(tmp_path / "a", GROUP)),
        device("sda1", part, parent="sda"),
        device("sdb", DOS, dynamic(tmp_path / "b", GROUP)),
        device("sdb1", part, parent="sdb"),
        device("sdc", DOS, dynamic(tmp_path / "c", GROUP.replace("1", "2"))),
        device("sdc1", part, parent="sdc"),
    ]
    (group,) = groups(*disks)
    assert (group.kind, group.name, group.disks) == ("Windows disk group", "Server-Dg0", frozenset({"sda", "sdb"}))
    devices = BlockDevices({device.name: device for device in disks})
    assert all(disk.dynamic for disk in find_disks(devices, {}, Places(proc=NOWHERE)).disks.values())


@pytest.mark.parametrize(("counted", "unseen"), [(1, None), (3, 2), (None, None)])
def test_a_dynamic_disk_misses_the_others_that_its_database_counts(
    tmp_path: Path, counted: int | None, unseen: int | None
) -> None:
    disk = device("sda", DOS, dynamic(tmp_path / "a", GROUP, counted))
    found = groups(disk, device("sda1", {}, parent="sda"))
    assert [(group.members, group.unseen) for group in found] == ([(counted, unseen)] if unseen else [])


def test_dynamic_disks_with_a_gpt_belong_to_their_group(tmp_path: Path) -> None:
    metadata = {"ID_PART_ENTRY_TYPE": "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"}
    disks = []
    for name in ("sda", "sdb"):
        node = tmp_path / name
        node.write_bytes((bytes(2 * MIB) + private_header(GROUP, "Dg0"))[-MIB:])
        disks += [device(name, {"ID_PART_TABLE_TYPE": "gpt"}), device(f"{name}1", metadata, node, parent=name)]
    assert names(groups(*disks)) == [("Windows disk group", ["sda", "sdb"], False)]


@pytest.mark.parametrize("kind", sorted(LDM_TYPES))
def test_dynamic_disks_that_cannot_be_read_are_taken_together(kind: str) -> None:
    part = {"ID_PART_ENTRY_TYPE": kind}
    disks = [
        device("sda", {}),
        device("sda1", part, parent="sda"),
        device("sdb", {}),
        device("sdb1", part, parent="sdb"),
    ]
    assert names(groups(*disks)) == [("Windows disk group", ["sda", "sdb"], True)]


def test_an_ordinary_disk_is_no_dynamic_one(recorded: ProbeRecorded) -> None:
    assert not any(disk.dynamic for disk in recorded("sata-lvm-server").machine.disks)


def test_windows_volumes_over_disks_are_known_by_their_partition_types(recorded: ProbeRecorded) -> None:
    machine = recorded("storage-spaces").machine
    assert [disk.name for disk in machine.disks if disk.dynamic] == ["sdd", "sde"]
    assert names(list(machine.groups)) == [
        ("Windows disk group", ["sdd", "sde"], True),
        ("Windows storage pool", ["sdb", "sdc"], True),
    ]


def test_one_disk_of_a_storage_pool_is_no_group() -> None:
    part = device("sda1", {"ID_PART_ENTRY_TYPE": STORAGE_SPACES_TYPE.upper()}, parent="sda")
    assert groups(device("sda", {}), part, device("sdb", {})) == []


def ext4(path: Path, journal: str | None) -> Path:
    with path.open("wb") as file:
        file.truncate(8 * MIB)
    run("mkfs.ext4", "-q", "-F", path)
    if journal:
        for field, value in (("journal_inum", "0"), ("journal_uuid", journal)):
            run("debugfs", "-w", "-R", f"set_super_value {field} {value}", path)
    return path


def test_an_ext4_belongs_to_the_journal_that_its_superblock_names(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with journal.open("wb") as file:
        file.truncate(8 * MIB)
    run("mke2fs", "-q", "-F", "-O", "journal_dev", journal)
    identity = re.search(rb"UUID: +(\S+)", run("dumpe2fs", "-h", journal))
    assert identity
    name = identity[1].decode()
    disks = [
        device("sda", {"ID_FS_TYPE": "ext4"}, ext4(tmp_path / "a", name)),
        device("sdb", {"ID_FS_TYPE": "ext4"}, ext4(tmp_path / "b", None)),
        device("sdc", {"ID_FS_TYPE": "jbd", "ID_FS_UUID": name}, journal),
    ]
    assert names(groups(*disks)) == [("ext4 journal", ["sda", "sdc"], False)]
    assert names(groups(*disks[1:])) == []


def test_a_journal_may_be_that_of_every_ext4_that_cannot_be_read(tmp_path: Path) -> None:
    disks = [
        device("sda", {"ID_FS_TYPE": "ext4"}),
        device("sdb", {"ID_FS_TYPE": "ext4"}, ext4(tmp_path / "b", None)),
        device("sdc", {"ID_FS_TYPE": "jbd", "ID_FS_UUID": str(uuid.UUID(int=1))}),
        device("sdd", {"ID_FS_TYPE": "xfs"}),
    ]
    assert names(groups(*disks)) == [("ext4 journal", ["sda", "sdc"], True)]


def xfs(path: Path, log_start: int) -> Path:
    path.write_bytes((b"XFSB" + bytes(28) + bytes(range(16)) + log_start.to_bytes(8, "big")).ljust(MIB, b"\0"))
    return path


def test_an_xfs_belongs_to_the_log_with_records_of_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(bytes(1024) + (bytes.fromhex("feedbabe") + bytes(300) + bytes(range(16))).ljust(MIB, b"\0"))
    disks = [
        device("sda", {"ID_FS_TYPE": "xfs"}, xfs(tmp_path / "a", 0)),
        device("sdb", {"ID_FS_TYPE": "xfs"}, xfs(tmp_path / "b", 4)),
        device("sdc", {"ID_FS_TYPE": "xfs_external_log"}, log),
    ]
    assert names(groups(*disks)) == [("XFS log", ["sda", "sdc"], False)]


def test_the_members_of_a_bcachefs_and_of_a_stratis_pool_belong_together() -> None:
    bcachefs = {"ID_FS_TYPE": "bcachefs", "ID_FS_UUID": "u"}
    disks = [device(name, {**bcachefs, "ID_FS_UUID_SUB": name}) for name in ("sda", "sdb")]
    assert names(groups(*disks)) == [("bcachefs file system", ["sda", "sdb"], False)]
    pools = [device(name, {"ID_FS_TYPE": "stratis"}, Path(f"/dev/{name}")) for name in ("sda", "sdb", "sdc")]
    assert names(groups(*pools)) == [("Stratis pool", ["sda", "sdb", "sdc"], True)]
    said = {"/dev/sda": "POOL_UUID=1\n", "/dev/sdb": "POOL_UUID=2\n", "/dev/sdc": "POOL_UUID=1\n"}
    found = groups(*pools, said=lambda command: said[command[-1]])
    assert names(found) == [("Stratis pool", ["sda", "sdc"], False)]
