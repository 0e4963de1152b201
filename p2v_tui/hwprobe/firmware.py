"""BIOS or UEFI: which one started the running system, and which one the installed system needs."""

from __future__ import annotations

from collections.abc import Sequence

from p2v_tui.hwprobe.boot_order import has_bios_boot_partition, has_esp
from p2v_tui.hwprobe.machine import Disk, Firmware
from p2v_tui.hwprobe.places import Places, exists


def booted_by(places: Places) -> Firmware:
    """How the running system was started. The kernel makes the directory only under UEFI."""
    return Firmware.UEFI if exists(places.sys / "firmware/efi") else Firmware.BIOS


def installed_firmware(disks: Sequence[Disk], running: Firmware) -> Firmware | None:
    """How the installed system boots; None where the boot disk (the first) and the running system disagree.

    Many machines support both, so a live system started by UEFI proves nothing about a disk without an ESP. A disk
    with both an ESP and a BIOS boot partition supports either.
    """
    if not disks:
        return None
    esp, bios_boot = has_esp(disks[0]), has_bios_boot_partition(disks[0])
    if running is Firmware.UEFI:
        return Firmware.UEFI if esp and not bios_boot else None
    return None if esp else Firmware.BIOS
