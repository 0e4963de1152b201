"""Which disks are converted where the operator names none: a guess, which is said to be one.

Whatever is built in belongs to the machine. A disk on USB or FireWire may be a backup, or the operator's own, and to
copy the wrong one looks like a success: it is converted where the machine has nothing else, with a warning, where the
firmware boots from it, or where it holds something together with a disk that is built in.
"""

from __future__ import annotations

from typing import Final

from p2v_tui.hwprobe.machine import BootSource, Disk, Machine

# What says for sure which disk is booted from.
_FIRMWARE: Final = frozenset({BootSource.UEFI_ENTRY, BootSource.BIOS})


def default_disks(machine: Machine) -> tuple[Disk, ...]:
    """Those of the disks on offer that are converted by default, in the machine's order."""
    built_in = {disk.name for disk in machine.disks if not disk.external}
    if not built_in:
        return machine.disks
    if machine.boot_disk and machine.boot_disk.source in _FIRMWARE:
        built_in.add(machine.disks[0].name)
    needed = {name for group in machine.groups if group.disks & built_in for name in group.disks}
    return tuple(disk for disk in machine.disks if disk.name in built_in | needed)


def only_external(machine: Machine) -> bool:
    """Whether every disk on offer can be carried about, so that the default is least sure."""
    return bool(machine.disks) and all(disk.external for disk in machine.disks)
