"""The real virt-v2v reads our physical.xml: every form of it, without a warning and with nothing left out."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from p2v_tui.hwprobe.machine import Disk, Firmware, MediumKind, RemovableMedium, Topology, Transport
from p2v_tui.xmlgen import Guest, GuestDisk, GuestInterface, physical_xml
from tests.e2e.source_guest import print_source

# How virt-v2v shows the bus of each disk; those that it has no word for are shown without one.
BUSES = {
    Transport.SATA: " [sata]",
    Transport.PATA: " [ide]",
    Transport.SAS: " [scsi]",
    Transport.SCSI: " [scsi]",
    Transport.ISCSI: " [scsi]",
    Transport.FIBRE_CHANNEL: " [scsi]",
    Transport.VIRTIO: " [virtio-blk]",
}


def guest(**changes: object) -> Guest:
    transports: list[Transport | None] = [*Transport, None]
    settings: dict[str, object] = {
        "name": "some-guest.1",
        "memory": 23 * 1024**3,
        "topology": Topology(2, 3, 2),
        "disks": tuple(
            GuestDisk(Disk(f"disk{number}", Path("/dev/null"), 10**9, transport=transport), port)
            for (number, transport), port in zip(enumerate(transports), itertools.repeat(9), strict=False)
        ),
    }
    return Guest(**{**settings, **changes})  # type: ignore[arg-type]


def read(made: Guest, directory: Path) -> list[str]:
    path = directory / "physical.xml"
    path.write_text(physical_xml(made, "a test"))
    source, said = print_source(path)
    assert "warning" not in said
    return source


def test_every_disk_arrives_in_its_place_with_its_bus(tmp_path: Path) -> None:
    source = read(guest(), tmp_path)
    disks = source[source.index("disks:") + 1 : source.index("NICs:")]
    expected = [BUSES.get(each, "") for each in Transport] + [""]
    assert [line for line in disks if line[0].isdigit()] == [f"{number}{bus}" for number, bus in enumerate(expected)]


def test_name_memory_cpu_and_features_arrive(tmp_path: Path) -> None:
    source = read(guest(cpu_vendor="AMD", cpu_model="EPYC", acpi=True, apic=True, pae=True), tmp_path)
    for line in (
        "source name: some-guest.1",
        "hypervisor type: physical",
        f"memory: {23 * 1024**3} (bytes)",
        "nr vCPUs: 12",
        "CPU vendor: AMD",
        "CPU model: EPYC",
        "CPU topology: sockets: 2 cores/socket: 3 threads/core: 2",
        "CPU features: acpi,apic,pae",
    ):
        assert line in source


@pytest.mark.parametrize(("firmware", "shown"), [(Firmware.BIOS, "bios"), (Firmware.UEFI, "uefi"), (None, "unknown")])
def test_the_firmware_arrives(firmware: Firmware | None, shown: str, tmp_path: Path) -> None:
    one_disk = guest().disks[:1]
    assert f"firmware: {shown}" in read(guest(firmware=firmware, disks=one_disk), tmp_path)


def test_drives_and_interfaces_arrive(tmp_path: Path) -> None:
    source = read(
        guest(
            disks=guest().disks[:1],
            removable=(
                RemovableMedium("sr0", MediumKind.CDROM),
                RemovableMedium("sr11", MediumKind.CDROM),
                RemovableMedium("fd0", MediumKind.FLOPPY),
                RemovableMedium("fd1", MediumKind.FLOPPY),
            ),
            interfaces=(
                GuestInterface("em1", "52:54:00:aa:bb:cc", "default"),
                GuestInterface("wlp3s0", "52:54:00:aa:bb:dd", "a & <b>"),
            ),
        ),
        tmp_path,
    )
    assert source[source.index("removable media:") + 1 :] == [
        "CD-ROM in slot 0",
        "CD-ROM in slot 1",
        "Floppy in slot 0",
        "Floppy in slot 1",
        "NICs:",
        'Network "default" mac: 52:54:00:aa:bb:cc',
        'Network "a & <b>" mac: 52:54:00:aa:bb:dd',
    ]
