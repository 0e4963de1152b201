"""Writes physical.xml with exactly what virt-v2v reads (input/parse_libvirt_xml.ml, 1.28 to 2.13).

libvirt itself would not accept it. What virt-v2v does not read (clock, os/type, currentMemory, uuid) is left out; so
is a bus that it does not know (NVMe), which virt-v2v then guesses.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from p2v_tui.hwprobe.machine import Disk, Firmware, MediumKind, RemovableMedium, Transport
from p2v_tui.xmlgen.drives import drive_names
from p2v_tui.xmlgen.guest import Guest, GuestDisk, GuestInterface

# Without a bus virt-v2v guesses IDE, which makes it rename the disks in old guests' configuration files.
BUSES: Final = {
    Transport.SATA: "sata",
    Transport.PATA: "ide",
    Transport.SAS: "scsi",
    Transport.SCSI: "scsi",
    Transport.ISCSI: "scsi",
    Transport.FIBRE_CHANNEL: "scsi",
    Transport.VIRTIO: "virtio",
}
FIRMWARE_NAMES: Final = {Firmware.BIOS: "bios", Firmware.UEFI: "efi"}
# The only host that every virt-v2v accepts: with an address or a Unix socket it leaves the disk out.
NBD_HOST: Final = "localhost"


def physical_xml(guest: Guest, generator: str) -> str:
    """The text of physical.xml, ending in a newline. generator: the program and version, for the comment."""
    domain = Element("domain", type="physical")
    domain.append(ElementTree.Comment(f" Written by {generator} for virt-v2v -i libvirtxml; not for libvirt. "))
    SubElement(domain, "name").text = guest.name
    # virt-v2v takes the number as KiB whatever the unit is.
    SubElement(domain, "memory", unit="KiB").text = str(guest.memory // 1024)
    SubElement(domain, "vcpu").text = str(guest.topology.processors)
    _add_cpu(domain, guest)
    if guest.firmware is not None:
        SubElement(domain, "os", firmware=FIRMWARE_NAMES[guest.firmware])
    features = SubElement(domain, "features")
    for name, present in (("acpi", guest.acpi), ("apic", guest.apic), ("pae", guest.pae)):
        if present:
            SubElement(features, name)
    devices = SubElement(domain, "devices")
    for number, guest_disk in enumerate(guest.disks):
        _add_disk(devices, guest_disk, number)
    for medium, name in zip(guest.removable, drive_names(guest.removable), strict=True):
        _add_removable(devices, medium, name)
    for interface in guest.interfaces:
        _add_interface(devices, interface)
    ElementTree.indent(domain)
    return ElementTree.tostring(domain, encoding="unicode", xml_declaration=False) + "\n"


def _add_cpu(domain: Element, guest: Guest) -> None:
    cpu = SubElement(domain, "cpu", match="minimum")
    if guest.cpu_vendor:
        SubElement(cpu, "vendor").text = guest.cpu_vendor
    if guest.cpu_model:
        SubElement(cpu, "model", fallback="allow").text = guest.cpu_model
    # virt-v2v reads the topology only with all three attributes.
    SubElement(
        cpu,
        "topology",
        sockets=str(guest.topology.sockets),
        cores=str(guest.topology.cores),
        threads=str(guest.topology.threads),
    )


def _add_disk(devices: Element, guest_disk: GuestDisk, number: int) -> None:
    element = SubElement(devices, "disk", type="network", device="disk")
    SubElement(element, "driver", name="qemu", type="raw")
    source = SubElement(element, "source", protocol="nbd")
    SubElement(source, "host", name=NBD_HOST, port=str(guest_disk.port))
    # virt-v2v counts the disks and ignores the name, which is for people.
    target = SubElement(element, "target", dev=_target_name(guest_disk.disk, number))
    if guest_disk.disk.transport in BUSES:
        target.set("bus", BUSES[guest_disk.disk.transport])


def _target_name(disk: Disk, number: int) -> str:
    return f"disk{number}" if disk.name.startswith("/") else disk.name


def _add_removable(devices: Element, medium: RemovableMedium, name: str) -> None:
    device = "floppy" if medium.kind is MediumKind.FLOPPY else "cdrom"
    element = SubElement(devices, "disk", type="file", device=device)
    SubElement(element, "driver", name="qemu", type="raw")
    SubElement(element, "target", dev=name)


def _add_interface(devices: Element, interface: GuestInterface) -> None:
    element = SubElement(devices, "interface", type="network")
    SubElement(element, "mac", address=interface.mac)
    SubElement(element, "source", network=interface.network)
    SubElement(element, "target", dev=interface.name)
