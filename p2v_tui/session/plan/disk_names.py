"""Which disk of the machine a name in p2v.disks means.

The kernel's names may change at every boot, and so may multipath's mpatha. So a disk can also be named by any of
udev's links below /dev/disk, by its serial number or by its WWN.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.machine import Disk

SERIAL = "serial:"
WWN = "wwn:"
# The prefixes of the same digits: in sysfs, in udev's links, in NVMe's names, in multipath's WWIDs.
_WWN_KINDS = re.compile(r"^(?:wwn-)?(?:0x|naa\.|eui\.|uuid\.|nvme\.)?")
_ALL_OF_A_WWN = 16


def plain(name: str) -> str:
    """A kernel's or device-mapper's name without its directory: `cciss/c0d0` for `/dev/cciss/c0d0`, `cciss!c0d0`."""
    return name.removeprefix("/dev/").removeprefix("mapper/").replace("!", "/")


def find_named(name: str, disks: Iterable[Disk]) -> Disk | None:
    """The disk with that name, or None. disks: best first, so of two paths the offered one.

    Raises SettingsError if several disks have that serial number or WWN.
    """
    every = tuple(disks)
    for kind, matches in ((SERIAL, _has_serial), (WWN, _has_wwn)):
        if name.lower().startswith(kind):
            value = name[len(kind) :].strip()
            return _only([disk for disk in every if value and matches(value, disk)], name)
    return next((disk for disk in every if disk.name == plain(name)), None) or _linked(name, every)


def _linked(name: str, disks: Sequence[Disk]) -> Disk | None:
    # udev's own list first, as the links may be missing; `disk/by-id/...` is short for a path.
    link = name if name.startswith("/") else f"/dev/{name}"
    known = next((disk for disk in disks if link in disk.links), None)
    if known or not name.startswith("/"):
        return known
    node = os.path.realpath(name)
    return next((disk for disk in disks if node in (str(disk.device), os.path.realpath(disk.device))), None)


def _only(found: Sequence[Disk], name: str) -> Disk | None:
    if len(found) > 1:
        names = ", ".join(disk.name for disk in found)
        raise SettingsError(
            f"{name} is more than one disk: {names}.",
            "Name one of them by a link of udev's that only it has: ls -l /dev/disk/by-path /dev/disk/by-id",
            setting="disks",
        )
    return found[0] if found else None


def _has_serial(serial: str, disk: Disk) -> bool:
    return (disk.serial or "").strip().lower() == serial.lower()


def _has_wwn(wwn: str, disk: Disk) -> bool:
    wanted, own = _digits(wwn), _digits(disk.wwn or "")
    if not own or not wanted:
        return False
    # multipath's WWID begins with the number's type (3 for NAA), and a short WWN lacks the extension.
    return wanted in {own, f"3{own}", f"2{own}"} or (len(wanted) == _ALL_OF_A_WWN and own.startswith(wanted))


def _digits(wwn: str) -> str:
    return re.sub(r"[:-]", "", _WWN_KINDS.sub("", wwn.strip().lower()))
