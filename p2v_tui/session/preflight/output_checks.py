"""Judges the place where the guest goes: does it have room, is the name free. `directory_checks.py` judges whether
virt-v2v may write there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.preflight.server_facts import NO_POOL, ExistingFile, Place, ServerFacts, Space
from p2v_tui.session.remote.commands import quote
from p2v_tui.session.words.checks import Check, Subject, Verdict
from p2v_tui.session.words.quantities import duration_text, size_text

# virt-v2v does not start with less (v2v/v2v.ml, check_host_free_space).
_OVERLAY: Final = 1 << 30
# For the log and all else in the remote directory; with virt-v2v's debugging output it is far longer.
_LEAST_LOGS: Final = 1_000_000
_LOGS: Final = 10_000_000
_DEBUG_LOGS: Final = 100_000_000
_INODES: Final = 100
# Part of the disks' sizes: disks rarely hold less data than that.
_LEAST_FILL: Final = 0.1

OVERLAY = Subject(
    "space for the overlay",
    "space",
    "The space and inodes in `$VIRT_V2V_TMPDIR`, `$LIBGUESTFS_CACHEDIR`, `$TMPDIR` or /var/tmp, the first that is "
    "set where virt-v2v runs; sudo passes none of them on.",
    {Verdict.REFUSED: f"Less than the {size_text(_OVERLAY)} that virt-v2v demands before it starts, or no inodes."},
    "Free some space there, or set VIRT_V2V_TMPDIR for the login user.",
)
LOGS = Subject(
    "space in /tmp",
    "space",
    "The space in /tmp. The conversion's log is there.",
    {
        Verdict.WARNING: f"Less than {size_text(_LOGS)}, with p2v.debug {size_text(_DEBUG_LOGS)}: virt-v2v ends "
        "when it cannot write its log.",
        Verdict.REFUSED: f"Less than {size_text(_LEAST_LOGS)}, or no inodes.",
    },
    "Free some space there.",
)
COPY = Subject(
    "space for the copy",
    "space",
    "The space and inodes where the guest's disks go, against the sizes of the disks; "
    f"{size_text(_OVERLAY)} less where the overlay "
    "is on the same file system. How full the disks are is not known.",
    {
        Verdict.WARNING: "Less than the sizes of the disks: the copy fails if they hold more data than that.",
        Verdict.REFUSED: "Less than a tenth of that; with preallocated disks (`p2v.oa`), less than all of it. "
        "No inodes.",
    },
    "Free some space there, or give another place in `p2v.os`. Accept it when the disks hold less than that.",
    setting="output.storage",
)
EXISTING = Subject(
    "guest of that name",
    "existing",
    "Whether the directory or the pool already has disks or a description of that name, how large and how old they "
    "are.",
    {Verdict.WARNING: "It has: virt-v2v overwrites them without asking. They may belong to a running guest."},
    "Another name in `p2v.name`. Accept the warning only if you know that nobody needs them.",
    setting="guestname",
)
DOMAIN = Subject(
    "libvirt domain",
    "domain",
    "Whether libvirt has a domain of the guest's name, for `p2v.o=libvirt`.",
    {
        Verdict.NOTED: "The login user cannot ask libvirt, and virt-v2v runs with sudo.",
        Verdict.WARNING: "libvirt does not answer. virt-v2v would find out after the copy.",
        Verdict.REFUSED: "It has: virt-v2v would fail after the copy.",
    },
    "Another name in `p2v.name`. `virsh dominfo NAME` shows the domain that has this one.",
    setting="guestname",
)
POOL = Subject(
    "libvirt pool",
    "pool",
    "For `p2v.o=libvirt`: whether the pool of -os (otherwise `default`) exists and has the type dir.",
    {Verdict.REFUSED: "It does not exist or has another type: virt-v2v would fail after the conversion."},
    "`virsh pool-list --all` shows the pools; make one with `virsh pool-define-as`.",
    setting="output.storage",
)
SUBJECTS: Final = (OVERLAY, LOGS, COPY, EXISTING, DOMAIN, POOL)


def judge_output(facts: ServerFacts, plan: Plan | None) -> Iterator[Check]:
    """plan: None while nothing is chosen yet; then only the space for virt-v2v's own files is judged."""
    yield from _overlay(facts)
    yield from _logs(facts, debug=plan is not None and plan.debug)
    if plan is None:
        return
    yield from _copy(facts, plan)
    yield from _existing(facts, plan)
    if plan.output.mode.is_libvirt:
        yield from _domain(facts, plan)
        yield from _pool(facts, plan)


def _no_inodes(subject: Subject, space: Space) -> Check | None:
    """The subject's refusal if no files can be made in a directory, however much space is free."""
    if space.inodes is None or space.inodes >= _INODES:
        return None
    return subject.refused(
        f"There are only {space.inodes} free inodes in {space.path} on the conversion server.",
        f"Free some there. Look with {quote('df', '-i', space.path)}.",
    )


def _look(space: Space) -> str:
    return f"Look with {quote('df', '-h', space.path)}."


def _overlay(facts: ServerFacts) -> Iterator[Check]:
    space = facts.space.get(Place.OVERLAY)
    if space is None:
        return
    text = f"{size_text(space.free)} are free in {space.path}"
    if space.free < _OVERLAY:
        who = "root, and env_keep in sudoers let it through" if facts.by_sudo else "the login user"
        yield OVERLAY.refused(
            f"Only {text} on the conversion server, and virt-v2v's overlays need {size_text(_OVERLAY)}.",
            f"Free some there, or let VIRT_V2V_TMPDIR name a directory with more for {who}. {_look(space)}",
        )
    else:
        yield _no_inodes(OVERLAY, space) or OVERLAY.passed(f"{text}.")


def _logs(facts: ServerFacts, *, debug: bool) -> Iterator[Check]:
    space = facts.space.get(Place.LOGS)
    if space is None:
        return
    text = f"{size_text(space.free)} are free in {space.path}"
    needed = _DEBUG_LOGS if debug else _LOGS
    if space.free < _LEAST_LOGS:
        yield LOGS.refused(
            f"The conversion server has no room for a log: only {text}.", f"Free some there. {_look(space)}"
        )
    elif no_inodes := _no_inodes(LOGS, space):
        yield no_inodes
    elif space.free < needed:
        yield LOGS.warning(
            f"Only {text} on the conversion server. The log may need {size_text(needed)}, and virt-v2v ends when it "
            "cannot be written.",
            f"Free some there. {_look(space)}",
        )
    else:
        yield LOGS.passed(f"{text}.")


def _copy(facts: ServerFacts, plan: Plan) -> Iterator[Check]:
    # For Glance the disks are first copied beside the overlay, then uploaded (virt-v2v(1), "Disk space").
    space = facts.space.get(Place.OVERLAY if "glance" in plan.output.mode.names else Place.STORAGE)
    if space is None:
        return
    free, size = _free_for_copy(space, facts), sum(disk.size for disk in plan.disks)
    text = f"{size_text(free)} are free for the copy in {space.path}, the disks have {size_text(size)}"
    if no_inodes := _no_inodes(COPY, space):
        yield no_inodes
    elif free >= size:
        yield COPY.passed(f"{text}.")
    elif plan.output.allocation == "preallocated":
        yield COPY.refused(
            f"On the conversion server only {text}, and the copy is to be preallocated.",
            f"Free some there, give another place in p2v.os, or leave p2v.oa=preallocated out. {_look(space)}",
        )
    elif free < size * _LEAST_FILL:
        yield COPY.refused(
            f"On the conversion server only {text}.",
            f"Free some there, or give another place in p2v.os. {_look(space)}",
        )
    else:
        yield COPY.warning(
            f"On the conversion server only {text}. The copy fails if they are more than "
            f"{100 * free // size} % full.",
            f"Free some there, or give another place in p2v.os; accept it if the disks hold less. {_look(space)}",
        )


def _free_for_copy(space: Space, facts: ServerFacts) -> int:
    """Bytes, without those for the overlay and the log if they share the file system."""
    taken = sum(
        size
        for place, size in ((Place.OVERLAY, _OVERLAY), (Place.LOGS, _LOGS))
        if (other := facts.space.get(place)) and other.file_system == space.file_system
    )
    return max(space.free - taken, 0)


def _existing(facts: ServerFacts, plan: Plan) -> Iterator[Check]:
    space = facts.space.get(Place.STORAGE)
    if space is None or not plan.output.mode.files(plan.guest.name, len(plan.disks)):
        return
    if not facts.existing:
        yield EXISTING.passed(f"{space.path} has none of the files of {plan.guest.name}.")
        return
    there = [f"{file.name} ({size_text(file.size)}, {_age(file, facts)})" for file in facts.existing]
    yield EXISTING.warning(
        f"{space.path} on the conversion server has {', '.join(there)} already: virt-v2v will overwrite "
        f"{'them' if len(there) > 1 else 'it'}.",
        "That may be a guest that is in use. Give this one another name, as in "
        f"{_another_name(plan)}; accept it only if nobody needs what is there.",
    )


def _age(file: ExistingFile, facts: ServerFacts) -> str:
    if facts.clock is None:
        return "of unknown age"
    days = (facts.clock - file.modified) // 86400
    if days >= 2:
        return f"changed {days} days ago"
    return f"changed {duration_text(max(facts.clock - file.modified, 0))} ago"


def _another_name(plan: Plan) -> str:
    """As a setting on the kernel command line."""
    name = f"{plan.guest.name}-2"
    return f'p2v.name="{name}"' if " " in name else f"p2v.name={name}"


def _domain(facts: ServerFacts, plan: Plan) -> Iterator[Check]:
    name = plan.guest.name
    match facts.domain:
        case False:
            yield DOMAIN.passed(f"The name {name} is free.")
        case True:
            yield DOMAIN.refused(
                f"libvirt on the conversion server has a domain {name} already; virt-v2v would fail when everything "
                "is copied.",
                f"Give the guest another name, as in {_another_name(plan)}. To see what has this one, run there: "
                f"{quote('virsh', 'dominfo', name)}.",
            )
        case None if facts.by_sudo:
            yield DOMAIN.noted(
                f"libvirt on the conversion server does not tell the login user whether it has a domain {name} and "
                "the pool.",
                "Look there as root: virsh list --all; virsh pool-list --all.",
            )
        case None if facts.programs.get("virsh"):
            yield DOMAIN.warning(
                "libvirt on the conversion server does not answer; virt-v2v would find that out after the "
                "conversion.",
                "Look there with virsh list --all; start it: systemctl start libvirtd, or virtqemud.",
            )


def _pool(facts: ServerFacts, plan: Plan) -> Iterator[Check]:
    pool = plan.output.pool
    if facts.pool == "dir":
        yield POOL.passed(f"The pool {pool} is there.")
    elif facts.pool == NO_POOL:
        yield POOL.refused(
            f"libvirt on the conversion server has no pool {pool}"
            f"{': p2v.os is the name of a pool, not a path' if '/' in pool else ''} (p2v.os).",
            f"{_make_pool(pool)} Those that it has are shown by virsh pool-list --all.",
        )
    elif facts.pool:
        yield POOL.refused(
            f"The pool {pool} (p2v.os) on the conversion server is of the type {facts.pool}; virt-v2v can only use "
            "one of the type dir.",
            "Name another pool; virsh pool-list --all --details shows them.",
        )


def _make_pool(pool: str) -> str:
    """How to make it. pool: its name, or a path that was given instead of a name."""
    name = pool.rstrip("/").rpartition("/")[2] or "images"
    target = pool if pool.startswith("/") else f"/var/lib/libvirt/{name}"
    if pool == "default":
        target = "/var/lib/libvirt/images"
    made = " && ".join(
        quote("virsh", *words)
        for words in (
            ("pool-define-as", name, "dir", "--target", target),
            ("pool-build", name),
            ("pool-start", name),
        )
    )
    return f"Make it there: {made}." if name == pool else f"Make one there, {made}, and give p2v.os={name}."
