"""Judges the facts about the conversion server: can this conversion work there, and what prevents it.

`output_checks.py` judges the place for the guest, `directory_checks.py` the directories, `output_mode_checks.py` what
the output mode takes, and `guest_checks.py` what this particular guest needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight import directory_checks, guest_checks, output_checks, output_mode_checks
from p2v_tui.session.preflight.server_facts import Access, ServerFacts
from p2v_tui.session.remote.commands import quote
from p2v_tui.session.ssh.login import KEEPALIVE_COUNT, KEEPALIVE_INTERVAL
from p2v_tui.session.words.checks import Check, Subject, Verdict
from p2v_tui.session.words.quantities import duration_text, memory_text

# virt-v2v gives its appliance 2560 MiB (2.2 and later), which uses a part of that.
_MEMORY: Final = 2560 << 20
_LEAST_MEMORY: Final = 1 << 30
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_CLOCK_NOTED: Final = 5 * 60
_CLOCK_WARNING: Final = 24 * 3600
_SILENCE: Final = KEEPALIVE_INTERVAL * KEEPALIVE_COUNT

PROGRAMS = Subject(
    "programs",
    "programs",
    "Each program that virt-v2v runs is run: nbdkit with its nbd and file plugins and its cow filter, nbdcopy, "
    "qemu-img, qemu-nbd for qcow2, virsh for libvirt.",
    {Verdict.REFUSED: "One that this conversion needs is missing."},
    "Debian: `apt install nbdkit libnbd-bin qemu-utils`. Fedora, RHEL: `dnf install nbdkit libnbd qemu-img`.",
)
RELAY = Subject(
    "reconnecting",
    "reconnecting",
    "Whether Python 3.6 or later is installed. The relay, which holds virt-v2v's connections, runs in it.",
    {
        Verdict.WARNING: "It is not: a data connection that is lost ends the conversion, and other users of the "
        "server can keep virt-v2v waiting for a disk."
    },
    "`apt install python3`, `dnf install python3`. Or accept the warning if your network does not fail.",
)
MEMORY = Subject(
    "memory",
    "memory",
    "The memory that is available for virt-v2v's small virtual machine.",
    {
        Verdict.NOTED: f"Less than the {_MEMORY / (1 << 30)} GiB that virt-v2v gives it.",
        Verdict.WARNING: f"Less than {_LEAST_MEMORY >> 30} GiB, the swap space counted: the kernel may end virt-v2v.",
    },
    "Stop other programs there, or add memory or swap space.",
)
KVM = Subject(
    "KVM",
    "kvm",
    "Whether /dev/kvm exists and virt-v2v's user can open it.",
    {Verdict.NOTED: "No: the conversion takes several times longer. The copy does not."},
    "Switch virtualization on in the firmware. If the server is itself a guest, switch nested virtualization on. "
    "`usermod -aG kvm USER`.",
)
KERNEL = Subject(
    "kernel for libguestfs",
    "kernel",
    "Whether /boot or /lib/modules has a kernel that virt-v2v's user can read. libguestfs boots it.",
    {Verdict.WARNING: "It has none. On Ubuntu only root can read the kernels."},
    "`chmod 0644 /boot/vmlinuz-*`, or run virt-v2v with sudo (`p2v.sudo`), or install a kernel.",
)
LOCALHOST = Subject(
    "localhost",
    "localhost",
    "Whether the name `localhost` means 127.0.0.1 or ::1 there. virt-v2v reads the disks from it.",
    {Verdict.REFUSED: "It is unknown or means another address: virt-v2v could not reach the disks."},
    "`127.0.0.1 localhost` in /etc/hosts there.",
)
IDLE = Subject(
    "idle time-outs",
    "idle",
    "TMOUT in the shell, and ClientAliveInterval and ClientAliveCountMax where sshd's settings can be read.",
    {
        Verdict.NOTED: "sshd gives a silent connection up sooner than p2v-tui does; TMOUT is set. Neither ends a "
        "connection that works: ssh answers sshd, and p2v-tui's shell waits for nobody."
    },
    "`ClientAliveInterval 15` and `ClientAliveCountMax 20` in /etc/ssh/sshd_config survive an outage of 5 minutes.",
)
CLOCK = Subject(
    "server's clock",
    "clock",
    "The server's clock against this machine's.",
    {
        Verdict.NOTED: f"They differ by more than {_CLOCK_NOTED // 60} minutes.",
        Verdict.WARNING: f"They differ by more than {_CLOCK_WARNING // 3600} hours: certificates may seem not to be "
        "valid.",
    },
    "Set the clock that is wrong: `timedatectl set-ntp true`, `date -s ...`.",
)

SUBJECTS: Final = (
    PROGRAMS,
    RELAY,
    MEMORY,
    KVM,
    KERNEL,
    LOCALHOST,
    *directory_checks.SUBJECTS,
    *output_checks.SUBJECTS,
    *output_mode_checks.SUBJECTS,
    *guest_checks.SUBJECTS,
    IDLE,
    CLOCK,
)


def judge_server(
    facts: ServerFacts, virt_v2v: VirtV2V, plan: Plan | None, now: float, windows: Collection[str] = ()
) -> tuple[Check, ...]:
    """The checks of the conversion server, in the order of SUBJECTS, without those that are unknown or do not matter.

    plan: None while nothing is chosen yet; then only what needs no plan is judged. now: seconds since the epoch on
    this machine, when the facts came. windows: the names of the plan's disks with Windows on them (`Health.windows`).
    """
    release = virt_v2v.numbers
    return (
        *_programs(facts, virt_v2v, plan),
        *_relay(facts),
        *_memory(facts),
        *_kvm(facts),
        *_kernel(facts),
        *_localhost(facts),
        *directory_checks.judge_directories(facts, plan),
        *output_checks.judge_output(facts, plan),
        *(output_mode_checks.judge_output_mode(plan, release) if plan else ()),
        *guest_checks.judge_guest_needs(facts, release, plan, windows),
        *_idle(facts),
        *_clock(facts, now),
    )


@dataclass(frozen=True)
class _Program:
    """name: in the survey. words: for the operator. debian, fedora: the package that contains it."""

    name: str
    words: str
    debian: str
    fedora: str


_NBDKIT: Final = _Program("nbdkit", "nbdkit", "nbdkit", "nbdkit")
_NBDKIT_PARTS: Final = (
    _Program("nbdkit-nbd", "nbdkit's nbd plugin", "nbdkit", "nbdkit-basic-plugins"),
    _Program("nbdkit-file", "nbdkit's file plugin", "nbdkit", "nbdkit-basic-plugins"),
    _Program("nbdkit-cow", "nbdkit's cow filter", "nbdkit", "nbdkit-basic-filters"),
)
_NBDCOPY: Final = _Program("nbdcopy", "nbdcopy", "libnbd-bin", "libnbd")
_QEMU_IMG: Final = _Program("qemu-img", "qemu-img", "qemu-utils", "qemu-img")
_QEMU_NBD: Final = _Program("qemu-nbd", "qemu-nbd", "qemu-utils", "qemu-img")
_VIRSH: Final = _Program("virsh", "virsh", "libvirt-clients", "libvirt-client")


def _programs(facts: ServerFacts, virt_v2v: VirtV2V, plan: Plan | None) -> Iterator[Check]:
    needed = [_QEMU_IMG]
    if virt_v2v.modular:
        # Without nbdkit its parts are missing too, but they come with it.
        parts = () if facts.programs.get("nbdkit") is False else _NBDKIT_PARTS
        needed = [_NBDKIT, *parts, _NBDCOPY, _QEMU_IMG]
    if plan and plan.output.format == "qcow2":
        needed.append(_QEMU_NBD)
    if plan and plan.output.mode.is_libvirt:
        needed.append(_VIRSH)
    missing = [program for program in needed if facts.programs.get(program.name) is False]
    if missing:
        debian = quote("apt", "install", *sorted({program.debian for program in missing}))
        fedora = quote("dnf", "install", *sorted({program.fedora for program in missing}))
        yield PROGRAMS.refused(
            f"The conversion server lacks what virt-v2v runs: {', '.join(program.words for program in missing)}.",
            f"Install it there: {debian}, or {fedora}.",
        )
    elif all(program.name in facts.programs for program in needed):
        yield PROGRAMS.passed(f"virt-v2v finds {', '.join(program.words for program in needed)}.")


def _relay(facts: ServerFacts) -> Iterator[Check]:
    match facts.programs.get("python"):
        case True:
            yield RELAY.passed("A dropped data connection will be opened again: python3 is there.")
        case False:
            yield RELAY.warning(
                "The conversion server has no python3 of 3.6 or later: a data connection that drops ends the "
                "conversion, because nothing there can hold virt-v2v's connection meanwhile. Other users of the "
                "server can connect to the disks' ports there: they get nothing, but can keep virt-v2v waiting.",
                "Install it there: apt install python3, or dnf install python3.",
            )


def _memory(facts: ServerFacts) -> Iterator[Check]:
    if facts.memory is None:
        return
    text = f"{memory_text(facts.memory)} of memory and {memory_text(facts.swap or 0)} of swap space are free"
    if facts.memory >= _MEMORY:
        yield MEMORY.passed(f"{text}.")
    elif facts.memory + (facts.swap or 0) >= _LEAST_MEMORY:
        yield MEMORY.noted(
            f"{text} on the conversion server; virt-v2v gives its small virtual machine {memory_text(_MEMORY)}.",
            "End other programs there if the conversion is slow.",
        )
    else:
        yield MEMORY.warning(
            f"Only {text} on the conversion server: the kernel there may end virt-v2v, which needs 1 to 2 GiB.",
            "End other programs there, or add memory or swap space.",
        )


def _kvm(facts: ServerFacts) -> Iterator[Check]:
    slow = "the conversion will take several times longer; the copy will not"
    match facts.kvm:
        case Access.USABLE:
            yield KVM.passed("/dev/kvm is there.")
        case Access.MISSING:
            yield KVM.noted(
                f"The conversion server has no /dev/kvm: {slow}.",
                "Switch on virtualization in its firmware, or nested virtualization where it is a guest itself.",
            )
        case Access.DENIED:
            yield KVM.noted(
                f"virt-v2v's user may not open /dev/kvm on the conversion server: {slow}.",
                "Run there as root: usermod -aG kvm USER.",
            )


def _kernel(facts: ServerFacts) -> Iterator[Check]:
    match facts.kernel:
        case Access.USABLE:
            yield KERNEL.passed("A kernel for libguestfs is there.")
        case Access.DENIED:
            yield KERNEL.warning(
                "virt-v2v's user cannot read any kernel in /boot on the conversion server; libguestfs needs one to "
                "boot its small virtual machine.",
                "Run there as root: chmod 0644 /boot/vmlinuz-*. Or run virt-v2v with sudo: p2v.sudo.",
            )
        case Access.MISSING:
            yield KERNEL.warning(
                "The conversion server has no kernel in /boot or /lib/modules; libguestfs needs one to boot its "
                "small virtual machine.",
                "Install one there: apt install linux-image-amd64, or dnf install kernel-core.",
            )


def _localhost(facts: ServerFacts) -> Iterator[Check]:
    if facts.localhost is None:
        return
    if not _LOOPBACK.isdisjoint(facts.localhost):
        yield LOCALHOST.passed(f"localhost is {' and '.join(facts.localhost)}.")
        return
    is_what = f"is {', '.join(facts.localhost)}" if facts.localhost else "is not known"
    yield LOCALHOST.refused(
        f"The name localhost {is_what} on the conversion server, where virt-v2v reads the disks from it.",
        "Put this line into /etc/hosts there: 127.0.0.1 localhost.",
    )


def _idle(facts: ServerFacts) -> Iterator[Check]:
    found = []
    if facts.client_alive:
        interval, count = facts.client_alive
        silence = interval * max(count, 1)
        if silence < _SILENCE:
            found.append(
                f"sshd there gives up a connection after {duration_text(silence)} of silence, p2v-tui after "
                f"{duration_text(_SILENCE)}"
            )
    if facts.tmout:
        found.append(f"TMOUT ends an idle shell after {duration_text(facts.tmout)}, though none of p2v-tui's")
    if found:
        yield IDLE.noted(
            f"{'; '.join(found)}.",
            "There is nothing to do on a reliable network. To survive longer outages: ClientAliveInterval 15 and "
            "ClientAliveCountMax 20 in /etc/ssh/sshd_config, then systemctl reload sshd.",
        )
    else:
        yield IDLE.passed("No short idle time-out was found.")


def _clock(facts: ServerFacts, now: float) -> Iterator[Check]:
    if facts.clock is None:
        return
    ahead = facts.clock - now
    text = (
        f"The conversion server's clock is {duration_text(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} "
        "this machine's."
    )
    if abs(ahead) > _CLOCK_WARNING:
        yield CLOCK.warning(
            f"{text} Certificates may seem not to be valid there or here.",
            "Set the one that is wrong: timedatectl set-ntp true there; here in the shell date -s, as root.",
        )
    elif abs(ahead) > _CLOCK_NOTED:
        yield CLOCK.noted(text, "Set the one that is wrong: timedatectl set-ntp true there; here date -s, as root.")
    else:
        yield CLOCK.passed("The clocks agree.")
