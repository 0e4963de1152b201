"""The state of the disks to convert: whether one fails, its Windows was shut down properly, an array is degraded. It
only reads. It is not a part of `probe()`, because it opens file systems and asks the drives, which takes long with a
failing disk. The session judges the answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from p2v_tui.hwprobe.answers import Answer
from p2v_tui.hwprobe.machine import Content, Disk
from p2v_tui.hwprobe.md_content import ArrayMember, array_members
from p2v_tui.hwprobe.ntfs import NtfsState, examine_ntfs
from p2v_tui.hwprobe.places import Places, entries, read_number

# A failing drive can hold a read for minutes. After this time it is not waited for.
HEALTH_SECONDS: Final = 20.0

# ATA attributes by number: Reallocated Sectors Count and Current Pending Sector Count.
_REALLOCATED: Final = 5
_PENDING: Final = 197


@dataclass(frozen=True)
class WindowsVolume:
    """An NTFS file system. partition: its name, or the disk's if it fills the disk.

    system: it has Windows on it, or its boot files. state: how Windows left it, None if unknown.
    """

    partition: str
    system: bool
    state: NtfsState | None


@dataclass(frozen=True)
class Drive:
    """What SMART says about a disk. passed: its own verdict. reallocated, unreadable: numbers of sectors.

    Each is None if the drive does not say, its controller does not pass it on, or smartctl is missing.
    """

    passed: bool | None = None
    reallocated: int | None = None
    unreadable: int | None = None


@dataclass(frozen=True)
class DiskHealth:
    """One disk. answered: it could be read in HEALTH_SECONDS; else its volumes are not known.

    read_errors: lines in the kernel's log about data that could not be read. overcome_errors: lines about failures
    that another try, path or member made up for. Both are None if the log may not be read. windows: whether it seems
    to have Windows on it. members: its members of software RAID arrays.
    """

    name: str
    answered: bool = True
    read_errors: int | None = 0
    overcome_errors: int | None = 0
    drive: Drive = Drive()
    volumes: tuple[WindowsVolume, ...] = ()
    windows: bool = False
    members: tuple[ArrayMember, ...] = ()


@dataclass(frozen=True)
class DegradedArray:
    """A running md array that lacks `missing` of its members. disks: the examined ones that it is on."""

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
        """The names of the disks with Windows on them."""
        return frozenset(disk.name for disk in self.disks if disk.windows)


def examine_health(disks: Iterable[Disk], places: Places | None = None) -> Health:
    """The state of these disks, examined in parallel. Takes little more than HEALTH_SECONDS however they fail.

    places: where to read; the running machine by default.
    """
    places = places or Places()
    examined = tuple(disks)
    end = time.monotonic() + HEALTH_SECONDS
    looks = [_Look(disk, places) for disk in examined]
    log = places.run(["dmesg"])
    return Health(tuple(look.result(log, end) for look in looks), tuple(_degraded(examined, places)))


class _Look:
    """The examination of one disk. smartctl may hang on its controller while the disk itself can be read."""

    def __init__(self, disk: Disk, places: Places) -> None:
        self._disk = disk
        self._places = places
        self._drive = Answer(lambda: _ask_drive(disk, places))
        self._contents = Answer(lambda: _contents(disk))

    def result(self, log: str | None, end: float) -> DiskHealth:
        """log: the kernel's. end: until when to wait for the disk, by time.monotonic()."""
        contents = self._contents.by(end)
        volumes = contents.volumes if contents else ()
        drive = self._drive.by(end)
        read_errors, overcome = (None, None) if log is None else _errors(self._disk, log.splitlines(), self._places)
        return DiskHealth(
            name=self._disk.name,
            answered=contents is not None,
            read_errors=read_errors,
            overcome_errors=overcome,
            drive=drive or Drive(),
            volumes=volumes,
            windows=any(volume.system for volume in volumes) or _has_bitlocker(self._disk),
            members=contents.members if contents else (),
        )


def _has_bitlocker(disk: Disk) -> bool:
    """A fixed disk with BitLocker belongs to a Windows."""
    return any(content.type == "BitLocker" for content in disk.contents)


def _kernel_name(disk: Disk) -> str:
    """Its name in the kernel's log: dm-0 and not mpatha."""
    return os.path.realpath(disk.device).removeprefix("/dev/")


# A read that failed for good, as reported by the block layer and the page cache. A failed write or discard says
# nothing about the data, and a "critical target error" only that a drive does not know a command.
_READ_ERROR: Final = re.compile(
    r"(?:I/O error|critical medium error), dev (?P<disk>\S+?),(?! .*op 0x\w+:\((?!READ))"
    r"|Buffer I/O error on dev(?:ice)? (?P<part>\S+?),(?!.*write)"
)
_ATA_EXCEPTION: Final = re.compile(r"\b(?P<port>ata\d+)\.\d+: exception Emask")
_NVME_CONTROLLER: Final = re.compile(r"nvme\d+")
_NVME_TIMEOUT: Final = re.compile(r"\bnvme (?P<controller>nvme\d+): I/O .*timeout")


def _errors(disk: Disk, log: Iterable[str], places: Places) -> tuple[int, int]:
    """How often the kernel's log reports data that could not be read, and failures that were made up for."""
    own = {disk.name, _kernel_name(disk), *(partition.name for partition in disk.partitions)}
    below = set(disk.members)
    attached = {*_ata_ports(disk, places), *_nvme_controllers(disk, places)}
    failed = overcome = 0
    for line in log:
        error, link = _READ_ERROR.search(line), _ATA_EXCEPTION.search(line) or _NVME_TIMEOUT.search(line)
        name = error and (error["disk"] or error["part"])
        failed += name in own
        overcome += name in below or bool(link and link[1] in attached)
    return failed, overcome


def _ata_ports(disk: Disk, places: Places) -> Iterator[str]:
    for name in disk.members or (_kernel_name(disk),):
        path = os.path.realpath(places.sys / "block" / name.replace("/", "!"))
        yield from re.findall(r"/(ata\d+)/", path)


def _nvme_controllers(disk: Disk, places: Places) -> Iterator[str]:
    """The controllers of an NVMe disk as the kernel's log names them.

    With the kernel's own multipath the disk has the number of its subsystem, and the controllers have others.
    """
    for name in disk.members or (_kernel_name(disk),):
        above = Path(os.path.realpath(places.sys / "block" / name)).parent
        if above.name.startswith("nvme-subsys"):
            yield from (entry.name for entry in entries(above) if _NVME_CONTROLLER.fullmatch(entry.name))
        elif _NVME_CONTROLLER.fullmatch(above.name):
            yield above.name
        else:
            yield from re.findall(r"^nvme\d+(?=n)", name)


def _ask_drive(disk: Disk, places: Places) -> Drive:
    if disk.device.is_file():
        return Drive()
    nodes = [places.node(name) for name in disk.members] or [disk.device]
    drives = [drive_in(places.ask(["smartctl", "-j", "-H", "-A", str(node)]) or "") for node in nodes]
    verdicts = [drive.passed for drive in drives if drive.passed is not None]
    return Drive(
        all(verdicts) if verdicts else None,
        _sum(drive.reallocated for drive in drives),
        _sum(drive.unreadable for drive in drives),
    )


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def drive_in(report: str) -> Drive:
    """Parses smartctl's report in JSON; empty if it is not one."""
    try:
        parsed: Any = json.loads(report)
    except ValueError:
        return Drive()
    if not isinstance(parsed, dict):
        return Drive()
    attributes = {
        row.get("id"): _at(row, "raw", "value") for row in _rows(_at(parsed, "ata_smart_attributes", "table"))
    }
    passed = _at(parsed, "smart_status", "passed")
    return Drive(
        passed if isinstance(passed, bool) else None,
        _count(attributes.get(_REALLOCATED), parsed.get("scsi_grown_defect_list")),
        _count(attributes.get(_PENDING), _at(parsed, "nvme_smart_health_information_log", "media_errors")),
    )


def _at(parsed: Any, *keys: str) -> Any:
    for key in keys:
        parsed = parsed.get(key) if isinstance(parsed, dict) else None
    return parsed


def _rows(table: Any) -> list[dict[str, Any]]:
    return [row for row in table if isinstance(row, dict)] if isinstance(table, list) else []


def _count(*values: Any) -> int | None:
    return next((value for value in values if isinstance(value, int)), None)


@dataclass(frozen=True)
class _Contents:
    """What was read from a disk itself."""

    volumes: tuple[WindowsVolume, ...] = ()
    members: tuple[ArrayMember, ...] = ()


def _contents(disk: Disk) -> _Contents:
    try:
        descriptor = os.open(disk.device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # The plan has reported it already.
        return _Contents()
    try:
        # Tests whether the disk answers at all, even if it is empty.
        with contextlib.suppress(OSError):
            os.pread(descriptor, 4096, 0)
        return _Contents(tuple(_windows_volumes(disk, descriptor)), tuple(array_members(disk, descriptor)))
    finally:
        os.close(descriptor)


def _windows_volumes(disk: Disk, descriptor: int) -> Iterator[WindowsVolume]:
    whole = [(disk.name, 0, disk.content)]
    for name, start, content in whole + [(part.name, part.start, part.content) for part in disk.partitions]:
        if _is_ntfs(content) and start is not None:
            with contextlib.suppress(OSError):
                yield _windows_volume(name, descriptor, start)


def _is_ntfs(content: Content | None) -> bool:
    return content is not None and content.type == "ntfs"


def _windows_volume(name: str, descriptor: int, start: int) -> WindowsVolume:
    findings = examine_ntfs(lambda offset, length: os.pread(descriptor, length, start + offset))
    return WindowsVolume(name, findings.system, findings.state)


def _degraded(disks: Collection[Disk], places: Places) -> Iterator[DegradedArray]:
    for entry in entries(places.sys / "block"):
        missing = read_number(entry / "md" / "degraded")
        if not missing:
            continue
        parts = {member.name.replace("!", "/") for member in entries(entry / "slaves")}
        names = tuple(disk.name for disk in disks if parts & _names_of(disk) or entry.name == _kernel_name(disk))
        if names:
            yield DegradedArray(entry.name, missing, names)


def _names_of(disk: Disk) -> set[str]:
    return {disk.name, *disk.members, *(partition.name for partition in disk.partitions)}
