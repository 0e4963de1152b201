"""A conversion by the keyboard alone, from the serial console of a machine that has just booted the live image.

One boot is looked at from all sides, as booting takes its time: every console there is, a machine with disks on five
buses and three network cards, a line that is unplugged in mid-conversion, and disks that a careless look changes.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.lab.accounts import Account
from tests.lab.boot import boot_until_login
from tests.lab.by_keyboard import fill_in, in_shell, move_to, press, start_conversion
from tests.lab.conversion_server import Authentication, ConversionServer
from tests.lab.delicate_disks import DelicateDisk, delicate_disks, journal_is_to_be_replayed
from tests.lab.guest_disk import guest_disk, private_copy
from tests.lab.iscsi_target import iscsi_target
from tests.lab.machine import Bus, CdDrive, Disk, Hardware, Machine, NetworkCard
from tests.lab.terminal import Terminal
from tests.live_image.conftest import LiveImage

BOOT_SECONDS = 400.0
STEP_SECONDS = 200.0
CONVERSION_SECONDS = 1200.0
_PROJECT = Path(__file__).parents[2]
_CONSOLES = "console=tty0 console=ttyUSB0,115200n8 console=ttyS0,115200n8"

# Whether the kernel lets nobody write to it: ` 1 `.
_RO_LIST = "lsblk --noheadings --list --output NAME,RO,TYPE"

# The parts of the screen, as a regular expression puts up with line ends and what stands between.
_REST = r"[\s\S]*"


class UsbLine:
    """A serial line behind a USB adapter of the machine, which can be pulled out."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "ttyUSB0"
        self._terminal: Terminal | None = None

    @property
    def qemu_arguments(self) -> list[str]:
        chardev = f"socket,id=usb-line,path={self._socket},server=on,wait=off"
        return ["-chardev", chardev, "-device", "usb-serial,chardev=usb-line,id=usb-adapter,bus=usb.0"]

    def open_terminal(self) -> Terminal:
        self.close()
        command = [sys.executable, "-P", "-m", "tests.lab.serial_line", str(self._socket)]
        self._terminal = Terminal(command, environment={"PYTHONPATH": str(_PROJECT)})
        return self._terminal

    def pull_adapter(self, machine: Machine) -> None:
        machine.command("device_del", id="usb-adapter")

    def insert_adapter(self, machine: Machine) -> None:
        machine.command("device_add", driver="usb-serial", chardev="usb-line", id="usb-adapter", bus="usb.0")

    def close(self) -> None:
        if self._terminal:
            self._terminal.close()
            self._terminal = None


def checksums(disks: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each image."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in disks.items()}


def in_the_shell(terminal: Terminal, command: str) -> str:
    """What a command prints in the shell window; the screens are in front again afterwards."""
    terminal.press("C-g")
    terminal.wait_for(r"#\s*\Z", STEP_SECONDS)
    said = in_shell(terminal, command, STEP_SECONDS)
    terminal.press("C-g", "C-g")
    terminal.wait_for(r"F1/\^W help", STEP_SECONDS)
    return said


def listed(terminal: Terminal) -> str:
    """All that the conversion screen lists, from its top to its end."""
    terminal.wait_for(r"(?m)^  v more below", STEP_SECONDS)
    seen = [at_rest(terminal)]
    while not re.search(r"(?m)^ \^  more above", seen[-1]):
        terminal.press("PageDown")
        deadline = time.monotonic() + STEP_SECONDS
        while (shown := at_rest(terminal)) == seen[-1]:
            assert time.monotonic() < deadline, shown
        seen.append(shown)
    return "\n".join(seen)


def at_rest(terminal: Terminal) -> str:
    """The screen when it has not changed for a second.

    A slow machine draws it in pieces down the serial line, and no byte of them is the last one.
    """
    while True:
        shown = terminal.screen()
        time.sleep(1.0)  # The second is what is asked for.
        if terminal.screen() == shown:
            return shown


def uncheck(terminal: Terminal, name: str) -> None:
    """Takes a fixed disk out of the conversion."""
    move_to(terminal, name, timeout=STEP_SECONDS)
    terminal.press("Space")
    terminal.wait_for(rf"> ?\[ \] {re.escape(name)} ", STEP_SECONDS)


@pytest.fixture
def usb_line(tmp_path: Path) -> Iterator[UsbLine]:
    line = UsbLine(tmp_path)
    yield line
    line.close()


def test_from_the_serial_console_of_a_new_machine_to_a_guest_that_boots(
    live_image: LiveImage, usb_line: UsbLine, tmp_path: Path
) -> None:
    disks = {"system": private_copy(guest_disk(), tmp_path)}
    for kind, image in delicate_disks().items():
        disks[kind.value] = private_copy(image, tmp_path)
    before = checksums(disks)
    hardware = Hardware(
        disks=[
            Disk(disks["system"], Bus.SATA, serial="SYSTEM"),
            Disk(disks[DelicateDisk.FIRMWARE_A.value], Bus.SATA, serial="FW-A"),
            Disk(disks[DelicateDisk.FIRMWARE_B.value], Bus.SCSI, serial="FW-B"),
            Disk(disks[DelicateDisk.VOLUMES.value], Bus.SCSI, serial="VOLUMES"),
            Disk(disks[DelicateDisk.ARRAY_A.value], Bus.NVME, serial="ARRAY-A"),
            Disk(disks[DelicateDisk.ARRAY_B.value], Bus.USB, serial="ARRAY-B"),
            Disk(disks[DelicateDisk.PARTITIONS.value], Bus.VIRTIO, serial="PARTS"),
        ],
        cd_drives=[CdDrive(live_image.iso), CdDrive(bus=Bus.SCSI)],
        network_cards=[
            NetworkCard(mac="52:54:00:00:00:01"),
            NetworkCard("e1000e", mac="52:54:00:00:00:02", connected=False),
            NetworkCard("rtl8139", mac="52:54:00:00:00:03"),
        ],
        virtio_console=True,
        more_arguments=usb_line.qemu_arguments,
        kernel=(live_image.kernel, live_image.initramfs, f"boot=live quiet loglevel=1 {_CONSOLES}"),
    )
    with (
        ConversionServer(authentication=Authentication.PASSWORD) as server,
        Account() as account,
        Machine(hardware) as machine,
    ):
        output = account.home / "out"
        output.mkdir()
        output.chmod(0o777)
        usb = usb_line.open_terminal()
        serial, hypervisor = machine.console, machine.line("hvc0")
        for terminal in (serial, hypervisor, usb):
            terminal.wait_for(r">\s*Conversion server: \[ {54}\]" + _REST + "Esc: back", BOOT_SECONDS)

        clients = in_the_shell(serial, "tmux list-clients -F '#{client_tty} #{client_termname}'")
        assert set(re.findall(r"/dev/\w+ \w+", clients)) >= {
            "/dev/tty1 linux",
            "/dev/ttyS0 vt220",
            "/dev/ttyUSB0 vt220",
            "/dev/hvc0 vt220",
        }
        # Everything that is a disk, and what is made of disks: read-only for whoever tries.
        assert not re.findall(r" 0 (?!rom)", in_the_shell(serial, _RO_LIST))

        connect(serial, server, account)
        seen = listed(serial)
        for line in (
            r"\[x\] sd[a-e]  671 MB  QEMU HARDDISK  SATA\n +serial SYSTEM: Linux \(ext4 \"guest\"\)",
            r"\[x\] md12\d  101 MB  firmware RAID volume \(raid1, ddf\)",
            r"\[x\] nvme0n1  134 MB  QEMU NVMe Ctrl  NVMe\n +serial ARRAY-A: RAID delicate",
            r"\[x\] sd[a-e]  134 MB  QEMU HARDDISK  USB\n +serial ARRAY-B: RAID delicate",
            r"\[x\] sd[a-e]  134 MB  QEMU HARDDISK  SCSI\n +serial VOLUMES: LVM",
            r"\[x\] vda  134 MB  virtio\n +(serial PARTS: )?ext4, swap, swsuspend",
            r"sd[a-e], sd[a-e]: member of the firmware RAID set md12\d",
            r"\[x\] sr0  CD or DVD drive  QEMU (CD|DVD)-ROM\n *>? *\[x\] sr1  CD or DVD drive  QEMU (CD|DVD)-ROM",
            r"\[x\] \w+  52:54:00:00:00:01  link up\n +Red Hat, Inc. Virtio network device",
            r"\[x\] \w+  52:54:00:00:00:02  link down\n +Intel Corporation 82574L",
            r"\[x\] \w+  52:54:00:00:00:03  link up\n +Realtek",
        ):
            assert re.search(line, seen), f"{line}\n{seen}"

        disks_of_a_san_appear(machine, tmp_path)

        (system,) = re.findall(r"\[x\] (sd[a-e])  671 MB", seen)
        for name in sorted(set(re.findall(r"\[x\] ((?:sd|nvme|vd|md)\w+)  1\d\d MB", seen))):
            uncheck(serial, name)
        fill_in(serial, "Guest name", "by-keyboard", timeout=STEP_SECONDS)
        fill_in(serial, "Storage (-os), needed", str(output), timeout=STEP_SECONDS)
        start_conversion(serial, timeout=STEP_SECONDS)
        serial.wait_for(rf"Conversion \(3 of 3\){_REST}\[ \.\. \]", STEP_SECONDS)

        # The line is unplugged and plugged in again; nobody at the machine notices, and a key draws the screen.
        machine.unplug("ttyS0")
        usb_line.pull_adapter(machine)
        hypervisor.wait_for(r"\[ ok \] Opening the source", CONVERSION_SECONDS)
        serial = machine.plug_in("ttyS0")
        serial.press("C-l")
        serial.wait_for(rf"Conversion \(3 of 3\){_REST}{system}  \[", STEP_SECONDS)
        # A USB adapter takes the console with it, and brings it back.
        usb_line.insert_adapter(machine)
        usb = usb_line.open_terminal()
        usb.wait_for(rf"Conversion \(3 of 3\){_REST}{system}  \[", STEP_SECONDS)

        # The operator has walked to another console by the end.
        usb.wait_for(rf"by-keyboard-sd\*{_REST}\[ Shut down \]", CONVERSION_SECONDS)
        assert account.password not in serial.screen()
        press(usb, "Shut down", timeout=STEP_SECONDS)
        usb.wait_for(r">\[ No\b", STEP_SECONDS)
        press(usb, "Yes, shut down", "Right", timeout=STEP_SECONDS)
        machine.wait_until_off(STEP_SECONDS)
        boot_until_login([output / "by-keyboard-sda"])
    assert checksums(disks) == before
    assert journal_is_to_be_replayed(disks[DelicateDisk.PARTITIONS.value])


def disks_of_a_san_appear(machine: Machine, directory: Path) -> None:
    """A disk with two paths, and one behind iSCSI, are listed as soon as they are there, and go again."""
    serial = machine.console
    image = directory / "san.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    for path in ("path-1", "path-2"):
        disk = {"driver": "file", "filename": str(image), "locking": "off"}
        machine.command("blockdev-add", **{"driver": "raw", "node-name": path, "file": disk, "read-only": True})
        drive = {"drive": path, "serial": "TWO-PATHS", "wwn": 0x5000C500A1B2C3D4, "share-rw": True}
        machine.command("device_add", driver="scsi-hd", id=f"disk-{path}", bus="scsi.0", **drive)
    serial.press("PageUp", "PageUp", "PageUp", "PageDown")
    serial.wait_for(r"\[x\] mpatha  67\.1 MB  QEMU HARDDISK  SCSI\n +serial TWO-PATHS", STEP_SECONDS)
    with iscsi_target(image) as target:
        node = f"iscsiadm -m node -T {target.name} -p 10.0.2.2:{target.port}"
        said = in_the_shell(serial, f"{node} -o new && {node} --login")
        assert "successful." in said, said
        serial.wait_for(r"\[x\] sd[f-j]  67\.1 MB  IET VIRTUAL-DISK  iSCSI", STEP_SECONDS)
        assert not re.findall(r" 0 (?!rom)", in_the_shell(serial, _RO_LIST))
        in_the_shell(serial, f"{node} --logout")
    for path in ("path-1", "path-2"):
        machine.command("device_del", id=f"disk-{path}")
    deadline = time.monotonic() + STEP_SECONDS
    while re.search(r"\] mpatha|iSCSI", shown := at_rest(serial)):
        assert time.monotonic() < deadline, shown


def connect(terminal: Terminal, server: ConversionServer, account: Account) -> None:
    """Fills in the first screen and goes on to the second. 10.0.2.2 is this host to the machine."""
    fill_in(terminal, "Conversion server", "10.0.2.2", timeout=STEP_SECONDS)
    fill_in(terminal, "SSH port", str(server.port), timeout=STEP_SECONDS)
    fill_in(terminal, "User name", account.name, timeout=STEP_SECONDS)
    fill_in(terminal, "Password", account.password, shown="*" * len(account.password), timeout=STEP_SECONDS)
    press(terminal, "Test connection", timeout=STEP_SECONDS)
    terminal.wait_for(rf"Is this the conversion server\?{_REST}{re.escape(server.fingerprint)}", STEP_SECONDS)
    press(terminal, "Yes, it is", timeout=STEP_SECONDS)
    terminal.wait_for(rf">\[ Next \]{_REST}\[ ok \] login", STEP_SECONDS)
    terminal.press("Enter")
    terminal.wait_for(rf"Conversion \(2 of 3\){_REST}Guest name", STEP_SECONDS)
