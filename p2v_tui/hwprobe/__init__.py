"""One look at the machine: `probe()` returns a `Machine`.

It only reads: nothing is mounted, assembled, activated or written. The session decides what follows from it (which
disks are converted, whether that is allowed).
"""

from __future__ import annotations

from p2v_tui.hwprobe.blockdev import read_block_devices
from p2v_tui.hwprobe.boot_order import order_disks
from p2v_tui.hwprobe.clock import read_clock
from p2v_tui.hwprobe.cpu import read_cpu
from p2v_tui.hwprobe.disks import find_disks
from p2v_tui.hwprobe.firmware import booted_by, installed_firmware
from p2v_tui.hwprobe.groups import find_groups
from p2v_tui.hwprobe.interfaces import physical_interfaces
from p2v_tui.hwprobe.live_medium import devices_in_use
from p2v_tui.hwprobe.machine import (
    BootDisk,
    BootSource,
    Clock,
    ClockBasis,
    Content,
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
    Transport,
)
from p2v_tui.hwprobe.memory import read_memory
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.removable import removable_media

__all__ = [
    "BootDisk",
    "BootSource",
    "Clock",
    "ClockBasis",
    "Content",
    "Cpu",
    "Disk",
    "DiskGroup",
    "ExcludedDisk",
    "Firmware",
    "Machine",
    "MediumKind",
    "NetworkInterface",
    "Partition",
    "Places",
    "RemovableMedium",
    "Transport",
    "probe",
]


def probe(places: Places | None = None) -> Machine:
    """Read the machine as it is now. Takes well under a second unless a tool hangs on a failing disk.

    places: where to read; the running machine by default.
    """
    places = places or Places()
    devices = read_block_devices(places)
    in_use = devices_in_use(devices, places)
    found = find_disks(devices, in_use, places)
    running = booted_by(places)
    left_out = [name for name in found.names if name not in found.disks]
    order = order_disks(found.disks, devices, left_out, running, places)
    interfaces = physical_interfaces(places)
    memory = read_memory(places)
    return Machine(
        hostname=places.hostname().partition(".")[0],
        disks=order.disks,
        excluded=(*found.excluded, *(ExcludedDisk(it.name, 0, it.reason, fault=True) for it in devices.unreadable)),
        groups=find_groups(devices, found, places),
        removable=removable_media(devices, in_use),
        interfaces=interfaces.interfaces,
        cpu=read_cpu(places),
        memory=memory.size,
        clock=read_clock(places),
        booted_by=running,
        installed_firmware=installed_firmware(order.disks, running),
        boot_disk=order.boot,
        memory_source=memory.source,
        notes=interfaces.notes,
    )
