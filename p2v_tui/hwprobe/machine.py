"""What is known about a physical machine: plain data, no probing. The probing modules fill in these classes; the
session and the front ends read them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class Transport(enum.Enum):
    """How a disk is attached, as far as udev can tell."""

    SATA = "sata"
    PATA = "pata"
    SAS = "sas"
    SCSI = "scsi"
    NVME = "nvme"
    USB = "usb"
    VIRTIO = "virtio"
    MMC = "mmc"
    ISCSI = "iscsi"
    FIBRE_CHANNEL = "fc"
    CCISS = "cciss"
    XEN = "xen"
    FIREWIRE = "firewire"


@dataclass(frozen=True)
class Content:
    """Something recognised on a disk or a partition: a file system, a volume group's member, an encrypted volume.

    type: blkid's name of it (`ext4`, `ntfs`, `swap`, `LVM2_member`, `linux_raid_member`, `crypto_LUKS`,
    `BitLocker`). member: of something that spans several devices (md, btrfs, ZFS), this one's own UUID.
    """

    type: str
    uuid: str | None = None
    label: str | None = None
    member: str | None = None

    @property
    def encrypted(self) -> bool:
        return self.type in {"crypto_LUKS", "BitLocker"}


@dataclass(frozen=True)
class Partition:
    """One partition. size: bytes. type: the GPT type GUID in lower case, or the MBR type as `0x83`.

    start: bytes from the beginning of the disk, None if unknown.
    """

    name: str
    number: int
    size: int
    type: str | None = None
    uuid: str | None = None
    bootable: bool = False
    content: Content | None = None
    start: int | None = None


@dataclass(frozen=True)
class Disk:
    """A fixed disk that can be converted.

    name: what the operator calls it and `p2v.disks` takes (`sda`, `nvme0n1`, `cciss/c0d0`, `mpatha`, `md126`).
    device: the node to read. size: bytes. Sector sizes: bytes.
    partition_table: `gpt`, `dos`, or None. partition_table_uuid: the table's own identifier (eight hexadecimal digits
    for `dos`). content: what fills a disk without a partition table.
    members: kernel names of the devices under it (multipath paths, firmware RAID members).
    links: udev's names of it below /dev (/dev/disk/by-id/...), those of its paths among them.
    old_signature: blkid's name of a stale signature, of a group to which the disk once belonged. dynamic: a Windows
    dynamic disk, whose partitions are parts of volumes, maybe over several disks.
    """

    name: str
    device: Path
    size: int
    logical_sector_size: int = 512
    physical_sector_size: int = 512
    model: str | None = None
    serial: str | None = None
    wwn: str | None = None
    transport: Transport | None = None
    partition_table: str | None = None
    content: Content | None = None
    partitions: tuple[Partition, ...] = ()
    members: tuple[str, ...] = ()
    partition_table_uuid: str | None = None
    old_signature: str | None = None
    dynamic: bool = False
    links: tuple[str, ...] = ()

    @property
    def external(self) -> bool:
        """Whether it is on a bus for portable devices, so that it may not belong to this machine."""
        return self.transport in {Transport.USB, Transport.FIREWIRE}

    @property
    def contents(self) -> tuple[Content, ...]:
        """Everything recognised on the disk and its partitions, in the order of the disk."""
        whole = (self.content,) if self.content else ()
        return whole + tuple(part.content for part in self.partitions if part.content)


@dataclass(frozen=True)
class ExcludedDisk:
    """A block device that is not offered, and why, in words for the operator. size: bytes.

    disk: what is converted if the operator names it all the same; None if that surely fails or loses data. risk: of
    that, a sentence. same_as: the name of the disk to which this is another path. fault: it could not be read, so its
    size is unknown. own: it surely holds a part of this machine.
    """

    name: str
    size: int
    reason: str
    model: str | None = None
    disk: Disk | None = None
    risk: str = ""
    same_as: str | None = None
    fault: bool = False
    own: bool = False

    @property
    def worth_listing(self) -> bool:
        """Whether anybody would look for it: not for loop0 and the like, without a size or a model."""
        return bool(self.size or self.model or self.fault)


@dataclass(frozen=True)
class DiskGroup:
    """Disks that belong together, so that the guest lacks a part if one of them is not converted.

    kind: `LVM volume group`, `md array`, `btrfs file system`, ... disks: their names. They include those that are not
    offered (an `ExcludedDisk.name`: in use, removable), as the guest needs these, too.
    copies: sets of disks with the same member, any of which will do. unseen: how many members are on no disk of this
    machine. members: how many exist in all, None if unknown. level: md's word (`raid1`, `linear`).
    behind: disks with an older state than the others, which fell out of the array. unsure: the disks do not tell
    which belong together, so all of this kind are taken together. spares: disks with a member that has no data, but
    would replace another.
    """

    kind: str
    name: str
    disks: frozenset[str]
    copies: tuple[frozenset[str], ...] = ()
    unseen: int = 0
    members: int | None = None
    level: str | None = None
    behind: frozenset[str] = frozenset()
    unsure: bool = False
    spares: frozenset[str] = frozenset()

    def holds_any(self, chosen: frozenset[str]) -> bool:
        return bool(chosen & self.disks.union(*self.copies))

    def missing(self, chosen: frozenset[str]) -> frozenset[str]:
        """The disks that are not among these, nor a copy of them."""
        covered = frozenset(name for same in self.copies if same & chosen for name in same)
        return self.disks - chosen - covered


class MediumKind(enum.Enum):
    CDROM = "cdrom"
    FLOPPY = "floppy"
    OTHER = "other"


@dataclass(frozen=True)
class RemovableMedium:
    """A drive with removable media. Its content is never copied. A guest cannot have OTHER (a USB stick).

    management: a management controller (BMC) pretends to be this drive.
    """

    name: str
    kind: MediumKind
    model: str | None = None
    management: bool = False


@dataclass(frozen=True)
class NetworkInterface:
    """A physical network interface. carrier: None where the kernel does not say (interface down)."""

    name: str
    mac: str
    vendor: str | None = None
    model: str | None = None
    driver: str | None = None
    carrier: bool | None = None


@dataclass(frozen=True)
class Topology:
    """cores: per socket. threads: per core."""

    sockets: int
    cores: int
    threads: int

    @property
    def processors(self) -> int:
        """Logical ones, in all."""
        return self.sockets * self.cores * self.threads


@dataclass(frozen=True)
class Cpu:
    """The processors. vendor: libvirt's name (`Intel`, `AMD`) or None.

    online: logical processors that the kernel uses now.
    """

    vendor: str | None
    model_name: str | None
    flags: frozenset[str]
    topology: Topology
    online: int
    acpi: bool = False


class ClockBasis(enum.Enum):
    UNKNOWN = "unknown"
    UTC = "utc"
    LOCALTIME = "localtime"


@dataclass(frozen=True)
class Clock:
    """The real-time clock. offset: seconds from the basis."""

    basis: ClockBasis = ClockBasis.UNKNOWN
    offset: int = 0


class Firmware(enum.Enum):
    BIOS = "bios"
    UEFI = "uefi"


class MemorySource(enum.Enum):
    """How the memory's size was found. IN_USE: only from what the kernel can use, which is a bit less."""

    BLOCKS = "memory blocks"
    MODULES = "modules"
    IN_USE = "in use"


@dataclass(frozen=True)
class Memory:
    """size: bytes."""

    size: int
    source: MemorySource


class BootSource(enum.Enum):
    """How the boot disk was found. ONLY_BOOTABLE: no other disk has anything that a firmware could start."""

    UEFI_ENTRY = "UEFI boot entry"
    BIOS = "BIOS"
    ONLY_DISK = "only disk"
    ONLY_BOOTABLE = "only bootable disk"
    GUESS = "guess"


@dataclass(frozen=True)
class BootDisk:
    """How the first of a machine's disks was found. evidence: half a sentence: `it is ...`."""

    source: BootSource
    evidence: str

    @property
    def guessed(self) -> bool:
        return self.source is BootSource.GUESS


@dataclass(frozen=True)
class Machine:
    """One look at the machine. memory: bytes as installed, by memory_source. disks: the boot disk first.

    booted_by: the firmware mode of the system that runs now, which may not be that of the installed one.
    installed_firmware: how the installed system boots, only where disk and firmware agree on it.
    boot_disk: how the first disk was found; None without a disk, or if nobody looked. notes: what could not be read,
    a sentence each.
    """

    hostname: str
    disks: tuple[Disk, ...]
    excluded: tuple[ExcludedDisk, ...]
    groups: tuple[DiskGroup, ...]
    removable: tuple[RemovableMedium, ...]
    interfaces: tuple[NetworkInterface, ...]
    cpu: Cpu
    memory: int
    clock: Clock
    booted_by: Firmware
    installed_firmware: Firmware | None = None
    boot_disk: BootDisk | None = None
    memory_source: MemorySource = MemorySource.BLOCKS
    notes: tuple[str, ...] = ()

    @property
    def nameable(self) -> tuple[Disk, ...]:
        """The disks that `p2v.disks` may name: the offered ones, then those that were left out by a guess."""
        return self.disks + tuple(each.disk for each in self.excluded if each.disk)

    def incomplete_groups(self, selected: Iterable[str]) -> tuple[tuple[DiskGroup, frozenset[str]], ...]:
        """The groups with a part on `selected` (disk names), each with the names that are missing."""
        chosen = frozenset(selected)
        return tuple(
            (group, missing)
            for group in self.groups
            if group.holds_any(chosen) and (missing := group.missing(chosen))
        )
