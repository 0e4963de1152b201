"""Reports what was guessed about the machine, and from what, and what could not be probed at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from p2v_tui.hwprobe.machine import Disk, Machine, MemorySource
from p2v_tui.session.words.checks import Check, Subject, Verdict
from p2v_tui.session.words.quantities import memory_text

BOOT = Subject(
    "boot disk",
    "boot-disk",
    "By what the first disk was found to be the one that boots: the firmware's boot entries or drives, or what could "
    "be started on it.",
    {
        Verdict.NOTED: "It is a guess: the firmware does not say, and several disks could boot, or none. Or another "
        "disk than the one that boots the machine comes first."
    },
    "The first disk boots the guest: name the disks in the right order, `p2v.disks=sdb,sda`.",
)
PROBING = Subject(
    "look at the machine",
    "probing",
    "Whether everything in the machine could be looked at.",
    {Verdict.NOTED: "A device could not be looked at. It is left out."},
    "Look at `dmesg` in the shell.",
)

MEMORY = Subject(
    "memory",
    "memory",
    "By what the machine's memory is known, where `p2v.memory` does not say how much the guest gets: the kernel's "
    "memory blocks, or the firmware's list of modules.",
    {Verdict.NOTED: "By neither: it is what Linux has for use, some per cent less than the machine has."},
    "`p2v.memory=32G`",
)

SUBJECTS: Final = (BOOT, MEMORY, PROBING)


def judge_guesses(disks: Sequence[Disk], machine: Machine, *, memory_given: bool) -> tuple[Check, ...]:
    """The checks of what the probe guessed, in the order of SUBJECTS. disks: those to convert.

    memory_given: whether the operator set the guest's memory.
    """
    return (*_boot_disk(disks, machine), *_memory(machine, memory_given), *_probing(machine))


def _memory(machine: Machine, given: bool) -> Iterator[Check]:
    if machine.memory_source is MemorySource.IN_USE and not given:
        yield MEMORY.noted(
            f"Neither the firmware nor the kernel says how much memory is installed: {memory_text(machine.memory)} "
            "is what Linux has for use here.",
            "If the machine has more, say how much the guest gets: p2v.memory=32G.",
        )


def _boot_disk(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    boot = machine.boot_disk
    # A disk image comes from another machine.
    if boot is None or any(disk.device.is_file() for disk in disks):
        return
    first, found = disks[0], machine.disks[0]
    if found not in disks:
        if not boot.guessed:
            yield BOOT.noted(
                f"{found.name} boots the machine, and is not converted: {boot.evidence}.",
                f"If the guest is to boot as the machine does, name it first: p2v.disks={found.name},{first.name}",
            )
        return
    if len(disks) < 2:
        return
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
