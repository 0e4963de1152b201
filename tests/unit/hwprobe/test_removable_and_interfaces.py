"""Drives with removable media, and physical network interfaces, of recorded machines."""

from __future__ import annotations

from p2v_tui.hwprobe import MediumKind, NetworkInterface
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


def test_an_address_that_was_set_by_hand_is_seen_through(recorded: ProbeRecorded) -> None:
    assert interface(recorded, "nvme-luks-laptop", "enp0s31f6").mac == "8c:16:45:aa:bb:cc"


def test_wifi_counts_and_a_random_address_is_seen_through(recorded: ProbeRecorded) -> None:
    wifi = interface(recorded, "nvme-luks-laptop", "wlp0s20f3")
    assert wifi.mac == "f8:ac:65:0d:1e:2f"
    assert wifi.driver == "iwlwifi"


def test_the_hardware_database_is_looked_up_where_udev_did_not(recorded: ProbeRecorded) -> None:
    wifi = interface(recorded, "nvme-luks-laptop", "wlp0s20f3")
    assert (wifi.vendor, wifi.model) == ("Intel Corporation", "Cannon Point-LP CNVi [Wireless-AC]")


def test_hardware_that_no_database_knows_has_no_names(recorded: ProbeRecorded) -> None:
    card = interface(recorded, "pata-pc", "eth0")
    assert (card.vendor, card.model, card.driver) == (None, None, "e100")
