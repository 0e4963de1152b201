"""Judges what making the plan found: disks that belong together and are not all chosen, choices that were a guess.

What an operator named is done, with a warning that says why it would not have been chosen; the rest of the plan only
refuses what surely fails (SettingsError). Another part of the plan that has something to say adds a Subject here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from p2v_tui.hwprobe.machine import Disk, Machine
from p2v_tui.session.checks import Check, Subject, Verdict

GROUPS = Subject(
    "disks that belong together",
    "groups",
    "Volume groups, arrays and file systems that lie on several disks: whether all of their disks are converted.",
    {Verdict.WARNING: "One is not: the guest lacks a part of what they hold together."},
    "Convert all of their disks or none, in `p2v.disks` or by the check boxes.",
)

SUBJECTS: Final = (GROUPS,)


def judge_disks(disks: Sequence[Disk], machine: Machine) -> tuple[Check, ...]:
    """The checks of the choice of disks, in the order of SUBJECTS. disks: those to convert."""
    return tuple(_groups(disks, machine))


def _groups(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    for group, missing in machine.incomplete_groups(disk.name for disk in disks):
        left_out = [f"{each.name} is left out: {each.reason}." for each in machine.excluded if each.name in missing]
        yield GROUPS.warning(
            f"The {group.kind} {group.name} also needs {', '.join(sorted(missing))}.",
            " ".join([f"Convert all of its disks ({', '.join(sorted(group.disks))}) or none of them.", *left_out]),
        )
