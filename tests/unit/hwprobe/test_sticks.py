"""The sticks of recorded machines that a file may be written to."""

from __future__ import annotations

import pytest

from tests.unit.hwprobe.conftest import ProbeRecorded


def names(recorded: ProbeRecorded, machine: str) -> list[str]:
    return [stick.name for stick in recorded(machine).sticks]


def test_a_stick_and_a_card_are_found_with_size_and_file_system(recorded: ProbeRecorded) -> None:
    (stick,) = recorded("mixed").sticks
    assert (stick.name, stick.kind, stick.disk.name) == ("sdb1", "vfat", "sdb")
    assert stick.size > 0
    assert stick.number == "8:17"
    (card,) = recorded("sd-card-in-reader").sticks
    assert (card.name, card.kind) == ("mmcblk0p1", "exfat")


@pytest.mark.parametrize("machine", ["sata-lvm-server", "nvme-luks-laptop"])
def test_the_stick_that_the_system_runs_from_is_none(recorded: ProbeRecorded, machine: str) -> None:
    assert names(recorded, machine) == []


@pytest.mark.parametrize(
    "machine",
    ["lvm-in-use", "ahci-hotplug-ports", "aacraid-arrays", "pata-pc", "cciss-md-server", "two-paths-no-multipath"],
)
def test_a_fixed_disk_is_none_whatever_flag_the_kernel_has_for_it(recorded: ProbeRecorded, machine: str) -> None:
    found = recorded(machine)
    fixed = {disk.name for disk in found.machine.disks}
    assert not [stick for stick in found.sticks if stick.disk.name in fixed]


def test_every_stick_of_all_machines_is_on_a_removable_medium(recorded: ProbeRecorded) -> None:
    for machine in ("mixed", "sd-card-in-reader", "lvm-in-use", "pata-pc", "bmc-virtual-drives", "no-udevd"):
        removable = {medium.name for medium in recorded(machine).machine.removable}
        assert {stick.disk.name for stick in recorded(machine).sticks} <= removable
