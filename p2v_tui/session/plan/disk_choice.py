"""Which disks are converted if the operator names none. It is a guess, and is called one.

Built-in disks belong to the machine. A disk on USB or FireWire may be a backup or the operator's own, and copying the
wrong one looks like a success. It is converted if the firmware boots from it, if it shares a group with a built-in
disk, or, with a warning, if the machine has nothing else.
"""

from __future__ import annotations

from typing import Final

from p2v_tui.hwprobe.machine import BootSource, Disk, Machine

# The sources that are sure about the boot disk.
_FIRMWARE: Final = frozenset({BootSource.UEFI_ENTRY, BootSource.BIOS})


def default_disks(machine: Machine) -> tuple[Disk, ...]:
    """The offered disks that are converted by default, in the machine's order."""
    built_in = {disk.name for disk in machine.disks if not disk.external}
    if not built_in:
        return machine.disks
    if machine.boot_disk and machine.boot_disk.source in _FIRMWARE:
        built_in.add(machine.disks[0].name)
    needed = {name for group in machine.groups if group.disks & built_in for name in group.disks}
    return tuple(disk for disk in machine.disks if disk.name in built_in | needed)


def only_external(machine: Machine) -> bool:
    """Whether all offered disks are external, so that the default is least certain."""
    return bool(machine.disks) and all(disk.external for disk in machine.disks)
