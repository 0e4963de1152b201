"""physical.xml, parsed again: the values, the structure that virt-v2v reads, and hostile names in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given

from p2v_tui.hwprobe.machine import Disk, Firmware, MediumKind, RemovableMedium, Topology, Transport
from p2v_tui.xmlgen import Guest, GuestDisk, GuestInterface, physical_xml
from tests.unit.machines import CCISS, GIB, SDA, SDB
from tests.unit.setting_values import TEXT

GUEST = Guest(
    name="guest1",
    memory=23 * GIB,
    topology=Topology(2, 4, 2),
    disks=(GuestDisk(SDA, 40001), GuestDisk(SDB, 40002)),
    removable=(RemovableMedium("sr0", MediumKind.CDROM), RemovableMedium("fd1", MediumKind.FLOPPY)),
    interfaces=(
        GuestInterface("em1", "52:54:00:00:00:01", "default"),
        GuestInterface("em2", "52:54:00:00:00:02", "management"),
    ),
    cpu_vendor="Intel",
    cpu_model="IvyBridge",
    acpi=True,
    apic=True,
    pae=False,
    firmware=Firmware.UEFI,
)


def domain(**changes: object) -> Element:
    return ElementTree.fromstring(physical_xml(dataclasses.replace(GUEST, **changes), "p2v-tui"))  # type: ignore[arg-type]


def only(parent: Element, path: str) -> Element:
    (found,) = parent.findall(path)
    return found


def disks(parent: Element, device: str) -> list[Element]:
    return parent.findall(f"devices/disk[@device='{device}']")


def test_it_is_a_physical_domain_with_the_guests_name() -> None:
    assert (domain().tag, domain().get("type")) == ("domain", "physical")
    assert domain().findtext("name") == "guest1"


@pytest.mark.parametrize(
    ("size", "kib"), [(23 * GIB, 24117248), (GIB, 1048576), (64 << 20, 65536), (GIB + 1023, 1048576)]
)
def test_the_memory_is_in_kib_whatever_it_is(size: int, kib: int) -> None:
    memory = only(domain(memory=size), "memory")
    assert (memory.text, memory.get("unit")) == (str(kib), "KiB")


def test_the_topology_has_all_three_parts_and_the_number_of_cpus_is_their_product() -> None:
    topology = only(domain(), "cpu/topology")
    assert topology.attrib == {"sockets": "2", "cores": "4", "threads": "2"}
    assert domain().findtext("vcpu") == "16"


def test_the_cpus_vendor_and_model_are_left_out_where_virt_v2v_is_to_choose() -> None:
    assert domain().findtext("cpu/vendor") == "Intel"
    assert domain().findtext("cpu/model") == "IvyBridge"
    chosen = domain(cpu_vendor=None, cpu_model=None)
    assert chosen.find("cpu/vendor") is None
    assert chosen.find("cpu/model") is None


def test_a_feature_is_there_only_where_the_machine_has_it() -> None:
    assert [feature.tag for feature in only(domain(), "features")] == ["acpi", "apic"]
    assert list(only(domain(acpi=False, apic=False), "features")) == []


@pytest.mark.parametrize(("firmware", "word"), [(Firmware.BIOS, "bios"), (Firmware.UEFI, "efi")])
def test_the_firmware_is_named_as_virt_v2v_names_it(firmware: Firmware, word: str) -> None:
    assert only(domain(firmware=firmware), "os").attrib == {"firmware": word}


def test_an_unknown_firmware_is_left_to_virt_v2v() -> None:
    assert domain(firmware=None).find("os") is None


def test_each_disk_is_an_nbd_export_on_localhost_in_the_guests_order() -> None:
    hosts = [only(disk, "source[@protocol='nbd']/host") for disk in disks(domain(), "disk")]
    assert [host.attrib for host in hosts] == [
        {"name": "localhost", "port": "40001"},
        {"name": "localhost", "port": "40002"},
    ]
    for disk in disks(domain(), "disk"):
        assert disk.get("type") == "network"
        assert only(disk, "driver").get("type") == "raw"


@pytest.mark.parametrize(
    ("transport", "bus"),
    [
        (Transport.SATA, "sata"),
        (Transport.PATA, "ide"),
        (Transport.SAS, "scsi"),
        (Transport.SCSI, "scsi"),
        (Transport.VIRTIO, "virtio"),
        (Transport.NVME, None),
        (Transport.USB, None),
        (None, None),
    ],
)
def test_the_bus_is_said_only_where_it_is_known_and_virt_v2v_knows_it(
    transport: Transport | None, bus: str | None
) -> None:
    disk = dataclasses.replace(SDA, transport=transport)
    (element,) = disks(domain(disks=(GuestDisk(disk, 1),)), "disk")
    assert only(element, "target").get("bus") == bus


@pytest.mark.parametrize("transport", Transport)
def test_no_transport_gives_a_bus_that_virt_v2v_does_not_know(transport: Transport) -> None:
    disk = dataclasses.replace(SDA, transport=transport)
    (element,) = disks(domain(disks=(GuestDisk(disk, 1),)), "disk")
    assert only(element, "target").get("bus") in {None, "ide", "sata", "scsi", "virtio"}


def test_a_disk_is_called_what_the_machine_calls_it_and_an_image_by_its_number() -> None:
    image = Disk("/srv/disk.img", Path("/srv/disk.img"), GIB)
    chosen = domain(disks=(GuestDisk(CCISS, 1), GuestDisk(image, 2)))
    assert [only(disk, "target").get("dev") for disk in disks(chosen, "disk")] == ["cciss/c0d0", "disk1"]


@pytest.mark.parametrize(("name", "slot"), [("fd0", "fda"), ("fd1", "fdb"), ("fda", "fda")])
def test_a_floppy_drive_is_named_by_its_slot(name: str, slot: str) -> None:
    chosen = domain(removable=(RemovableMedium(name, MediumKind.FLOPPY),))
    (floppy,) = disks(chosen, "floppy")
    assert only(floppy, "target").get("dev") == slot


def test_a_cd_drive_keeps_its_name_and_is_empty() -> None:
    (cdrom,) = disks(domain(), "cdrom")
    assert only(cdrom, "target").get("dev") == "sr0"
    assert cdrom.find("source") is None


def test_each_interface_has_its_mac_and_its_network() -> None:
    interfaces = domain().findall("devices/interface[@type='network']")
    assert [(only(each, "mac").get("address"), only(each, "source").get("network")) for each in interfaces] == [
        ("52:54:00:00:00:01", "default"),
        ("52:54:00:00:00:02", "management"),
    ]


@pytest.mark.parametrize("path", ["clock", "currentMemory", "os/type", "os/boot", "uuid", "devices/graphics"])
def test_what_virt_v2v_does_not_read_is_not_written(path: str) -> None:
    assert domain().find(path) is None


@given(TEXT, TEXT)
def test_hostile_names_are_escaped_and_come_back_unchanged(network: str, text: str) -> None:
    interface = GuestInterface(text, "52:54:00:00:00:01", network)
    chosen = domain(interfaces=(interface,), cpu_model=text, cpu_vendor=network)
    assert only(chosen, "devices/interface/source").get("network") == network
    assert only(chosen, "devices/interface/target").get("dev") == text
    assert chosen.findtext("cpu/model") == text
    assert chosen.findtext("cpu/vendor") == network
    assert len(chosen.findall(".//*")) == len(domain().findall(".//*")) - 4


def test_markup_in_a_name_makes_no_element() -> None:
    network = "'\"/><disk type='file'/>&amp;<!--"
    chosen = domain(interfaces=(GuestInterface("em1", "m", network),))
    assert only(chosen, "devices/interface/source").get("network") == network


def test_it_ends_in_a_newline_and_can_be_sent_as_utf_8() -> None:
    text = physical_xml(dataclasses.replace(GUEST, cpu_model="Größe"), "p2v-tui 1")
    assert text.endswith("</domain>\n")
    assert ElementTree.fromstring(text.encode()).findtext("cpu/model") == "Größe"
    assert "p2v-tui 1" in text
