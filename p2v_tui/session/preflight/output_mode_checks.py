"""Judges what an output mode or its version would refuse late: the guest's name, the -oo options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from p2v_tui.session.plan.output_options import available_options, unknown_options, wrong_options
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.words.checks import Check, Subject, Verdict

NAME = Subject(
    "guest name",
    "name",
    "Whether the output takes the guest's name: Kubernetes names objects by RFC 1123, oVirt knows letters, digits "
    "and `_.-`, files and libvirt's domains have no slash in their name, and a file's name has 255 bytes.",
    {Verdict.REFUSED: "It does not: virt-v2v would find that out late, some modes when everything is copied."},
    "Another name in `p2v.name`.",
    setting="guestname",
)
OPTIONS = Subject(
    "output options",
    "options",
    "Whether the output mode has each option of `p2v.oo` in the server's version of virt-v2v, as often as it wants "
    "it, and the allocation of `p2v.oa`.",
    {Verdict.REFUSED: "One is unknown there, or does not come once for each disk."},
    "`virt-v2v -i disk x -o MODE -oo '?'` on the server lists the options.",
    setting="output.misc",
)
SUBJECTS: Final = (NAME, OPTIONS)

# Kubernetes' names of objects (RFC 1123, which virt-v2v requires since 2.3).
_KUBERNETES_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_OVIRT_NAME: Final = re.compile(r"[\w.-]+")
_OVIRT: Final = ("rhv", "rhv-upload")
_LONGEST_FILE: Final = 255
# rhv-upload took only sparse disks before (v2v/output_rhv_upload.ml, error_unless_output_alloc_sparse).
_ANY_ALLOCATION: Final = (1, 45)


def judge_output_mode(plan: Plan, release: Sequence[int]) -> Iterator[Check]:
    """release: virt-v2v's version in numbers; empty if unknown."""
    name = plan.guest.name
    wrong, instead = _wrong_name(plan)
    if wrong:
        yield NAME.refused(
            f"{_sentence(plan)} does not accept the guest name {name}: {wrong}.",
            f"Give the guest another name: with p2v.name={instead} it works.",
        )
    elif plan.output.mode.known:
        yield NAME.passed(f"The output takes the name {name}.")
    yield from _options(plan, release)


def _sentence(plan: Plan) -> str:
    return "Kubernetes" if "kubevirt" in plan.output.mode.names else f"The output mode {plan.output.mode.names[0]}"


def _wrong_name(plan: Plan) -> tuple[str, str]:
    """What is wrong with the guest's name (empty if nothing), and a name that would work."""
    name, mode = plan.guest.name, plan.output.mode
    if "kubevirt" in mode.names and not (len(name) <= 253 and _KUBERNETES_NAME.fullmatch(name)):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-") or "guest"
        return "it allows small letters, digits, - and . between them", better
    if mode.names[0] in _OVIRT and not _OVIRT_NAME.fullmatch(name):
        return "it allows letters, digits, _, . and -", re.sub(r"[^\w.-]+", "-", name).strip("-") or "guest"
    files = mode.files(name, len(plan.disks))
    if not files:
        return "", ""
    if "/" in name or name in {".", ".."}:
        return "it becomes part of the names of files", re.sub(r"[/.]+", "-", name).strip("-") or "guest"
    longest = max(len(file.encode()) - len(name.encode()) for file in files)
    if len(name.encode()) + longest > _LONGEST_FILE:
        short = name.encode()[: _LONGEST_FILE - longest].decode(errors="ignore")
        return f"the names of its files would be longer than {_LONGEST_FILE} bytes", short
    return "", ""


def _options(plan: Plan, release: Sequence[int]) -> Iterator[Check]:
    output = plan.output
    mode = output.mode.names[0]
    lists = f"This lists them on the server: virt-v2v -i disk x -o {mode} -oo '?'."
    if release and mode == "rhv-upload" and output.allocation == "preallocated" and tuple(release) < _ANY_ALLOCATION:
        yield OPTIONS.refused(
            "This old virt-v2v uploads to oVirt only sparse disks.", "Leave p2v.oa=preallocated out, or update it."
        )
        return
    if not output.misc or not output.mode.known:
        return
    known = output.mode.options
    unknown = unknown_options(known, output.misc, release)
    wrong = list(wrong_options(known, output.misc, len(plan.disks)))
    if unknown:
        there = ", ".join(option.name for option in available_options(known, release)) or "none"
        yield OPTIONS.refused(
            f"The output mode {mode} of the server's virt-v2v has no option {', '.join(unknown)} (p2v.oo).",
            f"It has: {there}. {lists}",
        )
    elif wrong:
        yield OPTIONS.refused(" ".join(wrong), lists)
    else:
        yield OPTIONS.passed(f"The output mode {mode} has the options.")
