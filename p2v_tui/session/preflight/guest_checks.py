"""Judges whether the conversion server has what this particular guest needs: UEFI firmware, tools for Windows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from p2v_tui.hwprobe.boot_order import has_bios_boot_partition, has_esp
from p2v_tui.hwprobe.machine import Firmware
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.preflight.server_facts import ServerFacts
from p2v_tui.session.words.checks import Check, Subject, Verdict

# Older ones fail without UEFI firmware, after everything was copied.
_UEFI_FIXED_IN: Final = (2, 5, 2)
_UEFI_MODES: Final = frozenset({"local", "libvirt", "qemu"})

UEFI = Subject(
    "UEFI firmware",
    "uefi",
    "Whether OVMF is where virt-v2v looks for it, for a guest with UEFI in the modes local, libvirt and qemu.",
    {
        Verdict.NOTED: "It is not, and virt-v2v is 2.5.2 or later: the guest cannot start on this server.",
        Verdict.REFUSED: "It is not, and virt-v2v is older: it would fail after the copy.",
    },
    "`apt install ovmf`, `dnf install edk2-ovmf`.",
)
WINDOWS_TOOLS = Subject(
    "Windows tools",
    "windows-tools",
    "If a disk has Windows: whether rhsrvany.exe or pvvxsvc.exe is in `$VIRT_TOOLS_DATA_DIR` or "
    "/usr/share/virt-tools.",
    {Verdict.WARNING: "Neither is: virt-v2v cannot convert Windows without one of them."},
    "Fedora, RHEL: `dnf install mingw32-srvany-redistributable`. Debian has no package of it: take rhsrvany.exe from "
    "Fedora's and put it into /usr/share/virt-tools.",
)
WINDOWS_DRIVERS = Subject(
    "Windows drivers",
    "windows-drivers",
    "If a disk has Windows: whether `$VIRTIO_WIN` or /usr/share/virtio-win exists.",
    {Verdict.NOTED: "No: the guest gets slow emulated disks and network cards."},
    "Put virtio-win.iso, its content or the package virtio-win there.",
)
WINDOWS_FILES = Subject(
    "Windows file systems",
    "windows-files",
    "If a disk has Windows: whether libguestfs can read NTFS there (ntfs-3g, or libguestfs-winsupport).",
    {Verdict.WARNING: "It cannot: virt-v2v will not find the operating system."},
    "`apt install ntfs-3g`, `dnf install ntfs-3g` or `dnf install libguestfs-winsupport`.",
)

SUBJECTS: Final = (UEFI, WINDOWS_TOOLS, WINDOWS_DRIVERS, WINDOWS_FILES)


def judge_guest_needs(
    facts: ServerFacts, release: tuple[int, ...], plan: Plan | None, windows: Collection[str]
) -> Iterator[Check]:
    """release: virt-v2v's. windows: the names of the disks that hold a Windows."""
    if plan and _needs_uefi(plan):
        yield from _uefi(facts, release)
    if windows:
        yield from _windows(facts, ", ".join(sorted(windows)))


def _needs_uefi(plan: Plan) -> bool:
    """Whether virt-v2v will make a guest that boots by UEFI. By default it looks at the partitions, as we do here."""
    if plan.output.mode.names[0] not in _UEFI_MODES:
        return False
    if plan.guest.firmware is None:
        return any(map(has_esp, plan.disks)) and not any(map(has_bios_boot_partition, plan.disks))
    return plan.guest.firmware is Firmware.UEFI


def _uefi(facts: ServerFacts, release: tuple[int, ...]) -> Iterator[Check]:
    install = "Install it there: apt install ovmf, or dnf install edk2-ovmf."
    if facts.uefi:
        yield UEFI.passed("OVMF is there.")
    elif facts.uefi is False and release < _UEFI_FIXED_IN:
        yield UEFI.refused(
            "The guest boots by UEFI and the conversion server has no OVMF; its virt-v2v would fail when everything "
            "is copied.",
            install,
        )
    elif facts.uefi is False:
        yield UEFI.noted(
            "The guest boots by UEFI and the conversion server has no OVMF: the guest cannot start on that server.",
            install,
        )


def _windows(facts: ServerFacts, disks: str) -> Iterator[Check]:
    if facts.windows_service:
        yield WINDOWS_TOOLS.passed("The tools for Windows guests are there.")
    elif facts.windows_service is False:
        yield WINDOWS_TOOLS.warning(
            f"{disks} holds Windows, and the conversion server has neither rhsrvany.exe nor pvvxsvc.exe in "
            "/usr/share/virt-tools: virt-v2v will not convert it.",
            "Fedora, RHEL: dnf install mingw32-srvany-redistributable. Elsewhere put rhsrvany.exe from that package "
            "into /usr/share/virt-tools.",
        )
    if facts.virtio_win:
        yield WINDOWS_DRIVERS.passed("The drivers for Windows guests are there.")
    elif facts.virtio_win is False:
        yield WINDOWS_DRIVERS.noted(
            f"{disks} holds Windows, and the conversion server has no virtio-win in /usr/share/virtio-win: the guest "
            "will have slow emulated disks and network cards.",
            "Put the content of virtio-win.iso there; Fedora has it as dnf install virtio-win.",
        )
    if facts.ntfs:
        yield WINDOWS_FILES.passed("libguestfs can read NTFS.")
    elif facts.ntfs is False:
        yield WINDOWS_FILES.warning(
            f"{disks} holds Windows, and the conversion server has no ntfs-3g: virt-v2v will find no operating "
            "system.",
            "Install it there: apt install ntfs-3g, or dnf install ntfs-3g; on RHEL, libguestfs-winsupport.",
        )
