"""Judges the guest's vCPUs and memory against what this machine has and what KVM takes. It never refuses: an operator
may know better.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2v_tui.hwprobe.machine import Machine
from p2v_tui.session.words.checks import Check, Subject, Verdict
from p2v_tui.session.words.quantities import memory_text

# QEMU's machine types have lower limits than KVM: `max_cpus` in hw/i386/pc_piix.c and pc_q35.c. Red Hat supports at
# most 710 vCPUs, and at least 512 MB, for a guest on RHEL 9.
_I440FX_VCPUS: Final = 255
_OLD_Q35_VCPUS: Final = 288
_SUPPORTED_VCPUS: Final = 710
_LEAST_MEMORY: Final = 512 << 20
# 46 bits of physical address, as most processors have.
_MOST_MEMORY: Final = 64 << 40

VCPUS = Subject(
    "guest's vCPUs",
    "vcpus",
    "How many the guest gets, against the processors of this machine and the limits of QEMU and RHEL.",
    {Verdict.NOTED: "More than this machine has; or more than some KVM hosts run."},
    "Fewer in `p2v.vcpu.cores`, if the host cannot run so many.",
)
MEMORY = Subject(
    "guest's memory",
    "guest-memory",
    "How much the guest gets, against the memory of this machine and the limits of KVM.",
    {Verdict.NOTED: "More than this machine has, more than some KVM hosts address, or less than a guest needs."},
    "`p2v.memory=16G`",
)

SUBJECTS: Final = (VCPUS, MEMORY)


def judge_size(vcpus: int, memory: int, machine: Machine) -> Iterator[Check]:
    """The checks of the guest's size, in the order of SUBJECTS. memory: bytes."""
    if doubts := vcpu_doubts(vcpus, machine):
        yield VCPUS.noted(
            f"The guest gets {vcpus} vCPUs: {doubts}.", "If the host cannot run so many, give fewer: p2v.vcpu.cores."
        )
    if doubts := memory_doubts(memory, machine):
        yield MEMORY.noted(
            f"The guest gets {memory_text(memory)} of memory: {doubts}.",
            "If that is not what the guest needs, change p2v.memory.",
        )


def vcpu_doubts(vcpus: int, machine: Machine) -> str:
    """Why this number of vCPUs may not work, without a stop at the end; empty if nothing speaks against it."""
    doubts = []
    if vcpus > machine.cpu.online:
        doubts.append(f"this machine has only {machine.cpu.online}")
    if vcpus > _SUPPORTED_VCPUS:
        doubts.append(f"RHEL 9 supports at most {_SUPPORTED_VCPUS} in a guest")
    if vcpus > _OLD_Q35_VCPUS:
        doubts.append(f"QEMU before 8.1 runs at most {_OLD_Q35_VCPUS}")
    elif vcpus > _I440FX_VCPUS:
        doubts.append(f"QEMU's i440fx machine runs at most {_I440FX_VCPUS}")
    return "; ".join(doubts)


def memory_doubts(memory: int, machine: Machine) -> str:
    """Why this much memory may not work, as `vcpu_doubts`. memory: bytes."""
    doubts = []
    if memory > machine.memory:
        doubts.append(f"this machine has only {memory_text(machine.memory)}")
    if memory > _MOST_MEMORY:
        doubts.append("KVM hosts with 46 address bits end at 64 TiB")
    if memory < _LEAST_MEMORY:
        doubts.append("guests with less than 512 MiB are not supported and may not start")
    return "; ".join(doubts)
