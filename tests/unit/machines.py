"""Made-up machines for tests that need one and do not care how it was probed.

The devices are character devices that every Linux has, so that a plan can open them as it opens a disk.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from p2v_tui.hwprobe.machine import (
    Clock,
    Cpu,
    Disk,
    DiskGroup,
    ExcludedDisk,
    Firmware,
    Machine,
    MediumKind,
    NetworkInterface,
    Partition,
    RemovableMedium,
    Topology,
    Transport,
)

GB = 1_000_000_000
GIB = 1 << 30

SDA = Disk(
    "sda",
    Path("/dev/null"),
    500 * GB,
    model="ST500",
    transport=Transport.SATA,
    partitions=(Partition("sda1", 1, GB), Partition("sda2", 2, 499 * GB)),
)
SDB = Disk("sdb", Path("/dev/zero"), 250 * GB, transport=Transport.SAS, partitions=(Partition("sdb1", 1, GB),))
CCISS = Disk(
    "cciss/c0d0",
    Path("/dev/full"),
    72 * GB,
    transport=Transport.CCISS,
    partitions=(Partition("cciss/c0d0p1", 1, 72 * GB),),
)
MULTIPATH = Disk("mpatha", Path("/dev/urandom"), 100 * GB, members=("sdc", "sdd"))
RUNNING_MEDIUM = ExcludedDisk("sdz", 8 * GB, "p2v-tui runs from it")

CPU = Cpu(
    vendor="Intel",
    model_name="Xeon",
    flags=frozenset({"apic", "pae", "aes"}),
    topology=Topology(sockets=2, cores=4, threads=2),
    online=16,
    acpi=True,
)

SERVER = Machine(
    hostname="db1",
    disks=(SDA, SDB, CCISS, MULTIPATH),
    excluded=(RUNNING_MEDIUM, ExcludedDisk("sdc", 100 * GB, "it is a path of mpatha")),
    groups=(),
    removable=(
        RemovableMedium("sr0", MediumKind.CDROM),
        RemovableMedium("fd0", MediumKind.FLOPPY),
        RemovableMedium("sdy", MediumKind.OTHER),
    ),
    interfaces=(NetworkInterface("em1", "52:54:00:00:00:01"), NetworkInterface("em2", "52:54:00:00:00:02")),
    cpu=CPU,
    memory=23 * GIB,
    clock=Clock(),
    booted_by=Firmware.UEFI,
    installed_firmware=Firmware.BIOS,
)

STRIPED = dataclasses.replace(
    SERVER, groups=(DiskGroup("LVM volume group", "vg0", frozenset({"sda", "sdb", "mpatha"})),)
)

DISKLESS = dataclasses.replace(SERVER, disks=(), removable=(), interfaces=())
