"""The image boots by each firmware from each medium. Each boot takes another way through the menu."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.lab.by_keyboard import in_shell
from tests.lab.commands import LabFailure
from tests.lab.machine import Bus, CdDrive, Disk, Firmware, Hardware, Machine, NetworkCard
from tests.lab.terminal import Terminal
from tests.live_image.builder import run_build
from tests.live_image.conftest import LiveImage

MENU_SECONDS = 120.0
BOOT_SECONDS = 400.0
MENU = "convert this machine"
CONNECTION_SCREEN = r"Conversion server \(1 of 3\)[\s\S]*Esc: back"
PROMPT = r":~# *$"


def open_shell(terminal: Terminal) -> None:
    terminal.press("C-x")
    terminal.wait_for(r"(?m):~#")


def test_a_bios_boots_it_from_a_cd_and_starts_by_itself(live_image: LiveImage) -> None:
    with Machine(Hardware(cd_drives=[CdDrive(live_image.iso, boot=True)], network_cards=[NetworkCard()])) as machine:
        menu = machine.console.wait_for(MENU, MENU_SECONDS)
        for entry in ("Serial console", "Shell, without p2v-tui", "Memory test", "Restart", "Switch off"):
            assert entry in menu
        machine.wait_for_vga_text(MENU, MENU_SECONDS)
        machine.console.wait_for(CONNECTION_SCREEN, BOOT_SECONDS)
        machine.wait_for_vga_text("Conversion server (1 of 3)", BOOT_SECONDS)
        open_shell(machine.console)
        assert re.search(r"^VERSION=\"\d", in_shell(machine.console, "cat /etc/p2v-tui/image"))
        assert in_shell(machine.console, "systemctl --failed --no-legend --plain") == ""


def test_a_bios_boots_it_from_a_stick_into_a_shell(live_image: LiveImage) -> None:
    stick = Disk(live_image.iso, Bus.USB, removable=True, read_only=True, boot=True)
    with Machine(Hardware(disks=[stick])) as machine:
        machine.console.wait_for(MENU, MENU_SECONDS)
        machine.console.press("Down", "Down", "Enter")
        machine.console.wait_for(r"(?m):~#", BOOT_SECONDS)
        assert in_shell(machine.console, "pgrep -c tmux") == "0"
        assert in_shell(machine.console, "findmnt -no SOURCE /run/live/medium").startswith("/dev/sd")


def test_uefi_boots_it_from_a_cd_onto_the_serial_line_that_was_chosen(live_image: LiveImage) -> None:
    hardware = Hardware(
        firmware=Firmware.UEFI,
        cd_drives=[CdDrive(live_image.iso, boot=True)],
        network_cards=[NetworkCard()],
        serial_ports=2,
    )
    with Machine(hardware) as machine:
        machine.console.wait_for(MENU, MENU_SECONDS)
        machine.console.press("Down", "Enter")
        machine.console.wait_for("ttyS1, 9600 baud", MENU_SECONDS)
        machine.console.press("Down", "Down", "Down", "Enter")
        second = machine.line("ttyS1")
        second.wait_for(CONNECTION_SCREEN, BOOT_SECONDS)
        open_shell(second)
        assert in_shell(second, "stty -F /dev/ttyS1 speed") == "9600"
        assert in_shell(second, "ls /sys/firmware/efi/fw_platform_size") == "/sys/firmware/efi/fw_platform_size"


def test_uefi_with_secure_boot_enforced_boots_it_from_a_stick(live_image: LiveImage) -> None:
    stick = Disk(live_image.iso, Bus.USB, removable=True, read_only=True, boot=True)
    hardware = Hardware(firmware=Firmware.SECURE_BOOT, disks=[stick], network_cards=[NetworkCard()])
    with Machine(hardware) as machine:
        menu = machine.console.wait_for(MENU, MENU_SECONDS)
        assert "Memory test" not in menu
        machine.console.press("Enter")
        machine.console.wait_for(CONNECTION_SCREEN, BOOT_SECONDS)
        open_shell(machine.console)
        # The kernel locks itself down when the firmware has checked what it started.
        assert "[integrity]" in in_shell(machine.console, "cat /sys/kernel/security/lockdown")


def test_the_firmware_of_these_tests_refuses_what_nobody_has_signed(live_image: LiveImage) -> None:
    card = NetworkCard(tftp=live_image.network, boot_file="memtest.efi", boot=True)
    with Machine(Hardware(firmware=Firmware.SECURE_BOOT, network_cards=[card])) as machine:
        machine.console.wait_for("Access Denied|Security Violation", MENU_SECONDS)


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.UEFI])
def test_the_memory_test_starts(live_image: LiveImage, firmware: Firmware) -> None:
    with Machine(
        Hardware(firmware=firmware, cd_drives=[CdDrive(live_image.iso, boot=True)], memory_mib=256)
    ) as machine:
        machine.console.wait_for(MENU, MENU_SECONDS)
        machine.console.press("m")
        machine.console.wait_for("Memtest86", MENU_SECONDS)


@pytest.fixture
def network_with_identity(release: str, tmp_path: Path) -> Path:
    """The files of a network boot with an identity and settings of its own."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    words = '--kernel-args=p2v.server=192.0.2.10 p2v.interactive p2v.post="echo done"'
    done = run_build("--release", release, "--pxe", tmp_path / "network", "--inject-ssh-identity", key, words)
    if done.returncode != 0:
        raise LabFailure(done.stderr)
    return tmp_path / "network"


def test_uefi_with_secure_boot_boots_it_over_the_network_with_identity_and_settings(
    network_with_identity: Path,
) -> None:
    card = NetworkCard(tftp=network_with_identity, boot_file="bootx64.efi", boot=True)
    with Machine(Hardware(firmware=Firmware.SECURE_BOOT, network_cards=[card], memory_mib=2048)) as machine:
        machine.console.wait_for(MENU, MENU_SECONDS)
        machine.console.press("Enter")
        shown = machine.console.wait_for(CONNECTION_SCREEN, BOOT_SECONDS)
        assert "[192.0.2.10 " in shown
        assert "[file:///etc/p2v-tui/identity " in shown
        open_shell(machine.console)
        assert in_shell(machine.console, "stat -c '%a %U' /etc/p2v-tui/identity") == "600 root"
        assert '"p2v.post=echo done"' in in_shell(machine.console, "cat /proc/cmdline").replace("\n", "")


@pytest.mark.parametrize("boot_file", ["pxelinux.0", "boot.ipxe"])
def test_a_bios_boots_it_over_the_network(live_image: LiveImage, boot_file: str) -> None:
    card = NetworkCard(tftp=live_image.network, boot_file=boot_file, boot=True)
    with Machine(Hardware(network_cards=[card], memory_mib=2048)) as machine:
        if boot_file == "pxelinux.0":
            machine.console.wait_for("Convert this machine", MENU_SECONDS)
            machine.console.press("Enter")
        machine.console.wait_for(CONNECTION_SCREEN, BOOT_SECONDS)
