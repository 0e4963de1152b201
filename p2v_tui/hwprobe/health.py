"""The state of the disks to convert: does one fail, was its Windows shut down properly, is an array degraded.

Reading only, and not a part of `probe()`: it opens file systems and asks the drives, which takes a moment and, with
a failing disk, many. What the answers mean is the session's matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2v_tui.hwprobe.machine import Disk
from p2v_tui.hwprobe.places import Places


@dataclass(frozen=True)
class WindowsVolume:
    """An NTFS file system. partition: its name, the disk's where it fills the disk.

    system: it holds a Windows, or what boots one. dirty: Windows was not shut down, or wants to check it. hibernated:
    a Windows sleeps on it (hibernation, fast start-up). None: not known.
    """

    partition: str
    system: bool
    dirty: bool | None = None
    hibernated: bool | None = None


@dataclass(frozen=True)
class DiskHealth:
    """One disk. answered: it could be looked at in time. read_errors, link_errors: lines in the kernel's log.

    smart_passed: the drive's own verdict, None where it has none or smartctl is not there. reallocated, pending: its
    sectors, None where it does not count them.
    """

    name: str
    answered: bool = True
    read_errors: int = 0
    link_errors: int = 0
    smart_passed: bool | None = None
    reallocated: int | None = None
    pending: int | None = None
    windows_volumes: tuple[WindowsVolume, ...] = ()


@dataclass(frozen=True)
class DegradedArray:
    """A running md array that lacks `missing` of its members. disks: the disks examined that carry it."""

    name: str
    missing: int
    disks: tuple[str, ...]


@dataclass(frozen=True)
class Health:
    """disks: one for each disk examined, in the order given."""

    disks: tuple[DiskHealth, ...]
    degraded: tuple[DegradedArray, ...] = ()

    @property
    def windows(self) -> frozenset[str]:
        """The names of the disks that hold a Windows."""
        return frozenset(disk.name for disk in self.disks if any(volume.system for volume in disk.windows_volumes))


def examine_health(disks: Iterable[Disk], places: Places | None = None) -> Health:
    """The state of these disks, all looked at together. Takes at most HEALTH_SECONDS, however they fail."""
    return Health(tuple(DiskHealth(disk.name) for disk in disks))
