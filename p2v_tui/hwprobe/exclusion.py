"""Why a block device is not offered, and whether an operator may overrule that.

A guess about a disk can be overruled: whoever names the disk gets it, with `risk` as a warning. Only what surely
fails or surely loses data is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Exclusion:
    """reason: in words for the operator. risk: of naming the disk all the same, a sentence; None if it cannot be
    converted. own: it surely holds a part of this machine, which the guest would lack.
    """

    reason: str
    risk: str | None = None
    own: bool = False


# nbdkit would serve its size: nothing.
NO_MEDIUM: Final = Exclusion("no medium in the drive")
NO_SIZE: Final = Exclusion("its size is zero")

REMOVABLE: Final = Exclusion(
    "removable medium: its content is converted only if it is named",
    "It is a removable medium, which may not belong to this machine.",
)

# Made of other devices or without hardware: it can be read like a disk, but its disks contain more than it shows.
FIRMWARE_FLASH: Final = Exclusion(
    "flash chip of the firmware, not a disk", "It is a flash chip, which holds firmware rather than a system."
)
VOLUME: Final = Exclusion(
    "LVM logical volume: converted with the disks that hold it",
    "It is a logical volume: the guest gets it as a disk of its own, without its volume group.",
)
OPENED: Final = Exclusion(
    "opened encrypted volume: converted, still encrypted, with the disk that holds it",
    "It is an opened encrypted volume: the guest gets it as a disk that is not encrypted.",
)
MAPPED: Final = Exclusion(
    "device-mapper device, not a disk of this machine",
    "It is a device-mapper device, which is made of something else.",
)
SOFTWARE_ARRAY: Final = Exclusion(
    "software RAID array: the guest assembles it from its member disks",
    "It is a software RAID array: the guest gets its content as one disk, without the array.",
)

# The running system's own memory.
_MEMORY: Final = {"ramdisk": "RAM disk of the running system", "zram": "compressed RAM of the running system"}
# What the drivers' names in /proc/devices mean, for devices without hardware.
_VIRTUAL: Final = {
    "loop": "loop device: a file that looks like a disk",
    "nbd": "network block device",
    "drbd": "DRBD device: its backing disk is converted",
}
CEPH: Final = Exclusion("Ceph network block device", "It is not on this machine but on the network.")


def virtual(driver: str) -> Exclusion:
    """driver: its name in /proc/devices; empty if unknown."""
    if driver in _MEMORY:
        return Exclusion(_MEMORY[driver])
    reason = _VIRTUAL.get(driver, "virtual device, not a disk of this machine")
    return Exclusion(reason, "It is not a disk of this machine.")


def hardware_partition(of: str) -> Exclusion:
    return Exclusion(
        f"hardware partition of {of} for its firmware, not for data",
        f"It is a hardware partition of {of}, which holds firmware rather than a system.",
    )


def container(kind: str) -> Exclusion:
    """For a container of a firmware RAID set, which has no content of its own."""
    return Exclusion(f"container of a firmware RAID set ({kind}), not a disk")


def path_of(disk: str) -> Exclusion:
    """For a path of a multipath disk. That is offered instead: it is the same and survives when this path fails."""
    return Exclusion(f"path of {disk}")


def member_of(raid: str) -> Exclusion:
    """While the set runs, a member's data is neither the set's content nor stable."""
    return Exclusion(f"member of the firmware RAID set {raid}")


PATH_WITHOUT_MAP: Final = Exclusion(
    "path of a multipath disk that is not assembled: run `multipath`, then refresh",
    "It is one path of a multipath disk: the conversion ends when that path fails.",
    own=True,
)


def unassembled(command: str) -> Exclusion:
    """For a member of a firmware RAID set that does not run. command: starts the set."""
    return Exclusion(
        f"member of a firmware RAID set that is not assembled: run `{command}`, then refresh",
        "It is one member of a firmware RAID set: of a mirror it holds everything, of any other set only a part. "
        f"Run {command} to convert the set.",
        own=True,
    )


def other_path(to: str) -> Exclusion:
    """For another path to a disk that is offered already."""
    return Exclusion(
        f"another path to {to}, which is the same disk (WWN, serial number and content)",
        f"It looks like another path to {to}, which is the same disk.",
    )


def mounted(point: str, *, writable: bool) -> Exclusion:
    """A mounted file system changes while it is copied, unless it is mounted read-only."""
    return Exclusion(
        f"mounted on {point}: unmount it first",
        None if writable else f"It is mounted read-only on {point}.",
    )


def swapped_to(path: str) -> Exclusion:
    return Exclusion(f"the running system swaps to {path}: turn that off first (swapoff)")


RUNS_FROM_HERE: Final = Exclusion("the system that runs now was started from it")
