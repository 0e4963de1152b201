"""Disk images, made by the tools that partition and format disks: their partitions, and what is on them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.hwprobe import Content, Places
from p2v_tui.hwprobe.boot_order import has_bios_boot_partition, has_esp
from p2v_tui.hwprobe.images import read_image
from tests.unit.hwprobe.conftest import ProbeRecorded
from tests.unit.volumes import MIB, empty, luks, ntfs, partitioned, run, swap


def test_a_gpt_image_has_its_partitions_with_their_places_types_and_contents(tmp_path: Path) -> None:
    path = partitioned(
        tmp_path / "disk.img",
        "gpt",
        [None, ntfs(tmp_path / "ntfs"), luks(tmp_path / "luks")],
        type_words=[
            "type=uefi, uuid=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
            "type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
        ],
    )
    disk = read_image(path, path.stat().st_size)
    assert (disk.name, disk.device, disk.size) == (str(path), path, path.stat().st_size)
    assert disk.partition_table == "gpt"
    assert disk.content is None
    esp, windows, encrypted = disk.partitions
    assert (esp.name, esp.number, esp.start, esp.size) == (f"{path}1", 1, MIB, MIB)
    assert esp.type == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
    assert esp.uuid == "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
    assert (esp.content, esp.bootable) == (None, False)
    assert windows.start == 2 * MIB
    assert windows.content
    assert (windows.content.type, windows.content.label) == ("ntfs", "System")
    uuid = run("cryptsetup", "luksUUID", tmp_path / "luks").decode().strip()
    assert encrypted.content == Content("crypto_LUKS", uuid)
    assert encrypted.content.encrypted
    assert has_esp(disk)
    assert not has_bios_boot_partition(disk)


def test_an_image_with_an_mbr_has_the_kernels_names_for_everything(tmp_path: Path) -> None:
    path = partitioned(
        tmp_path / "disk2",
        "dos",
        [swap(tmp_path / "swap"), swap(tmp_path / "s2")],
        type_words=["type=7, bootable", ""],
    )
    run("sfdisk", "-q", "--disk-id", path, "0xB1F45")
    disk = read_image(path, path.stat().st_size)
    assert (disk.partition_table, disk.partition_table_uuid) == ("dos", "000b1f45")
    first, second = disk.partitions
    assert (first.name, first.number, first.type, first.bootable) == (f"{path}p1", 1, "0x7", True)
    assert (second.number, second.type, second.bootable) == (2, "0x83", False)
    assert (first.uuid, second.uuid) == ("000b1f45-01", "000b1f45-02")
    assert [part.content and part.content.type for part in disk.partitions] == ["swap", "swap"]


def test_a_suspended_linux_is_seen(tmp_path: Path) -> None:
    path = partitioned(tmp_path / "disk.img", "dos", [swap(tmp_path / "swap", suspended=True)])
    (part,) = read_image(path, path.stat().st_size).partitions
    assert part.content
    assert part.content.type == "swsuspend"


def test_an_image_without_a_table_has_what_fills_it(tmp_path: Path) -> None:
    path = luks(tmp_path / "disk.img")
    disk = read_image(path, path.stat().st_size)
    assert (disk.partition_table, disk.partitions) == (None, ())
    assert disk.content
    assert disk.content.type == "crypto_LUKS"


def test_an_empty_or_damaged_image_is_a_disk_all_the_same(tmp_path: Path) -> None:
    path = partitioned(tmp_path / "disk.img", "gpt", [ntfs(tmp_path / "ntfs")])
    cut = empty(tmp_path / "cut.img", 0)
    cut.write_bytes(path.read_bytes()[: 2 * MIB])
    noise = tmp_path / "noise.img"
    noise.write_bytes(os.urandom(MIB))
    for image in (empty(tmp_path / "empty.img", MIB), cut, noise):
        disk = read_image(image, image.stat().st_size)
        assert disk.size == image.stat().st_size
        assert disk.partitions == ()


def test_without_the_tools_an_image_is_a_disk_of_which_nothing_is_known(tmp_path: Path) -> None:
    path = partitioned(tmp_path / "disk.img", "gpt", [ntfs(tmp_path / "ntfs")])
    disk = read_image(path, path.stat().st_size, Places(run=lambda _command: None))
    assert (disk.partition_table, disk.partitions, disk.content) == (None, (), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_image_is_read_without_any_right_but_to_read_it(tmp_path: Path) -> None:
    path = partitioned(tmp_path / "disk.img", "gpt", [ntfs(tmp_path / "ntfs")])
    path.chmod(0o444)
    # Not in pytest's directory, into which it lets nobody else.
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        image = Path(shutil.copy(path, made))
        as_nobody = Places(run=lambda command: run("setpriv", "--reuid=nobody", *command).decode())
        assert read_image(image, image.stat().st_size, as_nobody).partitions[0].content


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_the_tools_print_is_no_error(blkid: str, sfdisk: str) -> None:
    answers = {"blkid": f"ID_PART_TABLE_TYPE=dos\n{blkid}", "sfdisk": f'{{"partitiontable": {sfdisk}}}'}
    for places in (
        Places(run=lambda command: answers[command[0]]),
        Places(run=lambda command: blkid if command[0] == "blkid" else '{"partitiontable": {"partitions": [{}]}}'),
    ):
        assert read_image(Path("/nonexistent"), 1, places).size == 1


def test_the_partitions_of_a_disk_have_their_places_too(recorded: ProbeRecorded) -> None:
    sda = next(disk for disk in recorded("sata-lvm-server").machine.disks if disk.name == "sda")
    assert sda.partitions[0].start == MIB
