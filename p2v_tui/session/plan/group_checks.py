"""Judges whether groups of disks are converted whole, and whether two disks are copies of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from p2v_tui.hwprobe.copies import find_copies, may_be_paths
from p2v_tui.hwprobe.groups import MD_ARRAY, VOLUME_GROUP, is_uncounted
from p2v_tui.hwprobe.machine import Disk, DiskGroup, Machine
from p2v_tui.hwprobe.spanning import (
    BCACHE,
    BCACHEFS,
    BTRFS,
    DYNAMIC_DISKS,
    EXT_JOURNAL,
    STORAGE_POOL,
    STORAGE_SPACES_TYPE,
    STRATIS,
    XFS_LOG,
    ZFS,
)
from p2v_tui.session.words.checks import Check, Subject, Verdict

GROUPS = Subject(
    "disks that belong together",
    "groups",
    "Volume groups, arrays and file systems that lie on several disks: whether all of their disks are converted, and "
    "whether the machine has all of them.",
    {
        Verdict.NOTED: "A part may be where nobody can look, in an array or an encrypted volume that is not open; "
        "a member of an array is behind the others; or its spare is left out.",
        Verdict.WARNING: "A part is not converted or was not found: the guest lacks what it holds. Or how many parts "
        "there are could not be found out. Or all that is converted of an array is a member with an older state.",
    },
    "Convert all of their disks or none, in `p2v.disks` or by the check boxes. A disk that was not found: load its "
    "driver, log in to the SAN, look at dmesg.",
)
COPIES = Subject(
    "copies of a disk",
    "copies",
    "Whether two of the disks have the same file system, physical volume or member of an array (the same UUID).",
    {
        Verdict.NOTED: "Two are one disk over two paths (WWN, serial number, size and content agree): it is "
        "converted once.",
        Verdict.WARNING: "They have: one is a copy of the other. In the guest LVM refuses both, and which of two "
        "file systems is mounted is left to chance. Or two with the same WWN and serial number may be one disk, and "
        "nothing on them tells.",
    },
    "Convert one of them: name it in `p2v.disks`, or uncheck the other.",
)

UNREADABLE = Subject(
    "what virt-v2v cannot read",
    "unreadable",
    "Whether the disks hold what virt-v2v cannot look into: ZFS, bcache, bcachefs, Stratis, Storage Spaces.",
    {Verdict.NOTED: "Something is. It is copied as it is; but a system on it is not found, and not converted."},
    "If the system is on it, move it by other means. If it holds data only, there is nothing to do.",
)

SUBJECTS: Final = (GROUPS, COPIES, UNREADABLE)

_UNREADABLE: Final = {
    "zfs_member": "ZFS",
    "bcache": "bcache",
    "bcachefs": "bcachefs",
    "stratis": "Stratis",
}

# How many members each md level can lose.
_SPARE: Final = {"raid4": 1, "raid5": 1, "raid6": 2, "raid10": 1}
_WITHOUT: Final = {
    VOLUME_GROUP: "Logical volumes with a part there will not work in the guest, the others will.",
    BTRFS: "The guest can mount it at best with -o degraded.",
    ZFS: "The guest can import it only if the other disks hold all of its data.",
    BCACHEFS: "The guest can mount it only if the other disks hold all of its data.",
    BCACHE: "What the cache has not written back is missing on the disk behind it: its file system may be damaged.",
    STRATIS: "The guest cannot start it.",
    DYNAMIC_DISKS: "Windows cannot use volumes with a part there.",
    STORAGE_POOL: "Windows can use it only if the other disks hold all of its data.",
    EXT_JOURNAL: "The guest does not mount the file system without its journal.",
    XFS_LOG: "The guest does not mount the file system without its log.",
}
_HOW_TO_COUNT: Final = {
    VOLUME_GROUP: "Run pvs in the shell: either lvm2 is missing here, or the metadata cannot be read.",
    MD_ARRAY: "Run mdadm --examine in the shell: either mdadm is missing here, or the metadata cannot be read.",
}


def judge_groups(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    """disks: those to convert."""
    chosen = frozenset(disk.name for disk in disks)
    for group in machine.groups:
        if group.holds_any(chosen):
            yield from _group(group, chosen, machine)
    yield from _paths(disks, machine)
    yield from _maybe_paths(disks)
    yield from _copies(disks, machine)
    yield from _unreadable(disks)


def _group(group: DiskGroup, chosen: frozenset[str], machine: Machine) -> Iterator[Check]:
    missing = group.missing(chosen)
    what = f"The {group.kind} {group.name}"
    if missing and missing <= group.spares and not group.unseen:
        yield GROUPS.noted(
            f"{what} does not need {', '.join(sorted(missing))} for its data: a spare. The guest has none.",
            f"To give it one, convert {', '.join(sorted(group.disks))}.",
        )
    elif missing:
        left_out = [f"{each.name} is left out: {each.reason}." for each in machine.excluded if each.name in missing]
        may = "may also need" if group.unsure else "also needs"
        yield GROUPS.warning(
            f"{what} {may} {', '.join(sorted(missing))}.{_also_unseen(group)} "
            f"{_without(group, len(missing - group.spares))}",
            " ".join([f"Convert all of its disks ({', '.join(sorted(group.disks))}) or none of them.", *left_out]),
        )
    elif group.unseen and group.unsure:
        yield GROUPS.noted(
            f"{what} has {_parts(group)} where nobody can look: it may be in an array or an encrypted volume that is "
            "not open here.",
            f"All such disks are converted ({', '.join(sorted(group.disks))}). If the system uses others, name "
            "them too.",
        )
    elif group.unseen:
        yield GROUPS.warning(
            f"{what} lacks {_parts(group)}: no disk of this machine has it. {_without(group, 0)}",
            "If a disk is missing here, load its driver or log in to its SAN, look at dmesg, and look again.",
        )
    elif is_uncounted(group):
        yield _uncounted(group)
    yield from _behind(group, chosen)


def _uncounted(group: DiskGroup) -> Check:
    return GROUPS.warning(
        f"The {group.kind} {group.name} on {', '.join(sorted(group.disks))} may lack {_word(group)}: how many it has "
        "could not be found out.",
        _HOW_TO_COUNT[group.kind],
    )


def _also_unseen(group: DiskGroup) -> str:
    return f" It lacks {_parts(group)} besides, which no disk of this machine has." if group.unseen else ""


def _parts(group: DiskGroup) -> str:
    """The parts that were not found: `1 of its 2 physical volumes`."""
    word = _word(group)
    return f"{group.unseen} of its {group.members} {word}" if group.members else f"{group.unseen} of its {word}"


def _word(group: DiskGroup) -> str:
    return {VOLUME_GROUP: "physical volumes", MD_ARRAY: "members"}.get(group.kind, "devices")


def _without(group: DiskGroup, missing: int) -> str:
    """What the guest can do with the rest. missing: how many of its disks are not converted."""
    if group.kind == MD_ARRAY:
        return _array_without(group, missing + group.unseen)
    return _WITHOUT.get(group.kind, "The guest lacks what is there.")


def _array_without(group: DiskGroup, lost: int) -> str:
    level = group.level or ""
    if level == "raid1" or lost <= _SPARE.get(level, 0):
        return f"What is left of it ({level}) holds all of its data, and will be degraded in the guest."
    if level == "raid10":
        return "Whether what is left of it (raid10) holds all of its data is not known."
    if not level:
        return "Unless it is a mirror, the guest cannot start it."
    return f"The guest cannot start what is left of it ({level}): all that it holds is missing there."


def _behind(group: DiskGroup, chosen: frozenset[str]) -> Iterator[Check]:
    """Members that fell out of the array and have older data."""
    old = ", ".join(sorted(group.behind & chosen))
    if not old:
        return
    current = ", ".join(sorted(group.disks - group.behind))
    if not (group.disks - group.behind) & chosen:
        yield GROUPS.warning(
            f"{old} holds an older state of the {group.kind} {group.name} than {current}: the array went on without "
            "it, and the guest would have the old data.",
            f"Convert {current} instead.",
        )
    else:
        yield GROUPS.noted(
            f"{old} holds an older state of the {group.kind} {group.name} than {current}: the array will be degraded "
            "in the guest as well.",
            f"Leave {old} out if nothing else is on it; or look after the array in the guest: mdadm --detail.",
        )


def _paths(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    chosen = {disk.name for disk in disks}
    for path in machine.excluded:
        if path.same_as and len({path.name, path.same_as} & chosen) == 1:
            yield COPIES.noted(
                f"{path.name} and {path.same_as} are one disk over two paths without a multipath map. It is "
                "converted once.",
                "If the path may fail meanwhile, run multipath in the shell and look again: then the map is offered.",
            )


def _maybe_paths(disks: Sequence[Disk]) -> Iterator[Check]:
    for alike in may_be_paths(disks):
        names = ", ".join(disk.name for disk in alike)
        best = next((disk for disk in alike if disk.contents or disk.partition_table), alike[0])
        yield COPIES.warning(
            f"{names} have the same WWN, serial number and size: they may be one disk over several paths, which "
            "would be copied more than once, or not to its end over a path that cannot read.",
            f"Run multipath -ll and lsblk in the shell. If it is one disk, convert one: p2v.disks={best.name}, or "
            "uncheck the others.",
        )


def _copies(disks: Sequence[Disk], machine: Machine) -> Iterator[Check]:
    for copies in find_copies(disks):
        names = {disk.name for disk in copies.disks}
        # With metadata at the end, each member of a mirror shows the mirror's content.
        if any(group.kind == MD_ARRAY and names <= group.disks for group in machine.groups):
            continue
        listed = ", ".join(disk.name for disk in copies.disks)
        yield COPIES.warning(
            f"{listed} hold the same {copies.what}: one is a copy of the other, or another path to it. In the guest "
            "LVM refuses both, and which of two file systems is mounted is left to chance.",
            f"Convert one of them: p2v.disks={copies.disks[0].name}, or uncheck the others.",
        )


def _unreadable(disks: Sequence[Disk]) -> Iterator[Check]:
    for disk in disks:
        kinds = {_UNREADABLE[content.type] for content in disk.contents if content.type in _UNREADABLE}
        if any(part.type == STORAGE_SPACES_TYPE for part in disk.partitions):
            kinds.add("Storage Spaces")
        if kinds:
            yield UNREADABLE.noted(
                f"{disk.name} has {' and '.join(sorted(kinds))} on it, which virt-v2v cannot look into.",
                "If the system is on it, virt-v2v finds none and ends; data is copied as it is.",
            )
