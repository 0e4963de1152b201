"""Says what of the machine was guessed, and from what, and what could not be looked at at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from p2v_tui.hwprobe.machine import Disk, Machine
from p2v_tui.session.checks import Check, Subject, Verdict

BOOT = Subject(
    "boot disk",
    "boot-disk",
    "By what the first disk was found to be the one that boots: the firmware's boot entries or drives, or what could "
    "be started on it.",
    {
        Verdict.NOTED: "It is a guess: the firmware does not say, and several disks could boot, or none. Or another "
        "disk than the one that boots the machine was named first."
    },
    "The first disk boots the guest: name the disks in the right order, `p2v.disks=sdb,sda`.",
)
PROBING = Subject(
    "look at the machine",
    "probing",
    "Whether everything in the machine could be looked at.",
    {Verdict.NOTED: "A device could not: it is left out."},
    "Look at `dmesg` in the shell.",
)

SUBJECTS: Final = (BOOT, PROBING)


def judge_guesses(disks: Sequence[Disk], machine: Machine) -> tuple[Check, ...]:
    """The checks of what is known of the machine, in the order of SUBJECTS. disks: those to convert."""
    return (*_boot_disk(disks, machine), *_probing(machine))


def _boot_disk(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    boot = machine.boot_disk
    if boot is None or len(disks) < 2 or machine.disks[0] not in disks:
        return
    first, found = disks[0], machine.disks[0]
    if first == found and boot.guessed:
        more = ",..." if len(disks) > 2 else ""
        yield BOOT.noted(
            f"That {first.name} boots the machine is a guess: {boot.evidence}. It comes first in the guest.",
            f"If another disk does, name that one first: p2v.disks={disks[1].name},{first.name}{more}.",
        )
    elif first == found:
        yield BOOT.passed(f"{first.name} comes first: {boot.evidence}.")
    elif not boot.guessed:
        yield BOOT.noted(
            f"{first.name} comes first in the guest, but {found.name} boots the machine: {boot.evidence}.",
            f"If the guest is to boot from {found.name}, name that one first in p2v.disks.",
        )


def _probing(machine: Machine) -> Iterator[Check]:
    for note in machine.notes:
        yield PROBING.noted(note, "Look at dmesg in the shell.")
