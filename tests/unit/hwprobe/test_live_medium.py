"""What the running system uses: mountinfo is read as the kernel writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from p2v_tui.hwprobe import Places
from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.exclusion import RUNS_FROM_HERE, Exclusion
from p2v_tui.hwprobe.live_medium import devices_in_use, mounts_in


def device(
    name: str,
    number: str,
    parent: str | None = None,
    slaves: tuple[str, ...] = (),
    properties: Mapping[str, str] | None = None,
) -> BlockDevice:
    nowhere = Path("/nonexistent") / name
    return BlockDevice(
        name, Path("/dev") / name, nowhere, number, 512, parent is not None, parent, (), slaves, properties or {}
    )


def in_use(tmp_path: Path, mountinfo: str, *devices: BlockDevice) -> dict[str, Exclusion]:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(mountinfo)
    return devices_in_use(BlockDevices({device.name: device for device in devices}), Places(proc=tmp_path))


def test_a_mount_point_with_a_blank_is_read_back() -> None:
    (mount,) = mounts_in("40 29 8:97 / /mnt/my\\040disk rw,relatime shared:3 master:1 - ext4 /dev/sdg1 rw\n")
    assert (mount.number, mount.point, mount.kind, mount.source) == ("8:97", "/mnt/my disk", "ext4", "/dev/sdg1")


def test_lines_that_are_none_of_mountinfo_are_passed_over() -> None:
    assert mounts_in("\ngarbage\n1 2 3 - \n") == ()


def test_a_root_on_lvm_over_md_uses_every_disk_below(tmp_path: Path) -> None:
    used = in_use(
        tmp_path,
        "29 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n",
        device("dm-0", "253:0", slaves=("md0",)),
        device("md0", "9:0", slaves=("sda1", "sdb1")),
        device("sda", "8:0"),
        device("sda1", "8:1", parent="sda"),
        device("sdb", "8:16"),
        device("sdb1", "8:17", parent="sdb"),
        device("sdc", "8:32"),
    )
    assert set(used) == {"dm-0", "md0", "sda", "sda1", "sdb", "sdb1"}
    assert set(used.values()) == {RUNS_FROM_HERE}


def test_a_root_on_btrfs_is_found_by_its_source_and_uses_all_its_devices(tmp_path: Path) -> None:
    btrfs = {"ID_FS_TYPE": "btrfs", "ID_FS_UUID": "u"}
    used = in_use(
        tmp_path,
        "29 1 0:31 /@ / rw - btrfs /dev/sda1 rw,subvol=/@\n",
        device("sda", "8:0"),
        device("sda1", "8:1", parent="sda", properties=btrfs),
        device("sdb", "8:16", properties=btrfs),
        device("sdc", "8:32", properties={"ID_FS_TYPE": "btrfs", "ID_FS_UUID": "another"}),
    )
    assert set(used) == {"sda", "sda1", "sdb"}


def test_a_root_on_btrfs_is_in_use_though_udev_knows_an_older_content(tmp_path: Path) -> None:
    stale = device("sda", "8:0", properties={"ID_FS_TYPE": "ext4", "ID_FS_UUID": "u"})
    assert set(in_use(tmp_path, "29 1 0:31 / / rw - btrfs /dev/sda rw\n", stale)) == {"sda"}


def test_a_root_on_zfs_uses_the_disks_of_its_pool(tmp_path: Path) -> None:
    used = in_use(
        tmp_path,
        "29 1 0:31 / / rw - zfs rpool/ROOT/debian rw\n",
        device("sda", "8:0"),
        device("sda3", "8:3", parent="sda", properties={"ID_FS_TYPE": "zfs_member", "ID_FS_LABEL": "rpool"}),
        device("sdb", "8:16", properties={"ID_FS_TYPE": "zfs_member", "ID_FS_LABEL": "tank"}),
    )
    assert set(used) == {"sda", "sda3"}


def test_a_system_on_an_overlay_uses_the_disk_of_its_upper_directory_too(tmp_path: Path) -> None:
    used = in_use(
        tmp_path,
        "29 1 0:28 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/persistence/rw,workdir=/persistence/work\n"
        "30 29 8:1 / /persistence rw - ext4 /dev/sda1 rw\n"
        "31 29 8:16 / /b ro - ext4 /dev/sdb ro\n",
        device("sda", "8:0"),
        device("sda1", "8:1", parent="sda"),
        device("sdb", "8:16"),
    )
    assert used == dict.fromkeys(("sda", "sda1", "sdb"), RUNS_FROM_HERE)


def test_a_file_behind_a_loop_device_uses_the_disk_that_it_is_on(tmp_path: Path) -> None:
    loop = replace(device("loop0", "7:0"), sys_path=tmp_path / "loop0")
    (tmp_path / "loop0/loop").mkdir(parents=True)
    (tmp_path / "loop0/loop/backing_file").write_text("/isodevice/live.iso\n")
    used = in_use(
        tmp_path,
        "29 1 7:0 / / ro - squashfs /dev/loop0 ro\n30 29 8:1 / /isodevice ro - vfat /dev/sda1 ro\n",
        loop,
        device("sda", "8:0"),
        device("sda1", "8:1", parent="sda"),
    )
    assert used == dict.fromkeys(("loop0", "sda", "sda1"), RUNS_FROM_HERE)


def test_of_two_roots_the_later_one_counts(tmp_path: Path) -> None:
    mountinfo = "1 1 0:2 / / rw - rootfs rootfs rw\n29 1 8:0 / / rw - ext4 /dev/root rw\n"
    assert in_use(tmp_path, mountinfo, device("sda", "8:0")) == {"sda": RUNS_FROM_HERE}


def test_a_system_without_mountinfo_uses_nothing(tmp_path: Path) -> None:
    assert devices_in_use(BlockDevices({"sda": device("sda", "8:0")}), Places(proc=tmp_path)) == {}


def test_only_a_disk_whose_mounts_are_all_read_only_can_be_selected_by_name(tmp_path: Path) -> None:
    used = in_use(
        tmp_path,
        "29 1 8:1 / /look ro - ext4 /dev/sda1 ro\n"
        "30 1 8:17 / /a ro - ext4 /dev/sdb1 ro\n"
        "31 1 8:18 / /b rw - ext4 /dev/sdb2 rw\n"
        "32 1 8:33 / /bound ro - ext4 /dev/sdc1 rw\n",
        device("sda", "8:0"),
        device("sda1", "8:1", parent="sda"),
        device("sdb", "8:16"),
        device("sdb1", "8:17", parent="sdb"),
        device("sdb2", "8:18", parent="sdb"),
        device("sdc", "8:32"),
        device("sdc1", "8:33", parent="sdc"),
    )
    assert {name for name, exclusion in used.items() if exclusion.risk} == {"sda", "sda1", "sdb1"}
    assert used["sdb"].reason == "mounted on /b: unmount it first"
