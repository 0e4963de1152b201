"""The guest to make, as described to virt-v2v: plain data, nothing is looked up here."""

from __future__ import annotations

from dataclasses import dataclass

from p2v_tui.hwprobe.machine import Disk, Firmware, RemovableMedium, Topology


@dataclass(frozen=True)
class GuestDisk:
    """A disk of the guest. port: the TCP port on the conversion server's loopback where its NBD export is read."""

    disk: Disk
    port: int


@dataclass(frozen=True)
class GuestInterface:
    """A network interface of the guest. network: of the target hypervisor."""

    name: str
    mac: str
    network: str


@dataclass(frozen=True)
class Guest:
    """memory: bytes. firmware: None to let virt-v2v find out. disks: the boot disk first.

    cpu_vendor, cpu_model: libvirt's names, None for virt-v2v's choice.
    """

    name: str
    memory: int
    topology: Topology
    disks: tuple[GuestDisk, ...]
    removable: tuple[RemovableMedium, ...] = ()
    interfaces: tuple[GuestInterface, ...] = ()
    cpu_vendor: str | None = None
    cpu_model: str | None = None
    acpi: bool = False
    apic: bool = False
    pae: bool = False
    firmware: Firmware | None = None
