"""The boot disk of a machine with a BIOS: by the BIOS's own numbers, by what could be started, or by a guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from p2v_tui.hwprobe import BootSource, Content, Disk, Firmware, Partition, Places, Transport
from p2v_tui.hwprobe.blockdev import Ancestor, BlockDevice, BlockDevices
from p2v_tui.hwprobe.boot_order import BootOrder, order_disks
from p2v_tui.hwprobe.boot_sector import BootCode, boot_sector, read_boot_sector, read_boot_sectors
from p2v_tui.hwprobe.contents import BIOS_BOOT_TYPE
from p2v_tui.hwprobe.edd import Candidate, EddDrive, matching_disks, read_edd
from tests.unit.hwprobe.conftest import ProbeRecorded

MIB = 1 << 20
GRUB = b"\xeb\x63\x90" + bytes(0x180 - 3) + b"GRUB \0Geom\0"
# What parted and Windows leave on data disks as well.
GENERIC = b"\xfa\xb8\x00\x10" + bytes(200) + b"Missing operating system"


def mbr(code: bytes = b"", signature: int = 0, flag: int = 0) -> bytes:
    table = bytes([flag]).ljust(64, b"\0")
    return code.ljust(440, b"\0") + signature.to_bytes(4, "little") + b"\0\0" + table + b"\x55\xaa"


class Machine:
    """A machine of disks with a first sector each, and of what its BIOS says of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disks: dict[str, Disk] = {}
        self.devices: dict[str, BlockDevice] = {}
        self.others: list[str] = []
        (path / "dev").mkdir()

    def add(
        self,
        name: str,
        sector: bytes = b"",
        *types: str,
        mib: int = 1000,
        active: bool = False,
        hangs_on: str = "devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0",
        offered: bool = True,
        label: str = "",
    ) -> None:
        """hangs_on: the place in sysfs. offered: False for the live stick."""
        node = self.path / "dev" / name
        node.write_bytes(sector)
        place = self.path / "sys" / hangs_on
        place.mkdir(parents=True, exist_ok=True)
        places = [place, *place.parents]
        above = tuple(Ancestor(each, "usb" if "usb" in each.name else "pci", None) for each in places[:8])
        parts = tuple(Partition(f"{name}{n}", n, MIB, kind, bootable=active) for n, kind in enumerate(types, 1))
        self.devices[name] = BlockDevice(name, node, place, "8:0", mib * MIB, False, None, above, (), {})
        if offered:
            content = Content("vfat", label=label) if label else None
            self.disks[name] = Disk(name, node, mib * MIB, partitions=parts, content=content)
        else:
            self.others.append(name)

    def bios(self, number: int, signature: int | str = 0, mib: int = 0, bus: str = "", interface: str = "") -> None:
        drive = self.path / f"sys/firmware/edd/int13_dev{number:x}"
        drive.mkdir(parents=True)
        (drive / "mbr_signature").write_text(signature if isinstance(signature, str) else f"{signature:#010x}\n")
        for name, text in (("sectors", str(mib * 2048) if mib else ""), ("host_bus", bus), ("interface", interface)):
            if text:
                (drive / name).write_text(f"{text}\n")

    def order(self) -> BootOrder:
        places = Places(sys=self.path / "sys")
        return order_disks(self.disks, BlockDevices(self.devices), self.others, Firmware.BIOS, places)

    def first(self) -> tuple[str, BootSource]:
        order = self.order()
        assert order.boot is not None
        return order.disks[0].name, order.boot.source


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_recorded_machines_give_their_right_answers(recorded: ProbeRecorded) -> None:
    gpt = recorded("bios-gpt-boot-disk").machine
    assert [disk.name for disk in gpt.disks] == ["sda", "sdb"]
    assert gpt.boot_disk is not None and gpt.boot_disk.source is BootSource.BIOS
    data = recorded("bios-active-data-disk").machine
    assert [disk.name for disk in data.disks] == ["sdb", "sda"]
    assert data.boot_disk is not None and data.boot_disk.guessed
    assert data.boot_disk.evidence == "it has a BIOS boot partition (sda: it has an active partition)"
    two = recorded("uefi-two-esps-raid").machine
    assert [disk.name for disk in two.disks] == ["sdb", "sda"]
    assert two.boot_disk is not None and two.boot_disk.source is BootSource.UEFI_ENTRY


def test_a_gpt_disk_without_a_signature_is_not_passed_over(machine: Machine) -> None:
    machine.add("sda", mbr(signature=0xDEADBEEF, flag=0x80), "0x83", active=True)
    machine.add("sdb", mbr(GRUB), BIOS_BOOT_TYPE, mib=500)
    machine.bios(0x80, 0, 500)
    machine.bios(0x81, 0xDEADBEEF, 1000)
    assert machine.first() == ("sdb", BootSource.BIOS)


def test_the_protective_mbr_of_a_gpt_disk_may_have_a_signature_that_udev_does_not_know(machine: Machine) -> None:
    machine.add("sda", mbr(GRUB, 0x11111111), BIOS_BOOT_TYPE)
    machine.add("sdb", mbr(GRUB, 0x22222222), BIOS_BOOT_TYPE)
    machine.bios(0x80, 0x22222222)
    assert machine.first() == ("sdb", BootSource.BIOS)


def test_twins_are_told_apart_by_their_place(machine: Machine) -> None:
    """The usual mirror: two disks of one size, both with GPT, on one controller."""
    controller = "devices/pci0000:00/0000:00:1f.2"
    machine.add("sda", mbr(GRUB), BIOS_BOOT_TYPE, hangs_on=f"{controller}/ata3/host2/target2:0:0/2:0:0:0")
    machine.add("sdb", mbr(GRUB), BIOS_BOOT_TYPE, hangs_on=f"{controller}/ata6/host5/target5:0:0/5:0:0:0")
    for port in (4, 5):
        (machine.path / "sys" / controller / f"ata{port}").mkdir()
    machine.bios(0x80, 0, 1000, "PCI \t00:1f.2  channel: 255", "SATA    \tdevice: 3")
    assert machine.first() == ("sdb", BootSource.BIOS)


def test_twins_that_the_bios_does_not_tell_apart_are_a_guess(machine: Machine) -> None:
    machine.add("sda", mbr(GRUB), BIOS_BOOT_TYPE)
    machine.add("sdb", mbr(GRUB), BIOS_BOOT_TYPE)
    machine.bios(0x80, 0, 1000)
    order = machine.order()
    assert order.boot is not None and order.boot.guessed
    assert order.boot.evidence == "drive 80 of the BIOS may be any of sda, sdb"


def test_a_signature_that_two_disks_have_names_neither(machine: Machine) -> None:
    machine.add("sda", mbr(GENERIC, 0xCAFE, 0x80), "0x7", active=True)
    machine.add("sdb", mbr(GENERIC, 0xCAFE, 0x80), "0x7", active=True)
    machine.bios(0x80, 0xCAFE, 1000)
    assert machine.first() == ("sda", BootSource.GUESS)


def test_copies_are_told_apart_by_the_controller(machine: Machine) -> None:
    machine.add("sda", mbr(GENERIC, 0xCAFE, 0x80), "0x7", active=True)
    far = "devices/pci0000:00/0000:00:03.0/0000:02:00.0/host4/target4:2:1/4:2:1:0"
    machine.add("sdb", mbr(GENERIC, 0xCAFE, 0x80), "0x7", active=True, hangs_on=far)
    machine.bios(0x80, 0xCAFE, 1000, "PCI \t02:00.0  channel: 0", "SCSI    \tid: 1  lun: 0")
    assert machine.first() == ("sdb", BootSource.BIOS)


def test_the_live_stick_is_passed_over_knowingly(machine: Machine) -> None:
    machine.add("sda", mbr(GENERIC, 0x1, 0x80), "0x83", active=True)
    machine.add("sdb", mbr(GRUB, 0x2), "0x83")
    usb = "devices/pci0000:00/0000:00:14.0/usb1/1-1/host6/target6:0:0/6:0:0:0"
    machine.add("sdc", mbr(GENERIC, 0x3, 0x80), mib=8000, hangs_on=usb, offered=False)
    machine.bios(0x80, 0x3, 8000, "PCI \t00:14.0  channel: 0", "USB     \tserial_number: 0")
    machine.bios(0x81, 0x2, 1000)
    assert machine.first() == ("sdb", BootSource.BIOS)


def test_after_a_drive_that_was_not_found_the_next_one_is_a_guess(machine: Machine) -> None:
    machine.add("sda", mbr(GENERIC, 0x1, 0x80), "0x83", active=True)
    machine.add("sdb", mbr(GRUB, 0x2), "0x83")
    machine.bios(0x80, 0x99, 8000)
    machine.bios(0x81, 0x2, 1000)
    order = machine.order()
    assert [disk.name for disk in order.disks] == ["sdb", "sda"]
    assert order.boot is not None and order.boot.guessed and "what drive 80 is was not found" in order.boot.evidence


def test_a_drive_without_boot_code_is_not_what_the_bios_starts(machine: Machine) -> None:
    machine.add("sda", mbr(b"", 0x1), "0x83")
    machine.add("sdb", mbr(GRUB, 0x2), "0x83")
    machine.bios(0x80, 0x1, 1000)
    machine.bios(0x81, 0x2, 1000)
    assert machine.first() == ("sdb", BootSource.BIOS)


def test_without_the_bios_the_boot_code_decides(machine: Machine) -> None:
    machine.add("sda", mbr(b"", 0x1, 0x80), "0x83", active=True)
    machine.add("sdb", mbr(GRUB, 0x2), "0x83")
    assert machine.first() == ("sdb", BootSource.ONLY_BOOTABLE)


def test_a_data_disk_with_code_of_some_tool_does_not_beat_a_boot_loader(machine: Machine) -> None:
    machine.add("sda", mbr(GENERIC, 0x1, 0x80), "0x83", active=True)
    machine.add("sdb", mbr(GRUB, 0x2), BIOS_BOOT_TYPE)
    assert machine.first() == ("sdb", BootSource.GUESS)


def test_code_without_an_active_partition_does_not_beat_one_with_it(machine: Machine) -> None:
    machine.add("sda", mbr(GENERIC, 0x1), "0x7")
    machine.add("sdb", mbr(GENERIC, 0x2, 0x80), "0x7", active=True)
    assert machine.first() == ("sdb", BootSource.GUESS)


@pytest.mark.parametrize("label", ["cidata", "CIDATA", "config-2"])
def test_a_seed_disk_is_never_first(machine: Machine, label: str) -> None:
    machine.add("sda", mbr(GENERIC, 0x1, 0x80), mib=100, label=label)
    machine.add("sdb", mbr(GRUB, 0x2), "0x83")
    machine.bios(0x80, 0x1, 100)
    assert machine.first() == ("sdb", BootSource.ONLY_DISK)


def test_a_tiny_disk_is_never_first_but_where_it_is_the_only_one(machine: Machine) -> None:
    machine.add("sda", mbr(GRUB, 0x1, 0x80), "0x83", mib=1, active=True)
    assert machine.first() == ("sda", BootSource.ONLY_DISK)
    machine.add("sdb")
    machine.add("sdc")
    assert machine.first() == ("sdb", BootSource.GUESS)


def test_without_any_mark_the_first_disk_is_called_a_guess(machine: Machine) -> None:
    machine.add("sda")
    machine.add("sdb")
    order = machine.order()
    assert order.boot is not None and order.boot.guessed
    assert order.boot.evidence == "no disk looks bootable, and it is the first that Linux lists"


def test_the_first_of_many_alike_is_named_with_a_few_others(machine: Machine) -> None:
    for number in range(9):
        machine.add(f"vd{chr(97 + number)}", mbr(GRUB, number + 1))
    order = machine.order()
    assert order.boot is not None
    assert order.boot.evidence == "a boot loader is in its first sector, as with vdb, vdc, vdd, 5 others"


def test_a_usb_disk_is_first_where_the_bios_says_so_and_never_by_a_guess(machine: Machine) -> None:
    machine.add("sda")
    machine.add("sdb", mbr(GRUB, 0x2), "0x83")
    machine.disks["sdb"] = replace(machine.disks["sdb"], transport=Transport.USB)
    assert machine.first()[0] == "sda"
    machine.bios(0x80, 0x2)
    assert machine.first() == ("sdb", BootSource.BIOS)


def test_without_disks_there_is_no_boot_disk(machine: Machine) -> None:
    assert machine.order() == BootOrder((), None)


@pytest.mark.parametrize(
    ("raw", "code", "signature"),
    [
        (mbr(GRUB, 7), BootCode.LOADER, 7),
        (mbr(b"\xfa\xeb\x20LILO", 7), BootCode.LOADER, 7),
        (mbr(GENERIC, 0xFFFFFFFF, 0x80), BootCode.GENERIC, 0xFFFFFFFF),
        (mbr(b"", 7), BootCode.NONE, 7),
        (mbr(GRUB)[:-2] + b"\0\0", BootCode.NONE, 0),
        (bytes(512), BootCode.NONE, 0),
    ],
    ids=["grub", "lilo", "generic", "no code", "no mark", "blank"],
)
def test_boot_code_in_a_first_sector_is_recognised(raw: bytes, code: BootCode, signature: int) -> None:
    sector = boot_sector(raw)
    assert sector is not None and (sector.code, sector.signature) == (code, signature)


def test_a_first_sector_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(100))
    (tmp_path / "good").write_bytes(mbr(GRUB))
    assert read_boot_sector(tmp_path / "short") is None
    assert read_boot_sector(tmp_path) is None
    found = read_boot_sectors([tmp_path / name for name in ("none", "short", "good")])
    assert list(found) == [tmp_path / "good"]


def test_what_the_bios_says_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    drive = tmp_path / "firmware/edd/int13_dev80"
    drive.mkdir(parents=True)
    (drive / "mbr_signature").write_text("0x0009c3a1\n")
    (drive / "sectors").write_text("1000\n")
    (drive / "host_bus").write_text("PCI \t00:1f.2  channel: 0\n")
    (drive / "interface").write_text("ATA     \tdevice: 1\n")
    (drive / "raw_data").write_bytes(bytes(24) + (4096).to_bytes(2, "little") + bytes(48))
    (tmp_path / "firmware/edd/int13_devxx").mkdir()
    assert read_edd(Places(sys=tmp_path)) == (
        EddDrive(0x80, 0x9C3A1, 4096000, "00:1f.2", channel=0, interface="ATA", unit=1),
    )
    for name in ("mbr_signature", "sectors", "host_bus", "interface", "raw_data"):
        (drive / name).write_bytes(b"\xff garbage")
    (broken,) = read_edd(Places(sys=tmp_path))
    assert (broken.signature, broken.size, broken.pci, broken.unit) == (None, 0, "", None)


def test_a_bios_that_invents_a_place_is_believed_in_the_rest() -> None:
    one = Candidate("sda", 100, 0x1, frozenset({"00:1f.2"}))
    two = replace(one, name="sdb", signature=0x2)
    drive = EddDrive(0x80, 0x2, 100, pci="00:00.0", interface="USB", unit=9, channel=9)
    assert matching_disks(drive, [one, two]) == (two,)
    assert matching_disks(replace(drive, signature=0, size=55), [one, two]) == ()
    assert matching_disks(EddDrive(0x80), [one, two]) == (one, two)


def test_real_records_of_biosses_name_the_disks_that_they_mean() -> None:
    """As blivet's tests have them: a laptop with a stick, twins beside a stick, virtual machines with odd words."""
    ahci = frozenset({"00:1f.2"})
    size, stick = 312581808 * 512, 31293440 * 512
    sda = Candidate("sda", size, None, ahci, port=0, target=0, lun=0)
    sdb = Candidate("sdb", size, None, ahci, port=1, target=0, lun=0)
    usb = Candidate("sdd", stick, 0x96A20D28, frozenset({"00:1d.0"}), usb=True, target=0, lun=0)
    sata = EddDrive(0x80, 0, size, "00:1f.2", channel=0xFF, interface="SATA", unit=1)
    key = EddDrive(0x81, 0x96A20D28, stick, "", channel=0xFF, interface="USB")
    assert matching_disks(sata, [sda, sdb, usb]) == (sdb,)
    assert matching_disks(replace(sata, unit=0), [sda, sdb, usb]) == (sda,)
    assert matching_disks(key, [sda, sdb, usb]) == (usb,)
    # A BIOS that counts the ports as channels, each with one device.
    assert matching_disks(replace(sata, channel=1, unit=0), [sda, sdb, usb]) == (sdb,)
    assert matching_disks(replace(sata, channel=0, unit=1), [sda, sdb, usb]) == (sdb,)
    vda = Candidate("vda", 10485760 * 512, 0x86531966, frozenset({"00:07.0"}))
    virtual = EddDrive(0x80, 0x86531966, vda.size, "00:07.0", 0xFF, "SCSI", unit=65535, lun=281474976645120)
    assert matching_disks(virtual, [sda, vda]) == (vda,)


def test_a_bios_that_counts_other_sectors_is_believed_in_the_place() -> None:
    disk = Candidate("sda", 1000, 0, frozenset({"00:1f.2"}))
    assert matching_disks(EddDrive(0x80, 0, 999, pci="00:1f.2"), [disk]) == (disk,)
    assert matching_disks(EddDrive(0x80, 0, 999, pci="00:07.0"), [disk]) == ()


def test_a_signature_that_nobody_has_may_be_of_a_disk_whose_own_could_not_be_read() -> None:
    unread = Candidate("sda", 1000)
    assert matching_disks(EddDrive(0x80, 0xCAFE, 1000), [unread]) == (unread,)
    assert matching_disks(EddDrive(0x80, 0xCAFE), [unread]) == ()
    assert matching_disks(EddDrive(0x80, 0xCAFE, 1000), [replace(unread, signature=0xBEEF)]) == ()
