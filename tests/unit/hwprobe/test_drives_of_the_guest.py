"""The guest of every recorded machine has no drive that a guest cannot have: asked of virt-v2v and of libvirt."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from p2v_tui.hwprobe import Machine, MediumKind, RemovableMedium
from p2v_tui.hwprobe.machine import Topology
from p2v_tui.session.plan.devices import choose_drives, usable
from p2v_tui.xmlgen import Guest, GuestDisk, physical_xml
from p2v_tui.xmlgen.drives import drive_names
from tests.lab.commands import run_command
from tests.unit.hwprobe.conftest import MACHINES, ProbeRecorded

pytestmark = pytest.mark.integration

NAMES = sorted(path.name for path in MACHINES.iterdir() if path.is_dir())
# The domain that virt-v2v would make of these slots, with virtio disks. libvirt's test driver gives it the
# controllers that it needs; its QEMU driver then refuses a second one ("Only 1 IDE controller is supported").
DOMAIN = """<domain type='test'><name>guest</name><memory>1048576</memory><os><type>hvm</type></os>
<devices>{}</devices></domain>"""


def slots(xml: str, path: Path) -> list[tuple[str, int]]:
    """The removable drives that virt-v2v finds in physical.xml, and where it puts them."""
    path.write_text(xml)
    command = ["virt-v2v", "--print-source", "-i", "libvirtxml", str(path), "-o", "null"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    media = done.stdout.partition("removable media:")[2].partition("NICs:")[0]
    assert done.returncode == 0 and media, done.stderr
    assert "ignored" not in done.stderr
    return [(kind, int(slot)) for kind, slot in re.findall(r"(CD-ROM|Floppy) in slot (\d+)", media)]


def controllers(found: list[tuple[str, int]], path: Path) -> dict[str, int]:
    """How many controllers of each kind libvirt needs for drives in these slots."""
    drive = "<disk type='file' device='{}'><target dev='{}{}' bus='{}'/></disk>"
    kinds = {"CD-ROM": ("cdrom", "hd", "ide"), "Floppy": ("floppy", "fd", "fdc")}
    drives = [drive.format(kinds[kind][0], kinds[kind][1], chr(97 + slot), kinds[kind][2]) for kind, slot in found]
    path.write_text(DOMAIN.format("".join(drives)))
    output = run_command(["virsh", "-q", "-c", "test:///default", f"define {path}; dumpxml guest"], timeout=60)
    domain = ElementTree.fromstring(output[output.index("<domain") :])
    needed = [controller.get("type") or "" for controller in domain.iter("controller")]
    return {kind: needed.count(kind) for kind in needed}


def guest(machine: Machine, removable: tuple[RemovableMedium, ...]) -> Guest:
    disks = tuple(GuestDisk(disk, 10809 + number) for number, disk in enumerate(machine.disks[:1]))
    return Guest("guest", 1 << 30, Topology(1, 1, 1), disks, removable)


@pytest.mark.parametrize("name", NAMES)
def test_virt_v2v_and_libvirt_take_all_drives_of_a_recorded_machine(
    name: str, recorded: ProbeRecorded, tmp_path: Path
) -> None:
    machine = recorded(name).machine
    every = [medium.name for medium in usable(machine.removable)]
    drives = choose_drives(every, machine, len(machine.disks)).chosen
    found = slots(physical_xml(guest(machine, drives), "test"), tmp_path / "physical.xml")
    assert len(found) == len(set(found)) == len(drives)
    assert all(slot < (4 if kind == "CD-ROM" else 2) for kind, slot in found)
    assert set(controllers(found, tmp_path / "guest.xml").values()) <= {1}


def test_libvirt_would_need_a_second_controller_for_a_fifth_drive(tmp_path: Path) -> None:
    """What the test above would notice."""
    assert controllers([("CD-ROM", 4), ("Floppy", 2)], tmp_path / "guest.xml") == {"ide": 2, "fdc": 2}


def test_drives_of_a_management_controller_are_off_by_default_and_can_be_named(recorded: ProbeRecorded) -> None:
    machine = recorded("bmc-virtual-drives").machine
    own = choose_drives(None, machine, len(machine.disks))
    assert [medium.name for medium in own.chosen] == ["sr0"]
    assert "management controller" in own.checks[0].text and "sdb" in own.checks[0].text
    named = choose_drives(["sr3", "/dev/sdb"], machine, len(machine.disks))
    assert [medium.name for medium in named.chosen] == ["sr3", "sdb"] and named.checks == ()
    assert drive_names(named.chosen) == ("sr3", "fda")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sr0"], ["sr0"]),
        (["sr7", "sr0"], ["sr1", "sr0"]),
        (["hdc", "sr2"], ["sr2", "sr0"]),
        (["hdc"], ["sr2"]),
        (["sr10", "sr11", "sr12", "sr13"], ["sr0", "sr1", "sr2", "sr3"]),
    ],
)
def test_a_cd_drive_keeps_its_slot_where_a_guest_has_it(names: list[str], expected: list[str]) -> None:
    media = [RemovableMedium(name, MediumKind.CDROM) for name in names]
    assert list(drive_names(media)) == expected


@pytest.mark.parametrize(
    ("names", "expected"), [(["fd0", "fd1"], ["fda", "fdb"]), (["sdc", "fd0"], ["fdb", "fda"]), (["fd5"], ["fda"])]
)
def test_a_floppy_drive_gets_one_of_two_slots(names: list[str], expected: list[str]) -> None:
    media = [RemovableMedium(name, MediumKind.FLOPPY) for name in names]
    assert list(drive_names(media)) == expected
