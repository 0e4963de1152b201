"""The boot disk comes first, and the installed system's firmware is told only where it is certain."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.hwprobe import Disk, Firmware, Partition, Places
from p2v_tui.hwprobe.blockdev import BlockDevices, natural
from p2v_tui.hwprobe.boot_order import BootOrder, boot_entry, order_disks
from p2v_tui.hwprobe.contents import BIOS_BOOT_TYPE
from p2v_tui.hwprobe.firmware import installed_firmware
from tests.unit.hwprobe.conftest import ProbeRecorded

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


def disk(name: str, *types: str, bootable: bool = False) -> Disk:
    parts = tuple(Partition(f"{name}{n}", n, 1 << 20, kind, bootable=bootable) for n, kind in enumerate(types, 1))
    return Disk(name, Path("/dev") / name, 1 << 30, partitions=parts)


def order(tmp_path: Path, firmware: Firmware, *disks: Disk) -> BootOrder:
    return order_disks({disk.name: disk for disk in disks}, BlockDevices({}), [], firmware, Places(sys=tmp_path))


def ordered(tmp_path: Path, firmware: Firmware, *disks: Disk) -> list[str]:
    return [disk.name for disk in order(tmp_path, firmware, *disks).disks]


def test_uefi_boot_entries_name_the_boot_disk_past_the_live_disk_and_inactive_ones(recorded: ProbeRecorded) -> None:
    machine = recorded("nvme-luks-laptop").machine
    assert [disk.name for disk in machine.disks] == ["nvme1n1", "nvme0n1"]
    assert machine.booted_by is Firmware.UEFI and machine.installed_firmware is Firmware.UEFI


def test_the_bios_disk_numbers_name_the_boot_disk(recorded: ProbeRecorded) -> None:
    machine = recorded("cciss-md-server").machine
    assert [disk.name for disk in machine.disks] == ["cciss/c0d1", "cciss/c0d0"]


def test_a_live_stick_as_the_first_bios_disk_is_passed_over(recorded: ProbeRecorded) -> None:
    machine = recorded("sata-lvm-server").machine
    assert [disk.name for disk in machine.disks] == ["sda", "sdb", "sdc"]
    assert machine.installed_firmware is Firmware.BIOS


def test_an_active_partition_marks_the_boot_disk_where_the_bios_says_nothing(recorded: ProbeRecorded) -> None:
    assert [disk.name for disk in recorded("pata-pc").machine.disks] == ["sda", "hda"]


def test_without_any_hint_the_order_is_the_kernels(tmp_path: Path) -> None:
    disks = [disk(name) for name in ("sdaa", "nvme10n1", "sdb", "nvme2n1", "sda", "sdz")]
    assert ordered(tmp_path, Firmware.BIOS, *disks) == ["nvme2n1", "nvme10n1", "sda", "sdb", "sdz", "sdaa"]


@pytest.mark.parametrize(
    ("firmware", "first"), [(Firmware.UEFI, "sdb"), (Firmware.BIOS, "sdc")], ids=["uefi", "bios"]
)
def test_the_partitions_that_this_firmware_boots_decide(tmp_path: Path, firmware: Firmware, first: str) -> None:
    disks = (disk("sda", "0x83"), disk("sdb", ESP), disk("sdc", BIOS_BOOT_TYPE))
    assert ordered(tmp_path, firmware, *disks)[0] == first


def test_a_disk_for_the_other_firmware_still_comes_before_data_disks(tmp_path: Path) -> None:
    assert ordered(tmp_path, Firmware.BIOS, disk("sda", "0x83"), disk("sdb", ESP)) == ["sdb", "sda"]


def test_a_zero_or_broken_signature_names_no_disk(tmp_path: Path) -> None:
    for number, signature in (("80", "0x00000000"), ("81", "garbage")):
        drive = tmp_path / f"firmware/edd/int13_dev{number}"
        drive.mkdir(parents=True)
        (drive / "mbr_signature").write_text(signature)
    blank = Disk("sdb", Path("/dev/sdb"), 512, partition_table="dos", partition_table_uuid="00000000")
    assert ordered(tmp_path, Firmware.BIOS, disk("sda"), blank) == ["sda", "sdb"]


@pytest.mark.parametrize(
    ("running", "types", "installed"),
    [
        (Firmware.UEFI, [ESP], Firmware.UEFI),
        (Firmware.UEFI, ["0xef"], Firmware.UEFI),
        (Firmware.UEFI, [ESP, BIOS_BOOT_TYPE], None),
        (Firmware.UEFI, ["0x83"], None),
        (Firmware.BIOS, ["0x83"], Firmware.BIOS),
        (Firmware.BIOS, [BIOS_BOOT_TYPE], Firmware.BIOS),
        (Firmware.BIOS, [ESP], None),
    ],
)
def test_the_installed_firmware_is_told_only_where_disk_and_running_system_agree(
    running: Firmware, types: list[str], installed: Firmware | None
) -> None:
    assert installed_firmware([disk("sda", *types)], running) is installed


def test_only_the_boot_disk_tells_the_installed_firmware() -> None:
    assert installed_firmware([disk("sda", "0x83"), disk("sdb", ESP)], Firmware.BIOS) is Firmware.BIOS
    assert installed_firmware([], Firmware.BIOS) is None


def test_an_esp_on_a_machine_booted_by_bios_leaves_it_open(recorded: ProbeRecorded) -> None:
    assert recorded("imsm-workstation").machine.installed_firmware is None


def test_a_boot_entry_with_an_mbr_signature_names_the_partition_as_blkid_does() -> None:
    node = bytes([4, 1, 42, 0]) + (2).to_bytes(4, "little") + bytes(16)
    node += bytes.fromhex("a1c30900").ljust(16, b"\0") + bytes([1, 1])
    variable = bytes(4) + (1).to_bytes(4, "little") + len(node).to_bytes(2, "little") + "x".encode("utf-16-le")
    entry = boot_entry(variable + b"\0\0" + node)
    assert entry is not None and entry.active and entry.partitions == {"0009c3a1-02"}


@pytest.mark.parametrize("length", range(24))
def test_a_boot_entry_cut_short_is_no_error(length: int) -> None:
    node = bytes([4, 1, 42, 0, 1])
    whole = bytes(4) + (1).to_bytes(4, "little") + b"\x30\0" + "debian".encode("utf-16-le") + b"\0\0" + node
    entry = boot_entry(whole[:length])
    assert entry is None or entry.partitions == frozenset()


def test_names_sort_as_the_kernel_gives_them() -> None:
    names = ["nvme10n1", "sdaa", "nvme2n1", "sdz", "cciss/c0d10", "sdb", "cciss/c0d2"]
    assert sorted(names, key=natural) == ["cciss/c0d2", "cciss/c0d10", "nvme2n1", "nvme10n1", "sdb", "sdz", "sdaa"]
