"""A SAN host has thousands of block devices: the work grows with their number, not with its square."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from p2v_tui.hwprobe.blockdev import BlockDevices
from p2v_tui.hwprobe.lvm import pvs_command
from tests.lab.san import local_disks, look, physical_volume, san_host

# What the kernel takes as one argument of a command (MAX_ARG_STRLEN), and as all of them, of a stack of 8 MiB.
LONGEST_ARGUMENT = 128 * 1024
ALL_ARGUMENTS = 2 * 1024 * 1024


def steps(work: Callable[[], object]) -> int:
    """How many lines and calls of Python some work takes; each turn of a loop is one at least."""
    count = 0

    def trace(_frame: FrameType, _event: str, _argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("host", [san_host, local_disks])
def test_four_times_the_devices_are_about_four_times_the_work(host: Callable[[int], BlockDevices]) -> None:
    few, many = host(10), host(40)
    assert steps(lambda: look(many)) < 5 * steps(lambda: look(few))


def test_the_groups_of_many_disks_are_found() -> None:
    disks, groups = look(san_host(40))
    assert len(disks) == 40
    assert {group.name: len(group.disks) for group in groups} == {"vg0": 10, "vg1": 10, "vg2": 10, "vg3": 10}


def test_pvs_is_asked_about_thousands_of_devices_in_arguments_that_the_kernel_takes() -> None:
    for luns in (2, 500, 2000, 14000):
        holding = [physical_volume(lun) for lun in range(luns)]
        command = pvs_command(holding)
        assert max(map(len, command)) < LONGEST_ARGUMENT
        # A pointer to each comes to its text.
        assert sum(len(word) + 1 + 8 for word in command) < ALL_ARGUMENTS
        assert all(any(device.name in word.replace("\\", "") for word in command) for device in holding[::997])
        assert 'hints="none"' in " ".join(command) and "--readonly" in command
