"""Judges the disks to convert: is one failing, does one hold something that virt-v2v cannot convert.

plan_checks.py judges the choice of disks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from p2v_tui.hwprobe.health import HEALTH_SECONDS, DiskHealth, Health
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.hwprobe.md_content import ArrayMember
from p2v_tui.hwprobe.ntfs import NtfsState
from p2v_tui.session.plan.volume_keys import find_encrypted
from p2v_tui.session.remote.commands import quote
from p2v_tui.session.words.checks import Check, Subject, Verdict

# The sector size of every guest's disk.
_SECTOR: Final = 512
_SUSPENDED_LINUX: Final = "swsuspend"
_SHUT_DOWN: Final = (
    "Start Windows on the machine, switch Fast Startup off (Control Panel, Power Options; or powercfg /h off as "
    "administrator), and shut it down with shutdown /s /t 0"
)

FAILING = Subject(
    "failing disks",
    "failing-disks",
    "Each disk's errors in the kernel's log since this system was started, and, where smartctl is installed, its "
    "SMART health.",
    {
        Verdict.NOTED: "Errors that another try, path or member made up for; sectors that the drive has replaced or "
        "could not read. Or neither the log nor SMART says anything.",
        Verdict.WARNING: "The log tells of data that could not be read; SMART says that the drive fails; the disk "
        f"does not answer in {HEALTH_SECONDS:.0f} seconds.",
    },
    "Save the data first (`ddrescue`), convert the saved image (`p2v.disks=/path/to/image`). virt-v2v ends at the "
    "first sector that cannot be read.",
)
SECTORS = Subject(
    "sector size",
    "sectors",
    "The size of each disk's logical sectors.",
    {
        Verdict.WARNING: "It is not 512 bytes. The guest's disk will have 512-byte sectors, so nothing finds the "
        "partitions of a 4096-byte table on it."
    },
    "Switch the drive to 512-byte sectors only by copying its data elsewhere first; or move the systems by other "
    "means. A disk without a partition table may be accepted.",
)
WINDOWS = Subject(
    "Windows shut down",
    "windows-state",
    "How Windows left each NTFS file system: its volume flags, its log, the head of hiberfil.sys.",
    {
        Verdict.NOTED: "It cannot be read, or is on a dynamic disk, where a volume may lie on several disks.",
        Verdict.WARNING: "Windows wants to check it, or was not shut down. One without a Windows on it sleeps.",
        Verdict.REFUSED: "Windows hibernates on it, or keeps a part of it in its memory, as with Fast Startup: "
        "virt-v2v mounts it read-only and ends.",
    },
    "Start Windows, switch Fast Startup off and shut it down: `shutdown /s /t 0`. If it wants a check: `chkdsk /f`.",
)
LINUX = Subject(
    "suspended Linux",
    "suspended-linux",
    "Whether a swap partition has the memory of a suspended Linux.",
    {Verdict.WARNING: "One has. The guest would resume from the machine's memory, or lose what was in it."},
    "Start that Linux on the machine and shut it down: `systemctl poweroff`.",
)
ENCRYPTED = Subject(
    "encrypted volumes",
    "encrypted",
    "Whether there is a key for each partition that is a LUKS or BitLocker volume. virt-v2v looks into no disk that "
    "is encrypted as a whole, nor into a LUKS volume on a software RAID array.",
    {
        Verdict.NOTED: "Whether an array is such a volume cannot be told.",
        Verdict.WARNING: "An array is a LUKS volume: virt-v2v does not open it. Where the system is on it, virt-v2v "
        "finds none and ends.",
        Verdict.REFUSED: "None was given: virt-v2v would ask for a passphrase that nobody can type.",
    },
    "`p2v.key=VOLUME:URL`, or the field on the screen. Or leave that disk out of `p2v.disks`.",
)
ARRAYS = Subject(
    "RAID arrays",
    "raid",
    "Whether an md array that runs on these disks lacks a member.",
    {Verdict.NOTED: "One does: it is converted as it is, and degraded in the guest as well."},
    "Add a disk to it before, or look after it in the guest: `mdadm --detail`.",
)

SUBJECTS: Final = (FAILING, SECTORS, WINDOWS, LINUX, ENCRYPTED, ARRAYS)


def judge_machine(disks: Sequence[Disk], health: Health, keys: Collection[str] = ()) -> tuple[Check, ...]:
    """The checks of the disks to convert, in the order of SUBJECTS and of the guest's disks. health: of these disks.

    keys: the encrypted volumes with a key: UUIDs, names of partitions (`sda3`, `/dev/sda3`), or virt-v2v's names.
    """
    return (
        *_failing(health),
        *_sectors(disks),
        *_windows(disks, health),
        *_suspended(disks),
        *_encrypted(disks, keys),
        *_encrypted_arrays(health),
        *_arrays(health),
    )


def _failing(health: Health) -> Iterator[Check]:
    for disk in health.disks:
        if grave := _grave_faults(disk):
            yield FAILING.warning(
                f"The disk {disk.name} may be failing: {'; '.join(grave)}. virt-v2v ends at the first sector that "
                "cannot be read.",
                "Save its data first, with ddrescue, and convert the saved image: p2v.disks=/path/to/image. "
                f"{_look(disk)}",
            )
        elif slight := _slight_faults(disk):
            yield FAILING.noted(
                f"The disk {disk.name} has had faults: {'; '.join(slight)}.",
                _look(disk),
            )
        elif disk.read_errors is None and not disk.drive.passed:
            yield FAILING.noted(
                f"Whether the disk {disk.name} is failing is not known: the kernel's log cannot be read, and SMART "
                "says nothing.",
                "Run p2v-tui as root; or look with dmesg in the shell.",
            )
        else:
            log = "the kernel's log cannot be read" if disk.read_errors is None else "no errors in the kernel's log"
            smart = "SMART says that it is well" if disk.drive.passed else "SMART says nothing"
            yield FAILING.passed(f"{disk.name}: {log}, {smart}.")


def _look(disk: DiskHealth) -> str:
    return f"Look with dmesg and {quote('smartctl', '-a', f'/dev/{disk.name}')} in the shell."


def _grave_faults(disk: DiskHealth) -> list[str]:
    faults = []
    if not disk.answered:
        faults.append("it does not answer")
    if disk.read_errors:
        faults.append(f"{disk.read_errors} read errors in the kernel's log")
    if disk.drive.passed is False:
        faults.append("SMART says that it fails")
    return faults


def _slight_faults(disk: DiskHealth) -> list[str]:
    faults = []
    if disk.overcome_errors:
        faults.append(f"{disk.overcome_errors} errors in the kernel's log that another try or path made up for")
    if disk.drive.reallocated:
        faults.append(f"it has replaced {disk.drive.reallocated} sectors")
    if disk.drive.unreadable:
        faults.append(f"it could not read {disk.drive.unreadable} sectors")
    return faults


def _sectors(disks: Sequence[Disk]) -> Iterator[Check]:
    other = [disk for disk in disks if disk.logical_sector_size != _SECTOR]
    for disk in other:
        yield SECTORS.warning(
            f"The disk {disk.name} has logical sectors of {disk.logical_sector_size} bytes and the guest's disk will "
            f"have {_SECTOR}: its partition table will not be understood.",
            "virt-v2v finds nothing to convert on such a disk; move its systems by other means. Accept it for a disk "
            "without a partition table.",
        )
    if not other:
        yield SECTORS.passed(f"All disks have logical sectors of {_SECTOR} bytes.")


def _windows(disks: Sequence[Disk], health: Health) -> Iterator[Check]:
    dynamic = {disk.name for disk in disks if disk.dynamic}
    for disk, volume in ((each.name, volume) for each in health.disks for volume in each.volumes):
        match volume.state:
            case NtfsState.CLEAN if disk in dynamic:
                # The state is at the volume's beginning, and the rest may be on another disk.
                yield WINDOWS.noted(
                    f"The NTFS on {volume.partition} is on a dynamic disk and may be a part of a volume over several "
                    "disks: how Windows left it cannot be judged.",
                    "Shut Windows down on the machine (shutdown /s /t 0), and convert all disks of its disk group.",
                )
            case NtfsState.CLEAN:
                yield WINDOWS.passed(f"The NTFS on {volume.partition} was left in order.")
            case NtfsState.DIRTY:
                yield WINDOWS.warning(
                    f"The NTFS on {volume.partition} is dirty: Windows was not shut down, or wants to check it. "
                    "What was not written is lost in the guest.",
                    f"{_SHUT_DOWN}. If it is still dirty then, run chkdsk /f there first.",
                )
            case NtfsState.HELD | NtfsState.HIBERNATED:
                how = "hibernates" if volume.state is NtfsState.HIBERNATED else "keeps a part of it in its memory"
                if volume.system:
                    yield WINDOWS.refused(
                        f"The Windows on {volume.partition} was not shut down: it {how}. virt-v2v could only "
                        "mount it read-only, and ends.",
                        f"{_SHUT_DOWN}.",
                    )
                else:
                    yield WINDOWS.warning(
                        f"The NTFS on {volume.partition} belongs to a Windows that {how}. What was not written is "
                        "lost in the guest.",
                        f"{_SHUT_DOWN}.",
                    )
            case None:
                yield WINDOWS.noted(
                    f"The NTFS on {volume.partition} cannot be looked into: how Windows left it is not known.",
                    "If it was not shut down properly, start Windows and do so (shutdown /s /t 0).",
                )


def _suspended(disks: Sequence[Disk]) -> Iterator[Check]:
    for name in _swaps_of_suspended(disks):
        yield LINUX.warning(
            f"{name} holds the memory of a suspended Linux: what it had not written is lost, and the "
            "guest may try to go on from there.",
            "Start that Linux on the machine and shut it down (systemctl poweroff).",
        )


def _swaps_of_suspended(disks: Sequence[Disk]) -> Iterator[str]:
    for disk in disks:
        for name, content in ((disk.name, disk.content), *((part.name, part.content) for part in disk.partitions)):
            if content and content.type == _SUSPENDED_LINUX:
                yield name


def _encrypted(disks: Sequence[Disk], keys: Collection[str]) -> Iterator[Check]:
    encrypted = find_encrypted(disks)
    locked = [volume for volume in encrypted if not any(key == volume.id or volume.is_called(key) for key in keys)]
    for volume in locked:
        yield ENCRYPTED.refused(
            f"No key was given for {volume.name}, which is encrypted ({volume.kind}): virt-v2v would ask for a "
            "passphrase that nobody can type, and end.",
            f"Give p2v.key={volume.uuid or volume.name}:URL, with the URL of a file that holds the passphrase; or "
            "leave the disk out.",
        )
    if encrypted and not locked:
        names = ", ".join(volume.name for volume in encrypted)
        yield ENCRYPTED.passed(f"There is a key for {names}.")


def _encrypted_arrays(health: Health) -> Iterator[Check]:
    arrays: defaultdict[str, list[ArrayMember]] = defaultdict(list)
    for member in (member for disk in health.disks for member in disk.members):
        arrays[member.array].append(member)
    for members in arrays.values():
        label = next((member.label for member in members if member.label), "")
        name = f"The md array {label}".rstrip() + f" on {', '.join(member.name for member in members)}"
        if any(member.luks for member in members):
            yield ENCRYPTED.warning(
                f"{name} is a LUKS volume, which virt-v2v does not open. If the system is on it, virt-v2v finds none "
                "and ends.",
                "Decrypt it before, in the machine's own system (cryptsetup reencrypt --decrypt). Accept this if no "
                "system is on it.",
            )
        elif all(member.luks is None for member in members):
            yield ENCRYPTED.noted(
                f"{name}: whether it is a LUKS volume, which virt-v2v does not open, cannot be told.",
                "Look in the shell: mdadm --examine; cryptsetup isLuks on the array.",
            )


def _arrays(health: Health) -> Iterator[Check]:
    for array in health.degraded:
        members = "a member" if array.missing == 1 else f"{array.missing} members"
        yield ARRAYS.noted(
            f"The array {array.name} on {', '.join(array.disks)} lacks {members}. It is converted as it is, and will "
            "be degraded in the guest as well.",
            f"Look with {quote('mdadm', '--detail', f'/dev/{array.name}')} in the shell.",
        )
