"""Describes the machine for the conversion screen: its disks, drives and interfaces, and what changed.

Texts that come from disks and cards are sanitized here: no control characters, only what every console can show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from p2v_tui.front.ascii_text import ascii_text
from p2v_tui.hwprobe import Content, Cpu, Disk, ExcludedDisk, Machine, NetworkInterface, RemovableMedium
from p2v_tui.hwprobe.contents import BIOS_BOOT_TYPE, ESP_TYPES
from p2v_tui.hwprobe.groups import MD_ARRAY, VOLUME_GROUP
from p2v_tui.hwprobe.machine import MediumKind, Transport
from p2v_tui.session.words.quantities import size_text
from p2v_tui.session.words.terminal_text import plain

MIB: Final = 1 << 20

_TRANSPORTS: Final = {
    Transport.NVME: "NVMe",
    Transport.VIRTIO: "virtio",
    Transport.ISCSI: "iSCSI",
    Transport.FIBRE_CHANNEL: "Fibre Channel",
    Transport.CCISS: "Smart Array",
    Transport.XEN: "Xen",
    Transport.FIREWIRE: "FireWire",
}
_CONTENTS: Final = {
    "ntfs": "NTFS",
    "vfat": "FAT",
    "crypto_LUKS": "LUKS (encrypted)",
    "BitLocker": "BitLocker (encrypted)",
    "zfs_member": "ZFS",
}
_LONGEST_LABEL: Final = 16
_WINDOWS_CONTENTS: Final = frozenset({"ntfs", "BitLocker"})
_LINUX_CONTENTS: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "swap", "LVM2_member", "linux_raid_member", "crypto_LUKS"}
)
# Windows' recovery environment. Its setup puts it only beside a system.
_WINDOWS_RECOVERY: Final = "de94bba4-06d1-4d40-a16a-bfd50179d6ac"


def shown(text: str | None) -> str:
    """The text in one line that every console can show."""
    return " ".join(ascii_text(plain(text or "")).split())


def disk_line(disk: Disk) -> str:
    """Name, size, model and transport."""
    words = [shown(disk.name), size_text(disk.size), shown(disk.model), transport_in_words(disk.transport)]
    return "  ".join(word for word in words if word)


def disk_details(disk: Disk, machine: Machine) -> str:
    """The serial number and the disk's contents; for a guessed boot disk also the reason for the guess."""
    serial = f"serial {shown(disk.serial)}: " if disk.serial else ""
    guess = ""
    if machine.boot_disk and machine.boot_disk.guessed and len(machine.disks) > 1 and disk == machine.disks[0]:
        guess = f"; the boot disk by a guess: {machine.boot_disk.evidence}"
    return serial + contents_in_words(disk, machine) + guess


def disk_facts(disk: Disk, machine: Machine) -> str:
    """Everything that tells the disk from another one, one fact to a line, and its partitions."""
    facts = (
        ("Size", f"{size_text(disk.size)} ({disk.size} bytes)"),
        ("Model", shown(disk.model)),
        ("Serial", shown(disk.serial)),
        ("WWN", shown(disk.wwn)),
        ("Bus", transport_in_words(disk.transport)),
        ("Table", disk.partition_table or "none"),
        *(
            (group.kind, f"{shown(group.name)} ({', '.join(sorted(group.disks))})")
            for group in machine.groups
            if disk.name in group.disks
        ),
    )
    lines = [f"{name}: {value}" for name, value in facts if value]
    lines += ["", "Partitions:"] if disk.partitions else []
    for part in disk.partitions:
        content = _content(part.content, disk, machine) if part.content else ""
        lines.append(f"  {shown(part.name)}  {size_text(part.size)}  {content}".rstrip())
    return "\n".join(lines)


def transport_in_words(transport: Transport | None) -> str:
    return _TRANSPORTS.get(transport, transport.name) if transport else ""


def contents_in_words(disk: Disk, machine: Machine) -> str:
    """What was recognised on the disk, in the order on the disk. Equal things are counted."""
    esp = {part.content for part in disk.partitions if part.content and part.type in ESP_TYPES}
    found = Counter("EFI" if content in esp else _content(content, disk, machine) for content in disk.contents)
    words = [f"{count} x {name}" if count > 1 else name for name, count in found.items()]
    if not words and disk.partitions:
        count = len(disk.partitions)
        return f"{count} partition{'s' if count > 1 else ''}, nothing recognised"
    if not words:
        return "nothing recognised"
    system = system_in_words(disk)
    return f"{system} ({', '.join(words)})" if system else ", ".join(words)


def system_in_words(disk: Disk) -> str:
    """Which operating system starts from the disk, as far as its partitions show that without being mounted; else
    empty.

    A disk that nothing starts from holds only data, whatever its file systems are.
    """
    parts = disk.partitions
    starts = any(part.bootable or part.type in ESP_TYPES or part.type == BIOS_BOOT_TYPE for part in parts)
    kinds = {content.type for content in disk.contents} if starts else set()
    windows = bool(kinds & _WINDOWS_CONTENTS) or any(part.type == _WINDOWS_RECOVERY for part in parts)
    return " and ".join(["Windows"] * windows + ["Linux"] * bool(kinds & _LINUX_CONTENTS))


def _content(content: Content, disk: Disk, machine: Machine) -> str:
    kinds = {"LVM2_member": (VOLUME_GROUP, "LVM"), "linux_raid_member": (MD_ARRAY, "RAID")}
    if content.type in kinds:
        kind, word = kinds[content.type]
        names = [shown(group.name) for group in machine.groups if group.kind == kind and disk.name in group.disks]
        return " ".join([word, "+".join(names)]) if names else word
    name = _CONTENTS.get(content.type, shown(content.type))
    label = shown(content.label)
    if not label:
        return name
    short = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "~"
    return f'{name} "{short}"'


def left_out_lines(excluded: Iterable[ExcludedDisk]) -> list[str]:
    """The disks that are not offered, grouped by reason.

    Devices with neither size nor model (loop0, nbd0 and the like) are not listed: nobody looks for them.
    """
    by_reason: dict[str, list[ExcludedDisk]] = {}
    for disk in excluded:
        if disk.worth_listing:
            by_reason.setdefault(disk.reason, []).append(disk)
    return [f"{_names(disks)}: {shown(reason)}" for reason, disks in by_reason.items()]


def _names(disks: Sequence[ExcludedDisk]) -> str:
    if len(disks) == 1:
        return f"{shown(disks[0].name)} ({size_text(disks[0].size)})"
    return ", ".join(shown(disk.name) for disk in disks)


def convertible(media: Iterable[RemovableMedium]) -> list[RemovableMedium]:
    """The drives that a guest can also have."""
    return [medium for medium in media if medium.kind is not MediumKind.OTHER]


def medium_line(medium: RemovableMedium) -> str:
    controller = "(of the management controller)" if medium.management else ""
    words = (shown(medium.name), medium_kind(medium), shown(medium.model), controller)
    return "  ".join(word for word in words if word)


def medium_kind(medium: RemovableMedium) -> str:
    return {MediumKind.CDROM: "CD or DVD drive", MediumKind.FLOPPY: "floppy drive"}.get(medium.kind, "")


def interface_line(interface: NetworkInterface) -> str:
    return f"{shown(interface.name)}  {shown(interface.mac)}  {carrier_in_words(interface)}"


def interface_details(interface: NetworkInterface) -> str:
    """Vendor and model, or the driver if the hardware database has neither."""
    words = " ".join(word for word in (shown(interface.vendor), shown(interface.model)) if word)
    driver = shown(interface.driver)
    return words or (f"driver {driver}" if driver else "unknown card")


def carrier_in_words(interface: NetworkInterface) -> str:
    return {True: "link up", False: "link down", None: "not up"}[interface.carrier]


def changes_in_words(before: Machine, after: Machine) -> str:
    """What was added, removed and changed between two probes; empty if the screen shows none of it."""
    words = _added_and_removed("disk", before.disks, after.disks)
    words += _added_and_removed("drive", convertible(before.removable), convertible(after.removable))
    words += _added_and_removed("network interface", before.interfaces, after.interfaces)
    links = {interface.name: interface.carrier for interface in before.interfaces}
    words += [
        f"{shown(interface.name)}: {carrier_in_words(interface)}."
        for interface in after.interfaces
        if interface.name in links and links[interface.name] != interface.carrier
    ]
    if not words and _shown_of(before) != _shown_of(after):
        words = ["The disk list was updated."]
    return " ".join(words)


def _added_and_removed(
    kind: str,
    before: Sequence[Disk] | Sequence[RemovableMedium] | Sequence[NetworkInterface],
    after: Sequence[Disk] | Sequence[RemovableMedium] | Sequence[NetworkInterface],
) -> list[str]:
    old = {identity(device): device for device in before}
    new = {identity(device): device for device in after}
    added = [f"{shown(new[key].name)}" for key in new if key not in old]
    gone = [f"{shown(old[key].name)}" for key in old if key not in new]
    words = [f"New {kind}{'s' if len(added) > 1 else ''}: {', '.join(added)}."] if added else []
    return words + ([f"Gone: {', '.join(gone)}."] if gone else [])


def identity(device: Disk | RemovableMedium | NetworkInterface) -> tuple[str, ...]:
    """Tells a device from another one that gets the same name later."""
    if isinstance(device, Disk):
        return (device.name, device.wwn or device.serial or "", str(device.size))
    if isinstance(device, NetworkInterface):
        return (device.name, device.mac)
    return (device.name, device.kind.value)


def _shown_of(machine: Machine) -> tuple[object, ...]:
    return (machine.disks, machine.groups, machine.excluded, machine.removable, machine.interfaces)


def topology_in_words(cpu: Cpu) -> str:
    topology = cpu.topology
    counts = ((topology.sockets, "socket"), (topology.cores, "core"), (topology.threads, "thread"))
    return " x ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)
