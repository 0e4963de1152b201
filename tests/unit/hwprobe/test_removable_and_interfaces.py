"""Drives with removable media, and physical network interfaces, of recorded machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.hwprobe import MediumKind, NetworkInterface, Places
from p2v_tui.hwprobe.blockdev import Ancestor, BlockDevice, BlockDevices
from p2v_tui.hwprobe.disks import find_disks
from p2v_tui.hwprobe.removable import medium_kind
from tests.unit.hwprobe.conftest import ProbeRecorded


def media(recorded: ProbeRecorded, machine: str) -> dict[str, MediumKind]:
    return {medium.name: medium.kind for medium in recorded(machine).machine.removable}


def interface(recorded: ProbeRecorded, machine: str, name: str) -> NetworkInterface:
    return next(found for found in recorded(machine).machine.interfaces if found.name == name)


def test_an_empty_floppy_a_zip_drive_and_a_dvd_are_told_apart(recorded: ProbeRecorded) -> None:
    assert media(recorded, "pata-pc") == {
        "fd0": MediumKind.FLOPPY,
        "hdb": MediumKind.OTHER,
        "hdc": MediumKind.CDROM,
    }


def test_a_floppy_is_neither_a_disk_nor_an_excluded_one(recorded: ProbeRecorded) -> None:
    machine = recorded("pata-pc").machine
    assert "fd0" not in {disk.name for disk in machine.disks} | {excluded.name for excluded in machine.excluded}


def test_a_usb_floppy_is_a_floppy_and_a_stick_is_other(recorded: ProbeRecorded) -> None:
    assert media(recorded, "mixed") == {"sdb": MediumKind.OTHER, "sdc": MediumKind.FLOPPY}


def test_a_cd_drive_stays_one_when_the_system_runs_from_its_disc(recorded: ProbeRecorded) -> None:
    assert media(recorded, "cciss-md-server") == {"sr0": MediumKind.CDROM}


def test_the_stick_that_the_system_runs_from_is_no_removable_medium_of_the_machine(recorded: ProbeRecorded) -> None:
    assert media(recorded, "sata-lvm-server") == {"sr0": MediumKind.CDROM}


def test_drives_are_recognised_without_udevd(recorded: ProbeRecorded) -> None:
    assert media(recorded, "no-udevd") == {"fd0": MediumKind.FLOPPY, "sr0": MediumKind.CDROM}


def test_a_drive_has_its_model(recorded: ProbeRecorded) -> None:
    (dvd,) = recorded("sata-lvm-server").machine.removable
    assert dvd.model == "TEAC DV-28S-W"


def drive(root: Path, flag: str, *chain: str, **attributes: str) -> BlockDevice:
    """A drive that hangs on these subsystems, the nearest first, the first of which has these attributes."""
    above = []
    for subsystem in chain:
        place = root / "devices/ata1" / subsystem
        place.mkdir(parents=True)
        above.append(Ancestor(place, subsystem, None))
    for name, value in attributes.items():
        (above[0].sys_path / name).write_text(value)
    sys_path = (root / "devices/ata1" if "ata" in attributes.get("on", "") else root / "devices") / "block"
    sys_path.mkdir(parents=True)
    (sys_path / "removable").write_text(flag)
    return BlockDevice("x", Path("/dev/x"), sys_path, "8:0", 512, False, None, tuple(above), (), {})


@pytest.mark.parametrize(
    ("flag", "chain", "attributes", "takes_media"),
    [
        # The flag alone says nothing.
        ("1", ("scsi", "pci"), {"type": "0", "vendor": "Adaptec"}, False),
        ("1", ("scsi", "pci"), {"type": "0", "vendor": "ATA", "on": "ata"}, False),
        ("1", ("scsi", "pci"), {"type": "0", "vendor": "SEAGATE"}, False),
        ("1", ("virtio", "pci"), {}, False),
        ("1", ("nvme", "pci"), {}, False),
        # What it hangs on does.
        ("1", ("scsi", "usb", "pci"), {"type": "0", "vendor": "SanDisk"}, True),
        ("0", ("scsi", "usb", "pci"), {"type": "0", "vendor": "Seagate"}, False),
        ("1", ("scsi", "firewire", "pci"), {"type": "0"}, True),
        ("1", ("scsi", "pci"), {"type": "0", "vendor": "IOMEGA", "on": "ata"}, True),
        ("1", ("scsi", "parport"), {"type": "0", "vendor": "IOMEGA"}, True),
        ("0", ("scsi", "pci"), {"type": "7", "vendor": "FUJITSU"}, True),
        ("0", ("mmc", "mmc_host", "pci"), {"type": "SD"}, True),
        ("0", ("mmc", "mmc_host", "usb"), {"type": "SDcombo"}, True),
        ("0", ("mmc", "mmc_host", "platform"), {"type": "MMC"}, False),
        ("1", ("ide", "pci"), {"media": "floppy"}, True),
        ("0", ("ide", "pci"), {"media": "optical"}, True),
        ("1", ("ide", "pci"), {"media": "disk"}, False),
    ],
)
def test_what_a_drive_hangs_on_says_whether_it_takes_media(
    tmp_path: Path, flag: str, chain: tuple[str, ...], attributes: dict[str, str], takes_media: bool
) -> None:
    assert (medium_kind(drive(tmp_path, flag, *chain, **attributes)) is MediumKind.OTHER) == takes_media


def test_a_flash_chip_of_the_firmware_is_no_disk(tmp_path: Path) -> None:
    chip = drive(tmp_path, "0", "mtd", "spi", "pci")
    found = find_disks(BlockDevices({"mtdblock0": chip}), {}, Places(proc=tmp_path))
    assert not found.disks
    (excluded,) = found.excluded
    assert "flash chip" in excluded.reason


def test_an_interface_is_described_in_full(recorded: ProbeRecorded) -> None:
    assert interface(recorded, "sata-lvm-server", "em1") == NetworkInterface(
        name="em1",
        mac="d4:ae:52:a1:b2:c3",
        vendor="Broadcom Inc. and subsidiaries",
        model="NetXtreme II BCM5709 Gigabit Ethernet",
        driver="bnx2",
        carrier=True,
    )


def test_the_carrier_of_an_interface_that_is_down_is_unknown(recorded: ProbeRecorded) -> None:
    assert interface(recorded, "sata-lvm-server", "em2").carrier is None
    assert interface(recorded, "nvme-luks-laptop", "enp0s31f6").carrier is False


def test_bridges_bonds_vlans_loopback_and_infiniband_are_left_out(recorded: ProbeRecorded) -> None:
    assert [found.name for found in recorded("sata-lvm-server").machine.interfaces] == ["em1", "em2"]
    assert [found.name for found in recorded("multipath-san-host").machine.interfaces] == ["eno1", "eno2"]


def test_members_of_a_bond_keep_their_own_addresses(recorded: ProbeRecorded) -> None:
    macs = [found.mac for found in recorded("multipath-san-host").machine.interfaces]
    assert macs == ["b8:ca:3a:00:00:01", "b8:ca:3a:00:00:02"]


def test_the_permanent_address_is_found_behind_one_set_by_hand(recorded: ProbeRecorded) -> None:
    assert interface(recorded, "nvme-luks-laptop", "enp0s31f6").mac == "8c:16:45:aa:bb:cc"


def test_wifi_counts_and_its_permanent_address_is_found_behind_a_random_one(recorded: ProbeRecorded) -> None:
    wifi = interface(recorded, "nvme-luks-laptop", "wlp0s20f3")
    assert wifi.mac == "f8:ac:65:0d:1e:2f"
    assert wifi.driver == "iwlwifi"


def test_the_hardware_database_is_looked_up_where_udev_did_not(recorded: ProbeRecorded) -> None:
    wifi = interface(recorded, "nvme-luks-laptop", "wlp0s20f3")
    assert (wifi.vendor, wifi.model) == ("Intel Corporation", "Cannon Point-LP CNVi [Wireless-AC]")


def test_hardware_that_no_database_knows_has_no_names(recorded: ProbeRecorded) -> None:
    card = interface(recorded, "pata-pc", "eth0")
    assert (card.vendor, card.model, card.driver) == (None, None, "e100")
