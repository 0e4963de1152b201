"""Judges the choices in the plan: disks that belong together and are not all chosen, choices that were guesses.

What an operator named is done, with a warning that says why it would not have been chosen; the rest of the plan only
refuses what surely fails (SettingsError). Other parts of the plan add their Subjects here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from p2v_tui.hwprobe.machine import Disk, Machine, Transport
from p2v_tui.session.plan import group_checks
from p2v_tui.session.plan.disk_choice import only_external
from p2v_tui.session.remote.commands import quote
from p2v_tui.session.words.checks import Check, Subject, Verdict

CHOICE = Subject(
    "choice of disks",
    "choice",
    "Which disks are converted, where `p2v.disks` names none: see [how disks are chosen](disks.md).",
    {
        Verdict.NOTED: "A disk on USB or FireWire is not converted, because it may not belong to this machine.",
        Verdict.WARNING: "The machine has no other disks than such: a driver for the right ones may be missing. Or a "
        "firmware RAID set or a multipath disk is not assembled, and nothing of it is converted.",
    },
    "Name the disks in `p2v.disks`, or check their boxes.",
)
OVERRULED = Subject(
    "disks that were left out",
    "left-out",
    "Whether a disk was named that would not be converted by default.",
    {Verdict.WARNING: "One was. It is converted all the same."},
    "Make sure that it is the right disk and accept the warning. Or remove it from `p2v.disks`.",
)
OLD_METADATA = Subject(
    "old metadata",
    "old-metadata",
    "Whether a disk has metadata of a RAID set, pool or file system that filled it, beside its partitions.",
    {Verdict.NOTED: "One has: it is taken to be left over from an earlier use, and the partitions are believed."},
    "Nothing, if the disk is used by its partitions. `wipefs` (without `-a`) shows what is there.",
)

SUBJECTS: Final = (CHOICE, OVERRULED, *group_checks.SUBJECTS, OLD_METADATA)


def judge_disks(disks: Sequence[Disk], machine: Machine, *, named: bool) -> tuple[Check, ...]:
    """The checks of the choice of disks, in the order of SUBJECTS.

    disks: those to convert. named: whether the operator named them.
    """
    return (
        *(() if named else _chosen(disks, machine)),
        *_overruled(disks, machine),
        *group_checks.judge_groups(disks, machine),
        *_old_metadata(disks),
    )


def _chosen(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    if only_external(machine):
        names = ", ".join(disk.name for disk in disks)
        yield CHOICE.warning(
            f"The only disks that were found are connected by USB or FireWire ({names}): "
            "whether they are this machine's own is a guess.",
            f"Name them if they are: p2v.disks={names.replace(' ', '')}. If others are missing, so may be their "
            "driver: look at dmesg and lspci in the shell.",
        )
    yield from _not_assembled(machine)
    chosen = {disk.name for disk in disks}
    for disk in machine.disks:
        if disk.name not in chosen:
            yield CHOICE.noted(
                f"{disk.name} is not converted: it is connected by {_bus(disk)} and may not belong to this "
                "machine, which is a guess.",
                f"If it does, name it with the others: p2v.disks={','.join(each.name for each in (*disks, disk))}.",
            )


def _not_assembled(machine: Machine) -> Iterator[Check]:
    reasons = dict.fromkeys(each.reason for each in machine.excluded if each.own)
    for reason in reasons:
        names = ", ".join(each.name for each in machine.excluded if each.reason == reason)
        yield CHOICE.warning(
            f"Not converted: {names}, each a {reason}.",
            "Do so in the shell and look again, or the guest lacks what is there. If it is not needed, accept this.",
        )


def _bus(disk: Disk) -> str:
    return "FireWire" if disk.transport is Transport.FIREWIRE else "USB"


def _overruled(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    chosen = {disk.name: disk for disk in disks}
    for excluded in machine.excluded:
        # Any path to the disk will do.
        if excluded.disk and not excluded.same_as and excluded.disk == chosen.get(excluded.name):
            yield OVERRULED.warning(
                f"{excluded.name} was named, and would have been left out. {excluded.risk}",
                f"Accept this if it is the right disk; or take {excluded.name} out.",
            )


def _old_metadata(disks: Sequence[Disk]) -> Iterator[Check]:
    for disk in disks:
        if disk.old_signature:
            yield OLD_METADATA.noted(
                f"{disk.name} has metadata of an earlier use ({disk.old_signature}) beside its partitions: the "
                "partitions are believed.",
                f"Look with {quote('wipefs', str(disk.device))} in the shell.",
            )
