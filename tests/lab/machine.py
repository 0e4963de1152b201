"""A whole machine under qemu: firmware, boot medium, disks on any bus, network cards, serial lines.

Its serial lines are terminals of tmux that can be read, typed into, unplugged and plugged in again. For the boot of
one converted guest that only has to reach its login prompt, tests/lab/boot.py is enough.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.lab.commands import LabFailure, end_process_group, program
from tests.lab.kvm import qemu_accel_arguments
from tests.lab.terminal import Terminal
from tests.lab.waiting import happens

_OVMF = Path("/usr/share/OVMF")
_CALL_SECONDS = 20.0
_POLL_SECONDS = 0.2
_PROJECT = Path(__file__).parents[2]


class Firmware(enum.Enum):
    """The machine's firmware. SECURE_BOOT: UEFI with Microsoft's keys, which it enforces."""

    BIOS = "bios"
    UEFI = "uefi"
    SECURE_BOOT = "secure-boot"


class Bus(enum.Enum):
    """Where a disk or a CD drive is attached."""

    VIRTIO = "virtio"
    SATA = "sata"
    SCSI = "scsi"
    NVME = "nvme"
    USB = "usb"


@dataclass(frozen=True)
class Disk:
    """A fixed disk, or a stick.

    image: raw unless `kind` says another of qemu's formats. read_only: the machine sees a disk that refuses writes.
    boot: the firmware starts from it. removable: a stick, on Bus.USB.
    """

    image: Path
    bus: Bus = Bus.VIRTIO
    serial: str = ""
    kind: str = "raw"
    read_only: bool = False
    boot: bool = False
    removable: bool = False


@dataclass(frozen=True)
class CdDrive:
    """A CD drive, empty without an image."""

    image: Path | None = None
    bus: Bus = Bus.SATA
    boot: bool = False


@dataclass(frozen=True)
class NetworkCard:
    """A network card on its own network, with DHCP and, at 10.0.2.2, this host.

    model: qemu's name of the card. mac: qemu's choice when empty. connected: whether the cable is in.
    tftp, boot_file: the directory that the network serves and the file that it boots, with `boot`.
    options: more of qemu's for `-netdev user`, such as `hostfwd=tcp::2222-:22`.
    """

    model: str = "virtio-net-pci"
    mac: str = ""
    tftp: Path | None = None
    boot_file: str = ""
    boot: bool = False
    connected: bool = True
    options: Sequence[str] = ()


@dataclass(frozen=True)
class Hardware:
    """What the machine consists of. serial_ports: ttyS0 and so on; virtio_console: hvc0 as well.

    kernel: qemu's own loader instead of a boot medium: the kernel, its initrd and its command line.
    """

    firmware: Firmware = Firmware.BIOS
    disks: Sequence[Disk] = ()
    cd_drives: Sequence[CdDrive] = ()
    network_cards: Sequence[NetworkCard] = ()
    serial_ports: int = 1
    virtio_console: bool = False
    memory_mib: int = 1536
    processors: int = 2
    kernel: tuple[Path, Path, str] | None = None
    more_arguments: Sequence[str] = field(default=())


def qemu_arguments(hardware: Hardware, directory: Path) -> list[str]:
    """qemu's words for this hardware; its sockets (`monitor`, `ttyS0`, `hvc0`) are made in `directory`.

    The machine powers off instead of restarting.
    """
    words = [*qemu_accel_arguments(), "-nodefaults", "-no-user-config", "-display", "none", "-S", "-no-reboot"]
    words += [*_firmware(hardware.firmware, directory)]
    words += ["-smp", str(hardware.processors), "-m", str(hardware.memory_mib)]
    words += ["-device", "VGA", "-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb", "-device", "usb-kbd"]
    words += ["-qmp", f"unix:{directory / 'monitor'},server=on,wait=off"]
    for number in range(hardware.serial_ports):
        words += ["-chardev", f"socket,id=line{number},path={directory / f'ttyS{number}'},server=on,wait=off"]
        words += ["-device", f"isa-serial,chardev=line{number},index={number}"]
    if hardware.virtio_console:
        words += ["-device", "virtio-serial-pci"]
        words += ["-chardev", f"socket,id=hvc0,path={directory / 'hvc0'},server=on,wait=off"]
        words += ["-device", "virtconsole,chardev=hvc0"]
    if Bus.SCSI in {disk.bus for disk in hardware.disks} | {drive.bus for drive in hardware.cd_drives}:
        words += ["-device", "virtio-scsi-pci,id=scsi"]
    # Each SATA port takes one disk; the last port is the CD drive's.
    sata_port = itertools.count()
    for number, disk in enumerate(hardware.disks):
        words += _disk(disk, f"disk{number}", next(sata_port) if disk.bus is Bus.SATA else -1)
    for number, drive in enumerate(hardware.cd_drives):
        words += _cd_drive(drive, f"cd{number}")
    for number, card in enumerate(hardware.network_cards):
        words += _network_card(card, f"net{number}", hardware.firmware)
    if hardware.kernel:
        kernel, initrd, arguments = hardware.kernel
        words += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", arguments]
    return [*words, *hardware.more_arguments]


def _firmware(firmware: Firmware, directory: Path) -> list[str]:
    if firmware is Firmware.BIOS:
        return ["-machine", "q35"]
    # The secure variant protects its variables with SMM, so that programs in the machine cannot bypass the firmware.
    secure = firmware is Firmware.SECURE_BOOT
    code, variables = (
        ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd") if secure else ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")
    )
    if not (_OVMF / code).exists():
        raise LabFailure(f"{_OVMF / code} is not there; `make setup` installs Debian's ovmf.")
    own_variables = directory / variables
    if not own_variables.exists():
        shutil.copyfile(_OVMF / variables, own_variables)
    words = ["-machine", "q35,smm=on" if secure else "q35"]
    words += ["-global", "driver=cfi.pflash01,property=secure,value=on"] if secure else []
    words += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={_OVMF / code}"]
    return [*words, "-drive", f"if=pflash,format=raw,unit=1,file={own_variables}"]


def _disk(disk: Disk, name: str, sata_port: int) -> list[str]:
    read_only = "on" if disk.read_only else "off"
    words = ["-drive", f"if=none,id={name},file={_plain(disk.image)},format={disk.kind},readonly={read_only}"]
    device = {
        Bus.VIRTIO: "virtio-blk-pci",
        Bus.SATA: f"ide-hd,bus=ide.{sata_port}",
        Bus.SCSI: "scsi-hd,bus=scsi.0",
        Bus.NVME: "nvme",
        Bus.USB: f"usb-storage,bus=usb.0,removable={'on' if disk.removable else 'off'}",
    }[disk.bus]
    # qemu refuses an NVMe disk without a serial number.
    serial = disk.serial or (name if disk.bus is Bus.NVME else "")
    return [*words, "-device", f"{device},drive={name}" + _serial(serial) + _boot(disk.boot)]


def _cd_drive(drive: CdDrive, name: str) -> list[str]:
    device = {Bus.SATA: "ide-cd,bus=ide.5", Bus.SCSI: "scsi-cd,bus=scsi.0", Bus.USB: "usb-storage,bus=usb.0"}[
        drive.bus
    ]
    medium = f",file={_plain(drive.image)},format=raw,readonly=on" if drive.image else ""
    return [
        "-drive",
        f"if=none,id={name},media=cdrom{medium}",
        "-device",
        f"{device},drive={name}" + _boot(drive.boot),
    ]


def _network_card(card: NetworkCard, name: str, firmware: Firmware) -> list[str]:
    network = [f"user,id={name}", *card.options]
    network += [f"tftp={_plain(card.tftp)}"] if card.tftp else []
    network += [f"bootfile={card.boot_file}"] if card.boot_file else []
    device = f"{card.model},netdev={name},id=card-{name}"
    device += f",mac={card.mac}" if card.mac else ""
    device += _boot(card.boot)
    # A BIOS boots from a card by the card's ROM; without one the card cannot be mistaken for something to boot from.
    # UEFI has drivers of its own, and iPXE, which qemu's ROMs are, would not give shim what it fetches GRUB with.
    device += "" if card.boot and firmware is Firmware.BIOS else ",romfile="
    return ["-netdev", ",".join(network), "-device", device]


def _plain(path: Path) -> str:
    return str(path).replace(",", ",,")


def _serial(serial: str) -> str:
    return f",serial={serial}" if serial else ""


def _boot(first: bool) -> str:
    return ",bootindex=0" if first else ""


class Machine:
    """A machine that is switched on with the `with` statement and off at its end, whatever happens in between."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._lines: dict[str, Terminal] = {}
        self._directory = Path(tempfile.mkdtemp(prefix="p2v-machine-"))
        self._qemu: subprocess.Popen[str] | None = None
        self._monitor: _Monitor | None = None

    def __enter__(self) -> Self:
        try:
            # Its output goes to a file: a pipe that nobody reads would fill up and stop it.
            with (self._directory / "qemu.log").open("w") as log:
                self._qemu = subprocess.Popen(
                    [program("qemu-system-x86_64"), *qemu_arguments(self._hardware, self._directory)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
            self._monitor = _Monitor(self._directory / "monitor", self._still_on)
            for card, network_card in enumerate(self._hardware.network_cards):
                if not network_card.connected:
                    self._monitor.call("set_link", name=f"card-net{card}", up=False)
            # Every line is connected before the first instruction runs, so that no output is lost.
            for number in range(self._hardware.serial_ports):
                self.plug_in(f"ttyS{number}")
            if self._hardware.virtio_console:
                self.plug_in("hvc0")
            self._monitor.call("cont")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Switches the machine off at the plug, and ends its terminals."""
        if self._monitor:
            self._monitor.close()
        if self._qemu:
            end_process_group(self._qemu)
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def console(self) -> Terminal:
        """The first serial line's terminal."""
        return self.line("ttyS0")

    def line(self, name: str) -> Terminal:
        """The terminal on a line: `ttyS0`, `ttyS1`, `hvc0`."""
        return self._lines[name]

    def plug_in(self, name: str) -> Terminal:
        """Joins a line to a new, empty terminal."""
        terminal = Terminal(
            [sys.executable, "-P", "-m", "tests.lab.serial_line", str(self._directory / name)],
            environment={"PYTHONPATH": str(_PROJECT)},
        )
        self._lines[name] = terminal
        if not happens(lambda: self._joined(name), _CALL_SECONDS):
            raise LabFailure(f"No terminal on {name}:\n{terminal.screen()}")
        return terminal

    def _joined(self, name: str) -> bool:
        # qemu describes a socket that nobody has joined as "disconnected:unix:...".
        address = f"unix:{self._directory / name}"
        return any(line["filename"].startswith(address) for line in self.command("query-chardev"))

    def unplug(self, name: str) -> None:
        """Disconnects the terminal of a line; the machine continues, and its output is lost."""
        self._lines.pop(name).close()

    def command(self, command: str, /, **arguments: Any) -> Any:
        """One command of qemu's QMP, and what it returns. Raises LabFailure when qemu refuses."""
        assert self._monitor, "the machine is off"
        return self._monitor.call(command, **arguments)

    def press_on_keyboard(self, *keys: str) -> None:
        """Presses keys of the machine's own keyboard, by qemu's names: `ret`, `tab`, `a`, `ctrl-alt-f2`."""
        for key in keys:
            self.command("human-monitor-command", **{"command-line": f"sendkey {key}"})

    def vga_text(self) -> str:
        """The text that is in the memory of the VGA card, lines of 80; only where it is in text mode, as under BIOS.

        The kernel scrolls by moving its window over that memory, so old lines are in it too.
        """
        dump = self.command("human-monitor-command", **{"command-line": "xp /8192xh 0xb8000"})
        cells = re.findall(r"0x[0-9a-f]{2}([0-9a-f]{2})\b", dump)
        text = bytes(int(cell, 16) for cell in cells).decode("cp437").replace("\0", " ")
        return "\n".join(text[start : start + 80].rstrip() for start in range(0, len(text), 80))

    def wait_for_vga_text(self, text: str, seconds: float) -> None:
        """Waits until the text is in one line of `vga_text`. Raises LabFailure with that."""
        deadline = time.monotonic() + seconds
        while text not in (shown := self.vga_text()):
            self._still_on()
            if time.monotonic() > deadline:
                raise LabFailure(f"{text!r} did not appear on the VGA screen:\n{shown}")
            time.sleep(
                _POLL_SECONDS
            )  # The card's memory, read through qemu's monitor, which has no event for a change of it.

    def wait_until_off(self, seconds: float) -> None:
        """Waits until the machine has powered itself off. Raises LabFailure with what its console says."""
        assert self._qemu, "the machine was never on"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._qemu.wait(seconds)
            return
        raise LabFailure(f"The machine is still on after {seconds:.0f} s:\n{self.console.screen()}")

    def _still_on(self) -> None:
        if self._qemu and self._qemu.poll() is not None:
            raise LabFailure(f"qemu ended:\n{(self._directory / 'qemu.log').read_text()}")


class _Monitor:
    """The connection to qemu's QMP."""

    def __init__(self, path: Path, still_on: Callable[[], None]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_CALL_SECONDS)
        deadline = time.monotonic() + _CALL_SECONDS
        while True:
            still_on()
            try:
                self._socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() > deadline:
                    raise LabFailure("qemu does not offer its monitor.") from error
                time.sleep(_POLL_SECONDS)  # qemu makes the socket when it is ready, and tells nobody.
        self._answers = self._socket.makefile()
        self._answer()
        self.call("qmp_capabilities")

    def call(self, command: str, /, **arguments: Any) -> Any:
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "event" in (answer := self._answer()):
            pass
        if "error" in answer:
            raise LabFailure(f"qemu refuses {command}: {answer['error']['desc']}")
        return answer["return"]

    def _answer(self) -> Mapping[str, Any]:
        try:
            line = self._answers.readline()
        except OSError as error:
            raise LabFailure("qemu does not answer.") from error
        if not line:
            raise LabFailure("qemu has ended.")
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._answers.close()
        self._socket.close()
