"""A drive that a management controller pretends to be is told from one of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.hwprobe.blockdev import Ancestor, BlockDevice
from p2v_tui.hwprobe.management import is_of_management

# As they appear in public logs of such machines.
THEIRS = [
    ("AMI", "Virtual CDROM0"),
    ("AMI", "Virtual Floppy0"),
    ("iDRAC", "Virtual CD"),
    ("Dell", "Virtual  CDROM"),
    ("DELL", "DRAC5 CD"),
    ("HP", "Virtual DVD-ROM"),
    ("HP iLO", "LUN 00 Media 0"),
    ("IBM", "Virtual Media VM"),
    ("Avocent", "Remote CD"),
    ("ATEN", "CDROM YS0J"),
    ("CISCO", "KVM-Mapped vDVD"),
    ("Cisco", "vFDD"),
    ("FTS", "iRMC CDROM"),
    ("PepperCon", "Multidevice"),
]
OWN = [
    ("HL-DT-ST", "DVDRAM GU90N"),
    ("TEAC", "FD-05PUB"),
    ("Y-E DATA", "USB-FDU"),
    ("PLDS", "DVD-ROM DS-8D3SH"),
    ("Slimtype", "eSAU108 VCDX"),
    ("MATSHITA", "DVD-RAM UJ8A0 ILOX"),
]


def drive(vendor: str, model: str, bus: str) -> BlockDevice:
    properties = {"ID_VENDOR_ENC": vendor, "ID_MODEL_ENC": model}
    above = (Ancestor(Path("/sys/devices/host0"), "scsi", None), Ancestor(Path("/sys/devices"), bus, None))
    return BlockDevice("sr0", Path("/dev/sr0"), Path("/sys/sr0"), "11:0", 0, False, None, above, (), properties)


@pytest.mark.parametrize(("vendor", "model"), THEIRS)
def test_a_drive_of_a_management_controller_says_so(vendor: str, model: str) -> None:
    assert is_of_management(drive(vendor, model, "usb"))


@pytest.mark.parametrize(("vendor", "model"), OWN)
def test_an_ordinary_usb_drive_is_not_a_management_controllers(vendor: str, model: str) -> None:
    assert not is_of_management(drive(vendor, model, "usb"))


def test_a_drive_of_a_virtual_machine_is_not_one_of_a_controller() -> None:
    assert not is_of_management(drive("VMware", "Virtual SATA CDRW Drive", "pci"))
    assert not is_of_management(drive("Msft", "Virtual DVD-ROM", "vmbus"))
