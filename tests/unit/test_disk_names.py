"""The names of a disk that stay: udev's links, the serial number, the WWN."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.plan.disk_names import find_named

LUN = Disk(
    "mpatha",
    Path("/dev/mapper/mpatha"),
    1 << 40,
    serial="600A098038303053",
    wwn="0x600a098038303053742b4a4e35587a61",
    links=("/dev/disk/by-id/dm-uuid-mpath-3600a098038303053742b4a4e35587a61", "/dev/disk/by-path/pci-0:1-lun-0"),
)
SATA = Disk("sda", Path("/dev/null"), 1 << 40, serial="WD-WCC4N3", wwn="0x50014ee2b5c6d7e8")
NVME = Disk("nvme0n1", Path("/dev/zero"), 1 << 40, serial="S4X 1", wwn="eui.0025385b71b01234")
NVME_UUID = Disk("nvme1n1", Path("/dev/full"), 1 << 40, wwn="uuid.12345678-1234-1234-1234-1234567890ab")
DISKS = (LUN, SATA, NVME, NVME_UUID)


@pytest.mark.parametrize(
    ("name", "disk"),
    [
        ("/dev/disk/by-id/dm-uuid-mpath-3600a098038303053742b4a4e35587a61", LUN),
        ("disk/by-path/pci-0:1-lun-0", LUN),
        ("wwn:0x600a098038303053742b4a4e35587a61", LUN),
        ("wwn:3600a098038303053742b4a4e35587a61", LUN),
        ("WWN:naa.600A098038303053742B4A4E35587A61", LUN),
        ("wwn:600a098038303053", LUN),
        ("serial:600a098038303053", LUN),
        ("wwn:50014ee2b5c6d7e8", SATA),
        ("wwn:50:01:4e:e2:b5:c6:d7:e8", SATA),
        ("wwn:wwn-0x50014ee2b5c6d7e8", SATA),
        ("serial:wd-wcc4n3", SATA),
        ("Serial:S4X 1", NVME),
        ("wwn:0025385b71b01234", NVME),
        ("wwn:eui.0025385B71B01234", NVME),
        ("wwn:12345678-1234-1234-1234-1234567890ab", NVME_UUID),
        ("/dev/zero", NVME),
    ],
)
def test_a_disk_has_names_that_stay(name: str, disk: Disk) -> None:
    assert find_named(name, DISKS) is disk


@pytest.mark.parametrize(
    "name", ["serial:", "wwn:", "wwn:0x", "serial:WD", "wwn:50014ee2", "disk/by-id/none", "/dev/disk/by-id/none", ""]
)
def test_half_a_name_is_not_accepted(name: str) -> None:
    assert find_named(name, DISKS) is None


@pytest.mark.parametrize("name", ["serial:600A098038303053", "wwn:600a098038303053"])
def test_a_number_that_two_disks_have_is_refused_with_both(name: str) -> None:
    other = dataclasses.replace(LUN, name="mpathb", wwn="0x600a098038303053ffff4a4e35587a61", links=())
    with pytest.raises(SettingsError) as raised:
        find_named(name, (*DISKS, other))
    assert "mpatha, mpathb" in raised.value.message
    assert raised.value.setting == "disks" and raised.value.advice


def test_the_link_to_a_device_mapper_disk_leads_to_it(tmp_path: Path) -> None:
    """/dev/mapper/mpatha is a link to /dev/dm-0, and so is the one below /dev/disk."""
    (tmp_path / "dm-0").touch()
    for name in ("mpatha", "by-id"):
        (tmp_path / name).symlink_to("dm-0")
    disk = dataclasses.replace(LUN, device=tmp_path / "mpatha")
    assert find_named(str(tmp_path / "by-id"), (disk,)) is disk
